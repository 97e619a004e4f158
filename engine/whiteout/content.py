"""The content of an entry: its beginning, what changed in it, and a copy of it elsewhere."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from whiteout.cancel import NEVER, CancelToken
from whiteout.differ import find
from whiteout.display import display_path
from whiteout.durable import write_all
from whiteout.entries import EntryType
from whiteout.errors import NotFound, SnapshotChanged, StoreError, UsageError, read_error, reason_of
from whiteout.merged import Node
from whiteout.outfile import new_file
from whiteout.snapshot import Snapshot

Side = Literal["base", "upper"]
_SIDES: tuple[Side, Side] = ("base", "upper")
_CHUNK = 1 << 20
_CONTROLS = bytes(set(range(0x20)) - set(b"\t\n\v\f\r\x1b\b"))


@dataclass(frozen=True, slots=True)
class Content:
    """The beginning of an entry's content. ``size`` is that of the whole, in bytes.

    Of what is neither a file nor a symlink there is no content, and of a symlink the target.
    """

    data: bytes
    truncated: bool
    size: int
    is_text: bool
    link_target: bytes | None = None


@dataclass(frozen=True, slots=True)
class Extracted:
    """A file that was copied out of a snapshot: where it is, its size in bytes and its sha256."""

    path: bytes
    size: int
    sha256: str


def looks_like_text(data: bytes) -> bool:
    """Whether *data*, the beginning of a file, is UTF-8 without controls that no text has."""
    if data.translate(None, _CONTROLS) != data:
        return False
    try:
        data.decode()
    except UnicodeDecodeError as error:  # a character may be cut off at the end
        return error.end == len(data) and len(data) - error.start < 4 < len(data)
    return True


def read_head(snapshot: Snapshot, path: bytes, side: Side, limit: int = 1 << 16) -> Content:
    """The first *limit* bytes that one side has at *path*.

    Raises:
        NotFound: that side has nothing there.
        ReadError: it cannot be read.
    """
    with _node(snapshot, path, side) as node:
        if node.entry.type is EntryType.SYMLINK:
            target = node.readlink()
            return Content(b"", False, len(target), False, target)
        if not node.is_file:
            return Content(b"", False, 0, False)
        with open(node.open_file(), "rb", buffering=0) as file:
            data = b""
            while len(data) < limit and (chunk := file.read(limit - len(data))):
                data += chunk
        size = node.status.st_size
        return Content(data, size > len(data), size, looks_like_text(data))


@contextmanager
def open_content(snapshot: Snapshot, path: bytes, side: Side) -> Iterator[io.FileIO]:
    """The file that one side has at *path*, open for reading within the block.

    Raises:
        NotFound: that side has nothing there.
        UsageError: it is no regular file.
        ReadError: it cannot be opened.
    """
    with _node(snapshot, path, side) as node:
        if not node.is_file:
            raise UsageError(f"{display_path(path)} is a {node.entry.type.value}, not a file")
        descriptor = node.open_file()
    with open(descriptor, "rb", buffering=0) as file:
        yield file


def extract(
    snapshot: Snapshot, path: bytes, destination: bytes, side: Side, cancel: CancelToken = NEVER
) -> Extracted:
    """Copy the file that one side has at *path* to *destination*, which must not exist.

    It appears under its name when it is whole. A symlink at *destination* is not followed.

    Raises:
        NotFound: that side has nothing there.
        UsageError: it is no regular file.
        ReadError: it cannot be read.
        StoreError: *destination* exists or cannot be written.
        Cancelled: *cancel* was cancelled.
    """
    target = os.path.abspath(destination)
    with open_content(snapshot, path, side) as file, _new_file(target) as descriptor:
        before = os.fstat(file.fileno())
        digest = hashlib.sha256()
        size = 0
        while True:
            cancel.check()
            try:
                chunk = file.read(_CHUNK)
            except OSError as error:
                raise read_error("read", path, error) from error
            if not chunk:
                break
            digest.update(chunk)
            size += len(chunk)
            write_all(descriptor, chunk)
        after = os.fstat(file.fileno())
        if size != after.st_size or before.st_mtime_ns != after.st_mtime_ns:
            raise SnapshotChanged(
                f"{display_path(path)} changed while it was read; try again", path
            )
    return Extracted(target, size, digest.hexdigest())


_MAX_LINES = 4000
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line of a unified diff, without its end.

    ``kind`` is " " for a line of both sides, "+" added, "-" removed, "@" a place, and a backslash
    for the remark that the line before has no end.
    """

    kind: str
    text: bytes


def unified_diff(
    snapshot: Snapshot, path: bytes, limit: int = 1 << 18
) -> tuple[DiffLine, ...] | None:
    """What changed in the text file at *path*, empty where nothing did.

    None where a side is no text, is larger than *limit* bytes, or has over 4000 lines.

    Raises:
        NotFound: a side has nothing there.
        ReadError: a side cannot be read.
    """
    import difflib

    sides: list[list[str]] = []
    for side in _SIDES:
        content = read_head(snapshot, path, side, limit)
        if content.truncated or not content.is_text:
            return None
        sides.append(_LINE.findall(content.data.decode("latin-1")))
        if len(sides[-1]) > _MAX_LINES:
            return None
    return tuple(_diff_lines(difflib.unified_diff(sides[0], sides[1])))


def _diff_lines(lines: Iterable[str]) -> Iterator[DiffLine]:
    for number, line in enumerate(lines):
        if number < 2:  # the two lines with file names
            continue
        kind, text = line[0], line.removesuffix("\n")
        yield DiffLine(kind, (text if kind == "@" else text[1:]).encode("latin-1"))
        if not line.endswith("\n"):
            yield DiffLine("\\", b"No newline at end of file")


@contextmanager
def _node(snapshot: Snapshot, path: bytes, side: Side) -> Iterator[Node]:
    with snapshot.reading() as root:
        finding = find(root, path)[1]
        node = finding.base if side == "base" else finding.node
        if node is None or (side == "upper" and finding.verdict.whiteout):
            where = "its base" if side == "base" else "the snapshot"
            raise NotFound(f"{display_path(path)} is not in {where}; look at the other side")
        try:
            yield node
        except OSError as error:
            raise read_error("read", path, error) from error


@contextmanager
def _new_file(target: bytes) -> Iterator[int]:
    """A descriptor to write to; the file gets its name, a new one, when the block ends well."""
    directory, name = os.path.split(target)
    parent = descriptor = -1
    partial = b""
    try:
        parent = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if not name or os.path.lexists(target):
            raise FileExistsError(17, "exists")
        descriptor, partial = new_file(parent, name)
        yield descriptor
        os.fsync(descriptor)
        # unlike a rename, it never replaces
        os.link(b"/proc/self/fd/%d" % descriptor, name, dst_dir_fd=parent)
    except OSError as error:
        raise StoreError(
            f"cannot write {display_path(target)}: {reason_of(error)}; give another path"
        ) from error
    finally:
        if partial:
            with suppress(OSError):
                os.unlink(partial, dir_fd=parent)
        for opened in (descriptor, parent):
            if opened >= 0:
                os.close(opened)
