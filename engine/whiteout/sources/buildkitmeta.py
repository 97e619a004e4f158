"""``metadata_v2.db``, in which BuildKit keeps what it knows of its cache records.

Each record is a bucket in ``_main``; a value is JSON, ``{"value": …}`` (``cache/metadata.go``,
``cache/metadata/metadata.go``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from whiteout.sources.bolt import Bolt, Bucket
from whiteout.sources.containerdtypes import text


@dataclass(frozen=True, slots=True)
class CacheRecord:
    """One record of the build cache.

    ``snapshots`` are the keys under which its layer may be, the likeliest first. ``mutable`` is the
    record that is not committed yet and has the same layer, if any. ``lazy`` tells that it is a
    blob which was not unpacked yet.
    """

    id: str
    description: str
    parent: str | None
    created: float | None
    size: int | None
    type: str
    snapshots: tuple[str, ...]
    images: tuple[str, ...]
    lazy: bool
    mutable: str = ""


def cache_records(bolt: Bolt) -> Iterator[CacheRecord]:
    """All records but the deleted ones, in the order of their ids.

    Raises:
        ReadError: the database is damaged.
    """
    main = bolt.root.bucket(b"_main")
    for id, bucket in main.buckets() if main is not None else ():
        values = dict(_values(bucket))
        if values.get("cache.deleted") is not True:
            yield _record(text(id), values)


def _values(bucket: Bucket) -> Iterator[tuple[str, object]]:
    for key, data in bucket.values():
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            continue
        if isinstance(document, dict):
            yield text(key), document.get("value")


def _record(id: str, values: dict[str, object]) -> CacheRecord:
    def string(key: str) -> str:
        value = values.get(key)
        return value if isinstance(value, str) else ""

    def number(key: str) -> int | None:
        value = values.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    created, size = number("cache.createdAt"), number("snapshot.size")
    images = values.get("cache.imageRefs")
    keys = (string("cache.snapshot") or id, string("cache.equalMutable"))
    return CacheRecord(
        id,
        string("cache.description"),
        string("cache.parent") or None,
        created / 1e9 if created is not None and 0 < created < 1 << 63 else None,
        size if size is not None and size >= 0 else None,
        string("cache.recordType"),
        tuple(filter(None, keys)),
        tuple(each for each in images if isinstance(each, str)) if isinstance(images, list) else (),
        values.get("cache.blobonly") is True,
        string("cache.equalMutable"),
    )
