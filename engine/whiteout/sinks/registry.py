"""The sink ``docker://HOST/REPOSITORY[:TAG]``: a registry."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager
from dataclasses import dataclass

from whiteout.cancel import CancelToken
from whiteout.contentstore import ContentStore, Descriptor
from whiteout.digests import digest_of
from whiteout.display import display_text
from whiteout.errors import UsageError
from whiteout.images import Blobs, LayerRef
from whiteout.references import Reference
from whiteout.registry import Repository
from whiteout.sinks.model import (
    Action,
    PreparedImage,
    Report,
    Step,
    Written,
    copy_layer,
    temporary_store,
)


@dataclass(frozen=True, slots=True)
class Registry:
    """The image *reference* on its registry. *plain_http* does without TLS."""

    reference: Reference
    plain_http: bool = False

    def describe(self) -> str:
        return f"docker://{display_text(str(self.reference))}"

    def check(self, media_types: frozenset[str]) -> None:
        """Also whether the registry can be reached and knows the user.

        Raises:
            UsageError: a digest is named, which cannot be chosen.
            StoreError: the registry cannot be reached or refuses.
        """
        if self.reference.digest:
            raise UsageError(f"{self.describe()} names a digest; give a tag")
        with self._repository(None) as repository:
            repository.has(digest_of(b""))

    def staging(self) -> AbstractContextManager[ContentStore]:
        return temporary_store()

    def write(self, image: PreparedImage, report: Report, cancel: CancelToken) -> Written:
        built, reused = image.built, []
        other = self._neighbour(image)
        with self._repository(other, cancel) as repository:
            for layer in image.layers:
                if not self._put_layer(repository, image, layer, other, report, cancel):
                    reused.append(layer.descriptor.digest)
            if not repository.has(built.config_descriptor.digest):
                config = io.BytesIO(built.config)
                repository.push(built.config_descriptor, config, lambda offset: None)
            cancel.check()
            repository.put_manifest(self.reference.tag, built.descriptor, built.manifest)
        return Written(self.describe(), tuple(reused))

    def reading(self, cancel: CancelToken) -> AbstractContextManager[Blobs]:
        reference = self.reference
        return Repository(
            reference.host, reference.repository, plain_http=self.plain_http, cancel=cancel
        )

    def _repository(self, other: str | None, cancel: CancelToken | None = None) -> Repository:
        return Repository(
            self.reference.host,
            self.reference.repository,
            push=True,
            others=(other,) if other else (),
            plain_http=self.plain_http,
            cancel=cancel or CancelToken(),
        )

    def _neighbour(self, image: PreparedImage) -> str | None:
        """The repository of the base, when it is another one of the same registry."""
        base = image.base.blobs if image.base is not None else None
        if not isinstance(base, Repository) or base.host != self.reference.host:
            return None
        return base.name if base.name != self.reference.repository else None

    def _put_layer(
        self,
        repository: Repository,
        image: PreparedImage,
        layer: LayerRef,
        other: str | None,
        report: Report,
        cancel: CancelToken,
    ) -> bool:
        """Let the repository have a layer; gives whether it had to be sent."""
        descriptor = layer.descriptor
        if repository.has(descriptor.digest):
            return False
        blobs = image.blobs(descriptor)
        if isinstance(blobs, Repository):  # a stream cannot be sent again from its middle
            if other and repository.mount(descriptor.digest, other):
                return False
            copy_layer(image, layer, image.store, report, cancel)
            blobs = image.store
        with blobs.open(descriptor.digest) as file:
            repository.push(descriptor, file, _Watch(report, descriptor))
        return True


@dataclass(frozen=True, slots=True)
class _Watch:
    """Turns the offset of an upload into a step."""

    report: Report
    descriptor: Descriptor

    def __call__(self, offset: int, /) -> None:
        self.report(Step(Action.SEND, self.descriptor.digest, offset, self.descriptor.size))
