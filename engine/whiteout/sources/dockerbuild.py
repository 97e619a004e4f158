"""The snapshots of the BuildKit in dockerd, which keeps its layers with Docker's graph driver."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

from whiteout.sources.dockerroot import DRIVERS, Graph, build_directories
from whiteout.sources.model import Record
from whiteout.sources.places import Place
from whiteout.sources.stack import Kind, LayerStack


def build_records(place: Place, group: str) -> Iterator[Record]:
    """A record for each snapshot, called by its key."""
    graph = next((each for each in (Graph(place, d) for d in DRIVERS) if each.exists), None)
    if graph is None:
        return
    keys = build_directories(place)
    names = {directory: key for key, directory in keys.items()}
    for key, directory in keys.items():
        layers = graph.depth(directory)
        if layers is None:
            continue  # removed meanwhile, or not made yet
        yield Record(
            target=f"buildkit:{key}",
            name=key,
            engine="buildkit",
            kind=Kind.SNAPSHOT,
            group=group,
            layers=layers,
            aliases=(directory,) if directory != key else (),
            marks=place.marks,
            opener=partial(_stack, graph, key, directory, names),
        )


def _stack(graph: Graph, key: str, directory: str, names: dict[str, str]) -> LayerStack:
    """The layers below *directory*, called by the snapshots that they are."""
    stack = graph.directory_stack(key, os.fsencode(directory), Kind.SNAPSHOT)
    layers = (
        layer._replace(name=names.get(os.fsdecode(layer.path.split(b"/")[-2]), layer.name))
        for layer in stack.layers
    )
    return stack._replace(layers=tuple(layers))
