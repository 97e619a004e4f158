"""What one store of containerd holds: the containers, images and snapshots of its namespaces."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from whiteout.display import display_path, display_text
from whiteout.errors import (
    MountError,
    ReadError,
    WhiteoutError,
    read_error,
    reason_of,
)
from whiteout.sources.bolt import open_bolt
from whiteout.sources.containerdmeta import (
    MetaContainer,
    MetaImage,
    MetaSnapshot,
    Namespace,
    namespaces,
)
from whiteout.sources.containerdroots import StoreRoot
from whiteout.sources.documents import read_blob
from whiteout.sources.model import Record
from whiteout.sources.places import Place, place_of
from whiteout.sources.snapshotter import SnapshotEntry, SnapshotKind, Snapshotter
from whiteout.sources.stack import Kind, LayerStack, StackLayer

_FUSE = "fuse-overlayfs"
#: The snapshotters whose layers are directories for overlayfs.
_OVERLAY = ("overlayfs", _FUSE)
#: What Docker puts between an image and a container (moby: ``daemon/containerd``).
_INIT_OF_DOCKER = re.compile(r"[0-9a-f]{64}-init")
_NERDCTL_NAME = "nerdctl/name"
_POD = ("io.kubernetes.pod.namespace", "io.kubernetes.pod.name", "io.kubernetes.container.name")


def store_records(place: StoreRoot, engine: str = "containerd") -> Iterator[Record]:
    """What the store at *place* holds; the reason when it cannot be read."""
    try:
        store = _Store(place, engine)
        found = list(namespaces(open_bolt(place.meta)))
    except ReadError as error:
        yield unreadable(engine, place, _advice(error))
    except OSError as error:
        path = error.filename if isinstance(error.filename, bytes) else place.path
        yield unreadable(engine, place, _advice(read_error("read", path, error)))
    else:
        for namespace in found:
            yield from store.records(namespace)


def unreadable(engine: str, place: StoreRoot, problem: str) -> Record:
    """The record of a store that cannot be read."""
    return Record("", engine, engine, Kind.STORE, group_of(engine, place), problem=problem)


def group_of(engine: str, place: StoreRoot, namespace: str | None = None) -> str:
    """The heading of a store, or of one of its namespaces."""
    where = "" if namespace is None else f" · namespace {namespace}"
    return f"{engine}{where} · {os.fsdecode(place.shown)}"


def _advice(error: ReadError) -> str:
    text = str(error)
    return f"{text}; run as a user who may" if text.endswith("permission denied") else text


class _Store:
    """One store while it is listed."""

    def __init__(self, place: StoreRoot, engine: str) -> None:
        self._place = place
        self._engine = engine
        self._snapshotters: dict[str, Snapshotter | str] = {}
        self._numbers: dict[str, frozenset[int]] = {}
        self._depths: dict[str, dict[str, int]] = {}
        self._owner = place_of(place.root, place.path, named=False)

    def records(self, namespace: Namespace) -> Iterator[Record]:
        taken = set()
        for container in namespace.containers:
            taken.add((container.snapshotter, container.snapshot_key))
            yield self._container(namespace, container)
        yield from self._images(namespace)
        for snapshot in namespace.snapshots.values():
            if (snapshot.snapshotter, snapshot.key) not in taken:
                yield self._snapshot(namespace, snapshot)

    def _container(self, namespace: Namespace, container: MetaContainer) -> Record:
        pod = [container.labels[label] for label in _POD if label in container.labels]
        name = container.labels.get(_NERDCTL_NAME) or "/".join(pod) or container.id
        snapshot = namespace.snapshots.get((container.snapshotter, container.snapshot_key))
        record = self._record(
            namespace,
            container.snapshot_key or container.id,
            name,
            Kind.CONTAINER,
            snapshot,
            container.snapshotter,
        )
        aliases = tuple(dict.fromkeys((container.id, container.snapshot_key)))
        notes = (container.image,) if container.image else ()
        images = (each for each in namespace.images if each.name == container.image)
        unpacked = [every for each in images for every in each.unpacked]
        config = next((one for name, _, one in unpacked if name == container.snapshotter), "")
        return replace(
            record,
            created=container.created,
            aliases=aliases,
            notes=notes,
            opener=_with_config(record, self._place, config),
        )

    def _images(self, namespace: Namespace) -> Iterator[Record]:
        """One record for each image; its names by digest are aliases of the name with a tag."""
        by_target: dict[str, list[MetaImage]] = {}
        for image in namespace.images:
            by_target.setdefault(image.target, []).append(image)
        for target, images in by_target.items():
            tagged = [each for each in images if "@" not in each.name and not _is_digest(each.name)]
            digests = [each for each in images if each not in tagged]
            for position, image in enumerate(tagged or digests[:1]):
                others = digests if position == 0 else ()
                aliases = dict.fromkeys((target, *(other.name for other in others)))
                aliases.pop(image.name, None)
                yield self._image(namespace, image, tuple(aliases))

    def _image(self, namespace: Namespace, image: MetaImage, aliases: tuple[str, ...]) -> Record:
        unpacked = sorted(image.unpacked, key=lambda each: each[0] not in _OVERLAY)
        snapshotter, key, config = unpacked[0] if unpacked else ("", "", "")
        snapshot = namespace.snapshots.get((snapshotter, key))
        record = self._record(namespace, image.name, image.name, Kind.IMAGE, snapshot, snapshotter)
        problem = record.problem
        if snapshot is None:
            problem = "it is not unpacked, so there is no snapshot of it here"
        found = self._snapshotter(snapshotter) if snapshot is not None else None
        size = None
        if snapshot is not None and isinstance(found, Snapshotter) and problem is None:
            size = _sum(entry.size for entry in found.chain(snapshot.name))
        return replace(
            record,
            created=image.created,
            size=size,
            parent=None,
            aliases=aliases,
            problem=problem,
            opener=_with_config(record, self._place, config),
        )

    def _snapshot(self, namespace: Namespace, snapshot: MetaSnapshot) -> Record:
        found = self._snapshotter(snapshot.snapshotter)
        entry = found.get(snapshot.name) if isinstance(found, Snapshotter) else None
        kind = kind_of(snapshot.key, entry)
        key = snapshot.key
        return self._record(namespace, key, key, kind, snapshot, snapshot.snapshotter)

    def _record(
        self,
        namespace: Namespace,
        key: str,
        name: str,
        kind: Kind,
        snapshot: MetaSnapshot | None,
        snapshotter: str,
    ) -> Record:
        record = Record(
            target=f"{self._engine}://{namespace.name}/{key}",
            name=name,
            engine=self._engine,
            kind=kind,
            group=group_of(self._engine, self._place, namespace.name),
        )
        found = self._snapshotter(snapshotter) if snapshotter else None
        if isinstance(found, str):
            return replace(record, problem=found)
        entry = found.get(snapshot.name) if found is not None and snapshot is not None else None
        if found is None or snapshot is None or entry is None:
            return replace(record, problem="its snapshot is gone")
        depth = found.depth(entry.name, self._depths.setdefault(snapshotter, {}))
        problem = None
        numbers = self._numbers[snapshotter]
        chain = () if depth is None else found.chain(entry.name)
        gone = next((each for each in chain if each.number not in numbers), None)
        if depth is None:
            problem = "a snapshot below it is gone"
        elif gone is not None:
            problem = f"its directory {display_path(found.path(gone))} is gone"
        elif entry.kind is SnapshotKind.VIEW and entry.parent is not None:
            depth -= 1
        inner, owner = entry.name, self._owner
        return replace(
            record,
            parent=snapshot.parent,
            layers=depth,
            created=entry.created,
            size=entry.size if entry.kind is SnapshotKind.COMMITTED else None,
            problem=problem,
            marks=owner.marks,
            opener=lambda: stack_of(found.directory, inner, name, kind, owner)._replace(
                fuse=snapshotter == _FUSE
            ),
        )

    def _snapshotter(self, name: str) -> Snapshotter | str:
        """The snapshotter *name*, or the reason why its layers cannot be opened."""
        if name not in self._snapshotters:
            self._snapshotters[name] = self._open(name)
        return self._snapshotters[name]

    def _open(self, name: str) -> Snapshotter | str:
        if name not in _OVERLAY:
            return f"the snapshotter {display_text(name)} does not make layers of overlayfs"
        try:
            snapshotter = Snapshotter(self._place.snapshotter(name), self._place.root)
            self._numbers[name] = snapshotter.numbers()
        except WhiteoutError as error:
            return str(error)
        except OSError as error:
            return f"cannot list the snapshots of {display_text(name)}: {reason_of(error)}"
        return snapshotter


def _with_config(record: Record, place: StoreRoot, digest: str) -> Callable[[], LayerStack] | None:
    """The opener of *record*, whose stack knows the image's config, the blob *digest*."""
    opener = record.opener
    if opener is None or not _is_digest(digest):
        return opener

    def opened() -> LayerStack:
        return opener()._replace(image_config=lambda: read_blob(place.blob(digest), digest))

    return opened


