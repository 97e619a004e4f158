"""Courtesy of threads: they stand back while the app answers a key.

All threads of Python share one lock. Without this, a key that is pressed while a snapshot is read,
counted or exported waits for it again and again: the thread that reads the terminal, the one that
draws and the one that writes each have to get it. The work in the background asks its token at
every entry and at every chunk anyway, so that is where it waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from whiteout.cancel import CancelToken

#: The longest that work stands back for one key, in seconds: it goes on even if none is answered.
MOST = 0.1
#: What is still to be drawn after the first answer to a key takes about so long, in seconds.
REST = 0.02


class Courtesy:
    """Until when work in the background stands back; *now* is a clock in seconds."""

    __slots__ = ("_now", "until")

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self.until = 0.0

    def begin(self) -> None:
        """A key has come."""
        self.until = self._now() + MOST

    def answered(self) -> None:
        """What the key does is on the screen, but for a rest."""
        self.until = min(self.until, self._now() + REST)

    def stand_back(self, token: CancelToken) -> None:
        """Wait, in a thread, until the key is answered or *token* is cancelled."""
        while not token.cancelled and (left := self.until - self._now()) > 0:
            time.sleep(min(left, 0.005))


#: The courtesy of every thread of this process.
COURTESY = Courtesy()


class PoliteToken(CancelToken):
    """A token whose holder stands back at each :meth:`check` while a key is answered."""

    __slots__ = ()

    def check(self) -> None:
        """As :meth:`CancelToken.check`, after the key."""
        if COURTESY.until > time.monotonic():
            COURTESY.stand_back(self)
        super().check()
