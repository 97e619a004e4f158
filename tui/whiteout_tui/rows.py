"""The rows of the tree, in flat columns: about 60 bytes for each, and no terminal in sight.

A row is a number. Row 0 is the root directory. Rows are only ever appended, so a row's parent has
the smaller number; re-reading a directory unhooks its old rows and appends new ones. Nothing here
recurses, so a path may be as deep as it likes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntFlag
from itertools import pairwise

from whiteout_tui.rowdata import RowData, RowFlag, RowKind, RowType

ROOT = 0
_NONE = 0  # the root is nobody's child and nobody's sibling
_DEEPEST = 0xFFFF


class RowState(IntFlag):
    """How far a directory's rows are read."""

    OPEN = 1
    LOADING = 2
    LOADED = 4
    GONE = 8
    """Unhooked: its directory was read anew."""


_CLOSED = bytes(state & ~RowState.OPEN & 0xFF for state in range(256))


@dataclass(frozen=True, slots=True)
class Inserted:
    """Rows that came into sight: *count* of them, from place *index* on."""

    index: int
    count: int


class Rows:
    """The known rows, and which of them are in sight, in order.

    A *row* is the number of a row; a *place* counts the rows in sight from the top.
    """

    __slots__ = (
        "_depth",
        "_first_child",
        "_flags",
        "_kind",
        "_last_child",
        "_name_end",
        "_names",
        "_next",
        "_parent",
        "_shown",
        "_size",
        "_state",
        "_type",
        "_visible",
        "hideable",
        "hiding",
    )

    def __init__(self) -> None:
        self._names = bytearray()
        self._name_end = array("I", [0])
        self._kind = bytearray([RowKind.SKIPPED])
        self._type = bytearray([RowType.DIRECTORY])
        self._flags = array("H", [RowFlag.EXPANDABLE])
        self._size = array("Q", [0])
        self._parent = array("I", [_NONE])
        self._depth = array("H", [0])
        self._first_child = array("I", [_NONE])
        self._last_child = array("I", [_NONE])
        self._next = array("I", [_NONE])
        self._state = bytearray([0])
        self._shown = array("I", [0])  # rows in sight below an open row, if it is in sight itself
        self._visible = array("I", [ROOT])
        self.hiding = False
        self.hideable = 0

    # What is known of a row

    def __len__(self) -> int:
        return len(self._kind)

    def name(self, row: int) -> bytes:
        """The name of *row*; of a note its text, of the root nothing."""
        start = self._name_end[row - 1] if row else 0
        return bytes(self._names[start : self._name_end[row]])

    def data(self, row: int) -> RowData:
        """All that was given of *row*."""
        return RowData(
            self.name(row), self._kind[row], self._type[row], self._flags[row], self._size[row]
        )

    def depth(self, row: int) -> int:
        """How many directories lead to *row*; 0 for the root."""
        return self._depth[row]

    def parent(self, row: int) -> int:
        """The row of the directory that holds *row*; the root's is the root."""
        return self._parent[row]

    def state(self, row: int) -> RowState:
        """How far the directory *row* is read."""
        return RowState(self._state[row])

    def is_open(self, row: int) -> bool:
        """Whether the rows below *row* are wanted in sight."""
        return bool(self._state[row] & RowState.OPEN)

    def is_expandable(self, row: int) -> bool:
        """Whether there may be rows below *row*."""
        return bool(self._flags[row] & RowFlag.EXPANDABLE)

    def is_note(self, row: int) -> bool:
        """Whether *row* is a remark and no entry."""
        return self._kind[row] == RowKind.NOTE

    def path(self, row: int) -> bytes:
        """The path of *row* in the snapshot; of a note that of its directory."""
        if self.is_note(row):
            row = self._parent[row]
        names = []
        while row != ROOT:
            names.append(self.name(row))
            row = self._parent[row]
        return b"/" + b"/".join(reversed(names))

    def children(self, row: int) -> Iterator[int]:
        """The known rows directly below *row*, hidden ones too."""
        child = self._first_child[row]
        while child:
            yield child
            child = self._next[child]

    def child_named(self, row: int, name: bytes) -> int | None:
        """The row below *row* with this *name*."""
        for child in self.children(row):
            if not self.is_note(child) and self.name(child) == name:
                return child
        return None

    # What is in sight

    def __getitem__(self, place: int) -> int:
        return self._visible[place]

    @property
    def height(self) -> int:
        """How many rows are in sight."""
        return len(self._visible)

    def place(self, row: int, near: int = 0) -> int | None:
        """Where *row* is in sight; *near* is a place to look at first."""
        if near < len(self._visible) and self._visible[near] == row:
            return near
        if row == ROOT:
            return 0
        if not self._is_shown(row):
            return None
        return self._visible.index(row)

    def nearest_shown(self, row: int) -> int:
        """*row* itself when it is in sight, else the closest directory above it that is."""
        chain = [row]
        while chain[-1] != ROOT:
            chain.append(self._parent[chain[-1]])
        chain.reverse()
        for above, below in pairwise(chain):
            if not self.is_open(above) or self._is_hidden(below):
                return above
        return row

    def _is_shown(self, row: int) -> bool:
        return self.nearest_shown(row) == row

    def _is_hidden(self, row: int) -> bool:
        return self.hiding and bool(self._flags[row] & RowFlag.HIDEABLE)

    @property
    def hidden(self) -> int:
        """How many known rows are hidden because they are skipped."""
        return self.hideable if self.hiding else 0

    # Changes

    def start_loading(self, row: int) -> None:
        """The rows below *row* are being read."""
        self._state[row] |= RowState.LOADING

    def finish_loading(self, row: int) -> None:
        """All rows below *row* are known."""
        self._state[row] = self._state[row] & ~RowState.LOADING | RowState.LOADED

    def append(self, parent: int, batch: Sequence[RowData], near: int = 0) -> Inserted | None:
        """Add *batch* as the last rows below *parent*, and say which of them came into sight."""
        if not batch or self._state[parent] & RowState.GONE:
            return None
        first = len(self._kind)
        rows = range(first, first + len(batch))
        depth = min(self._depth[parent] + 1, _DEEPEST)
        for name, kind, row_type, flags, size in batch:
            self._names += name
            self._name_end.append(len(self._names))
            self._kind.append(kind)
            self._type.append(row_type)
            self._flags.append(flags)
            self._size.append(size)
            if flags & RowFlag.HIDEABLE:
                self.hideable += 1
        count = len(batch)
        self._parent.extend(array("I", [parent]) * count)
        self._depth.extend(array("H", [depth]) * count)
        self._state.extend(bytes(count))
        empty = array("I", [_NONE]) * count
        for column in (self._first_child, self._last_child, self._shown):
            column.extend(empty)
        self._next.extend(rows[1:])
        self._next.append(_NONE)
        tail = self._last_child[parent]
        if tail:
            self._next[tail] = first
        else:
            self._first_child[parent] = first
        self._last_child[parent] = rows[-1]
        return self._show(parent, [row for row in rows if not self._is_hidden(row)], near)

    def _show(self, parent: int, rows: list[int], near: int) -> Inserted | None:
        if not rows or not self.is_open(parent):
            return None
        before = self._shown[parent]
        self._grow(parent, len(rows))
        place = self.place(parent, near)
        if place is None:
            return None
        index = place + 1 + before
        self._visible[index:index] = array("I", rows)
        return Inserted(index, len(rows))

    def _grow(self, row: int, by: int) -> None:
        """Count *by* more rows in sight below *row* and below every open row above it."""
        while self.is_open(row):
            self._shown[row] += by
            if row == ROOT:
                return
            row = self._parent[row]

    def open(self, place: int) -> int:
        """Bring the known rows below *place* into sight; returns how many came."""
        row = self._visible[place]
        if self.is_open(row):
            return 0
        self._state[row] |= RowState.OPEN
        below = self._below(row)
        self._visible[place + 1 : place + 1] = below
        self._grow(row, len(below))
        return len(below)

    def close(self, place: int) -> int:
        """Take the rows below *place* out of sight; returns how many went."""
        row = self._visible[place]
        count = self._shown[row]
        del self._visible[place + 1 : place + 1 + count]
        self._grow(row, -count)
        self._state[row] &= ~RowState.OPEN
        return count

    def _below(self, row: int) -> array[int]:
        """The rows in sight below *row*, when it is open, in order."""
        below: array[int] = array("I")
        pending = [self._first_child[row]]
        while pending:
            child = pending.pop()
            while child:
                if self._is_hidden(child):
                    child = self._next[child]
                    continue
                below.append(child)
                if self._state[child] & RowState.OPEN and self._first_child[child]:
                    pending.append(self._next[child])
                    child = self._first_child[child]
                else:
                    child = self._next[child]
        return below

    def hide_skipped(self, hiding: bool) -> None:
        """Hide the rows of skipped entries that nothing depends on, or show them again."""
        self.hiding = hiding
        self._shown = array("I", [0]) * len(self)
        for row in range(len(self) - 1, ROOT, -1):  # children before their parents
            if self._state[row] & RowState.GONE or self._is_hidden(row):
                continue
            parent = self._parent[row]
            if self._state[parent] & RowState.OPEN:
                self._shown[parent] += 1 + self._shown[row]
        self._visible = array("I", [ROOT])
        if self.is_open(ROOT):
            self._visible.extend(self._below(ROOT))

    def close_all(self) -> None:
        """Close every directory but the root."""
        root = self._state[ROOT]
        self._state = self._state.translate(_CLOSED)
        self._state[ROOT] = root
        self.hide_skipped(self.hiding)

    def forget_below(self, place: int) -> list[int]:
        """Unhook every row below *place*, to read them anew; returns those that were being read."""
        row = self._visible[place]
        was_open = self.is_open(row)
        reading = []
        self.close(place)
        pending = list(self.children(row))
        while pending:
            child = pending.pop()
            if self._state[child] & RowState.LOADING:
                reading.append(child)
            self._state[child] |= RowState.GONE
            if self._flags[child] & RowFlag.HIDEABLE:
                self.hideable -= 1
            pending.extend(self.children(child))
        self._first_child[row] = self._last_child[row] = _NONE
        self._state[row] = RowState.OPEN if was_open else 0
        return reading
