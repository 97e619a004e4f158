"""A list of lines, of any length: only those in sight are ever made.

Texts must be printable already: what a stranger chose goes through :mod:`whiteout.display`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from whiteout_tui.actions import Scope, bindings
from whiteout_tui.formats import cropped
from whiteout_tui.lineview import LineView

#: Text with the name of one of the styles of :class:`LineList`, or with an empty name.
Part = tuple[str, str]

_STYLES = (
    "accent",
    "added",
    "deleted",
    "error",
    "heading",
    "modified",
    "muted",
    "unmodified",
    "warning",
)


class Lines(ABC):
    """What a :class:`LineList` shows."""

    @abstractmethod
    def __len__(self) -> int:
        """How many lines there are."""

    @abstractmethod
    def parts(self, number: int, width: int) -> list[Part]:
        """The line *number* from 0; what is wider than *width* cells is cut off."""

    def can_be_chosen(self, number: int) -> bool:
        """Whether the cursor stops at the line."""
        return True


class NoLines(Lines):
    """Nothing."""

    def __len__(self) -> int:
        return 0

    def parts(self, number: int, width: int) -> list[Part]:
        return []


class LineList(LineView):
    """Shows lines with a cursor, which stops at those that can be chosen."""

    SCOPE: ClassVar[Scope] = Scope.LINES
    BINDINGS = bindings(SCOPE)
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "lines--cursor",
        *(f"lines--{style}" for style in _STYLES),
    }

    class Moved(Message):
        """The cursor is on another line, or the lines are others."""

    class Chosen(Message):
        """The line under the cursor was chosen."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines: Lines = NoLines()
        self.cursor: int | None = None
        """The line of the cursor; None where there is none to stop at."""
        self.moved = False
        """Whether the user moved the cursor."""
        self._styles: dict[str, Style] = {}

    def show(self, lines: Lines, cursor: int | None = None) -> None:
        """Show *lines*; the cursor goes to *cursor*, or stays about where it is."""
        self.lines = lines
        wanted = cursor if cursor is not None else self.cursor or 0
        self.cursor = self._nearest(min(wanted, len(lines) - 1), 1)
        self.virtual_size = Size(self.scrollable_content_region.width, len(lines))
        self._keep_in_sight()
        self.refresh()
        self.post_message(self.Moved())

    def move_to(self, number: int) -> None:
        """Put the cursor on the line *number*, or on one near to it."""
        down = self.cursor is None or number >= self.cursor
        found = self._nearest(max(0, min(number, len(self.lines) - 1)), 1 if down else -1)
        if found is not None and found != self.cursor:
            before, self.cursor = self.cursor, found
            self.moved = True
            self._keep_in_sight()
            for line in (before, found):
                if line is not None:
                    self.refresh_line(line)
            self.post_message(self.Moved())

    def next_section(self, step: int) -> None:
        """Go to the first line behind the next heading, or with *step* -1 before the cursor's."""
        number = self.cursor
        if number is None:
            return
        while 0 <= number < len(self.lines) and self.lines.can_be_chosen(number):
            number += step
        if step < 0:
            while number > 0 and not self.lines.can_be_chosen(number):
                number -= 1
            while number > 0 and self.lines.can_be_chosen(number - 1):
                number -= 1
        if not 0 <= number < len(self.lines):
            number = 0
        found = self._nearest(number, 1)
        if found is not None:
            self.move_to(found)
            self.scroll_to(y=self._heading_of(found), animate=False, immediate=True)

    def _heading_of(self, number: int) -> int:
        """The first line of the heading above *number*, after the empty one."""
        while number > 0 and not self.lines.can_be_chosen(number - 1):
            number -= 1
        return number + 1 if number > 0 else 0

    def _nearest(self, number: int, step: int) -> int | None:
        """The closest line to stop at from *number* on, in the direction of *step* at first."""
        for direction in (step, -step):
            place = number
            while 0 <= place < len(self.lines):
                if self.lines.can_be_chosen(place):
                    return place
                place += direction
        return None

    def _keep_in_sight(self) -> None:
        if self.cursor is None:
            return
        height = max(1, self.scrollable_content_region.height)
        top = self.scroll_offset.y
        first = self._first_in_sight(self.cursor)
        if first < top:
            self.scroll_to(y=first, animate=False, immediate=True)
        elif self.cursor >= top + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False, immediate=True)

    def _first_in_sight(self, cursor: int) -> int:
        """The line that is to be seen with that of the *cursor*: headings above the first one."""
        return 0 if cursor == self._nearest(0, 1) else cursor

    @property
    def _page(self) -> int:
        return max(2, self.scrollable_content_region.height) - 1

    def action_line_up(self) -> None:
        """One line up."""
        self.move_to((self.cursor or 0) - 1)

    def action_line_down(self) -> None:
        """One line down."""
        self.move_to((self.cursor or 0) + 1)

    def action_lines_up(self) -> None:
        """One page up."""
        self.move_to((self.cursor or 0) - self._page)

    def action_lines_down(self) -> None:
        """One page down."""
        self.move_to((self.cursor or 0) + self._page)

    def action_first_line(self) -> None:
        """To the first line."""
        self.move_to(0)

    def action_last_line(self) -> None:
        """To the last line."""
        self.move_to(len(self.lines) - 1)

    def action_choose(self) -> None:
        """Choose the line under the cursor."""
        if self.cursor is not None:
            self.post_message(self.Chosen())

    def on_click(self, event: events.Click) -> None:
        """A click sets the cursor; a second one chooses."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        number = offset.y + self.scroll_offset.y
        if number < len(self.lines) and self.lines.can_be_chosen(number):
            self.move_to(number)
            if event.chain == 2:
                self.action_choose()

    def on_resize(self) -> None:
        """Keep the cursor in sight."""
        self.virtual_size = Size(self.scrollable_content_region.width, len(self.lines))
        self._keep_in_sight()

    def notify_style_update(self) -> None:
        """Forget the styles of the theme before."""
        self._styles.clear()
        super().notify_style_update()

    def _style(self, name: str) -> Style:
        style = self._styles.get(name)
        if style is None:
            style = self.get_component_rich_style(f"lines--{name}", partial=name == "cursor")
            if name != "cursor":
                style = Style(color=style.color, bold=style.bold, dim=style.dim)
            self._styles[name] = style
        return style

    def draw(self, number: int, width: int, base: Style) -> Strip:
        """The line *number*."""
        if number >= len(self.lines):
            return Strip.blank(width, base)
        if number == self.cursor:
            base += self._style("cursor")
        segments = []
        room = width
        for text, style in self.lines.parts(number, width):
            text = cropped(text, room)
            room -= cell_len(text)
            segments.append(Segment(text, base + self._style(style) if style else base))
        return Strip(segments).adjust_cell_length(width, base)
