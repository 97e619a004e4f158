"""A content store: blobs by digest, in a directory that is an OCI image layout.

It keeps the protocol of containerd's local content store (``plugins/content/local`` and
``core/metadata/content.go``) between threads and between processes: a blob is written as an
ingest under the lock of its ref and appears under its digest at once and whole. Layout::

    oci-layout, index.json       the OCI image layout (see whiteout.ocilayout)
    blobs/sha256/<hex>           the blobs, read-only
    ingest/<sha256 of the ref>/  blobs being written (see whiteout.ingest)
    metadata.db                  sizes and labels (see whiteout.labels)
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

from whiteout import ingest, layoutfiles
from whiteout.digests import ALGORITHM, check_digest, encoded
from whiteout.display import display_path, display_text
from whiteout.durable import (
    open_directory,
    open_regular,
    start_writeback,
    store_error,
    write_all,
)
from whiteout.errors import DigestMismatch, NotFound, StoreError
from whiteout.labels import UNCOMPRESSED, LabelStore, check_labels

if TYPE_CHECKING:
    from typing_extensions import Buffer

_BLOBS = "blobs"
#: Small writes are gathered to this many bytes (BuildKit's buffer, its pull request 2388).
_BUFFER = 128 * 1024
#: Bytes hashed and written at once.
_CHUNK = 1024 * 1024
_TOUCH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A reference to content: OCI image spec, ``descriptor.md``."""

    media_type: str
    digest: str
    size: int
    """Bytes."""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    def as_dict(self) -> dict[str, object]:
        """The descriptor in OCI's JSON form."""
        form: dict[str, object] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
        }
        if self.annotations:
            form["annotations"] = dict(self.annotations)
        return form


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """What a store says of one blob."""

    digest: str
    size: int
    """Bytes of the file."""
    labels: Mapping[str, str] = field(hash=False)
    path: str
    """Where the blob lies; only for :mod:`os` functions, show it by :mod:`whiteout.display`."""


