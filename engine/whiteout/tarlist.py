"""The entries of a layer's blob, read one by one and kept small.

The headers of an entry take 512 bytes or more, and those of neighbours are nearly the same. So they
are kept compressed, some hundred together, and one is taken apart when somebody looks at it. Of
headers that are large, as a stranger may make them, fewer are together.
"""

from __future__ import annotations

import threading
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

from whiteout.cancel import NEVER, CancelToken
from whiteout.compression import Readable, open_decompressor
from whiteout.errors import StoreError, reason_of
from whiteout.tarcheck import BLOCK, TarEntry, TarProblem, header_name, pax_records, read_entries
from whiteout.tarheader import padded

_TOGETHER, _TOGETHER_BYTES = 256, 1 << 20
_LEVEL = 1
_UNPACKED = 8
_PAX, _LONG_NAME, _LONG_LINK = b"xLK"
_HEADER_ONLY = frozenset(b"123456")


@dataclass(frozen=True, slots=True)
class ListedEntry:
    """One entry of a tar as its headers give it. A number that is none is None."""

    name: bytes
    type: int
    """The type flag, a byte of the header."""
    size: int | None
    """Bytes of content in the archive."""
    mode: int | None
    uid: int | None
    gid: int | None
    mtime: int | None
    """Seconds since 1970."""
    linkname: bytes
    device: tuple[int | None, int | None]
    records: tuple[tuple[bytes, bytes], ...]
    """The PAX records."""

    @property
    def is_whiteout(self) -> bool:
        """Whether it deletes what it is named after, as exported layers write that."""
        name = self.name.rpartition(b"/")[2]
        return name.startswith(b".wh.") and not self.size and not self.mode and not self.mtime

    @property
    def path(self) -> bytes:
        """The absolute path of what the entry stands for; of a whiteout what it deletes."""
        path = b"/" + self.name.strip(b"/")
        if not self.is_whiteout:
            return path
        directory, _, name = path.rpartition(b"/")
        return directory + b"/" + name.removeprefix(b".wh.")


def listed_entry(headers: bytes) -> ListedEntry:
    """Take the *headers* of one entry apart, as :class:`whiteout.tarcheck.TarEntry` has them."""
    records: dict[bytes, bytes] = {}
    long: dict[bytes, bytes] = {}
    position = 0
    while position + BLOCK < len(headers):
        special = headers[position : position + BLOCK]
        size = _number(special[124:136]) or 0
        content = headers[position + BLOCK : position + BLOCK + size]
        if special[156] == _PAX:
            records.update(_records(content))
        elif special[156] in (_LONG_NAME, _LONG_LINK):
            long[b"path" if special[156] == _LONG_NAME else b"linkpath"] = content.rstrip(b"\0")
        position += BLOCK + padded(size)
    header = headers[-BLOCK:]
    own = {**long, **records}

    def number(key: bytes, start: int, end: int) -> int | None:
        return _decimal(own[key]) if key in own else _number(header[start:end])

    kind = header[156]
    return ListedEntry(
        own.get(b"path") or header_name(header),
        kind,
        0 if kind in _HEADER_ONLY else number(b"size", 124, 136),
        _number(header[100:108]),
        number(b"uid", 108, 116),
        number(b"gid", 116, 124),
        number(b"mtime", 136, 148),
        own.get(b"linkpath") or header[157:257].partition(b"\0")[0],
        (_number(header[329:337]), _number(header[337:345])),
        tuple(records.items()),
    )


def _records(content: bytes) -> dict[bytes, bytes]:
    try:
        return dict(pax_records(content, "the entry"))
    except TarProblem:
        return {}


def _number(field: bytes) -> int | None:
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        return None
    return int(digits or b"0", 8)


def _decimal(text: bytes) -> int | None:
    whole = text.partition(b".")[0]
    return int(whole) if whole.removeprefix(b"-").isdigit() and len(whole) < 20 else None


class EntryList:
    """Entries in their order. One thread may add while another one looks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._packed: list[bytes] = []
        self._starts: list[int] = []
        self._last: list[bytes] = []
        self._last_start = self._last_bytes = 0
        self._unpacked: dict[int, tuple[bytes, ...]] = {}

    def __len__(self) -> int:
        with self._lock:
            return self._last_start + len(self._last)

    def add(self, entry: TarEntry) -> None:
        """Keep the headers of *entry*."""
        with self._lock:
            self._last.append(entry.headers)
            self._last_bytes += len(entry.headers)
            if len(self._last) == _TOGETHER or self._last_bytes >= _TOGETHER_BYTES:
                self._packed.append(_pack(self._last))
                self._starts.append(self._last_start)
                self._last_start += len(self._last)
                self._last, self._last_bytes = [], 0

    def __getitem__(self, number: int) -> ListedEntry:
        """The entry *number*, from 0; raises IndexError where there is none yet."""
        with self._lock:
            if number >= self._last_start:
                return listed_entry(self._last[number - self._last_start])
            block = bisect_right(self._starts, number) - 1
            place = number - self._starts[block]
            if block not in self._unpacked:
                while len(self._unpacked) >= _UNPACKED:
                    del self._unpacked[next(iter(self._unpacked))]
                self._unpacked[block] = _unpack(self._packed[block])
            return listed_entry(self._unpacked[block][place])

    @property
    def memory(self) -> int:
        """About how many bytes are kept."""
        with self._lock:
            return sum(map(len, self._packed)) + self._last_bytes


def _pack(many: list[bytes]) -> bytes:
    lengths = b"".join((len(headers) // BLOCK).to_bytes(2, "big") for headers in many)
    return zlib.compress(bytes([len(many) - 1]) + lengths + b"".join(many), _LEVEL)


def _unpack(packed: bytes) -> tuple[bytes, ...]:
    content = zlib.decompress(packed)
    start = 1 + 2 * (content[0] + 1)
    lengths = (int.from_bytes(content[n : n + 2], "big") * BLOCK for n in range(1, start, 2))
    ends = list(accumulate(lengths, initial=start))
    return tuple(content[a:b] for a, b in pairwise(ends))


def blob_entries(readable: Readable, cancel: CancelToken = NEVER) -> Iterator[TarEntry]:
    """The entries of the layer whose blob *readable* gives, in order, as they are asked for.

    Raises:
        TarProblem: it is not, or not to its end, a well-formed tar.
        DamagedStream: the compressed stream is damaged.
        StoreError: it cannot be read.
        Cancelled: *cancel* was cancelled.
    """
    try:
        yield from read_entries(_watched(open_decompressor(readable).chunks, cancel))
    except OSError as error:
        raise StoreError(f"cannot read the blob: {reason_of(error)}") from None


def _watched(chunks: Iterator[bytes], cancel: CancelToken) -> Iterator[bytes]:
    for chunk in chunks:
        cancel.check()
        yield chunk
