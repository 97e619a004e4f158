"""The app while things fail beneath it: it stays alive, says what happened, and shows no half."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.terminal import Start
from support.trees import File, make


@pytest.fixture
def layers(tmp_path: Path) -> tuple[Path, Path]:
    many = {f"entry-with-a-long-name-{number:04}": File() for number in range(2000)}
    upper = make(tmp_path / "upper", {"broken": many, "sound": {"file": File(b"sound")}})
    return upper, make(tmp_path / "lower", {})


@pytest.mark.peer("tmux")
@pytest.mark.peer("strace")
def test_a_directory_that_fails_half_way_is_unreadable_and_the_rest_goes_on(
    layers: tuple[Path, Path], tmp_path: Path, terminal: Start
) -> None:
    upper, lower = layers
    # read through a clone of the mount, the directory is known by its path in the layer
    inject = [
        "-P",
        str(upper / "broken"),
        "-P",
        "/broken",
        "-e",
        "inject=getdents64:error=EIO:when=2+2",
    ]
    shown = terminal(
        upper,
        *("--lower", lower, "--userxattr", "--store", tmp_path / "store"),
        wrapper=["strace", "-f", "-qq", "-o", str(tmp_path / "log"), *inject],
    )
    shown.wait("broken")
    shown.press("Down", "Right")
    text = shown.wait("input/output error")
    assert "entry-with-a-long-name" not in text, "half a directory as if it were whole"
    shown.press("Left", "G", "Right")
    shown.wait("file")
    shown.press("e")
    shown.wait("Export the layer")
    shown.press("Enter")
    shown.wait("cannot list /broken: input/output error")
    assert not any((tmp_path / "store" / "blobs" / "sha256").glob("*"))
    shown.press("Escape")
    shown.wait(lambda text: "Esc close" not in text)
    shown.press("q")
    shown.wait("ended with 0")


@pytest.mark.peer("tmux")
def test_a_snapshot_that_is_taken_away(layers: tuple[Path, Path], terminal: Start) -> None:
    upper, lower = layers
    shown = terminal(upper, "--lower", lower, "--userxattr")
    shown.wait("sound")
    shutil.rmtree(upper)
    shown.press("G", "Right")
    shown.wait("cannot open the layer")
    shown.press("q")
    shown.wait("ended with 0")


@pytest.mark.root
@pytest.mark.peer("tmux")
def test_a_full_disk_is_said_and_the_app_goes_on(
    layers: tuple[Path, Path], tmp_path: Path, terminal: Start
) -> None:
    upper, lower = layers
    (upper / "large").write_bytes(os.urandom(500_000))
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", disk], check=True)
    try:
        store = disk / "store"
        shown = terminal(upper, "--lower", lower, "--userxattr", "--store", store)
        shown.wait("large")
        shown.press("e")
        shown.wait("Export the layer")
        shown.press("Enter")
        shown.wait("no space left on device")
        assert list((store / "blobs" / "sha256").glob("*")) == []
        assert list((store / "ingest").iterdir()) == []
        shown.press("Escape")
        shown.wait(lambda text: "Esc close" not in text)
        shown.press("q")
        shown.wait("ended with 0")
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
