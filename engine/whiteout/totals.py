"""Totals of a whole snapshot, gathered from a stream of verdicts with a short memory.

What counts as bytes is the content of regular files, ``st_size``: not blocks on disk, not headers.
A file with several names counts once, under the first of them that is recorded. What is kept of
a snapshot is bounded: the largest files and directories, and a number for each hard-linked file.
"""

from __future__ import annotations

import heapq
import os
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

from whiteout.entries import Entry
from whiteout.verdicts import ChangeKind, Reason, Verdict

#: How many of the largest files and directories are listed.
LARGEST = 100
#: How many directories are remembered with their totals, the largest ones.
DIRECTORIES = 20_000


@dataclass(frozen=True, slots=True)
class Amount:
    """Entries, and the bytes of content that their regular files hold."""

    entries: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Sized:
    """A file or a directory with the bytes that the layer records of it or below it.

    ``removed`` are the bytes of the base that are gone below a directory, ``kind`` is that of a
    file. ``complete`` is false while a directory is still being read.
    """

    path: bytes
    size: int
    removed: int = 0
    entries: int = 0
    complete: bool = True
    kind: ChangeKind | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """What a snapshot changed, in numbers. Sizes are bytes of content of regular files.

    ``added`` and ``modified`` are what the layer holds under these kinds, ``before`` what the base
    has under the modified names, ``deleted`` the entries that the layer deletes by a whiteout of
    their own, ``removed`` everything that is gone with all that was below it, or was replaced by
    something of another type. ``unlisted`` counts removed directories that could not be listed:
    with one of them ``removed`` is only a lower bound.
    """

    added: Amount = Amount()
    modified: Amount = Amount()
    before: int = 0
    deleted: int = 0
    removed: Amount = Amount()
    unmodified: int = 0
    skipped: int = 0
    unreadable: int = 0
    unlisted: int = 0
    directories: tuple[Sized, ...] = ()
    files: tuple[Sized, ...] = ()

    @property
    def recorded(self) -> int:
        """Entries that the layer records."""
        return self.added.entries + self.modified.entries + self.deleted + self.unmodified

    @property
    def entries(self) -> int:
        """All entries judged, without those that are gone with a directory above them."""
        return self.recorded + self.skipped + self.unreadable


class InodeSet:
    """The files met so far, in 16 to 32 bytes for each: a hash table in a flat array."""

    __slots__ = ("_tables",)

    def __init__(self) -> None:
        self._tables: dict[int, tuple[array[int], int]] = {}  # device -> inodes, how many

    def add(self, status: os.stat_result) -> bool:
        """Note the file of *status*; true when it was not there before."""
        table, used = self._tables.get(status.st_dev) or (array("Q", bytes(8 * 64)), 0)
        place = self._place(table, status.st_ino)
        if table[place] == status.st_ino:
            return False
        table[place] = status.st_ino
        used += 1
        if used * 2 > len(table):
            larger = array("Q", bytes(2 * 8 * len(table)))
            for inode in filter(None, table):
                larger[self._place(larger, inode)] = inode
            table = larger
        self._tables[status.st_dev] = table, used
        return True

    @staticmethod
    def _place(table: array[int], inode: int) -> int:
        """Where *inode* is, or may go; 0 marks a free place, as no file has that number."""
        mask = len(table) - 1
        place = inode * 0x9E3779B97F4A7C15 >> 20 & mask
        while table[place] not in (0, inode):
            place = place + 1 & mask
        return place

    def is_first_name(self, status: os.stat_result) -> bool:
        """Whether no other name of the file of *status* was asked about before."""
        return status.st_nlink < 2 or self.add(status)


@dataclass(slots=True)
class _Open:
    """A directory that the stream is in."""

    path: bytes
    size: int = 0
    removed: int = 0
    entries: int = 0


@dataclass(slots=True)
class _Largest:
    """The largest items by size; ties go to the one that came first."""

    limit: int
    heap: list[tuple[int, int, Sized]] = field(default_factory=list)
    number: int = 0

    def offer(self, item: Sized) -> Sized | None:
        """Keep *item* if it is large enough; gives what had to go for it, or *item* itself."""
        self.number -= 1
        ranked = (item.size + item.removed, self.number, item)
        if len(self.heap) < self.limit:
            heapq.heappush(self.heap, ranked)
            return None
        return heapq.heappushpop(self.heap, ranked)[2]

    def largest(self, count: int, more: Iterable[Sized] = ()) -> tuple[Sized, ...]:
        """The *count* largest, largest first, *more* of them considered too."""
        ranked = heapq.nlargest(count, self.heap)
        found = [*(item for *_, item in ranked), *more]
        found.sort(key=lambda item: item.size + item.removed, reverse=True)
        return tuple(found[:count])


