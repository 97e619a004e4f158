"""Layers on disk, read through directory descriptors.

Everything below a layer's own directory is reached one component at a time with ``O_NOFOLLOW``, so
no symlink leads out of a layer, and a path may be longer than ``PATH_MAX``. A :class:`Directories`
pool keeps a bounded number of descriptors and opens a directory again when it is needed again.
"""

from __future__ import annotations

import errno
import os
import resource
import stat
import sys
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from enum import Flag
from itertools import chain, islice
from types import TracebackType

from whiteout import xattrs
from whiteout.cancel import NEVER
from whiteout.casefold import is_casefolded, kernel_can_casefold
from whiteout.comparison import told_apart
from whiteout.display import display_path
from whiteout.entries import OVERFLOW_ID, is_whiteout_device
from whiteout.errors import ReadError, SnapshotChanged, changed_size, read_error
from whiteout.layerroots import mount_points, open_root
from whiteout.names import NameSorter, keep_names, lookup_in, sort_names
from whiteout.typed import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from whiteout.idmap import IdMap

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: A name that is too long for a filesystem is not there: the kernel takes it so, too.
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})
#: Names come as text from a descriptor, and as bytes from a path through /proc, which takes twice
#: the time. Bytes become the same bytes again in UTF-8 alone for sure.
_NAMES_AS_TEXT = sys.getfilesystemencoding() == "utf-8"
_TYPE_BITS, _REGULAR = 0o170000, stat.S_IFREG
_SECOND = 1_000_000_000
#: Files of this size and larger are not read as a whole, and about so much is read in a row.
_MAX_PLAIN, _MAX_PLAIN_ROW = 1 << 20, 1 << 18
#: What the values made for a file take in memory, roughly.
_COST_OF_A_FILE = 512
#: Of how many entries that are no regular files a directory remembers the names.
_MAX_REMEMBERED = 1 << 15
#: How many entries are listed at once.
_BATCH = 1 << 8
#: How long a directory is listed, in names, for what is looked for in it.
_MAX_KNOWN = 1 << 18


class Marks(Flag):
    """Which extended attributes of a layer count as overlayfs' marks.

    ``TRUSTED`` is the kernel's default, ``USER`` what a mount with ``userxattr`` reads. A ``PLAIN``
    directory has no marks at all, and a character device 0:0 in it is just that.
    """

    PLAIN = 0
    TRUSTED = 1
    USER = 2
    BOTH = 3


class Layer(NamedTuple):
    """One directory of a stack, how its marks are read, and how its owners are mapped.

    Without ``idmap`` the ids on disk are the container's. ``fuse`` tells that fuse-overlayfs wrote
    it, whose own marks count, too. A layer in an ``archive`` is read from there, and ``path`` is
    what it is called. Below ``store``, where it is given, no symlink of ``path`` is followed.
    """

    path: bytes
    marks: Marks = Marks.TRUSTED
    idmap: IdMap | None = None
    fuse: bool = False
    archive: HasDirectories | None = None
    store: bytes = b""


class PlainFile(NamedTuple):
    """A regular file of one name and without attributes that matter to a layer, with its content.

    The status has the owners that the container sees. The content is empty where only the rest was
    asked for.
    """

    name: bytes
    status: os.stat_result
    content: bytes


class HasDirectories(Protocol):
    """A layer that is no directory of this host, and yet has directories."""

    def root(self, pool: Directories) -> Directory:
        """Its root; raises :class:`~whiteout.errors.ReadError`."""


class HoldsFile(Protocol):
    """What has a file open that was opened before its content was asked for."""

    def close_file(self) -> None:
        """Close the file, unless it was handed on."""


