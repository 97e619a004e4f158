"""The guided tour: every step brings its row and its pane, by keys and by mouse."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from app_harness import (
    Fake,
    added,
    check_golden,
    demo_snapshot,
    press,
    run,
    screen_text,
    settle,
    until,
)
from textual.pilot import Pilot

from whiteout.demo import lessons_of
from whiteout_tui import picker_screen
from whiteout_tui.app import WhiteoutApp
from whiteout_tui.browse_screen import BrowseScreen
from whiteout_tui.detail.tabs import TABS
from whiteout_tui.tour import STEPS, steps_in
from whiteout_tui.tour_bar import TourBar


def browse(pilot: Pilot[None]) -> BrowseScreen:
    screen = pilot.app.screen
    assert isinstance(screen, BrowseScreen)
    return screen


def text(pilot: Pilot[None]) -> str:
    return screen_text(pilot.app)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=["80x24", "120x36"])
def test_every_step_shows_its_row_and_its_pane(tmp_path: Path, size: tuple[int, int]) -> None:
    snapshot = demo_snapshot(tmp_path / "demo")
    steps = steps_in(lessons_of(snapshot))
    assert len(steps) >= len(STEPS) - 2

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "u", "w", "L")  # hidden rows and a folded detail come back
        for number, step in enumerate(steps, 1):
            assert browse(pilot).entries.cursor_path == step.path
            shown = text(pilot)
            assert f"Tour {number}/{len(steps)}: {step.title}" in shown
            assert step.text.split()[-1] in shown, "the text is not cut off"
            if step.tab is None:
                assert browse(pilot).query_one("#tree-pane").has_class("-toured")
            else:
                assert browse(pilot).panes.shows_detail
                assert browse(pilot).detail.tab == step.tab
                assert f"[{step.tab + 1} " in shown
                assert f"look at {step.tab + 1} {TABS[step.tab].title}" in shown
            assert isinstance(browse(pilot).focused, TourBar)
            await press(pilot, "right")
        assert "Tour" not in text(pilot)
        assert browse(pilot).focused is browse(pilot).entries

    run(snapshot, drive, size=size)


@pytest.mark.root  # the whole tour needs it
@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=["80x24", "120x36"])
def test_the_screen(tmp_path: Path, size: tuple[int, int]) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "L")
        for number in (1, 2):
            check_golden(f"tour-{number}-{size[0]}x{size[1]}", text(pilot))
            await press(pilot, "n")

    run(demo_snapshot(tmp_path / "demo"), drive, size=size)


def test_by_mouse_and_back_to_it(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        async def click(button: str) -> None:
            for y, line in enumerate(text(pilot).splitlines()):
                if button in line:
                    await pilot.click(offset=(line.index(button) + 1, y))
                    break
            else:
                raise AssertionError(f"no {button}")
            await pilot.pause(0.6)  # or else the next one makes it a double click
            await settle(pilot)

        await settle(pilot)
        await press(pilot, "L")
        await click("next ▸")
        await click("next ▸")
        assert "Tour 3/" in text(pilot)
        await click("◂ back")
        assert "Tour 2/" in text(pilot)
        assert browse(pilot).entries.cursor_path == b"/deleted-file.txt"
        await press(pilot, "tab", "down", "L")
        assert browse(pilot).entries.cursor_path == b"/deleted-file.txt"
        assert "Tour 2/" in text(pilot)
        await click("✕ end")
        assert "Tour 2/" not in text(pilot)

    run(demo_snapshot(tmp_path / "demo"), drive)


@pytest.mark.parametrize("picked", [False, True], ids=["from-a-snapshot", "from-the-list"])
def test_from_elsewhere_the_demo_is_opened_and_left_again(
    picked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    monkeypatch.setattr(picker_screen, "sources", tuple)

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        before = pilot.app.screen
        for _ in range(2):  # the second time it is there already
            await pilot.press("L")
            await until(pilot, lambda: "Tour 1/" in text(pilot))
            await settle(pilot)
            assert browse(pilot).snapshot.label == "demo"
            await press(pilot, "right", "escape")
            await until(pilot, lambda: "Esc leads back" in text(pilot))
            await press(pilot, "escape")
            assert pilot.app.screen is before
        assert len(list(directory.iterdir())) == 1
        assert isinstance(pilot.app, WhiteoutApp)
        pilot.app.visit.remove()
        assert not list(directory.iterdir())

    run(None if picked else Fake({b"/": [added(b"/a")]}), drive)


def test_a_demo_that_cannot_be_built_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "with:colon"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await pilot.press("L")
        await until(pilot, lambda: "No tour" in text(pilot))
        assert "the demo cannot be built" in " ".join(text(pilot).replace("▌", " ").split())
        assert not list(directory.iterdir())

    run(Fake({b"/": [added(b"/a")]}), drive, size=(120, 36))


def test_the_demo_may_begin_with_it(tmp_path: Path) -> None:
    async def body() -> None:
        app = WhiteoutApp(demo_snapshot(tmp_path / "demo"), tour=True)
        async with app.run_test(size=(80, 24)) as pilot:
            await settle(pilot)
            assert "Tour 1/" in text(pilot)

    asyncio.run(body())
