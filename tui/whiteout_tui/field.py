"""A line to type into: nothing that cannot be seen gets into it, not even by pasting."""

from __future__ import annotations

from textual.widgets import Input

from whiteout_tui.form import FORM_BINDINGS, FormField


class Field(Input):
    """An input that drops what is not printable; a terminal might carry it out."""

    def validate_value(self, value: str) -> str:
        """Only what can be seen."""
        return "".join(filter(str.isprintable, value))


class DialogField(Field, FormField):
    """One of several in a dialog, which Enter belongs to."""

    BINDINGS = FORM_BINDINGS

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing is submitted but the dialog."""
        if action == "submit":
            return False
        return super().check_action(action, parameters)
