"""Numbers and times as text, and text in the room that there is."""

from __future__ import annotations

import stat

from rich.cells import cell_len, set_cell_size

from whiteout.entries import Entry

_UNITS = "KMGTPE"
_GLIMPSE = 240


def short_size(size: int) -> str:
    """At most five characters, such as ``812``, ``1.2K`` or ``340M``; powers of 1024."""
    if size < 1024:
        return str(size)
    value = float(size)
    for unit in _UNITS:
        value /= 1024
        if value < 9.95:
            return f"{value:.1f}{unit}"
        if value < 1023.5:
            return f"{value:.0f}{unit}"
    return f"{value:.0f}{_UNITS[-1]}"


def exact_size(size: int) -> str:
    """All digits, and the short form when that says more: ``12,345 bytes (12K)``."""
    digits = f"{size:,} byte" if size == 1 else f"{size:,} bytes"
    return digits if size < 1024 else f"{digits} ({short_size(size)})"


def glimpse(text: str) -> str:
    """The beginning of a printable *text*, short enough to cover little of the screen."""
    return text if len(text) <= _GLIMPSE else f"{text[:_GLIMPSE]}…"


def entries_text(count: int) -> str:
    """``1 entry`` or ``12,345 entries``."""
    return f"{count:,} entry" if count == 1 else f"{count:,} entries"


def mode_text(entry: Entry) -> str:
    """Octal permission bits and the form of ``ls -l``: ``0755 -rwxr-xr-x``."""
    return f"{entry.permissions:04o} {stat.filemode(entry.stat.st_mode)}"


def duration_text(seconds: float) -> str:
    """``0.42 s``, ``12.3 s`` or ``3 min 20 s``."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def cropped(text: str, room: int) -> str:
    """*text* in at most *room* cells, with an ellipsis where it was cut."""
    if room <= 0:
        return ""
    if len(text) * 2 <= room or cell_len(text) <= room:
        return text
    return set_cell_size(text, room - 1).rstrip() + "…"
