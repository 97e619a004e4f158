"""Counting the whole snapshot in the background."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from whiteout.cancel import CancelToken
from whiteout.snapshot import Snapshot
from whiteout_tui.rowdata import RowKind, kind_of

_PAUSE = 0.1
_CHECK_EVERY = 64


@dataclass(frozen=True, slots=True)
class Counts:
    """Entries found so far under each kind; ``problem`` says why the count ended too early."""

    by_kind: tuple[int, ...] = (0,) * len(RowKind)
    complete: bool = False
    problem: str | None = None

    @property
    def total(self) -> int:
        """All entries found so far."""
        return sum(self.by_kind)

    @property
    def recorded(self) -> int:
        """The changes found so far that the layer records."""
        return sum(self.by_kind[: RowKind.SKIPPED])


def count_changes(snapshot: Snapshot, token: CancelToken, report: Callable[[Counts], None]) -> None:
    """Run through all changes of *snapshot*, and *report* the counts ten times a second.

    Raises:
        ReadError: the snapshot cannot be read on.
        Cancelled: the token was cancelled.
    """
    found = [0] * len(RowKind)
    reported = time.monotonic()
    for position, verdict in enumerate(snapshot.changes(skipped=True, cancel=token)):
        found[kind_of(verdict)] += 1
        if position % _CHECK_EVERY == 0 and time.monotonic() - reported > _PAUSE:
            token.check()
            report(Counts(tuple(found)))
            reported = time.monotonic()
    report(Counts(tuple(found), complete=True))
