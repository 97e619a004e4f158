"""fuse-overlayfs: the layers of its mounts, found in the processes that serve them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.overlay import unmount
from support.trees import lines
from whiteout.fusemounts import fuse_layers
from whiteout.mountinfo import OverlayMount, find_mount
from whiteout.opening import open_target

pytestmark = [pytest.mark.root, pytest.mark.peer("fuse-overlayfs")]


@contextlib.contextmanager
def fused(directory: Path, *options: str, point: str = "m") -> Iterator[Path]:
    """A fuse-overlayfs mount, started in *directory* with options relative to it."""
    (directory / point).mkdir(exist_ok=True)
    words = [word for option in options for word in ("-o", option)]
    daemon = subprocess.Popen(
        ["fuse-overlayfs", "-f", *words, point], cwd=directory, stderr=subprocess.DEVNULL
    )
    place = directory / point
    try:
        while not os.path.ismount(place):
            assert daemon.poll() is None
            time.sleep(0.01)
        yield place
    finally:
        unmount(os.fsencode(place))
        daemon.wait(10)


@pytest.fixture
def layers(tmp_path: Path) -> Path:
    for name in ("l1", "l2,x", "u", "w"):
        (tmp_path / name).mkdir()
    (tmp_path / "l2,x/below").write_text("below")
    return tmp_path


def found(place: Path) -> OverlayMount:
    mount = find_mount(os.fsencode(place))
    assert mount is not None
    return mount


def test_relative_layers_are_found_and_proved(layers: Path) -> None:
    options = ("lowerdir=l1:l2\\,x,upperdir=u", "workdir=w")
    with fused(layers, *options) as place:
        (place / "new").write_text("new")
        mount = found(place)
        assert (mount.problem, mount.verified) == (None, True)
        expected = [layers / name for name in ("u", "l1", "l2,x")]
        assert mount.layers == tuple(os.fsencode(path) for path in expected)
        assert mount.options.upperdir == os.fsencode(layers / "u")


def test_a_mount_without_an_upper_directory(layers: Path) -> None:
    with fused(layers, "lowerdir=l1:l2\\,x") as place:
        mount = found(place)
        assert mount.layers == (os.fsencode(layers / "l1"), os.fsencode(layers / "l2,x"))
        assert mount.options.upperdir is None


def test_two_mounts_are_told_apart(layers: Path) -> None:
    with (
        fused(layers, "lowerdir=l1,upperdir=u,workdir=w", point="one") as one,
        fused(layers, "lowerdir=l2\\,x", point="two") as two,
    ):
        assert found(one).layers == (os.fsencode(layers / "u"), os.fsencode(layers / "l1"))
        assert found(two).layers == (os.fsencode(layers / "l2,x"),)


def test_layers_that_were_moved_are_found_where_they_are(layers: Path) -> None:
    with fused(layers, "lowerdir=l1,upperdir=u,workdir=w") as place:
        (layers / "u").rename(layers / "moved")
        assert found(place).layers == (os.fsencode(layers / "moved"), os.fsencode(layers / "l1"))


def test_its_marks_are_read(layers: Path) -> None:
    (layers / "l1/d").mkdir()
    for name in ("l1/gone", "l1/d/old"):
        (layers / name).touch()
    with fused(layers, "lowerdir=l1,upperdir=u,workdir=w") as place:
        (place / "gone").unlink()
        (place / "d/old").unlink()
        (place / "d").rmdir()
        (place / "d").mkdir()
        (place / "d/new").touch()
        assert (layers / "u/d/.wh..wh..opq").exists()
        snapshot = open_target(os.fsencode(place))
        assert lines(snapshot) == ["A /d/new", "D /d/old", "D /gone"]


def test_no_process_fits(layers: Path) -> None:
    assert fuse_layers(os.stat(layers), os.fsencode(layers)) is None
    assert fuse_layers(os.stat(layers), os.fsencode(layers), str(layers / "none")) is None
