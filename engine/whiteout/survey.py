"""One walk through a whole snapshot, for all that is told of it as a whole: totals and remarks.

The walk is the differ's own stream, with what removed directories held. After it the contents are
compared of the files that the rules call the same by size and time alone: the only question here
that reads contents, so it comes last and within bounds.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from whiteout.cancel import NEVER, CancelToken
from whiteout.comparison import same_content
from whiteout.differ import Finding, find
from whiteout.errors import ReadError, reason_of
from whiteout.remarks import Gathering, RemarkKind, Remarks
from whiteout.snapshot import Snapshot
from whiteout.totals import Tally, Totals
from whiteout.verdicts import Reason

#: How many files, and how many bytes of them, are compared for a change that the rules miss.
COMPARED_FILES = 10_000
COMPARED_BYTES = 1 << 30

_INTERVAL = 0.1
_CHECK_EVERY = 64


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known of a snapshot as a whole.

    ``walked`` tells that the totals are final, ``complete`` that the remarks are, too: until then
    ``compared`` of ``to_compare`` files have had their contents compared.
    """

    totals: Totals = field(default_factory=Totals)
    remarks: Remarks = field(default_factory=Remarks)
    walked: bool = False
    complete: bool = False
    compared: int = 0
    to_compare: int = 0


def survey(
    snapshot: Snapshot,
    *,
    cancel: CancelToken = NEVER,
    report: Callable[[Survey], object] | None = None,
    interval: float = _INTERVAL,
    files: int = COMPARED_FILES,
    size: int = COMPARED_BYTES,
) -> Survey:
    """Walk through *snapshot*, and *report* what is known every *interval* seconds.

    At most *files* files and *size* bytes of each side have their contents compared; what is left
    out is a remark.

    Raises:
        ReadError: a layer cannot be opened.
        Cancelled: *cancel* was cancelled.
    """
    return _Walk(snapshot, cancel, report, interval).run(files, size)


class _Walk:
    def __init__(
        self,
        snapshot: Snapshot,
        cancel: CancelToken,
        report: Callable[[Survey], object] | None,
        interval: float,
    ) -> None:
        self._snapshot = snapshot
        self._cancel = cancel
        self._report = report
        self._interval = interval
        self._reported = time.monotonic()
        self._tally = Tally()
        self._gathering = Gathering(snapshot)
        self._doubtful: list[tuple[bytes, bool]] = []
        """What the rules call the same by size and time alone; is it a useless copy if it is?"""
        self._left_out = 0

    def run(self, files: int, size: int) -> Survey:
        self._gathering.begin()
        self._walk(files)
        self._tally.finish()
        compared = 0
        self._tell(self._survey(compared))
        for path, is_copy in self._doubtful:
            self._cancel.check()
            if size <= 0:
                break
            size -= self._compare(path, is_copy)
            compared += 1
            if time.monotonic() - self._reported > self._interval:
                self._tell(self._survey(compared))
        missing = self._left_out + len(self._doubtful) - compared
        if missing:
            self._gathering.note(RemarkKind.NOT_COMPARED, b"/", b"%d" % missing)
        done = self._survey(compared, complete=True)
        self._tell(done)
        return done

    def _walk(self, files: int) -> None:
        gone: bytes | None = None
        tally, gathering = self._tally, self._gathering
        with self._snapshot.findings(self._cancel, removed=True) as findings:
            for number, finding in enumerate(findings):
                verdict = finding.verdict
                path = verdict.path
                if gone is not None:
                    unlisted = verdict.reason is Reason.UNREADABLE and path == gone
                    if unlisted or path.startswith(gone + b"/"):
                        tally.add(verdict, removed=True)
                        continue
                    gone = None
                tally.add(verdict)
                gathering.add(finding)
                if verdict.replaces_directory:
                    gone = path
                elif verdict.reason is Reason.SAME:
                    self._same(finding, files)
                if number % _CHECK_EVERY == 0:
                    self._cancel.check()
                    if time.monotonic() - self._reported > self._interval:
                        self._tell(self._survey(0, walked=False))

    def _same(self, finding: Finding, files: int) -> None:
        verdict = finding.verdict
        is_copy = self._gathering.is_useless_copy(finding)
        if not _is_doubtful(finding):
            if is_copy and verdict.upper is not None:
                self._gathering.note(RemarkKind.COPIED_UP, verdict.path, size=verdict.upper.size)
        elif len(self._doubtful) < files:
            self._doubtful.append((verdict.path, is_copy))
        else:
            self._left_out += 1

    def _compare(self, path: bytes, is_copy: bool) -> int:
        """Compare the contents of one file, and give how many bytes that took."""
        try:
            with self._snapshot.reading(self._cancel) as root:
                finding = find(root, path)[1]
                node, base = finding.node, finding.base
                if node is None or base is None or not _is_doubtful(finding):
                    return 0  # it changed meanwhile
                if stat.S_ISLNK(node.status.st_mode):
                    same, size = node.readlink() == base.readlink(), 0
                else:
                    same = same_content(base, node, self._cancel)
                    size = node.status.st_size
        except (OSError, ReadError) as error:
            words = reason_of(error) if isinstance(error, OSError) else str(error)
            self._gathering.note(RemarkKind.NOT_COMPARED, path, os.fsencode(words))
            return 0
        if not same:
            self._gathering.note(RemarkKind.OTHER_CONTENT, path, size=size)
        elif is_copy:
            self._gathering.note(RemarkKind.COPIED_UP, path, size=size)
        return size

    def _survey(self, compared: int, *, walked: bool = True, complete: bool = False) -> Survey:
        return Survey(
            self._tally.totals(),
            self._gathering.remarks(),
            walked,
            complete,
            compared,
            len(self._doubtful),
        )

    def _tell(self, survey: Survey) -> None:
        if self._report is not None:
            self._report(survey)
        self._reported = time.monotonic()


def _is_doubtful(finding: Finding) -> bool:
    """Whether only size and time speak for the entry being the same, though there is content."""
    comparison = finding.verdict.comparison
    if comparison is None or not comparison.same or comparison.decided_by != "nanoseconds":
        return False
    if finding.node is None or finding.base is None or finding.verdict.metacopy:
        return False
    mode = comparison.upper.st_mode
    return stat.S_ISLNK(mode) or (stat.S_ISREG(mode) and comparison.upper.st_size > 0)
