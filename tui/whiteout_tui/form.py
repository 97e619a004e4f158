"""A dialog with fields that are filled in one after the other."""

from __future__ import annotations

from typing import TypeVar

from textual.screen import ModalScreen

from whiteout_tui.actions import Scope, bindings

Result = TypeVar("Result")


class FormScreen(ModalScreen[Result]):
    """Goes from field to field, with the arrows as with tab."""

    BINDINGS = bindings(Scope.FORM)

    def action_next_field(self) -> None:
        """To the next field."""
        self.focus_next()

    def action_previous_field(self) -> None:
        """To the field before."""
        self.focus_previous()
