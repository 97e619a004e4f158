"""A small snapshot in which every path teaches one thing, for any user to look at.

It is made without mounting anything and without privileges. The marks of overlayfs are
``trusted.overlay.*`` attributes for root, who alone can read those; for everybody else they are
``user.overlay.*``, which a mount with ``userxattr`` reads, and the rows that need more are left out
(:class:`whiteout.demorows.Need`). Whiteouts are character devices 0:0, which Linux lets everybody
make since 5.8. Where that is refused, they are empty files with the attribute ``overlay.whiteout``
(Linux 6.7). Names, modes, times and contents are the same in every build.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from whiteout.demorows import (
    LESSONS,
    NET_RAW,
    NEW,
    OLD,
    ROOT_MODES,
    ROWS,
    Directory,
    File,
    Link,
    Need,
    Node,
    Special,
    Symlink,
    Whiteout,
)
from whiteout.display import display_path
from whiteout.errors import RefusedError, UsageError, WhiteoutError, reason_of
from whiteout.marks import TRUSTED_PREFIX, USER_PREFIX
from whiteout.mounts import Mount, MountPair, mounts_to_json
from whiteout.privileges import can_read_trusted
from whiteout.typed import TYPE_CHECKING
from whiteout.xattrs import CAPABILITY

if TYPE_CHECKING:
    from whiteout.snapshot import Snapshot

MOUNTS_FILE = b"mounts.json"
_LAYERS = (b"lower-1", b"lower-2", b"upper")
_WORK = b"work"
_OURS = frozenset((*_LAYERS, _WORK, MOUNTS_FILE))


@dataclass(frozen=True, slots=True)
class DemoSnapshot:
    """A demo that was built. ``lowerdirs`` are topmost first; all paths are absolute.

    ``left_out`` are the rows that this process may not make, as paths within the snapshot.
    """

    directory: bytes
    mounts_file: bytes
    mounts: MountPair
    lowerdirs: tuple[bytes, ...]
    upperdir: bytes
    whiteout_devices: bool
    """Whether whiteouts are character devices 0:0, and not files with an attribute."""
    userxattr: bool
    """Whether the marks are ``user.overlay.*``, for a mount with that option."""
    left_out: tuple[bytes, ...] = ()


def build_demo(
    directory: bytes | str, *, as_user: bool = False, unreadable: bool = False
) -> DemoSnapshot:
    """Build the demo in *directory*, which is made when it is missing.

    A demo that is there already is built anew. After a failure nothing of it is left. With
    *as_user* it is what an ordinary user gets, whoever builds it. With *unreadable* it has an entry
    that cannot be read, so that no layer is exported.

    Raises:
        UsageError: *directory* holds something else, or has a name that mount options cannot hold.
        WhiteoutError: the filesystem cannot hold the demo.
    """
    root = os.path.abspath(os.fsencode(directory))
    if any(byte in root for byte in b":,\\"):
        raise UsageError(
            f"the demo cannot be built in {display_path(root)}: mount options give : , and \\ "
            "another meaning; choose a directory without them"
        )
    made = not os.path.lexists(root)
    if made:
        _make_directory(root)
    else:
        _empty(root)
    try:
        return _build(root, as_user, unreadable)
    except BaseException as error:
        _remove_entries(root)
        if made and os.path.isdir(root):
            os.rmdir(root)
        if isinstance(error, OSError):
            raise _failure(root, error) from None
        raise


def remove_demo(directory: bytes | str) -> None:
    """Remove the demo, and *directory* with it.

    Raises:
        RefusedError: *directory* holds something else than a demo.
        WhiteoutError: it cannot be removed.
    """
    root = os.path.abspath(os.fsencode(directory))
    if not _is_demo(root):
        raise RefusedError(
            f"{display_path(root)} does not hold a demo and nothing else; remove it yourself"
        )
    try:
        _remove_entries(root)
        os.rmdir(root)
    except OSError as error:
        raise WhiteoutError(
            f"the demo in {display_path(root)} cannot be removed: {reason_of(error)}"
        ) from None


def lessons_of(snapshot: Snapshot) -> Mapping[bytes, str]:
    """What each path of *snapshot* teaches, where it is of a demo; else nothing."""
    upper = snapshot.upperdir
    if upper is None or os.path.basename(upper) != b"upper" or not _is_demo(os.path.dirname(upper)):
        return {}
    layers = (upper, *snapshot.lowerdirs)
    return {
        path: lesson
        for path, lesson in LESSONS.items()
        if any(os.path.lexists(layer + path) for layer in layers)
    }


def _failure(root: bytes, error: OSError) -> WhiteoutError:
    if error.errno == errno.ENOTSUP:
        reason = "its filesystem holds no user.* extended attributes; choose another directory"
    elif error.errno in (errno.EILSEQ, errno.EINVAL):
        reason = "its filesystem does not take names of any bytes; choose another directory"
    else:
        reason = reason_of(error)
    return WhiteoutError(f"the demo cannot be built in {display_path(root)}: {reason}")


def _is_demo(root: bytes) -> bool:
    try:
        if not _OURS.issuperset(os.listdir(root)):
            return False
        with open(os.path.join(root, MOUNTS_FILE), "rb") as file:
            document = json.load(file)
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("demo") is True


def _make_directory(root: bytes) -> None:
    try:
        os.mkdir(root, 0o755)
    except OSError as error:
        raise _failure(root, error) from None


def _empty(root: bytes) -> None:
    """Make sure that *root* is an empty directory; an older demo in it is removed."""
    try:
        if not os.listdir(root):
            return
        if not _is_demo(root):
            raise UsageError(
                f"{display_path(root)} is not empty and holds no demo; choose an empty or a new "
                "directory"
            )
        _remove_entries(root)
    except OSError as error:
        raise _failure(root, error) from None


def _remove_entries(root: bytes) -> None:
    """Remove what a demo consists of, also out of directories of mode 0."""
    import shutil

    for name in _OURS:
        path = os.path.join(root, name)
        if not os.path.lexists(path):
            continue
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            continue
        os.chmod(path, 0o700)
        for parent, directories, _ in os.walk(path):
            for child in directories:
                inside = os.path.join(parent, child)
                if not os.path.islink(inside):
                    os.chmod(inside, 0o700)
        shutil.rmtree(path)


def _build(root: bytes, as_user: bool, unreadable: bool) -> DemoSnapshot:
    devices = _can_make_whiteout_devices(root)
    for name in (*_LAYERS, _WORK):
        path = os.path.join(root, name)
        os.mkdir(path, 0o700)
        # Asked of every directory, so that a filesystem without user.* attributes fails at once.
        os.setxattr(path, USER_PREFIX + "impure", b"y")
        os.removexattr(path, USER_PREFIX + "impure")
    able = frozenset[Need]() if as_user else _abilities(os.path.join(root, _WORK))
    if unreadable:
        able |= {Need.UNREADABLE}
    userxattr = Need.TRUSTED not in able
    build = _Build(able, devices, USER_PREFIX if userxattr else TRUSTED_PREFIX)
    for layer in _LAYERS:
        build.layer(os.path.join(root, layer), layer)
    _finish(os.path.join(root, _WORK), 0o755, OLD)
    lowerdirs = tuple(os.path.join(root, name) for name in (b"lower-2", b"lower-1"))
    upperdir = os.path.join(root, b"upper")
    lowerdir_option = b"lowerdir=" + b":".join(lowerdirs)
    option = b"userxattr" if userxattr else b"redirect_dir=on"
    lower = Mount("overlay", b"overlay", (option, lowerdir_option))
    upper = Mount(
        "overlay",
        b"overlay",
        (
            option,
            b"workdir=" + os.path.join(root, _WORK),
            b"upperdir=" + upperdir,
            lowerdir_option,
        ),
    )
    mounts = MountPair((lower,), (upper,))
    mounts_file = os.path.join(root, MOUNTS_FILE)
    document = {"demo": True, **json.loads(mounts_to_json(mounts))}
    with open(mounts_file, "w", encoding="utf-8") as file:
        file.write(json.dumps(document, indent=1) + "\n")
    os.chmod(mounts_file, 0o644)
    left_out = tuple(
        b"/" + row.path
        for row in ROWS
        if row.need not in (None, Need.UNREADABLE) and row.need not in able
    )
    return DemoSnapshot(
        root, mounts_file, mounts, lowerdirs, upperdir, devices, userxattr, left_out
    )


def _can_make_whiteout_devices(root: bytes) -> bool:
    probe = os.path.join(root, _WORK)
    try:
        os.mknod(probe, stat.S_IFCHR, os.makedev(0, 0))
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS):
            return False
        raise
    os.unlink(probe)
    return True


def _abilities(directory: bytes) -> frozenset[Need]:
    """What this process may make in *directory*, found out by making it."""
    probe = os.path.join(directory, b"probe")

    def trusted() -> None:
        os.setxattr(probe, TRUSTED_PREFIX + "impure", b"y")

    def capabilities() -> None:
        os.setxattr(probe, CAPABILITY, NET_RAW)

    def owners() -> None:
        os.chown(probe, 1, 1)

    def devices() -> None:
        os.unlink(probe)
        os.mknod(probe, stat.S_IFCHR | 0o600, os.makedev(1, 3))

    attempts: dict[Need, Callable[[], None]] = {
        Need.CAPABILITIES: capabilities,
        Need.OWNERS: owners,
        Need.DEVICES: devices,
    }
    if can_read_trusted():
        attempts = {Need.TRUSTED: trusted, **attempts}
    _write(probe, b"")
    able = set()
    for need, attempt in attempts.items():
        try:
            attempt()
        except OSError:
            continue
        able.add(need)
    if os.path.lexists(probe):
        os.unlink(probe)
    return frozenset(able)


@dataclass(frozen=True, slots=True)
class _Build:
    """How a demo is built: what may be made, and in which namespace the marks are."""

    able: frozenset[Need]
    devices: bool
    prefix: str

    def layer(self, path: bytes, layer: bytes) -> None:
        """Make what one layer holds in the directory *path*."""
        time = NEW if layer == b"upper" else OLD
        held = [
            (row.path, node)
            for row in ROWS
            if (row.need is None or row.need in self.able)
            and (node := row.in_layer(layer)) is not None
        ]
        root = Directory(ROOT_MODES[layer])
        directories: list[tuple[bytes, Directory]] = [(path, root)]
        # The attribute has one value: a directory is opaque (y) or holds whiteouts as files (x).
        opaque: set[bytes] = set()
        for name, node in held:
            where = os.path.join(path, name)
            if isinstance(node, Directory):
                os.mkdir(where, 0o700)
                directories.append((where, node))
                if node.opaque:
                    opaque.add(name)
            elif (
                self.devices
                or not isinstance(node, Whiteout)
                or os.path.dirname(name) not in opaque
            ):
                self._make(path, where, node, time)
        # Last, and the deepest first: what is made in a directory changes the directory's time.
        directories.sort(reverse=True, key=lambda pair: pair[0].count(b"/"))
        for where, directory in directories:
            self._mark(where, directory)
            _finish(where, directory.mode, directory.mtime_ns or time)

    def _mark(self, where: bytes, directory: Directory) -> None:
        if directory.opaque:
            os.setxattr(where, self.prefix + "opaque", b"y")
        elif self._holds_whiteout(where):
            os.setxattr(where, self.prefix + "opaque", b"x")
        if directory.redirect is not None and Need.TRUSTED in self.able:
            os.setxattr(where, TRUSTED_PREFIX + "redirect", directory.redirect)

    def _holds_whiteout(self, directory: bytes) -> bool:
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_file(
                    follow_symlinks=False
                ) and self.prefix + "whiteout" in os.listxattr(entry.path, follow_symlinks=False):
                    return True
        return False

    def _make(self, layer: bytes, where: bytes, node: Node, time: int) -> None:
        match node:
            case File():
                self._file(where, node, time)
            case Symlink(target, mtime_ns):
                os.symlink(target, where)
                _date(where, mtime_ns or time)
            case Link(to):
                os.link(os.path.join(layer, to), where, follow_symlinks=False)
            case Special(kind, mode, (major, minor)):
                os.mknod(where, kind | mode, os.makedev(major, minor))
                _finish(where, mode, time)
            case Whiteout(attribute) if self.devices and not attribute:
                os.mknod(where, stat.S_IFCHR, os.makedev(0, 0))
                _finish(where, 0, time)
            case Whiteout():
                _write(where, b"")
                os.setxattr(where, self.prefix + "whiteout", b"y")
                _finish(where, 0o644, time)

    def _file(self, where: bytes, node: File, time: int) -> None:
        if node.metacopy and Need.TRUSTED in self.able:
            _write(where, b"")
            os.truncate(where, len(node.content))
            os.setxattr(where, TRUSTED_PREFIX + "metacopy", b"")
        else:
            _write(where, node.content)
        if node.owner is not None:
            os.chown(where, *node.owner)
        for name, value in node.attributes:
            os.setxattr(where, name, value)
        _finish(where, node.mode, node.mtime_ns or time)


def _write(where: bytes, content: bytes) -> None:
    descriptor = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)


def _finish(where: bytes, mode: int, time: int) -> None:
    os.chmod(where, mode)
    _date(where, time)


def _date(where: bytes, time: int) -> None:
    os.utime(where, ns=(time, time), follow_symlinks=False)
