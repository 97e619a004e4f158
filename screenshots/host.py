"""What a host has that is made up for the picture of the list: nothing of it can be opened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from whiteout.sources.model import Kind, Record
from whiteout.sources.root import Root

NOW = 1_700_000_000.0
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_BASE = "sha256:" + "5d20c808ce19" * 5 + "8dd0"
_BUILT = "sha256:" + "a1f09e77b3c4" * 5 + "02fe"
_CONTAINERD = "containerd · namespace k8s.io · /var/lib/containerd"
_DOCKER = "Docker · /var/lib/docker"
_BUILDKIT = "buildkit · /var/lib/buildkit"


def _record(engine: str, group: str, kind: Kind, name: str, layers: int, **more: object) -> Record:
    target = f"{engine}:{name}" if engine != "containerd" else f"containerd://k8s.io/{name}"
    return Record(target, name, engine, kind, group, layers=layers, **more)  # type: ignore[arg-type]


_RECORDS = (
    Record(
        "/var/lib/app/merged", "/var/lib/app/merged", "mount", Kind.MOUNT, "overlay mounts",
        layers=2,
    ),
    _record(
        "containerd", _CONTAINERD, Kind.CONTAINER, "web-0", 6,
        created=NOW - 12 * _MINUTE, parent=_BUILT, notes=("example.org/web:2.1",),
    ),
    _record(
        "containerd", _CONTAINERD, Kind.IMAGE, "example.org/web:2.1", 5,
        created=NOW - 2 * _DAY, size=48_200_000,
    ),
    _record(
        "containerd", _CONTAINERD, Kind.IMAGE_LAYER, _BUILT, 5,
        created=NOW - 2 * _DAY, size=3_100_000, parent=_BASE,
    ),
    _record(
        "docker", _DOCKER, Kind.CONTAINER, "database", 9,
        created=NOW - 3 * _HOUR, notes=("example.org/database:16",),
    ),
    _record(
        "docker", _DOCKER, Kind.CONTAINER, "old", 4, created=NOW - 40 * _DAY,
        problem="its directory /var/lib/docker/overlay2/4be1 is gone",
    ),
    _record(
        "buildkit", _BUILDKIT, Kind.BUILD_STEP, "k2v8x", 3,
        created=NOW - 30 * _MINUTE, notes=("RUN apt-get install -y curl",),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Source:
    name: str
    schemes: tuple[str, ...] = ()

    def discover(self, root: Root) -> Iterator[Record]:
        return (record for record in _RECORDS if record.engine == self.name)

    def resolve(self, scheme: str, rest: str, root: Root) -> Record:
        raise NotImplementedError


def sources() -> tuple[_Source, ...]:
    """One for each engine of the host."""
    return tuple(_Source(name) for name in dict.fromkeys(record.engine for record in _RECORDS))
