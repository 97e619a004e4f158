"""Whether anything was written below a directory."""

from __future__ import annotations

import os
from pathlib import Path


def stillness(top: Path) -> dict[bytes, tuple[int, ...]]:
    """What changes of an entry when anybody writes to it: its inode, mode, size and times.

    The time of the last access is no part of it.
    """
    found = {}
    for directory, names, files in os.walk(os.fsencode(top)):
        for name in (*names, *files):
            path = os.path.join(directory, name)
            status = os.lstat(path)
            found[path] = (
                *(status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_nlink),
                *(status.st_size, status.st_mtime_ns, status.st_ctime_ns),
            )
    return found
