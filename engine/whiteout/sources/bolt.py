"""A reader of bbolt databases, the files in which containerd and BuildKit keep their metadata.

Nothing is written, locked or waited for: the daemon may hold its lock and go on. A database is
copied into memory, and the copy counts only if no transaction ended meanwhile. bbolt never writes
to a page that the last committed transaction uses, and a page freed by one transaction is first
written to by the next but one; so while the newest transaction id stays what it was, every page of
it stays, too (``tx.Commit``, ``freelist.release`` in go.etcd.io/bbolt).

A file may be damaged or made to do harm: every offset is checked, no page counts twice, and no work
is done that the size of the file does not bound.
"""

from __future__ import annotations

import os
import stat
import struct
import time
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from whiteout.display import display_path
from whiteout.errors import ReadError, read_error

_PAGE = struct.Struct("<QHHI")  # id, flags, count, overflow
_META = struct.Struct("<IIIIQQQQQQ")  # magic … page size, flags, root, sequence … txid, checksum
_LEAF = struct.Struct("<IIII")  # flags, position, size of the key, size of the value
_BRANCH = struct.Struct("<IIQ")  # position, size of the key, page
_HEADER = struct.Struct("<QQ")  # root page, sequence

_MAGIC, _VERSION = 0xED0CDAED, 2
_BRANCH_FLAG, _LEAF_FLAG, _META_FLAG = 0x01, 0x02, 0x04
_BUCKET_FLAG = 0x01
_PAGE_SIZES = tuple(1024 << shift for shift in range(7))
_DEEPEST = 64
_LARGEST, _CHUNK = 1 << 30, 1 << 20
_ATTEMPTS = 200
_PAUSE = 0.002


@dataclass(frozen=True, slots=True)
class State:
    """Which file, and which transaction of it: equal states are the same content."""

    device: int
    inode: int
    txid: int


@dataclass(frozen=True, slots=True)
class _Meta:
    page_size: int
    root: int
    pages: int
    txid: int


class Bolt:
    """What one transaction of a database committed. It is a copy, which nothing changes."""

    __slots__ = ("_data", "_headers", "_meta", "_owners", "path", "state")

    def __init__(self, path: bytes, data: bytes, meta: _Meta, state: State) -> None:
        self.path = path
        self.state = state
        self._data = data
        self._meta = meta
        self._owners: dict[int, int] = {}
        self._headers: dict[int, int] = {}

    @property
    def root(self) -> Bucket:
        """The bucket that holds all others."""
        return Bucket(self, self._meta.root, None)

    def damaged(self, what: str) -> ReadError:
        """The error of a database that makes no sense."""
        return ReadError(
            f"{display_path(self.path)} is a damaged database ({what}); ask its engine to mend it",
            self.path,
        )

    def page(self, number: int, owner: int) -> tuple[int, int, int, int]:
        """The page *number*, of the bucket with the root page *owner*.

        Gives its flags, the count of its elements, and the offsets of its first element and end.
        """
        size = self._meta.page_size
        if not 2 <= number < self._meta.pages:
            raise self.damaged(f"there is no page {number}")
        if self._owners.setdefault(number, owner) != owner:
            raise self.damaged(f"page {number} is used twice")
        start = number * size
        if start + size > len(self._data):
            raise self.damaged(f"page {number} is behind the end")
        found, flags, count, overflow = _PAGE.unpack_from(self._data, start)
        if found != number:
            raise self.damaged(f"page {number} calls itself {found}")
        end = start + size * (1 + overflow)
        if end > len(self._data):
            raise self.damaged(f"page {number} is longer than the file")
        return flags, count, start + _PAGE.size, end

    def claim(self, root: int, header: int) -> None:
        """Note that the bucket header at the offset *header* has the root page *root*."""
        if self._headers.setdefault(root, header) != header:
            raise self.damaged(f"page {root} is the root of two buckets")

    @property
    def data(self) -> bytes:
        """The whole file."""
        return self._data


