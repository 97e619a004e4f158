"""Fields of a dialog, which are filled in one after the other."""

from __future__ import annotations

from typing import cast

from textual.widget import Widget

from whiteout_tui.actions import Scope, bindings

FORM_BINDINGS = bindings(Scope.FORM)


class FormField:
    """What a widget does with :data:`FORM_BINDINGS`: the arrows leave it, as tab does."""

    def action_next_field(self) -> None:
        """To the next field."""
        cast(Widget, self).screen.focus_next()

    def action_previous_field(self) -> None:
        """To the field before."""
        cast(Widget, self).screen.focus_previous()
