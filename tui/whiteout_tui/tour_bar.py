"""The guided tour on the screen: what the present step says, and the way to the next."""

from __future__ import annotations

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from whiteout_tui.actions import Scope, bindings
from whiteout_tui.detail.tabs import TABS
from whiteout_tui.tour import Step
from whiteout_tui.words import wrap

_BUTTONS = (("◂ back", "previous_step"), ("next ▸", "next_step"), ("✕ end", "end_tour"))
_GAP = 2


class TourBar(Widget, can_focus=True):
    """Shows the steps, one after the other; not on the screen while there is no tour."""

    BINDINGS = bindings(Scope.TOUR)
    ALLOW_SELECT = False

    class Reached(Message):
        """The tour is at *step*."""

        def __init__(self, step: Step) -> None:
            super().__init__()
            self.step = step

    class Ended(Message):
        """The tour is over."""

    def __init__(self) -> None:
        super().__init__(classes="-empty")
        self._steps: tuple[Step, ...] = ()
        self._number = 0

    @property
    def step(self) -> Step | None:
        """The present step; None while there is no tour."""
        return self._steps[self._number] if self._steps else None

    def begin(self, steps: tuple[Step, ...]) -> None:
        """Begin with the first of *steps*; a tour that is under way goes on where it is."""
        if not self._steps:
            self._steps, self._number = steps, 0
            self.remove_class("-empty")
        self._reach(0)

    def _reach(self, by: int) -> None:
        self._number = max(0, min(self._number + by, len(self._steps) - 1))
        self.refresh(layout=True)
        if self.step is not None:
            self.post_message(self.Reached(self.step))

    def action_next_step(self) -> None:
        """To the next step; behind the last the tour ends."""
        if self._number + 1 < len(self._steps):
            self._reach(1)
        else:
            self.action_end_tour()

    def action_previous_step(self) -> None:
        """To the step before."""
        self._reach(-1)

    def action_end_tour(self) -> None:
        """Leave the tour."""
        self._steps = ()
        self.add_class("-empty")
        self.post_message(self.Ended())

    def _lines(self, width: int) -> list[str]:
        step = self.step
        return wrap(step.text, width) if step is not None else []

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as the step takes, so that nothing moves from step to step."""
        return 1 + max((len(wrap(step.text, width)) for step in self._steps), default=0)

    def render(self) -> Content:
        """Number and title, where to look, the buttons, the text."""
        step = self.step
        width = self.content_size.width
        if step is None or not width:
            return Content("")
        title = f"Tour {self._number + 1}/{len(self._steps)}: {step.title}"
        look = "the tree" if step.tab is None else f"{step.tab + 1} {TABS[step.tab].title}"
        room = width - _width_of_buttons() - cell_len(title) - _GAP
        look = f"  look at {look}" if room >= cell_len(look) + 10 else ""
        gap = " " * max(1, width - cell_len(title) - cell_len(look) - _width_of_buttons())
        head = Content.assemble(
            (title, "bold"), (look, "$foreground-muted"), gap, (_buttons(), "bold $text-primary")
        )
        return Content("\n").join([head, *map(Content, self._lines(width))])

    def on_click(self, event: events.Click) -> None:
        """Press the button under the pointer."""
        offset = event.get_content_offset(self)
        if offset is None or offset.y:
            return
        left = self.content_size.width - _width_of_buttons()
        for name, action in _BUTTONS:
            if left <= offset.x < left + cell_len(name):
                getattr(self, f"action_{action}")()
                return
            left += cell_len(name) + _GAP


def _buttons() -> str:
    return (" " * _GAP).join(name for name, _ in _BUTTONS)


def _width_of_buttons() -> int:
    return cell_len(_buttons())
