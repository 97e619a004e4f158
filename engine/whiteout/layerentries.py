"""From the differ's findings to the entries of a layer: what containerd's change writer decides.

The rules are those of ``ChangeWriter`` in containerd's ``pkg/archive/tar.go`` as BuildKit 0.12 and
later use it: no user or group names, whole seconds, whiteouts of mode 0 and time 0, a directory
that is not recorded itself appears right before its first recorded entry, sockets are left out,
and further names of a file become links.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from whiteout.differ import (
    Finding,
    FoundInRows,
    PlainDirectory,
    PlainFiles,
    WrittenDirectories,
)
from whiteout.display import display_path
from whiteout.errors import ReadError, read_error
from whiteout.merged import Node
from whiteout.tarheader import TarHeader, TypeFlag
from whiteout.typed import NamedTuple
from whiteout.verdicts import ChangeKind, Reason

WHITEOUT_PREFIX = b".wh."

_FILE, _DIRECTORY = TypeFlag.FILE, TypeFlag.DIRECTORY
_DELETE = ChangeKind.DELETE
_UNREADABLE = Reason.UNREADABLE
_NO_DEVICE = (0, 0)
_TYPE_FLAGS = {
    stat.S_IFDIR: TypeFlag.DIRECTORY,
    stat.S_IFLNK: TypeFlag.SYMLINK,
    stat.S_IFCHR: TypeFlag.CHARACTER,
    stat.S_IFBLK: TypeFlag.BLOCK,
    stat.S_IFIFO: TypeFlag.FIFO,
}


def whiteout_header(path: bytes) -> TarHeader:
    """The entry that deletes *path*: ``.wh.`` before its name, mode 0 and time 0."""
    directory, slash, name = path.lstrip(b"/").rpartition(b"/")
    return TarHeader(directory + slash + WHITEOUT_PREFIX + name, TypeFlag.FILE)


def entry_header(path: bytes, node: Node) -> TarHeader:
    """The entry of *path* as *node* stands, before links are considered.

    Raises:
        OSError: the link target or the capability cannot be read.
        ReadError: the owner has no id in the container.
    """
    status = node.status
    if node.has_unmapped_owner():
        raise _unmapped(path, node)
    name = path[1:]
    size = 0
    linkname = b""
    device = _NO_DEVICE
    if node.is_file:
        type_flag = _FILE
        size = status.st_size
    else:
        type_flag = _TYPE_FLAGS[stat.S_IFMT(status.st_mode)]
        if type_flag is TypeFlag.DIRECTORY:
            name += b"/"
        elif type_flag is TypeFlag.SYMLINK:
            linkname = node.readlink()
        if type_flag is not TypeFlag.FIFO and status.st_rdev:
            device = os.major(status.st_rdev), os.minor(status.st_rdev)
    return TarHeader(
        name,
        type_flag,
        status.st_mode & 0o7777,
        status.st_uid,
        status.st_gid,
        size,
        status.st_mtime_ns // 1_000_000_000,
        linkname,
        device,
        node.capability() if node.attribute_names else b"",
    )


def _plain_directory_header(path: bytes, status: os.stat_result) -> TarHeader:
    return TarHeader(
        path[1:] + b"/",
        _DIRECTORY,
        status.st_mode & 0o7777,
        status.st_uid,
        status.st_gid,
        0,
        status.st_mtime_ns // 1_000_000_000,
    )


def _unmapped(path: bytes, node: Node) -> ReadError:
    uid, gid = node.owner_on_disk() or (node.status.st_uid, node.status.st_gid)
    return ReadError(
        f"{display_path(path)} belongs to {uid}:{gid} on the host, and the id map has no id in the"
        " container for that; give the whole map with --uidmap and --gidmap",
        path,
    )


class _Parent:
    """A directory on the way to the current entry, and whether the layer has it already.

    Of a plain directory there is the status alone.
    """

    __slots__ = ("above", "found", "path", "written")

    def __init__(
        self,
        path: bytes,
        found: Node | os.stat_result | None,
        above: _Parent | None,
        *,
        written: bool,
    ) -> None:
        self.path = path
        self.found = found
        self.above = above
        self.written = written


class LayerEntry(NamedTuple):
    """One entry of a layer. ``content`` is the file to take the bytes from, None for no bytes.

    ``path`` is the absolute path in the snapshot that the entry stands for.
    """

    header: TarHeader
    path: bytes
    content: Node | None = None


def layer_entries(findings: Iterable[Finding]) -> Iterator[LayerEntry]:
    """The entries of the layer that *findings* make, in order, as a stream (:class:`LayerPlan`).

    Raises:
        ReadError: something could not be read, so that the layer would be wrong.
    """
    plan = LayerPlan()
    for finding in findings:
        yield from plan.entries(finding)


class LayerPlan:
    """Makes the entries of a layer from findings, taken one by one. No content is read.

    The findings must hold every directory before its entries, skipped ones too, as
    :func:`whiteout.differ.walk` gives them. Remembered are the directories above the current entry,
    and the names of linked files. The directory *top* and those above it count as written.
    """

    def __init__(self, top: bytes = b"") -> None:
        self._parent = _Parent(top, None, None, written=True)
        self._sources: dict[tuple[int, int], bytes] = {}
        self._unmodified: dict[tuple[int, int], list[tuple[bytes, _Parent]]] = {}

    def entries(self, found: FoundInRows) -> list[LayerEntry]:
        """The entries that one finding makes: mostly one; none for what is not recorded.

        Of plain files in a row, and of written directories, these are only the directories above
        that the layer lacks.

        Raises:
            ReadError: something could not be read, so that the layer would be wrong.
        """
        if isinstance(found, PlainFiles):
            self._leave(found.path)
            return self._directories_above(found.path)
        if isinstance(found, WrittenDirectories):
            self._leave(found.path)
            return self._directories_above(found.path) if found.data else []
        if isinstance(found, PlainDirectory):
            path = found.path
            self._leave(path[: path.rindex(b"/")])
            self._parent = _Parent(path, found.status, self._parent, written=False)
            return self._directories_above(path) if found.recorded else []
        verdict, node, _ = found
        path, kind = verdict.path, verdict.kind
        if verdict.reason is _UNREADABLE:
            raise ReadError(verdict.error or "", path)
        self._leave(path[: path.rindex(b"/")])
        made: list[LayerEntry] = []
        if kind is not None:
            try:
                if kind is _DELETE:
                    self._make(made, whiteout_header(path), path, self._parent)
                elif node is not None:
                    self._change(made, path, node, kind)
            except OSError as error:
                raise read_error("read", path, error) from error
        if node is not None and node.is_directory:
            self._parent = _Parent(path, node, self._parent, written=kind is not None)
        return made

    def _directories_above(self, path: bytes) -> list[LayerEntry]:
        made: list[LayerEntry] = []
        if self._parent.written:
            return made
        try:
            self._make_directories(made, self._parent)
        except OSError as error:
            raise read_error("read", path, error) from error
        return made

    def _leave(self, directory: bytes) -> None:
        while self._parent.path != directory:
            if self._parent.above is None:
                raise AssertionError("a directory must come before its entries")
            self._parent = self._parent.above

    def _change(self, made: list[LayerEntry], path: bytes, node: Node, kind: ChangeKind) -> None:
        if stat.S_ISSOCK(node.status.st_mode):
            return
        content = node if node.is_file and node.status.st_size else None
        if node.is_directory or node.status.st_nlink == 1:
            self._make(made, entry_header(path, node), path, self._parent, content)
            return
        inode = node.status.st_dev, node.status.st_ino
        name = path[1:]
        source = self._sources.get(inode)
        if source is not None:
            header = entry_header(path, node).as_link(name, source)
            self._make(made, header, path, self._parent)
        elif kind is ChangeKind.UNMODIFIED:
            self._unmodified.setdefault(inode, []).append((name, self._parent))
        else:
            header = entry_header(path, node)
            self._sources[inode] = name
            self._make(made, header, path, self._parent, content)
            for other, parent in self._unmodified.pop(inode, ()):
                self._make(made, header.as_link(other, name), b"/" + other, parent)

    def _make(
        self,
        made: list[LayerEntry],
        header: TarHeader,
        path: bytes,
        parent: _Parent,
        content: Node | None = None,
    ) -> None:
        self._make_directories(made, parent)
        made.append(LayerEntry(header, path, content))

    def _make_directories(self, made: list[LayerEntry], lowest: _Parent) -> None:
        missing = []
        directory: _Parent | None = lowest
        while directory is not None and not directory.written:
            directory.written = True
            missing.append(directory)
            directory = directory.above
        for above in reversed(missing):
            if isinstance(above.found, os.stat_result):
                header = _plain_directory_header(above.path, above.found)
                made.append(LayerEntry(header, above.path))
            elif above.found is not None:
                made.append(LayerEntry(entry_header(above.path, above.found), above.path))
