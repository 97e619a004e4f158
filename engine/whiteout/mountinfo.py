"""The overlay mounts of this host, with their layers found and verified.

``/proc/self/mountinfo`` (proc_pid_mountinfo(5)) shows the options as they were given when the mount
was made. Since then a directory may have moved, a relative path has lost what it was relative to,
and the overlay itself may cover one of its layers. So each layer is looked up, and where the
kernel's inode numbers can prove that these are the directories that were mounted, they must.

The mounts of other namespaces, those of containers, are read from the tables of their processes. A
mount that several namespaces show is one: it has one device number.
"""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from whiteout.display import display_path
from whiteout.errors import MountError, ReadError, SnapshotChanged, read_error, reason_of
from whiteout.mountnamespaces import MountNamespace, other_namespaces, other_roots
from whiteout.mountoptions import OverlayOptions, options_of_mountinfo
from whiteout.octal import decode_octal
from whiteout.sources.root import Root

MOUNTINFO = "/proc/self/mountinfo"
_DEVICE = re.compile(rb"([0-9]{1,4}):([0-9]{1,7})")

#: Where programs keep the layers that they mount by relative paths.
_STORES = (
    b"/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots",
    b"/var/lib/rancher/k3s/agent/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots",
    b"/var/lib/docker/overlay2",
    b"/var/lib/containers/storage/overlay",
    b"/var/lib/buildkit/runc-overlayfs/snapshots",
)
_BY_HAND = "open it by its upper directory with --lower, or by its engine's name for it"
_NO_ANSWER = "its layers do not answer; the filesystem that holds them may be dead"


@dataclass(frozen=True, slots=True)
class OverlayMount:
    """One mounted overlay.

    ``layers`` are the directories that were found, topmost first: the upperdir when there is one,
    then the lowerdirs. ``data_layers`` hold only data. Both are empty when there is a ``problem``:
    a sentence on why the mount cannot be opened. ``device`` is its ``st_dev``. ``verified`` tells
    whether inode numbers proved that the layers are the mounted ones. ``namespace`` is None in this
    process's own mount namespace; else ``mount_point`` is a path in that one.
    """

    mount_point: bytes
    device: int
    type: str
    options: OverlayOptions
    layers: tuple[bytes, ...] = ()
    data_layers: tuple[bytes, ...] = ()
    verified: bool = False
    problem: str | None = None
    namespace: MountNamespace | None = None

    @property
    def is_fuse(self) -> bool:
        """Whether fuse-overlayfs serves it, and not the kernel."""
        return self.type != "overlay"

    @property
    def path(self) -> bytes:
        """The mount point as a path of this process."""
        return _seen_by(self.namespace, self.mount_point)


@dataclass(frozen=True, slots=True)
class _Line:
    """What a line of mountinfo says of an overlay mount."""

    device: int
    root: bytes
    mount_point: bytes
    type: str
    source: bytes
    super_options: bytes
    namespace: MountNamespace | None = None

    @property
    def path(self) -> bytes:
        return _seen_by(self.namespace, self.mount_point)


def _seen_by(namespace: MountNamespace | None, path: bytes) -> bytes:
    return path if namespace is None else namespace.root + path


class _Unresolved(Exception):
    """The layers could not be found; the message is the problem."""


def overlay_mounts(path: str = MOUNTINFO, *, timeout: float = 2.0) -> tuple[OverlayMount, ...]:
    """The overlay mounts that *path* lists, each superblock once, in the order of the file.

    A mount whose layers do not answer within *timeout* seconds, such as one on a dead server, is
    listed with that problem.

    Raises:
        ReadError: *path* cannot be read.
    """
    return _resolve_all(_by_device(_lines(path)), timeout)


def all_overlay_mounts(*, timeout: float = 2.0) -> tuple[OverlayMount, ...]:
    """The overlay mounts of this mount namespace and then those that only others have.

    Raises:
        ReadError: the mounts of this namespace cannot be read.
    """
    return _resolve_all(_by_device(_all_lines()), timeout)


def _all_lines() -> Iterator[_Line]:
    yield from _lines(MOUNTINFO)
    for namespace in other_namespaces():
        with suppress(ReadError):  # its process has ended, or may not be looked at
            yield from _lines(namespace.table, namespace)


