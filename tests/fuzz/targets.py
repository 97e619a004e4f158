"""Every parser of what strangers write, as a function that takes any bytes.

A target returns when the parser answered or said no by one of the engine's errors; anything else
that it raises is a fault of the parser.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from whiteout.contentstore import ContentStore
from whiteout.display import display_name, display_text
from whiteout.errors import WhiteoutError
from whiteout.idmap import IdMap
from whiteout.layoutfiles import create_layout, read_index
from whiteout.marks import redirected
from whiteout.mountinfo import _lines
from whiteout.mountoptions import options_of_mountinfo, options_of_string
from whiteout.mounts import find_upperdir, mounts_from_json
from whiteout.ocilayout import tags
from whiteout.references import parse_reference
from whiteout.search import compile_filter, compile_query
from whiteout.sources.bolt import Bucket, open_bolt
from whiteout.sources.containerdmeta import namespaces
from whiteout.sources.containerdtypes import timestamp, uvarint, varint
from whiteout.tarcheck import read_entries

#: Bytes that no target may let through to a screen.
_UNPRINTABLE = frozenset(map(chr, (*range(0x20), *range(0x7F, 0xA0), 0x202E, 0x2066, 0xFEFF)))

_scratch = TemporaryDirectory(prefix="whiteout-fuzz-")


@contextmanager
def _file(data: bytes) -> Iterator[bytes]:
    """A path that leads to *data*."""
    path = Path(_scratch.name, "data")
    path.write_bytes(data)
    yield os.fsencode(path)


def mountinfo(data: bytes) -> None:
    with _file(data) as path:
        for line in _lines(os.fsdecode(path)):
            with suppress(WhiteoutError):
                options_of_mountinfo(line.super_options)


def mount_options(data: bytes) -> None:
    for read in (options_of_string, options_of_mountinfo):
        with suppress(WhiteoutError):
            read(data)


def mounts_json(data: bytes) -> None:
    with suppress(WhiteoutError):
        pair = mounts_from_json(data)
        for original in (False, True):
            with suppress(WhiteoutError):
                find_upperdir(pair.lower, pair.upper, original=original)


_META_PAGE = struct.Struct("<IIIIQQQQQ")


def _with_checksums(data: bytes) -> bytes:
    """*data* with both meta pages of a bolt database made to look valid, as far as a sum goes."""
    pages = bytearray(data.ljust(8192, b"\0"))
    for offset in (16, 4096 + 16):
        struct.pack_into("<III", pages, offset, 0xED0CDAED, 2, 4096)
        value = 0xCBF29CE484222325
        for byte in pages[offset : offset + _META_PAGE.size]:
            value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
        struct.pack_into("<Q", pages, offset + _META_PAGE.size, value)
    return bytes(pages)


def _walk(bucket: Bucket, depth: int = 0) -> None:
    for _ in bucket.values():
        pass
    if depth < 4:
        for _, below in bucket.buckets():
            _walk(below, depth + 1)


def database(data: bytes) -> None:
    for content in (data, _with_checksums(data)):
        with _file(content) as path:
            with suppress(WhiteoutError):
                _walk(open_bolt(path).root)
            with suppress(WhiteoutError):
                for namespace in namespaces(open_bolt(path)):
                    assert namespace is not None
    timestamp(data)
    uvarint(data)
    varint(data)


def tar(data: bytes) -> None:
    with suppress(WhiteoutError):
        for entry in read_entries(iter([data])):
            assert entry.size <= len(data)


def index_json(data: bytes) -> None:
    store = os.path.join(_scratch.name, "store")
    if not os.path.exists(store):
        create_layout(store)
    Path(store, "index.json").write_bytes(data)
    with suppress(WhiteoutError):
        read_index(store)
    with suppress(WhiteoutError):
        tags(ContentStore(store, create=False))


def attributes(data: bytes) -> None:
    with suppress(WhiteoutError):
        path = redirected((b"a", b"b", b"c"), len(data) % 3, data)
        assert b".." not in path
    half = len(data) // 2
    with suppress(WhiteoutError):
        identities = IdMap.parse(
            [display_text(os.fsdecode(data[:half]))], [display_text(os.fsdecode(data[half:]))]
        )
        if identities is not None:
            identities.capability_to_container(data)


def names(data: bytes) -> None:
    for shown in (display_name(data), display_text(os.fsdecode(data))):
        assert _UNPRINTABLE.isdisjoint(shown)
        shown.encode()


def questions(data: bytes) -> None:
    text = os.fsdecode(data)
    for read in (compile_filter, compile_query):
        with suppress(WhiteoutError):
            read(text)
    with suppress(WhiteoutError):
        parse_reference(text)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        mountinfo,
        mount_options,
        mounts_json,
        database,
        tar,
        index_json,
        attributes,
        names,
        questions,
    )
}
