"""The list of a blob's entries: what it tells, and how little of it is kept."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from whiteout.cancel import CancelToken
from whiteout.contentstore import ContentStore
from whiteout.demo import build_demo
from whiteout.errors import Cancelled
from whiteout.estimate import estimate_layer
from whiteout.export import export_to_store
from whiteout.mediatypes import MEDIA_TYPES
from whiteout.opening import open_pair
from whiteout.snapshot import Snapshot
from whiteout.survey import survey
from whiteout.tarcheck import TarEntry, TarProblem
from whiteout.tarheader import END_OF_ARCHIVE, TarHeader, TypeFlag
from whiteout.tarlist import EntryList, blob_entries, listed_entry


def demo(directory: Path) -> Snapshot:
    built = build_demo(os.fsencode(directory))
    return open_pair(built.upperdir, built.lowerdirs, userxattr=True)


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_it_tells_what_tarfile_tells(media_type: str, tmp_path: Path) -> None:
    store = ContentStore(tmp_path / "store")
    result = export_to_store(demo(tmp_path / "demo"), store, media_type=media_type)
    entries = EntryList()
    with store.open(result.digest) as file:
        for entry in blob_entries(file):
            entries.add(entry)
    assert len(entries) == result.entries
    if media_type.endswith("zstd"):
        return
    with tarfile.open(os.fsdecode(result.path or b"")) as tar:
        for number, member in enumerate(tar):
            entry = entries[number]
            assert entry.name.rstrip(b"/") == os.fsencode(member.name)
            assert bytes([entry.type]) == member.type
            assert (entry.uid, entry.gid, entry.mtime) == (member.uid, member.gid, member.mtime)
            assert entry.mode == member.mode
            assert entry.linkname == os.fsencode(member.linkname)
            assert dict(entry.records) == {
                key.encode(): value.encode("utf-8", "surrogateescape")
                for key, value in member.pax_headers.items()
            }


def entry_of(header: TarHeader) -> TarEntry:
    return TarEntry(header.name, header.type.value[0], header.size, header.encode())


def test_a_whiteout_stands_for_what_it_deletes() -> None:
    gone = listed_entry(TarHeader(b"etc/.wh.old", TypeFlag.FILE).encode())
    assert gone.is_whiteout
    assert gone.path == b"/etc/old"
    file = listed_entry(TarHeader(b"etc/.wh.old", TypeFlag.FILE, 0o644, size=3).encode())
    assert not file.is_whiteout
    assert file.path == b"/etc/.wh.old"


def test_long_names_and_great_numbers_come_from_the_records() -> None:
    name = b"d" * 120 + b"/" + "é".encode() * 60
    header = TarHeader(name, TypeFlag.FILE, 0o644, 1 << 22, 1 << 23, 7, -5)
    entry = listed_entry(header.encode())
    assert (entry.name, entry.uid, entry.gid, entry.size, entry.mtime) == (
        name,
        1 << 22,
        1 << 23,
        7,
        -5,
    )


def test_garbage_in_a_number_is_no_number() -> None:
    header = bytearray(TarHeader(b"x", TypeFlag.FILE).encode())
    header[108:116] = b"\xff\x00zz\x00\x00\x00\x00"
    assert listed_entry(bytes(header)).uid is None


def test_many_entries_take_little_memory_and_each_is_found() -> None:
    entries = EntryList()
    for number in range(20_000):
        name = b"usr/lib/python3/package-%03d/module_%05d.py" % (number // 100, number)
        entries.add(entry_of(TarHeader(name, TypeFlag.FILE, 0o644, size=number, mtime=number)))
    assert len(entries) == 20_000
    assert entries.memory < 60 * len(entries)
    for number in (0, 255, 256, 19_967, 19_968, 19_999):
        assert entries[number].size == number
        assert entries[number].name.endswith(b"module_%05d.py" % number)
    with pytest.raises(IndexError):
        entries[20_000]


def test_few_large_headers_are_kept_together() -> None:
    entries = EntryList()
    for number in range(40):
        large = TarHeader(b"%03d" % number + b"\xff" * 300_000, TypeFlag.FILE, size=number)
        entries.add(entry_of(large))
    assert entries.memory < 2_000_000
    assert [entries[number].size for number in range(40)] == list(range(40))
    assert len(entries) == 40


def endless() -> Iterator[bytes]:
    number = 0
    while True:
        yield TarHeader(b"file-%d" % number, TypeFlag.FILE).encode()
        number += 1


class Endless(io.RawIOBase):
    def __init__(self) -> None:
        self.given = 0
        self._blocks = endless()

    def read(self, size: int = -1, /) -> bytes:
        data = b"".join(next(self._blocks) for _ in range(size // 512))
        self.given += len(data)
        return data


def test_no_more_is_read_than_is_asked_for() -> None:
    source = Endless()
    entries = blob_entries(source)
    assert [next(entries).name for _ in range(3)] == [b"file-0", b"file-1", b"file-2"]
    assert source.given < 1 << 20


def test_cancelling_ends_it() -> None:
    cancel = CancelToken()
    entries = blob_entries(Endless(), cancel)
    next(entries)
    cancel.cancel()
    with pytest.raises(Cancelled):
        for _ in entries:
            pass


def test_a_damaged_tar_gives_what_is_before_the_damage() -> None:
    data = TarHeader(b"good", TypeFlag.FILE).encode() + b"\1" * 512 + END_OF_ARCHIVE
    entries = blob_entries(io.BytesIO(data))
    assert next(entries).name == b"good"
    with pytest.raises(TarProblem, match="entry 2"):
        next(entries)


def test_the_estimate_is_near_to_the_layer(tmp_path: Path) -> None:
    snapshot = demo(tmp_path / "demo")
    estimate = estimate_layer(survey(snapshot).totals)
    store = ContentStore(tmp_path / "store")
    result = export_to_store(snapshot, store, media_type=MEDIA_TYPES[0])
    assert 0.8 < estimate.entries / result.entries < 1.2
    assert 0.8 < estimate.tar_size / result.uncompressed_size < 1.2
