"""What holds for the store of any engine: asking leaves no trace, and a copy is never left."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.commands import Run
from support.engines import short_directory
from support.overlay import mount_points_below
from support.stillness import stillness


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


def check_stays_inside(run: Run, copy: Path, engine: str) -> list[dict[str, Any]]:
    """No target leads out of *copy*, however damaged it is; what is listed there."""
    listing = run("list", "--root", copy, "--json", "--engine", engine).done().objects()
    for target in filter(None, (each["target"] for each in listing)):
        layers = run("list", "--root", copy, target, "--json")
        assert layers.status in (0, 1, 2)
        assert all(each["path"].startswith(f"{copy}/") for each in layers.objects())
    return listing
