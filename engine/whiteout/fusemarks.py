"""The marks of fuse-overlayfs, translated into those of the kernel.

fuse-overlayfs writes what the kernel writes where it may, and otherwise (``main.c`` and ``utils.c``
of fuse-overlayfs 1.x, and tried with 1.10):

* a whiteout of ``NAME`` is a file ``.wh.NAME``, which hides a ``NAME`` beside it, too;
* an opaque directory has ``user.fuseoverlayfs.opaque`` with ``y``, or a file ``.wh..wh..opq``; a
  ``.wh..opq`` beside that means nothing more;
* with ``xattr_permissions``, and with the ``force_mask`` of containers/storage, the owner and the
  permissions are in an attribute ``override_stat``: ``UID:GID:MODE`` or ``UID:GID:MODE:TYPE``, the
  mode in octal, the ids those of the container.

A :class:`FuseDirectory` shows the entries of such a layer as the kernel would have written them, so
that nobody else has to know. As no ordinary directory is safe from such names, only layers that are
said to be of fuse-overlayfs are read so.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from itertools import chain

from whiteout import xattrs
from whiteout.display import display_path, display_text
from whiteout.entries import with_fields
from whiteout.errors import ReadError
from whiteout.layers import Directory, PlainFile
from whiteout.names import NameSorter, keep_names, sort_names, union

WHITEOUT_PREFIX = b".wh."
OPAQUE_FILE = b".wh..wh..opq"
LEGACY_OPAQUE_FILE = b".wh..opq"
OPAQUE_ATTRIBUTE = "user.fuseoverlayfs.opaque"
OVERRIDE_ATTRIBUTES = (
    "security.fuseoverlayfs.override_stat",
    "user.fuseoverlayfs.override_stat",
    "user.containers.override_stat",
)
_KERNEL_OPAQUE = "user.overlay.opaque"
#: Compiled at its first use, which most snapshots never come to.
_OVERRIDE = rb"(\d{1,10}):(\d{1,10}):([0-7]{1,7})(?::([a-z]+)(?:-(\d{1,10})-(\d{1,10}))?)?"
_TYPES = {
    b"file": stat.S_IFREG,
    b"dir": stat.S_IFDIR,
    b"symlink": stat.S_IFLNK,
    b"pipe": stat.S_IFIFO,
    b"socket": stat.S_IFSOCK,
    b"block": stat.S_IFBLK,
    b"char": stat.S_IFCHR,
}
_HAVE_DEVICE = (stat.S_IFBLK, stat.S_IFCHR)


class FuseDirectory(Directory):
    """A directory of a layer that fuse-overlayfs wrote."""

    __slots__ = ()

    def child(self, name: bytes) -> Directory:
        return FuseDirectory(self._pool, self, name, self.idmap)

    def plain_child(self, name: bytes) -> None:
        return None  # owner and mode are in attributes, and so are the marks

    def _scan(self, special: NameSorter | None = None) -> Iterator[Collection[bytes]]:
        special_on_disk = NameSorter()
        on_disk = sort_names(chain.from_iterable(super()._scan(special_on_disk)))
        ignored = LEGACY_OPAQUE_FILE if OPAQUE_FILE in on_disk else None
        hidden = keep_names(
            name[len(WHITEOUT_PREFIX) :]
            for name in on_disk
            if name != ignored and _is_whiteout(name)
        )
        if special is not None:
            special.extend(union(_shown(special_on_disk.sorted()), hidden))
        yield keep_names(union(_shown(on_disk), hidden))

    def surely_lacks(self, name: bytes) -> bool:
        return super().surely_lacks(name) and super().surely_lacks(WHITEOUT_PREFIX + name)

    def expect(self, lookups: int) -> Collection[bytes] | None:
        super().expect(lookups)
        return None  # what is looked up on disk has other names, too

    def expect_only(self, names: Collection[bytes]) -> None:
        pass  # what is looked up on disk has other names

    def lstat(self, name: bytes) -> os.stat_result | None:
        if name.startswith(WHITEOUT_PREFIX):
            return None
        whiteout = self.lstat_on_disk(WHITEOUT_PREFIX + name)
        if whiteout is not None:
            return with_fields(whiteout, mode=stat.S_IFCHR, device=0, links=0)
        status = self.lstat_on_disk(name)
        return None if status is None else self._overridden(name, status)

    def name_on_disk(self, name: bytes) -> bytes:
        whiteout = WHITEOUT_PREFIX + name
        return name if self.lstat_on_disk(whiteout) is None else whiteout

    def has_owner(self, name: bytes) -> bool:
        return self._override(name) is not None or super().has_owner(name)

    def _overridden(self, name: bytes, status: os.stat_result) -> os.stat_result:
        value = self._override(name)
        if value is None:
            return status if self.idmap is None else self.idmap.to_container(status)
        import re

        match = re.fullmatch(_OVERRIDE, value)
        kind = stat.S_IFMT(status.st_mode)
        device = status.st_rdev
        if match is not None and match[4] is not None:
            kind = _TYPES.get(match[4], 0)
            if (match[5] is None) == (kind in _HAVE_DEVICE):
                kind = 0
            elif kind in _HAVE_DEVICE:
                device = os.makedev(int(match[5]), int(match[6]))
        if match is None or not kind or (stat.S_ISREG(status.st_mode) and kind == stat.S_IFLNK):
            raise ReadError(
                f"{display_path(self.path + b'/' + name)} has an attribute override_stat that says"
                f" nothing clear: {display_text(value.decode('utf-8', 'replace'))}"
            )
        return with_fields(
            status,
            mode=kind | int(match[3], 8) & 0o7777,
            uid=int(match[1]),
            gid=int(match[2]),
            device=device,
        )

    def _override(self, name: bytes) -> bytes | None:
        path = self.path_of(name)
        present = xattrs.names(path)
        for attribute in OVERRIDE_ATTRIBUTES:
            if attribute in present:
                return xattrs.get(path, attribute)
        return None

    def open_listed_file(self, name: bytes) -> tuple[int, os.stat_result] | None:
        return None  # the status is not the whole truth here

    def read_plain_files(self, names: Sequence[bytes], *, content: bool = True) -> list[PlainFile]:
        return []  # for the same reason

    def count_same_files(self, base: Directory, names: Sequence[bytes]) -> int:
        return 0

    def own_attribute_names(self) -> list[str]:
        names = super().own_attribute_names()
        return self._with_opaque(names, self)

    def attribute_names(self, name: bytes) -> list[str]:
        return self._with_opaque(super().attribute_names(name), self.child(name))

    def _with_opaque(self, names: list[str], directory: Directory) -> list[str]:
        if _KERNEL_OPAQUE in names:
            return names
        if OPAQUE_ATTRIBUTE in names or directory.lstat_on_disk(OPAQUE_FILE) is not None:
            return [*names, _KERNEL_OPAQUE]
        return names

    def attribute(self, name: bytes, attribute: str) -> bytes | None:
        value = super().attribute(name, attribute)
        if attribute != _KERNEL_OPAQUE or value == b"y":
            return value
        if super().attribute(name, OPAQUE_ATTRIBUTE) == b"y":
            return b"y"
        return b"y" if self.child(name).lstat_on_disk(OPAQUE_FILE) is not None else value


def _shown(names: Collection[bytes]) -> Collection[bytes]:
    return keep_names(name for name in names if not name.startswith(WHITEOUT_PREFIX))


def _is_whiteout(name: bytes) -> bool:
    return (
        name.startswith(WHITEOUT_PREFIX)
        and name != OPAQUE_FILE
        and len(name) > len(WHITEOUT_PREFIX)
    )


def has_override(path: bytes) -> bool:
    """Whether the root of a layer says that its owners and modes are in attributes."""
    try:
        return any(name in OVERRIDE_ATTRIBUTES for name in os.listxattr(path))
    except OSError:  # no attributes, or no directory, which whoever opens it will say
        return False
