"""Images that lie in files: OCI image layouts, and archives such as those of ``docker save``.

``oci:DIR[:TAG]``, ``docker-archive:FILE[:NAME]``, ``oci-archive:FILE[:NAME]``, or just the path.
Layers are not unpacked (:mod:`whiteout.layerarchives`), so no privileges are needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from whiteout.display import display_text
from whiteout.errors import UsageError
from whiteout.layers import Marks
from whiteout.layoutfiles import Json, default_store_path, read_index, tag_of
from whiteout.sources.model import Record
from whiteout.sources.root import Root
from whiteout.sources.stack import Kind, LayerStack, StackLayer

if TYPE_CHECKING:
    from whiteout.images import Image

_LAYOUT = "oci"
_ARCHIVE = "docker-archive"


class ImagesSource:
    """Images in layouts and archives. Listed are those that whiteout itself exported."""

    name = "images"
    schemes = (_LAYOUT, _ARCHIVE, "oci-archive")

    def discover(self, root: Root) -> Iterator[Record]:
        """The images of the store that layers are exported to when none is named."""
        path = default_store_path()
        if root.is_host and os.path.isfile(os.path.join(path, "oci-layout")):
            for entry in read_index(path)["manifests"]:
                tag = tag_of(entry)
                if tag is not None:
                    yield _record(_LAYOUT, path, tag, path)

    def resolve(self, scheme: str, rest: str, root: Root) -> Record:
        """The image in the layout or archive that *rest* begins with."""
        path, name = _split(rest, root)
        if not path:
            raise UsageError(f"{scheme}: names nothing; give {scheme}:PATH[:NAME]")
        return _record(scheme, path, name, os.fsdecode(root.resolve(os.fsencode(path))))


def _split(rest: str, root: Root) -> tuple[str, str | None]:
    """Path and name; a path that exists goes before one that ends at a colon."""
    if ":" not in rest or os.path.lexists(root.resolve(os.fsencode(rest))):
        return rest, None
    path, _, name = rest.partition(":")
    return path, name or None


def _record(scheme: str, path: str, name: str | None, place: str) -> Record:
    target = f"{scheme}:{path}" + (f":{name}" if name else "")

    def opener() -> LayerStack:
        return stack_of_image(_image(scheme, place, name), target, place)

    return Record(
        target=target,
        name=name or os.path.basename(path) or path,
        engine=ImagesSource.name,
        kind=Kind.IMAGE,
        group=f"Images ({path})",
        marks=Marks.PLAIN,  # those of an archive are hidden from nobody
        opener=opener,
    )


def _image(scheme: str, place: str, name: str | None) -> Image:
    if scheme == _LAYOUT:
        from whiteout.images import image_of_layout

        return image_of_layout(place, name)
    from whiteout.imagearchives import ImageArchive

    return ImageArchive(place).image(name)


def stack_of_image(image: Image, label: str, place: str) -> LayerStack:
    """The layers of *image*, topmost first; *place* is the path where it lies.

    Raises:
        UsageError: the limit in the environment is malformed, or there are no layers.
    """
    from whiteout.layerarchives import LayerArchive, limits_of_environment

    if not image.layers:
        raise UsageError(f"{display_text(label)} has no layers")
    limits = limits_of_environment()
    history = [entry for entry in image.history if not entry.get("empty_layer")]
    if len(history) != len(image.layers):
        history = [{}] * len(image.layers)
    layers = []
    for number, (layer, told) in enumerate(zip(image.layers, history, strict=True), 1):
        digest = layer.descriptor.digest
        path = os.fsencode(f"{place}/{number}-{digest.partition(':')[2][:12]}")
        layers.append(
            StackLayer(
                path=path,
                name=_text(told, "created_by") or digest,
                kind=Kind.IMAGE_LAYER,
                created=_time(told),
                size=layer.descriptor.size,
                archive=LayerArchive(image.blobs, layer, path, limits),
            )
        )
    return LayerStack(label, tuple(reversed(layers)), image_config=lambda: image.config)


def _text(value: Json, key: str) -> str:
    text = value.get(key)
    return text if isinstance(text, str) else ""


def _time(value: Json) -> float | None:
    from datetime import datetime

    try:
        return datetime.fromisoformat(_text(value, "created")).timestamp()
    except (ValueError, OverflowError):
        return None


SOURCE = ImagesSource()
