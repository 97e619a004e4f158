"""The panes: sized with the mouse, folded where there is no room, and the trail that is clicked."""

from __future__ import annotations

from pathlib import Path

import pytest
from app_harness import check_golden, demo_snapshot, press, run, screen_text, settle, until
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.pilot import Pilot

from whiteout.display import display_path
from whiteout_tui.browse_screen import BrowseScreen
from whiteout_tui.state import state_of
from whiteout_tui.status import trail_of


def browse(pilot: Pilot[None]) -> BrowseScreen:
    screen = pilot.app.screen
    assert isinstance(screen, BrowseScreen)
    return screen


async def drag(pilot: Pilot[None], start: tuple[int, int], end: tuple[int, int]) -> None:
    await pilot.mouse_down(offset=start)
    for part in (1, 2, 3):
        x, y = (a + (b - a) * part // 3 for a, b in zip(start, end, strict=True))
        await pilot.hover(offset=(x, y))
    await pilot.mouse_up(offset=end)
    await settle(pilot)


@pytest.mark.root  # the golden shows rows that only root can build
def test_the_divider_is_dragged(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        screen = browse(pilot)
        divider = screen.query_one("#divider")
        before = divider.region.x
        await drag(pilot, (before, 10), (before + 24, 12))
        assert abs(divider.region.x - (before + 24)) <= 1
        assert state_of(pilot.app).share_beside in (69, 70)
        check_golden("panes-dragged-120x36", screen_text(pilot.app))  # type: ignore[arg-type]
        # never so far that a pane is lost, and only while the button is down
        await drag(pilot, (divider.region.x, 10), (119, 10))
        assert screen.detail.size.width >= 20
        place = divider.region.x
        await pilot.hover(offset=(40, 10))
        await pilot.pause()
        assert divider.region.x == place

    run(demo_snapshot(tmp_path / "demo"), drive, size=(120, 36))


def test_one_above_the_other_the_tabs_are_dragged(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        screen = browse(pilot)
        bar = screen.query_one("#tabs")
        before = bar.region.y
        await drag(pilot, (30, before), (30, before - 4))
        assert abs(bar.region.y - (before - 4)) <= 1
        assert screen.detail.tab == 0
        await pilot.click(offset=(16, bar.region.y))
        await settle(pilot)
        assert screen.detail.tab == 1

    run(demo_snapshot(tmp_path / "demo"), drive, size=(80, 24))


def test_on_a_low_screen_one_pane_stands_for_the_other(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        screen = browse(pilot)
        assert screen.entries.region.height >= 6
        assert screen.detail.region.height == 0
        await press(pilot, "down", "w")
        assert screen.detail.text.has_focus
        assert screen.entries.region.height == 0
        assert "Modified" in screen_text(pilot.app)  # type: ignore[arg-type]
        for back in ("w", "tab", "escape", "left"):
            await press(pilot, *(("1", back) if back == "w" else (back,)))
            assert screen.entries.has_focus
            assert screen.detail.region.height == 0
            await press(pilot, "2")
            assert "Before/After]" in screen_text(pilot.app)  # type: ignore[arg-type]
            assert screen.entries.region.height == 0
        await pilot.resize_terminal(80, 24)
        await settle(pilot)
        assert screen.entries.region.height > 5
        assert screen.detail.region.height > 5

    run(demo_snapshot(tmp_path / "demo"), drive, size=(80, 14))


@pytest.mark.root  # as above
@pytest.mark.parametrize("size", [(40, 12), (80, 14), (100, 16), (130, 12)])
def test_no_size_cuts_the_cursor_off(tmp_path: Path, size: tuple[int, int]) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        screen = browse(pilot)
        await press(pilot, "G")
        tree = screen.entries
        await until(pilot, lambda: 0 <= tree.cursor - tree.scroll_offset.y < tree.region.height)
        assert tree.region.bottom <= size[1]
        check_golden(f"panes-{size[0]}x{size[1]}", screen_text(pilot.app))  # type: ignore[arg-type]

    run(demo_snapshot(tmp_path / "demo"), drive, size=size)


def test_the_trail_of_the_cursor_is_clicked(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        screen = browse(pilot)
        await press(pilot, "colon", *"/etc", "enter", "right", "right")
        path = screen.entries.cursor_path
        assert path.startswith(b"/etc/")
        line = screen.query_one("#path").content_region
        await pilot.click(offset=(line.x + 2, line.y))
        await until(pilot, lambda: screen.entries.cursor_path == b"/etc")
        await press(pilot, "b")
        assert screen.entries.cursor_path == path
        await pilot.click(offset=(line.x, line.y))
        await until(pilot, lambda: screen.entries.cursor_path == b"/")

    run(demo_snapshot(tmp_path / "demo"), drive)


@given(st.lists(st.binary(min_size=1, max_size=6).filter(lambda name: b"/" not in name)))
def test_the_trail_is_as_long_as_the_path(names: list[bytes]) -> None:
    path = b"/" + b"/".join(names)
    steps = trail_of(path)
    assert [step for _, step in steps][-1] == path
    assert len(steps) == len(names) + 1
    assert steps[-1][0] == cell_len(display_path(path))
