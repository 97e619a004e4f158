"""A list of lines under headings: Textual's line API, so that thousands of lines cost nothing."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from whiteout_tui.actions import Scope, bindings

#: The styles that a part of a line may have.
_STYLES = ("plain", "name", "heading", "muted", "bad", "doubtful", "marked")


@dataclass(frozen=True, slots=True)
class ListRow:
    """One line of printable parts, each with the name of its style.

    ``key`` tells lines apart when they are listed again; a heading has none and cannot be picked.
    """

    parts: tuple[tuple[str, str], ...]
    key: Hashable = None

    @property
    def is_heading(self) -> bool:
        """Whether it cannot be picked."""
        return self.key is None


class RowList(ScrollView, can_focus=True):
    """Lines with a cursor, which passes over headings."""

    BINDINGS = bindings(Scope.LIST)
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "list--cursor",
        *(f"list--{style}" for style in _STYLES),
    }

    class Moved(Message):
        """The cursor is on another line, or there are other lines."""

    class Activated(Message):
        """The line under the cursor was clicked twice."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.rows: Sequence[ListRow] = ()
        self.cursor = 0
        self._lost: Hashable = None
        self._styles: dict[str, Style] = {}

    @property
    def picked(self) -> Hashable:
        """The key of the line under the cursor, None where there is none."""
        return self.rows[self.cursor].key if self.cursor < len(self.rows) else None

    def show(self, rows: Sequence[ListRow]) -> None:
        """Show *rows* instead; the cursor stays with its line, or goes back to it when it comes."""
        key = self.picked if self._lost is None else self._lost
        self.rows = rows
        self.virtual_size = Size(self.scrollable_content_region.width, len(rows))
        places = (place for place, row in enumerate(rows) if row.key == key and key is not None)
        place = next(places, None)
        self._lost = key if place is None else None
        self.cursor = self._nearest(self.cursor, 1) if place is None else place
        self._keep_in_sight()
        self.refresh()
        self.post_message(self.Moved())

    # The cursor

    def _nearest(self, place: int, step: int) -> int:
        """The first line from *place* on in the direction of *step* that can be picked."""
        last = len(self.rows) - 1
        for direction in (step, -step):
            found = max(0, min(place, last))
            while 0 <= found <= last:
                if not self.rows[found].is_heading:
                    return found
                found += direction
        return 0

    def _go(self, place: int, step: int) -> None:
        self._lost = None
        before, self.cursor = self.cursor, self._nearest(place, step)
        self._keep_in_sight()
        self.refresh_line(before)
        self.refresh_line(self.cursor)
        if before != self.cursor:
            self.post_message(self.Moved())

    def _keep_in_sight(self) -> None:
        height = max(1, self.scrollable_content_region.height)
        top = self.scroll_offset.y
        first = self.cursor
        while first > 0 and self.rows[first - 1].is_heading:  # its heading as well
            first -= 1
        if first < top:
            self.scroll_to(y=first, animate=False, immediate=True)
        elif self.cursor >= top + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False, immediate=True)

    def _page(self) -> int:
        return max(1, self.scrollable_content_region.height - 1)

    def action_line_up(self) -> None:
        """One line up."""
        self._go(self.cursor - 1, -1)

    def action_line_down(self) -> None:
        """One line down."""
        self._go(self.cursor + 1, 1)

    def action_list_page_up(self) -> None:
        """One page up."""
        self._go(self.cursor - self._page(), -1)

    def action_list_page_down(self) -> None:
        """One page down."""
        self._go(self.cursor + self._page(), 1)

    def action_list_first(self) -> None:
        """To the first line."""
        self._go(0, 1)

    def action_list_last(self) -> None:
        """To the last line."""
        self._go(len(self.rows) - 1, -1)

    def on_click(self, event: events.Click) -> None:
        """A click sets the cursor; a second one activates the line."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        place = offset.y + self.scroll_offset.y
        if place >= len(self.rows) or self.rows[place].is_heading:
            return
        self._go(place, 1)
        if event.chain == 2:
            self.post_message(self.Activated())

    # Drawing

    def on_resize(self) -> None:
        """Keep the cursor in sight."""
        self.virtual_size = Size(self.scrollable_content_region.width, len(self.rows))
        self._keep_in_sight()

    def notify_style_update(self) -> None:
        """Forget the styles of the theme before."""
        self._styles.clear()
        super().notify_style_update()

    def _style(self, name: str) -> Style:
        style = self._styles.get(name)
        if style is None:
            partial = name == "cursor"
            style = self.get_component_rich_style(f"list--{name}", partial=partial)
            if not partial:
                style = Style(color=style.color, bold=style.bold, dim=style.dim)
            self._styles[name] = style
        return style

    def render_line(self, y: int) -> Strip:
        """The line *y* of what is in sight."""
        width = self.scrollable_content_region.width
        place = y + self.scroll_offset.y
        if place >= len(self.rows):
            return Strip.blank(width, self.rich_style)
        base = self.rich_style
        if place == self.cursor and not self.rows[place].is_heading:
            base += self._style("cursor")
        segments = []
        room = width
        for text, style in self.rows[place].parts:
            shown = _crop(text, room)
            room -= cell_len(shown)
            segments.append(Segment(shown, base + self._style(style)))
        return Strip(segments).adjust_cell_length(width, base)


def _crop(text: str, room: int) -> str:
    if room <= 0:
        return ""
    if cell_len(text) <= room:
        return text
    return set_cell_size(text, room - 1).rstrip() + "…"
