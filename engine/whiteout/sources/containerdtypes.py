"""How containerd writes values into its databases (``metadata/boltutil`` and encoding/binary)."""

from __future__ import annotations

import os

from whiteout.sources.bolt import Bucket

#: Seconds from the first of January of the year 1, where Go begins to count, to 1970.
_EPOCH = 62_135_596_800


def text(value: bytes | None) -> str:
    """A name as text; what is not UTF-8 is kept as surrogates."""
    return os.fsdecode(value or b"")


def uvarint(value: bytes | None) -> int | None:
    """An unsigned number, seven bits a byte, or None where it is none."""
    number = 0
    for position, byte in enumerate((value or b"")[:10]):
        number |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            return number
    return None


def varint(value: bytes | None) -> int | None:
    """A signed number, or None where it is none."""
    number = uvarint(value)
    return None if number is None else (number >> 1) ^ -(number & 1)


def timestamp(value: bytes | None) -> float | None:
    """What Go's ``time.Time.MarshalBinary`` wrote, in seconds since 1970, or None."""
    if value is None or len(value) not in (15, 16) or value[0] not in (1, 2):
        return None
    seconds = int.from_bytes(value[1:9], "big", signed=True) - _EPOCH
    return seconds + int.from_bytes(value[9:13], "big") / 1e9 if seconds > 0 else None


def labels(bucket: Bucket) -> dict[str, str]:
    """The labels of an object."""
    found = bucket.bucket(b"labels")
    return {} if found is None else {text(key): text(value) for key, value in found.values()}
