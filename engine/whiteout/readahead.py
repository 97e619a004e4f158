"""Reading ahead for an export: a second process writes some of the directories beforehand.

What walks in one process shares one lock. So while an export that proves long goes through the
snapshot, some of the directories that follow are asked of a second process. It gives the tar bytes
of directories that hold nothing but plain files and plain directories, for which nothing outside
of them counts. Whatever it does not give is read here, as if there were no second process.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable

from whiteout.differ import Rules, Standing, WrittenDirectories
from whiteout.typed import TYPE_CHECKING, NamedTuple
from whiteout.verdicts import Method

if TYPE_CHECKING:
    from whiteout.readaheadprocess import ReaderProcess
    from whiteout.snapshot import Snapshot

#: For how many seconds a walk goes alone: starting the process takes about as long.
PATIENCE = 0.1
#: How many rows are asked for and not answered, how many of one directory are not taken yet, and
#: how many altogether.
_UNANSWERED, _AHEAD, _MOST = 3, 5, 16
#: How many directories are left here for each one that is asked for, by how many rows are there
#: already: the further ahead the process is, the more it gets to do.
_LEFT_HERE = (2.0, 1.5, 1.0, 0.7, 0.4)
#: How many directories a row has at most, and how many tar bytes are enough for it.
_LONGEST, ENOUGH = 4, 1 << 18
#: How long a path is at most, so that all that is asked for fits into a pipe of one page.
_LONGEST_PATH = 300


class _Row(NamedTuple):
    """Directories that follow each other in the directory ``path``."""

    path: bytes
    names: list[bytes]


class ReadAhead:
    """Asks a second process for directories ahead of the walk through *root*.

    The process is started when the walk has taken :data:`PATIENCE` seconds, and only where it can
    help. Close it when the walk is over.
    """

    def __init__(self, snapshot: Snapshot, root: Standing) -> None:
        self._snapshot = snapshot
        self._root = root
        self._start = time.monotonic() + PATIENCE
        self._process: ReaderProcess | None = None
        self._alone = not _can_help(snapshot)
        self._rows: dict[bytes, _Row] = {}
        """What was asked for and not taken, by the first path of each row."""
        self._unanswered: deque[_Row] = deque()
        self._answers: dict[bytes, WrittenDirectories | None] = {}
        self._longest = 1
        self._owed = 1.0
        """How many directories are left here before the next row."""

    def written(
        self, path: bytes, names: list[bytes], is_directory: Callable[[bytes], bool]
    ) -> WrittenDirectories | None:
        """As :meth:`whiteout.differ.ReadsAhead.written`; some of *names* are asked for, too.

        Raises:
            Cancelled: the token of the walk was cancelled.
        """
        if self._alone or not is_directory(names[0]):
            return None
        try:
            process = self._process or self._started()
            if process is None or not process.is_ready():
                return None
            while self._unanswered and process.has_answer():
                self._receive(process)
            self._ask(process, path, names, is_directory)
            return self._taken(process, path + b"/" + names[0])
        except OSError:
            self.close()
            return None

    def _started(self) -> ReaderProcess | None:
        if time.monotonic() < self._start:
            return None
        from whiteout.readaheadprocess import ReaderProcess

        self._process = ReaderProcess(self._snapshot, self._root)
        return self._process

    def _ask(
        self,
        process: ReaderProcess,
        path: bytes,
        names: list[bytes],
        is_directory: Callable[[bytes], bool],
    ) -> None:
        """Ask for rows of *names*, and leave enough between them to be busy here meanwhile.

        The directories of a directory are asked for before those in them, where there is more to
        each; those in them when the process would be idle otherwise.
        """
        unanswered = self._unanswered
        if len(unanswered) >= _UNANSWERED or len(self._rows) >= _MOST:
            return
        if len(path) > _LONGEST_PATH or (unanswered and unanswered[-1].path != path):
            return
        ahead = there = 0
        position = left = 0 if path + b"/" + names[0] in self._rows else 1  # which comes now
        while position < len(names) and ahead < _AHEAD and len(unanswered) < _UNANSWERED:
            first = path + b"/" + names[position]
            if first in self._rows:
                position += len(self._rows[first].names)
                ahead += 1
                there += first in self._answers
                left = 0
            elif not is_directory(names[position]):
                position += 1
            elif left < int(self._owed):
                position += 1
                left += 1
            else:
                row = _Row(path, [names[position]])
                for name in names[position + 1 : position + self._longest]:
                    if not is_directory(name) or path + b"/" + name in self._rows:
                        break
                    row.names.append(name)
                process.ask(path, row.names)
                self._owed += _LEFT_HERE[there] * len(row.names) - left
                self._rows[first] = row
                unanswered.append(row)

    def _receive(self, process: ReaderProcess) -> None:
        path, names = self._unanswered[0]
        count, data, entries = process.answer()
        self._unanswered.popleft()
        written = WrittenDirectories(path, names[:count], data, entries) if count else None
        self._answers[path + b"/" + names[0]] = written
        if count < len(names):
            self._longest = max(1, count)
        elif 2 * len(data) <= ENOUGH:
            self._longest = min(2 * self._longest, _LONGEST)

    def _taken(self, process: ReaderProcess, first: bytes) -> WrittenDirectories | None:
        """The answer to the row that begins with the path *first*, if it was asked for."""
        if first not in self._rows:
            return None
        while first not in self._answers:
            self._receive(process)
        del self._rows[first]
        return self._answers.pop(first)

    def close(self) -> None:
        """End the process, for good: from now on the walk goes alone."""
        self._alone = True
        self._rows.clear()
        self._unanswered.clear()
        self._answers.clear()
        if self._process is not None:
            self._process.close()
            self._process = None


def _can_help(snapshot: Snapshot) -> bool:
    """Whether another processor is there, and plain directories may be."""
    if snapshot.in_archive or any(layer.fuse for layer in snapshot.merged):
        return False
    if snapshot.method is not Method.OVERLAY or snapshot.rules is not Rules.CURRENT:
        return False
    return len(os.sched_getaffinity(0)) > 1
