"""The picker and the layers of a stack, over sources in memory."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from app_harness import check_golden, press, run, screen_text, settle, until
from fake_sources import NOW, FakeSource, record, sources_of, three_layers
from textual.pilot import Pilot
from textual.widgets import Input

from whiteout.layers import Marks
from whiteout.sources.stack import Kind, LayerStack
from whiteout_tui import picker_screen, record_rows
from whiteout_tui.browse_screen import BrowseScreen
from whiteout_tui.layers_screen import LayersScreen
from whiteout_tui.picker_screen import PickerScreen
from whiteout_tui.row_list import RowList


def text(pilot: Pilot[None]) -> str:
    return screen_text(pilot.app)  # type: ignore[arg-type]


@pytest.fixture
def stack(tmp_path: Path) -> LayerStack:
    return three_layers(tmp_path)


@pytest.fixture
def found(stack: LayerStack) -> list[FakeSource]:
    return sources_of(stack)


@pytest.fixture(autouse=True)
def _fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picker_screen, "can_read_trusted", lambda: True)
    for module in (picker_screen,):
        monkeypatch.setattr(module.time, "time", lambda: NOW)


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch, found: list[FakeSource]) -> list[FakeSource]:
    monkeypatch.setattr(picker_screen, "sources", lambda: tuple(found))
    return found


async def listed(pilot: Pilot[None]) -> PickerScreen:
    screen = pilot.app.screen
    assert isinstance(screen, PickerScreen)
    await until(pilot, lambda: not screen.is_reading)
    await pilot.pause()
    return screen


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=["80", "120"])
def test_the_picker_looks_as_it_should(size: tuple[int, int]) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await listed(pilot)
        await pilot.press("down")
        await pilot.pause()
        check_golden(f"picker-{size[0]}x{size[1]}", text(pilot))

    run(None, drive, size=size)


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=["80", "120"])
def test_the_layers_look_as_they_should(
    size: tuple[int, int], stack: LayerStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_rows, "display_path", lambda path: "/layers/" + path.decode()[-1])

    async def drive(pilot: Pilot[None]) -> None:
        await listed(pilot)
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, LayersScreen))
        await pilot.press("space", "down")
        await pilot.pause()
        check_golden(f"layers-{size[0]}x{size[1]}", text(pilot))

    run(None, drive, size=size)


@pytest.mark.usefixtures("sources")
def test_layers_ranges_and_the_way_back() -> None:
    async def names(pilot: Pilot[None]) -> set[str]:
        await until(pilot, lambda: isinstance(pilot.app.screen, BrowseScreen))
        await settle(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, BrowseScreen)
        return {verdict.path.decode() for verdict in screen.snapshot.changes()}

    async def drive(pilot: Pilot[None]) -> None:
        await listed(pilot)
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, LayersScreen))
        await pilot.press("enter")
        assert await names(pilot) == {"/of-0", "/shared"}
        await press(pilot, "escape")
        await pilot.press("down", "enter")
        assert await names(pilot) == {"/of-1", "/shared"}
        await press(pilot, "escape")
        await pilot.press("space", "up")
        assert "layers 1 to 2 as one diff, against the layer below" in text(pilot)
        await pilot.press("enter")
        assert await names(pilot) == {"/of-0", "/of-1", "/shared"}
        await press(pilot, "escape")
        await pilot.press("escape")
        await pilot.pause()
        assert "as one diff" not in text(pilot)
        await press(pilot, "escape")
        assert isinstance(pilot.app.screen, PickerScreen)

    run(None, drive)


@pytest.mark.usefixtures("sources")
def test_a_single_layer_opens_at_once_and_a_problem_is_said() -> None:
    async def drive(pilot: Pilot[None]) -> None:
        screen = await listed(pilot)
        rows = screen.query_one(RowList)
        await pilot.press("G", "up", "enter")
        await until(pilot, lambda: "cannot open" in text(pilot))
        await pilot.press("up", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, BrowseScreen))
        await press(pilot, "escape")
        await pilot.press("G", "enter")
        await pilot.pause()
        assert isinstance(pilot.app.screen, PickerScreen)
        assert "permission denied; run as root" in text(pilot)
        assert rows.cursor == len(rows.rows) - 1

    run(None, drive)


@pytest.mark.usefixtures("sources")
def test_the_filter_leaves_lines_with_all_of_its_words() -> None:
    async def drive(pilot: Pilot[None]) -> None:
        screen = await listed(pilot)
        await pilot.press("slash", *"IMAGE app")
        await pilot.pause()
        assert "example.org/app:1" in text(pilot)
        assert "base" not in text(pilot)
        assert "1 of 5 snapshots" in text(pilot)
        await pilot.press("enter")
        assert isinstance(screen.focused, RowList)
        await pilot.press("slash", *" nothing")
        await pilot.pause()
        assert "Nothing has these words" in text(pilot)
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(screen.focused, RowList)
        assert "5 snapshots" in text(pilot)
        assert "base" in text(pilot)
        await pilot.press("slash", "enter")
        assert screen.query_one(Input).has_class("-empty")

    run(None, drive)


def test_a_slow_source_holds_up_nobody(sources: list[FakeSource]) -> None:
    gate = sources[0].gate = threading.Event()

    async def drive(pilot: Pilot[None]) -> None:
        screen = pilot.app.screen
        assert isinstance(screen, PickerScreen)
        await until(pilot, lambda: "example.org/app:1" in text(pilot))
        await pilot.press("down", "down")
        before = screen.query_one(RowList).picked
        assert "asking mount" in text(pilot)
        gate.set()
        await listed(pilot)
        assert "/merged" in text(pilot)
        assert screen.query_one(RowList).picked == before
        await pilot.press("r")
        await listed(pilot)
        assert screen.query_one(RowList).picked == before

    run(None, drive)


@pytest.mark.usefixtures("sources")
def test_the_mouse_picks_and_opens() -> None:
    async def drive(pilot: Pilot[None]) -> None:
        screen = await listed(pilot)
        rows = screen.query_one(RowList)
        place = next(n for n, row in enumerate(rows.rows) if "base" in str(row))
        await pilot.click(RowList, offset=(5, place))
        assert rows.cursor == place
        assert "containerd://default/base" in text(pilot)
        await pilot.click(RowList, offset=(5, 0))  # a heading
        assert rows.cursor == place
        await pilot.click(RowList, offset=(5, place), times=2)
        await until(pilot, lambda: isinstance(pilot.app.screen, BrowseScreen))

    run(None, drive)


def test_doubt_is_said_at_the_top_and_on_the_row(
    sources: list[FakeSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picker_screen, "can_read_trusted", lambda: False)
    sources[1].records[0] = replace(sources[1].records[0], marks=Marks.TRUSTED)

    async def drive(pilot: Pilot[None]) -> None:
        await listed(pilot)
        lines = text(pilot).splitlines()
        assert "! the trusted.overlay.* marks" in lines[1]
        assert any(line.startswith("? container") for line in lines)
        await pilot.press("down")
        await pilot.pause()
        assert "? marks of its layers are hidden from this user" in text(pilot)

    run(None, drive)


def test_without_anything_the_picker_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picker_screen, "sources", lambda: (FakeSource("mount", []),))

    async def drive(pilot: Pilot[None]) -> None:
        await listed(pilot)
        assert "whiteout demo" in text(pilot)
        await pilot.press("enter", "down", "G")

    run(None, drive)


def test_the_heading_stays_over_its_column(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [record(f"s{n}", Kind.SNAPSHOT, parent=f"parent-{n}") for n in range(100)]
    monkeypatch.setattr(picker_screen, "sources", lambda: (FakeSource("containerd", many),))

    async def drive(pilot: Pilot[None]) -> None:
        await listed(pilot)

        def is_over() -> bool:
            lines = text(pilot).splitlines()
            row = next(line for line in lines if "parent-0" in line)
            return lines[1].index("parent") == row.index("parent-0")

        await until(pilot, is_over)
        for width in (80, 200, 100):
            await pilot.resize_terminal(width, 30)
            await pilot.pause()
            await until(pilot, is_over)

    run(None, drive, size=(150, 30))


def test_a_thousand_lines_are_moved_through(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [record(f"snapshot-{n:04}", Kind.SNAPSHOT, layers=1) for n in range(3000)]
    monkeypatch.setattr(picker_screen, "sources", lambda: (FakeSource("containerd", many),))

    async def drive(pilot: Pilot[None]) -> None:
        await listed(pilot)
        await pilot.press("G")
        await pilot.pause()
        assert "snapshot-2999" in text(pilot)
        rows = pilot.app.screen.query_one(RowList)
        await pilot.press("g", "pagedown", "pagedown", "pageup")
        assert 10 < rows.cursor < 20
        await pilot.press("slash", *"2718")
        await pilot.pause()
        assert "1 of 3,000 snapshots" in text(pilot)

    run(None, drive)
