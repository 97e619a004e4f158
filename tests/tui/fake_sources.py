"""What a host has, in memory, for the picker."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from whiteout.errors import ReadError
from whiteout.layers import Marks
from whiteout.sources.model import Record
from whiteout.sources.root import Root
from whiteout.sources.stack import Kind, LayerStack, StackLayer

NOW = 1_700_000_000.0
DIGEST = "sha256:" + "0123456789ab" * 6


@dataclass
class FakeSource:
    """Lists what it is given, when it is let to."""

    name: str
    records: list[Record]
    gate: threading.Event | None = None
    error: ReadError | None = None
    schemes: tuple[str, ...] = ()

    def discover(self, root: Root) -> Iterator[Record]:
        if self.gate is not None:
            self.gate.wait(20)
        yield from self.records
        if self.error is not None:
            raise self.error

    def resolve(self, scheme: str, rest: str, root: Root) -> Record:
        raise NotImplementedError


def record(name: str, kind: Kind, **more: object) -> Record:
    made = Record(
        target=f"containerd://default/{name}",
        name=name,
        engine="containerd",
        kind=kind,
        group="containerd · namespace default · /var/lib/containerd",
        marks=Marks.USER,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def three_layers(directory: Path) -> LayerStack:
    """Three layers: each adds a file, and the top one changes one of the bottom's."""
    layers = []
    for number, name in enumerate(("box", DIGEST, "base")):
        path = directory / f"layer{number}"
        path.mkdir()
        (path / f"of-{number}").touch()
        (path / "shared").write_text(f"{number}" * (number + 1))
        kind = Kind.CONTAINER if number == 0 else Kind.IMAGE_LAYER
        layers.append(StackLayer(os.fsencode(path), name, kind, NOW - 3600 * (number + 1)))
    return LayerStack("box", tuple(layers), marks=Marks.USER)


def sources_of(stack: LayerStack) -> list[FakeSource]:
    """What three engines have: one of them lists the layers of *stack*, one cannot be read."""
    single = stack._replace(layers=stack.layers[2:], label="base")
    containers = [
        record(
            "box\x1b[2J",
            Kind.CONTAINER,
            layers=3,
            created=NOW - 90,
            parent=DIGEST,
            notes=("example.org/app:1",),
            opener=lambda: stack,
        ),
        record("example.org/app:1", Kind.IMAGE, layers=2, created=NOW - 86400 * 3, size=12_345_678),
        record("base", Kind.IMAGE_LAYER, layers=1, size=512, opener=lambda: single),
        record("lost", Kind.SNAPSHOT, problem="its directory /snapshots/9/fs is gone"),
    ]
    mount = Record(
        "/merged", "/merged", "mount", Kind.MOUNT, "overlay mounts", layers=2, marks=Marks.USER
    )
    error = ReadError("cannot read /var/lib/docker: permission denied; run as root")
    return [
        FakeSource("mount", [mount]),
        FakeSource("containerd", containers),
        FakeSource("docker", [], error=error),
    ]