def _by_device(lines: Iterable[_Line]) -> list[list[_Line]]:
    groups: dict[int, list[_Line]] = {}
    for line in lines:
        groups.setdefault(line.device, []).append(line)
    return list(groups.values())


def check_mounted(mount: OverlayMount) -> None:
    """Make sure that *mount* still is what it was: only then nobody has deleted its layers.

    Raises:
        SnapshotChanged: it was unmounted.
        ReadError: the mounts cannot be read.
    """
    for line in _lines(MOUNTINFO) if mount.namespace is None else _all_lines():
        if line.device == mount.device:
            if mount.is_fuse and line.type == mount.type:
                return
            with suppress(MountError):
                if options_of_mountinfo(line.super_options) == mount.options:
                    return
    raise SnapshotChanged(
        f"{display_path(mount.path)} is not mounted any more, so its layers may be half gone;"
        " open it again",
        mount.path,
    )


def find_mount(
    target: bytes, *, path: str = MOUNTINFO, timeout: float = 2.0
) -> OverlayMount | None:
    """The overlay mounted at *target*, or None where *target* is not inside an overlay mount.

    Raises:
        MountError: *target* lies inside an overlay mount but is not the whole of it; the message
            names the mount point.
        ReadError: *target* or *path* cannot be read.
    """
    try:
        real = os.path.realpath(target, strict=True)
        status = os.stat(target)
        if not stat.S_ISDIR(status.st_mode):
            status = os.lstat(os.path.dirname(real))
    except OSError as error:
        raise read_error("open", target, error) from None
    if path == MOUNTINFO and real != os.path.abspath(target):  # as through /proc/PID/root
        foreign = _mounted_elsewhere(status, timeout)
        if foreign is not None:
            return foreign
    lines = [line for line in _lines(path) if line.device == status.st_dev]
    for line in lines:
        if line.mount_point == real and line.root == b"/":
            return _resolve_all([[line]], timeout)[0]
    if not lines:
        return None
    around = [line for line in lines if _contains(line.mount_point, real)]
    line = max(around, key=lambda line: len(line.mount_point)) if around else _main_line(lines)
    if line.root != b"/":
        main = _main_line(lines)
        elsewhere = (
            f"; give {display_path(main.mount_point)}, where all of it is mounted"
            if main.root == b"/"
            else f"; {_BY_HAND}"
        )
        raise MountError(
            f"{display_path(target)} shows only the directory {display_path(line.root)} of an "
            f"overlay mount{elsewhere}"
        )
    raise MountError(
        f"{display_path(target)} is inside the overlay mount at {display_path(line.mount_point)}; "
        f"give {display_path(line.mount_point)}"
    )


def _mounted_elsewhere(status: os.stat_result, timeout: float) -> OverlayMount | None:
    """The mount of another namespace whose root *status* is of, when none of this one has it."""
    lines = [line for line in _all_lines() if line.device == status.st_dev]
    if not lines or lines[0].namespace is None:
        return None
    merged = _merged_root(_main_line(lines))
    if merged is None or merged.st_ino != status.st_ino:
        return None
    return _resolve_all([lines], timeout)[0]


def _contains(directory: bytes, path: bytes) -> bool:
    return path == directory or path.startswith(directory.rstrip(b"/") + b"/")


def _lines(path: str, namespace: MountNamespace | None = None) -> Iterator[_Line]:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise read_error("read", os.fsencode(path), error) from None
    for text in content.split(b"\n"):
        before, separator, after = text.partition(b" - ")
        fields, last = before.split(b" "), after.split(b" ")
        if not separator or len(fields) < 6 or len(last) < 3:
            continue
        kind = decode_octal(last[0])
        if kind != b"overlay" and not _is_fuse_overlayfs(kind):
            continue
        device = _DEVICE.fullmatch(fields[2])
        if device is None:
            continue
        yield _Line(
            os.makedev(int(device[1]), int(device[2])),
            decode_octal(fields[3]),
            decode_octal(fields[4]),
            kind.decode("ascii", "replace"),
            decode_octal(last[1]),
            last[2],
            namespace,
        )


def _is_fuse_overlayfs(kind: bytes) -> bool:
    return kind.startswith(b"fuse") and kind.endswith(b".fuse-overlayfs")


