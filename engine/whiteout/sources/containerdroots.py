"""Where containerd keeps its state: the usual directories, configured ones, and running ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from whiteout.errors import ReadError
from whiteout.sources.processes import processes
from whiteout.sources.root import Root

_BLOBS = b"io.containerd.content.v1.content/blobs"
META = b"io.containerd.metadata.v1.bolt/meta.db"

_USUAL = (
    b"/var/lib/containerd",
    b"/var/lib/rancher/k3s/agent/containerd",
    b"/var/lib/rancher/rke2/agent/containerd",
    b"/var/lib/k0s/containerd",
    b"/var/snap/microk8s/common/var/lib/containerd",
    b"/var/lib/docker/containerd/daemon",
)
_USUAL_IN_HOME = (
    b".local/share/containerd",
    b".local/share/docker/containerd/daemon",
    b".local/share/rancher/k3s/agent/containerd",
)
_VOLUMES = (b"/var/lib/docker/volumes", b"/var/lib/containers/storage/volumes")
_CONFIG = b"/etc/containerd/config.toml"
_CONFIG_IN_HOME = b".config/containerd/config.toml"


@dataclass(frozen=True, slots=True)
class StoreRoot:
    """One root directory of containerd, resolved; ``snapshotters`` are those kept elsewhere."""

    path: bytes
    root: Root
    snapshotters: dict[str, bytes] = field(default_factory=dict)

    @property
    def meta(self) -> bytes:
        """The database of everything but the layers; raises ``OSError``."""
        return self.root.settle(os.path.join(self.path, META))

    def snapshotter(self, name: str) -> bytes:
        """The directory of the snapshotter *name*.

        One in a process of its own is beside the root, as its documentation has it
        (``/var/lib/containerd-fuse-overlayfs``).

        Raises:
            OSError: the way there cannot be followed.
        """
        if name in self.snapshotters:
            return self.snapshotters[name]
        usual = os.path.join(self.path, b"io.containerd.snapshotter.v1." + os.fsencode(name))
        beside = os.path.join(os.path.dirname(self.path), b"containerd-" + os.fsencode(name))
        settled = self.root.settle(beside)
        if os.path.isdir(settled) and not os.path.lexists(usual):
            return settled
        return self.root.settle(usual)

    def blob(self, digest: str) -> bytes:
        """The file in the content store that has the *digest*; raises ``OSError``."""
        path = os.path.join(self.path, _BLOBS, os.fsencode(digest.replace(":", "/")))
        return self.root.settle(path)

    @property
    def shown(self) -> bytes:
        """The path for people: inside the root that they named."""
        return self.root.inside(self.path)


def store_roots(root: Root) -> Iterator[StoreRoot]:
    """Every root directory of containerd below *root*, each once.

    One that this process may not look into is among them; reading it tells the reason.
    """
    seen: set[tuple[int, int]] = set()
    for candidate in _candidates(root):
        with suppress(OSError):
            status = os.stat(candidate.path)
            if (status.st_dev, status.st_ino) in seen or not _is_store(candidate):
                continue
            seen.add((status.st_dev, status.st_ino))
            yield candidate


def _is_store(candidate: StoreRoot) -> bool:
    try:
        os.stat(candidate.meta)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _candidates(root: Root) -> Iterator[StoreRoot]:
    homes = root.homes()
    configs = [_CONFIG, *(os.path.join(home, _CONFIG_IN_HOME) for home in homes)]
    for config in configs:
        yield from _configured(root, config)
    usual = [*_USUAL, *(os.path.join(home, part) for home in homes for part in _USUAL_IN_HOME)]
    for path in usual:
        for place in root.places(path):
            yield StoreRoot(place, root)
    for volumes in _VOLUMES:
        for place in root.places(volumes):
            yield from _in_volumes(place, root)
    if root.is_host:
        yield from _running()


def _in_volumes(volumes: bytes, root: Root) -> Iterator[StoreRoot]:
    """The roots in the volumes of containers: a node of kind has its ``/var`` in one."""
    with suppress(OSError):
        for name in sorted(os.listdir(volumes)):
            path = os.path.join(volumes, name, b"_data/lib/containerd")
            with suppress(OSError):
                yield StoreRoot(root.settle(path), root)


def _running() -> Iterator[StoreRoot]:
    """The roots of the containerd processes, in containers (kind) as well."""
    for process in processes(b"containerd"):
        config = process.option(b"-c", b"--config")
        given = process.option(b"--root")
        if config is not None:
            yield from _configured(process.root, config)
        if given is not None:
            for place in process.root.places(given):
                yield StoreRoot(place, process.root)
        if not process.root.is_host:
            yield from _configured(process.root, _CONFIG)
            for place in process.root.places(_USUAL[0]):
                yield StoreRoot(place, process.root)


def _configured(root: Root, config: bytes) -> Iterator[StoreRoot]:
    """What containerd's configuration file *config* names."""
    try:
        content = root.read(config, 1 << 20)
    except ReadError:
        return
    import tomllib

    try:
        document = tomllib.loads(content.decode())
    except (ValueError, RecursionError):
        return
    path = document.get("root")
    if not isinstance(path, str) or not path.startswith("/"):
        path = os.fsdecode(_USUAL[0])
    snapshotters: dict[str, bytes] = {}
    plugins = document.get("plugins")
    for name, plugin in plugins.items() if isinstance(plugins, dict) else ():
        elsewhere = plugin.get("root_path") if isinstance(plugin, dict) else None
        if "snapshotter" in name and isinstance(elsewhere, str) and elsewhere.startswith("/"):
            with suppress(OSError):
                place = root.resolve(os.fsencode(elsewhere))
                snapshotters[name.rpartition(".")[2]] = place
    for place in root.places(os.fsencode(path)):
        yield StoreRoot(place, root, snapshotters)
