"""BuildKit as a source: the records of its build cache, with the steps that they came from.

A worker for runc keeps containerd's two databases in a directory of its own; one for containerd
has its snapshots there, in the namespace ``buildkit`` (``worker/runc/runc.go``,
``worker/containerd/containerd.go``). The one in dockerd has them with Docker's graph driver
(:mod:`whiteout.sources.dockerbuild`), or in containerd's namespace ``moby``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from whiteout.display import display_path
from whiteout.errors import ReadError, reason_of
from whiteout.sources.containerdroots import StoreRoot, store_roots
from whiteout.sources.docker import data_roots
from whiteout.sources.model import Record
from whiteout.sources.processes import processes
from whiteout.sources.root import Root
from whiteout.sources.stack import Kind, LayerStack

if TYPE_CHECKING:
    from whiteout.sources.buildkitmeta import CacheRecord
    from whiteout.sources.places import Place

_USUAL = b"/var/lib/buildkit"
_USUAL_IN_HOME = b".local/share/buildkit"
_CONFIG = b"/etc/buildkit/buildkitd.toml"
_CONFIG_IN_HOME = b".config/buildkit/buildkitd.toml"
_METADATA = b"metadata_v2.db"
_NAMESPACE = "buildkit"
_NAMESPACE_OF_DOCKER = "moby"


@dataclass(frozen=True, slots=True)
class WorkerRoot(StoreRoot):
    """The directory of one worker, such as ``/var/lib/buildkit/runc-overlayfs``.

    ``docker`` is the data root of the dockerd that it is in.
    """

    docker: Place | None = None

    @property
    def has_graph_driver(self) -> bool:
        """Whether its layers are in Docker's graph driver."""
        return self.docker is not None and os.path.basename(self.path) == b"buildkit"

    @property
    def is_shared(self) -> bool:
        """Whether others than BuildKit have their snapshots in the same place."""
        return self.docker is not None and not self.has_graph_driver

    @property
    def meta(self) -> bytes:
        """The database of snapshots and blobs; one for containerd has none of its own."""
        return os.path.join(self.path, b"containerdmeta.db")

    def snapshotter(self, name: str) -> bytes:
        """The directory of its only snapshotter."""
        return self.root.settle(os.path.join(self.path, b"snapshots"))

    @property
    def records(self) -> bytes:
        """The database of cache records."""
        return os.path.join(self.path, _METADATA)


class BuildKitSource:
    """The build caches of every BuildKit."""

    name = "buildkit"
    schemes = ("buildkit",)

    def discover(self, root: Root) -> Iterator[Record]:
        """Every cache record, and the snapshots that none of them names."""
        for worker in worker_roots(root):
            yield from _worker_records(worker, root)

    def resolve(self, scheme: str, rest: str, root: Root) -> Record:
        """The record with the id, snapshot or description *rest*."""
        from whiteout.sources.naming import choose

        return choose(self.discover(root), rest, f"{scheme}:{rest}")