class ContentStore:
    """The store in the directory *path*. Any number of threads and processes may share it.

    With *create* the directory and what a layout needs are made where missing; without it, the
    directory must be a layout already and nothing is written until a writer is opened.

    Raises:
        NotFound: there is no such directory, and *create* is false.
        StoreError: the directory is no OCI image layout, or cannot be used.
    """

    def __init__(self, path: str | os.PathLike[str], create: bool = True) -> None:
        self.path = os.fspath(path)
        if create:
            layoutfiles.create_layout(self.path)
        layoutfiles.check_layout(self.path)
        self._labels = LabelStore(os.path.join(self.path, "metadata.db"))

    def writer(self, ref: str, *, expected_digest: str | None = None) -> IngestWriter:
        """Lock *ref* and begin a blob; use the writer in a ``with`` block.

        Ingests of writers that died are swept first.

        Raises:
            RefLocked: another writer, of this or another process, holds *ref*.
            StoreError: the store cannot be written.
            UsageError: *ref* or *expected_digest* is malformed.
        """
        if expected_digest is not None:
            check_digest(expected_digest)
        return IngestWriter(self, ref, expected_digest)

    def blob_path(self, digest: str) -> str:
        """Where the blob *digest* lies or would lie."""
        return os.path.join(self.path, _BLOBS, ALGORITHM, encoded(digest))

    def open(self, digest: str) -> BinaryIO:
        """The blob *digest* for reading.

        Raises:
            NotFound: the store has no such blob.
            StoreError: it cannot be read.
        """
        name = encoded(digest)
        try:
            with open_directory(self.path) as root, open_blobs(root) as blobs:
                return io.BufferedReader(io.FileIO(open_regular(name, blobs)), buffer_size=_BUFFER)
        except FileNotFoundError:
            raise self._not_found(digest) from None
        except OSError as error:
            raise store_error(f"read the blob {digest} of", self.path, error) from None

    def info(self, digest: str) -> BlobInfo:
        """Size, labels and path of the blob *digest*.

        Raises:
            NotFound: the store has no such blob.
            StoreError: it cannot be read.
        """
        size = self._size(digest)
        return BlobInfo(digest, size, self._labels.read(digest).labels, self.blob_path(digest))

    def recorded_size(self, digest: str) -> int | None:
        """Bytes of the blob when it was committed, None when it came by other ways."""
        return self._labels.read(digest).size

    def has(self, digest: str, size: int) -> bool:
        """Whether the blob *digest* is there with *size* bytes; raises as :meth:`info`."""
        try:
            return self._size(digest) == size
        except NotFound:
            return False

    def labels(self, digest: str) -> dict[str, str]:
        """The labels of the blob *digest*; raises as :meth:`info`."""
        return dict(self.info(digest).labels)

    def update_labels(self, digest: str, labels: Mapping[str, str]) -> dict[str, str]:
        """Set *labels* of the blob *digest*, an empty value removes one; the result is all labels.

        Raises:
            NotFound: the store has no such blob.
            UsageError: a label is malformed or too long.
            StoreError: the labels cannot be written.
        """
        check_labels(labels)
        self._size(digest)
        with self._labels.editing(digest) as record:
            record.labels.update(labels)
            record.labels = {key: value for key, value in record.labels.items() if value}
        return record.labels

    def statuses(self) -> tuple[ingest.IngestStatus, ...]:
        """The ingests, at work or abandoned, ordered by ref."""
        return ingest.statuses(self.path)

    def abort(self, ref: str) -> None:
        """Remove the abandoned ingest of *ref*.

        Raises:
            NotFound: there is no ingest of that ref.
            RefLocked: a writer is at work on it.
            StoreError: it cannot be removed.
        """
        ingest.abort(self.path, ref)

    def add(self, data: bytes, labels: Mapping[str, str] | None = None) -> BlobInfo:
        """Commit a small blob, such as a manifest, as a whole; raises as :meth:`writer`."""
        with self.writer(f"whiteout-{os.urandom(12).hex()}") as writer:
            writer.write(data)
            return writer.commit(size=len(data), labels=labels or {})

    def _size(self, digest: str) -> int:
        name = encoded(digest)
        try:
            with open_directory(self.path) as root, open_blobs(root) as blobs:
                status = os.stat(name, dir_fd=blobs, follow_symlinks=False)
        except FileNotFoundError:
            raise self._not_found(digest) from None
        except OSError as error:
            raise store_error(f"read the blob {digest} of", self.path, error) from None
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(
                f"{display_path(os.fsencode(self.blob_path(digest)))} is not a regular file; "
                "remove it and export again"
            )
        return status.st_size

    def _not_found(self, digest: str) -> NotFound:
        return NotFound(f"{display_path(os.fsencode(self.path))} has no blob {digest}")


@contextmanager
def open_blobs(root: int, *, create: bool = False) -> Iterator[int]:
    """A descriptor of the directory of the blobs below the store's directory *root*."""
    with (
        open_directory(_BLOBS, root, create=create) as blobs,
        open_directory(ALGORITHM, blobs, create=create) as directory,
    ):
        yield directory


