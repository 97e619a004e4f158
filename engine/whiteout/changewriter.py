"""From the differ's findings to tar bytes: containerd's change writer.

The rules are those of ``ChangeWriter`` in containerd's ``pkg/archive/tar.go`` as BuildKit 0.12 and
later use it: no user or group names, whole seconds, whiteouts of mode 0 and time 0, a directory
that is not recorded itself appears right before its first recorded entry, sockets are left out,
and further names of a file become links.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from whiteout.cancel import CancelToken
from whiteout.differ import Finding
from whiteout.display import display_path
from whiteout.entries import EntryType
from whiteout.errors import ReadError, SnapshotChanged, read_error
from whiteout.merged import Node
from whiteout.tarheader import BLOCK, END_OF_ARCHIVE, TarHeader, TypeFlag
from whiteout.verdicts import ChangeKind, Reason

WHITEOUT_PREFIX = b".wh."
_CHUNK = 1 << 20
_FLUSH = 1 << 18

_TYPE_FLAGS = {
    EntryType.FILE: TypeFlag.FILE,
    EntryType.DIRECTORY: TypeFlag.DIRECTORY,
    EntryType.SYMLINK: TypeFlag.SYMLINK,
    EntryType.CHARACTER: TypeFlag.CHARACTER,
    EntryType.BLOCK: TypeFlag.BLOCK,
    EntryType.FIFO: TypeFlag.FIFO,
}


def whiteout_header(path: bytes) -> TarHeader:
    """The entry that deletes *path*: ``.wh.`` before its name, mode 0 and time 0."""
    directory, slash, name = path.lstrip(b"/").rpartition(b"/")
    return TarHeader(directory + slash + WHITEOUT_PREFIX + name, TypeFlag.FILE)


def entry_header(path: bytes, node: Node) -> TarHeader:
    """The entry of *path* as *node* stands, before links are considered.

    Raises:
        OSError: the link target or the capability cannot be read.
    """
    status = node.status
    entry_type = node.entry.type
    name = path.lstrip(b"/")
    device = (0, 0)
    if entry_type not in (EntryType.FILE, EntryType.FIFO):
        device = os.major(status.st_rdev), os.minor(status.st_rdev)
    return TarHeader(
        name + b"/" if entry_type is EntryType.DIRECTORY else name,
        _TYPE_FLAGS[entry_type],
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        status.st_size if entry_type is EntryType.FILE else 0,
        status.st_mtime_ns // 1_000_000_000,
        node.readlink() if entry_type is EntryType.SYMLINK else b"",
        device,
        node.capability(),
    )


@dataclass(slots=True)
class _Parent:
    """A directory on the way to the current entry, and whether the layer has it already."""

    path: bytes
    node: Node | None
    above: _Parent | None
    written: bool = False


class ChangeWriter:
    """Writes a stream of findings as a layer. *sink* is called with the bytes, in order.

    The stream must hold every directory before its entries, skipped ones too, as
    :func:`whiteout.differ.walk` gives it.
    """

    def __init__(self, sink: Callable[[bytes | bytearray], object], cancel: CancelToken) -> None:
        self.entries = 0
        """Tar entries written so far."""
        self._sink = sink
        self._cancel = cancel
        self._buffer = bytearray()
        self._parent = _Parent(b"", None, None, written=True)
        self._sources: dict[tuple[int, int], bytes] = {}
        self._unmodified: dict[tuple[int, int], list[tuple[bytes, _Parent]]] = {}

    def write_all(self, findings: Iterable[Finding]) -> None:
        """Write every finding and the end of the archive.

        Raises:
            ReadError: something could not be read, so that the layer would be wrong.
            Cancelled: the token was cancelled.
        """
        for finding in findings:
            self.write(finding)
        self._buffer += END_OF_ARCHIVE
        self._flush()

    def write(self, finding: Finding) -> None:
        """Write one finding; what is not recorded writes nothing.

        Raises:
            ReadError: it could not be read.
            Cancelled: the token was cancelled.
        """
        verdict = finding.verdict
        if verdict.reason is Reason.UNREADABLE:
            raise ReadError(verdict.error or "", verdict.path)
        path = verdict.path
        self._leave(path)
        try:
            if verdict.kind is ChangeKind.DELETE:
                self._emit(whiteout_header(path), self._parent)
            elif finding.node is not None and verdict.kind is not None:
                self._change(path, finding.node, verdict.kind)
        except OSError as error:
            raise read_error("read", path, error) from error
        if finding.node is not None and finding.node.is_directory:
            self._parent = _Parent(path, finding.node, self._parent, verdict.kind is not None)

    def _leave(self, path: bytes) -> None:
        directory = path.rpartition(b"/")[0]
        while self._parent.path != directory:
            if self._parent.above is None:
                raise AssertionError("a directory must come before its entries")
            self._parent = self._parent.above

    def _change(self, path: bytes, node: Node, kind: ChangeKind) -> None:
        if stat.S_ISSOCK(node.status.st_mode):
            return
        if not node.entry.is_hard_linked:
            self._emit(entry_header(path, node), self._parent, node)
            return
        inode = node.status.st_dev, node.status.st_ino
        name = path.lstrip(b"/")
        source = self._sources.get(inode)
        if source is not None:
            self._emit(entry_header(path, node).as_link(name, source), self._parent)
        elif kind is ChangeKind.UNMODIFIED:
            self._unmodified.setdefault(inode, []).append((name, self._parent))
        else:
            header = entry_header(path, node)
            self._sources[inode] = name
            self._emit(header, self._parent, node)
            for other, parent in self._unmodified.pop(inode, ()):
                self._emit(header.as_link(other, name), parent)

    def _emit(self, header: TarHeader, parent: _Parent, node: Node | None = None) -> None:
        self._cancel.check()
        if not parent.written:
            self._write_parents(parent)
        self.entries += 1
        self._buffer += header.encode()
        if node is not None and header.type is TypeFlag.FILE and header.size:
            self._copy(node, header)
        if len(self._buffer) >= _FLUSH:
            self._flush()

    def _write_parents(self, parent: _Parent) -> None:
        missing = []
        directory: _Parent | None = parent
        while directory is not None and not directory.written:
            missing.append(directory)
            directory = directory.above
        for directory in reversed(missing):
            if directory.node is None:
                raise AssertionError("only the root has no entry")
            directory.written = True
            self.entries += 1
            self._buffer += entry_header(directory.path, directory.node).encode()

    def _copy(self, node: Node, header: TarHeader) -> None:
        left = header.size
        descriptor = node.open_file()
        try:
            while left:
                self._cancel.check()
                chunk = os.read(descriptor, min(left, _CHUNK))
                if not chunk:
                    raise self._changed(header, "shrank")
                left -= len(chunk)
                self._buffer += chunk
                if len(self._buffer) >= _FLUSH:
                    self._flush()
            if os.read(descriptor, 1):
                raise self._changed(header, "grew")
        finally:
            os.close(descriptor)
        self._buffer += bytes(-header.size % BLOCK)

    def _changed(self, header: TarHeader, how: str) -> SnapshotChanged:
        return SnapshotChanged(
            f"{display_path(b'/' + header.name)} {how} while it was read; "
            "stop what writes to the snapshot and try again",
            b"/" + header.name,
        )

    def _flush(self) -> None:
        if self._buffer:
            self._sink(self._buffer)
            self._buffer = bytearray()
