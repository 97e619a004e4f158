"""Records and layers as lines of a list, and what is said of the one under the cursor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.content import Content

from whiteout.display import display_path, display_text
from whiteout.listing import age_text, short_name, size_text
from whiteout.sources.model import Kind, LayerStack, Record
from whiteout_tui.row_list import ListRow

PICKER_HEADING = f"  {'kind':<11} {'layers':>6} {'age':>7} {'size':>9}  name"
LAYERS_HEADING = f"  {'layer':>5} {'kind':<11} {'age':>7} {'size':>9}  name"


def record_rows(records: Iterable[Record], now: float, *, trusted: bool) -> list[ListRow]:
    """*records* under the headings of their groups; the key of a line is its record.

    *trusted* is whether this process may read ``trusted.*`` attributes.
    """
    rows: list[ListRow] = []
    group = None
    for record in records:
        if record.group != group:
            group = record.group
            rows.append(ListRow(((display_text(group), "heading"),)))
        rows.append(_record_row(record, now, trusted))
    return rows


def _record_row(record: Record, now: float, trusted: bool) -> ListRow:
    if record.kind is Kind.STORE:
        return ListRow((("! ", "error"), (record.problem or "", "error")), record)
    layers = "" if record.layers is None else f"{record.layers:,}"
    age, size = age_text(record.created, now), size_text(record.size)
    notes = ", ".join(display_text(note) for note in record.notes)
    mark, style = ("! ", "error") if record.problem is not None else ("  ", "")
    if record.is_doubtful(trusted):
        mark, style = "? ", "warning"
    return ListRow(
        (
            (mark, style),
            (f"{record.kind.value:<11} {layers:>6} {age:>7} {size:>9}  ", "muted"),
            (short_name(record.name), "" if record.problem is None else "muted"),
            (f"  {notes}" if notes else "", "muted"),
        ),
        record,
    )


def matches(record: Record, words: Sequence[str]) -> bool:
    """Whether every one of *words*, in lower case, is in what is said of *record*."""
    if not words:
        return True
    said = (record.target, record.name, record.parent or "", record.kind.value, record.group)
    text = " ".join(display_text(each) for each in (*said, *record.aliases, *record.notes)).lower()
    return all(word in text for word in words)


def about_record(record: Record, *, trusted: bool) -> Content:
    """What is said of the record under the cursor."""
    if record.kind is Kind.STORE:
        return Content.assemble(("! ", "$text-error"), (record.problem or "", "$text-error"))
    facts = [record.kind.value]
    if record.layers is not None:
        facts.append(
            f"{record.layers:,} layer" if record.layers == 1 else f"{record.layers:,} layers"
        )
    if record.parent is not None:
        facts.append(f"on {short_name(record.parent)}")
    facts += [display_text(note) for note in record.notes]
    lines: list[Content | str | tuple[str, str]] = [
        (display_text(record.target), "bold"),
        "\n",
        (", ".join(facts), "$foreground-muted"),
    ]
    if record.problem is not None:
        lines += ["\n", (f"! {record.problem}", "$text-error")]
    elif record.is_doubtful(trusted):
        lines += ["\n", ("? marks of its layers are hidden from this user", "$text-warning")]
    return Content.assemble(*lines)


def layer_rows(stack: LayerStack, now: float, marked: range) -> list[ListRow]:
    """The layers of *stack*, topmost first; the key of a line is the number from 0."""
    return [
        ListRow(
            (
                ("▌ " if number in marked else "  ", "accent"),
                (f"{number + 1:>5,} ", ""),
                (
                    f"{layer.kind.value:<11} {age_text(layer.created, now):>7}"
                    f" {size_text(layer.size):>9}  ",
                    "muted",
                ),
                (short_name(layer.name) or display_path(layer.path), ""),
            ),
            number,
        )
        for number, layer in enumerate(stack.layers)
    ]


def about_layers(stack: LayerStack, picked: int, marked: range) -> Content:
    """What is said of the layer under the cursor, and of the range when one is marked."""
    below = len(stack.layers) - marked.stop
    compared = {0: "nothing below", 1: "the layer below"}.get(below, f"the {below:,} layers below")
    what = "this layer"
    if len(marked) > 1:
        what = f"layers {marked.start + 1:,} to {marked.stop:,} as one diff"
    return Content.assemble(
        (display_path(stack.layers[picked].path), "bold"),
        "\n",
        (f"Enter opens {what}, against {compared}", "$foreground-muted"),
    )
