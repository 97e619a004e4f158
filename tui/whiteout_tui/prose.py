"""Sentences on the screen, of which a mark such as ``!`` stays with what it marks."""

from __future__ import annotations

from textual.content import Content
from textual.geometry import Size
from textual.widgets import Static

from whiteout_tui.words import wrapped


class Prose(Static):
    """A :class:`Static` of a ``Content`` whose lines are those of :func:`whiteout_tui.words.wrap`.

    Textual leaves a mark alone on its line where a long path follows.
    """

    def _lines(self, width: int) -> Content:
        content = self.content
        return wrapped(content, width) if isinstance(content, Content) else Content(str(content))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as it takes."""
        return 1 + self._lines(width).plain.count("\n")

    def render(self) -> Content:
        """The sentences for the present width."""
        return self._lines(self.content_size.width)
