"""Compressing a layer as it is written, and decompressing any layer as it is read.

Both ways stream: whatever the size of the layer, memory holds one chunk and the state of the
algorithm. Compressed bytes are reproducible: the same tar, level, library versions and kind of
processor give the same blob, whatever the number of threads.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

from whiteout.cancel import NEVER, CancelToken
from whiteout.errors import StoreError
from whiteout.mediatypes import GZIP, TAR, ZSTD, check_level
from whiteout.typed import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing_extensions import Buffer

#: Bytes handed to an algorithm, or read from a file, at once.
CHUNK = 256 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
#: What some engines read besides, but OCI's images have not.
_OTHER_MAGICS = {b"\xfd7zXZ\0": "xz", b"BZh": "bzip2"}
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"  # after a byte 0x50 to 0x5f
_ZSTD_MAX_BLOCK = 128 * 1024

Sink = Callable[[bytes | memoryview], object]


class DamagedStream(StoreError):
    """Compressed content is cut short or otherwise not what its format allows."""


class Compressor(Protocol):
    """Takes the bytes of a tar and hands compressed bytes to its sink."""

    def write(self, data: Buffer) -> None:
        """Compress *data* (any buffer of bytes), in pieces of at most :data:`CHUNK`."""

    def close(self) -> None:
        """Finish the compressed stream. The sink stays open; a second call does nothing."""


class _Stream(Protocol):
    """What zlib's and zstandard's incremental compressors have in common."""

    def compress(self, data: memoryview, /) -> bytes | memoryview: ...

    def flush(self) -> bytes: ...


def _gzip_stream(level: int | None) -> _Stream:
    """The one place that chooses the library for gzip."""
    from whiteout.gzipstream import GzipStream

    return GzipStream(level)


def _zstd_stream(level: int | None) -> _Stream:
    """The one place that chooses the library for zstd."""
    from whiteout.zstdstream import ZstdStream

    return ZstdStream(level)


class _Identity:
    """The stream of an uncompressed layer."""

    def compress(self, data: memoryview, /) -> memoryview:
        return data

    def flush(self) -> bytes:
        return b""


_STREAMS: dict[str, Callable[[int | None], _Stream]] = {
    TAR: lambda level: _Identity(),
    GZIP: _gzip_stream,
    ZSTD: _zstd_stream,
}


class _ChunkedCompressor:
    """Feeds a stream chunk by chunk, asking for cancellation at each."""

    def __init__(self, stream: _Stream, sink: Sink, cancel: CancelToken) -> None:
        self._stream: _Stream | None = stream
        self._sink = sink
        self._cancel = cancel

    def write(self, data: Buffer) -> None:
        if self._stream is None:
            raise ValueError("write to a closed compressor")
        view = memoryview(data).cast("B")
        for start in range(0, len(view), CHUNK):
            self._cancel.check()
            compressed = self._stream.compress(view[start : start + CHUNK])
            if compressed:
                self._sink(compressed)

    def close(self) -> None:
        if self._stream is None:
            return
        self._cancel.check()
        rest = self._stream.flush()
        self._stream = None
        if rest:
            self._sink(rest)


def open_compressor(
    media_type: str, level: int | None, sink: Sink, cancel: CancelToken = NEVER
) -> Compressor:
    """A compressor for layers of *media_type* that calls *sink* with compressed bytes.

    *level* None is the default of the format.

    Raises:
        MediaTypeError: *media_type* is not of a layer.
        UsageError: *level* does not exist for it.
        Cancelled: *cancel* was cancelled; raised by ``write`` and ``close``.
    """
    check_level(media_type, level)
    return _ChunkedCompressor(_STREAMS[media_type](level), sink, cancel)


class Readable(Protocol):
    """A binary file, as far as decompression needs it."""

    def read(self, size: int, /) -> bytes:
        """At most *size* bytes; none at the end."""


class Decompressed:
    """The content of a blob: iterate over it for chunks of bounded size."""

    def __init__(self, media_type: str, chunks: Iterator[bytes]) -> None:
        self.media_type = media_type
        """What the first bytes say: :data:`~whiteout.mediatypes.GZIP`, ``ZSTD``, else ``TAR``."""
        self.chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return self.chunks


class _Input:
    """A readable with look-ahead and exact reads."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._buffer = b""

    def peek(self, size: int) -> bytes:
        """The next *size* bytes, fewer at the end, without taking them."""
        while len(self._buffer) < size:
            more = self._source.read(CHUNK)
            if not more:
                break
            self._buffer += more
        return self._buffer[:size]

    def take(self, size: int) -> bytes:
        """Exactly *size* bytes."""
        taken = self.peek(size)
        if len(taken) < size:
            raise DamagedStream("the compressed data is cut short")
        self._buffer = self._buffer[size:]
        return taken

    def skip(self, size: int) -> None:
        """Pass over *size* bytes."""
        while size:
            size -= len(self.take(min(size, CHUNK)))

    def some(self) -> bytes:
        """The next bytes, as many as are at hand; none at the end."""
        taken = self._buffer or self._source.read(CHUNK)
        self._buffer = b""
        return taken


