"""The detail pane: why the entry under the cursor is what it is."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from whiteout.metadata import Inspection
from whiteout_tui.actions import Scope, bindings
from whiteout_tui.describe import describe
from whiteout_tui.scrolling import ScrollingText
from whiteout_tui.words import wrap


class DetailPane(ScrollingText):
    """Shows one :class:`~whiteout.metadata.Inspection`, or why there is none."""

    BINDINGS = bindings(Scope.DETAIL)

    class Left(Message):
        """The user goes back to the tree."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.path: bytes | None = None
        """The path of the entry that is shown, or could not be."""
        self._inspection: Inspection | None = None
        self._failure: str | None = None

    def compose(self) -> ComposeResult:
        """One text, drawn anew for each width."""
        yield Static("", markup=False, id="detail-text")

    def show(self, inspection: Inspection) -> None:
        """Show *inspection* from its top."""
        same = self.path == inspection.verdict.path
        self.path = inspection.verdict.path
        self._inspection, self._failure = inspection, None
        self._draw()
        if not same:
            self.scroll_home(animate=False)

    def show_failure(self, path: bytes, sentence: str) -> None:
        """Show why there is nothing to show of *path*; *sentence* is printable."""
        self.path = path
        self._inspection, self._failure = None, sentence
        self._draw()
        self.scroll_home(animate=False)

    def on_resize(self) -> None:
        """Draw for the new width."""
        self._draw()

    def _draw(self) -> None:
        width = self.scrollable_content_region.width
        if width < 4:
            return
        if self._inspection is not None:
            content = describe(self._inspection, width)
        elif self._failure is not None:
            lines = "\n".join(wrap(f"! {self._failure}", width))
            content = Content.styled(lines, "$text-error")
        else:
            content = Content("")
        self.query_one("#detail-text", Static).update(content)

    def action_leave_detail(self) -> None:
        """Back to the tree."""
        self.post_message(self.Left())
