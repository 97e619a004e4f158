"""Whether what is on the screen is still what was read: a container that runs changes its files.

Every few seconds a thread asks for the status of the rows in sight and of the directories that hold
them, and compares it with what the row was made of. Nothing else is looked at, so that nothing is
noticed of what is not in sight, and nothing is claimed of it.
"""

from __future__ import annotations

from textual.message import Message
from textual.screen import Screen

from whiteout.cancel import CancelToken
from whiteout.snapshot import Snapshot
from whiteout_tui.jobs import Jobs, send
from whiteout_tui.rowdata import RowFlag, RowKind, stamp_of
from whiteout_tui.rows import ROOT, RowState
from whiteout_tui.status import Notice
from whiteout_tui.tree import SnapshotTree
from whiteout_tui.words import words_of

#: Seconds from one look to the next.
EVERY = 3.0

_JOB = "watch"
#: Of these it is not known what they were made of.
_UNKNOWN = RowFlag.UNREADABLE | RowFlag.METACOPY
_ABSENT = RowFlag.WHITEOUT | RowFlag.GHOST


class Watcher:
    """Compares the rows in sight with the snapshot, and marks in the tree what has changed."""

    class Looked(Message):
        """What there is for some rows: a stamp, None for nothing; or a sentence why not."""

        def __init__(
            self, found: list[tuple[int, int | None]], failure: str | None, token: CancelToken
        ) -> None:
            super().__init__()
            self.found = found
            self.failure = failure
            self.token = token

    def __init__(
        self, owner: Screen[None], tree: SnapshotTree, snapshot: Snapshot, jobs: Jobs
    ) -> None:
        self._owner = owner
        self._tree = tree
        self._snapshot = snapshot
        self._jobs = jobs
        self._looking = False
        self._known: dict[int, int | None] = {}  # where the row itself does not tell
        self._unknown = {ROOT}
        self._failure: str | None = None

    def start(self) -> None:
        """Look from now on, every few seconds; at first once there are rows in sight."""
        self._owner.call_after_refresh(self.look)
        self._owner.set_interval(EVERY, self.look)

    def look(self) -> None:
        """Look now, unless the last look still goes on."""
        if self._looking or not self._owner.is_current:
            return
        self._looking = True
        rows = self._tree.rows
        asked = [row for row in self._tree.rows_in_sight() if not rows.is_note(row)]
        paths = [rows.path(row) for row in asked]

        def ask(token: CancelToken) -> None:
            statuses = self._snapshot.statuses(paths, cancel=token)
            stamps = [None if status is None else stamp_of(status) for status in statuses]
            found = list(zip(asked, stamps, strict=True))
            send(self._owner, self.Looked(found, None, token), token)

        def failed(error: BaseException, token: CancelToken) -> Message:
            return self.Looked([], words_of(error), token)

        self._jobs.start(_JOB, ask, failed)

    def take(self, looked: Looked) -> None:
        """Mark the rows that are not what they were."""
        if looked.token.cancelled:
            return
        self._looking = False
        self._failure = looked.failure
        changed = {row for row, stamp in looked.found if self._differs(row, stamp)}
        if changed - self._tree.stale:
            self._tree.stale |= changed
            self._tree.refresh()

    def _differs(self, row: int, stamp: int | None) -> bool:
        rows = self._tree.rows
        if rows.state(row) & RowState.GONE:
            return False
        data = rows.data(row)
        if row in self._known:
            return self._known[row] != stamp
        if row in self._unknown or data.flags & _UNKNOWN:
            self._known[row] = stamp  # the first look is as early as it gets
            return False
        if data.kind == RowKind.DELETE or data.flags & _ABSENT:
            return stamp is not None
        return stamp != data.stamp

    def forget(self, row: int) -> None:
        """The directory *row* is read anew: what it is now is what is known of it."""
        rows = self._tree.rows
        self._jobs.cancel(_JOB)
        self._looking = False
        self._tree.stale = {
            stale
            for stale in self._tree.stale
            if stale != row and not rows.state(stale) & RowState.GONE
        }
        self._known.pop(row, None)
        self._unknown.add(row)
        self.look()

    def told(self) -> list[Notice]:
        """What the status line says; nothing while everything is as it was read."""
        if self._failure is not None:
            sentence = "! the snapshot cannot be looked at"
            return [Notice(f"{sentence}: {self._failure}", sentence)]
        count = len(self._tree.stale)
        if not count:
            return []
        return [Notice(f"! {count:,} changed since read, r re-reads", f"! {count:,} changed, r")]
