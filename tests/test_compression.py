"""Compression of layers both ways: equal content, bounded pieces, nothing forgiven."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from whiteout.cancel import CancelToken
from whiteout.compression import CHUNK, DamagedStream, open_compressor, open_decompressor
from whiteout.errors import Cancelled, MediaTypeError, UsageError
from whiteout.mediatypes import (
    GZIP,
    MEDIA_TYPES,
    TAR,
    ZSTD,
    check_level,
    check_media_type,
    media_type_of,
)

EMPTY_LAYER = bytes(1024)


def compressed(media_type: str, *parts: bytes, level: int | None = None) -> bytes:
    out = bytearray()
    compressor = open_compressor(media_type, level, out.extend)
    for part in parts:
        compressor.write(part)
    compressor.close()
    compressor.close()
    return bytes(out)


def content(blob: bytes) -> bytes:
    return b"".join(open_decompressor(io.BytesIO(blob)))


class Trickle:
    """A readable that gives one byte at a time."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int, /) -> bytes:
        return self._file.read(min(size, 1))


def test_media_types_have_names() -> None:
    assert [media_type_of(name) for name in ("none", "gzip", "zstd")] == list(MEDIA_TYPES)
    assert check_media_type(GZIP) == GZIP == "application/vnd.oci.image.layer.v1.tar+gzip"
    with pytest.raises(MediaTypeError) as caught:
        check_media_type("application/\x1b[31mevil")
    assert all(media_type in str(caught.value) for media_type in MEDIA_TYPES)
    assert "\x1b" not in str(caught.value)
    with pytest.raises(MediaTypeError, match="none, gzip, zstd"):
        media_type_of("xz")


@pytest.mark.parametrize(
    ("media_type", "level"),
    [(GZIP, -2), (GZIP, 10), (ZSTD, 0), (ZSTD, 23), (ZSTD, -1), (TAR, 0), (TAR, 6)],
)
def test_levels_out_of_range_are_refused(media_type: str, level: int) -> None:
    with pytest.raises(UsageError, match="level"):
        open_compressor(media_type, level, bytes)


@pytest.mark.parametrize(("media_type", "levels"), [(GZIP, range(-1, 10)), (ZSTD, range(1, 20))])
def test_every_level_works(media_type: str, levels: range) -> None:
    data = bytes(range(256)) * 40
    for level in levels:
        assert check_level(media_type, level) == level
        assert content(compressed(media_type, data, level=level)) == data


@settings(deadline=None)
@given(st.lists(st.binary(max_size=3000), max_size=6), st.sampled_from(MEDIA_TYPES))
def test_round_trip(parts: list[bytes], media_type: str) -> None:
    data = b"".join(parts)
    blob = compressed(media_type, *parts)
    assert blob == compressed(media_type, *parts)
    if (media_type == TAR and data[:2] == b"\x1f\x8b") or data[:4] == b"\x28\xb5\x2f\xfd":
        return
    assert content(blob) == data
    assert b"".join(open_decompressor(Trickle(blob))) == data


def test_real_libraries_read_it_and_nothing_of_today_is_in_it() -> None:
    data = random.Random(1).randbytes(700_000) + bytes(3_000_000)
    blob = compressed(GZIP, data)
    assert gzip.decompress(blob) == data
    assert blob[3] == 0, "no name, no comment"
    assert blob[4:8] == bytes(4), "time 0"
    blob = compressed(ZSTD, data)
    assert zstandard.ZstdDecompressor().decompressobj().decompress(blob) == data
    assert zstandard.get_frame_parameters(blob).has_checksum
    assert open_decompressor(io.BytesIO(blob)).media_type == ZSTD


def test_buffers_of_every_kind_are_taken() -> None:
    data = bytes(range(256)) * 5000
    expected = compressed(GZIP, data)
    for buffer in (bytearray(data), memoryview(data), memoryview(bytearray(data)).cast("I")):
        assert compressed(GZIP, buffer) == expected  # type: ignore[arg-type]


def test_a_huge_write_is_split_and_cancelled_between_the_pieces() -> None:
    cancel = CancelToken()
    pieces: list[int] = []

    def sink(piece: bytes | memoryview) -> None:
        pieces.append(len(piece))
        if len(pieces) == 3:
            cancel.cancel()

    compressor = open_compressor(TAR, None, sink, cancel)
    with pytest.raises(Cancelled):
        compressor.write(bytes(10 * CHUNK))
    assert pieces == [CHUNK] * 3
    with pytest.raises(Cancelled):
        compressor.close()


def test_a_closed_compressor_takes_no_more() -> None:
    compressor = open_compressor(ZSTD, None, bytes)
    compressor.close()
    with pytest.raises(ValueError, match="closed"):
        compressor.write(b"x")


def test_members_and_frames_are_joined() -> None:
    for media_type in (GZIP, ZSTD):
        blob = b"".join(compressed(media_type, part) for part in (b"a" * 9, b"", b"b" * 70_000))
        assert content(blob) == b"a" * 9 + b"b" * 70_000
    sized = zstandard.ZstdCompressor(write_content_size=True, write_checksum=False).compress(b"z")
    skippable = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"extra"
    assert content(skippable + sized + skippable + sized) == b"zz"


@pytest.mark.parametrize("media_type", [GZIP, ZSTD])
def test_every_cut_and_every_addition_is_noticed(media_type: str) -> None:
    blob = compressed(media_type, b"some content of a layer" * 10)
    for end in range(4, len(blob)):
        with pytest.raises(DamagedStream):
            content(blob[:end])
    for garbage in (b"\0", b"garbage", bytes(512)):
        with pytest.raises(DamagedStream):
            content(blob + garbage)


@pytest.mark.parametrize("media_type", [GZIP, ZSTD])
def test_a_flipped_bit_never_passes_as_other_content(media_type: str) -> None:
    data = b"some content of a layer" * 10
    blob = compressed(media_type, data)
    for place in range(4, len(blob)):
        changed = bytearray(blob)
        changed[place] ^= 0x10
        try:
            got = content(bytes(changed))
        except DamagedStream:
            continue
        assert got == data, "only bits without meaning may be ignored"


@settings(deadline=None)
@given(st.sampled_from([b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"]), st.binary())
def test_garbage_behind_a_magic_gives_one_error(magic: bytes, rest: bytes) -> None:
    try:
        content(magic + rest)
    except DamagedStream as error:
        assert str(error).isprintable()


@pytest.mark.parametrize("media_type", [GZIP, ZSTD])
def test_a_bomb_comes_in_bounded_pieces(media_type: str) -> None:
    size = 200 * 1024 * 1024
    out = bytearray()
    compressor = open_compressor(media_type, None, out.extend)
    for _ in range(200):
        compressor.write(bytes(1024 * 1024))
    compressor.close()
    tracemalloc.start()
    total = 0
    for chunk in open_decompressor(io.BytesIO(bytes(out))):
        assert len(chunk) <= CHUNK
        total += len(chunk)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == size
    assert peak < 16 * 1024 * 1024


def test_plain_bytes_pass_unchanged() -> None:
    decompressed = open_decompressor(io.BytesIO(EMPTY_LAYER))
    assert decompressed.media_type == TAR
    data = b"".join(decompressed)
    assert hashlib.sha256(data).hexdigest().startswith("5f70bf18a086")
    assert content(b"") == b""
    assert zlib.crc32(content(b"\x1f")) == zlib.crc32(b"\x1f")