def _main_line(lines: list[_Line]) -> _Line:
    """The mount among *lines*, all of one overlay, that shows all of it and can be seen."""
    whole = [line for line in lines if line.root == b"/"] or lines
    if len(whole) == 1:
        return whole[0]
    return next((line for line in whole if _merged_root(line) is not None), whole[0])


def _merged_root(line: _Line) -> os.stat_result | None:
    """The status of the overlay's root, or None where another mount covers it."""
    try:
        status = os.lstat(line.path)
    except OSError:
        return None
    return status if status.st_dev == line.device and line.root == b"/" else None


def _resolve_all(groups: list[list[_Line]], timeout: float) -> tuple[OverlayMount, ...]:
    """Resolve each group in a thread of its own: a call into a dead filesystem never returns."""
    import time

    found: dict[int, OverlayMount] = {}

    def work(number: int) -> None:
        found[number] = _resolve(_main_line(groups[number]))

    threads = [
        threading.Thread(target=work, args=(number,), daemon=True) for number in range(len(groups))
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + timeout
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return tuple(
        found.get(number) or replace(_unresolved(lines[0]), problem=_NO_ANSWER)
        for number, lines in enumerate(groups)
    )


def _unresolved(line: _Line) -> OverlayMount:
    return OverlayMount(
        line.mount_point, line.device, line.type, OverlayOptions(), namespace=line.namespace
    )


def _resolve(line: _Line) -> OverlayMount:
    mount = _unresolved(line)
    if mount.is_fuse:
        return _locate_fuse(mount, _merged_root(line))
    try:
        mount = replace(mount, options=options_of_mountinfo(line.super_options))
        return _locate(mount, _merged_root(line), line.source)
    except (_Unresolved, MountError) as problem:
        return replace(mount, problem=str(problem))


def _locate_fuse(mount: OverlayMount, merged: os.stat_result | None) -> OverlayMount:
    """*mount*, of fuse-overlayfs, with the layers of the process that serves it."""
    from whiteout.fusemounts import fuse_layers

    found = None if merged is None else fuse_layers(merged, mount.mount_point)
    if found is None:
        return replace(
            mount,
            problem="fuse-overlayfs does not tell the kernel its layers, and no process of it"
            f" that this one may look into has the root of this mount; {_BY_HAND}",
        )
    return replace(mount, options=found.options, layers=found.layers, verified=True)


def _locate(mount: OverlayMount, merged: os.stat_result | None, source: bytes) -> OverlayMount:
    """*mount* with its layers: the first candidate that passes every check."""
    if not mount.options.lowerdirs:
        raise _Unresolved(f"mountinfo shows no lowerdir of it; {_BY_HAND}")
    refusals: list[str] = []
    accepted: dict[_Identity, OverlayMount] = {}
    for prefix, base in _places(mount):
        found = _try(mount, prefix, base, merged, refusals)
        if found is not None and found[0].verified:
            return found[0]
        if found is not None:
            accepted.setdefault(found[1], found[0])
    if len(accepted) == 1:
        return next(iter(accepted.values()))
    for prefix in other_roots() if not accepted else ():
        found = _try(mount, prefix, b"/", merged, [])
        if found is not None and found[0].verified:
            return found[0]
    raise _Unresolved(_refusal(mount.options, source, refusals, several=bool(accepted)))


def _refusal(options: OverlayOptions, source: bytes, refusals: list[str], *, several: bool) -> str:
    """Why no candidate could be taken."""
    named = _named(options)
    relative = next((path for path in named if not path.startswith(b"/")), None)
    if several:
        return (
            f"its layer {display_path(relative or named[0])} fits several directories; {_BY_HAND}"
        )
    if source in (b"sysext", b"confext"):
        return (
            f"systemd-{source.decode()} made it of directories of a mount namespace that is gone;"
            " the extensions are in /run/extensions and /var/lib/extensions"
        )
    if relative is not None and all(path.isdigit() for path in options.lowerdirs):
        return (
            f"its layer {display_path(relative)} is an open file of the program that mounted it,"
            f" which nobody recorded; {_BY_HAND}"
        )
    if refusals:
        return refusals[0]
    return (
        f"its layer {display_path(relative or named[0])} is relative to a directory that nobody"
        f" recorded; {_BY_HAND}"
    )


def _named(options: OverlayOptions) -> tuple[bytes, ...]:
    upper = () if options.upperdir is None else (options.upperdir,)
    return (*upper, *options.lowerdirs, *options.data_lowerdirs)


def _places(mount: OverlayMount) -> Iterator[tuple[bytes, bytes]]:
    """What the paths of the layers may be seen through, and what they may be relative to."""
    prefixes = (b"",) if mount.namespace is None else (b"", mount.namespace.root)
    relative = any(not path.startswith(b"/") for path in _named(mount.options))
    for prefix in prefixes:
        bases = _bases(mount.mount_point, mount.options) if relative else iter((b"/",))
        for base in bases:
            yield prefix, base
    if relative and mount.namespace is not None:
        yield b"", mount.namespace.directory


#: The device and inode numbers of the layers.
_Identity = tuple[tuple[int, int], ...]


def _try(
    mount: OverlayMount,
    prefix: bytes,
    base: bytes,
    merged: os.stat_result | None,
    refusals: list[str],
) -> tuple[OverlayMount, _Identity] | None:
    """*mount* with its layers seen through *prefix* and relative to *base*, if they can be it."""
    try:
        named = [_through(prefix, os.path.join(base, path)) for path in _named(mount.options)]
    except OSError as error:
        refusals.append(f"its layers cannot be looked at: {reason_of(error)}")
        return None
    relative = any(not path.startswith(b"/") for path in _named(mount.options))
    count = len(named) - len(mount.options.data_lowerdirs)
    if relative and not os.path.lexists(named[count - 1]) and not os.path.lexists(named[0]):
        return None
    try:
        return _checked(mount, tuple(named[:count]), tuple(named[count:]), merged)
    except _Unresolved as problem:
        refusals.append(str(problem))
        return None


def _through(prefix: bytes, path: bytes) -> bytes:
    """*path* as a process with the root *prefix* sees it: a symlink begins at that root again."""
    return Root(prefix).resolve(path) if prefix else path


def _bases(mount_point: bytes, options: OverlayOptions) -> Iterator[bytes]:
    """The directories that relative layers may be relative to, the likeliest first."""
    seen: set[bytes] = set()
    for base in _likely_bases(mount_point, options):
        if base not in seen:
            seen.add(base)
            yield base


def _likely_bases(mount_point: bytes, options: OverlayOptions) -> Iterator[bytes]:
    for path in (options.upperdir, options.workdir):
        if path is not None and path.startswith(b"/"):
            yield os.path.dirname(os.path.dirname(path))
    above = mount_point
    while above != os.path.dirname(above):
        above = os.path.dirname(above)
        yield above
    yield from _STORES
    yield os.path.expanduser(b"~/.local/share/containers/storage/overlay")
    with suppress(FileNotFoundError):
        yield os.getcwdb()


def _checked(
    mount: OverlayMount,
    layers: tuple[bytes, ...],
    data: tuple[bytes, ...],
    merged: os.stat_result | None,
) -> tuple[OverlayMount, _Identity]:
    """*mount* with *layers*, when all of them can be the mounted ones."""
    statuses = [_layer_status(path, mount.device) for path in (*layers, *data)]
    top = statuses[0]
    verified = False
    if merged is not None and len({status.st_dev for status in statuses}) == 1:
        verified = merged.st_ino == top.st_ino
        if not verified:
            raise _Unresolved(
                f"{display_path(layers[0])} is not the directory that was mounted: it was "
                f"replaced or moved since; {_BY_HAND}"
            )
    identity = tuple((status.st_dev, status.st_ino) for status in statuses)
    return replace(mount, layers=layers, data_layers=data, verified=verified), identity


def _layer_status(path: bytes, device: int) -> os.stat_result:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise _Unresolved(
            f"its layer {display_path(path)} does not exist here: it was moved or deleted, or "
            f"belongs to another mount namespace; {_BY_HAND}"
        ) from None
    except OSError as error:
        raise _Unresolved(
            f"its layer {display_path(path)} cannot be looked at: {reason_of(error)}; run as a "
            "user who may"
        ) from None
    if not stat.S_ISDIR(status.st_mode):
        raise _Unresolved(f"its layer {display_path(path)} is not a directory; {_BY_HAND}")
    if status.st_dev == device:
        raise _Unresolved(
            f"its layer {display_path(path)} is covered by the overlay itself; {_BY_HAND}"
        )
    return status
