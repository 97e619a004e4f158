"""Layers that lie in archives, shown as if they were unpacked.

Nothing is unpacked: the tar is decompressed once into a file without a name, its digests are
checked on the way, and an index tells where each file is in it. So owners, devices and whiteouts
need no privileges, and nothing in a layer can be written anywhere.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import stat
import tempfile
import threading
import weakref
from collections.abc import Iterator

from whiteout.cancel import CancelToken
from whiteout.compression import open_decompressor
from whiteout.digests import ALGORITHM
from whiteout.display import display_path, display_text
from whiteout.durable import write_all
from whiteout.errors import ReadError, StoreError, UsageError, reason_of
from whiteout.images import Blobs, LayerRef, verified_chunks
from whiteout.layers import Directories, Directory
from whiteout.tarcheck import TarProblem
from whiteout.tarindex import Inode, Limits, index_tar
from whiteout.xattrs import CAPABILITY, Xattr

LIMIT_VARIABLE = "WHITEOUT_MAX_LAYER_SIZE"
_OPAQUE = "trusted.overlay.opaque"
_COPY = 1 << 20
#: Device numbers of archives: no file system has such ones.
_DEVICES = itertools.count(1 << 40)


def limits_of_environment() -> Limits:
    """The limits, with the size of a layer in bytes that ``$WHITEOUT_MAX_LAYER_SIZE`` gives.

    Raises:
        UsageError: it is no number.
    """
    text = os.environ.get(LIMIT_VARIABLE, "")
    if not text:
        return Limits()
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise UsageError(f"{LIMIT_VARIABLE} is {display_text(text)}; give a number of bytes")
    return Limits(size=int(text))


class LayerArchive:
    """One layer of an image, indexed when it is first asked for. Any thread may use it.

    *path* is what people and messages know it by.
    """

    def __init__(self, blobs: Blobs, layer: LayerRef, path: bytes, limits: Limits) -> None:
        self._blobs = blobs
        self._layer = layer
        self._path = path
        self._limits = limits
        self._lock = threading.Lock()
        self._root: Inode | None = None
        self._spool = -1
        self.device = next(_DEVICES)

    def root(self, pool: Directories) -> Directory:
        """The root directory of the layer.

        Raises:
            ReadError: the layer is damaged or too large.
            Cancelled: the token of *pool* was cancelled.
        """
        with self._lock:
            if self._root is None:
                try:
                    self._root = self._index(pool.cancel)
                except (TarProblem, StoreError) as error:
                    raise self._error(str(error)) from None
                except OSError as error:
                    raise self._error(
                        f"{reason_of(error)}; set TMPDIR to a directory with more room"
                    ) from None
        return ArchiveDirectory(pool, None, self._path, self, self._root)

    def content(self, inode: Inode) -> int:
        """A descriptor of a private copy of the content of the file *inode*, without a name."""
        copy = unnamed_file() if inode.size > _COPY else os.memfd_create("whiteout", os.MFD_CLOEXEC)
        try:
            offset, left = inode.offset, inode.size
            while left:
                data = os.pread(self._spool, min(left, _COPY), offset)
                if not data:
                    raise OSError(errno.EIO, "the spool is cut short")
                write_all(copy, data)
                offset += len(data)
                left -= len(data)
            os.lseek(copy, 0, os.SEEK_SET)
        except BaseException:
            os.close(copy)
            raise
        return copy

    def _error(self, words: str) -> ReadError:
        return ReadError(f"cannot read the layer {display_path(self._path)}: {words}", self._path)

    def _index(self, cancel: CancelToken) -> Inode:
        spool = unnamed_file()
        try:
            digest = hashlib.sha256()
            root = index_tar(self._spooled(spool, digest, cancel), self._limits, whiteouts=True)
            found = f"{ALGORITHM}:{digest.hexdigest()}"
            if found != self._layer.diff_id:
                raise TarProblem(
                    f"its tar has the diffID {found}, and the image says {self._layer.diff_id}"
                )
        except BaseException:
            os.close(spool)
            raise
        self._spool = spool
        weakref.finalize(self, os.close, spool)
        return root

    def _spooled(self, spool: int, digest: hashlib._Hash, cancel: CancelToken) -> Iterator[bytes]:
        """The chunks of the tar, as they are written to *spool*, which keeps holes for zeros."""
        size = 0
        blob = _Chunks(verified_chunks(self._blobs, self._layer.descriptor, cancel))
        for chunk in open_decompressor(blob).chunks:
            cancel.check()
            digest.update(chunk)
            size += len(chunk)
            if size > self._limits.size:
                raise TarProblem(
                    f"it has more than {self._limits.size:,} bytes when it is decompressed; if you "
                    f"trust it, set {LIMIT_VARIABLE} to a larger number"
                )
            if chunk.count(0) == len(chunk):
                os.lseek(spool, len(chunk), os.SEEK_CUR)
            else:
                write_all(spool, chunk)
            yield chunk
        os.ftruncate(spool, size)
        blob.drain()


class _Chunks:
    """An iterator of chunks as a readable."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        data = self._rest or next(self._chunks, b"")
        self._rest = data[size:]
        return data[:size]

    def drain(self) -> None:
        """Read to the end, where the digest is checked."""
        for _ in self._chunks:
            pass


