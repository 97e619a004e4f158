"""Records and layers as lines of a list, and what is said of the one under the cursor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from whiteout.display import display_path, display_text
from whiteout.listing import PARENT_WIDTH, age_text, parent_text, short_name, size_text
from whiteout.sources.model import Record
from whiteout.sources.stack import Kind, LayerStack
from whiteout_tui.formats import cropped
from whiteout_tui.linelist import Part
from whiteout_tui.row_list import ListRow

_FIGURES = f"  {'kind':<11} {'layers':>6} {'age':>7} {'size':>9}  "
_GAP = 2
LAYERS_HEADING = f"  {'layer':>5} {'kind':<11} {'age':>7} {'size':>9}  name"


def picker_heading(width: int) -> str:
    """The heading of the columns of :func:`record_rows` in *width* cells."""
    return f"{_FIGURES}{'name':<{_name_width(width) + _GAP}}parent"


def _name_width(width: int) -> int:
    """The cells of a name that has a parent beside it: those of a short digest, or more."""
    return max(19, min(60, 19 + (width - 80) * 2 // 5))


@dataclass(frozen=True, slots=True)
class RecordRow(ListRow):
    """A record: ``parts``, then in columns its name, its parent, and more.

    Without a parent the name has that column, too. A problem begins there, so that it is in sight.
    """

    name: str = ""
    parent: str = ""
    more: str = ""
    problem: str = ""

    def parts_in(self, width: int) -> list[Part]:
        """What is shown in *width* cells: the wider, the more of the name."""
        parts, name_width = list(self.parts), _name_width(width)
        if not self.parent and not self.problem:
            name_width += _GAP + PARENT_WIDTH
        columns = [(self.name, name_width, "muted" if self.problem else "")]
        if self.problem:
            columns.append((self.problem, 0, "error"))
        else:
            if self.parent:
                columns.append((self.parent, PARENT_WIDTH, "muted"))
            if self.more:
                columns.append((self.more, 0, "muted"))
        *padded, (last, _, style) = columns
        parts += [(_padded(text, cells), each) for text, cells, each in padded]
        return [*parts, (last, style)]


def _padded(text: str, width: int) -> str:
    """*text* in *width* cells, and a gap."""
    return set_cell_size(cropped(text, width) if cell_len(text) > width else text, width + _GAP)


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
    mark, style = ("! ", "error") if record.problem is not None else ("  ", "")
    if record.is_doubtful(trusted):
        mark, style = "? ", "warning"
    return RecordRow(
        ((mark, style), (f"{record.kind.value:<11} {layers:>6} {age:>7} {size:>9}  ", "muted")),
        record,
        name=short_name(record.name),
        parent="" if record.parent is None else parent_text(record.parent),
        more=", ".join(display_text(note) for note in record.notes),
        problem=record.problem or "",
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
