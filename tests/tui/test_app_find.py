"""Search, filter and going to a path: over the whole snapshot, whatever is open."""

from __future__ import annotations

import asyncio

import pytest
from app_harness import DIRECTORY, Fake, added, press, run, same, screen_text, settle, until
from textual.pilot import Pilot

from whiteout_tui.browse_screen import BrowseScreen


def fake() -> Fake:
    return Fake(
        {
            b"/": [added(b"/a", DIRECTORY), added(b"/b", DIRECTORY), same(b"/needle-skipped")],
            b"/a": [added(b"/a/one", DIRECTORY)],
            b"/a/one": [added(b"/a/one/needle-1"), added(b"/a/one/other")],
            b"/b": [added(b"/b/Needle-2"), added(b"/b/z")],
        }
    )


def browse(pilot: Pilot[None]) -> BrowseScreen:
    screen = pilot.app.screen
    assert isinstance(screen, BrowseScreen)
    return screen


def text(pilot: Pilot[None]) -> str:
    return screen_text(pilot.app)  # type: ignore[arg-type]


def path(pilot: Pilot[None]) -> bytes:
    return browse(pilot).entries.cursor_path


def test_a_search_finds_what_is_not_open_and_esc_undoes_it() -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        height = browse(pilot).entries.rows.height
        await pilot.press("slash", *"needle")
        await until(pilot, lambda: path(pilot) == b"/a/one/needle-1")
        await until(pilot, lambda: "1 of 3" in text(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: path(pilot) == b"/")
        assert browse(pilot).entries.rows.height == height
        await pilot.press("slash", *"needle")
        await until(pilot, lambda: "1 of 3" in text(pilot))
        await press(pilot, "enter", "n")
        assert path(pilot) == b"/b/Needle-2"
        await until(pilot, lambda: "2 of 3" in text(pilot))
        await press(pilot, "n", "n")
        assert path(pilot) == b"/a/one/needle-1", "after the last comes the first"
        await press(pilot, "N", "N")
        assert path(pilot) == b"/b/Needle-2"
        await press(pilot, "b")
        assert path(pilot) == b"/needle-skipped"
        await press(pilot, "B")
        assert path(pilot) == b"/b/Needle-2"
        await press(pilot, "escape")
        assert browse(pilot).entries.search is None

    run(fake(), drive)


def test_an_expression_and_what_is_wrong_with_it() -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await pilot.press("slash", "ctrl+r", *"e-[0-9]$")
        await until(pilot, lambda: "of 2" in text(pilot))
        await pilot.press("(")
        await until(pilot, lambda: "is no regular expression" in text(pilot))
        await press(pilot, "enter")
        assert "Regex" in text(pilot), "what cannot be understood is not kept"

    run(fake(), drive)


def test_a_filter_shows_what_passes_and_what_leads_there() -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        tree = browse(pilot).entries
        before = tree.rows.height
        await pilot.press("f", *"needle kind:A")
        await until(pilot, lambda: tree.rows.height == 6)
        await until(pilot, lambda: "2 rows" in text(pilot))
        await pilot.press("f", "o", "o")
        await until(pilot, lambda: "kind:Afoo is no kind" in text(pilot).replace("Afoo:", "Afoo"))
        await pilot.press("escape")
        await until(pilot, lambda: tree.rows.height == before)
        await pilot.press("f", *"type:d", "enter")
        await until(pilot, lambda: "filter type:d: 3 rows" in text(pilot))
        await press(pilot, "escape")
        assert tree.rows.height == before

    run(fake(), drive)


@pytest.mark.parametrize("what", ["filter", "search"])
def test_what_is_typed_while_the_last_is_found_is_found_as_well(what: str) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        finder = browse(pilot).finder

        def find(wanted: str) -> None:
            if what == "filter":
                finder.set_filter(wanted)
            else:
                finder.set_search(wanted, regex=False)

        for turns in range(12):
            find("nothing")
            for _ in range(turns):
                await asyncio.sleep(0)
            find("needle")
            if what == "filter":
                await until(pilot, lambda: finder.filter_state() == "3 rows")
            else:
                await until(pilot, lambda: finder.search_state() == "3 matches")

    run(fake(), drive)


def test_going_to_a_path_completes_it_and_says_when_it_is_not_there() -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await pilot.press("colon", *"/a/", "tab", "n", "tab", "enter")
        await until(pilot, lambda: path(pilot) == b"/a/one/needle-1")
        await pilot.press("colon", *"/a/nowhere", "enter")
        await until(pilot, lambda: "/a/nowhere is neither in the snapshot" in text(pilot))
        await press(pilot, "escape", "b")
        assert path(pilot) == b"/"

    run(fake(), drive)


def test_chains_and_all_directories_are_opened_at_once() -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        tree = browse(pilot).entries
        await press(pilot, "down", "right")
        assert tree.rows.height == 7, "a, the only directory in it, and its two rows"
        await press(pilot, "minus", "plus")
        assert tree.rows.height == 9
        await press(pilot, "minus")
        assert tree.rows.height == 4

    run(fake(), drive)


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
def test_the_panes_can_be_made_larger_and_smaller(size: tuple[int, int]) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        pane = browse(pilot).query_one("#tree-pane")
        before = pane.region.area
        await press(pilot, "greater_than_sign", "greater_than_sign")
        larger = pane.region.area
        assert larger > before
        await press(pilot, *["less_than_sign"] * 30)
        assert 0 < pane.region.area < before
        await press(pilot, *["greater_than_sign"] * 30)
        assert browse(pilot).detail.region.area > 0

    run(fake(), drive, size=size)
