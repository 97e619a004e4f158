"""Failures in words, and text cut into lines."""

from __future__ import annotations

from rich.cells import cell_len, chop_cells

from whiteout.errors import WhiteoutError, reason_of


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
    """*text* in lines of at most *width* cells, cut between words where that is possible."""
    width = max(2, width)
    lines = []
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if cell_len(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        *full, line = chop_cells(word, width) or [""]
        lines.extend(full)
    lines.append(line)
    return lines
