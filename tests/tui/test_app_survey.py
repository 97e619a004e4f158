"""Totals, findings and glossary: what they show, that they lead to the row, and that they stop."""

from __future__ import annotations

import threading
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

from whiteout.demorows import LESSONS
from whiteout_tui.app import WhiteoutApp
from whiteout_tui.browse_screen import BrowseScreen
from whiteout_tui.findings_screen import FindingsScreen
from whiteout_tui.glossary import TERMS
from whiteout_tui.glossary_screen import GlossaryScreen, explained
from whiteout_tui.linelist import LineList
from whiteout_tui.survey_screen import SurveyScreen
from whiteout_tui.totals_screen import TotalsScreen

SIZES = [(80, 24), (120, 36)]
SCREENS = {"totals": "t", "findings": "F", "glossary": "i"}


def app_of(pilot: Pilot[None]) -> WhiteoutApp:
    assert isinstance(pilot.app, WhiteoutApp)
    return pilot.app


def text(pilot: Pilot[None]) -> str:
    return screen_text(app_of(pilot))


def cursor_path(pilot: Pilot[None]) -> bytes:
    screen = pilot.app.screen
    assert isinstance(screen, BrowseScreen)
    return screen.entries.cursor_path


async def look(pilot: Pilot[None], key: str) -> None:
    """Open one of the screens, and wait until it is complete."""
    await settle(pilot)
    await press(pilot, key)
    screen = pilot.app.screen
    if isinstance(screen, SurveyScreen):
        await until(pilot, lambda: "✓ complete" in text(pilot))


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x36"])
@pytest.mark.parametrize("name", SCREENS)
@pytest.mark.root  # the goldens tell owners and devices
@pytest.mark.usefixtures("as_root_owns_it")
def test_golden(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await look(pilot, SCREENS[name])
        await pilot.pause()
        check_golden(f"{name}-{size[0]}x{size[1]}", text(pilot))

    run(demo_snapshot(tmp_path / "demo"), drive, size=size)


def test_the_largest_added_file_is_found_from_the_totals(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await look(pilot, "t")
        screen = pilot.app.screen
        assert isinstance(screen, TotalsScreen)
        first = screen._item()
        await press(pilot, "tab")
        assert "296,250  A /big-added-file.txt" in text(pilot)
        await press(pilot, "tab")
        assert screen._item() == first
        await press(pilot, "tab", "shift+tab")
        assert screen._item() == first
        await press(pilot, "tab", "enter")
        assert cursor_path(pilot) == b"/big-added-file.txt"

    run(demo_snapshot(tmp_path / "demo"), drive)


def test_a_finding_leads_to_its_row_deep_and_hidden(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "u")
        for wanted in (b"/odd-names/.wh.not-a-whiteout", b"/whiteout-of-nothing.txt"):
            await look(pilot, "F")
            await press(pilot, "g")
            screen = pilot.app.screen
            assert isinstance(screen, FindingsScreen)
            while (remark := screen._remark()) is not None and remark.path != wanted:
                await press(pilot, "down")
            await press(pilot, "enter")
            await until(pilot, lambda wanted=wanted: cursor_path(pilot) == wanted)
        await settle(pilot)
        assert "Skipped: a whiteout" in " ".join(text(pilot).split())

    run(demo_snapshot(tmp_path / "demo"), drive)


def test_totals_say_while_they_are_not_complete_and_can_be_cancelled() -> None:
    fake = Fake({b"/": [added(b"/%03d" % number) for number in range(200)]})
    gate = threading.Event()
    stuck = threading.Event()
    changes = fake.changes

    def slowly(**options: object) -> object:
        for number, verdict in enumerate(changes(**options)):  # type: ignore[arg-type]
            if number == 150:
                stuck.set()
                while not gate.wait(0.01):
                    options["cancel"].check()  # type: ignore[attr-defined]
            yield verdict

    fake.changes = slowly  # type: ignore[method-assign, assignment]

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await pilot.press("t")
        await until(pilot, stuck.is_set)
        await until(pilot, lambda: "not complete" in text(pilot))
        assert "so far" in text(pilot)
        await pilot.press("down", "up", "c")
        await until(pilot, lambda: "cancelled by you" in text(pilot))
        gate.set()
        await pilot.press("c")
        await until(pilot, lambda: "✓ complete" in text(pilot))
        assert "so far" not in text(pilot)
        await press(pilot, "escape")
        assert isinstance(pilot.app.screen, BrowseScreen)

    run(fake, drive)


def test_a_path_that_is_gone_is_told(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, BrowseScreen)
        screen.reveal(b"/etc/gone\x1b[2J/below")
        await until(pilot, lambda: "gone\\x1b[2J is" in text(pilot))

    run(demo_snapshot(tmp_path / "demo"), drive)


def test_the_glossary_leads_to_an_example(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "i")
        screen = pilot.app.screen
        assert isinstance(screen, GlossaryScreen)
        while screen.term.name != "ghost":
            await press(pilot, "down")
        assert "Read on:" in text(pilot)
        await press(pilot, "tab", "G", "tab", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, BrowseScreen))
        await until(pilot, lambda: cursor_path(pilot) == b"/deleted-directory/file.txt")

    run(demo_snapshot(tmp_path / "demo"), drive)


def test_without_the_demo_the_glossary_says_where_the_example_is() -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "i", "enter")
        assert isinstance(pilot.app.screen, GlossaryScreen)
        assert "whiteout demo" in text(pilot)

    run(Fake({b"/": [added(b"/a")]}), drive)


@pytest.mark.parametrize("width", [30, 56, 100])
def test_every_term_fits_its_width(width: int) -> None:
    for term in TERMS:
        lines = explained(term, width, examples=LESSONS).plain.splitlines()
        assert max(map(len, lines)) <= width


def test_a_list_without_anything_to_stop_at_moves_nowhere() -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await look(pilot, "F")
        await press(pilot, "down", "up", "G", "g", "pagedown", "pageup", "enter")
        assert isinstance(pilot.app.screen, FindingsScreen)
        assert "Nothing that deserves attention." in text(pilot)
        await pilot.click(LineList, offset=(3, 0))

    run(Fake({b"/": [added(b"/a")]}), drive)
