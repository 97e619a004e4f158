"""A tar header taken apart: every field of its blocks with its bytes and what they say.

The fields are those of POSIX's ``ustar`` header (pax, "ustar Interchange Format"). All text given
here is printable.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass

from whiteout.attributes import capability_text
from whiteout.display import display_name
from whiteout.tarcheck import pax_records
from whiteout.tarheader import BLOCK, padded
from whiteout.wording import time_text

_FIELDS = (
    ("name", 0, 100),
    ("mode", 100, 8),
    ("uid", 108, 8),
    ("gid", 116, 8),
    ("size", 124, 12),
    ("mtime", 136, 12),
    ("chksum", 148, 8),
    ("typeflag", 156, 1),
    ("linkname", 157, 100),
    ("magic", 257, 6),
    ("version", 263, 2),
    ("uname", 265, 32),
    ("gname", 297, 32),
    ("devmajor", 329, 8),
    ("devminor", 337, 8),
    ("prefix", 345, 155),
)
_TYPES = {
    b"0": "file",
    b"1": "hard link",
    b"2": "symlink",
    b"3": "character device",
    b"4": "block device",
    b"5": "directory",
    b"6": "fifo",
    b"x": "PAX records for the next header",
}
_NUMBERS = frozenset({"uid", "gid", "size", "devmajor", "devminor"})
_CAPABILITY = b"SCHILY.xattr.security.capability"


@dataclass(frozen=True, slots=True)
class HeaderField:
    """One field of a header block: where it starts in the block, its bytes, and their meaning."""

    name: str
    start: int
    raw: bytes
    text: str


@dataclass(frozen=True, slots=True)
class HeaderBlock:
    """A header block, and the PAX records that follow it when it announces some."""

    raw: bytes
    fields: tuple[HeaderField, ...]
    records: tuple[tuple[str, str], ...] = ()


def decode_header(encoded: bytes) -> tuple[HeaderBlock, ...]:
    """The blocks of one *encoded* header: that of the entry, and before it that of PAX records.

    Raises:
        TarProblem: these are not whole, sound headers.
    """
    return tuple(_blocks(encoded))


def _blocks(encoded: bytes) -> Iterator[HeaderBlock]:
    position = 0
    while position < len(encoded):
        raw = encoded[position : position + BLOCK]
        position += BLOCK
        records: tuple[tuple[str, str], ...] = ()
        if raw[156:157] == b"x":
            size = int(raw[124:136].rstrip(b"\0"), 8)
            body = encoded[position : position + size]
            position += padded(size)
            records = tuple(
                (display_name(key), _record_text(key, value))
                for key, value in pax_records(body, "the header")
            )
        yield HeaderBlock(raw, _fields(raw), records)


def _fields(block: bytes) -> tuple[HeaderField, ...]:
    return tuple(
        HeaderField(name, start, raw, _field_text(name, raw))
        for name, start, length in _FIELDS
        for raw in (block[start : start + length],)
    )


def _field_text(name: str, raw: bytes) -> str:
    content = raw.rstrip(b" \0") if name == "chksum" else raw.split(b"\0", 1)[0]
    shown = display_name(content)
    if name == "typeflag":
        return f"{shown} ({_TYPES.get(raw, 'unknown')})"
    if name == "version":
        return display_name(raw)
    if not content:
        return ""
    if name == "mode":
        return f"{shown} ({stat.filemode(int(content, 8))[1:]})"
    if name == "mtime":
        return f"{shown} ({time_text(int(content, 8) * 1_000_000_000, nanoseconds=False)})"
    if name in _NUMBERS:
        return f"{shown} ({int(content, 8):,})"
    return shown


def _record_text(key: bytes, value: bytes) -> str:
    if key == _CAPABILITY:
        try:
            return capability_text(value)
        except ValueError:
            return f"{display_name(value)} (malformed)"
    if key == b"mtime" and value.lstrip(b"-").isdigit():
        return f"{display_name(value)} ({time_text(int(value) * 1_000_000_000, nanoseconds=False)})"
    return display_name(value)
