"""Tar headers: read back by another reader, and pinned where Go's writer is peculiar."""

from __future__ import annotations

import io
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from whiteout.tarheader import BLOCK, END_OF_ARCHIVE, TarHeader, TypeFlag, split_name

NAME_BYTES = st.binary(min_size=1, max_size=255).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)
NAMES = st.lists(NAME_BYTES, min_size=1, max_size=6).map(b"/".join)


def fields(block: bytes) -> tuple[bytes, bytes, bytes]:
    """Name, link name and prefix of one header block, as they stand."""
    return block[:100].rstrip(b"\0"), block[157:257].rstrip(b"\0"), block[345:500].rstrip(b"\0")


@given(
    name=NAMES,
    mode=st.integers(0, 0o7777),
    owner=st.integers(0, 2**32 - 1),
    mtime=st.integers(-(2**40), 2**40),
    capability=st.sampled_from([b"", b"\x01\x00\x00\x02\x00\n\xff=\x00"]),
)
def test_another_reader_reads_back_what_was_written(
    name: bytes, mode: int, owner: int, mtime: int, capability: bytes
) -> None:
    header = TarHeader(name, TypeFlag.FILE, mode, owner, owner, 5, mtime, capability=capability)
    archive = header.encode() + b"hello".ljust(BLOCK, b"\0") + END_OF_ARCHIVE
    with tarfile.open(fileobj=io.BytesIO(archive), encoding="utf-8") as reader:
        (entry,) = reader.getmembers()
        file = reader.extractfile(entry)
        assert file is not None
        assert file.read() == b"hello"
    assert entry.name.encode("utf-8", "surrogateescape") == name
    assert (entry.mode, entry.uid, entry.gid, int(entry.mtime)) == (mode, owner, owner, mtime)
    assert (entry.uname, entry.gname) == ("", "")
    key = "SCHILY.xattr.security.capability"
    assert (key in entry.pax_headers) == bool(capability)


@given(name=NAMES, link=NAMES)
def test_every_header_is_whole_blocks_with_a_right_checksum(name: bytes, link: bytes) -> None:
    encoded = TarHeader(name, TypeFlag.SYMLINK, linkname=link).encode()
    assert len(encoded) % BLOCK == 0
    block = encoded[-BLOCK:]
    spaced = block[:148] + b" " * 8 + block[156:]
    assert int(block[148:154], 8) == sum(spaced)
    assert block[154:156] == b"\0 "


def test_ustar_splits_at_the_last_slash_that_can_be_reached() -> None:
    assert split_name(b"p" * 155 + b"/" + b"n" * 100) == (b"p" * 155, b"n" * 100)
    assert split_name(b"p" * 156 + b"/" + b"n" * 100) is None
    assert split_name(b"p" * 155 + b"/" + b"n" * 101) is None
    assert split_name(b"d" * 60 + b"/" + b"e" * 60 + b"/") == (b"d" * 60, b"e" * 60 + b"/")
    assert split_name(b"d" * 100 + b"/") is None
    assert split_name(b"a/" + b"n" * 101) is None


def test_a_long_name_is_split_unless_another_record_forces_pax() -> None:
    name = b"d" * 60 + b"/" + b"n" * 60
    plain = TarHeader(name, TypeFlag.FILE)
    assert (len(plain.encode()), plain.pax_records()) == (BLOCK, {})
    assert fields(plain.encode()) == (b"n" * 60, b"", b"d" * 60)
    old = TarHeader(name, TypeFlag.FILE, mtime=-1)
    assert old.pax_records() == {b"mtime": b"-1", b"path": name}
    assert fields(old.encode()[-BLOCK:]) == (name[:100], b"", b"")


def test_the_pax_header_takes_its_name_from_the_entry() -> None:
    for name, pax_name, main_name in [
        ("é".encode(), b"PaxHeaders.0", b""),
        ("é/f".encode(), b"/PaxHeaders.0/f", b"/f"),
        ("é/ü/".encode(), b"//PaxHeaders.0", b"//"),
        (b"a/b" + b"\xff/", b"a/b/PaxHeaders.0", b"a/b/"),
        (b"caf\xc3\xa9", b"PaxHeaders.0/caf", b"caf"),
    ]:
        encoded = TarHeader(name, TypeFlag.FILE).encode()
        assert fields(encoded[:BLOCK])[0] == pax_name, name
        assert fields(encoded[-BLOCK:])[0] == main_name, name
        assert encoded[156:157] == b"x"
        assert encoded[329:345] == bytes(16), "the PAX header has no device fields"
        assert encoded[-BLOCK:][329:345] == b"0000000\x000000000\x00"


def test_a_name_cut_at_a_slash_loses_that_slash() -> None:
    name = b"x" * 99 + b"/" + b"y" * 101
    assert fields(TarHeader(name, TypeFlag.FILE).encode()[-BLOCK:])[0] == b"x" * 99


def test_numbers_that_do_not_fit_become_zero_beside_their_record() -> None:
    header = TarHeader(b"f", TypeFlag.FILE, uid=2**21, gid=2**32 - 1, size=2**33, mtime=2**33)
    assert header.pax_records() == {
        b"gid": b"4294967295",
        b"mtime": b"8589934592",
        b"size": b"8589934592",
        b"uid": b"2097152",
    }
    block = header.encode()[-BLOCK:]
    assert block[108:124] == b"0000000\x000000000\x00"
    assert block[124:148] == b"00000000000\x00" * 2
    fitting = TarHeader(b"f", TypeFlag.FILE, uid=2**21 - 1, size=2**33 - 1, mtime=2**33 - 1)
    assert fitting.pax_records() == {}


def test_a_record_counts_its_own_length() -> None:
    for length in range(80, 110):
        header = TarHeader(b"f", TypeFlag.SYMLINK, linkname=b"\xff" + b"l" * length)
        body = header.encode()[BLOCK : 2 * BLOCK].rstrip(b"\0")
        assert int(body.split(b" ")[0]) == len(body)