class IngestWriter:
    """Writes one blob. Made by :meth:`ContentStore.writer`; not to be shared between threads.

    Leaving its ``with`` block without :meth:`commit` aborts: the ingest is removed. Either way
    the ref is unlocked.
    """

    def __init__(self, store: ContentStore, ref: str, expected_digest: str | None) -> None:
        self._store = store
        self._ref = ref
        self._expected = expected_digest
        self._hash = hashlib.sha256()
        self._pending = bytearray()
        self._written = 0
        self._touched = time.monotonic()
        self._failed = False
        self._ingest: ingest.Ingest | None = ingest.Ingest.acquire(store.path, ref)
        self.swept = self._ingest.swept
        """What dead writers had left in the store; it is removed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def ref(self) -> str:
        """The ref that is locked."""
        return self._ref

    @property
    def offset(self) -> int:
        """Bytes taken so far."""
        return self._written + len(self._pending)

    def digest(self) -> str:
        """The digest of the bytes taken so far."""
        current = self._hash.copy()
        current.update(self._pending)
        return f"{ALGORITHM}:{current.hexdigest()}"

    def write(self, data: Buffer) -> int:
        """Append *data*, any buffer of bytes; the result is its length in bytes.

        Raises:
            StoreError: the store cannot be written; the writer can then only be closed.
        """
        self._open_ingest()
        view = memoryview(data).cast("B")
        if len(self._pending) + len(view) < _BUFFER:
            self._pending += view
            return len(view)
        self._flush()
        for start in range(0, len(view), _CHUNK):
            self._put(view[start : start + _CHUNK])
        return len(view)

    def commit(
        self,
        size: int | None = None,
        expected: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> BlobInfo:
        """Make the bytes a blob of the store, safe against a crash, and unlock the ref.

        That the store has the blob already is success; it then only gets the label
        ``containerd.io/uncompressed`` of *labels* where it has none. The bytes take the place of
        the file that is there, which somebody may have damaged: only these are known to be right.

        Raises:
            DigestMismatch: the bytes are not *size* many or do not have the digest *expected*.
            UsageError: *expected* or a label is malformed.
            StoreError: the store cannot be written.
        """
        new_labels = dict(labels or {})
        check_labels(new_labels)
        current = self._open_ingest()
        self._flush()
        digest = self.digest()
        self._check(digest, size, expected)
        try:
            os.fsync(current.data)
            if os.fstat(current.data).st_size != self._written:
                raise StoreError(
                    f"the data of ref {display_text(self._ref)} was changed by someone else "
                    "while it was written; export again"
                )
            with (
                open_directory(self._store.path) as root,
                open_blobs(root, create=True) as blobs,
                self._store._labels.editing(digest) as record,
            ):
                if not _has_blob(encoded(digest), blobs, self._written):
                    record.labels = new_labels
                elif UNCOMPRESSED in new_labels:
                    record.labels.setdefault(UNCOMPRESSED, new_labels[UNCOMPRESSED])
                os.fchmod(current.data, 0o444)
                current.move_data(encoded(digest), blobs)
                os.fsync(blobs)
                record.size = self._written
        except OSError as error:
            self._failed = True
            raise store_error(f"commit {digest} to", self._store.path, error) from None
        except BaseException:
            self._failed = True
            raise
        self.close()
        return BlobInfo(digest, self._written, record.labels, self._store.blob_path(digest))

    def close(self) -> None:
        """Unlock the ref, and remove what was not committed. May be called again."""
        if self._ingest is not None:
            self._ingest.release()
            self._ingest = None

    def _open_ingest(self) -> ingest.Ingest:
        if self._ingest is None or self._failed:
            raise StoreError(
                f"the writer of ref {display_text(self._ref)} has failed or is closed; "
                "begin another one"
            )
        return self._ingest

    def _check(self, digest: str, size: int | None, expected: str | None) -> None:
        if size is not None and size != self._written:
            raise DigestMismatch(
                f"ref {display_text(self._ref)} got {self._written} bytes, not the {size} expected"
            )
        for wanted in (self._expected, expected):
            if wanted is not None and check_digest(wanted) != digest:
                raise DigestMismatch(
                    f"ref {display_text(self._ref)} got content of digest {digest}, "
                    f"not the {wanted} expected"
                )

    def _flush(self) -> None:
        if self._pending:
            pending, self._pending = self._pending, bytearray()
            self._put(memoryview(pending))

    def _put(self, view: memoryview) -> None:
        current = self._open_ingest()
        try:
            write_all(current.data, view)
            self._hash.update(view)
            start_writeback(current.data, self._written, self._written + len(view))
            self._written += len(view)
            if time.monotonic() - self._touched > _TOUCH_SECONDS:
                self._touched = time.monotonic()
                current.touch()
        except OSError as error:
            self._failed = True
            raise store_error("write to", self._store.path, error) from None
        except BaseException:
            self._failed = True
            raise


def _has_blob(name: str, blobs: int, size: int) -> bool:
    with suppress(FileNotFoundError):
        status = os.stat(name, dir_fd=blobs, follow_symlinks=False)
        return stat.S_ISREG(status.st_mode) and status.st_size == size
    return False
