"""Labelled values, one of them marked for copying."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.geometry import Region
from textual.reactive import reactive
from textual.widget import Widget

from whiteout_tui.actions import Scope, bindings
from whiteout_tui.words import wrap


@dataclass(frozen=True, slots=True)
class Value:
    """One line: *shown* is printable, *copied* is what the clipboard gets of it."""

    label: str
    shown: str
    copied: str


class ResultTable(Widget, can_focus=True):
    """Values with their labels; up and down mark another one."""

    BINDINGS = bindings(Scope.VALUES)

    marked: reactive[int] = reactive(0, layout=False)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.values: tuple[Value, ...] = ()

    def show(self, values: tuple[Value, ...], marked: int = 0) -> None:
        """Show *values*, the one at *marked* marked."""
        self.values = values
        self.marked = marked
        self.refresh(layout=True)

    @property
    def _label_width(self) -> int:
        return max((cell_len(value.label) for value in self.values), default=0)

    @property
    def _room(self) -> int:
        return max(8, self.size.width - self._label_width - 4)

    def render(self) -> Content:
        """The table at the present width."""
        label_width = self._label_width
        lines = []
        for position, value in enumerate(self.values):
            marked = position == self.marked
            for number, line in enumerate(wrap(value.shown, self._room)):
                label = value.label if number == 0 else ""
                pointer = "›" if marked and number == 0 else " "
                lines.append(
                    Content.assemble(
                        (f"{pointer} ", "bold $text-primary"),
                        (f"{label:<{label_width}}  ", "$foreground-muted"),
                        (line, "bold" if marked else ""),
                    )
                )
        return Content("\n").join(lines)

    def _first_lines(self) -> list[int]:
        """Where each value begins, counted in lines from the top."""
        starts = [0]
        for value in self.values:
            starts.append(starts[-1] + len(wrap(value.shown, self._room)))
        return starts

    def watch_marked(self) -> None:
        """Keep the marked value in sight."""
        if isinstance(self.parent, Widget) and self.values:
            starts = self._first_lines()
            top, end = starts[self.marked], starts[self.marked + 1]
            self.parent.scroll_to_region(
                Region(0, top, max(1, self.size.width), end - top), animate=False
            )

    def on_click(self, event: events.Click) -> None:
        """Mark the value under the pointer."""
        offset = event.get_content_offset(self)
        if offset is not None:
            place = bisect_right(self._first_lines(), offset.y) - 1
            if 0 <= place < len(self.values):
                self.marked = place

    def action_value_up(self) -> None:
        """Mark the value before."""
        self._mark(-1)

    def action_value_down(self) -> None:
        """Mark the next value."""
        self._mark(1)

    def _mark(self, step: int) -> None:
        if self.values:
            self.marked = (self.marked + step) % len(self.values)
