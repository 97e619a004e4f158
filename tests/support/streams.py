"""Data that compresses like text, and compressors that are fed with it."""

from __future__ import annotations

import random
from typing import Protocol


class Stream(Protocol):
    def compress(self, data: memoryview, /) -> bytes: ...

    def flush(self) -> bytes: ...


def fed(stream: Stream, data: bytes, piece: int) -> bytes:
    """All that comes out of *stream* when it is given *data* in pieces of *piece* bytes."""
    view = memoryview(data)
    parts = [stream.compress(view[at : at + piece]) for at in range(0, len(data), piece)]
    return b"".join([*parts, stream.flush()])


def some_words(size: int) -> bytes:
    """The same *size* bytes in every run, made of 200 words."""
    numbers = random.Random(size)
    words = [bytes(numbers.randbytes(numbers.randint(2, 9))) for _ in range(200)]
    return b"".join(numbers.choices(words, k=size // 2))[:size]
