"""The sink ``containerd://NAMESPACE/NAME``: the content store and the images of a containerd."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from whiteout.cancel import CancelToken
from whiteout.containerdapi import ContainerdClient
from whiteout.contentstore import ContentStore, Descriptor
from whiteout.display import display_text
from whiteout.errors import Cancelled, UsageError
from whiteout.images import Blobs, verified_chunks
from whiteout.labels import UNCOMPRESSED
from whiteout.sinks.model import Action, PreparedImage, Report, Step, Written, temporary_store

#: containerd's ``identifiers.Validate``.
_NAMESPACE = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")
_MAX_NAMESPACE = 76
_GC_REF = "containerd.io/gc.ref.content."
_MAX_NAME = 4096


@dataclass(frozen=True, slots=True)
class Containerd:
    """The image *name* in *namespace* of the containerd whose socket is *address*.

    An empty *address* is ``$CONTAINERD_ADDRESS``, or containerd's usual socket.
    """

    namespace: str
    name: str
    address: str = ""

    def describe(self) -> str:
        return f"containerd://{display_text(self.namespace)}/{display_text(self.name)}"

    def check(self, media_types: frozenset[str]) -> None:
        if not _NAMESPACE.fullmatch(self.namespace) or len(self.namespace) > _MAX_NAMESPACE:
            raise UsageError(
                f"{display_text(self.namespace)} is not a namespace of containerd; give one such "
                "as default, k8s.io or moby"
            )
        if not self.name.isprintable() or not 0 < len(self.name) <= _MAX_NAME:
            raise UsageError(
                "an image in containerd needs a name; give containerd://NAMESPACE/NAME"
            )
        with self._client():
            pass

    def staging(self) -> AbstractContextManager[ContentStore]:
        return temporary_store()

    def write(self, image: PreparedImage, report: Report, cancel: CancelToken) -> Written:
        built, reused = image.built, []
        with self._client() as client, client.lease():
            for layer in image.layers:
                digest = layer.descriptor.digest
                labels = {UNCOMPRESSED: layer.diff_id}
                writing = _Writing(client, image, report, cancel)
                if not writing.blob(layer.descriptor, labels):
                    reused.append(digest)
            for descriptor, content, labels in (
                (built.config_descriptor, built.config, {}),
                (built.descriptor, built.manifest, _references(image)),
            ):
                client.write_small(_ref(descriptor), descriptor, labels, content)
            cancel.check()
            client.put_image(self.name, built.descriptor)
        return Written(self.describe(), tuple(reused))

    def reading(self, cancel: CancelToken) -> AbstractContextManager[Blobs]:
        return self._client()

    def _client(self) -> ContainerdClient:
        return ContainerdClient(self.namespace, self.address or None)


@dataclass(frozen=True, slots=True)
class _Writing:
    """The layers of one image on their way."""

    client: ContainerdClient
    image: PreparedImage
    report: Report
    cancel: CancelToken

    def blob(self, descriptor: Descriptor, labels: dict[str, str]) -> bool:
        """Write one layer; gives whether it is new. What was cancelled is removed."""

        def read(offset: int) -> Iterator[bytes]:
            start = 0
            for chunk in verified_chunks(self.image.blobs(descriptor), descriptor, self.cancel):
                end = start + len(chunk)
                if end > offset:
                    yield chunk[max(0, offset - start) :]
                start = end

        def report(offset: int) -> None:
            self.report(Step(Action.SEND, descriptor.digest, offset, descriptor.size))

        ref = _ref(descriptor)
        try:
            return self.client.write(ref, descriptor, labels, read, report)
        except (Cancelled, KeyboardInterrupt):
            self.client.abort(ref)
            raise


def _ref(descriptor: Descriptor) -> str:
    """The ref of an ingest: the same for the same content, so that it can be resumed."""
    return f"whiteout-{descriptor.digest}"


def _references(image: PreparedImage) -> dict[str, str]:
    """Labels by which the manifest keeps config and layers from garbage collection."""
    layers = enumerate(image.built.layers)
    return {
        f"{_GC_REF}config": image.built.config_descriptor.digest,
        **{f"{_GC_REF}l.{number}": layer.descriptor.digest for number, layer in layers},
    }
