"""Casefolded directories, where names that differ in case alone are one entry.

overlayfs takes them since 6.18, when all directories that it merges are folded alike. Which names
are one is decided by the filesystem's tables of Unicode, which nobody outside of the kernel can
ask, so a layer with such a directory is refused rather than guessed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from functools import cache

_FEATURES = tuple(f"/sys/fs/{kind}/features/casefold" for kind in ("ext4", "f2fs", "tmpfs"))
_GETFLAGS = 0x80086601  # FS_IOC_GETFLAGS of linux/fs.h, on 64 bits
_CASEFOLD = 0x40000000  # FS_CASEFOLD_FL
_UNKNOWN = frozenset({errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM})


@cache
def kernel_can_casefold() -> bool:
    """Whether this kernel knows casefolded directories at all; most do not."""
    return any(map(os.path.exists, _FEATURES))


def is_casefolded(directory: int) -> bool:
    """Whether the open *directory* is casefolded.

    Raises:
        OSError: it cannot be asked.
    """
    try:
        answer = fcntl.ioctl(directory, _GETFLAGS, bytes(8))
    except OSError as error:
        if error.errno in _UNKNOWN:  # a filesystem without such flags
            return False
        raise
    return bool(struct.unpack_from("@I", answer)[0] & _CASEFOLD)