class Bucket:
    """One bucket: keys in byte order, each with a value or a bucket of its own."""

    __slots__ = ("_bolt", "_inline", "_root")

    def __init__(self, bolt: Bolt, root: int, inline: tuple[int, int] | None) -> None:
        self._bolt = bolt
        self._root = root
        self._inline = inline

    def get(self, key: bytes) -> bytes | None:
        """The value of *key*, or None where there is none, or a bucket."""
        found = self._find(key)
        return found if isinstance(found, bytes) else None

    def bucket(self, *keys: bytes) -> Bucket | None:
        """The bucket at *keys*, one inside the other, or None where there is none."""
        bucket: Bucket = self
        for key in keys:
            found = bucket._find(key)
            if not isinstance(found, Bucket):
                return None
            bucket = found
        return bucket

    def values(self) -> Iterator[tuple[bytes, bytes]]:
        """The keys with values."""
        for key, value in self._items():
            if isinstance(value, bytes):
                yield key, value

    def buckets(self) -> Iterator[tuple[bytes, Bucket]]:
        """The keys with buckets."""
        for key, value in self._items():
            if isinstance(value, Bucket):
                yield key, value

    def _items(self) -> Iterator[tuple[bytes, bytes | Bucket]]:
        if self._inline is not None:
            yield from self._leaf(*self._inline_page())
            return
        pending = [(self._root, 0)]
        seen: set[int] = set()
        while pending:
            number, depth = pending.pop()
            if number in seen or depth > _DEEPEST:
                raise self._bolt.damaged(f"page {number} is below itself")
            seen.add(number)
            flags, count, start, end = self._bolt.page(number, self._root)
            if flags == _LEAF_FLAG:
                yield from self._leaf(count, start, end)
            elif flags == _BRANCH_FLAG:
                children = self._branch(count, start, end)
                pending += [(child, depth + 1) for _, child in reversed(children)]
            else:
                raise self._bolt.damaged(f"page {number} is neither branch nor leaf")

    def _find(self, key: bytes) -> bytes | Bucket | None:
        if self._inline is not None:
            return self._find_in_leaf(key, *self._inline_page())
        number = self._root
        for _ in range(_DEEPEST):
            flags, count, start, end = self._bolt.page(number, self._root)
            if flags == _LEAF_FLAG:
                return self._find_in_leaf(key, count, start, end)
            if flags != _BRANCH_FLAG or not count:
                break
            children = self._branch(count, start, end)
            position = bisect_right([first for first, _ in children], key)
            number = children[max(0, position - 1)][1]
        raise self._bolt.damaged(f"page {number} is neither branch nor leaf")

    def _find_in_leaf(self, key: bytes, count: int, start: int, end: int) -> bytes | Bucket | None:
        data = self._bolt.data
        low, high = 0, count
        while low < high:
            middle = (low + high) // 2
            flags, at, key_size, value_size = self._element(start, end, count, middle)
            found = data[at : at + key_size]
            if found == key:
                return self._value(flags, at + key_size, value_size)
            if found < key:
                low = middle + 1
            else:
                high = middle
        return None

    def _element(self, start: int, end: int, count: int, index: int) -> tuple[int, int, int, int]:
        offset = start + index * _LEAF.size
        if start + count * _LEAF.size > end:
            raise self._bolt.damaged("more elements than a page holds")
        flags, position, key_size, value_size = _LEAF.unpack_from(self._bolt.data, offset)
        if offset + position + key_size + value_size > end:
            raise self._bolt.damaged("an element is longer than its page")
        return flags, offset + position, key_size, value_size

    def _leaf(self, count: int, start: int, end: int) -> Iterator[tuple[bytes, bytes | Bucket]]:
        data = self._bolt.data
        for index in range(count):
            flags, at, key_size, value_size = self._element(start, end, count, index)
            key = data[at : at + key_size]
            yield key, self._value(flags, at + key_size, value_size)

    def _branch(self, count: int, start: int, end: int) -> list[tuple[bytes, int]]:
        data = self._bolt.data
        if start + count * _BRANCH.size > end:
            raise self._bolt.damaged("more elements than a page holds")
        children = []
        for offset in range(start, start + count * _BRANCH.size, _BRANCH.size):
            position, key_size, child = _BRANCH.unpack_from(data, offset)
            if offset + position + key_size > end:
                raise self._bolt.damaged("an element is longer than its page")
            children.append((data[offset + position : offset + position + key_size], child))
        return children

    def _value(self, flags: int, at: int, size: int) -> bytes | Bucket:
        if not flags & _BUCKET_FLAG:
            return self._bolt.data[at : at + size]
        if size < _HEADER.size:
            raise self._bolt.damaged("a bucket without a header")
        root, _ = _HEADER.unpack_from(self._bolt.data, at)
        if root:
            self._bolt.claim(root, at)
            return Bucket(self._bolt, root, None)
        return Bucket(self._bolt, 0, (at + _HEADER.size, at + size))

    def _inline_page(self) -> tuple[int, int, int]:
        assert self._inline is not None
        start, end = self._inline
        if start + _PAGE.size > end:
            raise self._bolt.damaged("a bucket without a page")
        _, flags, count, _ = _PAGE.unpack_from(self._bolt.data, start)
        if flags != _LEAF_FLAG:
            raise self._bolt.damaged("a small bucket that is no leaf")
        return count, start + _PAGE.size, end