def worker_roots(root: Root) -> Iterator[WorkerRoot]:
    """The workers of every BuildKit below *root*, each once."""
    seen: set[tuple[int, int]] = set()
    for place, inside, docker in _places(root):
        for path in _workers(place):
            with suppress(OSError):
                status = os.stat(path)
                if (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    yield WorkerRoot(path, inside, docker=docker)


def _workers(place: bytes) -> Iterator[bytes]:
    """The directories of workers in the root directory of a BuildKit, or that itself."""
    if _has_records(place):
        yield place
        return
    try:
        names = sorted(os.listdir(place))
    except PermissionError:
        yield place
        return
    except OSError:
        return
    for name in names:
        path = os.path.join(place, name)
        if name.startswith((b"runc-", b"containerd-")) and _has_records(path):
            yield path


def _has_records(path: bytes) -> bool:
    return os.path.lexists(os.path.join(path, _METADATA)) and not os.path.islink(path)


def _places(root: Root) -> Iterator[tuple[bytes, Root, Place | None]]:
    """The root directories of BuildKit: those of every dockerd, and those of buildkitd."""
    for docker in data_roots(root):
        with suppress(OSError):
            yield docker.root.settle(os.path.join(docker.path, b"buildkit")), docker.root, docker
    for place, inside in _places_of_its_own(root):
        yield place, inside, None


def _places_of_its_own(root: Root) -> Iterator[tuple[bytes, Root]]:
    """Where buildkitd is: usual directories, configured ones, and those of running daemons."""
    homes = root.homes()
    for config in (_CONFIG, *(os.path.join(home, _CONFIG_IN_HOME) for home in homes)):
        yield from _configured(root, config)
    for path in (_USUAL, *(os.path.join(home, _USUAL_IN_HOME) for home in homes)):
        for place in root.places(path):
            yield place, root
    for process in processes(b"buildkitd") if root.is_host else ():
        given = process.option(b"--root")
        named = process.option(b"--config")
        if named is not None:
            yield from _configured(process.root, named)
        for place in process.root.places(given or _USUAL):
            yield place, process.root


def _configured(root: Root, config: bytes) -> Iterator[tuple[bytes, Root]]:
    with suppress(ReadError, ValueError, RecursionError):
        content = root.read(config, 1 << 20).decode()
        import tomllib

        path = tomllib.loads(content).get("root")
        if isinstance(path, str) and path.startswith("/"):
            for place in root.places(os.fsencode(path)):
                yield place, root


def _worker_records(worker: WorkerRoot, root: Root) -> Iterator[Record]:
    from whiteout.sources.bolt import open_bolt
    from whiteout.sources.buildkitmeta import cache_records
    from whiteout.sources.containerdstore import group_of, unreadable

    try:
        known = list(cache_records(open_bolt(worker.records)))
    except ReadError as error:
        yield unreadable("buildkit", worker, str(error))
        return
    except OSError as error:
        yield unreadable("buildkit", worker, f"cannot read it: {reason_of(error)}")
        return
    snapshots: dict[str, Record] = {}
    for record in _snapshots(worker, root):
        if record.kind is Kind.STORE:
            yield replace(record, group=group_of("buildkit", worker))
        elif record.kind is not Kind.IMAGE:
            snapshots.setdefault(record.name, record)
    steps = {key: each.description for each in known for key in each.snapshots}
    taken = set()
    for each in _without_twins(known):
        key = next((key for key in each.snapshots if key in snapshots), None)
        taken.add(key)
        snapshot = snapshots.get(key) if key is not None else None
        yield _build_step(worker, each, snapshot, steps)
    for key, record in snapshots.items():
        if key not in taken and not worker.is_shared:
            yield replace(
                record,
                target=f"buildkit:{key}",
                engine="buildkit",
                group=group_of("buildkit", worker),
                notes=("no record of the cache names it",),
            )


def _without_twins(known: list[CacheRecord]) -> Iterator[CacheRecord]:
    """*known* without the committed twin that a step has beside it, of the same layer.

    (``equalMutable``; BuildKit's own list leaves it out as well.) Its id and size are the step's.
    """
    ids = {each.id for each in known}
    twins = {each.mutable: each for each in known if each.mutable in ids and each.mutable}
    for each in known:
        twin = twins.get(each.id)
        if twin is not None:
            size = twin.size if each.size is None else each.size
            yield replace(each, size=size, snapshots=(*each.snapshots, *twin.snapshots))
        elif twins.get(each.mutable) is not each:
            yield each


def _snapshots(worker: WorkerRoot, root: Root) -> Iterator[Record]:
    """The snapshots of *worker*: its own, or those that Docker or containerd keeps for it."""
    from whiteout.sources.containerdstore import group_of, store_records

    if worker.docker is not None and worker.has_graph_driver:
        from whiteout.sources.dockerbuild import build_records

        yield from build_records(worker.docker, group_of("buildkit", worker))
        return
    if os.path.lexists(worker.meta):
        yield from store_records(worker, "buildkit")
        return
    namespace = _NAMESPACE if worker.docker is None else _NAMESPACE_OF_DOCKER
    for place in store_roots(root):
        for record in store_records(place):
            if record.target.startswith(f"containerd://{namespace}/"):
                yield record


def _build_step(
    worker: WorkerRoot, known: CacheRecord, snapshot: Record | None, steps: dict[str, str]
) -> Record:
    """The record of *known*, whose layer is *snapshot*; *steps* are descriptions by key."""
    from whiteout.sources.containerdstore import group_of

    notes = tuple(filter(None, (known.type, *known.images)))
    record = Record(
        target=f"buildkit:{known.id}",
        name=known.description or known.id,
        engine="buildkit",
        kind=Kind.BUILD_STEP,
        group=group_of("buildkit", worker),
        parent=known.parent,
        created=known.created,
        size=known.size,
        aliases=tuple(dict.fromkeys((known.id, *known.snapshots))),
        notes=notes,
    )
    if snapshot is None:
        problem = (
            "it is a blob that was not unpacked yet"
            if known.lazy
            else f"its snapshot is not in {display_path(worker.shown)}"
        )
        return replace(record, problem=problem)

    def opener() -> LayerStack:
        return _with_steps(snapshot.stack()._replace(label=record.name), steps)

    return replace(
        record,
        layers=snapshot.layers,
        problem=snapshot.problem,
        marks=snapshot.marks,
        opener=opener,
    )


def _with_steps(stack: LayerStack, steps: dict[str, str]) -> LayerStack:
    """*stack* with its layers called by the build steps that made them."""
    layers = (
        layer._replace(name=steps.get(layer.name) or layer.name, kind=Kind.BUILD_STEP)
        for layer in stack.layers
    )
    return stack._replace(layers=tuple(layers))


SOURCE = BuildKitSource()
