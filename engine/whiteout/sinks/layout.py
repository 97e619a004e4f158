"""The sink ``oci:DIR[:TAG]``: an OCI image layout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from whiteout.cancel import CancelToken
from whiteout.contentstore import ContentStore
from whiteout.display import display_text
from whiteout.images import Blobs
from whiteout.ocilayout import add_image, check_tag
from whiteout.sinks.model import PreparedImage, Report, Written, copy_layers


@dataclass(frozen=True, slots=True)
class OciLayout:
    """The OCI image layout in the directory *path*, made where it is missing."""

    path: str
    tag: str = "latest"

    def describe(self) -> str:
        return f"oci:{display_text(self.path)}:{display_text(self.tag)}"

    def check(self, media_types: frozenset[str]) -> None:
        check_tag(self.tag)

    @contextmanager
    def staging(self) -> Iterator[ContentStore]:
        yield ContentStore(os.path.abspath(self.path))

    def write(self, image: PreparedImage, report: Report, cancel: CancelToken) -> Written:
        reused = copy_layers(image, image.store, report, cancel)
        cancel.check()
        add_image(image.store, image.built, self.tag)
        return Written(self.describe(), reused)

    def reading(self, cancel: CancelToken) -> AbstractContextManager[Blobs]:
        return nullcontext(ContentStore(os.path.abspath(self.path), create=False))