def open_bolt(path: bytes) -> Bolt:
    """The newest committed content of the database at *path*, which may be written meanwhile.

    Raises:
        ReadError: it cannot be read, is no bbolt database, or never rests.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise read_error("read", path, error) from None
    try:
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE)
            before = _newest(descriptor, path)
            data = _copy(descriptor, path)
            if _newest(descriptor, path) == before:
                return Bolt(path, data, before, _state(descriptor, before))
    except OSError as error:
        raise read_error("read", path, error) from None
    finally:
        os.close(descriptor)
    raise ReadError(f"{display_path(path)} changes faster than it can be read; try again", path)


def state_of(path: bytes) -> State:
    """The state of the database at *path*; cheap, as only its two meta pages are read.

    Raises:
        ReadError: it cannot be read, or is no bbolt database.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return _state(descriptor, _newest(descriptor, path))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise read_error("read", path, error) from None


def _state(descriptor: int, meta: _Meta) -> State:
    status = os.fstat(descriptor)
    return State(status.st_dev, status.st_ino, meta.txid)


def _copy(descriptor: int, path: bytes) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ReadError(f"{display_path(path)} is not a regular file", path)
    if status.st_size > _LARGEST:
        raise ReadError(
            f"{display_path(path)} has {status.st_size:,} bytes, more than {_LARGEST:,}, which is"
            " too large a database to be read",
            path,
        )
    parts = []  # mostly one: in pieces it would be twice in memory when they are joined
    offset = 0
    while part := os.pread(descriptor, max(_CHUNK, status.st_size - offset), offset):
        parts.append(part)
        offset += len(part)
        if offset > _LARGEST:
            raise ReadError(f"{display_path(path)} grows faster than it can be read", path)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _newest(descriptor: int, path: bytes) -> _Meta:
    """The valid meta page with the highest transaction id; one of the two may be half written."""
    start = os.pread(descriptor, _PAGE_SIZES[0] * 2, 0)
    found = [meta for meta in [_meta(start, 0)] if meta is not None]
    for size in (found[0].page_size,) if found else _PAGE_SIZES:
        other = _meta(os.pread(descriptor, _PAGE.size + _META.size, size), 0)
        if other is not None and other.page_size == size:
            found.append(other)
    if not found:
        raise ReadError(f"{display_path(path)} is no bbolt database, or a damaged one", path)
    return max(found, key=lambda meta: meta.txid)


def _meta(data: bytes, offset: int) -> _Meta | None:
    if len(data) < offset + _PAGE.size + _META.size:
        return None
    _, flags, _, _ = _PAGE.unpack_from(data, offset)
    start = offset + _PAGE.size
    magic, version, page_size, _, root, _, _, pages, txid, checksum = _META.unpack_from(data, start)
    if (magic, version) != (_MAGIC, _VERSION) or not flags & _META_FLAG:
        return None
    if page_size not in _PAGE_SIZES:
        return None
    if _fnv1a(data[start : start + _META.size - 8]) != checksum:
        return None
    return _Meta(page_size, root, pages, txid)


def _fnv1a(data: bytes) -> int:
    """The checksum of a meta page, 64-bit FNV-1a."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value
