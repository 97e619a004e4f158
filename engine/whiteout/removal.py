"""What one directory takes along: everything that is gone from the snapshot at and below it.

For a directory that is deleted or replaced this is all that the base has there; for an opaque one,
what it hides and does not show again. The rules for bytes are those of :mod:`whiteout.totals`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from whiteout.cancel import NEVER, CancelToken
from whiteout.differ import Finding, Standing, find, step_into, walk
from whiteout.snapshot import Snapshot
from whiteout.totals import Amount, Tally
from whiteout.verdicts import Opaque, Reason, Verdict

_INTERVAL = 0.1
_CHECK_EVERY = 64


@dataclass(frozen=True, slots=True)
class Removal:
    """How much is gone below a directory, without the directory itself.

    ``unreadable`` counts entries and directories of which it could not be told what is gone: with
    one of them ``gone`` is only a lower bound. ``complete`` is false while they are being counted.
    """

    gone: Amount = field(default_factory=Amount)
    unreadable: int = 0
    complete: bool = False


def removes_below(verdict: Verdict) -> bool:
    """Whether the entry is a directory of the base whose content is gone, or hidden."""
    if verdict.opaque is Opaque.YES:
        return verdict.base is not None and verdict.base.is_directory
    return verdict.replaces_directory and verdict.reason is not Reason.UNTOUCHED


def removal(
    snapshot: Snapshot,
    path: bytes,
    *,
    cancel: CancelToken = NEVER,
    report: Callable[[Removal], object] | None = None,
) -> Removal:
    """Count what is gone below the directory *path*; *report* is told now and then how far it is.

    Raises:
        NotFound: neither the snapshot nor its base has *path*.
        ReadError: it cannot be read.
        Cancelled: *cancel* was cancelled.
    """
    with snapshot.reading(cancel) as root:
        holder, finding = find(root, path)
        if not removes_below(finding.verdict):
            return Removal(complete=True)
        below = step_into(holder, finding)
        if below is None:
            return Removal(complete=True)
        return _count(below, finding, cancel, report)


def _count(
    below: Standing,
    top: Finding,
    cancel: CancelToken,
    report: Callable[[Removal], object] | None,
) -> Removal:
    tally = Tally()
    gone = top.verdict.path if top.verdict.replaces_directory else None
    reported = time.monotonic()
    for number, finding in enumerate(walk(below, removed=True), 1):
        verdict = finding.verdict
        path = verdict.path
        if gone is not None and not (path == gone or path.startswith(gone + b"/")):
            gone = None
        tally.add(verdict, removed=gone is not None)
        if gone is None and verdict.replaces_directory:
            gone = path
        if number % _CHECK_EVERY == 0:
            cancel.check()
            if report is not None and time.monotonic() - reported > _INTERVAL:
                report(_removal(tally))
                reported = time.monotonic()
    return _removal(tally, complete=True)


def _removal(tally: Tally, *, complete: bool = False) -> Removal:
    totals = tally.totals()
    return Removal(totals.removed, totals.unlisted + totals.unreadable, complete)