def kind_of(key: str, entry: SnapshotEntry | None) -> Kind:
    """What a snapshot is, as far as its key and its snapshotter tell."""
    if entry is not None and entry.kind is SnapshotKind.VIEW:
        return Kind.VIEW
    if entry is not None and entry.kind is SnapshotKind.COMMITTED:
        if _is_digest(key):
            return Kind.IMAGE_LAYER
        if _INIT_OF_DOCKER.fullmatch(key):
            return Kind.INIT_LAYER
    return Kind.SNAPSHOT


def stack_of(directory: bytes, name: str, label: str, kind: Kind, owner: Place) -> LayerStack:
    """The layers of the snapshot that the snapshotter at *directory* calls *name*.

    *owner* tells whose store it is, and so how owners and marks are read.

    Raises:
        MountError: it is gone.
        ReadError: the database cannot be read.
    """
    snapshotter = Snapshotter(directory, owner.root)
    chain = snapshotter.chain(name)
    shown = chain[1:] if chain[0].kind is SnapshotKind.VIEW and len(chain) > 1 else chain
    if not shown:
        raise MountError(f"{display_text(label)} has no layers")
    layers = []
    for position, entry in enumerate(shown):
        key = client_key(entry.name)
        own = position == 0 and shown is chain
        layers.append(
            StackLayer(
                snapshotter.path(entry),
                key,
                kind if own and kind is not Kind.IMAGE else kind_of(key, entry),
                entry.created,
                entry.size if entry.kind is SnapshotKind.COMMITTED else None,
                owner.idmap,
                store=snapshotter.store,
            )
        )
    guard = snapshotter.guard(chain)
    return LayerStack(label, tuple(layers), marks=owner.marks, check=guard.check)


def client_key(name: str) -> str:
    """The key by which clients know the snapshot ``namespace/number/key``."""
    parts = name.split("/", 2)
    return parts[2] if len(parts) == 3 and parts[1].isdecimal() else name


def _is_digest(name: str) -> bool:
    return name.startswith("sha256:")


def _sum(sizes: Iterator[int | None]) -> int | None:
    """The sum, when every one is known."""
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total
