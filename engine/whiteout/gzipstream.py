"""gzip (RFC 1952) compressed by several threads into one member.

The data is cut into blocks of one size. Each block is deflated by itself, with the end of the block
before as its dictionary, and ends at a byte boundary (a sync flush), so that the blocks can simply
follow each other: the way of pigz. What comes out depends on the data and the level alone, not on
the number of threads or on how the data arrives. There is no name and no time in the header.

At the default level two libraries take turns. zlib-ng finds repetitions about as well as Go and
zlib do, and takes a third of zlib's time. ISA-L is five times as fast as that, and 10 % larger on
programs and text; but where there is little to find (what is compressed already, random, or digits
of such) it is as small. A sample of each block tells which of the two packs it.
"""

from __future__ import annotations

import os
from collections import deque
from types import ModuleType

from zlib_ng import zlib_ng

from whiteout.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_BLOCK = 1 << 20
_WINDOW = 1 << 15
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
#: An empty last block of deflate.
_LAST = b"\x03\x00"
#: The level that stays within 2 % of the size of Go's default level.
_DEFAULT_LEVEL = 5
#: ISA-L's level where it packs a block, and by how much it may be larger on a sample of the block.
_FAST_LEVEL, _TOLERANCE = 1, 1.01
#: A sample is so many pieces of so many bytes.
_PIECES, _PIECE = 4, 1 << 14
_MAX_THREADS = 4


class GzipStream:
    """An incremental compressor with the methods of zlib's.

    Threads are started with the first whole block, so that a small layer takes none.
    """

    def __init__(self, level: int | None) -> None:
        self._level = None if level == -1 else level
        self._threads = min(_MAX_THREADS, len(os.sched_getaffinity(0)))
        self._pool: ThreadPoolExecutor | None = None
        self._running: deque[Future[bytes]] = deque()
        self._gathered = bytearray()
        self._window = b""
        self._checksum = 0
        self._size = 0
        self._header = _HEADER

    def compress(self, data: memoryview, /) -> bytes:
        """Take *data*; the result is what is ready by now, and often nothing."""
        self._checksum = zlib_ng.crc32(data, self._checksum)
        self._size += len(data)
        self._gathered += data
        while len(self._gathered) >= _BLOCK:
            block = bytes(memoryview(self._gathered)[:_BLOCK])
            del self._gathered[:_BLOCK]
            self._start(block)
        return self._collect(2 * self._threads)

    def flush(self) -> bytes:
        """What is left, and the end of the stream."""
        last = b""
        if self._gathered:
            level = _DEFAULT_LEVEL if self._level is None else self._level
            last = _deflate(zlib_ng, level, bytes(self._gathered), self._window)
            self._gathered.clear()
        rest = self._collect(0) + last
        self.close()
        trailer = self._checksum.to_bytes(4, "little") + (self._size % 2**32).to_bytes(4, "little")
        return rest + _LAST + trailer

    def close(self) -> None:
        """End the threads; what they have not begun is dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, block: bytes) -> None:
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self._threads, "whiteout-gzip")
        self._running.append(self._pool.submit(_pack, block, self._window, self._level))
        self._window = block[-_WINDOW:]

    def _collect(self, left: int) -> bytes:
        """The finished blocks in order, waiting until at most *left* of them run."""
        ready = [self._header]
        self._header = b""
        while len(self._running) > left:
            ready.append(self._running.popleft().result())
        if self._running and self._running[0].done():  # not all: what is large waits here
            ready.append(self._running.popleft().result())
        return b"".join(ready)


def _pack(block: bytes, window: bytes, level: int | None) -> bytes:
    """One whole block: at *level* by zlib-ng, without a level by the library that suits it."""
    if level is not None:
        return _deflate(zlib_ng, level, block, window)
    from isal import isal_zlib

    step = len(block) // _PIECES
    sample = b"".join(block[at : at + _PIECE] for at in range(0, len(block), step))
    small = len(_deflate(zlib_ng, _DEFAULT_LEVEL, sample))
    if len(_deflate(isal_zlib, _FAST_LEVEL, sample)) <= small * _TOLERANCE:
        return _deflate(isal_zlib, _FAST_LEVEL, block, window)
    return _deflate(zlib_ng, _DEFAULT_LEVEL, block, window)


def _deflate(library: ModuleType, level: int, block: bytes, window: bytes = b"") -> bytes:
    """*block* by a *library* that has zlib's interface."""
    method, strategy = library.DEFLATED, library.Z_DEFAULT_STRATEGY
    if window:
        stream = library.compressobj(level, method, -15, 8, strategy, window)
    else:
        stream = library.compressobj(level, method, -15)
    return bytes(stream.compress(block) + stream.flush(library.Z_SYNC_FLUSH))
