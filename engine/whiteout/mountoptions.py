r"""Overlay mount options as the kernel reads them.

Two strings are read here. What a person gives to mount(8) or mount(2) is split at ``,`` where no
backslash precedes it. What ``/proc/self/mountinfo`` shows has every byte that matters written as
three octal digits, so it is split at ``,`` first and decoded then. In both the value of
``lowerdir=``, ``upperdir=`` and ``workdir=`` still holds the backslashes that the person gave
(``\:`` ``\,`` ``\\``), while ``lowerdir+=`` and ``datadir+=`` are taken literally
(``fs/overlayfs/params.c``; ``Documentation/filesystems/overlayfs.rst``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from whiteout.display import display_text
from whiteout.errors import MountError
from whiteout.mounts import Mount
from whiteout.octal import decode_octal
from whiteout.verity import Verity

_QUOTED = re.compile(rb"\\(.?)", re.DOTALL)
_VERITY = {mode.value.encode(): mode for mode in Verity}
_SPECIAL = re.compile(rb"[\\:,]")
_OPTION = re.compile(rb"(?:[^\\,]|\\.?)+", re.DOTALL)
_LAYER_OR_COLONS = re.compile(rb"(?:[^\\:]|\\.?)+|:+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class OverlayOptions:
    """What the options of one overlay mount say.

    ``lowerdirs`` are topmost first. ``data_lowerdirs`` hold only the data of files whose metadata
    lies above. ``redirect_dir`` and ``metacopy`` are None where the kernel's default holds.
    ``others`` are the options that do not matter for reading, as they stood.
    """

    lowerdirs: tuple[bytes, ...] = ()
    data_lowerdirs: tuple[bytes, ...] = ()
    upperdir: bytes | None = None
    workdir: bytes | None = None
    userxattr: bool = False
    redirect_dir: str | None = None
    metacopy: bool | None = None
    verity: Verity = Verity.OFF
    volatile: bool = False
    others: tuple[bytes, ...] = ()


def escape_path(path: bytes) -> bytes:
    r"""*path* as it must be written in ``lowerdir=``, ``upperdir=`` or ``workdir=``."""
    return _SPECIAL.sub(rb"\\\g<0>", path)


def unescape_path(path: bytes) -> bytes:
    r"""The path that the kernel understands: each backslash quotes the byte after it."""
    return _QUOTED.sub(rb"\1", path)


def options_of_string(options: bytes) -> OverlayOptions:
    """Read what a person gives to ``mount -o``, or what is given to mount(2) as data.

    Raises:
        MountError: the kernel would refuse the layers.
    """
    return _read(_OPTION.findall(options))


def options_of_mount(mount: Mount) -> OverlayOptions:
    """Read the options of a containerd mount as the kernel does when they are mounted.

    Raises:
        MountError: it is not an overlay mount, or the kernel would refuse the layers.
    """
    if mount.type != "overlay":
        raise MountError(
            f"a mount of type {display_text(mount.type)} has no overlay layers; give one of type "
            "overlay"
        )
    return options_of_string(b",".join(mount.options))


def options_of_mountinfo(options: bytes) -> OverlayOptions:
    """Read the super options, the last field of a line of mountinfo.

    Raises:
        MountError: the kernel would not have shown this.
    """
    return _read([decode_octal(option) for option in options.split(b",")])


@dataclass(slots=True)
class _Layers:
    """The lower layers, while the options are read one after the other.

    The rules are those of ``ovl_parse_param_lowerdir`` and ``ovl_mount_dir_check``.
    """

    lower: list[bytes] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    whole: bool = False

    def set(self, value: bytes) -> None:
        """``lowerdir=``: replaces what was there."""
        self.lower, self.data, self.whole = [], [], bool(value)
        if not value:
            return
        tokens = _LAYER_OR_COLONS.findall(value)
        paths, colons = [unescape_path(path) for path in tokens[::2]], tokens[1::2]
        wrong = value[:1] == b":" or len(paths) == len(colons) or b"" in paths
        if wrong or max(map(len, colons), default=0) > 2:
            raise MountError("lowerdir= names an empty path; give a path between the colons")
        first_data = colons.index(b"::") + 1 if b"::" in colons else len(paths)
        if b":" in colons[first_data:]:
            raise MountError("after the first :: in lowerdir= only data-only layers can follow")
        self.lower, self.data = paths[:first_data], paths[first_data:]

    def add(self, path: bytes, *, data: bool) -> None:
        """``lowerdir+=`` and ``datadir+=``: one more layer below."""
        if self.whole:
            raise MountError("lowerdir+= and datadir+= cannot follow lowerdir=")
        if self.data and not data:
            raise MountError("lowerdir+= cannot follow datadir+=")
        if not path:
            raise MountError("lowerdir+= and datadir+= must name a directory")
        (self.data if data else self.lower).append(path)


def _read(options: list[bytes]) -> OverlayOptions:
    layers = _Layers()
    upperdir = workdir = redirect_dir = metacopy = None
    verity = Verity.OFF
    userxattr = volatile = False
    others: list[bytes] = []
    for option in options:
        key, _, value = option.partition(b"=")
        match key:
            case b"lowerdir":
                layers.set(value)
            case b"lowerdir+" | b"datadir+":
                layers.add(value, data=key == b"datadir+")
            case b"upperdir":
                upperdir = unescape_path(value)
            case b"workdir":
                workdir = unescape_path(value)
            case b"redirect_dir":
                redirect_dir = display_text(value.decode("utf-8", "surrogateescape"))
            case b"metacopy":
                metacopy = value == b"on"
            case b"verity":
                verity = _VERITY.get(value, Verity.REQUIRE)
            case _ if option == b"userxattr":
                userxattr = True
            case _ if option in (b"volatile", b"fsync=volatile"):
                volatile = True
            case b"":
                pass
            case _:
                others.append(option)
    return OverlayOptions(
        lowerdirs=tuple(layers.lower),
        data_lowerdirs=tuple(layers.data),
        upperdir=upperdir or None,
        workdir=workdir or None,
        userxattr=userxattr,
        redirect_dir=redirect_dir,
        metacopy=metacopy,
        verity=verity,
        volatile=volatile,
        others=tuple(others),
    )
