"""From the entries of a layer to tar bytes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from whiteout.cancel import CancelToken
from whiteout.differ import FoundInRows, PlainFiles, WrittenDirectories
from whiteout.errors import changed_size, read_error
from whiteout.layerentries import LayerEntry, LayerPlan
from whiteout.merged import Node
from whiteout.tarheader import BLOCK, END_OF_ARCHIVE, plain_file_header

_CHUNK = 1 << 20
_FLUSH = 1 << 19
#: From this size on what was written elsewhere is not copied once more to be gathered.
_LARGE = 1 << 17
_ZEROS = bytes(_CHUNK)
_PADDING = tuple(bytes(-size % BLOCK) for size in range(BLOCK))


class TarWriter:
    """Writes entries as a tar archive. *sink* is called with the bytes, in order.

    Headers and small files are gathered into large writes. What *sink* was given does not change
    afterwards.
    """

    def __init__(self, sink: Callable[[bytes], object], cancel: CancelToken) -> None:
        self.entries = 0
        """Entries written so far."""
        self._sink = sink
        self._cancel = cancel
        self._gathered: list[bytes] = []
        self._size = 0

    def write_found(self, found: FoundInRows, plan: LayerPlan) -> None:
        """Write the entries that *found* makes by *plan*, none or many.

        Raises:
            ReadError: something could not be read.
            SnapshotChanged: a content is not what it was said to be.
            Cancelled: the token was cancelled.
        """
        for entry in plan.entries(found):
            self.write(entry)
        if isinstance(found, PlainFiles):
            self._write_files(found)
        elif isinstance(found, WrittenDirectories):
            self._write_directories(found)

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
        encoded = header.encode()
        self._gathered.append(encoded)
        self._size += len(encoded)
        if content is not None:
            try:
                self._copy(content, header.size)
            except OSError as error:
                raise read_error("read", content.path, error) from error
        if self._size >= _FLUSH:
            self.flush()

    def _write_files(self, row: PlainFiles) -> None:
        """Write the entries of plain files, which were read already."""
        self._cancel.check()
        gathered = self._gathered
        directory = row.path[1:] + b"/" if row.path else b""
        for name, status, content in row.files:
            header = plain_file_header(directory + name, status)
            size = len(content)
            gathered += (header, content, _PADDING[size % BLOCK])
            self._size += len(header) + size
        self.entries += len(row.files)
        if self._size >= _FLUSH:
            self.flush()

    def _write_directories(self, written: WrittenDirectories) -> None:
        """Write the entries of directories and of what is in them, which are tar bytes already."""
        self._cancel.check()
        self.entries += written.entries
        if len(written.data) >= _LARGE:
            self.flush()
            self._sink(written.data)
            return
        self._gathered.append(written.data)
        self._size += len(written.data)
        if self._size >= _FLUSH:
            self.flush()

    def finish(self) -> None:
        """Write the end of the archive: exactly two blocks, without further padding."""
        self._gathered.append(END_OF_ARCHIVE)
        self.flush()

    def _copy(self, node: Node, size: int) -> None:
        descriptor = node.open_file()
        try:
            if size < _CHUNK:
                content = os.read(descriptor, size + 1)
                if len(content) != size:
                    raise changed_size(node.path, size, len(content))
                self._gathered.append(content)
                self._size += size
            else:
                self._stream(node, descriptor, size)
        finally:
            os.close(descriptor)
        padding = _PADDING[size % BLOCK]
        if padding:
            self._gathered.append(padding)
            self._size += len(padding)

    def _stream(self, node: Node, descriptor: int, size: int) -> None:
        """Write the content in chunks. A hole is not read: its zeros are here already."""
        self.flush()
        done = 0
        while done < size:
            self._cancel.check()
            most = min(size - done, _CHUNK)
            hole = _hole(descriptor, done)
            chunk = _ZEROS[: min(hole, most)] if hole else os.pread(descriptor, most, done)
            if not chunk:
                raise changed_size(node.path, size, done)
            done += len(chunk)
            self._sink(chunk)
        if os.pread(descriptor, 1, size):
            raise changed_size(node.path, size, size + 1)

    def flush(self) -> None:
        """Give the sink what is gathered."""
        if self._gathered:
            self._sink(b"".join(self._gathered))
            self._gathered.clear()
            self._size = 0


def _hole(descriptor: int, offset: int) -> int:
    """How many bytes from *offset* on are a hole: zeros that the file has no blocks for."""
    try:
        return os.lseek(descriptor, offset, os.SEEK_DATA) - offset
    except OSError as error:
        if error.errno != errno.ENXIO:  # the filesystem cannot tell
            return 0
        return max(0, os.fstat(descriptor).st_size - offset)  # nothing but a hole is left
