"""The words of the detail pane, as lines of a given width: why, what follows, before and after."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from textual.content import Content

from whiteout.comparison import Fact
from whiteout.display import display_name, display_path
from whiteout.entries import EntryType, is_whiteout_device
from whiteout.metadata import Inspection, Metadata
from whiteout.steps import Question, steps_of
from whiteout.verdicts import Method, Verdict
from whiteout.wording import (
    effect_sentence,
    fact_text,
    headline,
    step_sentence,
    time_text,
    type_text,
)
from whiteout_tui.formats import exact_size, mode_text
from whiteout_tui.legend import KINDS
from whiteout_tui.rowdata import kind_of
from whiteout_tui.words import wrap

_LABEL = 11
_COLOURS = {
    "added": "$text-success",
    "modified": "$text-warning",
    "deleted": "$text-error",
    "unmodified": "$text-accent",
    "skipped": "$foreground-muted",
    "unreadable": "$text-error",
}
_LONGEST_VALUE = 512


@dataclass(frozen=True, slots=True)
class _Field:
    label: str
    before: str | None
    after: str | None

    @property
    def differs(self) -> bool:
        return self.before is not None and self.after is not None and self.before != self.after


def describe(inspection: Inspection, width: int) -> Content:
    """Everything that the pane says of one entry, in lines of *width* cells."""
    verdict = inspection.verdict
    parts: list[Content] = [_title(verdict, width)]
    if verdict.error is not None:
        parts.append(_paragraph(f"! {verdict.error}", width, "$text-error"))
    parts.append(_section("Why"))
    parts.extend(_why(verdict, width))
    parts.append(Content.assemble("\n", _paragraph(f"→ {effect_sentence(verdict)}", width)))
    if inspection.base is not None or inspection.upper is not None:
        parts.append(_section("Before and after"))
        parts.extend(_sides(inspection, width))
    return Content("\n").join(parts)


def _title(verdict: Verdict, width: int) -> Content:
    sign = KINDS[kind_of(verdict)]
    colour = _COLOURS[sign.style]
    return Content("\n").join(
        [
            *(Content.styled(line, "bold") for line in wrap(display_path(verdict.path), width)),
            *(
                Content.assemble(
                    (f"{sign.letter} " if position == 0 else "  ", f"bold {colour}"),
                    (line, colour),
                )
                for position, line in enumerate(wrap(headline(verdict), width - 2))
            ),
        ]
    )


def _section(title: str) -> Content:
    return Content.assemble("\n", (title, "bold $text-primary"))


def _paragraph(text: str, width: int, style: str = "") -> Content:
    return Content.styled("\n".join(wrap(text, width)), style)


def _why(verdict: Verdict, width: int) -> list[Content]:
    lines: list[Content] = []
    for number, step in enumerate(steps_of(verdict), 1):
        for position, line in enumerate(wrap(step_sentence(step), width - 3)):
            lead = f"{number:>2} " if position == 0 else "   "
            lines.append(Content.assemble((lead, "$foreground-muted"), line))
        if step.question is Question.SAME:
            lines.extend(_fact(fact, width) for fact in step.facts)
    return lines


def _fact(fact: Fact, width: int) -> Content:
    style = "$foreground-muted" if fact.equal or fact.field == "inode" else "$text-warning"
    first, *rest = wrap(fact_text(fact), width - 5)
    sign = "=" if fact.equal else "≠"
    return Content.styled(
        "\n".join([f"   {sign} {first}", *(f"     {line}" for line in rest)]), style
    )


def _sides(inspection: Inspection, width: int) -> list[Content]:
    before, after = inspection.base, inspection.upper
    column = max(8, (width - _LABEL - 3) // 2)
    above = "merged" if inspection.verdict.method is Method.WALKING else "upper"
    rows = [_row(_Field("", "base", above), column, "$foreground-muted")]
    rows.extend(
        _row(field, column, "$text-warning" if field.differs else "")
        for field in _fields(before, after)
    )
    for side in (before, after):
        if side is not None and side.error is not None:
            rows.append(_paragraph(f"! {side.error}", width, "$text-error"))
    return rows


def _row(field: _Field, column: int, style: str) -> Content:
    before = wrap(field.before if field.before is not None else "–", column)
    after = wrap(field.after if field.after is not None else "–", column)
    lines = []
    for number in range(max(len(before), len(after))):
        label = field.label if number == 0 else ""
        left = before[number] if number < len(before) else ""
        right = after[number] if number < len(after) else ""
        mark = "≠" if label and field.differs else " "
        padded = left + " " * (column - cell_len(left))
        lines.append(
            Content.assemble(
                (f"{label:<{_LABEL}}", "$foreground-muted"), (f"{padded} {mark} {right}", style)
            )
        )
    return Content("\n").join(lines)


def _fields(before: Metadata | None, after: Metadata | None) -> list[_Field]:
    old, new = _plain_fields(before), _plain_fields(after)
    fields = [
        _Field(label, old.get(label), new.get(label))
        for label in _PLAIN
        if label in old or label in new
    ]
    old_attributes, new_attributes = _attributes(before), _attributes(after)
    for name in sorted({*old_attributes, *new_attributes}):
        fields.append(_Field(name, old_attributes.get(name), new_attributes.get(name)))
    return fields


_PLAIN = ("type", "mode", "owner", "size", "mtime", "links", "target")


def _plain_fields(side: Metadata | None) -> dict[str, str]:
    if side is None:
        return {}
    entry = side.entry
    fields = {
        "type": "whiteout" if is_whiteout_device(entry.stat) else type_text(entry),
        "mode": mode_text(entry),
        "owner": _owner(side),
        "mtime": time_text(entry.mtime_ns),
    }
    if entry.type is EntryType.FILE:
        fields["size"] = exact_size(entry.size)
    if entry.is_hard_linked:
        fields["links"] = str(entry.stat.st_nlink)
    if side.link_target is not None:
        fields["target"] = display_name(side.link_target)
    return fields


def _owner(side: Metadata) -> str:
    owner = f"{side.entry.stat.st_uid}:{side.entry.stat.st_gid}"
    if side.host_owner is None:
        return owner
    return f"{owner} (host {side.host_owner[0]}:{side.host_owner[1]})"


def _attributes(side: Metadata | None) -> dict[str, str]:
    if side is None:
        return {}
    return {
        display_name(attribute.name): _attribute_value(attribute.value) for attribute in side.xattrs
    }


def _attribute_value(value: bytes) -> str:
    shown = display_name(value[:_LONGEST_VALUE])
    if len(value) > _LONGEST_VALUE:
        return f"{shown}… ({len(value):,} bytes)"
    return shown or "(empty)"
