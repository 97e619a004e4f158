"""The octal escapes in the tables of procfs."""

from __future__ import annotations


def decode_octal(field: bytes) -> bytes:
    r"""A field of mountinfo as bytes: ``\040`` is a space."""
    if b"\\" not in field:
        return field
    import re

    return re.sub(rb"\\([0-3][0-7]{2})", lambda match: bytes([int(match[1], 8)]), field)
