"""What one row of the tree says of a verdict, small enough for a million rows."""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from enum import IntEnum, IntFlag
from itertools import accumulate
from typing import NamedTuple

from whiteout.entries import Entry, EntryType, is_whiteout_device
from whiteout.verdicts import ChangeKind, Opaque, Reason, Verdict


class RowKind(IntEnum):
    """What becomes of an entry, as the first column shows it."""

    ADD = 0
    MODIFY = 1
    DELETE = 2
    UNMODIFIED = 3
    SKIPPED = 4
    UNREADABLE = 5
    NOTE = 6
    """No entry: a remark in the place of rows, such as why a directory cannot be listed."""


class RowFlag(IntFlag):
    """What else is to be known of an entry, as the second column shows it."""

    OPAQUE = 1
    WHITEOUT = 2
    HARD_LINK = 4
    UNREADABLE = 8
    GHOST = 16
    REDIRECT = 32
    METACOPY = 64
    OPAQUE_WITHOUT_BASE = 128
    HIDEABLE = 256
    """Not recorded, and nothing below depends on it: may be hidden. Not shown as a letter."""
    EXPANDABLE = 512
    """There may be rows below. Not shown as a letter."""
    CHANGED = 1024
    """It was another one before its directory was read again."""


class RowType(IntEnum):
    """The type of an entry, as the suffix of its name shows it."""

    FILE = 0
    DIRECTORY = 1
    SYMLINK = 2
    DEVICE = 3
    """A character device."""
    FIFO = 4
    SOCKET = 5
    BLOCK_DEVICE = 6


class RowData(NamedTuple):
    """One row: ``size`` is in bytes, of a device its ``st_rdev``, else 0.

    ``reason`` is a position in :data:`REASONS`; ``stamp`` another number whenever the entry was
    written or changed.
    """

    name: bytes
    kind: int
    type: int
    flags: int
    size: int
    reason: int = 0
    stamp: int = 0


class Batch:
    """Some rows of one directory, in order, as columns: ready to be taken over at once.

    ``names`` has a slash after each name, and ``ends`` where each of these slashes is.
    """

    __slots__ = (
        "ends",
        "flags",
        "hideable",
        "kinds",
        "names",
        "reasons",
        "sizes",
        "stamps",
        "tally",
        "types",
    )

    def __init__(self, rows: Sequence[RowData]) -> None:
        names, kinds, types, flags, sizes, reasons, stamps = zip(*rows, strict=True)
        self.names = b"/".join(names) + b"/"
        self.ends = array("I", accumulate(map(len, names), _after_slash))
        self.kinds = bytes(kinds)
        self.types = bytes(types)
        self.reasons = bytes(reasons)
        self.flags = array("H", flags)
        self.sizes = array("Q", sizes)
        self.stamps = array("I", stamps)
        self.hideable = sum(1 for value in flags if value & _HIDEABLE)
        self.tally = tally_of(self.kinds, flags)

    def __len__(self) -> int:
        return len(self.kinds)

    def name(self, position: int) -> bytes:
        """The name of the row at *position*."""
        return self.names[self.ends[position - 1] + 1 if position else 0 : self.ends[position]]

    def row(self, position: int) -> RowData:
        """All that is known of the row at *position*."""
        return RowData(
            self.name(position),
            self.kinds[position],
            self.types[position],
            self.flags[position],
            self.sizes[position],
            self.reasons[position],
            self.stamps[position],
        )

    def after(self, name: bytes) -> Batch | None:
        """The rows whose names come after *name* in byte order, or None where there are none."""
        if self.name(0) > name:
            return self
        rows = [self.row(position) for position in range(len(self)) if self.name(position) > name]
        return Batch(rows) if rows else None


def _after_slash(end: int, length: int) -> int:
    return end + 1 + length


def tally_of(kinds: bytes, flags: Sequence[int]) -> tuple[int, ...]:
    """How many rows count under each :class:`RowKind`; ghosts and remarks do not."""
    counts = [kinds.count(kind) for kind in range(len(RowKind))]
    counts[RowKind.NOTE] = 0
    if counts[RowKind.SKIPPED]:
        counts[RowKind.SKIPPED] -= sum(1 for value in flags if value & _GHOST)
    return tuple(counts)


