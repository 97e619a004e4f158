"""Who shadows whom: what every layer of a snapshot holds for one path.

The layers are asked from the top down, with the rules by which the kernel's ``ovl_lookup``
(``fs/overlayfs/namei.c``) finds what the merged view shows: a whiteout, an opaque directory or
something that is no directory ends the search, a redirect changes the path to look for.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from whiteout.display import display_path
from whiteout.entries import Entry
from whiteout.errors import NotFound, ReadError, reason_of
from whiteout.layers import Directories, Directory, Layer, Marks
from whiteout.marks import UNMARKED, is_whiteout, read_marks, redirected
from whiteout.snapshot import Snapshot

WHITEOUT = "whiteout"
OPAQUE = "opaque directory"
NOTHING = "nothing"
UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Holding:
    """What one layer holds for a path.

    ``layer`` counts from the bottom, beginning at 0. ``what`` is the value of an
    :class:`~whiteout.entries.EntryType`, or ``whiteout``, ``opaque directory``, ``nothing`` or
    ``unreadable``. ``size`` is in bytes, of a regular file. ``shown`` tells that the merged view
    shows it or something of it: the topmost entry, the directories merged with it, the data of a
    metacopy. ``shadowed_by`` is the layer that hides it.
    """

    layer: int
    layer_path: bytes
    what: str
    size: int | None = None
    shown: bool = False
    shadowed_by: int | None = None
    error: str | None = None


def provenance(snapshot: Snapshot, path: bytes) -> tuple[Holding, ...]:
    """What each layer of *snapshot* holds for the absolute *path*, topmost layer first.

    Data-only layers are not among them. Where a layer could not be read, nothing below it is
    called shown or shadowed.

    Raises:
        NotFound: *path* is no path in a snapshot.
    """
    names = tuple(name for name in path.split(b"/") if name)
    if any(name in (b".", b"..") or b"\0" in name for name in names):
        raise NotFound(f"{display_path(path)} is no path in a snapshot; leave out . and ..")
    top = len(snapshot.merged) - 1
    with Directories() as pool:
        search = _Search(names)
        return tuple(
            search.ask(pool, top - position, layer)
            for position, layer in enumerate(snapshot.merged)
        )


class _Search:
    """The state of a search that goes from layer to layer."""

    def __init__(self, names: tuple[bytes, ...]) -> None:
        self._components = (b"", *names)
        self._ended_by: int | None = None
        self._unread: int | None = None
        self._wanted: int | None = None
        self._provider = 0

    def ask(self, pool: Directories, number: int, layer: Layer) -> Holding:
        """What *layer* holds; layers must be asked from the top down."""
        ended_by, unread = self._ended_by, self._unread
        try:
            status, mark = self._look(pool.root(layer), number, layer.marks)
        except (OSError, ReadError) as error:
            self._unread = number if unread is None else unread
            reason = reason_of(error) if isinstance(error, OSError) else str(error)
            return Holding(number, layer.path, UNREADABLE, error=reason)
        if status is None:
            return Holding(number, layer.path, NOTHING)
        what = mark or Entry(status, number).type.value
        size = status.st_size if mark is None and stat.S_ISREG(status.st_mode) else None
        if unread is not None:
            doubt = "whether it is shown depends on a layer above, which could not be read"
            return Holding(number, layer.path, what, size, error=doubt)
        if ended_by is None and mark != WHITEOUT and not self._fits(status, number):
            ended_by = self._provider
        shown = ended_by is None and mark != WHITEOUT
        return Holding(number, layer.path, what, size, shown, ended_by)

    def _fits(self, status: os.stat_result, number: int) -> bool:
        """Whether the entry is the topmost, or of the type that completes the one above."""
        file_type = stat.S_IFMT(status.st_mode)
        if self._wanted is None:
            self._wanted, self._provider = file_type, number
        elif file_type != self._wanted:
            self._end(self._provider)
            return False
        return True

    def _look(
        self, directory: Directory, number: int, marking: Marks
    ) -> tuple[os.stat_result | None, str | None]:
        """The status of the path in one layer, and its mark; notes what follows further down."""
        components = self._components
        steps = components[1:]
        if not steps:
            return directory.own_status(), None
        for left, name in zip(range(len(steps) - 1, -1, -1), steps, strict=True):
            status = directory.lstat(name)
            if status is None:
                break
            if is_whiteout(directory, name, status, marking):
                self._end(number)
                return (None, None) if left else (status, WHITEOUT)
            is_directory = stat.S_ISDIR(status.st_mode)
            marks = UNMARKED
            if marking and (is_directory or stat.S_ISREG(status.st_mode)):
                present = directory.attribute_names(name)
                marks = read_marks(directory, name, marking, present)
            opaque = is_directory and marks.opaque == b"y"
            if opaque or not (is_directory or (marks.metacopy and not left)):
                self._end(number)
            if marks.redirect is not None and self._ended_by is None:
                components = redirected(components, len(components) - 1 - left, marks.redirect)
            if not left:
                self._components = components
                return status, OPAQUE if opaque else None
            if not is_directory:
                return None, None
            directory = directory.child(name)
        self._components = components
        return None, None

    def _end(self, number: int) -> None:
        if self._ended_by is None:
            self._ended_by = number
