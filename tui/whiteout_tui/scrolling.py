"""A text that is scrolled by the keyboard, without animation."""

from __future__ import annotations

from textual.containers import VerticalScroll

from whiteout_tui.actions import Scope, bindings


class ScrollingText(VerticalScroll, can_focus=True):
    """Scrolls with the same keys as the tree moves."""

    BINDINGS = bindings(Scope.TEXT)

    def action_scroll_line_up(self) -> None:
        """One line up."""
        self.scroll_up(animate=False)

    def action_scroll_line_down(self) -> None:
        """One line down."""
        self.scroll_down(animate=False)

    def action_scroll_page_up(self) -> None:
        """One page up."""
        self.scroll_page_up(animate=False)

    def action_scroll_page_down(self) -> None:
        """One page down."""
        self.scroll_page_down(animate=False)

    def action_scroll_top(self) -> None:
        """To the top."""
        self.scroll_home(animate=False)

    def action_scroll_bottom(self) -> None:
        """To the end."""
        self.scroll_end(animate=False)
