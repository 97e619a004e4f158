"""The rows of the tree, in flat columns: about 70 bytes for each, and no terminal in sight.

A row is a number. Row 0 is the root directory. Rows are only ever appended, so a row's parent has
the smaller number; re-reading a directory unhooks its old rows and appends new ones. Nothing here
recurses, so a path may be as deep as it likes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntFlag
from itertools import chain, compress, pairwise

from whiteout_tui.ordering import NAMES_FIRST, Order, arranged
from whiteout_tui.rowdata import Batch, RowData, RowFlag, RowKind, RowType, tally_of

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
    SCATTERED = 16
    """The numbers of its rows are not one after the other."""
    ARRANGED = 32
    """Its rows hang together in another order than that of their numbers."""


_OPEN = int(RowState.OPEN)
_GONE = int(RowState.GONE)
_UNEVEN = int(RowState.SCATTERED | RowState.ARRANGED)
_CLOSED = bytes(state & ~_OPEN for state in range(256))
_IS_OPEN = bytes(state & _OPEN for state in range(256))
_NOT_GONE = bytes(not state & _GONE for state in range(256))
_IS_EXPANDABLE = bytes(bool(high & RowFlag.EXPANDABLE >> 8) for high in range(256))
_IS_READ_AND_CLOSED = bytes(
    state & (RowState.LOADED | RowState.OPEN | RowState.GONE) == RowState.LOADED
    for state in range(256)
)
_NOT_HIDEABLE = bytes(not high & RowFlag.HIDEABLE >> 8 for high in range(256))
_NO_NOTE = bytes(kind != RowKind.NOTE for kind in range(256))

#: Which of some rows, given as first and last + 1, are wanted: a 1 or a 0 for each.
Selection = Callable[[int, int], bytes]


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
        "_orders",
        "_parent",
        "_reason",
        "_shown",
        "_size",
        "_stamp",
        "_state",
        "_tally",
        "_type",
        "_visible",
        "_wanted",
        "hideable",
        "hiding",
        "order",
        "selection",
    )

    def __init__(self) -> None:
        self._names = bytearray(b"/")
        self._name_end = array("I", [0])  # where the slash after the name is
        self._kind = bytearray([RowKind.SKIPPED])
        self._type = bytearray([RowType.DIRECTORY])
        self._reason = bytearray([0])
        self._flags = array("H", [RowFlag.EXPANDABLE])
        self._size = array("Q", [0])
        self._stamp = array("I", [0])
        self._parent = array("I", [_NONE])
        self._depth = array("H", [0])
        self._first_child = array("I", [_NONE])
        self._last_child = array("I", [_NONE])  # the one appended last, in whatever order
        self._next = array("I", [_NONE])
        self._state = bytearray([0])
        self._wanted = bytearray([1])  # neither hidden nor left out by the selection
        self._shown = array("I", [0])  # rows below an open row that are in sight when it is
        self._visible = array("I", [ROOT])
        self._orders: dict[int, Order] = {}  # of the directories that are arranged
        self._tally = [0] * len(RowKind)
        self.hiding = False
        self.hideable = 0
        self.order: Order = NAMES_FIRST
        self.selection: Selection | None = None

    # What is known of a row

    def __len__(self) -> int:
        return len(self._kind)

    def name(self, row: int) -> bytes:
        """The name of *row*; of a note its text, of the root nothing."""
        start = self._name_end[row - 1] + 1 if row else 0
        return bytes(self._names[start : self._name_end[row]])

    def data(self, row: int) -> RowData:
        """All that was given of *row*."""
        return RowData(
            self.name(row),
            self._kind[row],
            self._type[row],
            self._flags[row],
            self._size[row],
            self._reason[row],
            self._stamp[row],
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
        return bool(self._state[row] & _OPEN)

    def is_expandable(self, row: int) -> bool:
        """Whether there may be rows below *row*."""
        return bool(self._flags[row] & RowFlag.EXPANDABLE)

    def is_note(self, row: int) -> bool:
        """Whether *row* is a remark and no entry."""
        return self._kind[row] == RowKind.NOTE

    def is_wanted(self, row: int) -> bool:
        """Whether *row* is in sight when its directory is open: not hidden, not left out."""
        return bool(self._wanted[row])

    def path(self, row: int) -> bytes:
        """The path of *row* in the snapshot; of a note that of its directory."""
        if self.is_note(row):
            row = self._parent[row]
        names = []
        while row != ROOT:
            names.append(self.name(row))
            row = self._parent[row]
        return b"/" + b"/".join(reversed(names))

    def children(self, row: int) -> Sequence[int]:
        """The known rows directly below *row*, hidden ones too, in their order."""
        first = self._first_child[row]
        if not first:
            return ()
        if not self._state[row] & _UNEVEN:
            return range(first, self._last_child[row] + 1)
        found = array("I")
        following = self._next
        while first:
            found.append(first)
            first = following[first]
        return found

    def child_named(self, row: int, name: bytes) -> int | None:
        """The row directly below *row* with that *name*, if it is known."""
        children = self.children(row)
        if isinstance(children, range):
            return self.named(children.start, children.stop, name)
        for child in children:
            if self.name(child) == name and not self.is_note(child):
                return child
        return None

    def named(self, start: int, end: int, name: bytes) -> int | None:
        """The first row from *start* to before *end* with that *name*."""
        if start >= end or not name:
            return None
        names, ends = self.names(start, end)
        at = (b"/" + names).find(b"/" + name + b"/")
        if at < 0:
            return None
        row = start + bisect_left(ends, at)
        return None if self.is_note(row) else row

    def directories_below(self, row: int) -> dict[bytes, int]:
        """The rows directly below *row* that may have rows below them, by name."""
        return {
            self.name(child): child
            for child in self.children(row)
            if self._flags[child] & RowFlag.EXPANDABLE
        }

    def rows_named(self, row: int, names: Sequence[bytes]) -> list[int | None]:
        """The rows directly below *row* with these *names*; None where there is none yet."""
        if not names:
            return []
        children = self.children(row)
        if not isinstance(children, range):
            children = sorted(children)  # as they were appended, which is in the order of the names
        found: list[int | None] = []
        for name in names:
            place = bisect_left(children, name, key=self.name)
            child = children[place] if place < len(children) else _NONE
            is_it = child != _NONE and self.name(child) == name and not self.is_note(child)
            found.append(child if is_it else None)
        return found

    def last_name(self, row: int) -> bytes:
        """The name of the row that was appended last below *row*; empty when there is none."""
        last = self._last_child[row]
        return self.name(last) if last and not self.is_note(last) else b""

    def tally(self) -> tuple[int, ...]:
        """How many known rows count under each :class:`RowKind`."""
        return tuple(self._tally)

    # Columns, for what looks at many rows at once

    def kinds(self, start: int, end: int) -> bytes:
        """The kinds of the rows from *start* to before *end*."""
        return bytes(self._kind[start:end])

    def types(self, start: int, end: int) -> bytes:
        """The types of these rows."""
        return bytes(self._type[start:end])

    def reasons(self, start: int, end: int) -> bytes:
        """The reasons of these rows."""
        return bytes(self._reason[start:end])

    def flag_bytes(self, start: int, end: int) -> tuple[bytes, bytes]:
        """The lower and the higher byte of the flags of these rows."""
        both = memoryview(self._flags[start:end]).cast("B")
        low, high = bytes(both[::2]), bytes(both[1::2])
        return (low, high) if _LITTLE else (high, low)

    def sizes(self, start: int, end: int) -> array[int]:
        """The sizes of these rows."""
        return self._size[start:end]

    def parents(self, start: int, end: int) -> array[int]:
        """The parents of these rows."""
        return self._parent[start:end]

    def names(self, start: int, end: int) -> tuple[bytes, Sequence[int]]:
        """The names of these rows with a slash after each, and where these slashes are."""
        first = self._name_end[start - 1] + 1 if start else 0
        last = self._name_end[end - 1] + 1 if end else 0
        ends = self._name_end[start:end]
        if first:
            ends = array("I", [position - first for position in ends])
        return bytes(self._names[first:last]), ends

    def entries(self, start: int, end: int) -> bytes:
        """A 1 for each of these rows that is an entry still known and not hidden, else a 0."""
        return _all_of(
            end - start,
            self._kind[start:end].translate(_NO_NOTE),
            self._state[start:end].translate(_NOT_GONE),
            self._unhidden(start, end),
        )

    def entries_wanted(self, start: int, end: int) -> bytes:
        """A 1 for each of these rows that is an entry and :meth:`is_wanted`, else a 0."""
        wanted = bytes(self._wanted[start:end])
        return _all_of(end - start, wanted, self._kind[start:end].translate(_NO_NOTE))

    def _unhidden(self, start: int, end: int) -> bytes:
        if not self.hiding:
            return b"\1" * (end - start)
        return self.flag_bytes(start, end)[1].translate(_NOT_HIDEABLE)

    # What is in sight

    def __getitem__(self, place: int) -> int:
        """The row at *place*."""
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
        wanted = array("I", [row]).tobytes()
        places = self._visible.tobytes()
        at = places.find(wanted)
        while at % 4:
            at = places.find(wanted, at + 1)
        return at // 4

    def nearest_shown(self, row: int) -> int:
        """*row* itself when it is in sight, else the closest directory above it that is."""
        lineage = self.lineage(row)
        for above, below in pairwise(lineage):
            if not self.is_open(above) or not self._wanted[below]:
                return above
        return row

    def lineage(self, row: int) -> list[int]:
        """The rows from the root down to *row*."""
        lineage = [row]
        while lineage[-1] != ROOT:
            lineage.append(self._parent[lineage[-1]])
        lineage.reverse()
        return lineage

    def _is_shown(self, row: int) -> bool:
        return self.nearest_shown(row) == row

    @property
    def hidden(self) -> int:
        """How many known rows are hidden because they are skipped."""
        return self.hideable if self.hiding else 0

    # Changes

    def start_loading(self, row: int) -> None:
        """The rows below *row* are being read."""
        self._state[row] |= RowState.LOADING

    def finish_loading(self, row: int) -> bool:
        """All rows below *row* are known; tells whether they had to be put into order."""
        self._state[row] = self._state[row] & ~RowState.LOADING | RowState.LOADED
        if self.order == NAMES_FIRST or not self._first_child[row] or not self.is_open(row):
            return False
        place = self.place(row)
        if place is None:
            return False
        self.close(place)
        self.open(place)
        return True

    def append(self, parent: int, batch: Batch, near: int = 0) -> Inserted | None:
        """Add *batch* as the last rows below *parent*, and say which of them came into sight."""
        if self._state[parent] & _GONE:
            return None
        if self._state[parent] & RowState.ARRANGED:
            self._arrange(parent, NAMES_FIRST)
        first = len(self._kind)
        count = len(batch)
        rows = range(first, first + count)
        before = len(self._names)
        self._names += batch.names
        self._name_end.extend(array("I", [before + end for end in batch.ends]))
        self._kind += batch.kinds
        self._type += batch.types
        self._reason += batch.reasons
        self._flags.extend(batch.flags)
        self._size.extend(batch.sizes)
        self._stamp.extend(batch.stamps)
        self.hideable += batch.hideable
        for kind, number in enumerate(batch.tally):
            self._tally[kind] += number
        depth = min(self._depth[parent] + 1, _DEEPEST)
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
            if tail != first - 1:
                self._state[parent] |= RowState.SCATTERED
        else:
            self._first_child[parent] = first
        self._last_child[parent] = rows[-1]
        wanted = self._wanting(first, first + count)
        self._wanted += wanted
        return self._show(parent, rows, wanted, near)

    def _wanting(self, start: int, end: int) -> bytes:
        """Which of the rows from *start* to before *end* are to be in sight."""
        unhidden = self._unhidden(start, end)
        if self.selection is None:
            return unhidden
        return _all_of(end - start, unhidden, self.selection(start, end))

    def _show(self, parent: int, rows: range, wanted: bytes, near: int) -> Inserted | None:
        count = wanted.count(1)
        if not count or not self.is_open(parent):
            return None
        before = self._shown[parent]
        self._grow(parent, count)
        place = self.place(parent, near)
        if place is None:
            return None
        index = place + 1 + before
        shown = rows if count == len(rows) else compress(rows, wanted)
        self._visible[index:index] = array("I", shown)
        return Inserted(index, count)

    def _grow(self, row: int, by: int) -> None:
        """Count *by* more rows in sight below *row* and below every open row above it."""
        while self.is_open(row):
            self._shown[row] += by
            if row == ROOT or not self._wanted[row]:
                return
            row = self._parent[row]

    def open(self, place: int) -> int:
        """Bring the known rows below *place* into sight; returns how many came."""
        row = self._visible[place]
        if self.is_open(row):
            return 0
        self._state[row] |= _OPEN
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
        self._state[row] &= ~_OPEN
        return count

    def _below(self, row: int) -> array[int]:
        """The rows in sight below *row*, when it is open, in order."""
        below: array[int] = array("I")
        pending = [self._wanted_below(row, below)]
        while pending:
            for child in pending[-1]:
                below.append(child)
                if self._state[child] & _OPEN and self._first_child[child]:
                    pending.append(self._wanted_below(child, below))
                    break
            else:
                pending.pop()
        return below

    def _wanted_below(self, row: int, below: array[int]) -> Iterator[int]:
        """The rows directly below *row* that are wanted, in order.

        Where none of them is open, they are put into *below* at once, and none is given.
        """
        if self._state[row] & RowState.LOADED:
            self._arrange(row, self.order)
        rows = self.children(row)
        if isinstance(rows, range):
            wanted = self._wanted[rows.start : rows.stop]
            if 1 in self._state[rows.start : rows.stop].translate(_IS_OPEN):
                return compress(rows, wanted)
            below.extend(rows if 0 not in wanted else compress(rows, wanted))
            return iter(())
        return compress(rows, map(self._wanted.__getitem__, rows))

    def _arrange(self, row: int, order: Order) -> None:
        """Hang the rows below *row* together in *order*."""
        if self._orders.get(row, NAMES_FIRST) == order:
            return
        rows = arranged(self, sorted(self.children(row)), order)
        if not rows:
            return
        self._first_child[row] = rows[0]
        following = self._next
        for one, after in pairwise(rows):
            following[one] = after
        following[rows[-1]] = _NONE
        if order == NAMES_FIRST:
            self._state[row] &= ~RowState.ARRANGED
            del self._orders[row]
        else:
            self._state[row] |= RowState.ARRANGED
            self._orders[row] = order

    def sort(self, order: Order) -> None:
        """Show the rows of every directory that is read to its end in *order*."""
        self.order = order
        self._look()

    def hide_skipped(self, hiding: bool) -> None:
        """Hide the rows of skipped entries that nothing depends on, or show them again."""
        self.hiding = hiding
        self.refresh_wanted()

    def select(self, selection: Selection | None, opened: Iterable[int] | None = None) -> None:
        """Show only what *selection* wants, or with None everything.

        Of the directories *opened* are open then, and the root; by default those that were.
        """
        self.selection = selection
        if opened is not None:
            self._state = self._state.translate(_CLOSED)
            self._open_all_of(chain((ROOT,), opened))
        self.refresh_wanted()

    def refresh_wanted(self) -> None:
        """Ask anew which rows are wanted, and show these."""
        self._wanted = bytearray(
            _all_of(
                len(self),
                self._wanting(0, len(self)),
                self._state.translate(_NOT_GONE),
            )
        )
        self._wanted[ROOT] = 1
        self._look()

    def closed_directories(self) -> Iterator[int]:
        """The directories that are read, wanted and closed, those above before those below."""
        high = self.flag_bytes(0, len(self))[1]
        candidates = _all_of(
            len(self),
            high.translate(_IS_EXPANDABLE),
            self._state.translate(_IS_READ_AND_CLOSED),
            bytes(self._wanted),
        )
        return compress(range(len(self)), candidates)

    def _look(self) -> None:
        """Find out what is in sight, from what is open and wanted."""
        self._shown = array("I", [0]) * len(self)
        opened = list(compress(range(len(self)), self._state.translate(_IS_OPEN)))
        for row in reversed(opened):  # what is below a row has a greater number
            if self._state[row] & _GONE:
                continue
            self._shown[row] += self.count_wanted(row)
            parent = self._parent[row]
            if row != ROOT and self._wanted[row] and self._state[parent] & _OPEN:
                self._shown[parent] += self._shown[row]
        self._visible = array("I", [ROOT])
        if self.is_open(ROOT):
            self._visible.extend(self._below(ROOT))

    def count_wanted(self, row: int) -> int:
        """How many rows directly below *row* are in sight when it is open."""
        rows = self.children(row)
        if isinstance(rows, range):
            return self._wanted.count(1, rows.start, rows.stop)
        return sum(map(self._wanted.__getitem__, rows))

    def close_all(self) -> None:
        """Close every directory but the root."""
        root = self._state[ROOT]
        self._state = self._state.translate(_CLOSED)
        self._state[ROOT] = root
        self._look()

    def open_these(self, rows: Iterable[int]) -> None:
        """Open the directories *rows*, wherever they are."""
        self._open_all_of(rows)
        self._look()

    def _open_all_of(self, rows: Iterable[int]) -> None:
        for row in rows:
            if not self._state[row] & _GONE:
                self._state[row] |= _OPEN

    def opened(self) -> list[int]:
        """The rows that are open."""
        return list(compress(range(len(self)), self._state.translate(_IS_OPEN)))

    def open_only(self, rows: Iterable[int]) -> None:
        """Open the directories *rows* and close every other."""
        self._state = self._state.translate(_CLOSED)
        self.open_these(chain((ROOT,), rows))

    def mark_changed(self, row: int) -> None:
        """Show that *row* is not what it was."""
        self._flags[row] |= RowFlag.CHANGED

    def forget_below(self, place: int) -> list[int]:
        """Unhook every row below *place*, to read them anew; returns those that were being read."""
        row = self._visible[place]
        was_open = self.is_open(row)
        reading = []
        self.close(place)
        pending = list(self.children(row))
        gone = bytearray()
        flags = []
        while pending:
            child = pending.pop()
            if self._state[child] & RowState.LOADING:
                reading.append(child)
            gone.append(self._kind[child])
            flags.append(self._flags[child])
            if self._flags[child] & RowFlag.HIDEABLE:
                self.hideable -= 1
            pending.extend(self.children(child))
            self._state[child] |= _GONE
            self._wanted[child] = 0
        for kind, number in enumerate(tally_of(bytes(gone), flags)):
            self._tally[kind] -= number
        self._first_child[row] = self._last_child[row] = _NONE
        self._orders.pop(row, None)
        self._state[row] = RowState.OPEN if was_open else 0
        return reading


_LITTLE = array("H", [1]).tobytes() == b"\1\0"


def _all_of(count: int, *columns: bytes | bytearray) -> bytes:
    """A 1 where every one of *columns*, of *count* bytes each, has a 1."""
    every = int.from_bytes(columns[0], "little")
    for column in columns[1:]:
        every &= int.from_bytes(column, "little")
    return every.to_bytes(count, "little")
