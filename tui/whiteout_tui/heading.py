"""The line above the tree: what its columns are, and by which of them it is sorted."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from whiteout_tui.ordering import NAMES_FIRST, Order, SortKey

_TITLES = (
    (SortKey.KIND, " k", "flag"),
    (SortKey.SIZE, "   size", " "),
    (SortKey.NAME, "name", ""),
)


class Heading(Static):
    """Names the columns of the tree, with an arrow at the one it is sorted by."""

    class Clicked(Message):
        """The title of a column was clicked."""

        def __init__(self, key: SortKey) -> None:
            super().__init__()
            self.key = key

    def __init__(self) -> None:
        super().__init__(_content(NAMES_FIRST), id="heading")

    def show(self, order: Order) -> None:
        """Show the *order* of the tree."""
        self.update(_content(order))

    def on_click(self, event: events.Click) -> None:
        """Tell which column was clicked."""
        end = 0
        for key, title, rest in _TITLES:
            end += len(title) + 1 + len(rest)
            if event.x < end or key is SortKey.NAME:
                self.post_message(self.Clicked(key))
                return


def _content(order: Order) -> Content:
    parts: list[Content | tuple[str, str]] = []
    for key, title, rest in _TITLES:
        sorted_by = key is order.key
        parts.append((title, "bold" if sorted_by and order != NAMES_FIRST else ""))
        parts.append((order.arrow if sorted_by else " ", "bold"))
        parts.append((rest, ""))
    return Content.assemble(*parts)