class Directories:
    """A bounded pool of open directories. It belongs to one thread; close it when done.

    It also knows which files were opened early, so that they are closed before the next ones are.
    """

    def __init__(self, limit: int | None = None) -> None:
        if limit is None:
            soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            limit = 512 if soft == resource.RLIM_INFINITY else max(16, min(512, soft // 3))
        self.cancel = NEVER
        """Asked while a layer is read that must be read as a whole."""
        self._limit = limit
        self._open: OrderedDict[Directory, None] = OrderedDict()
        self._files: list[HoldsFile] = []
        self._mounts = mount_points()
        self._may_be_casefolded = kernel_can_casefold()
        self._guarded: set[Directory] = set()
        self._stores: dict[Directory, bytes] = {}

    def __enter__(self) -> Directories:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every descriptor. The directories may still be used and are opened again."""
        self.release_files()
        while self._open:
            self._open.popitem()[0].close_descriptor()

    def hold_file(self, holder: HoldsFile) -> None:
        """Close the file of *holder* at the next :meth:`release_files`."""
        self._files.append(holder)

    def release_files(self) -> None:
        """Close the files that were opened early and that nobody took over."""
        while self._files:
            self._files.pop().close_file()

    def root(self, layer: Layer, *, guarded: bool = False) -> Directory:
        """The directory of *layer*, whose path may be a symlink, but not in its store; opened now.

        For *guarded* see :func:`whiteout.layerroots.open_root`.

        Raises:
            ReadError: it cannot be opened.
        """
        if layer.archive is not None:
            return layer.archive.root(self)
        kind = Directory
        if layer.fuse:
            from whiteout.fusemarks import FuseDirectory

            kind = FuseDirectory
        directory = kind(self, None, layer.path, layer.idmap)
        if guarded:
            self._guarded.add(directory)
        if layer.store:
            self._stores[directory] = layer.store
        try:
            directory.descriptor()
        except OSError as error:
            raise read_error("open the layer", layer.path, error) from error
        return directory

    def open(self, directory: Directory) -> int:
        """A new descriptor of *directory*, valid until the pool opens another one.

        The directories above it are opened, too, and kept: on the way up they are wanted next.
        """
        missing: list[Directory] = []
        above = directory.parent
        while above is not None and above not in self._open:
            missing.append(above)
            above = above.parent
        while missing:
            missing.pop().descriptor()
        descriptor = self._opened(directory)
        self.keep(directory, descriptor)
        return descriptor

    def keep(self, directory: Directory, descriptor: int) -> None:
        """Count *directory*, opened as *descriptor*, among the open ones; the oldest is closed.

        Raises:
            ReadError: it is casefolded; the descriptor is closed.
        """
        if self._may_be_casefolded and is_casefolded(descriptor):
            os.close(descriptor)
            raise ReadError(
                f"{display_path(directory.path)} is casefolded, and which of its names are one only"
                " the kernel knows; look at what a mount of the layers shows",
                directory.path,
            )
        while len(self._open) >= self._limit:
            self._open.popitem(last=False)[0].close_descriptor()
        self._open[directory] = None

    def forget(self, directory: Directory) -> None:
        """Do not count *directory* among the open ones any more; who closes it calls this."""
        del self._open[directory]

    def _opened(self, directory: Directory) -> int:
        if directory.parent is None:
            guarded = directory in self._guarded
            store = self._stores.get(directory, b"")
            return open_root(directory.name, self._mounts, guarded=guarded, store=store)
        return os.open(directory.name, _DIRECTORY, dir_fd=directory.parent.descriptor())


class Directory:
    """One directory of a layer. Its methods raise ``OSError``, which the caller words."""

    __slots__ = (
        "_descriptor",
        "_directories",
        "_irregular",
        "_known",
        "_pool",
        "idmap",
        "name",
        "parent",
    )

    def __init__(
        self,
        pool: Directories,
        parent: Directory | None,
        name: bytes,
        idmap: IdMap | None = None,
    ) -> None:
        self._pool = pool
        self._descriptor = -1
        self._irregular: set[bytes] | None = None
        self._directories: Collection[bytes] = ()
        self._known: Collection[bytes] | None = None
        self.parent = parent
        self.name = name
        self.idmap = idmap

    def descriptor(self) -> int:
        """An open descriptor, valid until another directory is used."""
        if self._descriptor < 0:
            self._descriptor = self._pool.open(self)
        return self._descriptor

    def close_descriptor(self) -> None:
        """Close the descriptor; for the pool alone."""
        os.close(self._descriptor)
        self._descriptor = -1

    def close(self) -> None:
        """Give the descriptor back; the directory may be used again."""
        if self._descriptor >= 0:
            self._pool.forget(self)
            self.close_descriptor()

    @property
    def path(self) -> bytes:
        """The path on the host, for messages and for people."""
        names = []
        directory: Directory | None = self
        while directory is not None:
            names.append(directory.name)
            directory = directory.parent
        return os.path.join(*reversed(names))

    def path_of(self, name: bytes) -> bytes:
        """A path to *name* through the descriptor, for calls that take no ``dir_fd``."""
        return b"/proc/self/fd/%d/%s" % (self.descriptor(), name)

    def name_on_disk(self, name: bytes) -> bytes:
        """The name on disk of the entry that is shown as *name*."""
        return name

    def has_owner(self, name: bytes) -> bool:
        """Whether the container has ids for the owner and the group of *name*."""
        status = None if self.idmap is None else self.lstat_on_disk(name)
        return status is None or self.idmap is None or self.idmap.holds_owner_of(status)

    def child(self, name: bytes) -> Directory:
        """The directory *name* in this one; not opened yet."""
        return Directory(self._pool, self, name, self.idmap)

    def plain_child(self, name: bytes) -> Directory | None:
        """The directory *name*, opened; None where it has attributes that matter to a layer.

        This is what most directories of most layers go through.
        """
        above = self._descriptor if self._descriptor >= 0 else self.descriptor()
        descriptor = os.open(name, _DIRECTORY, dir_fd=above)
        child = Directory(self._pool, self, name, self.idmap)
        self._pool.keep(child, descriptor)
        child._descriptor = descriptor
        attributes = xattrs.names(descriptor)
        if attributes and any(map(xattrs.matters, attributes)):
            child.close()
            return None
        return child

    def mapped_status(self) -> os.stat_result | None:
        """The status of the directory itself as the container sees it.

        None where it has no id for the owner or the group.
        """
        status = os.fstat(self.descriptor())
        if self.idmap is not None:
            status = self.idmap.to_container(status)
            if OVERFLOW_ID in (status.st_uid, status.st_gid):
                return None
        return status

    def names(self) -> Collection[bytes]:
        """The names in the directory, in byte order."""
        return sort_names(chain.from_iterable(self._scan()))

    def names_and_whiteouts(self) -> tuple[Collection[bytes], Collection[bytes]]:
        """The names in the directory, and those of its whiteouts (devices 0:0) among them.

        Both are in byte order.
        """
        special = NameSorter()
        names = sort_names(chain.from_iterable(self._scan(special)))
        return names, keep_names(filter(self._is_device_whiteout, special.sorted()))

    def _is_device_whiteout(self, name: bytes) -> bool:
        status = self.lstat(name)
        return status is not None and is_whiteout_device(status)

    def _scan(self, special: NameSorter | None = None) -> Iterator[Collection[bytes]]:
        """All names, some at a time; *special* takes what is no file, directory or symlink."""
        irregular: set[bytes] = set()
        directories: set[bytes] = set()
        with self._entries() as entries:
            while batch := list(islice(entries, _BATCH)):
                for entry in batch:
                    if entry.is_file(follow_symlinks=False):
                        continue
                    name = os.fsencode(entry.name)
                    if len(irregular) < _MAX_REMEMBERED:
                        irregular.add(name)
                    if entry.is_dir(follow_symlinks=False):
                        if len(directories) < _MAX_REMEMBERED:
                            directories.add(name)
                    elif special is not None and not entry.is_symlink():
                        special.add(name)
                yield [os.fsencode(entry.name) for entry in batch]
        self._irregular = irregular if len(irregular) < _MAX_REMEMBERED else None
        self._directories = directories

    def _entries(
        self,
    ) -> AbstractContextManager[Iterator[os.DirEntry[str] | os.DirEntry[bytes]]]:
        """The entries. Their names are bytes after :func:`os.fsencode`."""
        descriptor = self.descriptor()
        return os.scandir(descriptor if _NAMES_AS_TEXT else b"/proc/self/fd/%d" % descriptor)

    def expect(self, lookups: int) -> Collection[bytes] | None:
        """Prepare for that many calls of :meth:`lstat`, many of them for names that do not exist.

        The directory is listed, unless it is very long, or much longer than what is looked for in
        it: then the answer is None.
        """
        longest = min(2 * lookups, _MAX_KNOWN)
        known: Collection[bytes]
        with self._entries() as entries:
            some = islice(entries, longest + 1)
            if longest <= _BATCH:
                known = {os.fsencode(entry.name) for entry in some}
            else:
                known = lookup_in(sort_names(os.fsencode(entry.name) for entry in some))
        if len(known) > longest:
            return None
        self._known = known
        return known

    def expect_only(self, names: Collection[bytes]) -> None:
        """Prepare for calls of :meth:`lstat` where *names* are all that there are."""
        self._known = lookup_in(names)

    def surely_lacks(self, name: bytes) -> bool:
        """Whether :meth:`expect` found out that there is nothing of that name."""
        return self._known is not None and name not in self._known

    def lstat(self, name: bytes) -> os.stat_result | None:
        """The status of *name* as the container sees it, or None where there is nothing."""
        status = self.lstat_on_disk(name)
        return status if status is None or self.idmap is None else self.idmap.to_container(status)

    def lstat_on_disk(self, name: bytes) -> os.stat_result | None:
        """The status of *name* with the owners that are on disk, or None where there is nothing."""
        if self._known is not None and name not in self._known:
            return None
        try:
            descriptor = self._descriptor if self._descriptor >= 0 else self.descriptor()
            return os.lstat(name, dir_fd=descriptor)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise

    def open_listed_file(self, name: bytes) -> tuple[int, os.stat_result] | None:
        """A descriptor for the content of *name* and its status, if that was listed as a file.

        None where anything else is there, or where it cannot be opened: :meth:`lstat` and
        :meth:`open_file` tell why.
        """
        if self._irregular is None or name in self._irregular:
            return None
        try:
            descriptor = self._open_file(name)
        except OSError:
            return None
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            return descriptor, status if self.idmap is None else self.idmap.to_container(status)
        os.close(descriptor)
        return None

    def read_plain_files(self, names: Sequence[bytes], *, content: bool = True) -> list[PlainFile]:
        """The first of *names*, in a row: as many as were listed as files and are plain ones.

        It ends, possibly with none, before the first that is anything else, that cannot be read,
        and with *content* also before one that is large, or when much has been read; without, the
        content is left out. Everything of a file comes through one descriptor. This is what most
        files of most layers go through, so every step counts.

        Raises:
            SnapshotChanged: a file has not the size that it said.
        """
        found: list[PlainFile] = []
        irregular, idmap, flags = self._irregular, self.idmap, _FILE | os.O_NOATIME
        if irregular is None:
            return found
        directory = self.descriptor()
        has_attributes = True  # until the filesystem says otherwise
        read, left = b"", _MAX_PLAIN_ROW
        for name in names:
            if name in irregular:
                break
            try:
                file = os.open(name, flags, dir_fd=directory)
            except PermissionError:  # O_NOATIME is for the owner alone
                flags = _FILE
                try:
                    file = os.open(name, flags, dir_fd=directory)
                except OSError:
                    break
            except OSError:
                break
            try:
                status = os.fstat(file)
                mode, _, _, links, _, _, size, _, _, _ = status
                if mode & _TYPE_BITS != _REGULAR or links != 1:
                    break
                if has_attributes:
                    try:
                        attributes = os.listxattr(file)
                    except OSError as error:
                        if error.errno not in xattrs.UNSUPPORTED:
                            break
                        has_attributes = False
                    else:
                        if attributes and any(map(xattrs.matters, attributes)):
                            break
                if idmap is not None:
                    status = idmap.to_container(status)
                    if OVERFLOW_ID in (status.st_uid, status.st_gid):
                        break
                if content:
                    if size >= _MAX_PLAIN:
                        break
                    read = os.read(file, size + 1)
            except OSError:
                break
            finally:
                os.close(file)
            if content:
                if len(read) != size:
                    raise changed_size(self.path + b"/" + name, size, len(read))
                left -= size + _COST_OF_A_FILE
            found.append(PlainFile(name, status, read))
            if left <= 0:
                break
        return found

    def count_same_files(self, base: Directory, names: Sequence[bytes]) -> int:
        """How many of *names*, from the first on, are plain files here and the same in *base*.

        They are the same by the rule of :mod:`whiteout.comparison`. It ends, possibly at none,
        before the first that is anything else, that is large, that cannot be read, or when much
        has been read.
        """
        if self._irregular is None or base._irregular is None or base.idmap is not self.idmap:
            return 0
        count = 0
        left = _MAX_PLAIN_ROW
        for name in names:
            if left <= 0 or name in self._irregular or name in base._irregular:
                break
            try:
                size = self._size_if_same(base, name)
            except OSError:
                break
            if size is None:
                break
            count += 1
            left -= size + _COST_OF_A_FILE
        return count

    def _size_if_same(self, base: Directory, name: bytes) -> int | None:
        upper = self._open_file(name)
        try:
            lower = base._open_file(name)
            try:
                old, new = os.fstat(lower), os.fstat(upper)
                size = new.st_size
                if (
                    new.st_mode & _TYPE_BITS != _REGULAR
                    or new.st_nlink != 1
                    or size >= _MAX_PLAIN
                    or told_apart(old, new)
                    or any(map(xattrs.matters, xattrs.names(upper)))
                    or any(map(xattrs.matters, xattrs.names(lower)))
                ):
                    return None
                if new.st_mtime_ns % _SECOND == 0 and size:
                    content = os.read(upper, size + 1)
                    if len(content) != size or content != os.read(lower, size + 1):
                        return None
                return size
            finally:
                os.close(lower)
        finally:
            os.close(upper)

    def open_file(self, name: bytes, expected: os.stat_result) -> int:
        """A descriptor for the content of the regular file *name*, the one *expected* is of.

        Raises:
            SnapshotChanged: something else is there by now.
        """
        descriptor = self._open_file(name)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or (status.st_dev, status.st_ino) != (
            expected.st_dev,
            expected.st_ino,
        ):
            os.close(descriptor)
            path = self.path + b"/" + name
            raise SnapshotChanged(
                f"{display_path(path)} was replaced while it was read; try again", path
            )
        return descriptor

    def _open_file(self, name: bytes) -> int:
        directory = self.descriptor()
        try:
            return os.open(name, _FILE | os.O_NOATIME, dir_fd=directory)
        except PermissionError:  # O_NOATIME is for the owner alone
            return os.open(name, _FILE, dir_fd=directory)

    def readlink(self, name: bytes) -> bytes:
        """The target of the symlink *name*."""
        return os.readlink(name, dir_fd=self.descriptor())

    def own_attribute_names(self) -> list[str]:
        """The names of the extended attributes of the directory itself."""
        return xattrs.names(self.descriptor())

    def attribute_names(self, name: bytes) -> list[str]:
        """The names of the extended attributes of *name*."""
        return xattrs.names(self.path_of(name))

    def attribute(self, name: bytes, attribute: str) -> bytes | None:
        """The value of one extended attribute of *name*, None where there is none."""
        return xattrs.get(self.path_of(name), attribute)

    def holds_directory(self, name: bytes) -> bool:
        """Whether *name* was listed as a directory; not every one is remembered."""
        return name in self._directories

    def count_directories(self) -> int:
        """How many names were listed as directories; not every one is remembered."""
        return len(self._directories)

    def own_status(self) -> os.stat_result:
        """The status of the directory itself."""
        return os.fstat(self.descriptor())

    def capability(self, name: bytes, present: list[str]) -> bytes:
        """The raw ``security.capability`` of *name*, whose attribute names are *present*."""
        return xattrs.capability(self.path_of(name), present)

    def all_attributes(self, name: bytes) -> tuple[xattrs.Xattr, ...]:
        """Every extended attribute of *name*, a name on disk, in byte order."""
        return xattrs.read_all(self.path_of(name))
