"""Content: the beginning of a file, what changed in it, the targets of a link."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells
from textual.content import Content

from whiteout.content import Content as Head
from whiteout.content import DiffLine, Side, read_head, unified_diff
from whiteout.display import display_line, display_name
from whiteout.entries import EntryType
from whiteout.metadata import Inspection
from whiteout.verdicts import ChangeKind
from whiteout_tui.detail.lines import CHANGED, MUTED, heading, joined, paragraph, section
from whiteout_tui.detail.question import Drawing, Question
from whiteout_tui.formats import exact_size
from whiteout_tui.printable import hex_lines, row_for, text_lines

#: How many bytes of a text and of other content the tab shows, and how many lines.
TEXT_LIMIT = 1 << 14
HEX_LIMIT = 1 << 11
_MOST_LINES = 600
_LONGEST_LINE = 1000

#: The last is the remark that a side has no newline at its end.
_DIFF_STYLES = {
    "+": "$text-success", "-": "$text-error", "@": "$text-accent", " ": "", "\\": MUTED
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Found:
    """What one side of an entry holds, and what changed in it."""

    inspection: Inspection
    side: Side
    head: Head | None
    other: Head | None = None
    diff: tuple[DiffLine, ...] | None = None


def side_of(inspection: Inspection) -> Side:
    """The side whose content is the one to show: the upper, or the base of what is gone."""
    verdict = inspection.verdict
    return "base" if verdict.upper is None or verdict.whiteout else "upper"


def load_content(question: Question, show: Callable[[Drawing], None]) -> None:
    """Read the beginning, and compare a modified text with the base's.

    Raises:
        ReadError: it cannot be read.
    """
    snapshot, path = question.snapshot, question.path
    inspection = snapshot.inspect(path, cancel=question.cancel)
    side = side_of(inspection)
    shown = inspection.upper if side == "upper" else inspection.base
    if shown is None or shown.entry.type not in (EntryType.FILE, EntryType.SYMLINK):
        show(lambda width: _draw(_Found(inspection, side, None), width))
        return
    head = read_head(snapshot, path, side, TEXT_LIMIT)
    other: Head | None = None
    diff: tuple[DiffLine, ...] | None = None
    base = inspection.base
    modified = inspection.verdict.kind is ChangeKind.MODIFY and base is not None
    if modified and base is not None and base.entry.type is shown.entry.type:
        if shown.entry.type is EntryType.SYMLINK:
            other = read_head(snapshot, path, "base")
        else:
            diff = unified_diff(snapshot, path)
            other = read_head(snapshot, path, "base", 1)
    found = _Found(inspection, side, head, other, diff)
    show(lambda width: _draw(found, width))


def _draw(found: _Found, width: int) -> Content:
    head = found.head
    if head is None:
        return paragraph(_without_content(found), width)
    if head.link_target is not None:
        return _link(found, head.link_target, width)
    parts: list[Content] = []
    if found.diff is not None:
        parts.extend(_diff(found.diff, width))
        parts.append(Content(""))
    elif found.other is not None:
        text = "Both sides are text or not, too large or too different to be compared line by line."
        parts.extend((paragraph(text, width, MUTED), Content("")))
    parts.append(heading(_title(found, head)))
    if not head.size:
        parts.append(paragraph("(empty)", width, MUTED))
    elif head.is_text:
        parts.extend(_text(head, width))
    else:
        parts.extend(_hex(head, width))
    return joined(*parts)


def _without_content(found: _Found) -> str:
    inspection = found.inspection
    shown = inspection.upper if found.side == "upper" else inspection.base
    if shown is None and inspection.verdict.whiteout:
        return "A whiteout of nothing: there is no content on either side."
    if shown is None or shown.entry.is_directory:
        return "A directory has no content of its own; open it in the tree."
    return f"A {shown.entry.type.value} has no content that could be shown."


def _title(found: _Found, head: Head) -> str:
    where = "in the base" if found.side == "base" else "now"
    return f"{exact_size(head.size)} {where}, {'text' if head.is_text else 'not text'}"


def _link(found: _Found, target: bytes, width: int) -> Content:
    parts = [heading("Link target"), paragraph(f"→ {display_name(target)}", width)]
    if found.other is not None and found.other.link_target is not None:
        parts.append(section("In the base"))
        parts.append(paragraph(f"→ {display_name(found.other.link_target)}", width, CHANGED))
    return joined(*parts)


def _diff(diff: tuple[DiffLine, ...], width: int) -> list[Content]:
    if not diff:
        return [paragraph("The content is the same on both sides.", width, "bold")]
    added = sum(line.kind == "+" for line in diff)
    removed = sum(line.kind == "-" for line in diff)
    parts = [heading(f"What changed: +{added} −{removed} lines")]
    for line in diff[:_MOST_LINES]:
        text = display_line(line.text[:_LONGEST_LINE])
        sign = "" if line.kind == "@" else line.kind
        parts.append(
            Content.styled("\n".join(_chopped(sign + text, width)), _DIFF_STYLES[line.kind])
        )
    if len(diff) > _MOST_LINES:
        parts.append(paragraph(f"… and {len(diff) - _MOST_LINES:,} lines more", width, MUTED))
    return parts


def _text(head: Head, width: int) -> list[Content]:
    lines = text_lines(head.data)
    numbers = len(str(min(len(lines), _MOST_LINES)))
    parts = []
    for number, line in enumerate(lines[:_MOST_LINES], 1):
        for position, piece in enumerate(_chopped(line[:_LONGEST_LINE], width - numbers - 1)):
            label = f"{number:>{numbers}}" if position == 0 else " " * numbers
            parts.append(Content.assemble((f"{label} ", MUTED), piece))
    if head.truncated or len(lines) > _MOST_LINES:
        parts.append(paragraph("… v shows all of it", width, MUTED))
    return parts


def _hex(head: Head, width: int) -> list[Content]:
    lines = hex_lines(head.data[:HEX_LIMIT], row=row_for(width))
    parts = [Content("\n".join(lines))]
    if head.size > HEX_LIMIT:
        parts.append(paragraph("… v shows all of it", width, MUTED))
    return parts


def _chopped(line: str, width: int) -> list[str]:
    width = max(2, width)
    return [line] if cell_len(line) <= width else chop_cells(line, width)
