"""The octal escapes in the tables of procfs."""

from __future__ import annotations

import re

_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")


def decode_octal(field: bytes) -> bytes:
    r"""A field of mountinfo as bytes: ``\040`` is a space."""
    return _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), field)
