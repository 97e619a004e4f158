"""``meta.db``, in which containerd keeps the containers, images and snapshots of all namespaces.

The snapshots here are those that clients see: each has its key, and the name under which the
snapshotter knows it (``metadata/buckets.go``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from whiteout.sources.bolt import Bolt, Bucket
from whiteout.sources.containerdtypes import labels, text, timestamp

_REFERS = "containerd.io/gc.ref.content"
_UNPACKED = "containerd.io/gc.ref.snapshot."
_MOST_BLOBS = 1000


@dataclass(frozen=True, slots=True)
class MetaSnapshot:
    """A snapshot as clients see it; ``name`` is what the snapshotter calls it."""

    snapshotter: str
    key: str
    name: str
    parent: str | None
    created: float | None
    labels: dict[str, str]


@dataclass(frozen=True, slots=True)
class MetaContainer:
    """A container, and the snapshot that it runs on."""

    id: str
    image: str
    snapshotter: str
    snapshot_key: str
    created: float | None
    labels: dict[str, str]


@dataclass(frozen=True, slots=True)
class MetaImage:
    """An image: a name for the blob with the digest ``target``.

    ``unpacked`` are the snapshots that its platforms were unpacked to: the snapshotter, the key,
    and the digest of the platform's config.
    """

    name: str
    target: str
    created: float | None
    unpacked: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Namespace:
    """What one namespace holds."""

    name: str
    containers: tuple[MetaContainer, ...] = ()
    images: tuple[MetaImage, ...] = ()
    snapshots: dict[tuple[str, str], MetaSnapshot] = field(default_factory=dict)
    """By snapshotter and key."""


def namespaces(bolt: Bolt) -> Iterator[Namespace]:
    """All namespaces, in the order of their names.

    Raises:
        ReadError: the database is damaged.
    """
    version = bolt.root.bucket(b"v1")
    if version is None:
        return
    for name, bucket in version.buckets():
        yield Namespace(
            text(name),
            tuple(_containers(bucket)),
            tuple(_images(bucket)),
            {(each.snapshotter, each.key): each for each in _snapshots(bucket)},
        )


def _containers(namespace: Bucket) -> Iterator[MetaContainer]:
    containers = namespace.bucket(b"containers")
    for id, bucket in containers.buckets() if containers is not None else ():
        yield MetaContainer(
            text(id),
            text(bucket.get(b"image")),
            text(bucket.get(b"snapshotter")),
            text(bucket.get(b"snapshotKey")),
            timestamp(bucket.get(b"createdat")),
            labels(bucket),
        )


def _snapshots(namespace: Bucket) -> Iterator[MetaSnapshot]:
    snapshotters = namespace.bucket(b"snapshots")
    for snapshotter, snapshots in snapshotters.buckets() if snapshotters is not None else ():
        for key, bucket in snapshots.buckets():
            yield MetaSnapshot(
                text(snapshotter),
                text(key),
                text(bucket.get(b"name")),
                text(bucket.get(b"parent")) or None,
                timestamp(bucket.get(b"createdat")),
                labels(bucket),
            )


def _images(namespace: Bucket) -> Iterator[MetaImage]:
    images = namespace.bucket(b"images")
    blobs = namespace.bucket(b"content", b"blob")
    for name, bucket in images.buckets() if images is not None else ():
        target = bucket.bucket(b"target")
        digest = text(target.get(b"digest")) if target is not None else ""
        yield MetaImage(
            text(name),
            digest,
            timestamp(bucket.get(b"createdat")),
            tuple(_unpacked(blobs, digest)) if blobs is not None else (),
        )


def _unpacked(blobs: Bucket, digest: str) -> Iterator[tuple[str, str, str]]:
    """The snapshots below the blob *digest*: labels lead from index to manifest to config."""
    pending, seen = [digest], {digest}
    while pending and len(seen) < _MOST_BLOBS:
        blob = pending.pop(0)
        bucket = blobs.bucket(blob.encode("utf-8", "surrogateescape"))
        if bucket is None:
            continue
        for name, value in labels(bucket).items():
            if name.startswith(_UNPACKED):
                yield name.removeprefix(_UNPACKED), value, blob
            elif name.startswith(_REFERS) and value not in seen:
                seen.add(value)
                pending.append(value)
