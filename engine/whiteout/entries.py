"""What ``lstat`` says of one entry of a layer, as data."""

from __future__ import annotations

import os
import stat
from enum import Enum

from whiteout.typed import NamedTuple, cast


class EntryType(Enum):
    """The type of an entry, by the words of POSIX."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    CHARACTER = "character device"
    BLOCK = "block device"
    FIFO = "fifo"
    SOCKET = "socket"


#: What the kernel shows for an id that a map of ids does not hold.
OVERFLOW_ID = 65534

_TYPES = {
    stat.S_IFREG: EntryType.FILE,
    stat.S_IFDIR: EntryType.DIRECTORY,
    stat.S_IFLNK: EntryType.SYMLINK,
    stat.S_IFCHR: EntryType.CHARACTER,
    stat.S_IFBLK: EntryType.BLOCK,
    stat.S_IFIFO: EntryType.FIFO,
    stat.S_IFSOCK: EntryType.SOCKET,
}


class Entry(NamedTuple):
    """One entry of a layer: its ``lstat``, and the layer that provides it.

    ``layer`` counts from the bottom of the stack that the entry was found in, beginning at 0.
    """

    stat: os.stat_result
    layer: int = 0

    @property
    def type(self) -> EntryType:
        """What the entry is."""
        return _TYPES[stat.S_IFMT(self.stat.st_mode)]

    @property
    def is_directory(self) -> bool:
        """Whether the entry is a directory."""
        return stat.S_ISDIR(self.stat.st_mode)

    @property
    def permissions(self) -> int:
        """Permission bits with setuid, setgid and sticky (``st_mode & 07777``)."""
        return self.stat.st_mode & 0o7777

    @property
    def size(self) -> int:
        """Bytes of content of a regular file, else 0."""
        return self.stat.st_size if stat.S_ISREG(self.stat.st_mode) else 0

    @property
    def mtime_ns(self) -> int:
        """Time of the last modification, nanoseconds since the epoch."""
        return self.stat.st_mtime_ns

    @property
    def device(self) -> tuple[int, int]:
        """Major and minor number of a device, ``(0, 0)`` of anything else."""
        return os.major(self.stat.st_rdev), os.minor(self.stat.st_rdev)

    @property
    def is_hard_linked(self) -> bool:
        """Whether the entry, not being a directory, has more than one name."""
        return self.stat.st_nlink > 1 and not self.is_directory


def is_whiteout_file(status: os.stat_result) -> bool:
    """Whether *status* stands for a file ``.wh.NAME``, fuse-overlayfs' mark of a deleted name.

    It is shown as a device 0:0 (:mod:`whiteout.fusemarks`); that it has no link tells it apart.
    """
    return is_whiteout_device(status) and status.st_nlink == 0


def is_whiteout_device(status: os.stat_result) -> bool:
    """Whether *status* is of a character device 0:0, overlayfs' mark of a deleted name."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def with_fields(
    status: os.stat_result,
    *,
    mode: int | None = None,
    uid: int | None = None,
    gid: int | None = None,
    device: int | None = None,
    links: int | None = None,
) -> os.stat_result:
    """*status* with ``st_mode``, ``st_uid``, ``st_gid``, ``st_rdev`` or ``st_nlink`` replaced."""
    fields, rest = cast(tuple[tuple[int, ...], dict[str, int]], status.__reduce__()[1])
    values = list(fields)
    for place, value in ((0, mode), (3, links), (4, uid), (5, gid)):
        if value is not None:
            values[place] = value
    if device is not None:
        rest = {**rest, "st_rdev": device}
    return os.stat_result(tuple(values), rest)