_HIDEABLE = int(RowFlag.HIDEABLE)
_GHOST = int(RowFlag.GHOST)

#: What a row's ``reason`` counts in.
REASONS = tuple(Reason)
_REASONS = {reason: position for position, reason in enumerate(REASONS)}

_KINDS = {
    ChangeKind.ADD: RowKind.ADD,
    ChangeKind.MODIFY: RowKind.MODIFY,
    ChangeKind.DELETE: RowKind.DELETE,
    ChangeKind.UNMODIFIED: RowKind.UNMODIFIED,
    None: RowKind.SKIPPED,
}
_TYPES = {
    EntryType.FILE: RowType.FILE,
    EntryType.DIRECTORY: RowType.DIRECTORY,
    EntryType.SYMLINK: RowType.SYMLINK,
    EntryType.CHARACTER: RowType.DEVICE,
    EntryType.BLOCK: RowType.BLOCK_DEVICE,
    EntryType.FIFO: RowType.FIFO,
    EntryType.SOCKET: RowType.SOCKET,
}
_OPAQUE = {
    Opaque.NO: 0,
    Opaque.YES: int(RowFlag.OPAQUE),
    Opaque.WITHOUT_BASE: int(RowFlag.OPAQUE_WITHOUT_BASE),
}


def kind_of(verdict: Verdict) -> RowKind:
    """The letter that *verdict* counts under."""
    if verdict.reason is Reason.UNREADABLE:
        return RowKind.UNREADABLE
    return _KINDS[verdict.kind]


def _flags_of(verdict: Verdict, entry: Entry | None, kind: RowKind) -> int:
    flags = _OPAQUE[verdict.opaque]
    if verdict.whiteout:
        flags |= _WHITEOUT
    if entry is not None and entry.is_hard_linked and not _is_mark(verdict):
        flags |= _HARD_LINK
    if verdict.error is not None or verdict.reason is Reason.UNREADABLE:
        flags |= _UNREADABLE
    if verdict.reason is Reason.REMOVED_WITH_PARENT:
        flags |= _GHOST
    if verdict.redirect is not None:
        flags |= _REDIRECT
    if verdict.metacopy:
        flags |= _METACOPY
    if verdict.expandable:
        flags |= _EXPANDABLE
    elif kind is RowKind.SKIPPED and not flags & _GHOST:
        flags |= _HIDEABLE
    return flags


_WHITEOUT = int(RowFlag.WHITEOUT)
_HARD_LINK = int(RowFlag.HARD_LINK)
_UNREADABLE = int(RowFlag.UNREADABLE)
_REDIRECT = int(RowFlag.REDIRECT)
_METACOPY = int(RowFlag.METACOPY)
_EXPANDABLE = int(RowFlag.EXPANDABLE)


def _is_mark(verdict: Verdict) -> bool:
    return verdict.whiteout and verdict.base is None


def row_of(verdict: Verdict) -> RowData:
    """The row of *verdict*."""
    entry = verdict.entry
    kind = kind_of(verdict)
    size = stamp = 0
    row_type = RowType.FILE
    if entry is not None:
        row_type = RowType.FILE if is_whiteout_device(entry.stat) else _TYPES[entry.type]
        size = entry.stat.st_rdev if row_type in DEVICES else entry.size
        stamp = stamp_of(entry.stat)
    return RowData(
        verdict.name,
        kind,
        row_type,
        _flags_of(verdict, entry, kind),
        size,
        _REASONS[verdict.reason],
        stamp,
    )


def stamp_of(status: os.stat_result) -> int:
    """A number of 32 bits that is another one once the entry was written or changed."""
    return hash((status.st_mtime_ns, status.st_ctime, status.st_ino, status.st_size)) & 0xFFFFFFFF


#: Of these the size column holds the device number.
DEVICES = frozenset({RowType.DEVICE, RowType.BLOCK_DEVICE})


def device_of(size: int) -> tuple[int, int]:
    """Major and minor number out of the size column of a device's row."""
    return os.major(size), os.minor(size)
