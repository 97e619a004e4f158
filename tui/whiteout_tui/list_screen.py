"""A whole screen with one list: a title above it, and below it a note on the line of the cursor."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from whiteout_tui.actions import Scope, bindings
from whiteout_tui.footer import ActionFooter
from whiteout_tui.linelist import LineList
from whiteout_tui.words import wrap


class ListScreen(Screen[bytes]):
    """Its result is the path of the row to go to."""

    BINDINGS = bindings(Scope.VIEW)
    AUTO_FOCUS = "LineList"

    def compose(self) -> ComposeResult:
        """Title, list, note, footer."""
        yield Static("", id="view-title")
        yield LineList(id="lines")
        yield Static("", id="view-note", markup=False)
        yield ActionFooter()

    def show_title(self, *parts: str | Content | tuple[str, str]) -> None:
        """Show the printable *parts*, some with their style, behind the name of the program."""
        title = Content.assemble(("Whiteout", "bold $text-primary"), "  ", *parts)
        self.query_one("#view-title", Static).update(title)

    def show_note(self, *texts: str) -> None:
        """Show the printable *texts* below the list, whole; each may have several lines."""
        width = max(20, self.size.width - 2)
        lines = [line for text in texts if text for line in text.split("\n")]
        note = "\n".join(piece for line in lines for piece in wrap(line, width))
        self.query_one("#view-note", Static).update(Content(note))

    def on_resize(self) -> None:
        """The note is wrapped anew."""
        self.call_after_refresh(self.on_line_list_moved)

    def on_line_list_moved(self) -> None:
        """Another line is under the cursor."""

    def action_close_view(self) -> None:
        """Back to where the list was opened."""
        self.dismiss()