def open_decompressor(readable: Readable) -> Decompressed:
    """Decompress *readable*, whose format is told by its first bytes.

    Gzip may have several members and zstd several frames, as the formats say. Iterating raises
    :class:`DamagedStream` for a stream that is cut short, corrupt, or followed by anything else.
    """
    source = _Input(readable)
    magic = source.peek(4)
    if magic.startswith(_GZIP_MAGIC):
        return Decompressed(GZIP, _gzip_chunks(source))
    if magic == _ZSTD_MAGIC or _is_skippable(magic):
        return Decompressed(ZSTD, _zstd_chunks(source))
    for other, name in _OTHER_MAGICS.items():
        if source.peek(len(other)) == other and source.peek(262)[257:] != b"ustar":
            return Decompressed(TAR, _refused(name))
    return Decompressed(TAR, iter(source.some, b""))


def _refused(name: str) -> Iterator[bytes]:
    raise DamagedStream(f"it is compressed by {name}, which is not read here; use gzip or zstd")
    yield b""


def _gzip_chunks(source: _Input) -> Iterator[bytes]:
    data = source.some()
    while data:
        member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        while True:
            try:
                chunk = member.decompress(data, CHUNK)
            except zlib.error:
                raise DamagedStream("the gzip data is corrupt") from None
            data = member.unconsumed_tail
            if chunk:
                yield chunk
            if member.eof:
                break
            # A full chunk may leave output inside zlib although all input is taken.
            if not data and len(chunk) < CHUNK:
                data = source.some()
                if not data:
                    raise DamagedStream("the gzip data is cut short")
        data = member.unused_data or source.some()


def _is_skippable(magic: bytes) -> bool:
    return len(magic) == 4 and magic[0] & 0xF0 == 0x50 and magic[1:] == _ZSTD_SKIPPABLE


def _zstd_chunks(source: _Input) -> Iterator[bytes]:
    """Frame by frame and block by block (RFC 8878, 3.1).

    Given whole blocks, the library never returns more than one block of 128 KiB at a time,
    however strongly the data is compressed, and a missing end cannot go unnoticed.
    """
    import zstandard

    decompressor = zstandard.ZstdDecompressor()
    while magic := source.peek(4):
        if _is_skippable(magic):
            source.take(4)
            source.skip(int.from_bytes(source.take(4), "little"))
            continue
        if magic != _ZSTD_MAGIC:
            raise DamagedStream("something that is not zstd follows the zstd data")
        frame = decompressor.decompressobj()
        try:
            for part in _zstd_frame(source):
                chunk = frame.decompress(part)
                if chunk:
                    yield chunk
        except zstandard.ZstdError:
            raise DamagedStream("the zstd data is corrupt") from None
        if not frame.eof:
            raise DamagedStream("the zstd data is corrupt")


def _zstd_frame(source: _Input) -> Iterator[bytes]:
    """The parts of one frame: header, each block, checksum."""
    start = source.take(5)
    flags = start[4]
    single_segment = bool(flags & 0x20)
    content_size = (1 if single_segment else 0, 2, 4, 8)[flags >> 6]
    dictionary_id = (0, 1, 2, 4)[flags & 3]
    yield start + source.take((not single_segment) + dictionary_id + content_size)
    last = False
    while not last:
        header = source.take(3)
        word = int.from_bytes(header, "little")
        last, kind, size = bool(word & 1), (word >> 1) & 3, word >> 3
        if size > _ZSTD_MAX_BLOCK:
            raise DamagedStream("the zstd data is corrupt")
        yield header + source.take(1 if kind == 1 else size)
    if flags & 4:
        yield source.take(4)
