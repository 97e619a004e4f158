"""Lines of which only those in sight are drawn, and each of them once.

When Textual scrolls a view it draws all of it anew. Here a line that stays in sight is taken as it
was drawn, so that a scroll costs little more than the line that comes into sight.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple, Self

from rich.style import Style
from textual.filter import LineFilter
from textual.geometry import Region
from textual.reactive import Reactive
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollBar
from textual.strip import Strip


class Paper(NamedTuple):
    """What lines are drawn on."""

    left: int
    """Cells of padding."""
    room: int
    """Cells between the padding and the scroll bar."""
    width: int
    """Cells in all."""
    style: Style
    filters: tuple[LineFilter, ...]
    """What the app makes of every line."""


#: A scroll bar shows its place in eighths of a cell.
_STEPS = 8


class LineView(ScrollView, can_focus=True):
    """A view with no border and padded only at its sides; a line is drawn when it was refreshed."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._drawn: dict[int, Strip] = {}
        self._paper: Paper | None = None

    @abstractmethod
    def draw(self, number: int, width: int, base: Style) -> Strip:
        """The line *number* from 0, or behind the last one, in *width* cells."""

    @property
    def vertical_scrollbar(self) -> ScrollBar:
        """A bar that is drawn when its thumb has moved, and made when it is first asked for."""
        if self._vertical_scrollbar is None:
            bar = ThumbBar(name="vertical", thickness=self.scrollbar_size_vertical)
            bar.display = False
            self._vertical_scrollbar = bar
            self.app._start_widget(self, bar)
        return self._vertical_scrollbar

    def refresh(
        self,
        *regions: Region,
        repaint: bool = True,
        layout: bool = False,
        recompose: bool = False,
    ) -> Self:
        """Draw every line anew; with *regions* these are only shown again."""
        if not regions:
            self._drawn.clear()
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def refresh_line(self, y: int) -> None:
        """Draw the line *y* anew."""
        self._drawn.pop(y, None)
        super().refresh_line(y)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Show other lines; those that go out of sight are forgotten, as nobody refreshes them."""
        top = self.scroll_offset.y
        sight = range(top, top + self.size.height)
        self._drawn = {number: line for number, line in self._drawn.items() if number in sight}
        super().watch_scroll_y(old_value, new_value)

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines in sight, as far as *crop* has them."""
        paper = Paper(
            self.styles.padding.left,
            self.scrollable_content_region.width,
            self.outer_size.width,
            self.rich_style,
            tuple(self.get_line_filters()),
        )
        if paper != self._paper:
            self._paper = paper
            self._drawn.clear()
        top = self.scroll_offset.y + crop.y
        lines = [self._line(number, paper) for number in range(top, top + crop.height)]
        if crop.column_span != (0, paper.width):
            lines = [line.crop(*crop.column_span) for line in lines]
        return lines

    def _line(self, number: int, paper: Paper) -> Strip:
        line = self._drawn.get(number)
        if line is None:
            line = self.draw(number, paper.room, paper.style)
            if paper.left:
                line = Strip.join([Strip.blank(paper.left, paper.style), line])
            line = line.adjust_cell_length(paper.width, paper.style)
            for line_filter in paper.filters:
                line = line.apply_filter(line_filter, self.background_colors[1])
            self._drawn[number] = line
        return line


class ThumbBar(ScrollBar):
    """A scroll bar that is not drawn again for a line among a million."""

    position: Reactive[float] = Reactive(0.0, repaint=False)

    def watch_position(self, old: float, new: float) -> None:
        """Draw the bar if it looks different."""
        if self._thumb(old) != self._thumb(new):
            self.refresh()

    def _thumb(self, position: float) -> int:
        """Where the thumb begins, in the steps in which it is drawn."""
        height = self.size.height
        hidden = self.window_virtual_size - self.window_size
        if hidden <= 0:
            return 0
        thumb = max(1.0, height * self.window_size / self.window_virtual_size)
        return int((height - thumb) * position / hidden * _STEPS)
