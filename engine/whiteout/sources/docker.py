"""Docker: where its daemons keep their data, and what a target names in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from whiteout.errors import UsageError, WhiteoutError
from whiteout.sources.model import Record
from whiteout.sources.processes import processes
from whiteout.sources.root import Root
from whiteout.sources.stack import Kind

if TYPE_CHECKING:
    from whiteout.sources.places import Place

_DATA_ROOTS = (b"/var/lib/docker", b"/var/snap/docker/common/var-lib-docker")
_CONFIGURATION = b"/etc/docker/daemon.json"
_PREFIXES = ("", "docker.io/", "docker.io/library/")
_LATEST = ":latest"
_OF_IMAGES = (Kind.IMAGE, Kind.IMAGE_LAYER)
#: The subdirectory of a data root that a daemon with ``userns-remap`` uses: ``UID.GID``.
_REMAPPED = re.compile(rb"([0-9]{1,10})\.([0-9]{1,10})")


class DockerSource:
    """The data roots of Docker daemons, with root or without."""

    name = "docker"
    schemes = ("docker",)

    def discover(self, root: Root) -> Iterator[Record]:
        """Containers, images and layers of every data root that is found."""
        for place in data_roots(root):
            from whiteout.sources.dockerroot import DataRoot

            yield from DataRoot(place).records()

    def resolve(self, scheme: str, rest: str, root: Root) -> Record:
        """The container, image or layer that is called *rest*, or whose id begins so."""
        from whiteout.sources.dockerroot import DataRoot
        from whiteout.sources.naming import choose
        from whiteout.sources.places import choose_among, named_place, split_target

        path, name = split_target(rest)
        target = f"{scheme}:{rest}"
        if path is None:
            places = list(data_roots(root))
        else:
            places = list(_with_remapped(_remapped(named_place(root, path, target))))
        if not name:
            raise UsageError(f"{scheme}: names nothing; give {scheme}:NAME, as in 'whiteout list'")
        try:
            return choose_among([DataRoot(place).records() for place in places], name, target)
        except UsageError as error:
            images = list(_images_in_containerd(root))
            with suppress(UsageError):
                return choose(images, name, target)
            raise error from None


def _images_in_containerd(root: Root) -> Iterator[Record]:
    """The images of daemons with containerd's image store, with the names that Docker gives them.

    An image's id is there the digest of its manifest or index.
    """
    from whiteout.sources.containerd import SOURCE as CONTAINERD

    for record in CONTAINERD.discover(root):
        if record.target.startswith("containerd://moby/") and record.kind in _OF_IMAGES:
            names = {record.name.removeprefix(prefix) for prefix in _PREFIXES}
            names |= {name.removesuffix(_LATEST) for name in names}
            ids = {alias.removeprefix("sha256:") for alias in record.aliases}
            aliases = dict.fromkeys((*record.aliases, *sorted(names), *sorted(ids)))
            yield replace(record, aliases=tuple(aliases))


def is_data_root(path: bytes) -> bool:
    """Whether the directory at *path* looks like a data root, or may not be looked into."""
    try:
        names = set(os.listdir(path))
    except PermissionError:
        return os.path.basename(path) == b"docker"
    except OSError:
        return False
    if b"image" in names and names & {b"overlay2", b"fuse-overlayfs"}:
        return True
    return b"containers" in names and bool(names & {b"image", b"containerd", b"buildkit"})


def data_roots(root: Root) -> Iterator[Place]:
    """Every data root below *root*, the system's first."""
    seen = set()
    for path, named in _candidates(root):
        if path not in seen and is_data_root(path):
            from whiteout.sources.places import place_of

            seen.add(path)
            with suppress(OSError):
                yield from _with_remapped(place_of(root, path, named=named))
    for place in _running(root) if root.is_host else ():
        if place.path not in seen:
            seen.add(place.path)
            yield from _with_remapped(place)


def _running(root: Root) -> Iterator[Place]:
    """The data roots that the daemons of this host were started with."""
    for process in processes(b"dockerd"):
        path = process.option(b"--data-root", b"-g", b"--graph")
        if process.root.is_host and path is not None and path.startswith(b"/"):
            with suppress(OSError):
                found = root.resolve(path)
                if is_data_root(found):
                    from whiteout.sources.places import place_of

                    yield place_of(root, found, named=True)


def _candidates(root: Root) -> Iterator[tuple[bytes, bool]]:
    configured = _configured(root, _CONFIGURATION)
    for place in (*configured, *_DATA_ROOTS):
        for path in root.places(place):
            yield path, False
    for home in root.homes():
        own = root.is_host and home == os.fsencode(os.path.expanduser("~"))
        configured = _configured(root, home + b"/.config/docker/daemon.json")
        for place in (*configured, home + b"/.local/share/docker"):
            for path in root.places(place):
                yield path, not own


def _configured(root: Root, path: bytes) -> tuple[bytes, ...]:
    """The data root that a daemon.json names, by its key of today or the old one."""
    with suppress(OSError, WhiteoutError):
        resolved = root.resolve(path)
        if not os.path.lexists(resolved):
            return ()
        from whiteout.sources.documents import read_object, text

        document = read_object(resolved)
        place = os.fsencode(text(document, "data-root") or text(document, "graph"))
        if place.startswith(b"/") and b"\0" not in place:
            return (place,)
    return ()


def _with_remapped(place: Place) -> Iterator[Place]:
    """The data root, and those in it of a daemon with ``userns-remap``."""
    yield place
    with suppress(OSError):
        for name in sorted(os.listdir(place.path)):
            path = os.path.join(place.path, name)
            if _REMAPPED.fullmatch(name) and not os.path.islink(path) and is_data_root(path):
                yield _remapped(replace(place, path=path, named=True))


def _remapped(place: Place) -> Place:
    """The data root, with the owners of a daemon with ``userns-remap`` when its name is one's."""
    match = _REMAPPED.fullmatch(os.path.basename(place.path))
    if match is None:
        return place
    from whiteout.sources.subids import remapped_map

    with suppress(UsageError):  # ids that no user can have
        return replace(place, idmap=remapped_map(place.root, int(match[1]), int(match[2])))
    return place


SOURCE = DockerSource()
