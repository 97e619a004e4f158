"""Images of exported layers, so that OCI clients can read a store: config, manifest and tag.

Source: OCI image spec, ``config.md`` and ``manifest.md``. The same layers and history give the
same bytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whiteout.contentstore import ContentStore, Descriptor
from whiteout.digests import check_digest
from whiteout.display import display_text
from whiteout.errors import DigestMismatch, NotFound, StoreError, UsageError
from whiteout.layoutfiles import compact_json, put_manifest, read_index, tag_of
from whiteout.mediatypes import check_media_type

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_EPOCH = "1970-01-01T00:00:00Z"
_CREATED_BY = "whiteout export"
_MAX_TAG = 255
#: The grammar of ``org.opencontainers.image.ref.name`` (OCI image spec, ``annotations.md``).
_COMPONENT = r"[A-Za-z0-9]+(?:(?:--|[-._:@+])[A-Za-z0-9]+)*"
_TAG = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[A-Za-z0-9=_-]+")
#: Names of machines as Go, and so OCI, writes them.
_ARCHITECTURES = {
    "x86_64": "amd64",
    "i686": "386",
    "aarch64": "arm64",
    "armv7l": "arm",
    "armv6l": "arm",
    "loongarch64": "loong64",
}


@dataclass(frozen=True, slots=True)
class LayerRef:
    """A layer of an image: its blob, and the digest of its uncompressed tar."""

    descriptor: Descriptor
    diff_id: str


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
    created_by = [_CREATED_BY] * len(layers) if history is None else list(history)
    if not layers:
        raise UsageError("an image needs at least one layer")
    if len(created_by) != len(layers):
        raise UsageError(f"{len(layers)} layers need as many lines of history")
    for layer in layers:
        _check_layer(store, layer)
    config = {
        "created": _EPOCH,
        "architecture": architecture or _machine(),
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": _EPOCH, "created_by": line} for line in created_by],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _add(store, CONFIG_TYPE, config).as_dict(),
        "layers": [layer.descriptor.as_dict() for layer in layers],
    }
    descriptor = _add(store, MANIFEST_TYPE, manifest)
    put_manifest(store.path, descriptor.as_dict(), tag)
    return descriptor


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


def _add(store: ContentStore, media_type: str, value: object) -> Descriptor:
    info = store.add(compact_json(value))
    return Descriptor(media_type, info.digest, info.size)


def _machine() -> str:
    machine = os.uname().machine
    return _ARCHITECTURES.get(machine, machine)
