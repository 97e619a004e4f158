"""The sink ``docker-archive:FILE[:NAME[:TAG]]``: one tar for ``docker load``, ``podman load`` and
``ctr images import``.

It is an OCI image layout and has Docker's ``manifest.json`` beside it, as BuildKit writes such
archives: Docker reads the one, newer readers the other. The same image gives the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from whiteout.cancel import CancelToken
from whiteout.contentstore import ContentStore, Descriptor
from whiteout.digests import encoded
from whiteout.display import display_text
from whiteout.durable import write_all
from whiteout.errors import UsageError
from whiteout.imagearchives import ImageArchive
from whiteout.images import Blobs
from whiteout.layoutfiles import INDEX_TYPE, REF_NAME, compact_json
from whiteout.mediatypes import ZSTD
from whiteout.outfile import file_target, write_error
from whiteout.references import DOCKER_HUB, Reference, parse_reference
from whiteout.sinks.model import Action, PreparedImage, Report, Step, Written, temporary_store
from whiteout.tarheader import BLOCK, END_OF_ARCHIVE, TarHeader, TypeFlag

_IMAGE_NAME = "io.containerd.image.name"


@dataclass(frozen=True, slots=True)
class DockerArchive:
    """The archive *path*; *name* is what ``docker load`` calls the image, empty for no name."""

    path: str
    name: str = ""

    def describe(self) -> str:
        return "docker-archive:" + ":".join(
            display_text(part) for part in (self.path, self.name) if part
        )

    def check(self, media_types: frozenset[str]) -> None:
        if self.name:
            self._reference()
        if ZSTD in media_types:
            raise UsageError(
                "docker load cannot read layers compressed by zstd; use --compression gzip or none"
            )

    def staging(self) -> AbstractContextManager[ContentStore]:
        return temporary_store()

    def write(self, image: PreparedImage, report: Report, cancel: CancelToken) -> Written:
        target = os.fsencode(self.path)
        with file_target(target) as descriptor:

            def put(data: bytes) -> None:
                cancel.check()
                try:
                    write_all(descriptor, data)
                except OSError as error:
                    raise write_error(target, error) from error

            self._write(image, put, report, cancel)
        return Written(self.describe())

    def reading(self, cancel: CancelToken) -> AbstractContextManager[Blobs]:
        return nullcontext(ImageArchive(os.path.abspath(self.path)))

    def _write(
        self,
        image: PreparedImage,
        put: Callable[[bytes], None],
        report: Report,
        cancel: CancelToken,
    ) -> None:
        put(_directory(b"blobs/") + _directory(b"blobs/sha256/"))
        built = image.built
        small = {
            built.config_descriptor.digest: built.config,
            built.descriptor.digest: built.manifest,
        }
        layers = {layer.descriptor.digest: layer.descriptor for layer in image.layers}
        for digest in sorted({*small, *layers}):
            if digest in small:
                put(_file(_blob_name(digest), small[digest]))
                continue
            size, done = layers[digest].size, 0
            put(_file_header(_blob_name(digest), size))
            for chunk in image.chunks(layers[digest], cancel):
                put(chunk)
                done += len(chunk)
                report(Step(Action.COPY, digest, done, size))
            put(bytes(-size % BLOCK))
        put(_file(b"index.json", compact_json(self._index(built.descriptor))))
        put(_file(b"manifest.json", compact_json([self._manifest(image)])))
        put(_file(b"oci-layout", compact_json({"imageLayoutVersion": "1.0.0"})))
        put(END_OF_ARCHIVE)

    def _reference(self) -> Reference:
        reference = parse_reference(self.name)
        if reference.digest:
            raise UsageError(f"{display_text(self.name)} names a digest; give a tag")
        return reference

    def _index(self, manifest: Descriptor) -> object:
        annotations = {}
        if self.name:
            reference = self._reference()
            annotations = {_IMAGE_NAME: str(reference), REF_NAME: reference.tag}
        entry = Descriptor(manifest.media_type, manifest.digest, manifest.size, annotations)
        return {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry.as_dict()]}

    def _manifest(self, image: PreparedImage) -> object:
        return {
            "Config": _blob_name(image.built.config_descriptor.digest).decode(),
            "RepoTags": [_familiar(self._reference())] if self.name else None,
            "Layers": [
                _blob_name(layer.descriptor.digest).decode() for layer in image.built.layers
            ],
        }


def _familiar(reference: Reference) -> str:
    """The name as Docker shows it: without its own registry."""
    return str(reference).removeprefix(f"{DOCKER_HUB}/library/").removeprefix(f"{DOCKER_HUB}/")


def _blob_name(digest: str) -> bytes:
    return f"blobs/sha256/{encoded(digest)}".encode()


def _directory(name: bytes) -> bytes:
    return TarHeader(name, TypeFlag.DIRECTORY, 0o755).encode()


def _file_header(name: bytes, size: int) -> bytes:
    return TarHeader(name, TypeFlag.FILE, 0o644, size=size).encode()


def _file(name: bytes, content: bytes) -> bytes:
    return _file_header(name, len(content)) + content + bytes(-len(content) % BLOCK)
