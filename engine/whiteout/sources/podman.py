"""Podman, Buildah and CRI-O: where containers-storage keeps its stores, and what a target names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whiteout.errors import UsageError, WhiteoutError
from whiteout.sources.model import Record
from whiteout.sources.root import Root

if TYPE_CHECKING:
    from whiteout.sources.containersstorage import StorageRoot

_GRAPH_ROOT = b"/var/lib/containers/storage"
_RUN_ROOT = b"/run/containers/storage"
_CONFIGURATIONS = (b"/etc/containers/storage.conf", b"/usr/share/containers/storage.conf")
_VARIABLE = "CONTAINERS_STORAGE_CONF"


@dataclass(frozen=True, slots=True)
class _Configuration:
    """What a storage.conf says, as far as it matters (containers-storage.conf(5))."""

    graph_root: bytes | None = None
    run_root: bytes | None = None
    rootless: bytes | None = None
    image_stores: tuple[bytes, ...] = ()


class PodmanSource:
    """The stores of containers-storage, with root or without."""

    name = "podman"
    schemes = ("podman", "buildah", "crio")

    def discover(self, root: Root) -> Iterator[Record]:
        """Containers, images and layers of every store that is found."""
        for store in storage_roots(root):
            yield from store.records()

    def resolve(self, scheme: str, rest: str, root: Root) -> Record:
        """The container, image or layer that is called *rest*, or whose id begins so."""
        from whiteout.sources.containersstorage import StorageRoot
        from whiteout.sources.places import choose_among, named_place, split_target

        path, name = split_target(rest)
        target = f"{scheme}:{rest}"
        if path is None:
            stores = list(storage_roots(root))
        else:
            place = named_place(root, path, target)
            stores = [StorageRoot(place, _image_stores(root, _configuration(root)))]
        if not name:
            raise UsageError(f"{scheme}: names nothing; give {scheme}:NAME, as in 'whiteout list'")
        return choose_among([store.records() for store in stores], name, target)


def is_storage_root(path: bytes) -> bool:
    """Whether the directory at *path* looks like a store, or may not be looked into."""
    try:
        names = os.listdir(path)
    except PermissionError:
        return path.endswith(b"containers/storage")
    except OSError:
        return False
    return any(name.endswith((b"-layers", b"-images", b"-containers")) for name in names)


def storage_roots(root: Root) -> Iterator[StorageRoot]:
    """Every store below *root*: that of this user first, then the system's, then the others'."""
    seen = set()
    for path, run_root, image_stores, named in _candidates(root):
        if path not in seen and is_storage_root(path):
            from whiteout.sources.containersstorage import StorageRoot
            from whiteout.sources.places import place_of

            seen.add(path)
            with suppress(OSError):
                place = place_of(root, path, named=named)
                yield StorageRoot(place, image_stores, run_root)


def _candidates(root: Root) -> Iterator[tuple[bytes, bytes | None, tuple[bytes, ...], bool]]:
    system = _configuration(root)
    stores = _image_stores(root, system)
    run_root = _resolved(root, system.run_root or _RUN_ROOT)
    for place in dict.fromkeys((system.graph_root or _GRAPH_ROOT, _GRAPH_ROOT)):
        for path in root.places(place):
            yield path, run_root, stores, False
    for path in stores:
        yield path, None, (), True
    for home in root.homes():
        own = _read(root, home + b"/.config/containers/storage.conf")
        rootless = _expanded(system.rootless, home)
        mine = root.is_host and home == os.fsencode(os.path.expanduser("~"))
        data = os.environ.get("XDG_DATA_HOME") if mine else None
        share = os.fsencode(data) if data else home + b"/.local/share"
        extra = _image_stores(root, own) + stores
        run = _resolved(root, own.run_root) if own.run_root else None
        for graph_root in filter(None, (own.graph_root, rootless, share + b"/containers/storage")):
            for path in root.places(graph_root):
                yield path, run, extra, not mine


def _configuration(root: Root) -> _Configuration:
    """The configuration of the system: the first file that there is."""
    variable = os.environ.get(_VARIABLE) if root.is_host else None
    for path in (os.fsencode(variable),) if variable else _CONFIGURATIONS:
        configuration = _read(root, path)
        if configuration != _Configuration():
            return configuration
    return _Configuration()


def _read(root: Root, path: bytes) -> _Configuration:
    with suppress(OSError, WhiteoutError, ValueError, RecursionError):
        content = root.read(path).decode()
        import tomllib

        document = tomllib.loads(content)
        storage = _table(document, "storage")
        options = _table(storage, "options")
        driver = _table(options, "overlay")
        stores = [*_paths(options, "additionalimagestores"), *_paths(driver, "imagestore")]
        stores += _paths(storage, "imagestore")
        return _Configuration(
            graph_root=next(iter(_paths(storage, "graphroot")), None),
            run_root=next(iter(_paths(storage, "runroot")), None),
            rootless=next(iter(_paths(storage, "rootless_storage_path")), None),
            image_stores=tuple(stores),
        )
    return _Configuration()


def _table(document: dict[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _paths(table: dict[str, Any], key: str) -> list[bytes]:
    value = table.get(key)
    every = value if isinstance(value, list) else [value]
    found = [os.fsencode(path) for path in every if isinstance(path, str)]
    return [path for path in found if path[:1] in (b"/", b"$") and b"\0" not in path]


def _image_stores(root: Root, configuration: _Configuration) -> tuple[bytes, ...]:
    found: list[bytes] = []
    for place in configuration.image_stores:
        found += [path for path in root.places(place) if is_storage_root(path)]
    return tuple(dict.fromkeys(found))


def _expanded(path: bytes | None, home: bytes) -> bytes | None:
    """``rootless_storage_path`` of one user."""
    if path is None:
        return None
    path = path.replace(b"$HOME", home).replace(b"$USER", os.path.basename(home))
    return path if path.startswith(b"/") and b"$" not in path else None


def _resolved(root: Root, path: bytes) -> bytes | None:
    with suppress(OSError):
        return root.resolve(path)
    return None


SOURCE = PodmanSource()
