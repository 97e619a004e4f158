"""zstd (RFC 8878) compressed by several threads, mostly into one frame.

What comes out depends on the data and the level alone, not on the number of threads or on how the
data arrives. A frame has a checksum, and no size of its content.

At the default level data in which there is little to find (what is compressed already, the weights
of a model, digits of such) is packed at the lowest level: there that is as small, and takes half
the time. Samples of what went before tell. Each change of level begins another frame.
"""

from __future__ import annotations

import os

import zstandard

from whiteout.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Protocol

    class _Frame(Protocol):
        def compress(self, data: memoryview, /) -> bytes: ...

        def flush(self) -> bytes: ...


_DEFAULT_LEVEL, _FAST_LEVEL = 3, 1
#: libzstd gives the same bytes for any number of threads but none.
_THREADS = max(1, min(4, len(os.sched_getaffinity(0))))
#: Bytes that a thread takes at once. With the library's own choice an export took 109 MiB of memory
#: and was as fast; on large files that do not compress, two threads took 77 MiB with 2 MiB each,
#: and take 54 MiB with 1 MiB each, for the same size of the output.
#: The odd byte keeps the end of a frame from being that of a job: there it depends on time whether
#: an empty block follows.
_JOB = (1 << 20) + 1
_FAST_JOB = (1 << 19) + 1
#: The level may change after so many bytes. A sample of them is the beginning of each step.
_STRETCH, _STEP, _PIECE = 2 << 20, 1 << 19, 1 << 13
#: How much larger a sample may be at the low level, and for how many stretches in a row it must be
#: so before the level goes down: with two, a Debian tree changes levels and becomes larger. The
#: first stretch that is not so brings it up again.
_TOLERANCE, _ENOUGH = 1.001, 4


class ZstdStream:
    """An incremental compressor with the methods of zlib's."""

    def __init__(self, level: int | None) -> None:
        self._adapts = level is None
        self._level = _DEFAULT_LEVEL if level is None else level
        self._frame = _begin_frame(self._level)
        self._at = 0
        """Bytes of the current stretch that were taken."""
        self._sample = bytearray()
        self._agreeing = 0
        """For how many stretches in a row the low level would have done."""

    def compress(self, data: memoryview, /) -> bytes:
        """Take *data*; the result is what is ready by now, and often nothing."""
        if not self._adapts:
            return self._frame.compress(data)
        ready = []
        while data:
            if self._at == _STRETCH:
                ready.append(self._end_stretch())
            part = data[: _STRETCH - self._at]
            data = data[len(part) :]
            self._look_at(part)
            ready.append(self._frame.compress(part))
        return b"".join(ready)

    def flush(self) -> bytes:
        """What is left, and the end of the stream."""
        return self._frame.flush()

    def _look_at(self, part: memoryview) -> None:
        for start in range(0, _STRETCH, _STEP):
            first = max(0, start - self._at)
            self._sample += part[first : max(first, start + _PIECE - self._at)]
        self._at += len(part)

    def _end_stretch(self) -> bytes:
        """Choose the level for the next stretch; the result ends the frame where it changes."""
        sizes = [_packed_size(self._sample, level) for level in (_FAST_LEVEL, _DEFAULT_LEVEL)]
        self._agreeing = self._agreeing + 1 if sizes[0] <= sizes[1] * _TOLERANCE else 0
        self._at = 0
        self._sample.clear()
        level = _FAST_LEVEL if self._agreeing >= _ENOUGH else _DEFAULT_LEVEL
        if level == self._level:
            return b""
        end = self._frame.flush()
        self._level = level
        self._frame = _begin_frame(level, _JOB if level == _DEFAULT_LEVEL else _FAST_JOB)
        return end


def _begin_frame(level: int, job: int = _JOB) -> _Frame:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, write_checksum=True, write_content_size=False, threads=_THREADS, job_size=job
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compressobj()


def _packed_size(sample: bytearray, level: int) -> int:
    return len(zstandard.ZstdCompressor(level=level).compress(sample))
