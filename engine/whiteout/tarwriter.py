"""From the entries of a layer to tar bytes."""

from __future__ import annotations

import os
from collections.abc import Callable

from whiteout.cancel import CancelToken
from whiteout.display import display_path
from whiteout.errors import SnapshotChanged, read_error
from whiteout.layerentries import LayerEntry
from whiteout.merged import Node
from whiteout.tarheader import BLOCK, END_OF_ARCHIVE

_CHUNK = 1 << 20
_FLUSH = 1 << 19
_PADDING = tuple(bytes(-size % BLOCK) for size in range(BLOCK))


class TarWriter:
    """Writes entries as a tar archive. *sink* is called with the bytes, in order.

    Headers and small files are gathered into large writes. What *sink* was given does not change
    afterwards.
    """

    def __init__(self, sink: Callable[[bytes | bytearray], object], cancel: CancelToken) -> None:
        self.entries = 0
        """Entries written so far."""
        self._sink = sink
        self._cancel = cancel
        self._buffer = bytearray()

    def write(self, entry: LayerEntry) -> None:
        """Write one entry.

        Raises:
            ReadError: its content could not be read.
            SnapshotChanged: its content is not what it was said to be.
            Cancelled: the token was cancelled.
        """
        self._cancel.check()
        self.entries += 1
        header, _, content = entry
        self._buffer += header.encode()
        if content is not None:
            try:
                self._copy(content, header.size)
            except OSError as error:
                raise read_error("read", content.path, error) from error
        if len(self._buffer) >= _FLUSH:
            self._flush()

    def finish(self) -> None:
        """Write the end of the archive: exactly two blocks, without further padding."""
        self._buffer += END_OF_ARCHIVE
        self._flush()

    def _copy(self, node: Node, size: int) -> None:
        descriptor = node.open_file()
        try:
            if size < _CHUNK:
                content = os.read(descriptor, size + 1)
                if len(content) != size:
                    raise _changed(node, "grew" if len(content) > size else "shrank")
                self._buffer += content
            else:
                self._stream(node, descriptor, size)
        finally:
            os.close(descriptor)
        self._buffer += _PADDING[size % BLOCK]

    def _stream(self, node: Node, descriptor: int, left: int) -> None:
        self._flush()
        while left:
            self._cancel.check()
            chunk = os.read(descriptor, min(left, _CHUNK))
            if not chunk:
                raise _changed(node, "shrank")
            left -= len(chunk)
            self._sink(chunk)
        if os.read(descriptor, 1):
            raise _changed(node, "grew")

    def _flush(self) -> None:
        if self._buffer:
            self._sink(self._buffer)
            self._buffer = bytearray()


def _changed(node: Node, how: str) -> SnapshotChanged:
    return SnapshotChanged(
        f"{display_path(node.path)} {how} while it was read; "
        "stop what writes to the snapshot and try again",
        node.path,
    )
