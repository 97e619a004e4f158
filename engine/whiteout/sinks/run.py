"""Exporting an image to a sink: the layers one after the other, config and manifest, the sink."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from whiteout.cancel import NEVER, CancelToken
from whiteout.contentstore import Descriptor
from whiteout.display import display_path
from whiteout.errors import UsageError
from whiteout.export import ExportResult, Progress, check_exportable, export_to_store
from whiteout.imagebuild import ImageOptions, build_image
from whiteout.images import Image, LayerRef
from whiteout.layers import Marks
from whiteout.mediatypes import GZIP, check_level
from whiteout.sinks.model import Action, PreparedImage, Report, Sink, Step
from whiteout.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class SinkResult:
    """An image in a sink. ``reference`` is how others name it there, ready to be shown."""

    sink: str
    reference: str
    manifest: Descriptor
    config: Descriptor
    """Its digest is what Docker and Podman call the id of the image."""
    layers: tuple[LayerRef, ...]
    """From bottom to top, those of the base included."""
    exported: tuple[ExportResult, ...]
    """The new ones among them; their ``path`` is gone where the sink is no layout."""
    reused: tuple[str, ...]
    """The digests of layers that the sink had already."""
    seconds: float


def export_to(
    sink: Sink,
    snapshots: Sequence[Snapshot],
    *,
    base: Image | None = None,
    media_type: str = GZIP,
    level: int | None = None,
    options: ImageOptions | None = None,
    progress: Report | None = None,
    cancel: CancelToken = NEVER,
) -> SinkResult:
    """Write the image of the layers of *snapshots*, from bottom to top, on top of *base*.

    *media_type* and *level* are of the new layers; those of *base* are taken as they are. Without
    *snapshots* the image is a copy of *base*.

    Raises:
        UsageError: a parameter is wrong, or the sink cannot take such an image.
        RefusedError: a layer would be wrong.
        ReadError: a snapshot cannot be read, or changed meanwhile.
        StoreError: the sink cannot be written, or *base* not be read.
        Cancelled: *cancel* was cancelled.
    """
    check_level(media_type, level)
    if not snapshots and base is None:
        raise UsageError("an image needs at least one layer")
    for snapshot in snapshots:
        check_exportable(snapshot)
    below = base.layers if base is not None else ()
    media_types = {layer.descriptor.media_type for layer in below}
    sink.check(frozenset(media_types | ({media_type} if snapshots else set())))
    report = progress or _ignore
    started = time.monotonic()
    with sink.staging() as store:
        results = []
        for number, snapshot in enumerate(snapshots, 1):
            results.append(
                export_to_store(
                    snapshot,
                    store,
                    media_type=media_type,
                    level=level,
                    tag=None,
                    progress=_layer_report(report, number, len(snapshots)),
                    cancel=cancel,
                )
            )
        built = build_image(
            [LayerRef(_plain(result), result.diff_id) for result in results],
            options or ImageOptions(),
            base=base,
        )
        written = sink.write(PreparedImage(built, store, base), report, cancel)
    return SinkResult(
        sink.describe(),
        written.reference,
        built.descriptor,
        built.config_descriptor,
        built.layers,
        tuple(results),
        written.reused,
        time.monotonic() - started,
    )


def whole_stack(snapshot: Snapshot) -> tuple[Snapshot, ...]:
    """A snapshot for each layer of *snapshot*, from bottom to top, each on what is below it.

    Raises:
        UsageError: the snapshot compares two trees that are not layers of one stack.
    """
    layers = snapshot.merged
    if [layer.path for layer in layers[1:]] != [layer.path for layer in snapshot.base]:
        raise UsageError(
            "the snapshot compares two trees that are not layers of one stack; leave out --whole"
        )
    return (
        *(_layer_snapshot(snapshot, position) for position in range(len(layers) - 1, 0, -1)),
        snapshot,
    )


def _layer_snapshot(snapshot: Snapshot, position: int) -> Snapshot:
    upper, below = snapshot.merged[position], snapshot.merged[position + 1 :]
    alone = len(below) == 1 and below[0].archive is None and not below[0].fuse
    plain = alone and not snapshot.data_layers  # as containerd would bind-mount it
    return snapshot._replace(
        label=display_path(upper.path),
        base=tuple(layer._replace(marks=Marks.PLAIN) if plain else layer for layer in below),
        merged=(upper._replace(marks=upper.marks or Marks.BOTH), *below),
        upperdir=upper.path,
        lowerdirs=tuple(layer.path for layer in below),
        following=snapshot.following._replace(top_is_upper=False),
    )


def _plain(result: ExportResult) -> Descriptor:
    return Descriptor(result.media_type, result.digest, result.size)


def _layer_report(report: Report, number: int, count: int) -> Callable[[Progress], object]:
    item = f"layer {number} of {count}"
    return lambda progress: report(
        Step(Action.EXPORT, item, progress.written, None, progress, number, count)
    )


def _ignore(_: Step) -> None:
    pass
