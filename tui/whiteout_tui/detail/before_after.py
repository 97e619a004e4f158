"""Before and after: everything known of both sides of an entry, side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.cells import cell_len
from textual.content import Content

from whiteout.attributes import attribute_meaning, attribute_text
from whiteout.display import display_name, display_path
from whiteout.entries import EntryType, is_whiteout_device
from whiteout.metadata import Inspection, Metadata
from whiteout.verdicts import Method
from whiteout.wording import time_text
from whiteout_tui.detail.lines import CHANGED, MUTED, joined, labelled, paragraph, section, trouble
from whiteout_tui.detail.question import Drawing, Question
from whiteout_tui.formats import exact_size, mode_text
from whiteout_tui.words import wrap

_LABEL = 8
_NOTHING = "–"
_MOST_ATTRIBUTES = 100


@dataclass(frozen=True, slots=True)
class _Field:
    label: str
    before: str | None
    after: str | None

    @property
    def differs(self) -> bool:
        return self.before is not None and self.after is not None and self.before != self.after


def load_before_after(question: Question, show: Callable[[Drawing], None]) -> None:
    """Ask for the metadata of both sides.

    Raises:
        ReadError: the entry cannot be read.
    """
    inspection = question.snapshot.inspect(question.path, cancel=question.cancel)
    show(lambda width: draw_before_after(inspection, width))


def draw_before_after(inspection: Inspection, width: int) -> Content:
    """Both sides in lines of *width* cells; what differs has ``≠`` between them."""
    before, after = inspection.base, inspection.upper
    if before is None and after is None:
        text = inspection.verdict.error or (
            "The root directory is never recorded in a layer; there is nothing to compare."
        )
        return paragraph(text, width)
    column = max(6, (width - _LABEL - 3) // 2)
    above = "merged" if inspection.verdict.method is Method.WALKING else "upper"
    parts = [_row(_Field("", "base", above), _LABEL, column, "bold")]
    parts.extend(_row(field, _LABEL, column) for field in _plain(before, after))
    parts.extend(_trouble(before, after, width))
    parts.extend(_attributes(before, after, width))
    parts.append(section("On this host"))
    for label, side in (("base", before), (above, after)):
        if side is not None:
            parts.append(labelled(label, display_path(side.host_path), width, _LABEL))
    return joined(*parts)


def _trouble(before: Metadata | None, after: Metadata | None, width: int) -> list[Content]:
    return [
        trouble(f"{label} {side.error}", width)
        for label, side in (("the base's attributes", before), ("the attributes", after))
        if side is not None and side.error is not None
    ]


def _row(field: _Field, label_width: int, column: int, style: str = "") -> Content:
    before = wrap(field.before if field.before is not None else _NOTHING, column)
    after = wrap(field.after if field.after is not None else _NOTHING, column)
    changed = bool(field.label) and field.differs
    lines = []
    for number in range(max(len(before), len(after))):
        label = field.label if number == 0 else ""
        left = before[number] if number < len(before) else ""
        right = after[number] if number < len(after) else ""
        mark = "≠" if number == 0 and changed else " "
        padded = left + " " * (column - cell_len(left))
        lines.append(
            Content.assemble(
                (f"{label:<{label_width}}", MUTED),
                (f"{padded} {mark} {right}", CHANGED if changed else style),
            )
        )
    return joined(*lines)


def _plain(before: Metadata | None, after: Metadata | None) -> list[_Field]:
    old, new = _told(before), _told(after)
    labels = [label for label in _LABELS if label in old or label in new]
    return [_Field(label, old.get(label), new.get(label)) for label in labels]


_LABELS = ("type", "mode", "owner", "size", "mtime", "device", "links", "inode", "target")


def _told(side: Metadata | None) -> dict[str, str]:
    if side is None:
        return {}
    entry = side.entry
    whiteout = is_whiteout_device(entry.stat)
    told = {
        "type": "whiteout" if whiteout else entry.type.value,
        "mode": mode_text(entry),
        "owner": _owner(side),
        "mtime": time_text(entry.mtime_ns),
    }
    if entry.type is EntryType.FILE:
        told["size"] = exact_size(entry.size)
    if entry.type in (EntryType.CHARACTER, EntryType.BLOCK):
        told["device"] = "{}:{}".format(*entry.device)
    if entry.is_hard_linked:
        told["links"] = f"{entry.stat.st_nlink} names"
    if side.link_target is not None:
        told["target"] = display_name(side.link_target) or "(empty)"
    return told


def _owner(side: Metadata) -> str:
    owner = f"{side.entry.stat.st_uid}:{side.entry.stat.st_gid}"
    if side.host_owner is None:
        return owner
    return f"{owner} (host {side.host_owner[0]}:{side.host_owner[1]})"


def _attributes(before: Metadata | None, after: Metadata | None, width: int) -> list[Content]:
    old, new = _attribute_texts(before), _attribute_texts(after)
    names = sorted({*old, *new})
    if not names:
        return []
    column = max(6, (width - 5) // 2)
    parts = [section("Extended attributes")]
    for name in names[:_MOST_ATTRIBUTES]:
        field = _Field(" ", old.get(name), new.get(name))
        parts.append(paragraph(display_name(name), width, "bold"))
        parts.append(_row(field, 2, column))
        parts.append(paragraph(attribute_meaning(name), width, MUTED, indent=2))
    if len(names) > _MOST_ATTRIBUTES:
        parts.append(paragraph(f"… and {len(names) - _MOST_ATTRIBUTES:,} more", width, MUTED))
    return parts


def _attribute_texts(side: Metadata | None) -> dict[bytes, str]:
    if side is None:
        return {}
    return {
        attribute.name: attribute_text(attribute.name, attribute.value) for attribute in side.xattrs
    }
