"""One data root of Docker, read without a daemon.

With the graph drivers ``overlay2`` and ``fuse-overlayfs`` (moby: ``daemon/graphdriver/overlay2``,
``layer/filestore.go``, ``image/fs.go``) it holds:

* ``image/DRIVER/repositories.json``: names and image ids;
* ``image/DRIVER/imagedb/content/sha256/ID``: the configuration of an image, with its diffIDs;
* ``image/DRIVER/layerdb/sha256/CHAINID/{cache-id,parent,size}``: the layers;
* ``image/DRIVER/layerdb/mounts/CONTAINER/{mount-id,init-id,parent}``: the containers' own layers;
* ``containers/CONTAINER/config.v2.json``: their names and states;
* ``DRIVER/CACHEID/{diff,lower}``: the directories; ``lower`` is a list of ``l/LINK``, topmost
  first, each a symlink to another ``CACHEID/diff``.

A daemon with containerd's image store keeps only the containers here. Their layers are in
containerd, in the namespace ``moby``.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial

from whiteout.digests import chain_ids
from whiteout.display import display_path, display_text
from whiteout.errors import MountError, ReadError, read_error, reason_of
from whiteout.sources.bolt import open_bolt
from whiteout.sources.documents import (
    Document,
    members,
    read_line,
    read_object,
    seconds,
    text,
    texts,
)
from whiteout.sources.links import guard
from whiteout.sources.model import Record
from whiteout.sources.places import Place
from whiteout.sources.root import Root
from whiteout.sources.stack import Kind, LayerStack, StackLayer

DRIVERS = ("overlay2", "fuse-overlayfs")
_CONTAINERD = ("overlayfs", "stargz", "nydus")
"""Values of ``Driver`` that are snapshotters of containerd, not graph drivers."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_LATEST = ":latest"
#: What docker commit takes of a container's settings into the config of an image.
_SETTINGS = (
    *("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Healthcheck", "ArgsEscaped"),
    *("Volumes", "WorkingDir", "OnBuild", "Labels", "StopSignal", "Shell"),
)
_BUILD_SNAPSHOTS = b"buildkit/snapshots.db"


@dataclass(frozen=True, slots=True)
class _Layer:
    """What the layer database says of an image layer, by its chain id."""

    chain_id: str
    cache_id: str
    parent: str
    size: int | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Image:
    """An image, and its chain ids from the bottom up."""

    id: str
    names: tuple[str, ...]
    document: Document
    chain: tuple[str, ...]
    problem: str | None = None

    @property
    def name(self) -> str:
        return self.names[0] if self.names else f"sha256:{self.id}"


