"""The bytes that the layer records below each directory, added up as the directories are read.

The rule is that of :mod:`whiteout.totals`: the content of regular files that are added or modified;
a file with several names counts once, under the name that is read first.
"""

from __future__ import annotations

from collections.abc import Iterator

from whiteout_tui.rowdata import Batch, RowFlag, RowKind, RowType
from whiteout_tui.rows import ROOT, Rows, RowState

_HARD_LINK = int(RowFlag.HARD_LINK)
_NOT_READ = int(RowFlag.GHOST)
_EXPANDABLE = int(RowFlag.EXPANDABLE)
_FILE, _DIRECTORY = int(RowType.FILE), int(RowType.DIRECTORY)
_RECORDED = (int(RowKind.ADD), int(RowKind.MODIFY))
_DELETE = int(RowKind.DELETE)


class Sums:
    """What is known of the directories among *rows*."""

    __slots__ = ("_links", "_rows", "_sizes", "_unread", "_unread_below")

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._sizes: dict[int, int] = {}
        self._unread = {ROOT}
        self._unread_below = {ROOT: 1}  # a directory that is not read to its end counts itself
        self._links: dict[tuple[int, int], int] = {}  # stamp and size -> the row that counts

    def size(self, row: int) -> int:
        """The bytes recorded below the directory *row*, so far as they are known."""
        return self._sizes.get(row, 0)

    def is_complete(self, row: int) -> bool:
        """Whether everything below the directory *row* is read."""
        return not self._unread_below.get(row)

    def add(self, parent: int, batch: Batch, first: int) -> None:
        """The rows of *batch* were appended below *parent*, from the row *first* on."""
        size = 0
        for position, (kind, row_type, length, flags) in enumerate(
            zip(batch.kinds, batch.types, batch.sizes, batch.flags, strict=True)
        ):
            if row_type == _FILE:
                if kind in _RECORDED and length:
                    if flags & _HARD_LINK:
                        link = batch.stamps[position], length
                        if self._links.setdefault(link, first + position) != first + position:
                            continue
                    size += length
            elif (
                row_type == _DIRECTORY
                and flags & _EXPANDABLE
                and kind != _DELETE
                and not flags & _NOT_READ
            ):
                self._expect(first + position)
        if size:
            for row in self._up_from(parent):
                self._sizes[row] = self._sizes.get(row, 0) + size

    def _expect(self, row: int) -> None:
        self._unread.add(row)
        self._count_unread(row, 1)

    def finish(self, row: int) -> None:
        """The directory *row* is read to its end; one that cannot be read never is."""
        if row in self._unread:
            self._unread.discard(row)
            self._count_unread(row, -1)

    def forget_below(self, row: int) -> None:
        """The rows below *row* were unhooked, to be read anew."""
        size = self._sizes.get(row, 0)
        for above in self._up_from(row):
            self._sizes[above] = self._sizes.get(above, 0) - size
        self._unread.add(row)
        self._count_unread(row, 1 - self._unread_below.get(row, 0))
        self._links = {
            link: counted
            for link, counted in self._links.items()
            if not self._rows.state(counted) & RowState.GONE
        }

    def _count_unread(self, row: int, by: int) -> None:
        for above in self._up_from(row):
            self._unread_below[above] = self._unread_below.get(above, 0) + by

    def _up_from(self, row: int) -> Iterator[int]:
        while row != ROOT:
            yield row
            row = self._rows.parent(row)
        yield ROOT
