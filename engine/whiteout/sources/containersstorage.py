"""One store of containers-storage (podman, buildah, CRI-O), read without any of them.

With the driver ``overlay`` (containers/storage: ``layers.go``, ``images.go``, ``containers.go``,
``drivers/overlay``) it holds:

* ``overlay-layers/layers.json``: layers with parent, sizes, digests and id maps;
* ``overlay-images/images.json``: images with their names and their topmost layer;
* ``overlay-containers/containers.json``: containers with names, layer and id maps;
* beside each a ``volatile-*.json`` of what shall not survive a reboot, in transient stores below
  the run root;
* ``overlay/LAYER/diff``: the directories; ``overlay/.has-mount-program`` tells whether
  fuse-overlayfs mounts them.

The files are replaced by rename(2), so reading takes no lock. Layers of an image may lie in an
additional image store.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial

from whiteout.display import display_path, display_text
from whiteout.errors import MountError, ReadError, UsageError, read_error, reason_of
from whiteout.idmap import IdMap, IdRange
from whiteout.sources.documents import (
    Document,
    members,
    number,
    objects,
    read_line,
    read_object,
    read_objects,
    seconds,
    text,
    texts,
)
from whiteout.sources.links import guard
from whiteout.sources.model import Record
from whiteout.sources.places import Place
from whiteout.sources.stack import Kind, LayerStack, StackLayer
from whiteout.sources.subids import compose

_DRIVER = "overlay"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_PREFIXES = ("localhost/", "docker.io/library/", "docker.io/")
_LATEST = ":latest"


@dataclass(frozen=True, slots=True)
class _Home:
    """One directory that holds layers: the store itself or an additional image store."""

    path: bytes

    def layer(self, identity: str) -> bytes:
        """The directory of a layer."""
        return os.path.join(self.path, b"overlay", os.fsencode(identity))


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer as its store describes it."""

    id: str
    home: _Home
    document: Document

    @property
    def parent(self) -> str:
        return text(self.document, "parent")


