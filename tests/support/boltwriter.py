"""Writes bbolt databases, for tests only: nested dictionaries as buckets, pages of 4096 bytes."""

from __future__ import annotations

import struct
from typing import TypeAlias, TypeVar

PAGE = 4096
Tree: TypeAlias = "dict[bytes, bytes | Tree]"

_MAGIC, _BRANCH, _LEAF, _META, _FREELIST = 0xED0CDAED, 1, 2, 4, 0x10
_INLINE = PAGE // 4
_T = TypeVar("_T")


def checksum(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def meta_page(number: int, root: int, pages: int, txid: int, page_size: int = PAGE) -> bytes:
    body = struct.pack("<IIIIQQQQQ", _MAGIC, 2, page_size, 0, root, 0, 2, pages, txid)
    head = struct.pack("<QHHI", number, _META, 0, 0)
    return (head + body + struct.pack("<Q", checksum(body))).ljust(PAGE, b"\0")


class _Writer:
    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.pages: dict[int, bytes] = {}
        self.next = 3

    def add(self, flags: int, count: int, body: bytes) -> int:
        number = self.next
        length = -(-(16 + len(body)) // PAGE)
        self.next += length
        head = struct.pack("<QHHI", number, flags, count, length - 1)
        self.pages[number] = (head + body).ljust(length * PAGE, b"\0")
        return number

    def bucket(self, tree: Tree) -> bytes:
        """The value that stands for the bucket *tree*."""
        items = self.items(tree)
        body = leaf_body(items)
        plain = not any(flags for flags, _, _ in items)
        if plain and 16 + len(body) <= _INLINE:
            return struct.pack("<QQQHHI", 0, 0, 0, _LEAF, len(items), 0) + body
        return struct.pack("<QQ", self.tree(items), 0)

    def items(self, tree: Tree) -> list[tuple[int, bytes, bytes]]:
        return [
            (0, key, value) if isinstance(value, bytes) else (1, key, self.bucket(value))
            for key, value in sorted(tree.items())
        ]

    def tree(self, items: list[tuple[int, bytes, bytes]]) -> int:
        groups = _groups(items, self.capacity)
        level = [
            (group[0][1] if group else b"", self.add(_LEAF, len(group), leaf_body(group)))
            for group in groups
        ]
        while len(level) > 1:
            level = [
                (group[0][0], self.add(_BRANCH, len(group), branch_body(group)))
                for group in _groups(level, self.capacity)
            ]
        return level[0][1]


def _groups(items: list[_T], size: int) -> list[list[_T]]:
    return [items[start : start + size] for start in range(0, len(items), size)] or [[]]


def leaf_body(items: list[tuple[int, bytes, bytes]]) -> bytes:
    heads, data = b"", b""
    for index, (flags, key, value) in enumerate(items):
        position = (len(items) - index) * 16 + len(data)
        heads += struct.pack("<IIII", flags, position, len(key), len(value))
        data += key + value
    return heads + data


def branch_body(items: list[tuple[bytes, int]]) -> bytes:
    heads, data = b"", b""
    for index, (key, page) in enumerate(items):
        position = (len(items) - index) * 16 + len(data)
        heads += struct.pack("<IIQ", position, len(key), page)
        data += key
    return heads + data


def bolt(tree: Tree, *, txid: int = 7, capacity: int = 20) -> bytes:
    """A database with the buckets of *tree*, at most *capacity* elements a page."""
    writer = _Writer(capacity)
    root = writer.tree(writer.items(tree))
    pages = writer.next
    freelist = struct.pack("<QHHI", 2, _FREELIST, 0, 0).ljust(PAGE, b"\0")
    first, second = (txid - 1, txid) if txid % 2 else (txid, txid - 1)
    written = meta_page(0, root, pages, first) + meta_page(1, root, pages, second) + freelist
    return written + b"".join(writer.pages[number] for number in sorted(writer.pages))


def go_time(seconds: int) -> bytes:
    """A time as Go's ``MarshalBinary`` writes it."""
    return b"\1" + struct.pack(">qIh", seconds + 62_135_596_800, 0, -1)


def uvarint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])
