"""Cancellation: one token, asked at every entry and at every chunk."""

from __future__ import annotations

from whiteout.errors import Cancelled


class CancelToken:
    """Tells a running operation that nobody wants its result any more. Safe between threads."""

    __slots__ = ("cancelled",)

    def __init__(self) -> None:
        self.cancelled = False
        """Whether :meth:`cancel` was called."""

    def cancel(self) -> None:
        """Ask the operation to stop."""
        self.cancelled = True

    def check(self) -> None:
        """Raise :class:`~whiteout.errors.Cancelled` when the token was cancelled."""
        if self.cancelled:
            raise Cancelled("cancelled")


#: For callers that never cancel.
NEVER = CancelToken()
