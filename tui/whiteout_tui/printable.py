"""Content of files as printable lines: as text, or as bytes in hexadecimal."""

from __future__ import annotations

from collections.abc import Iterator

from whiteout.display import display_line

_PRINTABLE = bytes(byte if 0x20 <= byte < 0x7F else ord(".") for byte in range(256))


def text_lines(data: bytes) -> list[str]:
    """The lines of *data*, without their ends."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [display_line(line) for line in lines]


def hex_lines(data: bytes, start: int = 0, row: int = 16) -> Iterator[str]:
    """*data* from the offset *start* on, *row* bytes a line: ``000010  41 42  AB``."""
    for position in range(0, len(data), row):
        part = data[position : position + row]
        shown = part.translate(_PRINTABLE).decode("ascii")
        yield f"{start + position:06x}  {part.hex(' '):<{3 * row - 1}}  {shown}"


def row_for(width: int) -> int:
    """How many bytes a line of *width* cells takes."""
    for row in (16, 8, 4):
        if 10 + 4 * row - 1 <= width:
            return row
    return 2
