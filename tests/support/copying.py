"""A copy of a tree with everything that a layer can hold: for applying layers to it."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat


def copy_tree(source: bytes, target: bytes) -> None:
    """Copy *source*, a directory, to *target*, which is new; hard links stay links."""
    copied: dict[tuple[int, int], bytes] = {}

    def copy(old: bytes, new: bytes, status: os.stat_result) -> None:
        inode = status.st_dev, status.st_ino
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(new)
            with os.scandir(old) as entries:
                for entry in entries:
                    try:
                        below = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:  # a whiteout that overlayfs lists, but does not show
                        continue
                    copy(entry.path, new + b"/" + entry.name, below)
        elif status.st_nlink > 1 and inode in copied:
            os.link(copied[inode], new, follow_symlinks=False)
            return
        elif stat.S_ISREG(status.st_mode):
            shutil.copyfile(old, new)
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(old), new)
        else:
            os.mknod(new, status.st_mode, status.st_rdev)
        copied[inode] = new
        os.chown(new, status.st_uid, status.st_gid, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(new, stat.S_IMODE(status.st_mode))
            with contextlib.suppress(OSError):
                value = os.getxattr(old, "security.capability")
                os.setxattr(new, "security.capability", value)
        times = status.st_mtime_ns, status.st_mtime_ns
        os.utime(new, ns=times, follow_symlinks=False)

    copy(source, target, os.stat(source))
