"""What holds for the store of any engine: asking leaves no trace, and a copy is never left."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.commands import Run
from support.engines import short_directory
from support.overlay import mount_points_below
from support.stillness import stillness
from whiteout.errors import SnapshotChanged, WhiteoutError
from whiteout.opening import open_stack
from whiteout.snapshot import Snapshot
from whiteout.sources.registry import discover
from whiteout.sources.root import Root


@contextlib.contextmanager
def copy_of(store: Path, place: str) -> Iterator[Path]:
    """A root with a copy of *store* at *place*."""
    with short_directory() as directory:
        directory.chmod(0o755)
        copy = directory / place
        copy.parent.mkdir(parents=True)
        subprocess.run(["cp", "-a", store, copy], check=True, timeout=60)
        yield directory


def check_no_trace(run: Run, store: Path, targets: list[str], blob: Path) -> None:
    """Nothing is written to *store* and nothing mounted in it when it is asked for everything."""
    before = _state(store)
    run("list", "--root", store).done()
    for target in targets:
        run("list", target).done()
        run("changes", target).done()
        run("export", "-o", blob, target).done()
    assert _state(store) == before


def _state(store: Path) -> tuple[object, ...]:
    still = stillness(store)
    # The containerd inside dockerd collects garbage a while after a container has ended.
    still.pop(os.fsencode(store / "containerd/daemon/io.containerd.metadata.v1.bolt/meta.db"), None)
    return still, mount_points_below(store)


def check_removed(
    program: Callable[..., str], opened: Callable[[str], Snapshot], image: str
) -> None:
    """A container of *image* that *program* removes while it is open gives no answer."""
    program("create", "--name", "brief", image, "sh")
    snapshot = opened("brief")
    list(snapshot.changes())
    program("rm", "brief")
    with pytest.raises(SnapshotChanged, match="brief was removed while it was read"):
        list(snapshot.changes())


def check_stays_inside(run: Run, copy: Path, engine: str) -> list[dict[str, Any]]:
    """No target leads out of *copy*, however damaged it is; what is listed there."""
    listing = run("list", "--root", copy, "--json", "--engine", engine).done().objects()
    for target in filter(None, (each["target"] for each in listing)):
        layers = run("list", "--root", copy, target, "--json")
        assert layers.status in (0, 1, 2)
        for layer in layers.objects():
            assert os.path.realpath(layer["path"]).startswith(f"{copy}/"), layer
    return listing


def check_links_out(
    copy: Path, place: str, original: Path, engines: list[str], links: list[str]
) -> None:
    """Below *copy* no part of a store leads to the *original* by being a symlink to that of it.

    *place* is where the store lies in *copy*; of each of *links* the first that fits is taken.
    """
    for pattern in links:
        path = sorted((copy / place).glob(pattern))[0]
        elsewhere = original / path.relative_to(copy / place)
        path.rename(copy / "aside")
        for target in (elsewhere, os.path.relpath(elsewhere, path.parent)):
            path.symlink_to(target)
            with _touched(original) as touched:
                for record in discover(Root(os.fsencode(copy)), engines):
                    with contextlib.suppress(WhiteoutError):
                        stack = record.stack()
                        paths = [layer.path for layer in stack.layers]
                        touched += [path for path in paths if _leaves(path, copy)]
                        list(open_stack(stack).changes())
            path.unlink()
            assert not touched, pattern
        (copy / "aside").rename(path)


def _leaves(path: bytes, directory: Path) -> bool:
    return not os.path.realpath(path).startswith(os.fsencode(directory) + b"/")


_watched: list[tuple[Path, list[bytes]]] = []
_hooks: list[object] = []


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("open", "os.listdir", "os.scandir") and _watched:
        path = arguments[0]
        directory, touched = _watched[-1]
        if isinstance(path, str | bytes) and os.path.isabs(path):
            name = os.fsencode(path)
            if isinstance(arguments[-1], int) and arguments[-1] & os.O_NOFOLLOW:
                name = os.path.dirname(name)
            if not _leaves(name, directory):
                touched.append(name)


@contextlib.contextmanager
def _touched(directory: Path) -> Iterator[list[bytes]]:
    """The paths by which this process meanwhile opens what is below *directory*."""
    if not _hooks:  # one cannot be taken away again
        _hooks.append(sys.addaudithook(_watch))
    _watched.append((directory, touched := []))
    try:
        yield touched
    finally:
        _watched.pop()
