"""zstd with a level that follows the data: any reader reads it, the same however it is fed."""

from __future__ import annotations

import io
import random
import shutil
import subprocess

import pytest
import zstandard

from support.streams import fed, some_words
from whiteout import zstdstream
from whiteout.compression import open_decompressor
from whiteout.zstdstream import ZstdStream

_MAGIC = b"\x28\xb5\x2f\xfd"
STRETCH = 2 << 20


def compressed(data: bytes, level: int | None = None, piece: int = 1 << 18) -> bytes:
    return fed(ZstdStream(level), data, piece)


NOISE = random.Random(1).randbytes(6 * STRETCH)
WORDS = some_words(3 * STRETCH)
#: Noise for longer than four stretches, so that the level goes down, and then words.
MIXED = NOISE + WORDS + b"end"


@pytest.mark.parametrize("level", [None, 1, 3, 9])
@pytest.mark.parametrize("data", [b"", b"x", WORDS, MIXED], ids=["none", "x", "words", "mixed"])
def test_readers_read_it(data: bytes, level: int | None) -> None:
    blob = compressed(data, level)
    assert b"".join(open_decompressor(io.BytesIO(blob))) == data
    program = shutil.which("zstd")
    if program is not None:
        answer = subprocess.run([program, "-dcq"], input=blob, capture_output=True, check=True)
        assert answer.stdout == data


def test_each_change_of_level_is_a_frame() -> None:
    assert compressed(MIXED).count(_MAGIC) == 3
    for data in (WORDS + WORDS, NOISE[: 4 * STRETCH], NOISE[: 3 * STRETCH] + WORDS):
        assert compressed(data).count(_MAGIC) == 1
        assert compressed(data) == compressed(data, 3)


def test_it_is_nearly_as_small_as_the_default_level() -> None:
    """One stretch is packed worse: the one that tells that there are words again."""
    assert len(compressed(MIXED)) <= len(compressed(MIXED, 3)) + STRETCH // 4


def test_the_bytes_do_not_depend_on_pieces_or_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    blob = compressed(MIXED)
    assert compressed(MIXED, piece=99_991) == blob
    assert compressed(MIXED, piece=len(MIXED)) == blob
    monkeypatch.setattr(zstdstream, "_THREADS", 1)
    assert compressed(MIXED) == blob


def test_the_bytes_do_not_depend_on_time() -> None:
    """Where the data ends with a MiB, libzstd may or may not have it packed already."""
    even = NOISE[: 4 << 20]
    assert len({compressed(even, 1) for _ in range(20)}) == 1


def test_a_frame_has_a_checksum_and_no_size() -> None:
    parameters = zstandard.get_frame_parameters(compressed(b"x" * 1000))
    assert parameters.has_checksum
    assert parameters.content_size == zstandard.CONTENTSIZE_UNKNOWN
