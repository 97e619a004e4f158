"""Failures in words, and text cut into lines."""

from __future__ import annotations

from rich.cells import cell_len, chop_cells
from textual.content import Content

from whiteout.errors import WhiteoutError, reason_of

#: In fewer cells no word has room behind a mark.
_LEAST = 4


def words_of(error: BaseException) -> str:
    """One printable sentence for *error*; what is not ours never brings its own text along."""
    if isinstance(error, WhiteoutError):
        return str(error)
    if isinstance(error, OSError):
        return reason_of(error)
    if isinstance(error, MemoryError):
        return "not enough memory"
    return f"internal error ({type(error).__name__}); please report it"


def wrap(text: str, width: int) -> list[str]:
    """*text* in lines of at most *width* cells, cut between words where that is possible.

    A mark of one character is never alone on its line: a word that is too long for any line begins
    right behind it.
    """
    width = max(2, width)
    lines = []
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if cell_len(joined) <= width:
            line = joined
            continue
        if len(line) == 1 and cell_len(word) > width > _LEAST:
            word = joined
        elif line:
            lines.append(line)
        *full, line = chop_cells(word, width) or [""]
        lines.extend(full)
    lines.append(line)
    return lines


def wrapped(content: Content, width: int) -> Content:
    """*content* in lines as :func:`wrap` makes them, in its styles."""
    lines = []
    for paragraph in content.split("\n", allow_blank=True):
        end = 0
        for piece in wrap(paragraph.plain, width):
            start = paragraph.plain.index(piece, end)
            end = start + len(piece)
            lines.append(paragraph[start:end])
    return Content("\n").join(lines)
