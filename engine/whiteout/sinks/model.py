"""What all sinks have in common: the image that they are given, and how they tell of their work."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from whiteout.cancel import CancelToken
from whiteout.contentstore import ContentStore, Descriptor
from whiteout.errors import StoreError, reason_of
from whiteout.export import Progress
from whiteout.imagebuild import BuiltImage
from whiteout.images import Blobs, Image, LayerRef, verified_chunks
from whiteout.labels import UNCOMPRESSED


class Action(Enum):
    """What a sink is doing."""

    EXPORT = "exporting"
    """A layer is computed and compressed; :attr:`Step.layer` tells how far."""
    COPY = "copying"
    SEND = "sending"
    WAIT = "waiting for"
    """Another program works; there is nothing to count."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far an export to a sink is. ``done`` and ``total`` are bytes of the blob ``item``.

    While a layer is exported, it is the one with ``number`` from the bottom of ``count`` new ones,
    beginning at 1.
    """

    action: Action
    item: str
    done: int = 0
    total: int | None = None
    layer: Progress | None = None
    number: int = 1
    count: int = 1


Report = Callable[[Step], object]


@dataclass(frozen=True, slots=True)
class Written:
    """What a sink did. ``reference`` is how others name the image there, ready to be shown."""

    reference: str
    reused: tuple[str, ...] = ()
    """The digests of layers that the sink had already."""


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """An image whose every blob can be read: new ones from *store*, others from *base*."""

    built: BuiltImage
    store: ContentStore
    base: Image | None

    @property
    def layers(self) -> tuple[LayerRef, ...]:
        """The layers from bottom to top, each once."""
        return tuple({layer.descriptor.digest: layer for layer in self.built.layers}.values())

    def is_of_base(self, descriptor: Descriptor) -> bool:
        """Whether the layer is one of the base image."""
        below = self.base.layers if self.base is not None else ()
        return any(layer.descriptor.digest == descriptor.digest for layer in below)

    def blobs(self, descriptor: Descriptor) -> Blobs:
        """Where the layer is read from."""
        if self.base is not None and self.is_of_base(descriptor):
            return self.base.blobs
        return self.store

    def chunks(self, descriptor: Descriptor, cancel: CancelToken) -> Iterator[bytes]:
        """The layer in chunks of at most 1 MiB; raises as :func:`verified_chunks`."""
        return verified_chunks(self.blobs(descriptor), descriptor, cancel)


class Sink(Protocol):
    """A place for images."""

    def describe(self) -> str:
        """The sink as it is written on the command line, ready to be shown."""

    def check(self, media_types: frozenset[str]) -> None:
        """Refuse what the sink cannot take, before anything is done.

        Raises:
            UsageError: layers of one of *media_types* cannot go there, or a program is missing.
        """

    def staging(self) -> AbstractContextManager[ContentStore]:
        """A store for the exported layers."""

    def write(self, image: PreparedImage, report: Report, cancel: CancelToken) -> Written:
        """Write the image; its name appears when it is whole.

        Raises:
            StoreError: the sink cannot be written.
            Cancelled: *cancel* was cancelled.
        """

    def reading(self, cancel: CancelToken) -> AbstractContextManager[Blobs]:
        """The blobs that the sink holds, to be read again within the block.

        Raises:
            NotFound: there is no such sink any more.
            StoreError: it cannot be read.
            UsageError: it keeps no blobs.
        """


@contextmanager
def temporary_store() -> Iterator[ContentStore]:
    """A store below ``$TMPDIR`` that is removed afterwards.

    Raises:
        StoreError: it cannot be made.
    """
    try:
        directory = tempfile.TemporaryDirectory(prefix="whiteout-export-")
    except OSError as error:
        raise StoreError(
            f"cannot make a temporary directory: {reason_of(error)}; set TMPDIR to a directory "
            "with room for the layers"
        ) from None
    with directory as path:
        yield ContentStore(path)


def copy_layers(
    image: PreparedImage, store: ContentStore, report: Report, cancel: CancelToken
) -> tuple[str, ...]:
    """Copy the layers of the base into *store*; the result are the digests that it had already.

    Raises:
        DigestMismatch: a layer is damaged.
        StoreError: a layer cannot be read, or *store* not be written.
        Cancelled: *cancel* was cancelled.
    """
    there: list[str] = []
    for layer in image.layers:
        if not image.is_of_base(layer.descriptor):
            continue
        if store.has(layer.descriptor.digest, layer.descriptor.size):
            there.append(layer.descriptor.digest)
        else:
            copy_layer(image, layer, store, report, cancel)
    return tuple(there)


def copy_layer(
    image: PreparedImage,
    layer: LayerRef,
    store: ContentStore,
    report: Report,
    cancel: CancelToken,
) -> None:
    """Copy one layer into *store*; raises as :func:`copy_layers`."""
    descriptor = layer.descriptor
    ref = f"whiteout-copy-{descriptor.digest}"
    with store.writer(ref, expected_digest=descriptor.digest) as writer:
        for chunk in image.chunks(descriptor, cancel):
            writer.write(chunk)
            report(Step(Action.COPY, descriptor.digest, writer.offset, descriptor.size))
        writer.commit(descriptor.size, labels={UNCOMPRESSED: layer.diff_id})
