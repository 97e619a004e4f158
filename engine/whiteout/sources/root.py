"""The root below which sources look: this host's ``/``, or a disk image mounted elsewhere.

Every path that a store names is resolved inside the root, as chroot(2) would: an absolute symlink
begins at the root again, and ``..`` never leads out of it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from whiteout.errors import ReadError, read_error
from whiteout.typed import NamedTuple

_MAX_SYMLINKS = 40


class Root(NamedTuple):
    """A directory that stands for ``/``; paths given to its methods are paths inside of it.

    ``path`` is absolute, and taken as it is: in ``/proc/PID/root`` it is more than a symlink.
    """

    path: bytes = b"/"

    @property
    def is_host(self) -> bool:
        """Whether this is the host's own root, where processes and mounts belong to it."""
        return self.path == b"/"

    def resolve(self, path: bytes) -> bytes:
        """The path on this host of *path* inside the root, free of symlinks but for the root's own.

        What does not exist resolves to where it would be.

        Raises:
            OSError: too many symlinks, or a directory on the way that may not be searched.
        """
        if self.is_host:
            return os.path.realpath(path)
        base = self.path
        done: list[bytes] = []
        todo = [part for part in reversed(path.split(b"/")) if part not in (b"", b".")]
        symlinks = 0
        while todo:
            part = todo.pop()
            if part == b"..":
                del done[-1:]
                continue
            here = os.path.join(base, *done, part)
            try:
                target = os.readlink(here) if stat.S_ISLNK(os.lstat(here).st_mode) else None
            except (FileNotFoundError, NotADirectoryError):
                target = None
            if target is None:
                done.append(part)
                continue
            symlinks += 1
            if symlinks > _MAX_SYMLINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if target.startswith(b"/"):
                done.clear()
            todo += [part for part in reversed(target.split(b"/")) if part not in (b"", b".")]
        return os.path.join(base, *done)

    def settle(self, path: bytes) -> bytes:
        """The path on this host of *path* on this host, whose symlinks lead nowhere but inside.

        Raises:
            OSError: as :meth:`resolve`.
        """
        return self.resolve(self.inside(path))

    def inside(self, path: bytes) -> bytes:
        """The path inside the root of *path* on this host, for people to read."""
        if self.is_host or not (path + b"/").startswith(self.path.rstrip(b"/") + b"/"):
            return path
        return b"/" + path[len(self.path) :].lstrip(b"/")

    def places(self, path: bytes) -> Iterator[bytes]:
        """Where the absolute *path* may be, resolved: existing directories only.

        On a root that is not the host's, also where it is in a copy of one of the directories above
        it (``/var/lib`` copied to the root), or of itself.
        """
        parts = path.strip(b"/").split(b"/")
        suffixes = range(1) if self.is_host else range(len(parts) + 1)
        seen = set()
        for start in suffixes:
            with suppress(OSError):
                resolved = self.resolve(b"/".join(parts[start:]) if start else path)
                if resolved not in seen and os.path.isdir(resolved):
                    seen.add(resolved)
                    yield resolved

    def homes(self) -> tuple[bytes, ...]:
        """The home directories, as paths inside the root: of this user, and those in passwd(5)."""
        homes: dict[bytes, None] = {}
        if self.is_host:
            homes[os.fsencode(os.path.expanduser("~"))] = None
        with suppress(OSError, ReadError):
            for line in self.read(b"/etc/passwd").split(b"\n"):
                fields = line.split(b":")
                if len(fields) == 7 and fields[5].startswith(b"/") and fields[5].strip(b"/"):
                    homes[fields[5]] = None
        return tuple(homes)

    def read(self, path: bytes, limit: int = 16 << 20) -> bytes:
        """The content of the regular file at *path*.

        Raises:
            ReadError: it cannot be read, is no regular file, or has more than *limit* bytes.
        """
        try:
            return read_file(self.resolve(path), limit)
        except OSError as error:
            raise read_error("read", path, error) from None


HOST = Root()


def read_file(path: bytes, limit: int = 16 << 20) -> bytes:
    """The content of the regular file at the resolved *path*, of at most *limit* bytes.

    Raises:
        OSError: it cannot be read, is no regular file, is a symlink, or is larger.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        content = file.read(min(limit, status.st_size) + 1)  # read() makes room for all of it
        if status.st_size < len(content) <= limit:  # the file has grown, or tells no size
            content += file.read(limit + 1 - len(content))
    if len(content) > limit:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return content
