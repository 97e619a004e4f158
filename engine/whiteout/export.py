"""Exporting a snapshot as a layer: from the stream of findings to a blob with its digests.

tar bytes -> diffID -> compressor -> digest -> content store or file. The steps around the commit
are those of BuildKit's ``cache/blobs_linux.go``. Whatever fails, nothing is left behind that could
be taken for a layer.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator

from whiteout.cancel import NEVER, CancelToken
from whiteout.compression import open_compressor
from whiteout.differ import (
    Finding,
    FoundInRows,
    PlainDirectory,
    PlainFiles,
    Rules,
    WrittenDirectories,
)
from whiteout.digests import ALGORITHM
from whiteout.display import display_path
from whiteout.durable import start_writeback, write_all
from whiteout.errors import RefusedError
from whiteout.layerentries import LayerPlan
from whiteout.layers import Marks
from whiteout.mediatypes import TAR, check_level
from whiteout.outfile import file_target, write_error
from whiteout.pipeline import Stage
from whiteout.privileges import TRUSTED_HIDDEN
from whiteout.snapshot import Snapshot
from whiteout.tarwriter import TarWriter
from whiteout.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from whiteout.contentstore import ContentStore, Descriptor
    from whiteout.ingest import IngestStatus

DEFAULT_TAG = "latest"


class Progress(NamedTuple):
    """How far an export is. Sizes are in bytes, ``path`` is the entry read last."""

    entries: int
    uncompressed: int
    written: int
    path: bytes


class ExportResult(NamedTuple):
    """An exported layer. ``path`` is where the blob lies, None when it went to a stream."""

    media_type: str
    digest: str
    size: int
    diff_id: str
    differ: str
    path: bytes | None
    entries: int
    uncompressed_size: int
    seconds: float
    tag: str | None = None
    swept: tuple[IngestStatus, ...] = ()
    """What exports that died had left half-written in the store; it was removed."""

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of the layer, with its diffID as annotation as BuildKit gives it."""
        from whiteout.contentstore import Descriptor
        from whiteout.labels import UNCOMPRESSED

        return Descriptor(self.media_type, self.digest, self.size, {UNCOMPRESSED: self.diff_id})


def swept_sentence(result: ExportResult) -> str | None:
    """What the export had to clean up in the store, None where there was nothing."""
    if not result.swept:
        return None
    count, size = len(result.swept), sum(status.offset for status in result.swept)
    return (
        f"{count:,} unfinished {'export' if count == 1 else 'exports'} of processes that died,"
        f" {size:,} bytes, removed from the store"
    )


def default_ref(snapshot: Snapshot, media_type: str) -> str:
    """The ref of an ingest when none is named: the same for the same snapshot and media type."""
    name = hashlib.sha256()
    for layer in (*snapshot.merged, *snapshot.base):
        name.update(os.path.abspath(layer.path) + b"\0")
    return f"whiteout-layer-{name.hexdigest()[:16]}-{media_type.rpartition('.')[2]}"


def check_exportable(snapshot: Snapshot) -> None:
    """Refuse what would give a wrong layer.

    Raises:
        RefusedError: privileges hide marks of the snapshot.
    """
    for doubt in snapshot.doubts:
        advice = "; or give --userxattr if the layers were written with user.overlay.* marks"
        raise RefusedError(
            f"no layer is exported, as it could be wrong: {doubt}"
            + (advice if doubt == TRUSTED_HIDDEN else "")
        )


def export_to_store(
    snapshot: Snapshot,
    store: ContentStore,
    *,
    media_type: str,
    level: int | None = None,
    ref: str | None = None,
    tag: str | None = DEFAULT_TAG,
    progress: Callable[[Progress], object] | None = None,
    cancel: CancelToken = NEVER,
) -> ExportResult:
    """Export the layer of *snapshot* into *store*.

    The blob gets the label ``containerd.io/uncompressed``. With *tag* an image of this one layer
    is made and tagged, so that clients of OCI image layouts find it.

    Raises:
        UsageError: *media_type*, *level*, *ref* or *tag* is wrong.
        RefusedError: the layer would be wrong.
        ReadError: the snapshot cannot be read, or changed meanwhile.
        RefLocked: another export of *ref* is under way.
        StoreError: the store cannot be written.
        Cancelled: *cancel* was cancelled.
    """
    from whiteout.contentstore import Descriptor
    from whiteout.labels import UNCOMPRESSED
    from whiteout.ocilayout import LayerRef, check_tag, tag_image

    check_level(media_type, level)
    check_exportable(snapshot)
    if tag is not None:
        check_tag(tag)
    started = time.monotonic()
    with store.writer(ref or default_ref(snapshot, media_type)) as writer:
        stream = _LayerStream(media_type, level, writer.write, progress, cancel)
        stream.run(snapshot)
        diff_id = stream.diff_id or writer.digest()
        blob = writer.commit(labels={UNCOMPRESSED: diff_id})
    descriptor = Descriptor(media_type, blob.digest, blob.size)
    if tag is not None:
        tag_image(store, [LayerRef(descriptor, diff_id)], tag)
    return ExportResult(
        media_type,
        blob.digest,
        blob.size,
        diff_id,
        snapshot.differ,
        os.fsencode(blob.path),
        stream.entries,
        stream.uncompressed,
        time.monotonic() - started,
        tag,
        writer.swept,
    )