class DataRoot:
    """The images, layers and containers of one data root, each part read when it is needed."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def records(self) -> Iterator[Record]:
        """Containers first, then images, then their layers, then what belongs to nobody."""
        try:
            graphs = {driver: Graph(self._place, driver) for driver in DRIVERS}
            drivers = os.listdir(self._path("image"))
        except FileNotFoundError:  # with containerd's image store
            drivers = []
        except OSError as error:
            yield self._unreadable(f"cannot list {self._shown('image')}: {reason_of(error)}")
            return
        yield from self._containers(graphs)
        for driver in DRIVERS:
            if os.fsencode(driver) in drivers:
                yield from graphs[driver].records()
        others = sorted(os.fsdecode(name) for name in drivers if os.fsdecode(name) not in DRIVERS)
        for driver in others:
            yield self._unreadable(
                f"the storage driver {display_text(driver)} keeps no overlay layers, so there is"
                " nothing to compare"
            )

    def _containers(self, graphs: dict[str, Graph]) -> Iterator[Record]:
        try:
            containers = self._path("containers")
            ids = _directories(containers)
        except FileNotFoundError:
            return
        except OSError as error:
            yield self._unreadable(f"cannot list {self._shown('containers')}: {reason_of(error)}")
            return
        for name in ids:
            identity = os.fsdecode(name)
            path = os.path.join(containers, name)
            try:
                document = read_object(os.path.join(path, b"config.v2.json"))
            except FileNotFoundError:
                if os.path.isdir(path) and os.listdir(path):
                    yield self._damaged(identity, "its config.v2.json is missing")
                continue  # removed meanwhile, or being made
            except ReadError as error:
                yield self._damaged(identity, str(error))
                continue
            yield self._container(identity, document, graphs)

    def _container(self, identity: str, document: Document, graphs: dict[str, Graph]) -> Record:
        name = text(document, "Name").removeprefix("/") or identity
        driver = text(document, "Driver")
        graph = graphs.get(driver)
        layers: int | None = None
        problem: str | None = None
        opener: Callable[[], LayerStack] | None = None
        if graph is not None:
            opener = partial(_container_stack, graph, identity, name, document)
            layers = graph.container_depth(identity)
            problem = graph.container_problem(identity)
        elif driver in _CONTAINERD:
            opener = partial(_stack_in_containerd, self._place.root, identity, document)
        else:
            problem = f"its storage driver {display_text(driver)} keeps no overlay layers"
        image = text(document, "Config", "Image") or text(document, "Image")
        return Record(
            target=self._place.target("docker", name),
            name=name,
            engine="docker",
            kind=Kind.CONTAINER,
            group=self._place.group("Docker"),
            parent=image or None,
            layers=layers,
            created=seconds(text(document, "Created")),
            aliases=(identity,),
            notes=(_state(document),),
            problem=problem,
            marks=self._place.marks,
            opener=opener,
        )

    def _damaged(self, identity: str, problem: str) -> Record:
        return Record(
            target=self._place.target("docker", identity),
            name=identity,
            engine="docker",
            kind=Kind.CONTAINER,
            group=self._place.group("Docker"),
            problem=problem,
        )

    def _unreadable(self, problem: str) -> Record:
        return Record(
            target="",
            name=self._place.words,
            engine="docker",
            kind=Kind.STORE,
            group=self._place.group("Docker"),
            problem=problem,
        )

    def _path(self, name: str) -> bytes:
        return self._place.root.settle(os.path.join(self._place.path, os.fsencode(name)))

    def _shown(self, name: str) -> str:
        return display_path(os.path.join(self._place.path, os.fsencode(name)))


def _container_stack(graph: Graph, identity: str, name: str, document: Document) -> LayerStack:
    stack = graph.container_stack(identity, name)
    return stack._replace(image_config=partial(graph.image_config, document))


def _settings(document: Document) -> Document:
    """The settings of a container, as far as they are those of an image."""
    settings = document.get("Config")
    if not isinstance(settings, dict):
        return {}
    return {key: settings[key] for key in _SETTINGS if settings.get(key)}


def _stack_in_containerd(root: Root, key: str, document: Document) -> LayerStack:
    """The layers of a container that containerd keeps.

    Raises:
        UsageError: containerd has none of this key.
    """
    from whiteout.sources.containerd import SOURCE

    stack = SOURCE.resolve("containerd", f"moby/{key}", root).stack()
    return stack._replace(image_config=lambda: {"config": _settings(document)})


def _state(document: Document) -> str:
    state = document.get("State")
    if not isinstance(state, dict):
        return "state unknown"
    for word in ("Paused", "Restarting", "Running", "Dead"):
        if state.get(word) is True:
            return word.lower()
    started = seconds(text(document, "State", "StartedAt"))
    return "created" if started is None else "exited"


class Graph:
    """What one graph driver keeps in a data root.

    Raises:
        OSError: the way to its directories cannot be followed.
    """

    def __init__(self, place: Place, driver: str) -> None:
        self._place = place
        self._driver = driver
        settle, name = place.root.settle, os.fsencode(driver)
        self._home = settle(os.path.join(place.path, name))
        self._image = settle(os.path.join(place.path, b"image", name))
        self._images_home = settle(os.path.join(self._image, b"imagedb/content/sha256"))
        self._layers_home = settle(os.path.join(self._image, b"layerdb/sha256"))
        self._mounts_home = settle(os.path.join(self._image, b"layerdb/mounts"))

    def records(self) -> Iterator[Record]:
        """Images, layers, and directories that no image and no container has."""
        images = self._images()
        for image in images:
            yield self._image_record(image)
        yield from self._layer_records(images)
        yield from self._strays()

    # Images

    def _images(self) -> list[_Image]:
        names: dict[str, list[str]] = defaultdict(list)
        for name, identity in self._repositories():
            names[identity].append(name)
        found = []
        directory = self._images_home
        for entry in _listing(directory):
            identity = os.fsdecode(entry)
            known = tuple(sorted(names.get(f"sha256:{identity}", ()), key=lambda n: ("@" in n, n)))
            try:
                document = read_object(os.path.join(directory, entry))
            except FileNotFoundError:
                continue
            except ReadError as error:
                found.append(_Image(identity, known, {}, (), str(error)))
                continue
            chain = tuple(chain_ids(texts(document, "rootfs", "diff_ids")))
            found.append(_Image(identity, known, document, chain))
        return sorted(found, key=lambda image: (not image.names, image.name))

    def _repositories(self) -> Iterator[tuple[str, str]]:
        try:
            document = read_object(os.path.join(self._image, b"repositories.json"))
        except (FileNotFoundError, ReadError):
            return
        for _, references in members(document, "Repositories"):
            if isinstance(references, dict):
                for name, identity in references.items():
                    if isinstance(identity, str):
                        yield name, identity

    def _image_record(self, image: _Image) -> Record:
        sizes = [self._layers[link].size for link in image.chain if link in self._layers]
        known = [size for size in sizes if size is not None]
        short = (name.removesuffix(_LATEST) for name in image.names if name.endswith(_LATEST))
        problem = image.problem
        if problem is None:
            problem = self._problem(image.chain) if image.chain else "it has no layers"
        return Record(
            target=self._place.target("docker", image.name),
            name=image.name,
            engine="docker",
            kind=Kind.IMAGE,
            group=self._place.group("Docker"),
            layers=len(image.chain) or None,
            created=seconds(text(image.document, "created")),
            size=sum(known) if len(known) == len(image.chain) else None,
            aliases=(*image.names[1:], *short, f"sha256:{image.id}", image.id),
            problem=problem,
            marks=self._place.marks,
            opener=partial(self._image_stack, image),
        )

    def _image_stack(self, image: _Image) -> LayerStack:
        stack = self._stack(image.name, image.chain)
        return stack._replace(image_config=lambda: image.document)

    def image_config(self, container: Document) -> Document:
        """The config of the image of a *container*, with the settings of that.

        Raises:
            ReadError: it cannot be read.
        """
        identity = text(container, "Image").removeprefix("sha256:")
        path = os.path.join(self._images_home, os.fsencode(identity))
        document: Document = {}
        if _ID.fullmatch(identity):
            with suppress(FileNotFoundError):  # it was removed by force
                document = read_object(path)
        return {**document, "config": _settings(container)}

    # Layers

    @cached_property
    def _layers(self) -> dict[str, _Layer]:
        directory = self._layers_home
        found = {}
        for entry in _listing(directory):
            layer = self._layer(f"sha256:{os.fsdecode(entry)}", os.path.join(directory, entry))
            if layer is not None:
                found[layer.chain_id] = layer
        return found

    def _layer(self, chain_id: str, directory: bytes) -> _Layer | None:
        try:
            cache_id = read_line(os.path.join(directory, b"cache-id"))
        except FileNotFoundError:
            if not os.path.isdir(directory):
                return None  # removed meanwhile
            return _Layer(chain_id, "", "", None, "its cache-id is missing")
        except OSError as error:
            return _Layer(chain_id, "", "", None, f"its cache-id: {reason_of(error)}")
        if not _ID.fullmatch(cache_id):
            return _Layer(chain_id, "", "", None, "its cache-id is damaged")
        parent = size = ""
        try:
            size = read_line(os.path.join(directory, b"size"))
            parent = read_line(os.path.join(directory, b"parent"))
        except OSError:
            pass  # the lowest layer has no parent
        number = int(size) if size.isascii() and size.isdigit() and len(size) < 20 else None
        return _Layer(chain_id, cache_id, parent, number)

    @cached_property
    def _by_cache_id(self) -> dict[str, _Layer]:
        return {layer.cache_id: layer for layer in self._layers.values() if layer.cache_id}

    def _layer_records(self, images: list[_Image]) -> Iterator[Record]:
        where: dict[str, tuple[str, ...]] = {}
        for image in images:
            for position, chain_id in enumerate(image.chain):
                where.setdefault(chain_id, (f"layer {position + 1} of {image.name}",))
        order = {chain_id: position for position, chain_id in enumerate(where)}
        for layer in sorted(
            self._layers.values(),
            key=lambda each: (order.get(each.chain_id, 1 << 30), each.chain_id),
        ):
            chain = self._chain(layer.chain_id)
            yield Record(
                target=self._place.target("docker", layer.chain_id),
                name=layer.chain_id,
                engine="docker",
                kind=Kind.IMAGE_LAYER,
                group=self._place.group("Docker"),
                parent=layer.parent or None,
                layers=len(chain) or None,
                size=layer.size,
                aliases=tuple(filter(None, (layer.cache_id,))),
                notes=where.get(layer.chain_id, ("of no image",)),
                problem=self._problem(chain),
                marks=self._place.marks,
                opener=partial(self._stack, layer.chain_id, chain),
            )

    @cached_property
    def _present(self) -> frozenset[bytes] | None:
        """The directories of the driver; None where they cannot be listed."""
        try:
            return frozenset(_directories(self._home))
        except OSError:
            return None

    def _is_gone(self, directory: str) -> bool:
        name = os.fsencode(directory)
        if self._present is None or name in self._present:
            return False
        return not os.path.lexists(os.path.join(self._home, name))  # it may be younger

    def _problem(self, chain: tuple[str, ...]) -> str | None:
        """Why the layers of *chain* cannot be opened, as far as looking at none of them tells."""
        for chain_id in reversed(chain):
            layer = self._layers.get(chain_id)
            if layer is None:
                return f"its layer {display_text(chain_id)} is not in the layer database"
            if layer.problem is not None:
                return layer.problem
            if self._is_gone(layer.cache_id):
                return f"its directory {self._shown(layer.cache_id)} is gone"
        return None

    def _shown(self, directory: str) -> str:
        return display_path(os.path.join(self._home, os.fsencode(directory)))

    def _chain(self, chain_id: str) -> tuple[str, ...]:
        """The layer and those below it, from the bottom up, as the database links them."""
        chain: list[str] = []
        while chain_id in self._layers and chain_id not in chain:
            chain.append(chain_id)
            chain_id = self._layers[chain_id].parent
        return tuple(reversed(chain))

    # Containers

    def container_depth(self, identity: str) -> int | None:
        """How many layers the container has, its own among them; None when that is not known."""
        try:
            return self.depth(os.fsdecode(self._mount_id(identity)))
        except OSError:
            return None

    def container_problem(self, identity: str) -> str | None:
        """Why the container cannot be opened, as far as its own layer tells."""
        try:
            mount_id = os.fsdecode(self._mount_id(identity))
        except OSError as error:
            return f"its mount-id cannot be read: {reason_of(error)}"
        return f"its directory {self._shown(mount_id)} is gone" if self._is_gone(mount_id) else None

    def _mount_id(self, identity: str) -> bytes:
        path = os.path.join(self._mounts_home, os.fsencode(identity))
        mount_id = read_line(os.path.join(self._place.root.settle(path), b"mount-id"))
        if not _ID.fullmatch(mount_id):
            raise FileNotFoundError(2, "no mount id", path)
        return os.fsencode(mount_id)

    def container_stack(self, identity: str, name: str) -> LayerStack:
        """The layers of a container: its own, the init layer, those of the image.

        Raises:
            MountError: one of them is not there.
        """
        try:
            mount_id = self._mount_id(identity)
        except OSError as error:
            raise MountError(
                f"cannot open the container {display_text(name)}: its mount-id in "
                f"{display_path(self._image)}/layerdb cannot be read: {reason_of(error)}"
            ) from None
        return self.directory_stack(name, mount_id, Kind.CONTAINER)

    # Directories

    @property
    def exists(self) -> bool:
        """Whether the data root has layers of this driver."""
        return os.path.isdir(self._home)

    def depth(self, directory: str) -> int | None:
        """How many layers end in *directory*; None where it is gone or cannot be read."""
        own = os.path.join(self._home, os.fsencode(directory))
        if not _ID.fullmatch(directory) or os.path.islink(own):
            return None
        try:
            return 2 + read_line(os.path.join(own, b"lower")).count(":")
        except FileNotFoundError:  # the lowest layer has no other
            return 1 if os.path.isdir(os.path.join(own, b"diff")) else None
        except OSError:
            return None

    def _stack(self, label: str, chain: tuple[str, ...]) -> LayerStack:
        """The layers of *chain*, chain ids from the bottom up.

        Raises:
            MountError: one of them is not there.
        """
        top = self._layers.get(chain[-1]) if chain else None
        if top is None or not top.cache_id:
            raise MountError(
                f"cannot open {display_text(label)}: the layer"
                f" {display_text(chain[-1] if chain else label)} is not in the layer database of"
                f" {display_path(self._image)}"
            )
        return self.directory_stack(label, os.fsencode(top.cache_id), Kind.IMAGE_LAYER)

    def directory_stack(self, label: str, top: bytes, kind: Kind) -> LayerStack:
        """The layers below the directory *top* of the driver, itself the topmost.

        Raises:
            MountError: one of them is not there.
            ReadError: one of them cannot be read.
        """
        lower = b""
        own = self._resolved(os.path.join(self._home, top))
        try:
            lower = os.fsencode(read_line(os.path.join(own, b"lower")))
        except FileNotFoundError:
            pass  # the lowest layer
        except OSError as error:
            raise read_error("read", os.path.join(own, b"lower"), error) from None
        paths = [self._resolved(os.path.join(self._home, top, b"diff"))]
        for link in filter(None, lower.split(b":")):
            paths.append(self._resolved(os.path.join(self._home, link)))
        store = self._resolved(self._home)
        for path in paths:
            if not os.path.isdir(path):
                raise MountError(
                    f"cannot open {display_text(label)}: its layer {display_path(path)} is not"
                    " there or cannot be looked at"
                )
            if not path.startswith(store + b"/"):
                raise MountError(
                    f"cannot open {display_text(label)}: its layer {display_path(path)} is not in"
                    f" {display_path(store)}; name that directory if you want to see it"
                )
        return LayerStack(
            label=label,
            layers=tuple(
                layer._replace(store=store)
                for position, path in enumerate(paths)
                for layer in (self._stack_layer(path, kind if position == 0 else None, label),)
            ),
            marks=self._place.marks,
            fuse=self._driver == "fuse-overlayfs",
            check=guard(label, paths),
        )

    def _stack_layer(self, path: bytes, kind: Kind | None, label: str) -> StackLayer:
        cache_id = os.fsdecode(os.path.basename(os.path.dirname(path)))
        layer = self._by_cache_id.get(cache_id)
        idmap = self._place.idmap
        if layer is not None:
            return StackLayer(path, layer.chain_id, Kind.IMAGE_LAYER, size=layer.size, idmap=idmap)
        if cache_id.endswith("-init"):
            return StackLayer(path, cache_id, Kind.INIT_LAYER, idmap=idmap)
        return StackLayer(path, label if kind else cache_id, kind or Kind.LAYER, idmap=idmap)

    def _resolved(self, path: bytes) -> bytes:
        try:
            return self._place.root.settle(path)
        except OSError as error:
            raise read_error("find the layer", path, error) from None

    def _strays(self) -> Iterator[Record]:
        """Directories of the driver that neither an image nor a container nor BuildKit has."""
        known = {*self._by_cache_id, *build_directories(self._place).values()}
        mounts = self._mounts_home
        for entry in _listing(mounts):
            for part in (b"mount-id", b"init-id"):
                try:
                    known.add(read_line(os.path.join(mounts, entry, part)))
                except OSError:
                    continue
        for entry in sorted(self._present or ()):
            name = os.fsdecode(entry)
            if name == "l" or name in known or not _ID.fullmatch(name):
                continue
            try:
                created = os.stat(os.path.join(self._home, entry, b"diff")).st_mtime
            except OSError:
                continue
            yield Record(
                target=self._place.target("docker", name),
                name=name,
                engine="docker",
                kind=Kind.SNAPSHOT,
                group=self._place.group("Docker"),
                layers=self.depth(name),
                created=created,
                notes=("of no image and no container",),
                marks=self._place.marks,
                opener=partial(self.directory_stack, name, entry, Kind.SNAPSHOT),
            )


def build_directories(place: Place) -> dict[str, str]:
    """The directory of the graph driver behind each snapshot of the BuildKit in dockerd.

    It keeps them in ``buildkit/snapshots.db`` (moby: ``builder/builder-next/adapters/snapshot``),
    a bucket for each snapshot. ``committed`` is the directory; without it that has the name of the
    snapshot. A bucket with ``iscommitted`` is only such a directory. None where nothing can be
    read: the records of the cache tell why.
    """
    found: dict[str, str] = {}
    with suppress(ReadError, OSError):
        path = place.root.settle(os.path.join(place.path, _BUILD_SNAPSHOTS))
        for key, bucket in open_bolt(path).root.buckets():
            values = dict(bucket.values())
            if b"iscommitted" not in values:
                found[os.fsdecode(key)] = os.fsdecode(values.get(b"committed") or key)
    return found


def _directories(path: bytes) -> list[bytes]:
    """What lies in the directory *path* but for symlinks, of which Docker makes none there."""
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if not entry.is_symlink())


def _listing(path: bytes) -> list[bytes]:
    try:
        return _directories(path)
    except OSError:
        return []
