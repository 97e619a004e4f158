"""gzip made by several threads: one member that any reader reads, the same however it is fed."""

from __future__ import annotations

import gzip
import random
import subprocess
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.streams import fed, some_words
from whiteout import gzipstream
from whiteout.gzipstream import GzipStream


def compressed(data: bytes, level: int | None = None, piece: int = 1 << 18) -> bytes:
    return fed(GzipStream(level), data, piece)


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1, 5_000_000])
@pytest.mark.parametrize("level", [None, 0, 1, 9])
def test_readers_read_it(size: int, level: int | None) -> None:
    data = some_words(size)
    blob = compressed(data, level)
    assert gzip.decompress(blob) == data
    answer = subprocess.run(["gzip", "-t"], input=blob, capture_output=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, b"")


def test_the_bytes_do_not_depend_on_pieces_or_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    data = some_words(4_300_000)
    blob = compressed(data)
    assert compressed(data, piece=12_345) == blob
    assert compressed(data, piece=len(data)) == blob
    monkeypatch.setattr(gzipstream, "_MAX_THREADS", 1)
    assert compressed(data) == blob


def test_each_block_is_packed_by_what_suits_it(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    deflate = gzipstream._deflate

    def noted(library: ModuleType, level: int, block: bytes, window: bytes = b"") -> bytes:
        if len(block) == 1 << 20:
            taken.append(library.__name__)
        return deflate(library, level, block, window)

    monkeypatch.setattr(gzipstream, "_deflate", noted)
    monkeypatch.setattr(gzipstream, "_MAX_THREADS", 1)
    noise = random.Random(1).randbytes(2 << 20)
    words = some_words(2 << 20)
    data = noise + words + noise.hex().encode()[: 1 << 20] + words
    blob = compressed(data)
    fast, small = "isal.isal_zlib", "zlib_ng.zlib_ng"
    assert taken == [fast, fast, small, small, fast, small, small]
    assert gzip.decompress(blob) == data
    assert len(blob) <= len(compressed(data, 5)) * 1.01
    taken.clear()
    compressed(data, 6)
    assert set(taken) == {small}


def test_there_is_no_name_and_no_time() -> None:
    assert compressed(b"x")[:10] == b"\x1f\x8b\x08" + bytes(6) + b"\xff"


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=4000), max_size=8))
def test_any_pieces(pieces: list[bytes]) -> None:
    stream = GzipStream(None)
    parts = [stream.compress(memoryview(piece)) for piece in pieces]
    assert gzip.decompress(b"".join([*parts, stream.flush()])) == b"".join(pieces)