class StorageRoot:
    """The images, layers and containers of one store, each file read when it is needed."""

    def __init__(
        self, place: Place, image_stores: tuple[bytes, ...] = (), run_root: bytes | None = None
    ) -> None:
        self._place = place
        self._group = place.group("Podman" if place.idmap is None else "Podman, rootless")
        self._homes = tuple(_Home(path) for path in (place.path, *image_stores))
        self._run_root = run_root
        self._problems: list[str] = []

    def records(self) -> Iterator[Record]:
        """Containers first, then images, then their layers."""
        try:
            names = os.listdir(self._place.path)
        except OSError as error:
            yield self._unreadable(
                f"cannot list {display_path(self._place.path)}: {reason_of(error)}"
            )
            return
        if os.fsencode(f"{_DRIVER}-layers") in names:
            yield from map(self._container, self._containers)
            for image in self._images:
                if text(image, "id"):
                    yield self._image(image)
            yield from self._layer_records()
            yield from map(self._unreadable, self._problems)
        for name in sorted(map(os.fsdecode, names)):
            driver = name.removesuffix("-layers")
            if name.endswith("-layers") and driver != _DRIVER:
                yield self._unreadable(_other_driver(driver))

    def _unreadable(self, problem: str) -> Record:
        return Record(
            target="",
            name=self._place.words,
            engine="podman",
            kind=Kind.STORE,
            group=self._group,
            problem=problem,
        )

    # Documents

    def _read(self, home: bytes, what: str) -> list[Document]:
        """The objects of ``overlay-WHAT/WHAT.json`` and of its volatile part."""
        files = [
            os.path.join(home, os.fsencode(f"{_DRIVER}-{what}/{prefix}{what}.json"))
            for prefix in ("", "volatile-")
        ]
        if self._run_root is not None and home == self._place.path:
            files.append(
                os.path.join(self._run_root, os.fsencode(f"{_DRIVER}-{what}/volatile-{what}.json"))
            )
        found: list[Document] = []
        for path in files:
            try:
                found += read_objects(self._place.root.settle(path))
            except FileNotFoundError:
                continue
            except ReadError as error:
                self._problems.append(str(error))
            except OSError as error:
                self._problems.append(str(read_error("read", path, error)))
        return [document for document in found if _ID.fullmatch(text(document, "id"))]

    @cached_property
    def _layers(self) -> dict[str, _Layer]:
        found: dict[str, _Layer] = {}
        for home in self._homes:
            for document in self._read(home.path, "layers"):
                identity = text(document, "id")
                found.setdefault(identity, _Layer(identity, home, document))
        return found

    @cached_property
    def _images(self) -> list[Document]:
        return self._read(self._place.path, "images")

    @cached_property
    def _containers(self) -> list[Document]:
        return self._read(self._place.path, "containers")

    def _chain(self, identity: str) -> tuple[_Layer, ...]:
        """The layer and those below it, topmost first; shorter where one is not known."""
        chain: dict[str, _Layer] = {}
        while identity in self._layers and identity not in chain:
            chain[identity] = self._layers[identity]
            identity = chain[identity].parent
        return tuple(chain.values())

    # Records

    def _container(self, document: Document) -> Record:
        identity = text(document, "id")
        names = texts(document, "names")
        name = names[0] if names else identity
        metadata = _metadata(document)
        image = text(metadata, "image-name") or self._image_name(text(document, "image"))
        return Record(
            target=self._place.target("podman", name),
            name=name,
            engine="podman",
            kind=Kind.CONTAINER,
            group=self._group,
            parent=image or None,
            layers=len(self._chain(text(document, "layer"))) or None,
            created=seconds(text(document, "created")),
            aliases=(*names[1:], identity),
            notes=self._owner(document, metadata),
            problem=self._problem(text(document, "layer")),
            marks=self._place.marks,
            opener=partial(self._container_stack, name, document),
        )

    def _owner(self, document: Document, metadata: Document) -> tuple[str, ...]:
        """Whose container it is, when it is not podman's own."""
        notes = []
        if "pod-name" in metadata or "metadata-name" in metadata:
            pod = text(metadata, "pod-name")
            notes.append(f"CRI-O, pod {pod}" if pod else "CRI-O")
        elif not metadata:
            notes.append("Buildah")
        if objects(document, "uidmap"):
            notes.append("id-mapped")
        return tuple(notes)

    def _image(self, document: Document) -> Record:
        identity = text(document, "id")
        names = texts(document, "names")
        name = names[0] if names else identity
        chain = self._chain(text(document, "layer"))
        sizes = [number(layer.document, "diff-size") for layer in chain]
        known = [size for size in sizes if size is not None]
        problem = self._problem(text(document, "layer"))
        return Record(
            target=self._place.target("podman", name),
            name=name,
            engine="podman",
            kind=Kind.IMAGE,
            group=self._group,
            layers=len(chain) or None,
            created=seconds(text(document, "created")),
            size=sum(known) if len(known) == len(chain) else None,
            aliases=tuple(
                dict.fromkeys((*names[1:], *_short_names(names), identity, f"sha256:{identity}"))
            ),
            problem=problem,
            marks=self._place.marks,
            opener=partial(self._image_stack, name, document),
        )

    def _image_stack(self, name: str, document: Document) -> LayerStack:
        stack = self._stack(name, text(document, "layer"), Kind.IMAGE_LAYER, None)
        return stack._replace(image_config=partial(self._image_config, text(document, "id")))

    def _image_config(self, identity: str) -> Document:
        """The config of an image, which is kept under its digest, encoded for a file name.

        Raises:
            ReadError: it cannot be read.
        """
        for home in self._homes if _ID.fullmatch(identity) else ():
            name = b"=" + base64.b64encode(f"sha256:{identity}".encode())
            path = os.path.join(home.path, b"overlay-images", os.fsencode(identity), name)
            with suppress(FileNotFoundError):
                return read_object(self._place.root.settle(path))
        return {}

    def _image_name(self, identity: str) -> str:
        return self._image_names.get(identity, identity)

    @cached_property
    def _image_names(self) -> dict[str, str]:
        return {
            text(image, "id"): names[0]
            for image in self._images
            if (names := texts(image, "names"))
        }

    def _layer_records(self) -> Iterator[Record]:
        used = {text(container, "layer") for container in self._containers}
        tops = {text(i, "layer"): next(iter(texts(i, "names")), "") for i in self._images}
        for layer in self._layers.values():
            if layer.id in used or layer.home.path != self._place.path:
                continue
            digest = text(layer.document, "diff-digest")
            notes = [f"topmost of {tops[layer.id]}"] if tops.get(layer.id) else []
            yield Record(
                target=self._place.target("podman", layer.id),
                name=layer.id,
                engine="podman",
                kind=Kind.IMAGE_LAYER if digest else Kind.LAYER,
                group=self._group,
                parent=layer.parent or None,
                layers=len(self._chain(layer.id)),
                created=seconds(text(layer.document, "created")),
                size=number(layer.document, "diff-size"),
                aliases=tuple(
                    dict.fromkeys(filter(None, (digest, *texts(layer.document, "names"))))
                ),
                notes=tuple(notes),
                problem=self._problem(layer.id),
                marks=self._place.marks,
                opener=partial(self._stack, layer.id, layer.id, Kind.IMAGE_LAYER, None),
            )

    def _problem(self, top: str) -> str | None:
        if not top:
            return "it has no layers"
        chain = self._chain(top)
        if not chain:
            return f"its layer {display_text(top)} is in no layers.json"
        for layer in chain:
            present, path = self._present[layer.home], layer.home.layer(layer.id)
            known = present is None or os.fsencode(layer.id) in present
            if not known and not os.path.lexists(path):  # else it is younger than the list
                return f"its directory {display_path(path)} is gone"
            if dict(members(layer.document, "flags")).get("incomplete") is True:
                return f"its layer {display_text(layer.id)} is incomplete: being made, or deleted"
        missing = chain[-1].parent
        if missing:
            if any(layer.id == missing for layer in chain):
                return f"its layers are damaged: {display_text(missing)} is below itself"
            return (
                f"its layer {display_text(missing)} is in no layers.json; it may belong to an"
                " additional image store"
            )
        return None

    @cached_property
    def _present(self) -> dict[_Home, frozenset[bytes] | None]:
        """The directories of layers in each home; None where they cannot be listed."""
        found: dict[_Home, frozenset[bytes] | None] = {}
        for home in self._homes:
            try:
                path = self._place.root.settle(os.path.join(home.path, b"overlay"))
                found[home] = frozenset(os.listdir(path))
            except OSError:
                found[home] = None
        return found

    # Stacks

    def _container_stack(self, name: str, document: Document) -> LayerStack:
        """The layers of a container, its own with the container's id map.

        Raises:
            MountError: one of them is not there.
        """
        own = _idmap(document)
        stack = self._stack(name, text(document, "layer"), Kind.CONTAINER, own)
        return stack._replace(image_config=partial(self._image_config, text(document, "image")))

    def _stack(self, label: str, top: str, kind: Kind, own: IdMap | None) -> LayerStack:
        problem = self._problem(top)
        if problem is not None:
            raise MountError(f"cannot open {display_text(label)}: {problem}")
        layers = []
        for position, layer in enumerate(self._chain(top)):
            inner = _idmap(layer.document) or (own if position == 0 else None)
            path, store = self._directory(layer, label)
            layers.append(
                StackLayer(
                    path=path,
                    store=store,
                    name=label if position == 0 else layer.id,
                    kind=kind if position == 0 else Kind.IMAGE_LAYER,
                    created=seconds(text(layer.document, "created")),
                    size=number(layer.document, "diff-size"),
                    idmap=compose(self._place.idmap, inner),
                )
            )
        return LayerStack(
            label=label,
            layers=tuple(layers),
            marks=self._place.marks,
            check=guard(label, [layer.path for layer in layers]),
            fuse=self._fuse,
        )

    def _directory(self, layer: _Layer, label: str) -> tuple[bytes, bytes]:
        """The directory of a layer, and the one of its driver that it lies in."""
        root = self._place.root
        directory = layer.home.layer(layer.id)
        try:
            store = root.settle(os.path.dirname(directory))
            path = root.settle(os.path.join(directory, b"diff"))
            composed = os.path.lexists(os.path.join(os.path.dirname(path), b"composefs-data"))
        except OSError as error:
            raise read_error("find the layer", directory, error) from None
        if composed:
            raise MountError(
                f"cannot open {display_text(label)}: {display_path(directory)} is a composefs"
                " image, whose files cannot be read without mounting it"
            )
        if not os.path.isdir(path):
            raise MountError(
                f"cannot open {display_text(label)}: its layer {display_path(path)} is not there"
                " or cannot be looked at"
            )
        if path != os.path.join(store, os.fsencode(layer.id), b"diff"):
            raise MountError(
                f"cannot open {display_text(label)}: {display_path(directory)} leads out of its"
                f" store, to {display_path(path)}; name that directory if you want to see it"
            )
        return path, store

    @cached_property
    def _fuse(self) -> bool:
        """Whether fuse-overlayfs mounts the layers of this store."""
        path = os.path.join(self._place.path, b"overlay/.has-mount-program")
        try:
            return read_line(self._place.root.settle(path)) == "true"
        except OSError:
            return False


