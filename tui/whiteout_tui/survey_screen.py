"""What the screens over a whole snapshot have in common: a title with the state, and a list."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from whiteout.survey import Survey
from whiteout_tui.actions import Scope, bindings
from whiteout_tui.footer import ActionFooter
from whiteout_tui.linelist import LineList
from whiteout_tui.surveying import Surveyed, Surveyor
from whiteout_tui.words import wrap


class SurveyScreen(Screen[bytes]):
    """Shows something of the survey of a snapshot, which may still be going on.

    The result of the screen is the path of the row to go to.
    """

    BINDINGS = [*bindings(Scope.SURVEY), *bindings(Scope.VIEW)]  # noqa: RUF012 - as Textual has it
    AUTO_FOCUS = "LineList"
    NAME = ""

    def __init__(self, surveyor: Surveyor, label: str) -> None:
        super().__init__()
        self._surveyor = surveyor
        self._label = label
        self._ready = False

    @property
    def known(self) -> Surveyed:
        """What is known by now."""
        return self._surveyor.known

    def compose(self) -> ComposeResult:
        """Title, list, explanation, footer."""
        yield Static("", id="view-title")
        yield LineList(id="lines")
        yield Static("", id="view-note", markup=False)
        yield ActionFooter()

    def on_mount(self) -> None:
        """Show what is known."""
        self._ready = True
        self.show()

    def show(self) -> None:
        """Show what is known by now."""
        if not self._ready:
            return
        self.query_one("#view-title", Static).update(
            Content.assemble(
                ("Whiteout", "bold $text-primary"),
                "  ",
                (self._label, "bold"),
                f"  {self.NAME}  ",
                self._state(),
            )
        )
        self.show_lines()

    def _state(self) -> Content:
        found = self.known.survey
        if self.known.problem is not None:
            return Content.styled(f"! not complete: {self.known.problem}; c counts", "$text-error")
        if not found.walked:
            return Content.styled(
                f"… not complete: {found.totals.entries:,} entries so far; c cancels",
                "$text-warning",
            )
        return self.state_after_walk(found)

    def state_after_walk(self, found: Survey) -> Content:
        """The state once everything is counted."""
        return Content.styled("✓ complete", "$text-success")

    def show_lines(self) -> None:
        """Show the lines of :attr:`known`."""
        raise NotImplementedError

    def show_note(self, text: str) -> None:
        """Show the printable *text* below the list, whole."""
        note = self.query_one("#view-note", Static)
        note.update(Content("\n".join(wrap(text, max(20, self.size.width - 2)))))

    def on_resize(self) -> None:
        """The note is wrapped anew."""
        self.call_after_refresh(self.on_line_list_moved)

    def on_line_list_moved(self) -> None:
        """Another line is under the cursor."""

    def action_next_section(self) -> None:
        """To the first line of the next part of the list; from the last one to the first."""
        self.query_one(LineList).next_section(1)

    def action_previous_section(self) -> None:
        """To the first line of the part before."""
        self.query_one(LineList).next_section(-1)

    def action_toggle_walk(self) -> None:
        """Cancel the walk, or begin it again."""
        self._surveyor.toggle()

    def action_close_view(self) -> None:
        """Back to the tree."""
        self.dismiss()
