"""What one row of the tree says of a verdict, small enough for a million rows."""

from __future__ import annotations

import os
from enum import IntEnum, IntFlag
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


class RowType(IntEnum):
    """The type of an entry, as the suffix of its name shows it."""

    FILE = 0
    DIRECTORY = 1
    SYMLINK = 2
    DEVICE = 3
    FIFO = 4
    SOCKET = 5


class RowData(NamedTuple):
    """One row: ``size`` is in bytes, of a device its ``st_rdev``, else 0."""

    name: bytes
    kind: int
    type: int
    flags: int
    size: int


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
    EntryType.BLOCK: RowType.DEVICE,
    EntryType.FIFO: RowType.FIFO,
    EntryType.SOCKET: RowType.SOCKET,
}
_OPAQUE = {
    Opaque.NO: RowFlag(0),
    Opaque.YES: RowFlag.OPAQUE,
    Opaque.WITHOUT_BASE: RowFlag.OPAQUE_WITHOUT_BASE,
}


def kind_of(verdict: Verdict) -> RowKind:
    """The letter that *verdict* counts under."""
    if verdict.reason is Reason.UNREADABLE:
        return RowKind.UNREADABLE
    return _KINDS[verdict.kind]


def _flags_of(verdict: Verdict, entry: Entry | None) -> int:
    flags = int(_OPAQUE[verdict.opaque])
    if verdict.whiteout:
        flags |= RowFlag.WHITEOUT
    if entry is not None and entry.is_hard_linked and not is_whiteout_device(entry.stat):
        flags |= RowFlag.HARD_LINK
    if verdict.error is not None or verdict.reason is Reason.UNREADABLE:
        flags |= RowFlag.UNREADABLE
    if verdict.reason is Reason.REMOVED_WITH_PARENT:
        flags |= RowFlag.GHOST
    if verdict.redirect is not None:
        flags |= RowFlag.REDIRECT
    if verdict.metacopy:
        flags |= RowFlag.METACOPY
    if verdict.expandable:
        flags |= RowFlag.EXPANDABLE
    elif kind_of(verdict) is RowKind.SKIPPED and not flags & RowFlag.GHOST:
        flags |= RowFlag.HIDEABLE
    return flags


def row_of(verdict: Verdict) -> RowData:
    """The row of *verdict*."""
    entry = verdict.entry
    size = 0
    row_type = RowType.FILE
    if entry is not None:
        row_type = RowType.FILE if is_whiteout_device(entry.stat) else _TYPES[entry.type]
        size = entry.stat.st_rdev if row_type is RowType.DEVICE else entry.size
    return RowData(
        verdict.name, int(kind_of(verdict)), int(row_type), _flags_of(verdict, entry), size
    )


def device_of(size: int) -> tuple[int, int]:
    """Major and minor number out of the size column of a device's row."""
    return os.major(size), os.minor(size)
