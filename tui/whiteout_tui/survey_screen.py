"""What the screens over a whole snapshot have in common: a title with the state, and a list."""

from __future__ import annotations

from textual.content import Content

from whiteout.survey import Survey
from whiteout_tui.actions import Scope, bindings
from whiteout_tui.linelist import LineList
from whiteout_tui.list_screen import ListScreen
from whiteout_tui.surveying import Surveyed, Surveyor


class SurveyScreen(ListScreen):
    """Shows something of the survey of a snapshot, which may still be going on."""

    BINDINGS = bindings(Scope.SURVEY)
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

    def on_mount(self) -> None:
        """Show what is known."""
        self._ready = True
        self.show()

    def show(self) -> None:
        """Show what is known by now."""
        if not self._ready:
            return
        self.show_title((self._label, "bold"), f"  {self.NAME}  ", self._state())
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

    def action_next_section(self) -> None:
        """To the first line of the next part of the list; from the last one to the first."""
        self.query_one(LineList).next_section(1)

    def action_previous_section(self) -> None:
        """To the first line of the part before."""
        self.query_one(LineList).next_section(-1)

    def action_toggle_walk(self) -> None:
        """Cancel the walk, or begin it again."""
        self._surveyor.toggle()
