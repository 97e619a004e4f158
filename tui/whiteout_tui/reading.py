"""From what was read in a thread to the rows of the tree.

The whole snapshot is read once, in the background; a directory that is opened before its turn is
read by itself meanwhile, unless the run is in it. Both give the entries in the same order, so
whichever comes later brings only the names that are still missing.
"""

from __future__ import annotations

from whiteout_tui.loading import Listing
from whiteout_tui.rowdata import Batch, RowFlag, RowKind
from whiteout_tui.rows import RowState
from whiteout_tui.tree import SnapshotTree

_EXPANDABLE = int(RowFlag.EXPANDABLE)


class Reading:
    """One run over a directory, and with ``deep`` over everything below it."""

    def __init__(self, tree: SnapshotTree, row: int, path: bytes, *, deep: bool) -> None:
        self.deep = deep
        self._tree = tree
        self._row = row
        self._rows = {path: row}
        self._at: bytes | None = None

    def enter(self, path: bytes) -> None:
        """The run begins with the directory *path*; this is said by its thread."""
        self._at = path

    def brings(self, row: int, path: bytes) -> bool:
        """Whether the run is in the directory *path*, and brings its entries below *row*."""
        return self._at == path and self._rows.get(path) == row

    def take(self, listing: Listing) -> None:
        """Put a listing into the tree."""
        row = self._rows.get(listing.path)
        if row is None:
            return
        rows = self._tree.rows
        loaded = bool(rows.state(row) & RowState.LOADED)
        if listing.batch is not None:
            if not loaded and not listing.whole:
                rows.start_loading(row)
            fresh = None if loaded else listing.batch.after(rows.last_name(row))
            first = len(rows)
            if fresh is not None:
                self._tree.add(row, fresh)
            if self.deep:
                self._note_directories(listing, row, first if fresh is listing.batch else None)
        if listing.whole:
            self._rows.pop(listing.path, None)
            if not loaded:
                self._tree.finish(row, listing.error)

    def _note_directories(self, listing: Listing, row: int, first: int | None) -> None:
        batch = listing.batch
        if batch is None:
            return
        prefix = listing.path.rstrip(b"/") + b"/"
        directories = _directories(batch)
        names = [batch.name(position) for position in directories]
        found: list[int | None] = (
            self._tree.rows.rows_named(row, names)
            if first is None
            else [first + position for position in directories]
        )
        for name, directory in zip(names, found, strict=True):
            if directory is not None:
                self._rows[prefix + name] = directory

    def fail(self, error: str) -> None:
        """Say that nothing more can be read, for the reason *error*."""
        for row in self._rows.values():
            state = self._tree.rows.state(row)
            under_way = row == self._row or state & RowState.LOADING
            if under_way and not state & RowState.LOADED:
                self._tree.finish(row, error)
        self._rows.clear()

    def forget(self, path: bytes) -> None:
        """Bring nothing more of *path* and of what is below it."""
        below = path.rstrip(b"/") + b"/"
        self._rows = {
            known: row
            for known, row in self._rows.items()
            if known != path and not known.startswith(below)
        }


def _directories(batch: Batch) -> list[int]:
    """Where the directories are that the run comes to: what is removed it passes by."""
    return [
        position
        for position, flags in enumerate(batch.flags)
        if flags & _EXPANDABLE and batch.kinds[position] != RowKind.DELETE
    ]
