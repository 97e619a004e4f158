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

from whiteout.attributes import attribute_text
from whiteout.contentstore import ContentStore
from whiteout.display import display_name, display_text
from whiteout.errors import WhiteoutError
from whiteout.idmap import IdMap
from whiteout.imagearchives import ImageArchive
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
from whiteout.sources.documents import (
    members,
    number,
    objects,
    read_object,
    read_objects,
    seconds,
    text,
    texts,
)
from whiteout.tarcheck import BLOCK, has_checksum, read_entries
from whiteout.tarheader import TarHeader, TypeFlag
from whiteout.tarindex import Inode, Limits, index_tar
from whiteout.tarindex import find as find_in_tree

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


def layer_archive(data: bytes) -> None:
    limits = Limits(size=1 << 20, entries=1000, memory=1 << 20)
    for whiteouts in (False, True):
        with suppress(WhiteoutError):
            root = index_tar(iter([data]), limits, whiteouts=whiteouts)
            _check_tree(root, len(data))
            find_in_tree(root, data[:200])


def _check_tree(directory: Inode, size: int) -> None:
    pending = [directory]
    while pending:
        for name, inode in (pending.pop().children or {}).items():
            assert name not in (b"", b".", b"..")
            assert b"/" not in name
            assert not inode.size or inode.offset + inode.size <= size
            assert os.makedev(*inode.device) >= 0
            header = TarHeader(
                name,
                TypeFlag.CHARACTER,
                inode.mode & 0o7777,
                inode.uid,
                inode.gid,
                mtime=inode.mtime_ns // 10**9,
                device=inode.device,
            )
            assert has_checksum(header.encode()[-BLOCK:])
            if inode.children is not None:
                pending.append(inode)


def image_archive(data: bytes) -> None:
    with _file(data) as path, suppress(WhiteoutError):
        archive = ImageArchive(os.fsdecode(path))
        archive.images()
        archive.image()


def documents(data: bytes) -> None:
    with _file(data) as path:
        with suppress(WhiteoutError):
            document = read_object(path)
            text(document, "ID", "Name")
            number(document, "State", "Pid")
            list(members(document, "Repositories"))
        with suppress(WhiteoutError):
            for each in read_objects(path):
                texts(each, "names")
                objects(each, "uidmap")
    seconds(os.fsdecode(data))


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
    for name in (b"security.capability", b"system.posix_acl_access", b"trusted.overlay.origin"):
        assert _UNPRINTABLE.isdisjoint(attribute_text(name, data))
    for kind in (b"trusted.overlay.metacopy", b"trusted.overlay.uuid", data[:40]):
        assert _UNPRINTABLE.isdisjoint(attribute_text(kind, data))
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
        layer_archive,
        image_archive,
        documents,
        index_json,
        attributes,
        names,
        questions,
    )
}
