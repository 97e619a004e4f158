"""A snapshot that changes while it is looked at: it is noticed and marked; r reads it anew."""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from app_harness import demo_snapshot, press, run, screen_text, settle, until
from textual.pilot import Pilot

from whiteout.opening import open_pair
from whiteout.snapshot import Snapshot
from whiteout_tui import watching
from whiteout_tui.browse_screen import BrowseScreen

Drive = Callable[[Pilot[None]], Awaitable[None]]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "EVERY", 0.05)


def browse(pilot: Pilot[None]) -> BrowseScreen:
    screen = pilot.app.screen
    assert isinstance(screen, BrowseScreen)
    return screen


def text(pilot: Pilot[None]) -> str:
    return screen_text(pilot.app)  # type: ignore[arg-type]


def line(pilot: Pilot[None], name: str) -> str:
    return next(line for line in text(pilot).splitlines() if name in line)


def small(directory: Path) -> tuple[Path, Snapshot]:
    upper, lower = directory / "upper", directory / "lower"
    (upper / "etc" / "deep").mkdir(parents=True)
    lower.mkdir()
    for name in ("written", "gone", "still"):
        (upper / "etc" / name).write_bytes(b"as it was")
    snapshot = open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True, label="small")
    return upper, snapshot


async def looks(pilot: Pilot[None], count: int = 3) -> None:
    """Wait until it was looked so often."""
    seen = 0
    take = browse(pilot).watcher.take

    def counted(looked: watching.Watcher.Looked) -> None:
        nonlocal seen
        take(looked)
        seen += 1

    browse(pilot).watcher.take = counted  # type: ignore[method-assign]
    await until(pilot, lambda: seen >= count)
    del browse(pilot).watcher.take


def test_what_does_not_change_is_not_said_to_have_changed(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "plus")
        screen = browse(pilot)
        for key in ("home", "pagedown", "pagedown", "pagedown", "end"):
            await press(pilot, key)
            await looks(pilot)
            assert not screen.entries.stale
        assert "changed since" not in text(pilot)

    run(demo_snapshot(tmp_path / "demo"), drive)


def test_what_changes_on_the_screen_is_marked_until_it_is_read_anew(tmp_path: Path) -> None:
    upper, snapshot = small(tmp_path)

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "down", "right")
        await looks(pilot)
        assert "changed" not in text(pilot)
        (upper / "etc" / "written").write_bytes(b"as it is")
        await until(pilot, lambda: "! 1 changed since read, r re-reads" in text(pilot))
        assert "changed since it was read" in line(pilot, "written")
        assert "changed" not in line(pilot, " still")
        (upper / "etc" / "gone").unlink()
        (upper / "etc" / "new").write_bytes(b"")
        await until(pilot, lambda: "! 3 changed since read" in text(pilot))
        assert "changed since it was read" in line(pilot, "gone")
        assert "changed since it was read" in line(pilot, "etc/")
        await press(pilot, "r")
        await looks(pilot)
        assert "since" not in text(pilot)
        assert line(pilot, "written").endswith("changed")
        assert line(pilot, "new").endswith("changed")
        assert "changed" not in line(pilot, " still")
        assert not any(" gone" in shown for shown in text(pilot).splitlines())
        # what is read anew is watched as before
        (upper / "etc" / "new").write_bytes(b"more")
        await until(pilot, lambda: "changed since it was read" in line(pilot, "new"))

    run(snapshot, drive)


def test_a_change_of_the_root_and_its_reading_anew(tmp_path: Path) -> None:
    upper, snapshot = small(tmp_path)

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await looks(pilot)
        (upper / "new").mkdir()
        await until(pilot, lambda: "changed since it was read" in text(pilot))
        assert browse(pilot).entries.stale == {0}
        await press(pilot, "r")
        await looks(pilot)
        assert "since" not in text(pilot)
        assert line(pilot, "new/").endswith("changed")
        assert not line(pilot, "etc/").endswith("changed")

    run(snapshot, drive)


def test_r_reads_only_the_directory_of_the_cursor_and_keeps_what_is_open(tmp_path: Path) -> None:
    upper, snapshot = small(tmp_path)
    (upper / "other").mkdir()
    (upper / "etc" / "deep" / "file").write_bytes(b"")
    (upper / "etc" / "deep" / "next").write_bytes(b"")

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        screen = browse(pilot)
        await press(pilot, "plus", "colon", *"/etc/still", "enter")
        (upper / "etc" / "deep" / "next").unlink()
        (upper / "other" / "unseen").write_bytes(b"")
        await press(pilot, "r")
        assert screen.entries.cursor_path == b"/etc/still"
        assert "next" not in text(pilot)
        assert " file" in text(pilot)
        assert "unseen" not in text(pilot)
        assert screen.counts.complete

    run(snapshot, drive)


def test_a_snapshot_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    upper, snapshot = small(tmp_path)

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "down", "right")
        await looks(pilot)
        shutil.rmtree(upper)
        await until(pilot, lambda: "changed since" in text(pilot) or "looked at" in text(pilot))

    run(snapshot, drive)