def _metadata(document: Document) -> Document:
    """What the engine wrote into the field ``metadata``: JSON in a string."""
    try:
        value = json.loads(text(document, "metadata") or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _idmap(document: Document) -> IdMap | None:
    """The fields ``uidmap`` and ``gidmap``; None where there are none.

    Raises:
        UsageError: they contradict themselves.
    """
    uids, gids = _ranges(document, "uidmap"), _ranges(document, "gidmap")
    return IdMap(uids, gids) if uids or gids else None


def _ranges(document: Document, key: str) -> tuple[IdRange, ...]:
    found = []
    for one in objects(document, key):
        inside, outside, count = (number(one, k) for k in ("container_id", "host_id", "size"))
        if inside is None or outside is None or count is None:
            raise UsageError(f"the {key} of {display_text(text(document, 'id'))} is damaged")
        found.append(IdRange(inside, outside, count))
    return tuple(found)


def _short_names(names: list[str]) -> Iterator[str]:
    """What else podman takes for these names: without the registry, without the usual tag."""
    for name in names:
        for prefix in ("", *_PREFIXES):
            if name.startswith(prefix):
                short = name.removeprefix(prefix)
                if prefix:
                    yield short
                if short.endswith(_LATEST):
                    yield short.removesuffix(_LATEST)


def _other_driver(driver: str) -> str:
    if driver == "vfs":
        return (
            "the storage driver vfs keeps a whole copy of the tree for each layer and no upper"
            " directories; compare two of its directories with --differ walking"
        )
    return (
        f"the storage driver {display_text(driver)} keeps no overlay layers, so there is nothing to"
        " compare"
    )
