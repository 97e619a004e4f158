"""Images as OCI and Docker write them: from a name in an index to config and layers.

Everything is read by digest, and nothing is believed that its digest does not confirm. Source: OCI
image spec, ``image-index.md``, ``manifest.md`` and ``config.md``; Docker's image manifest v2,
schema 2.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO, Protocol

from whiteout.cancel import NEVER, CancelToken
from whiteout.contentstore import ContentStore, Descriptor
from whiteout.digests import ALGORITHM, check_digest
from whiteout.display import display_text
from whiteout.errors import DigestMismatch, NotFound, StoreError, UsageError, reason_of
from whiteout.layoutfiles import INDEX_TYPE, Json, read_index, tag_of
from whiteout.mediatypes import GZIP, TAR, ZSTD
from whiteout.platforms import Platform, host_platform

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_DOCKER = "application/vnd.docker."
_INDEX_TYPES = (INDEX_TYPE, _DOCKER + "distribution.manifest.list.v2+json")
_MANIFEST_TYPES = (MANIFEST_TYPE, _DOCKER + "distribution.manifest.v2+json")
#: Layers by the media types that images give them, and ours for them.
_LAYER_TYPES = {
    **{media_type: media_type for media_type in (TAR, GZIP, ZSTD)},
    **{
        prefix + suffix: ours
        for prefix, suffixes in {
            "application/vnd.oci.image.layer.nondistributable.v1.tar": ("", "+gzip", "+zstd"),
            _DOCKER + "image.rootfs.diff.tar": ("", ".gzip", ".zstd"),
            _DOCKER + "image.rootfs.foreign.diff.tar": ("", ".gzip", ".zstd"),
        }.items()
        for suffix, ours in zip(suffixes, (TAR, GZIP, ZSTD), strict=True)
    },
}
#: Bytes of a manifest, an index or a config (containerd and registries allow 4 MiB).
_MAX_JSON = 8 * 1024 * 1024
_MAX_DEPTH = 4
#: Images of one index, and layers of one image: twice as many as overlayfs mounts.
_MAX_IMAGES, _MAX_LAYERS = 1000, 1000
_CHUNK = 1024 * 1024


class Blobs(Protocol):
    """Where the blobs of an image are."""

    def open(self, digest: str, /) -> BinaryIO:
        """The blob *digest* for reading; raises :class:`NotFound` or :class:`StoreError`."""


@dataclass(frozen=True, slots=True)
class LayerRef:
    """A layer of an image: its blob, and the digest of its uncompressed tar."""

    descriptor: Descriptor
    diff_id: str


@dataclass(frozen=True, slots=True)
class Image:
    """One image of one platform. ``layers`` go from bottom to top."""

    name: str
    """How a person names it, ready to be shown."""
    descriptor: Descriptor
    """Of the manifest, or of the config where there is no manifest."""
    config: Json = field(hash=False)
    layers: tuple[LayerRef, ...]
    blobs: Blobs = field(hash=False, compare=False)

    @property
    def history(self) -> list[Json]:
        """What the config tells of how the image was made, as far as it is well formed."""
        entries = self.config.get("history")
        return [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []

    def up_to(self, count: int) -> Image:
        """The image of the *count* lowest layers alone, with their part of the history."""
        history, left = [], count
        for entry in self.history:
            if not entry.get("empty_layer"):
                left -= 1
            if left < 0:
                break
            history.append(entry)
        diff_ids = [layer.diff_id for layer in self.layers[:count]]
        config = {
            **self.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": history,
        }
        return replace(self, config=config, layers=self.layers[:count])


def verified_chunks(
    blobs: Blobs, descriptor: Descriptor, cancel: CancelToken = NEVER
) -> Iterator[bytes]:
    """The content of the blob in chunks of at most 1 MiB.

    Raises:
        DigestMismatch: after the last chunk, when digest or size are not those of *descriptor*.
        StoreError: the blob cannot be read.
        Cancelled: *cancel* was cancelled.
    """
    digest, size = hashlib.sha256(), 0
    check_digest(descriptor.digest)
    try:
        with blobs.open(descriptor.digest) as file:
            while chunk := file.read(_CHUNK):
                cancel.check()
                digest.update(chunk)
                size += len(chunk)
                if size > descriptor.size:
                    break
                yield chunk
    except OSError as error:
        raise StoreError(f"cannot read the blob {descriptor.digest}: {reason_of(error)}") from None
    found = f"{ALGORITHM}:{digest.hexdigest()}"
    if size != descriptor.size or found != descriptor.digest:
        raise DigestMismatch(
            f"the blob {descriptor.digest} is damaged: it has not the {descriptor.size} bytes of "
            "that digest; get the image again"
        )


def descriptor_of(value: object) -> Descriptor:
    """The descriptor that *value* is in JSON.

    Raises:
        StoreError: it is none, or not one by sha256.
    """
    if isinstance(value, dict):
        media_type, digest, size = (value.get(key) for key in ("mediaType", "digest", "size"))
        annotations = value.get("annotations")
        if (
            isinstance(media_type, str)
            and isinstance(digest, str)
            and isinstance(size, int)
            and not isinstance(size, bool)
            and size >= 0
        ):
            try:
                check_digest(digest)
            except UsageError:
                raise StoreError(
                    f"the image has content by the digest {display_text(digest)[:100]}; only "
                    "sha256 is supported"
                ) from None
            kept = annotations if isinstance(annotations, dict) else {}
            return Descriptor(
                media_type,
                digest,
                size,
                {key: text for key, text in kept.items() if isinstance(text, str)},
            )
    raise StoreError("the image is malformed: a descriptor lacks its media type, digest or size")


def read_json(blobs: Blobs, descriptor: Descriptor) -> Json:
    """The JSON object that the blob holds.

    Raises:
        StoreError: it is too large, damaged, or no JSON object.
    """
    if descriptor.size > _MAX_JSON:
        raise StoreError(f"the blob {descriptor.digest} is too large for what it should be")
    content = b"".join(verified_chunks(blobs, descriptor))
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise StoreError(f"the blob {descriptor.digest} is not a JSON object")
    return value


def image_of_layout(path: str, tag: str | None = None, platform: Platform | None = None) -> Image:
    """The image *tag* of the OCI image layout at *path*; without a tag, its only one.

    Of an image for several platforms it is the one for *platform*, or for this machine.

    Raises:
        NotFound: there is no layout, tag or image for that platform.
        UsageError: there are several images and no tag is given.
        StoreError: something cannot be read or is malformed.
    """
    store = ContentStore(path, create=False)
    shown = f"oci:{display_text(path)}" + (f":{display_text(tag)}" if tag else "")
    return image_of(store, _tagged(read_index(path)["manifests"], tag, shown), shown, platform)


def _tagged(entries: Sequence[Json], tag: str | None, shown: str) -> Descriptor:
    names = sorted({name for entry in entries if (name := tag_of(entry)) is not None})
    known = f"it has {', '.join(map(display_text, names[:20]))}" if names else "it has no tags"
    if tag is None:
        if not entries:
            raise NotFound(f"{shown} holds no image")
        if len({str(entry.get("digest")) for entry in entries}) > 1:
            raise UsageError(f"{shown} holds several images; name one by its tag: {known}")
        return descriptor_of(entries[0])
    for entry in entries:
        if tag_of(entry) == tag:
            return descriptor_of(entry)
    raise NotFound(f"{shown} is not there: the layout has no such tag; {known}")


def image_of(
    blobs: Blobs, descriptor: Descriptor, shown: str, platform: Platform | None = None
) -> Image:
    """The image behind *descriptor*, which is of a manifest or an index.

    Raises:
        NotFound: there is no image for that platform.
        StoreError: something cannot be read or is malformed.
    """
    for _ in range(_MAX_DEPTH):
        value = read_json(blobs, descriptor)
        if descriptor.media_type in _INDEX_TYPES:
            descriptor = _of_platform(value, shown, platform)
        elif descriptor.media_type in _MANIFEST_TYPES:
            return _image(blobs, descriptor, value, shown, platform)
        else:
            raise StoreError(
                f"{shown} is no image: its media type is {display_text(descriptor.media_type)}"
            )
    raise StoreError(f"{shown} is malformed: its indexes are nested too deeply")


def _of_platform(index: Json, shown: str, platform: Platform | None) -> Descriptor:
    entries = index.get("manifests")
    if not isinstance(entries, list) or not entries:
        raise StoreError(f"{shown} is an index without images")
    if len(entries) > _MAX_IMAGES:
        raise StoreError(
            f"{shown} is an index of {len(entries):,} images; at most {_MAX_IMAGES:,} are read"
        )
    found = [(platform_of(entry.get("platform")), entry) for entry in entries if _is_object(entry)]
    known = [(said, entry) for said, entry in found if said is None or said.os != "unknown"]
    if len(known) == 1 and platform is None:
        return descriptor_of(known[0][1])
    wanted = platform or host_platform()
    for said, entry in known:
        if said is not None and said.matches(wanted):
            return descriptor_of(entry)
    there = ", ".join(sorted({str(said) for said, _ in known if said is not None})) or "none"
    raise NotFound(f"{shown} has no image for {wanted}; it has {display_text(there)}")


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def platform_of(value: object) -> Platform | None:
    """The platform that a JSON object with ``os`` and ``architecture`` says, or None."""
    if not isinstance(value, dict):
        return None
    system, architecture, variant = (value.get(key) for key in ("os", "architecture", "variant"))
    if not isinstance(system, str) or not isinstance(architecture, str):
        return None
    return Platform(system, architecture, variant if isinstance(variant, str) else "")


def _image(
    blobs: Blobs, descriptor: Descriptor, manifest: Json, shown: str, platform: Platform | None
) -> Image:
    config = read_json(blobs, descriptor_of(manifest.get("config")))
    said = platform_of(config)
    if platform is not None and said is not None and not said.matches(platform):
        raise NotFound(f"{shown} has no image for {platform}; it is for {display_text(str(said))}")
    entries = manifest.get("layers")
    if not isinstance(entries, list):
        raise StoreError(f"{shown} is malformed: its manifest has no layers")
    return Image(shown, descriptor, config, layers_of(entries, config, shown), blobs)


def layers_of(entries: Sequence[object], config: Json, shown: str) -> tuple[LayerRef, ...]:
    """The layers that descriptors and a config give, media types in OCI's words.

    Raises:
        StoreError: they do not fit each other, or a layer is of a kind that is not known.
    """
    diff_ids = diff_ids_of(config, shown)
    if len(diff_ids) != len(entries):
        raise StoreError(
            f"{shown} is malformed: it has {len(entries)} layers and {len(diff_ids)} diffIDs"
        )
    layers = []
    for entry, diff_id in zip(entries, diff_ids, strict=True):
        descriptor = descriptor_of(entry)
        media_type = _LAYER_TYPES.get(descriptor.media_type)
        if media_type is None:
            raise StoreError(
                f"{shown} has a layer of media type {display_text(descriptor.media_type)}, which "
                "is not known here"
            )
        layers.append(LayerRef(replace(descriptor, media_type=media_type), diff_id))
    return tuple(layers)


def diff_ids_of(config: Json, shown: str) -> list[str]:
    """The diffIDs of an image's config.

    Raises:
        StoreError: there are none, or not ones by sha256.
    """
    rootfs = config.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or not all(isinstance(one, str) for one in diff_ids):
        raise StoreError(f"{shown} is malformed: its config has no diffIDs")
    if len(diff_ids) > _MAX_LAYERS:
        raise StoreError(f"{shown} has {len(diff_ids):,} layers; at most {_MAX_LAYERS:,} are read")
    try:
        return [check_digest(diff_id) for diff_id in diff_ids]
    except UsageError as error:
        raise StoreError(f"{shown} is malformed: {error}") from None
