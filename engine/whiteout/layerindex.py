"""Where in the layer's tar each entry is, without reading any content.

The sizes are known before the contents are, so the stream of entries alone gives every offset. An
index keeps 16 bytes of each entry, and the names of the hard links.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass
from enum import Enum
from itertools import count

from whiteout.cancel import NEVER, CancelToken
from whiteout.differ import find
from whiteout.errors import read_error
from whiteout.layerentries import entry_header, layer_entries, whiteout_header
from whiteout.snapshot import Snapshot
from whiteout.steps import Effect, effect_of
from whiteout.tarheader import END_OF_ARCHIVE, TarHeader, TypeFlag, padded

_HASH = 1 << 64


class LayerIndex:
    """The offsets of a layer's entries, by the path in the snapshot that each stands for.

    ``entries`` is their number, ``size`` the length of the whole tar in bytes.
    """

    def __init__(
        self,
        salt: bytes,
        keys: array[int],
        offsets: array[int],
        sources: dict[bytes, bytes],
        size: int,
    ) -> None:
        order = sorted(range(len(keys)), key=keys.__getitem__)
        self._salt = salt
        self._keys = array("Q", map(keys.__getitem__, order))
        self._offsets = array("Q", map(offsets.__getitem__, order))
        self._sources = sources
        self.entries = len(keys)
        self.size = size

    @property
    def is_unique(self) -> bool:
        """Whether no two paths have the same key."""
        keys = self._keys
        return all(keys[place] != keys[place - 1] for place in range(1, len(keys)))

    def offset(self, path: bytes) -> int | None:
        """Where the first header of the entry of *path* begins; None where there is none."""
        key = _key(self._salt, path)
        place = bisect_left(self._keys, key)
        if place < len(self._keys) and self._keys[place] == key:
            return self._offsets[place]
        return None

    def source(self, path: bytes) -> bytes | None:
        """The name that the entry of *path* is a hard link to; None when it is no link."""
        return self._sources.get(path)


def _key(salt: bytes, path: bytes) -> int:
    return hash(salt + path) % _HASH


def index_layer(snapshot: Snapshot, cancel: CancelToken = NEVER) -> LayerIndex:
    """Run through the entries that an export of *snapshot* would write, and note where they are.

    Raises:
        RefusedError: no layer is exported of this snapshot.
        ReadError: something could not be read, so that no layer is exported.
        Cancelled: *cancel* was cancelled.
    """
    from whiteout.export import check_exportable

    check_exportable(snapshot)
    for salt in count():
        index = _index(snapshot, b"%d" % salt, cancel)
        if index.is_unique:  # two of a million paths have the same key once in 30 million times
            return index
    raise AssertionError("unreachable")


def _index(snapshot: Snapshot, salt: bytes, cancel: CancelToken) -> LayerIndex:
    keys, offsets = array("Q"), array("Q")
    sources: dict[bytes, bytes] = {}
    size = 0
    with snapshot.findings(cancel) as findings:
        for entry in layer_entries(findings):
            header = entry.header
            keys.append(_key(salt, entry.path))
            offsets.append(size)
            if header.type is TypeFlag.LINK:
                sources[entry.path] = header.linkname
            size += header.encoded_size() + padded(header.size)
    return LayerIndex(salt, keys, offsets, sources, size + len(END_OF_ARCHIVE))


class NoEntry(Enum):
    """Why a path has no entry in the layer."""

    NOT_RECORDED = "not-recorded"
    """It is skipped."""
    NOTHING_BELOW = "nothing-below"
    """An unchanged directory, and nothing below it is recorded."""
    NO_OTHER_NAME = "no-other-name"
    """An unchanged name of a file of which no name is recorded."""
    SOCKET = "socket"
    """A socket."""
    UNREADABLE = "unreadable"
    """It cannot be read, so there is no layer."""


@dataclass(frozen=True, slots=True)
class PlacedEntry:
    """One entry, and where in the tar its first header begins; None while that is not known."""

    path: bytes
    header: TarHeader
    offset: int | None

    @property
    def header_size(self) -> int:
        """Bytes of the header, PAX records included."""
        return self.header.encoded_size()

    @property
    def padded_size(self) -> int:
        """Bytes that the entry takes in the tar: headers, content, and padding to whole blocks."""
        return self.header_size + padded(self.header.size)


@dataclass(frozen=True, slots=True)
class TarAnswer:
    """What becomes of one path in the tar.

    ``parents`` are the unchanged directories that are written right before it, for its sake.
    ``no_entry`` says why there is no ``entry``. Without both, an index is needed to tell.
    """

    entry: PlacedEntry | None = None
    parents: tuple[PlacedEntry, ...] = ()
    no_entry: NoEntry | None = None


_PLAIN_ABSENCES = {
    Effect.NOTHING: NoEntry.NOT_RECORDED,
    Effect.SOCKET: NoEntry.SOCKET,
    Effect.UNKNOWN: NoEntry.UNREADABLE,
}
_MISSING_FROM_INDEX = {
    Effect.PARENT: NoEntry.NOTHING_BELOW,
    Effect.LINK: NoEntry.NO_OTHER_NAME,
}
_MOST_PARENTS = 64


def tar_entry(
    snapshot: Snapshot, path: bytes, index: LayerIndex | None, cancel: CancelToken = NEVER
) -> TarAnswer:
    """The entry of the absolute *path*, as an export would write it.

    Without *index* no offset is told, and nothing of what depends on other paths.

    Raises:
        NotFound: neither the snapshot nor its base has *path*.
        ReadError: it cannot be read.
    """
    verdict = snapshot.explain(path, cancel=cancel)
    effect = effect_of(verdict).effect
    if effect in _PLAIN_ABSENCES:
        return TarAnswer(no_entry=_PLAIN_ABSENCES[effect])
    offset = index.offset(path) if index is not None else None
    if index is None and effect in (Effect.PARENT, Effect.LINK, Effect.ENTRY_OR_LINK):
        return TarAnswer()
    if index is not None and offset is None:
        return TarAnswer(no_entry=_MISSING_FROM_INDEX.get(effect, NoEntry.NOT_RECORDED))
    header = _header(snapshot, path, index, cancel)
    parents = []
    if index is not None and offset is not None:
        parents = _parents(snapshot, path, index, offset, cancel)
    return TarAnswer(PlacedEntry(path, header, offset), tuple(parents))


def _header(
    snapshot: Snapshot, path: bytes, index: LayerIndex | None, cancel: CancelToken
) -> TarHeader:
    with snapshot.reading(cancel) as root:
        finding = find(root, path)[1]
        if finding.node is None or effect_of(finding.verdict).effect is Effect.WHITEOUT:
            return whiteout_header(path)
        try:
            header = entry_header(path, finding.node)
        except OSError as error:
            raise read_error("read", path, error) from error
    source = index.source(path) if index is not None else None
    return header if source is None else header.as_link(header.name, source)


def _parents(
    snapshot: Snapshot, path: bytes, index: LayerIndex, offset: int, cancel: CancelToken
) -> list[PlacedEntry]:
    """The directories that are not recorded themselves and end where the entry begins."""
    found: list[PlacedEntry] = []
    while (path := path.rpartition(b"/")[0]) and len(found) < _MOST_PARENTS:
        begin = index.offset(path)
        if begin is None or effect_of(snapshot.explain(path, cancel=cancel)).effect is not (
            Effect.PARENT
        ):
            break
        header = _header(snapshot, path, index, cancel)
        if begin + header.encoded_size() != offset:
            break
        found.append(PlacedEntry(path, header, begin))
        offset = begin
    return found[::-1]
