"""The directory of containerd's overlay snapshotter, which BuildKit uses as well.

``metadata.db`` names the snapshots, each with a number that is never given twice, its kind and its
parent; ``snapshots/NUMBER/fs`` is the layer (``snapshots/storage/bolt.go``,
``snapshots/overlay/overlay.go``). It tells committed snapshots as well, of which the daemon gives
no mounts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from whiteout.display import display_path, display_text
from whiteout.errors import MountError, SnapshotChanged, read_error
from whiteout.sources.bolt import Bolt, Bucket, State, open_bolt, state_of
from whiteout.sources.containerdtypes import text, timestamp, uvarint, varint
from whiteout.sources.root import Root

_LONGEST_CHAIN = 4096


class SnapshotKind(Enum):
    """What a snapshot is to its snapshotter; the numbers are containerd's ``snapshots.Kind``."""

    VIEW = 1
    ACTIVE = 2
    COMMITTED = 3


@dataclass(frozen=True, slots=True)
class SnapshotEntry:
    """One snapshot; ``name`` and ``parent`` are names in the database of the snapshotter."""

    name: str
    number: int
    kind: SnapshotKind
    parent: str | None
    created: float | None
    size: int | None


class Snapshotter:
    """What the snapshotter at *directory* held at one moment.

    *root* is what it lies in, and what no symlink in it leads out of.

    Raises:
        ReadError: its database cannot be read.
    """

    def __init__(self, directory: bytes, root: Root) -> None:
        self.directory = directory
        self._root = root
        self._bolt = open_bolt(os.path.join(directory, b"metadata.db"))
        self._entries = {entry.name: entry for entry in _entries(self._bolt)}

    def get(self, name: str) -> SnapshotEntry | None:
        """The snapshot *name*, or None."""
        return self._entries.get(name)

    def depth(self, name: str, known: dict[str, int]) -> int | None:
        """How many layers the snapshot *name* has; None where its chain is broken.

        *known* remembers the answers for the next question.
        """
        path: list[str] = []
        current: str | None = name
        while current is not None and current not in known:
            entry = self._entries.get(current)
            if entry is None or len(path) > _LONGEST_CHAIN:
                return None
            path.append(current)
            current = entry.parent
        depth = known[current] if current is not None else 0
        for each in reversed(path):
            depth += 1
            known[each] = depth
        return depth

    def chain(self, name: str) -> tuple[SnapshotEntry, ...]:
        """The snapshot *name* and all below it, topmost first.

        Raises:
            MountError: there is no such snapshot, or its parents are not all there.
        """
        found: list[SnapshotEntry] = []
        current: str | None = name
        while current is not None:
            entry = self._entries.get(current)
            if entry is None:
                raise MountError(
                    f"there is no snapshot {display_text(current)} in"
                    f" {display_path(self.directory)}; list again"
                )
            found.append(entry)
            if len(found) > _LONGEST_CHAIN:
                raise MountError(f"the parents of {display_text(name)} never end")
            current = entry.parent
        return tuple(found)

    @property
    def store(self) -> bytes:
        """The directory in which the layers are.

        Raises:
            ReadError: it cannot be found.
        """
        return self._settled(b"snapshots")

    def path(self, entry: SnapshotEntry) -> bytes:
        """The layer of *entry*.

        Raises:
            ReadError: it cannot be found.
        """
        return self._settled(b"snapshots", b"%d" % entry.number, b"fs")

    def _settled(self, *names: bytes) -> bytes:
        path = os.path.join(self.directory, *names)
        try:
            return self._root.settle(path)
        except OSError as error:
            raise read_error("find the layer", path, error) from None

    def numbers(self) -> frozenset[int]:
        """The numbers that have a directory.

        Raises:
            OSError: they cannot be listed.
        """
        names = os.listdir(self.store)
        return frozenset(int(name) for name in names if name.isdigit() and name.isascii())

    def guard(self, chain: tuple[SnapshotEntry, ...]) -> ChainGuard:
        """What tells later whether *chain* is still there."""
        return ChainGuard(self.directory, self._root, chain, self._bolt.state)


@dataclass(frozen=True, slots=True)
class ChainGuard:
    """Tells whether a chain of snapshots is still what it was.

    containerd takes a snapshot out of its database before it deletes the first file, so what is
    still there after reading was whole while it was read.
    """

    directory: bytes
    root: Root
    chain: tuple[SnapshotEntry, ...]
    state: State

    def check(self) -> None:
        """Make sure of it; cheap when nothing at all has changed.

        Raises:
            SnapshotChanged: a snapshot of the chain was removed, committed or made anew.
            ReadError: the database cannot be read.
        """
        if state_of(os.path.join(self.directory, b"metadata.db")) == self.state:
            return
        now = Snapshotter(self.directory, self.root)
        for entry in self.chain:
            found = now.get(entry.name)
            if found is None or (found.number, found.parent) != (entry.number, entry.parent):
                raise SnapshotChanged(
                    f"the snapshot {display_text(entry.name)} was removed or committed while it"
                    " was read; list again",
                    now.path(entry),
                )


def _entries(bolt: Bolt) -> Iterator[SnapshotEntry]:
    snapshots = bolt.root.bucket(b"v1", b"snapshots")
    if snapshots is None:
        return
    for name, bucket in snapshots.buckets():
        entry = _entry(text(name), bucket)
        if entry is not None:
            yield entry


def _entry(name: str, bucket: Bucket) -> SnapshotEntry | None:
    values = dict(bucket.values())
    number = uvarint(values.get(b"id"))
    kind = values.get(b"kind")
    if number is None or kind not in (b"\1", b"\2", b"\3"):
        return None
    return SnapshotEntry(
        name,
        number,
        SnapshotKind(kind[0]),
        text(values.get(b"parent")) or None,
        timestamp(values.get(b"createdat")),
        varint(values.get(b"size")),
    )
