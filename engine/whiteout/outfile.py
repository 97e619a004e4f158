"""A file that is written as a whole: it gets its name when its content is complete."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from whiteout.display import display_path
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
    """A file without a name, put in place of *target* when the block ends well."""
    directory, name = os.path.split(target)
    partial = b".%s.%d.partial" % (name[:200], os.getpid())
    try:
        parent = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise write_error(target, error) from error
    named = False
    descriptor = -1
    try:
        try:
            descriptor = os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL):
                raise
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            descriptor = os.open(partial, flags, 0o666, dir_fd=parent)
            named = True
        yield descriptor
        os.fsync(descriptor)
        if not named:
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
                os.close(opened)


def write_error(target: bytes | int, error: OSError) -> StoreError:
    """A :class:`StoreError` on writing *target*."""
    where = "standard output" if isinstance(target, int) else display_path(target)
    return StoreError(f"cannot write {where}: {reason_of(error)}; give another file")
