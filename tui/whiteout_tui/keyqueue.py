"""Keys one after the other: the next one is dispatched when the one before has done what it does.

Textual forwards a key to what has the focus as soon as it arrives, and runs its action only when
the key has come back up to the app. Of keys typed in a burst, those after one that opens a screen
or a field would still go to what is left by then.

What a key does is over when whatever was posted on its way has been dealt with. That is found out
by following it: a call is queued behind it in the widget that it went to, then in the parent of
that, and so on up to the app. Keys that only move a cursor and letters typed into a field lead
nowhere else, so nothing waits for them: a key that is held down costs no more than before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

from textual import events
from textual.app import App
from textual.dom import DOMNode
from textual.events import Event
from textual.timer import Timer
from textual.widgets import Input

from whiteout_tui.form import FormField

#: Keys that never change what has the focus, whatever has it but a field of a dialog.
_MOVING = frozenset({"up", "down", "k", "j", "pageup", "pagedown", "ctrl+u", "ctrl+d"})

#: How often it is looked whether a key still gets on, in seconds.
_LOOK_EVERY = 0.25
#: After so many looks at no progress the next key goes on regardless.
_PATIENCE = 4
#: How often the focus may move on after one key: to a screen, from there to another, and so on.
_MOST_STEPS = 5


class KeyQueue:
    """Gives what is typed and clicked to *dispatch*, in order; a key waits for the one before."""

    def __init__(self, app: App[None], dispatch: Callable[[Event], Awaitable[None]]) -> None:
        self._app = app
        self._dispatch = dispatch
        self._waiting: deque[Event] = deque()
        self._turn = 0
        self._busy = False
        self._watch: Timer | None = None
        self._looks = 0

    @staticmethod
    def takes(event: Event) -> bool:
        """Whether *event* comes from the keyboard or the mouse, and was not dispatched yet."""
        return isinstance(event, events.InputEvent | events.Paste) and not event.is_forwarded

    async def take(self, event: Event) -> None:
        """Dispatch *event*, at once or when it is its turn."""
        self._waiting.append(event)
        if not self._busy:
            await self._go_on()
        elif self._watch is None:
            self._looks = 0
            self._watch = self._app.set_interval(_LOOK_EVERY, self._look)

    async def _go_on(self) -> None:
        """Dispatch what waits, up to the first key."""
        self._busy = False
        while self._waiting and not self._busy:
            event = self._waiting.popleft()
            target = self._target
            if _stays(event, target):
                await self._dispatch(event)
                continue
            self._busy = True
            self._turn += 1
            self._looks = 0
            await self._dispatch(event)
            self._follow(target, partial(self._acted, self._turn, target, 0))
        if not self._waiting and self._watch is not None:
            self._watch.stop()
            self._watch = None

    @property
    def _target(self) -> DOMNode:
        """Where a key goes first."""
        return self._app.focused or self._app.screen

    def _follow(self, node: DOMNode | None, then: Callable[[], Awaitable[None]]) -> None:
        """Call *then* when *node* and all above it have dealt with what they were given so far."""
        while node is not None and node is not self._app:
            above = node.parent
            if node.call_later(self._follow, above, then):
                return
            node = above
        self._app.call_later(then)

    async def _acted(self, turn: int, target: DOMNode, steps: int) -> None:
        """*target* has dealt with the key, or with what followed from it: go on from there."""
        if turn != self._turn:
            return
        self._looks = 0
        following = self._target if steps else target
        if (steps and following is target) or steps > _MOST_STEPS:
            await self._go_on()
        else:
            self._follow(following, partial(self._acted, turn, following, steps + 1))

    async def _look(self) -> None:
        """Go on without the key that was dispatched last, when nothing is heard of it."""
        self._looks += 1
        if self._looks >= _PATIENCE:
            self._turn += 1
            await self._go_on()


def _stays(event: Event, target: DOMNode) -> bool:
    """Whether *event* leaves the focus where it is; a click may not, but who clicks takes time."""
    if isinstance(event, events.Key):
        moves = event.key in _MOVING and not isinstance(target, FormField)
        return moves or (isinstance(target, Input) and event.is_printable)
    return isinstance(event, events.MouseEvent)
