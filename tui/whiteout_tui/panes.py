"""The tree and the detail: how they share the screen, and what is folded where it is too small."""

from __future__ import annotations

from textual import events
from textual.containers import Container
from textual.geometry import Offset
from textual.message import Message
from textual.widget import Widget

from whiteout_tui.state import state_of


class Handle(Widget):
    """Something that is dragged with the mouse to size the panes beside it."""

    ALLOW_SELECT = False

    class Dragged(Message):
        """The handle is to be where the pointer is, at *place* of the screen."""

        def __init__(self, place: Offset) -> None:
            super().__init__()
            self.place = place

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.dragged = False
        """Whether the button that was pressed last has moved the handle."""
        self._held = False

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Follow the pointer from here on."""
        self.dragged = False
        self._held = event.button == 1
        if self._held:
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Tell where the handle is to be."""
        if self._held:
            self.dragged = True
            self.post_message(self.Dragged(event.screen_offset))

    def on_mouse_up(self) -> None:
        """Follow the pointer no more."""
        self.let_go()

    def on_mouse_release(self) -> None:
        """Something else has the mouse."""
        self._held = False

    def let_go(self) -> None:
        """Give the mouse back."""
        if self._held:
            self._held = False
            self.release_mouse()


class Divider(Handle):
    """The line between panes that are side by side."""

    def render(self) -> str:
        """Nothing but the line, which is a border."""
        return ""


class Panes(Container):
    """Holds ``#tree-pane``, a :class:`Divider` and ``#detail``.

    They are side by side on a screen of the class ``-wide``, else one above the other; and on one
    that is ``-low`` as well, one instead of the other.
    """

    @property
    def are_beside(self) -> bool:
        """Whether the panes are side by side."""
        return self.screen.has_class("-wide")

    @property
    def only_one(self) -> bool:
        """Whether there is room for one of them only."""
        return self.screen.has_class("-low") and not self.are_beside

    @property
    def shows_detail(self) -> bool:
        """Whether the detail is on the screen."""
        if self.only_one:
            return self.has_class("-detailed")
        return not self.has_class("-folded")

    def show_detail(self) -> None:
        """Bring the detail, where there is no room in place of the tree."""
        self._fold(False)
        self.add_class("-detailed")

    def show_tree(self) -> None:
        """Bring the tree back, if the detail is in its place."""
        self.remove_class("-detailed")

    def fold_detail(self) -> None:
        """Take the detail away."""
        if not self.only_one:
            self._fold(True)
        self.remove_class("-detailed")

    def _fold(self, folded: bool) -> None:
        state_of(self.app).folded = folded
        self.set_class(folded, "-folded")

    # The sizes

    def divide(self, by: int = 0) -> None:
        """Give the tree so many percent more of the room for both."""
        state = state_of(self.app)
        self._set_share(state.share(self.are_beside) + by)

    def _set_share(self, share: int) -> None:
        beside = self.are_beside
        state = state_of(self.app)
        state.set_share(beside, share)
        share = state.share(beside)
        for selector, part in (("#tree-pane", share), ("#detail", 100 - share)):
            styles = self.query_one(selector).styles
            if beside:
                styles.width = f"{part}fr"
            else:
                styles.height = f"{part}fr"

    def on_resize(self) -> None:
        """Side by side, the panes are divided otherwise than one above the other."""
        self.call_after_refresh(self.adapt)

    def adapt(self) -> None:
        """Divide the panes as they stand now."""
        for selector in ("#tree-pane", "#detail"):
            styles = self.query_one(selector).styles
            styles.clear_rule("width")
            styles.clear_rule("height")
        self.divide()

    def on_handle_dragged(self, dragged: Handle.Dragged) -> None:
        """Size the panes so that the handle is under the pointer."""
        dragged.stop()
        place = dragged.place - self.region.offset
        if self.are_beside:
            self._set_share(round(100 * place.x / max(1, self.size.width)))
        elif not self.only_one:
            self._set_share(round(100 * place.y / max(1, self.size.height)))
