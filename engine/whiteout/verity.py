"""fs-verity digests in overlayfs' metacopy marks, which a mount may check (``verity=``).

A mark may say which digest the file with the data must have (``struct ovl_metacopy`` of
``fs/overlayfs/overlayfs.h``). With ``verity=on`` the kernel refuses to open a file whose data have
another one or none, with ``verity=require`` also a file whose mark says nothing
(``ovl_validate_verity`` of ``fs/overlayfs/util.c``).
"""

from __future__ import annotations

import errno
import fcntl
import struct
from enum import Enum

_MARK = struct.Struct("=BBBB")  # version, length, flags, algorithm; then the digest
_MEASURE_VERITY = 0xC0046686  # FS_IOC_MEASURE_VERITY of linux/fsverity.h
_DIGEST = struct.Struct("=HH")  # algorithm, size; then the digest
_LONGEST_DIGEST = 64


class Verity(Enum):
    """What a mount checks of the data of metacopies."""

    OFF = "off"
    ON = "on"
    REQUIRE = "require"


def is_malformed(mark: bytes) -> bool:
    """Whether the kernel refuses even to look up a file with this value of the metacopy mark."""
    return 0 < len(mark) < _MARK.size


def problem_of(mark: bytes, data: int, verity: Verity) -> str | None:
    """What is wrong with the file *data*, a descriptor, for the *mark* above it; None for nothing.

    Raises:
        OSError: it cannot be measured.
    """
    if verity is Verity.OFF:
        return None
    version, length, _, algorithm = _MARK.unpack(mark[:4]) if mark else (0, 0, 0, 0)
    if version or length != len(mark):
        return "has a metacopy mark that is malformed"
    if not algorithm:
        return "has no fs-verity digest" if verity is Verity.REQUIRE else None
    if _measured(data) != (algorithm, mark[_MARK.size :]):
        return "has a fs-verity digest that the file with its data does not have"
    return None


def _measured(descriptor: int) -> tuple[int, bytes] | None:
    """Algorithm and digest of a file, None where it has none."""
    answer = bytearray(_DIGEST.pack(0, _LONGEST_DIGEST) + bytes(_LONGEST_DIGEST))
    try:
        fcntl.ioctl(descriptor, _MEASURE_VERITY, answer, True)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTTY, errno.EOPNOTSUPP):
            return None
        raise
    algorithm, size = _DIGEST.unpack_from(answer)
    return algorithm, bytes(answer[_DIGEST.size : _DIGEST.size + size])
