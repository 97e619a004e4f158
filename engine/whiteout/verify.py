"""Verifying a blob: its bytes are read again and everything said of them is recomputed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from whiteout.cancel import NEVER, CancelToken
from whiteout.compression import DamagedStream, Readable, open_decompressor
from whiteout.contentstore import ContentStore
from whiteout.digests import ALGORITHM
from whiteout.display import display_text
from whiteout.errors import StoreError, reason_of
from whiteout.labels import UNCOMPRESSED
from whiteout.mediatypes import TAR
from whiteout.tarcheck import NotTar, TarProblem, read_entries

#: The media type of what is neither compressed nor begins like a tar.
UNKNOWN = "application/octet-stream"
_CHUNK = 256 * 1024

#: Called with the bytes of the blob read so far.
Progress = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found in a blob."""

    digest: str
    """The digest of the bytes that are there; not what it was asked for when it is damaged."""
    size: int
    """Bytes of the blob."""
    diff_id: str | None
    """The digest of the tar, None when the blob cannot be decompressed to its end."""
    entries: int
    """Entries of the tar that were read."""
    media_type: str
    """As its first bytes tell: a layer media type, or :data:`UNKNOWN`."""
    label: str | None
    """The diffID that the label ``containerd.io/uncompressed`` claims."""
    problems: tuple[str, ...]
    """A sentence for each thing that is wrong."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


class _Measured:
    """A readable that hashes, counts and reports what passes, and asks for cancellation."""

    def __init__(self, source: Readable, cancel: CancelToken, progress: Progress | None) -> None:
        self._source = source
        self._cancel = cancel
        self._progress = progress
        self._hash = hashlib.sha256()
        self.size = 0

    def read(self, size: int, /) -> bytes:
        self._cancel.check()
        data = self._source.read(size)
        self._hash.update(data)
        self.size += len(data)
        if self._progress is not None:
            self._progress(self.size)
        return data

    @property
    def digest(self) -> str:
        return f"{ALGORITHM}:{self._hash.hexdigest()}"


class _Content:
    """The decompressed content, hashed as it passes."""

    def __init__(self, chunks: Iterator[bytes], cancel: CancelToken) -> None:
        self._chunks = chunks
        self._cancel = cancel
        self._hash = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._cancel.check()
            self._hash.update(chunk)
            yield chunk

    @property
    def digest(self) -> str:
        return f"{ALGORITHM}:{self._hash.hexdigest()}"


def verify_blob(
    store: ContentStore,
    digest: str,
    cancel: CancelToken = NEVER,
    progress: Progress | None = None,
) -> Verification:
    """Read the blob *digest* of *store* to its end and check all that is claimed of it.

    Checked are its name, its recorded size, its diffID label, the compressed stream, and every
    entry of the tar up to the end-of-archive blocks, after which nothing may follow.

    Raises:
        NotFound: *store* has no such blob.
        StoreError: the blob or its labels cannot be read.
        UsageError: *digest* is malformed.
        Cancelled: *cancel* was cancelled.
    """
    info = store.info(digest)
    recorded = store.recorded_size(digest)
    label = info.labels.get(UNCOMPRESSED)
    with store.open(digest) as file:
        return verify_stream(
            file, digest, size=recorded, label=label, cancel=cancel, progress=progress
        )


def verify_stream(
    readable: Readable,
    digest: str,
    *,
    size: int | None = None,
    label: str | None = None,
    cancel: CancelToken = NEVER,
    progress: Progress | None = None,
) -> Verification:
    """As :func:`verify_blob`, for the blob *digest* that *readable* gives, wherever it lies.

    *size* in bytes and *label*, the diffID, are what is claimed of it; None claims nothing.

    Raises:
        StoreError: the blob cannot be read.
        Cancelled: *cancel* was cancelled.
    """
    source = _Measured(readable, cancel, progress)
    try:
        media_type, entries, diff_id, content_problems = _read_content(source, cancel)
        while source.read(_CHUNK):
            pass
    except OSError as error:
        raise StoreError(f"cannot read the blob {digest}: {reason_of(error)}") from None
    problems = list(_name_problems(digest, source, size)) + content_problems
    if diff_id is not None and label is not None and label != diff_id:
        problems.append(
            f"the label {UNCOMPRESSED} says {display_text(label)}, but the tar has the "
            f"diffID {diff_id}"
        )
    return Verification(
        source.digest, source.size, diff_id, entries, media_type, label, tuple(problems)
    )


def _name_problems(digest: str, source: _Measured, recorded: int | None) -> Iterator[str]:
    if recorded is not None and recorded != source.size:
        yield f"the blob has {source.size} bytes, but {recorded} were committed"
    if source.digest != digest:
        yield f"the blob is named {digest}, but its bytes have the digest {source.digest}"


def _read_content(source: _Measured, cancel: CancelToken) -> tuple[str, int, str | None, list[str]]:
    """Media type, number of entries, diffID and problems of the decompressed content."""
    decompressed = open_decompressor(source)
    content = _Content(decompressed.chunks, cancel)
    chunks = iter(content)
    media_type, entries, problems = decompressed.media_type, 0, []
    try:
        try:
            for _ in read_entries(chunks):
                entries += 1
        except TarProblem as problem:
            if isinstance(problem, NotTar) and media_type == TAR:
                media_type = UNKNOWN
            problems.append(str(problem))
        for _ in chunks:  # the diffID is of all that is there
            pass
    except DamagedStream as problem:
        problems.append(str(problem))
        return media_type, entries, None, problems
    return media_type, entries, content.digest, problems
