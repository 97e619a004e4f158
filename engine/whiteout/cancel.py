"""Cancellation: one token, asked at every entry and at every chunk."""

from __future__ import annotations

import threading

from whiteout.errors import Cancelled


class CancelToken:
    """Tells a running operation that nobody wants its result any more. Safe between threads."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the operation to stop."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise :class:`~whiteout.errors.Cancelled` when the token was cancelled."""
        if self._event.is_set():
            raise Cancelled("cancelled")


#: For callers that never cancel.
NEVER = CancelToken()