def unnamed_file() -> int:
    """A descriptor of a new file without a name, below ``$TMPDIR``."""
    directory = tempfile.gettempdir()
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL):
            raise
    descriptor, path = tempfile.mkstemp(prefix="whiteout-")
    os.unlink(path)
    return descriptor


class ArchiveDirectory(Directory):
    """A directory of a layer in an archive."""

    __slots__ = ("_archive", "_inode")

    def __init__(
        self,
        pool: Directories,
        parent: Directory | None,
        name: bytes,
        archive: LayerArchive,
        inode: Inode | None,
    ) -> None:
        super().__init__(pool, parent, name)
        self._archive = archive
        self._inode = inode

    def descriptor(self) -> int:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    def close(self) -> None:
        pass

    def child(self, name: bytes) -> Directory:
        inode = self._children().get(name)
        return ArchiveDirectory(self._pool, self, name, self._archive, inode)

    def names(self) -> list[bytes]:
        return sorted(self._children())

    def names_and_whiteouts(self) -> tuple[list[bytes], list[bytes]]:
        children, names = self._children(), self.names()
        return names, [name for name in names if children[name].is_whiteout]

    def expect(self, lookups: int) -> None:
        return None

    def own_status(self) -> os.stat_result:
        if self._inode is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return self._status(self._inode)

    def lstat_on_disk(self, name: bytes) -> os.stat_result | None:
        inode = self._children().get(name)
        return None if inode is None else self._status(inode)

    def open_listed_file(self, name: bytes) -> tuple[int, os.stat_result] | None:
        return None

    def open_file(self, name: bytes, expected: os.stat_result) -> int:
        return self._archive.content(self._child(name))

    def readlink(self, name: bytes) -> bytes:
        return self._child(name).target

    def own_attribute_names(self) -> list[str]:
        return [] if self._inode is None else _attribute_names(self._inode)

    def attribute_names(self, name: bytes) -> list[str]:
        return _attribute_names(self._child(name))

    def attribute(self, name: bytes, attribute: str) -> bytes | None:
        inode = self._child(name)
        if attribute == _OPAQUE:
            return b"y" if inode.opaque else None
        return (inode.xattrs or {}).get(attribute)

    def capability(self, name: bytes, present: list[str]) -> bytes:
        return self.attribute(name, CAPABILITY) or b""

    def all_attributes(self, name: bytes) -> tuple[Xattr, ...]:
        found = []
        for attribute in sorted(self.attribute_names(name)):
            value = self.attribute(name, attribute)
            found.append(Xattr(os.fsencode(attribute), value or b""))
        return tuple(found)

    def _children(self) -> dict[bytes, Inode]:
        if self._inode is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if self._inode.children is None:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return self._inode.children

    def _child(self, name: bytes) -> Inode:
        try:
            return self._children()[name]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None

    def _status(self, inode: Inode) -> os.stat_result:
        seconds = inode.mtime_ns // 10**9
        links = inode.links if inode.children is None else 2
        size = len(inode.target) if stat.S_ISLNK(inode.mode) else inode.size
        times = dict.fromkeys(("st_atime_ns", "st_mtime_ns", "st_ctime_ns"), inode.mtime_ns)
        real = inode.mtime_ns / 10**9
        return os.stat_result(
            (
                *(inode.mode, inode.number, self._archive.device, links, inode.uid, inode.gid),
                *(size, seconds, seconds, seconds),
            ),
            {
                **times,
                **dict.fromkeys(("st_atime", "st_mtime", "st_ctime"), real),
                "st_rdev": os.makedev(*inode.device),
                "st_blksize": 4096,
                "st_blocks": -(-size // 512),
            },
        )


def _attribute_names(inode: Inode) -> list[str]:
    names = list(inode.xattrs or ())
    return [*names, _OPAQUE] if inode.opaque else names
