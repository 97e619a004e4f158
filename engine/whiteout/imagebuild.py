"""Building an image: config and manifest of layers, alone or on top of another image.

The same layers, base and options give the same bytes: no clock is asked.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from whiteout.contentstore import Descriptor
from whiteout.digests import digest_of
from whiteout.display import display_text
from whiteout.errors import UsageError
from whiteout.images import CONFIG_TYPE, MANIFEST_TYPE, Image, LayerRef
from whiteout.layoutfiles import compact_json
from whiteout.platforms import Platform, host_platform
from whiteout.timestamps import rfc3339

EPOCH = "1970-01-01T00:00:00Z"
CREATED_BY = "whiteout export"
_LATEST = 253_402_300_799  # the end of the year 9999


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """What an image says of itself besides its layers."""

    created: str = EPOCH
    """RFC 3339 time of the image and of its new history."""
    author: str = ""
    comment: str = ""
    """Of the new history."""
    created_by: str = CREATED_BY
    platform: Platform | None = None
    """None: that of the base, or of this machine."""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Of the manifest."""
    config: Mapping[str, object] = field(default_factory=dict, hash=False)
    """Of an image that the layers belong to: environment, command, user, labels, platform and
    history are taken from it; what is malformed in it is not."""


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """The two small blobs of an image, and all its layers from bottom to top."""

    config: bytes
    manifest: bytes
    layers: tuple[LayerRef, ...]

    @property
    def config_descriptor(self) -> Descriptor:
        """The descriptor of the config; its digest is what Docker calls the image's id."""
        return Descriptor(CONFIG_TYPE, digest_of(self.config), len(self.config))

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of the manifest."""
        return Descriptor(MANIFEST_TYPE, digest_of(self.manifest), len(self.manifest))


def source_date_epoch(environment: Mapping[str, str] = os.environ) -> str:
    """The time that ``SOURCE_DATE_EPOCH`` gives, as RFC 3339; 1970 when it is not set.

    Raises:
        UsageError: it is no number of seconds.
    """
    text = environment.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return EPOCH
    if not text.isascii() or not text.isdigit() or int(text) > _LATEST:
        raise UsageError(
            f"SOURCE_DATE_EPOCH is {display_text(text)}; give a number of seconds since 1970"
        )
    return rfc3339(int(text))


def parse_created(text: str) -> str:
    """A time of creation as RFC 3339 in UTC: ``now``, seconds since 1970, or a date and time.

    Raises:
        UsageError: *text* is none of these.
    """
    if text == "now":
        return rfc3339(int(time.time()))
    if text.isascii() and text.isdigit() and int(text) <= _LATEST:
        return rfc3339(int(text))
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        raise UsageError(
            f"{display_text(text)} is not a time; give one such as 2026-01-31T12:00:00Z, or now"
        ) from None


def build_image(
    layers: Sequence[LayerRef],
    options: ImageOptions,
    *,
    base: Image | None = None,
    created_by: Sequence[str] = (),
) -> BuiltImage:
    """The image of *layers*, from bottom to top, on top of those of *base*.

    *created_by* has a line for each of *layers*, where it is not the one of *options*. Of *base*
    the whole config is taken along (environment, command, user, history). Without *layers* it is
    a copy of *base*. Without *base* the config of *options* is taken along.
    """
    lines = list(created_by) or [options.created_by] * len(layers)
    config = dict(base.config) if base is not None else _inherited(options.config)
    told = base.history if base is not None else _history_of(options.config, len(layers))
    if base is None:
        lines = lines[sum(not entry.get("empty_layer") for entry in told) :]
    every = (*(base.layers if base is not None else ()), *layers)
    said = base is not None or "architecture" in config
    platform = options.platform or (None if said else host_platform())
    if platform is not None:
        config.update(os=platform.os, architecture=platform.architecture)
        config.pop("variant", None)
        if platform.variant:
            config["variant"] = platform.variant
    if options.author:
        config["author"] = options.author
    if layers or "created" not in config:
        config["created"] = options.created
    config["rootfs"] = {"type": "layers", "diff_ids": [layer.diff_id for layer in every]}
    config["history"] = [
        *told,
        *(_history(line, options) for line in lines),
    ]
    config = {key: config[key] for key in (*_ORDER, *sorted(config)) if key in config}
    config_bytes = compact_json(config)
    manifest: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": Descriptor(CONFIG_TYPE, digest_of(config_bytes), len(config_bytes)).as_dict(),
        "layers": [layer.descriptor.as_dict() for layer in every],
    }
    if options.annotations:
        manifest["annotations"] = dict(sorted(options.annotations.items()))
    return BuiltImage(config_bytes, compact_json(manifest), every)


_ORDER = ("created", "author", "architecture", "os", "variant", "config", "rootfs", "history")


_OF_PLATFORM = ("architecture", "os", "variant", "os.version", "os.features")


def _inherited(config: Mapping[str, object]) -> dict[str, object]:
    """What an image has of the *config* of another one with the same layers."""
    settings = config.get("config")
    inherited: dict[str, object] = {"config": settings if isinstance(settings, dict) else {}}
    if isinstance(config.get("author"), str):
        inherited["author"] = config["author"]
    if all(isinstance(config.get(key), str) for key in ("architecture", "os")):
        inherited.update({key: config[key] for key in _OF_PLATFORM if config.get(key)})
    return inherited


def _history_of(config: Mapping[str, object], layers: int) -> list[Mapping[str, object]]:
    """The history of the lowest *layers* layers, as *config* tells it; empty where it does not fit
    the layers that *config* names."""
    entries, rootfs = config.get("history"), config.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(entries, list) or not isinstance(diff_ids, list):
        return []
    if not all(isinstance(entry, dict) for entry in entries):
        return []
    if sum(not entry.get("empty_layer") for entry in entries) != len(diff_ids):
        return []
    kept = []
    for entry in entries:
        layers -= not entry.get("empty_layer")
        if layers < 0:
            break
        kept.append(entry)
    return kept


def _history(line: str, options: ImageOptions) -> dict[str, str]:
    entry = {"created": options.created, "created_by": line}
    if options.author:
        entry["author"] = options.author
    if options.comment:
        entry["comment"] = options.comment
    return entry