def export_to_file(
    snapshot: Snapshot,
    target: bytes | int,
    *,
    media_type: str,
    level: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    cancel: CancelToken = NEVER,
) -> ExportResult:
    """Export the layer of *snapshot* to a file, or to the open descriptor *target*.

    A file appears under its name only when it is whole.

    Raises:
        UsageError: *media_type* or *level* is wrong.
        RefusedError: the layer would be wrong.
        ReadError: the snapshot cannot be read, or changed meanwhile.
        StoreError: the file cannot be written.
        Cancelled: *cancel* was cancelled.
    """
    check_level(media_type, level)
    check_exportable(snapshot)
    started = time.monotonic()
    digest = hashlib.sha256()
    size = 0
    with file_target(target) as descriptor:

        def write(data: bytes | bytearray | memoryview) -> None:
            nonlocal size
            digest.update(data)
            try:
                write_all(descriptor, data)
            except OSError as error:
                raise write_error(target, error) from error
            start_writeback(descriptor, size, size + len(data))
            size += len(data)

        stream = _LayerStream(media_type, level, write, progress, cancel)
        stream.run(snapshot)
    blob = f"{ALGORITHM}:{digest.hexdigest()}"
    return ExportResult(
        media_type,
        blob,
        size,
        stream.diff_id or blob,
        snapshot.differ,
        None if isinstance(target, int) else os.path.abspath(target),
        stream.entries,
        stream.uncompressed,
        time.monotonic() - started,
    )


class _LayerStream:
    """Writes the layer of a snapshot to *sink*, and knows its diffID afterwards."""

    def __init__(
        self,
        media_type: str,
        level: int | None,
        sink: Callable[[bytes | bytearray | memoryview], object],
        progress: Callable[[Progress], object] | None,
        cancel: CancelToken,
    ) -> None:
        self.entries = 0
        self.uncompressed = 0
        self.diff_id: str | None = None
        """None when nothing is compressed: the blob's own digest then."""
        self._hash = None if media_type == TAR else hashlib.sha256()
        self._sink = sink
        self._compressor = open_compressor(media_type, level, self._compressed, cancel)
        self._writer = TarWriter(self._write_tar, cancel)
        self._written = 0
        self._path = b""
        self._progress = progress
        self._cancel = cancel

    def run(self, snapshot: Snapshot) -> None:
        """Write everything."""
        with Stage(self._write_compressed) as self._writing:
            self._run(snapshot)
            self._compressor.close()
        self.entries = self._writer.entries
        if self._hash is not None:
            self.diff_id = f"{ALGORITHM}:{self._hash.hexdigest()}"
        self._report()

    def _run(self, snapshot: Snapshot) -> None:
        with (
            Stage(self._compressor.write) as self._compressing,
            Stage(self._hash.update if self._hash else _ignore) as self._hashing,
            snapshot.findings_in_rows(self._cancel) as findings,
        ):
            self._write_all(snapshot, findings)

    def _write_all(self, snapshot: Snapshot, findings: Iterator[FoundInRows]) -> None:
        original = snapshot.rules is Rules.ORIGINAL
        plan, writer = LayerPlan(), self._writer
        for found in findings:
            if isinstance(found, PlainFiles):
                self._path = found.path + b"/" + found.files[-1].name
            elif isinstance(found, PlainDirectory):
                self._path = found.path
            elif isinstance(found, WrittenDirectories):
                self._path = found.path + b"/" + found.names[-1]
            else:
                self._path = found.verdict.path
                if original:
                    _check_original(found)
            writer.write_found(found, plan)
        writer.finish()

    def _write_tar(self, data: bytes | bytearray) -> None:
        if self._hash is not None:
            self._hashing.put(data)
        self._compressing.put(data)
        self.uncompressed += len(data)
        self._report()

    def _compressed(self, data: bytes | bytearray | memoryview) -> None:
        self._writing.put(data)

    def _write_compressed(self, data: bytes | bytearray | memoryview) -> None:
        self._sink(data)
        self._written += len(data)

    def _report(self) -> None:
        if self._progress is not None:
            self._progress(
                Progress(self._writer.entries, self.uncompressed, self._written, self._path)
            )


def _ignore(_: object) -> None:
    pass


def _check_original(finding: Finding) -> None:
    """Refuse what the original rules would lose without a word."""
    node, verdict = finding.node, finding.verdict
    if verdict.redirect is not None:
        what = "is a renamed directory (redirect), whose contents"
    elif (
        node is not None
        and node.is_file
        and not verdict.whiteout
        and node.is_whiteout(node.part.marks | Marks.BOTH)
    ):
        what = "is a whiteout in the form of an attribute, which"
    else:
        return
    raise RefusedError(
        f"{display_path(verdict.path)} {what} the original rules would lose; use the current rules"
    )
