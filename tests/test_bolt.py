"""The reader of bbolt databases: what is there, what is damaged, and what changes meanwhile."""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.boltwriter import PAGE, Tree, bolt, checksum, go_time, meta_page, uvarint
from whiteout.errors import ReadError
from whiteout.sources import containerdtypes
from whiteout.sources.bolt import Bucket, open_bolt, state_of

trees = st.recursive(
    st.binary(max_size=40),
    lambda inner: st.dictionaries(st.binary(min_size=1, max_size=9), inner, max_size=6),
    max_leaves=20,
)
databases = st.dictionaries(st.binary(min_size=1, max_size=9), trees, max_size=9)


def written(directory: Path, data: bytes) -> bytes:
    path = directory / "db"
    path.write_bytes(data)
    return os.fsencode(path)


def tree_of(bucket: Bucket) -> Tree:
    found: Tree = dict(bucket.values())
    found.update((key, tree_of(inside)) for key, inside in bucket.buckets())
    return found


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bolt")


@given(databases, st.integers(2, 5))
@settings(max_examples=40)
def test_everything_comes_back(directory: Path, tree: Tree, capacity: int) -> None:
    database = open_bolt(written(directory, bolt(tree, capacity=capacity)))
    assert tree_of(database.root) == tree
    for key, value in tree.items():
        if isinstance(value, bytes):
            assert database.root.get(key) == value
            assert database.root.bucket(key) is None
        else:
            assert database.root.get(key) is None
            inside = database.root.bucket(key)
            assert inside is not None
            assert tree_of(inside) == value
    assert database.root.get(b"no such key, as it is too long") is None


@pytest.mark.long
@given(
    databases, st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=9))), st.data()
)
@settings(max_examples=300)
def test_damage_is_an_error_and_nothing_else(
    directory: Path, tree: Tree, damage: list[tuple[float, bytes]], data: st.DataObject
) -> None:
    content = bytearray(bolt(tree, capacity=3))
    for where, what in damage:
        start = 3 * PAGE + int(where * (len(content) - 3 * PAGE - 1))
        content[start : start + len(what)] = what
    cut = data.draw(st.integers(2 * PAGE, len(content)))
    try:
        tree_of(open_bolt(written(directory, bytes(content[:cut]))).root)
    except ReadError as error:
        assert "damaged" in str(error)


def test_a_page_below_itself(directory: Path) -> None:
    content = bytearray(bolt({bytes([65 + n]): b"x" for n in range(9)}, capacity=3))
    root = struct.unpack_from("<Q", content, PAGE + 32)[0]
    content[root * PAGE + 16 + 8 : root * PAGE + 16 + 16] = struct.pack("<Q", root)
    bucket = open_bolt(written(directory, bytes(content))).root
    with pytest.raises(ReadError, match="below itself"):
        tree_of(bucket)
    with pytest.raises(ReadError, match="neither branch nor leaf"):
        bucket.get(b"A")


def test_two_buckets_never_share_pages(directory: Path) -> None:
    """Or a small file could make endless work."""
    big: Tree = {b"%d" % n: b"x" * 100 for n in range(30)}
    content = bolt({b"a": big, b"b": {**big, b"y": b""}})
    roots = struct.pack("<QQ", 5, 0), struct.pack("<QQ", 8, 0)
    for _, bucket in open_bolt(written(directory, content)).root.buckets():
        assert big.items() <= tree_of(bucket).items()
    shared = content.replace(roots[1], roots[0])
    assert shared != content
    with pytest.raises(ReadError, match="the root of two buckets"):
        tree_of(open_bolt(written(directory, shared)).root)


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\0" * 65536, bytes(range(256)) * 64])
def test_what_is_no_database(directory: Path, content: bytes) -> None:
    with pytest.raises(ReadError, match="no bbolt database"):
        open_bolt(written(directory, content))


def test_a_half_written_meta_page_does_not_count(directory: Path) -> None:
    content = bytearray(bolt({b"a": b"1"}, txid=8))
    assert state_of(written(directory, bytes(content))).txid == 8
    content[40] ^= 1
    assert open_bolt(written(directory, bytes(content))).state.txid == 7
    content = bytearray(bolt({b"a": b"1"}, txid=9))
    content[:PAGE] = b"\0" * PAGE
    assert tree_of(open_bolt(written(directory, bytes(content))).root) == {b"a": b"1"}


def test_links_and_pipes_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(bolt({}))
    (tmp_path / "link").symlink_to("db")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "none", "."):
        with pytest.raises(ReadError):
            open_bolt(os.fsencode(tmp_path / name))


def test_a_writer_never_gives_a_mixture(tmp_path: Path) -> None:
    """The writer keeps bbolt's promise: it never touches a page of the transaction before."""
    path = tmp_path / "db"
    values = [bytes([65 + n]) * 3000 for n in range(4)]

    def page(number: int, value: bytes) -> bytes:
        head = struct.pack("<QHHI", number, 2, 1, 0) + struct.pack("<IIII", 0, 16, 1, len(value))
        return (head + b"k" + value).ljust(PAGE, b"\0")

    path.write_bytes(
        meta_page(0, 3, 6, 0) + b"\0" * (2 * PAGE) + page(3, values[3]) + b"\0" * (2 * PAGE)
    )
    stop = threading.Event()

    def write() -> None:
        descriptor = os.open(path, os.O_WRONLY)
        txid = 0
        while not stop.is_set():
            txid += 1
            root = 3 + txid % 3
            value = values[txid % 4]
            for start in range(0, PAGE, 512):  # slowly, so that a reader can see half of it
                part = page(root, value)[start : start + 512]
                os.pwrite(descriptor, part, root * PAGE + start)
            os.pwrite(descriptor, meta_page(txid % 2, root, 6, txid), txid % 2 * PAGE)
        os.close(descriptor)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        seen = set()
        for _ in range(300):
            value = open_bolt(os.fsencode(path)).root.get(b"k")
            assert value in values
            seen.add(value)
    finally:
        stop.set()
        thread.join()
    assert len(seen) > 1


def test_values_as_go_writes_them() -> None:
    for number in (0, 1, 127, 128, 300, 2**63):
        assert containerdtypes.uvarint(uvarint(number)) == number
    assert containerdtypes.varint(b"\x80\x80\x01") == 8192
    assert containerdtypes.varint(b"\x01") == -1
    assert containerdtypes.uvarint(b"\x80") is None
    assert containerdtypes.uvarint(None) is None
    assert containerdtypes.timestamp(go_time(1_700_000_000)) == 1_700_000_000.0
    assert containerdtypes.timestamp(b"\1" + b"\xff" * 14) is None
    assert containerdtypes.timestamp(b"short") is None


def test_the_checksum_is_fnv_1a() -> None:
    assert checksum(b"foobar") == 0x85944171F73967E8
