"""Reading a snapshot for the tree, directory by directory, in batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from whiteout.cancel import CancelToken
from whiteout.errors import ReadError
from whiteout.snapshot import Snapshot
from whiteout.verdicts import Verdict
from whiteout_tui.rowdata import Batch, RowData, row_of
from whiteout_tui.words import words_of

_MOST_ROWS = 1000
_MOST_LISTINGS = 30
_PATIENCE = 0.05
_LOOK_EVERY = 32


@dataclass(frozen=True, slots=True)
class Listing:
    """Some or all entries of one directory.

    ``whole`` tells that no more follow; ``error`` says why there are no more.
    """

    path: bytes
    batch: Batch | None
    whole: bool
    error: str | None = None


Send = Callable[[list[Listing]], None]


@dataclass(slots=True)
class _Sender:
    """Gathers listings until there are enough, or until they are waited for."""

    send: Send
    token: CancelToken
    waiting: list[Listing] = field(default_factory=list)
    rows: int = 0
    sent: float = 0.0  # so that the first is not kept waiting

    def take(self, path: bytes, verdicts: Iterator[Verdict]) -> None:
        """Take the entries of a directory, and send them when it is time."""
        rows: list[RowData] = []
        error = None
        try:
            for verdict in verdicts:
                rows.append(row_of(verdict))
                full = len(rows) + self.rows >= _MOST_ROWS
                if full or (len(rows) % _LOOK_EVERY == 0 and self._is_late()):
                    self._add(Listing(path, Batch(rows), whole=False), len(rows))
                    self.flush()
                    rows = []
        except ReadError as failure:
            error = words_of(failure)
        self._add(Listing(path, Batch(rows) if rows else None, whole=True, error=error), len(rows))
        if len(self.waiting) >= _MOST_LISTINGS or self._is_late():
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        self.token.check()
        if self.waiting:
            self.send(self.waiting)
        self.waiting = []
        self.rows = 0
        self.sent = time.monotonic()

    def _add(self, listing: Listing, rows: int) -> None:
        self.waiting.append(listing)
        self.rows += rows

    def _is_late(self) -> bool:
        return time.monotonic() - self.sent > _PATIENCE


def read_directory(snapshot: Snapshot, path: bytes, token: CancelToken, send: Send) -> None:
    """Give the entries of the directory *path* to *send*, in order.

    Raises:
        ReadError: the directory cannot be reached.
        Cancelled: the token was cancelled.
    """
    sender = _Sender(send, token)
    sender.take(path, snapshot.children(path, cancel=token))
    sender.flush()


def read_below(
    snapshot: Snapshot,
    path: bytes,
    token: CancelToken,
    send: Send,
    enter: Callable[[bytes], None],
) -> None:
    """Give the entries of *path* and of every directory below it to *send*, parents first.

    *enter* is told of each directory before it is listed.

    Raises:
        ReadError: the directory cannot be reached.
        Cancelled: the token was cancelled.
    """
    sender = _Sender(send, token)
    for directory, verdicts in snapshot.directories(path, cancel=token):
        enter(directory)
        sender.take(directory, verdicts)
    sender.flush()
