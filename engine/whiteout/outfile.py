"""A file that is written as a whole: it gets its name when its content is complete."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from whiteout.display import display_path
from whiteout.durable import open_regular, try_lock
from whiteout.errors import StoreError, reason_of


@contextmanager
def file_target(target: bytes | int) -> Iterator[int]:
    """A descriptor to write to; a file gets its name only when the block ends well.

    *target* may be an open descriptor itself. What is no regular file, such as ``/dev/null`` or a
    named pipe, is written in place.

    Raises:
        StoreError: the file cannot be opened, named or made durable.
    """
    if isinstance(target, int):
        yield target
        return
    try:
        special = not stat.S_ISREG(os.stat(target).st_mode)
    except OSError:
        special = False
    if special:  # such as /dev/null or a named pipe
        try:
            descriptor = os.open(target, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            raise write_error(target, error) from error
        try:
            yield descriptor
        finally:
            os.close(descriptor)
        return
    with _unnamed_file(os.path.realpath(target)) as descriptor:
        yield descriptor


@contextmanager
def _unnamed_file(target: bytes) -> Iterator[int]:
    """A file without a name, put in place of *target* when the block ends well.

    Where the filesystem has no files without a name it is called ``.NAME.RANDOM.partial``. It is
    locked, so that others know what a process left that was killed, and remove it.
    """
    directory, name = os.path.split(target)
    try:
        parent = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise write_error(target, error) from error
    partial = b""
    named = False
    descriptor = -1
    try:
        descriptor, partial = new_file(parent, name)
        named = partial != b""
        yield descriptor
        os.fsync(descriptor)
        if not named:
            partial = _partial_name(name)
            os.link(b"/proc/self/fd/%d" % descriptor, partial, dst_dir_fd=parent)
            named = True
        os.rename(partial, name, src_dir_fd=parent, dst_dir_fd=parent)
        named = False
        os.fsync(parent)
    except OSError as error:
        raise write_error(target, error) from error
    finally:
        if named:
            with suppress(OSError):
                os.unlink(partial, dir_fd=parent)
        for opened in (descriptor, parent):
            if opened >= 0:
                with suppress(OSError):  # what counts was synced before
                    os.close(opened)


def new_file(parent: int, name: bytes) -> tuple[int, bytes]:
    """A new file that shall become *name* in the directory *parent*, open for writing.

    The second is what it is called until then, empty where it has no name. What killed processes
    left of such files is swept first.
    """
    _sweep(parent, name)
    try:
        flags = os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC
        descriptor = os.open(".", flags, 0o666, dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL):
            raise
        return _named_file(parent, name)
    _lock(descriptor)
    return descriptor, b""


def _partial_name(name: bytes) -> bytes:
    return b".%s.%s.partial" % (name[:200], os.urandom(8).hex().encode())


def _is_partial_name(found: bytes, name: bytes) -> bool:
    before, after = b".%s." % name[:200], b".partial"
    if not (found.startswith(before) and found.endswith(after)):
        return False
    random = found[len(before) : -len(after)]
    return len(random) == 16 and not random.strip(b"0123456789abcdef")


def _named_file(parent: int, name: bytes) -> tuple[int, bytes]:
    """A new file for *name* that nobody sweeps, and what it is called."""
    while True:
        partial = _partial_name(name)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        descriptor = os.open(partial, flags, 0o666, dir_fd=parent)
        if _lock(descriptor) and os.fstat(descriptor).st_nlink:
            return descriptor, partial
        os.close(descriptor)  # swept in the moment before it was locked


def _lock(descriptor: int) -> bool:
    """Whether nobody else holds a file; also where there are no locks, as then nobody sweeps."""
    try:
        return try_lock(descriptor)
    except OSError:
        return True


def _sweep(parent: int, name: bytes) -> None:
    """Remove from the directory *parent* what killed processes left of a file *name*."""
    for found in map(os.fsencode, os.listdir(parent)):
        if not _is_partial_name(found, name):
            continue
        with suppress(OSError):
            descriptor = open_regular(os.fsdecode(found), parent)
            try:
                if try_lock(descriptor):
                    os.unlink(found, dir_fd=parent)
            finally:
                os.close(descriptor)


def write_error(target: bytes | int, error: OSError) -> StoreError:
    """A :class:`StoreError` on writing *target*."""
    where = "standard output" if isinstance(target, int) else display_path(target)
    return StoreError(f"cannot write {where}: {reason_of(error)}; give another file")
