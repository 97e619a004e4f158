"""Ingests: blobs on their way into a content store, each under the lock of its ref.

Layout as in containerd's local content store (``plugins/content/local``): the directory
``ingest/<sha256 of the ref>/`` holds the files ``ref``, ``startedat``, ``updatedat`` and
``data``. containerd keeps its locks in memory; here a ref is locked by ``flock`` on its
directory, which also holds against other processes and which the kernel releases when the
writer dies.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from whiteout.display import display_text
from whiteout.durable import locked, open_directory, read_small, replace_file, store_error, try_lock
from whiteout.errors import NotFound, RefLocked, UsageError
from whiteout.timestamps import now

_DIRECTORY = "ingest"
_DATA = "data"
_MAX_REF = 4096


@dataclass(frozen=True, slots=True)
class IngestStatus:
    """What is known of one ingest."""

    ref: str
    offset: int
    """Bytes written so far."""
    started_at: str
    """RFC 3339 time, empty when unknown."""
    updated_at: str
    locked: bool
    """Whether a writer is at work; else the ingest is abandoned and will be swept."""


def _directory_name(ref: str) -> str:
    encoded = os.fsencode(ref)
    if not encoded or len(encoded) > _MAX_REF or b"\0" in encoded:
        raise UsageError(f"a ref must have 1 to {_MAX_REF} bytes and no NUL")
    return hashlib.sha256(encoded).hexdigest()


class Ingest:
    """The locked directory of one ref, with its empty data file open for writing.

    Made by :meth:`acquire`; lives until :meth:`release`.
    """

    __slots__ = ("_directory", "_name", "_parent", "data", "swept")

    def __init__(self, parent: int, name: str, directory: int) -> None:
        self._parent = parent
        self._name = name
        self._directory = directory
        self.data = -1
        self.swept: tuple[IngestStatus, ...] = ()
        """What dead writers had left in the store, removed by :meth:`acquire`."""

    @classmethod
    def acquire(cls, store: str, ref: str) -> Ingest:
        """Lock *ref* in the store at *store*, sweep what dead writers left, and start afresh.

        A half-written blob is never resumed: BuildKit's duplicated layer entries came from that
        (its pull request 4428).

        Raises:
            RefLocked: another writer holds *ref*.
            StoreError: the store cannot be written.
        """
        name = _directory_name(ref)
        try:
            with open_directory(store) as root, open_directory(_DIRECTORY, root, create=True) as d:
                parent = os.dup(d)
            ingest: Ingest | None = None
            try:
                with locked(parent):
                    swept = _sweep(parent)
                    ingest = cls(parent, name, _lock(parent, name, ref))
                    ingest.swept = swept
                ingest._start(ref)
            except BaseException:
                if ingest is None:
                    os.close(parent)
                else:
                    ingest.release()
                raise
        except OSError as error:
            raise store_error(f"start the ingest {display_text(ref)} in", store, error) from None
        return ingest

    def _start(self, ref: str) -> None:
        self._note("ref", os.fsencode(ref))
        self._note("startedat", now().encode())
        self.touch()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        self.data = os.open(_DATA, flags, 0o644, dir_fd=self._directory)

    def touch(self) -> None:
        """Note that the ingest was written to."""
        self._note("updatedat", now().encode())

    def _note(self, name: str, content: bytes) -> None:
        # not durable: an ingest that is there after a crash is swept, whatever it says
        replace_file(name, self._directory, content, durable=False)

    def move_data(self, name: str, directory: int) -> None:
        """Rename the data file to *name* in *directory*, replacing what is there."""
        os.rename(_DATA, name, src_dir_fd=self._directory, dst_dir_fd=directory)

    def release(self) -> None:
        """Remove the ingest and unlock its ref. What cannot be removed is swept later."""
        with suppress(OSError):
            _remove(self._parent, self._name, self._directory)
        for descriptor in (self.data, self._directory, self._parent):
            if descriptor >= 0:
                with suppress(OSError):  # what counts was synced before
                    os.close(descriptor)


def _lock(parent: int, name: str, ref: str) -> int:
    """A locked descriptor of the directory *name*, made where it is missing."""
    while True:
        with suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=parent)
        try:
            descriptor = _open(parent, name)
        except FileNotFoundError:  # its writer just finished
            continue
        try:
            if not try_lock(descriptor):
                since = _text(descriptor, "startedat") or "a moment ago"
                raise RefLocked(
                    f"ref {display_text(ref)} is locked: another writer holds it since "
                    f"{display_text(since)}; wait for it or use another ref"
                )
            if _is_current(parent, name, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # locked, but removed meanwhile


def _open(parent: int, name: str) -> int:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)


def _is_current(parent: int, name: str, descriptor: int) -> bool:
    """Whether *name* still is the directory of *descriptor*."""
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(status, os.fstat(descriptor))


def _remove(parent: int, name: str, descriptor: int) -> None:
    for file in os.listdir(descriptor):
        os.unlink(file, dir_fd=descriptor)
    os.rmdir(name, dir_fd=parent)


def _sweep(parent: int) -> tuple[IngestStatus, ...]:
    """Remove the ingests that no living writer holds; the lock of *parent* must be held."""
    swept = []
    for name in os.listdir(parent):
        with suppress(OSError):
            descriptor = _open(parent, name)
            try:
                if try_lock(descriptor) and _is_current(parent, name, descriptor):
                    status = _status_of(descriptor, locked=False)
                    _remove(parent, name, descriptor)
                    swept.append(status)
            finally:
                os.close(descriptor)
    return tuple(sorted(swept, key=lambda status: status.ref))


@contextmanager
def _existing(store: str) -> Iterator[int | None]:
    """The locked directory of the ingests, None when there is none yet."""
    with open_directory(store) as root:
        try:
            os.stat(_DIRECTORY, dir_fd=root, follow_symlinks=False)
        except FileNotFoundError:
            yield None
            return
        with open_directory(_DIRECTORY, root) as parent, locked(parent):
            yield parent


def abort(store: str, ref: str) -> None:
    """Remove the abandoned ingest of *ref*.

    Raises:
        NotFound: there is no ingest of that ref.
        RefLocked: a writer is at work on it.
        StoreError: it cannot be removed.
    """
    name = _directory_name(ref)
    try:
        with _existing(store) as parent:
            if parent is None or name not in os.listdir(parent):
                raise NotFound(f"there is no ingest of ref {display_text(ref)}")
            descriptor = _lock(parent, name, ref)
            try:
                _remove(parent, name, descriptor)
            finally:
                os.close(descriptor)
    except OSError as error:
        raise store_error(f"abort the ingest {display_text(ref)} in", store, error) from None


def statuses(store: str) -> tuple[IngestStatus, ...]:
    """All ingests of the store at *store*, ordered by ref.

    Raises:
        StoreError: the ingests cannot be listed.
    """
    try:
        with _existing(store) as parent:
            names = [] if parent is None else os.listdir(parent)
            found = [_status(parent, name) for name in names if parent is not None]
    except OSError as error:
        raise store_error("list the ingests of", store, error) from None
    return tuple(sorted((s for s in found if s is not None), key=lambda status: status.ref))


def _status(parent: int, name: str) -> IngestStatus | None:
    try:
        descriptor = _open(parent, name)
    except OSError:
        return None
    try:
        return _status_of(descriptor, locked=not try_lock(descriptor))
    finally:
        os.close(descriptor)


def _status_of(directory: int, *, locked: bool) -> IngestStatus:
    try:
        offset = os.stat(_DATA, dir_fd=directory, follow_symlinks=False).st_size
    except OSError:
        offset = 0
    return IngestStatus(
        ref=_text(directory, "ref"),
        offset=offset,
        started_at=_text(directory, "startedat"),
        updated_at=_text(directory, "updatedat"),
        locked=locked,
    )


def _text(directory: int, name: str) -> str:
    """The content of a small file as text, empty when it cannot be had."""
    try:
        return os.fsdecode(read_small(name, directory, _MAX_REF))
    except OSError:
        return ""
