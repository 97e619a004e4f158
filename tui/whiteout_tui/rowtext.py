"""What a line of the tree says of its row, and in which styles."""

from __future__ import annotations

from typing import Protocol

from whiteout.display import display_name
from whiteout_tui.formats import cropped, short_size
from whiteout_tui.legend import KINDS, SUFFIXES, flag_letters
from whiteout_tui.rowdata import DEVICES, Batch, RowData, RowFlag, RowKind, RowType, device_of
from whiteout_tui.rows import Rows, RowState
from whiteout_tui.search import Filter, Search
from whiteout_tui.sums import Sums

#: Text, and the names of its styles, one on top of the other.
Part = tuple[str, ...]

#: The cells of kind, flags and size.
_PREFIX = 15
#: The cells that are left for a name, however deep it lies.
_LEAST = 24
_SUFFIX_OF = {int(row_type): suffix for row_type, (suffix, _) in SUFFIXES.items()}
_SIGN_OF = {int(kind): sign for kind, sign in KINDS.items()}
_TINTED = frozenset(
    {RowKind.ADD, RowKind.MODIFY, RowKind.DELETE, RowKind.UNREADABLE, RowKind.SKIPPED}
)


class Shown(Protocol):
    """The rows, and what is known and asked of them."""

    rows: Rows
    sums: Sums
    search: Search | None
    filter: Filter | None
    stale: set[int]


def note(text: str, flags: RowFlag) -> Batch:
    """A remark in the place of rows; *text* is printable already."""
    name = text.encode().replace(b"/", b"\0")  # a slash ends a name
    return Batch([RowData(name, int(RowKind.NOTE), int(RowType.FILE), int(flags), 0)])


def triangle_of(rows: Rows, row: int, width: int) -> range:
    """The cells of the triangle with which *row* is opened, in a line of *width* cells."""
    start = _PREFIX + _indent(rows, row, width)
    return range(start, start + 2)


def row_parts(shown: Shown, row: int, width: int) -> list[Part]:
    """The line of *row* in *width* cells."""
    rows = shown.rows
    name, kind, row_type, flags, size, *_ = rows.data(row)
    indent = _indent(rows, row, width)
    guide = ("│ " * (indent // 2), "guide")
    if rows.is_note(row):
        style = "unreadable" if flags & RowFlag.UNREADABLE else "note"
        text = cropped(name.replace(b"\0", b"/").decode(), width - _PREFIX - indent - 3)
        return [(" " * _PREFIX, style), guide, ("  ", style), (text, style)]
    sign = _SIGN_OF[kind]
    styles = [sign.style if kind in _TINTED else "name"]
    if row_type == RowType.DIRECTORY:
        styles.append("directory")
    if kind == RowKind.DELETE or flags & RowFlag.GHOST:
        styles.append("gone")
    triangle = "  "
    if flags & RowFlag.EXPANDABLE and not _is_bare(shown, row):
        triangle = "▾ " if rows.is_open(row) else "▸ "
    label = (display_name(name) if row else "") + _SUFFIX_OF[row_type]
    depth = rows.depth(row)
    if 2 * depth > indent:
        label = f"‹{depth}› {label}"
    remark = _remark(shown, row, flags)
    room = width - _PREFIX - indent - len(triangle) - len(remark) - 1
    return [
        (f" {sign.letter} ", sign.style),
        (f"{flag_letters(flags):<4} ", "flags"),
        (_size_text(shown.sums, row, kind, row_type, flags, size), "size"),
        guide,
        (triangle, "triangle"),
        *_highlighted(shown.search, row, cropped(label, room), styles),
        (remark, "loading"),
    ]


def _indent(rows: Rows, row: int, width: int) -> int:
    widest = max(0, width - _PREFIX - _LEAST)
    return min(2 * rows.depth(row), widest // 2 * 2)


def _remark(shown: Shown, row: int, flags: int) -> str:
    if shown.rows.state(row) & RowState.LOADING:
        return "  reading…"
    if row in shown.stale:
        return "  changed since it was read"
    return "  changed" if flags & RowFlag.CHANGED else ""


def _size_text(sums: Sums, row: int, kind: int, row_type: int, flags: int, size: int) -> str:
    if row_type != RowType.DIRECTORY:
        return f"{_own_size(kind, row_type, flags, size):>6} "
    below = sums.size(row)
    more = " " if sums.is_complete(row) else "…"
    return f"{short_size(below) if below else '':>6}{more if below else ' '}"


def _own_size(kind: int, row_type: int, flags: int, size: int) -> str:
    if kind == RowKind.SKIPPED and flags & RowFlag.WHITEOUT:
        return ""
    if row_type == RowType.FILE:
        return short_size(size)
    if row_type in DEVICES:
        return "{},{}".format(*device_of(size))
    return ""


def _is_bare(shown: Shown, row: int) -> bool:
    """Whether the filter leaves nothing of the directory *row* that could be opened."""
    if shown.filter is None or row in shown.filter.leading:
        return False
    return bool(shown.rows.state(row) & RowState.LOADED)


def _highlighted(search: Search | None, row: int, label: str, styles: list[str]) -> list[Part]:
    if search is None or row not in search.matches:
        return [(label, *styles)]
    found = search.pattern.search(label) if search.pattern is not None else None
    if found is None or not found.group():
        return [(label, *styles, "match")]
    start, end = found.span()
    return [
        (label[:start], *styles),
        (label[start:end], *styles, "match"),
        (label[end:], *styles),
    ]
