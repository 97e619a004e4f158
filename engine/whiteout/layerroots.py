"""Opening the directory of a layer as overlayfs holds it: without what is mounted inside of it.

The kernel clones the mount of every layer alone (``clone_private_mount``, called from
``fs/overlayfs``), so a filesystem that is mounted inside a layer is not part of the layer, and
hides from everybody else what is. Where something is mounted inside, the same clone is made here:
a detached one (open_tree(2)), which no table of mounts shows and which ends with its descriptor.

The upper directory, which strangers may be writing to, is always opened through such a clone. It
is read-only, and on it the kernel opens no device and follows no symlink, whatever is put in place
of a file between two system calls (mount_setattr(2)).

Both take CAP_SYS_ADMIN. Without it a layer is opened as it is, and :func:`hidden_by_mount` tells
of a mount in the way.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Sequence

from whiteout.octal import decode_octal

_MOUNTINFO = "/proc/self/mountinfo"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
#: System calls, of the same number on every architecture.
_OPEN_TREE, _MOUNT_SETATTR = 428, 442
_OPEN_TREE_CLONE = 1
_AT_EMPTY_PATH = 0x1000
#: ``struct mount_attr``: attributes to set and to clear, propagation, user namespace.
_MOUNT_ATTR = struct.Struct("QQQQ")
#: Read-only, no set-user-id, no devices, no execution, no symlinks followed.
_GUARD = 0x1 | 0x2 | 0x4 | 0x8 | 0x200000


def mount_points() -> tuple[bytes, ...]:
    """The mount points of this mount namespace, in the order of ``/proc/self/mountinfo``.

    Without procfs nothing is known of mounts, and there are none.
    """
    try:
        with open(_MOUNTINFO, "rb") as file:
            return tuple(decode_octal(line.split(b" ", 5)[4]) for line in file)
    except OSError:
        return ()


def open_root(
    path: bytes, mounts: Sequence[bytes], *, guarded: bool = False, store: bytes = b""
) -> int:
    """A descriptor of the layer's directory at *path*, which may be a symlink.

    *mounts* are the :func:`mount_points` of this process. A *guarded* one is opened so that the
    kernel allows nothing but reading files, directories and links in it, where it can be had.
    Below the directory *store* no symlink is followed: whoever may write there is not to choose
    what of the host is read as a layer.

    Raises:
        OSError: it cannot be opened.
    """
    return _open(path, mounts, guarded, store)[0]


def hidden_by_mount(path: bytes, mounts: Sequence[bytes]) -> bytes | None:
    """One of *mounts* that hides what the layer at *path* has there, or None.

    None where :func:`open_root` sees what is below the mount, or cannot open the layer.
    """
    try:
        descriptor, point = _open(path, mounts, False)
    except OSError:
        return None
    os.close(descriptor)
    return point


def _open(
    path: bytes, mounts: Sequence[bytes], guarded: bool, store: bytes = b""
) -> tuple[int, bytes | None]:
    descriptor = _open_in(store, path) if store else os.open(path, _DIRECTORY)
    point = _mount_inside(descriptor, mounts)
    if point is None and not guarded:
        return descriptor, None
    try:
        alone = _clone(descriptor)
    except OSError:
        return descriptor, point
    os.close(descriptor)
    return alone, None


def _open_in(store: bytes, path: bytes) -> int:
    names = path.removeprefix(store.rstrip(b"/") + b"/").split(b"/")
    if not names[0] or b".." in names:
        raise NotADirectoryError(errno.ENOTDIR, "not in its store")
    descriptor = os.open(store, _DIRECTORY)
    for name in names:
        try:
            below = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = below
    return descriptor


def _mount_inside(descriptor: int, mounts: Sequence[bytes]) -> bytes | None:
    """The first of *mounts* that lies below the directory *descriptor*."""
    try:
        directory = os.readlink(b"/proc/self/fd/%d" % descriptor)
    except OSError:
        return None
    inside = directory.rstrip(b"/") + b"/"
    return next((point for point in mounts if point.startswith(inside) and point != inside), None)


def _clone(descriptor: int) -> int:
    """The directory *descriptor* on a clone of its mount, guarded and without mounts inside."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_EMPTY_PATH
    clone = _call(_OPEN_TREE, descriptor, b"", flags)
    try:
        guard = _MOUNT_ATTR.pack(_GUARD, 0, 0, 0)
        _call(_MOUNT_SETATTR, clone, b"", _AT_EMPTY_PATH, guard, len(guard))
        return os.open(".", _DIRECTORY, dir_fd=clone)
    finally:
        os.close(clone)


def _call(number: int, *arguments: int | bytes) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(number, *arguments)
    if result < 0:
        code = ctypes.get_errno() or errno.ENOSYS
        raise OSError(code, os.strerror(code))
    return result
