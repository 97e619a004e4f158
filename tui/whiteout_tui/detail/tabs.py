"""The tabs of the detail: their names, in order, and the bar that shows them."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive

from whiteout_tui.detail.before_after import load_before_after
from whiteout_tui.detail.content import load_content
from whiteout_tui.detail.layers import load_layers
from whiteout_tui.detail.question import Load
from whiteout_tui.detail.tar_entry import load_tar_entry
from whiteout_tui.detail.why import load_why
from whiteout_tui.panes import Handle


@dataclass(frozen=True, slots=True)
class Tab:
    """One tab; ``short`` is its name where there is little room.

    ``needs_index`` tells that the answer is better once the index of the layer is there.
    """

    title: str
    short: str
    load: Load
    needs_index: bool = False


TABS: tuple[Tab, ...] = (
    Tab("Why", "Why", load_why),
    Tab("Before/After", "Sides", load_before_after),
    Tab("Tar entry", "Tar", load_tar_entry, needs_index=True),
    Tab("Content", "Text", load_content),
    Tab("Layers", "Layers", load_layers),
)


class TabBar(Handle):
    """The names of the tabs with their keys, the chosen one in brackets; a click chooses.

    Below the tree it is dragged to size both.
    """

    chosen: reactive[int] = reactive(0)

    class Chosen(Message):
        """The user wants the tab *number*."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def render(self) -> Content:
        """The names, as long as they fit; the chosen one is marked without colour, too."""
        parts: list[tuple[str, str]] = []
        for number, name in enumerate(self.names):
            if number == self.chosen:
                parts.append((f"[{name}]", "bold $text-primary"))
            else:
                parts.append((f" {name} ", "$foreground-muted"))
        return Content.assemble(*parts)

    @property
    def names(self) -> list[str]:
        """The names for the present width."""
        for names in (
            [f"{number} {tab.title}" for number, tab in enumerate(TABS, 1)],
            [f"{number} {tab.short}" for number, tab in enumerate(TABS, 1)],
        ):
            if sum(len(name) + 2 for name in names) <= self.size.width:
                return names
        return [
            f"{number + 1} {tab.short}" if number == self.chosen else str(number + 1)
            for number, tab in enumerate(TABS)
        ]

    def on_click(self, event: events.Click) -> None:
        """Choose the tab under the pointer."""
        offset = event.get_content_offset(self)
        if offset is None or self.dragged:
            return
        left = 0
        for number, name in enumerate(self.names):
            if left <= offset.x < left + len(name) + 2:
                self.post_message(self.Chosen(number))
                return
            left += len(name) + 2