class Tally:
    """Adds up the verdicts of a snapshot, which must come depth first.

    :meth:`totals` may be asked at any time, from the thread that adds.
    """

    def __init__(self, *, directories: int = DIRECTORIES) -> None:
        self._count = dict.fromkeys(ChangeKind, 0)
        self._size = dict.fromkeys(ChangeKind, 0)
        self._skipped = self._unreadable = self._unlisted = 0
        self._before = 0
        self._removed_entries = self._removed_size = 0
        self._upper_links = InodeSet()
        self._base_links = InodeSet()
        self._stack = [_Open(b"")]
        self._directories = _Largest(directories)
        self._files = _Largest(LARGEST)
        self._known: dict[bytes, Sized] = {}

    def add(self, verdict: Verdict, *, removed: bool = False) -> None:
        """Count one verdict; *removed* tells that a directory above it is gone."""
        path = verdict.path
        holder = self._enter(path)
        if removed:
            if verdict.error is not None:
                self._unlisted += 1
            else:
                self._remove(verdict.base, holder)
        elif verdict.reason is Reason.UNREADABLE:
            self._unreadable += 1
        else:
            self._judge(verdict, holder)
        if verdict.expandable:
            self._stack.append(_Open(path))

    def _enter(self, path: bytes) -> _Open:
        """Leave the directories that do not hold *path*; gives the one that does."""
        directory = path[: path.rindex(b"/")]
        stack = self._stack
        while len(stack) > 1 and stack[-1].path != directory:
            self._leave()
        return stack[-1]

    def _leave(self) -> None:
        done = self._stack.pop()
        above = self._stack[-1]
        above.size += done.size
        above.removed += done.removed
        above.entries += done.entries
        if not done.entries and not done.removed:
            return
        item = Sized(done.path, done.size, done.removed, done.entries)
        self._known[done.path] = item
        gone = self._directories.offer(item)
        if gone is not None:
            self._known.pop(gone.path, None)

    def _judge(self, verdict: Verdict, holder: _Open) -> None:
        kind, upper, base = verdict.kind, verdict.upper, verdict.base
        if kind is None:
            self._skipped += 1
            return
        self._count[kind] += 1
        holder.entries += 1
        if kind is ChangeKind.DELETE:
            self._remove(base, holder)
            return
        if base is not None and kind is ChangeKind.MODIFY:
            if upper is None or upper.type is not base.type:
                self._remove(base, holder)
            elif base.size and self._base_links.is_first_name(base.stat):
                self._before += base.size
        if kind is ChangeKind.UNMODIFIED:  # the layer has the content under a recorded name
            return
        size = upper.size if upper is not None else 0
        if size and upper is not None and self._upper_links.is_first_name(upper.stat):
            self._size[kind] += size
            holder.size += size
            self._files.offer(Sized(verdict.path, size, kind=kind))

    def _remove(self, base: Entry | None, holder: _Open) -> None:
        if base is None:
            return
        self._removed_entries += 1
        if base.size and self._base_links.is_first_name(base.stat):
            self._removed_size += base.size
            holder.removed += base.size

    def finish(self) -> None:
        """The stream is over: every directory is complete."""
        while len(self._stack) > 1:
            self._leave()

    def directory(self, path: bytes) -> Sized | None:
        """The total of the directory *path*.

        None when nothing is recorded below it, when it was not met yet, or when it is smaller than
        all those that are remembered. A directory that is being read is not complete.
        """
        path = path.rstrip(b"/")
        below = Sized(path, 0, complete=False)
        for opened in reversed(self._stack):
            below = Sized(
                opened.path,
                opened.size + below.size,
                opened.removed + below.removed,
                opened.entries + below.entries,
                complete=False,
            )
            if opened.path == path:
                return below
        return self._known.get(path)

    def _reading(self) -> Iterable[Sized]:
        """The directories that the stream is in, but the root, with what they have so far."""
        size = removed = entries = 0
        for opened in reversed(self._stack[1:]):
            size += opened.size
            removed += opened.removed
            entries += opened.entries
            if entries or removed:
                yield Sized(opened.path, size, removed, entries, complete=False)

    def totals(self) -> Totals:
        """The totals so far."""
        count, size = self._count, self._size
        added, modified = ChangeKind.ADD, ChangeKind.MODIFY
        return Totals(
            Amount(count[added], size[added]),
            Amount(count[modified], size[modified]),
            self._before,
            count[ChangeKind.DELETE],
            Amount(self._removed_entries, self._removed_size),
            count[ChangeKind.UNMODIFIED],
            self._skipped,
            self._unreadable,
            self._unlisted,
            self._directories.largest(LARGEST, self._reading()),
            self._files.largest(LARGEST),
        )
