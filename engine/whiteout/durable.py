"""Directories and small files that survive a crash and other processes.

Everything works below an open directory, so a name is never followed out of it. The functions
let ``OSError`` through; :func:`store_error` words it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from whiteout.display import display_path
from whiteout.errors import StoreError, reason_of

#: Bytes after which the kernel is asked to write to the disk.
_WINDOW = 8 << 20

_ADVICE = {
    errno.ENOSPC: "; free some space or choose another store",
    errno.EDQUOT: "; free some space or choose another store",
    errno.EFBIG: "; choose a store whose file system and limits allow larger files",
    errno.EROFS: "; choose another store",
    errno.EACCES: "; choose a store that you may write, or change its permissions",
    errno.EPERM: "; choose a store that you may write, or change its permissions",
    errno.ELOOP: "; a symbolic link stands where the store needs a file or directory of its own",
    errno.EISDIR: "; a directory stands where the store needs a file; move it away",
    errno.EINVAL: "; what stands where the store needs a file is no regular file",
    errno.ENOTDIR: (
        "; a symbolic link, or something else that is no directory, stands where the store "
        "needs a directory"
    ),
}


def store_error(action: str, path: str, error: OSError) -> StoreError:
    """A :class:`StoreError` such as ``cannot write to /s: no space left on device; free …``."""
    advice = _ADVICE.get(error.errno or 0, "")
    return StoreError(
        f"cannot {action} {display_path(os.fsencode(path))}: {reason_of(error)}{advice}"
    )


@contextmanager
def open_directory(path: str, parent: int | None = None, *, create: bool = False) -> Iterator[int]:
    """A descriptor of the directory *path*, which below a *parent* must be no symbolic link."""
    if create:
        _make_directory(path, parent)
    flags = os.O_RDONLY | os.O_DIRECTORY | (os.O_NOFOLLOW if parent is not None else 0)
    descriptor = os.open(path, flags, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _make_directory(path: str, parent: int | None) -> None:
    with suppress(FileExistsError):
        os.mkdir(path, 0o755, dir_fd=parent)
        if parent is not None:
            os.fsync(parent)


@contextmanager
def locked(directory: int, seconds: float = 30.0) -> Iterator[None]:
    """Hold the lock of *directory* for a moment, against other threads and processes.

    Raises:
        StoreError: somebody else held it all the *seconds*.
    """
    deadline = time.monotonic() + seconds
    while not try_lock(directory):
        if time.monotonic() > deadline:
            raise StoreError(
                f"another process has kept the store locked for {seconds:.0f} s; try again later"
            )
        time.sleep(0.005)
    try:
        yield
    finally:
        fcntl.flock(directory, fcntl.LOCK_UN)


def try_lock(directory: int) -> bool:
    """Take the lock of *directory* when it is free; the kernel releases it at the last close."""
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def read_small(name: str, directory: int, limit: int) -> bytes:
    """The content of the regular file *name*; ``EINVAL`` when it is none, ``EFBIG`` over *limit*.

    Neither a symbolic link is followed nor a fifo waited for.
    """
    with os.fdopen(open_regular(name, directory), "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, "too large")
    return content


def open_regular(name: str, directory: int) -> int:
    """A descriptor for reading the regular file *name*; ``EINVAL`` when it is something else."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return descriptor


def write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of *data*, however little the kernel takes at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def start_writeback(descriptor: int, before: int, after: int) -> None:
    """Let the kernel begin to write to the disk, when a file grew from *before* to *after* bytes.

    The ``fsync`` at its end finds little left to wait for then. Does nothing for what is no file.
    """
    first, last = before // _WINDOW * _WINDOW, after // _WINDOW * _WINDOW
    if last > first:
        with suppress(OSError):
            os.posix_fadvise(descriptor, first, last - first, os.POSIX_FADV_DONTNEED)


def replace_file(name: str, directory: int, content: bytes, *, durable: bool = True) -> None:
    """Put *content* under *name*: whoever looks finds the old file or the new one, whole.

    Also after a crash of the machine, when it is *durable*.
    """
    temporary = f".{name}.{os.urandom(6).hex()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    descriptor = os.open(temporary, flags, 0o644, dir_fd=directory)
    try:
        try:
            write_all(descriptor, content)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise
    if durable:
        os.fsync(directory)


def sweep_replacements(name: str, directory: int) -> None:
    """Remove what :func:`replace_file` left of *name* when it was killed; nobody may be at work."""
    for file in os.listdir(directory):
        if file.startswith(f".{name}.") and file.endswith(".tmp"):
            with suppress(OSError):
                os.unlink(file, dir_fd=directory)
