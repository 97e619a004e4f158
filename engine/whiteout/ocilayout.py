"""Images of exported layers, so that OCI clients can read a store: config, manifest and tag.

Source: OCI image spec, ``config.md`` and ``manifest.md``. The same layers and history give the
same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from whiteout.contentstore import ContentStore, Descriptor
from whiteout.digests import check_digest
from whiteout.display import display_text
from whiteout.errors import DigestMismatch, NotFound, StoreError, UsageError
from whiteout.imagebuild import CREATED_BY, BuiltImage, ImageOptions, build_image
from whiteout.images import LayerRef as LayerRef
from whiteout.layoutfiles import put_manifest, read_index, tag_of
from whiteout.mediatypes import check_media_type
from whiteout.platforms import Platform

_MAX_TAG = 255
#: The grammar of ``org.opencontainers.image.ref.name`` (OCI image spec, ``annotations.md``).
_COMPONENT = r"[A-Za-z0-9]+(?:(?:--|[-._:@+])[A-Za-z0-9]+)*"
_TAG = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[A-Za-z0-9=_-]+")


def check_tag(tag: str) -> str:
    """*tag* itself when OCI allows it as name of an image in a layout.

    Raises:
        UsageError: it does not follow the grammar, or is longer than 255 characters.
    """
    if len(tag) > _MAX_TAG or not _TAG.fullmatch(tag):
        raise UsageError(
            f"{display_text(tag[:_MAX_TAG])} is not a valid tag; use letters and digits, "
            "single characters of -._:@+/ between them"
        )
    return tag


def tag_image(
    store: ContentStore,
    layers: Sequence[LayerRef],
    tag: str,
    history: Sequence[str] | None = None,
    architecture: str | None = None,
) -> Descriptor:
    """Make an image of *layers*, bottom to top, and tag it in *store*; the result is its manifest.

    *history* says for each layer what created it. *architecture* is Go's word for one
    (``amd64``); without it, that of this machine.

    Raises:
        UsageError: *tag*, a layer or the length of *history* is wrong.
        NotFound: *store* does not have the blob of a layer.
        DigestMismatch: the blob of a layer has another size than its descriptor.
        StoreError: *store* cannot be written.
    """
    check_tag(tag)
    created_by = [CREATED_BY] * len(layers) if history is None else list(history)
    if not layers:
        raise UsageError("an image needs at least one layer")
    if len(created_by) != len(layers):
        raise UsageError(f"{len(layers)} layers need as many lines of history")
    for layer in layers:
        _check_layer(store, layer)
    system = None if architecture is None else Platform("linux", architecture)
    built = build_image(layers, ImageOptions(platform=system), created_by=created_by)
    add_image(store, built, tag)
    return built.descriptor


def add_image(store: ContentStore, image: BuiltImage, tag: str) -> None:
    """Add config and manifest of *image* to *store*, whose blobs of layers are there, and tag it.

    Raises:
        StoreError: *store* cannot be written.
    """
    store.add(image.config)
    store.add(image.manifest)
    put_manifest(store.path, image.descriptor.as_dict(), tag)


def tags(store: ContentStore) -> Mapping[str, Descriptor]:
    """The tagged images of *store*, in the order of its index.

    Raises:
        StoreError: the index cannot be read, or an entry of it is malformed.
    """
    found: dict[str, Descriptor] = {}
    for entry in read_index(store.path)["manifests"]:
        tag = tag_of(entry)
        if tag is None or tag in found:
            continue
        media_type, digest, size = (entry.get(key) for key in ("mediaType", "digest", "size"))
        if (
            not isinstance(media_type, str)
            or not isinstance(digest, str)
            or not _DIGEST.fullmatch(digest)
            or not isinstance(size, int)
            or size < 0
        ):
            raise StoreError(
                f"the entry of tag {display_text(tag)} in the store's index.json is malformed; "
                "tag the image again"
            )
        annotations = {
            key: value for key, value in entry["annotations"].items() if isinstance(value, str)
        }
        found[tag] = Descriptor(media_type, digest, size, annotations)
    return found


def resolve(store: ContentStore, tag: str) -> Descriptor:
    """The manifest that *tag* names.

    Raises:
        NotFound: *store* has no such tag.
        StoreError: see :func:`tags`.
    """
    try:
        return tags(store)[tag]
    except KeyError:
        raise NotFound(f"the store has no image tagged {display_text(tag)}") from None


def _check_layer(store: ContentStore, layer: LayerRef) -> None:
    check_media_type(layer.descriptor.media_type)
    check_digest(layer.diff_id)
    size = store.info(layer.descriptor.digest).size
    if size != layer.descriptor.size:
        raise DigestMismatch(
            f"the blob {layer.descriptor.digest} has {size} bytes, "
            f"not {layer.descriptor.size}; export the layer again"
        )
