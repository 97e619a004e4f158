"""Keys typed faster than the app answers go where a person would expect them to go."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from app_harness import demo_snapshot, run, until
from textual import events
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Button, Input

from support.terminal import Start
from whiteout_tui import keyqueue
from whiteout_tui.browse_screen import BrowseScreen
from whiteout_tui.export_screen import ExportScreen
from whiteout_tui.findings_screen import FindingsScreen
from whiteout_tui.glossary_screen import GlossaryScreen
from whiteout_tui.help_screen import HelpScreen
from whiteout_tui.keyqueue import KeyQueue
from whiteout_tui.prompt import Prompt

_CHARACTERS = {"slash": "/", "colon": ":"}


def burst(app: App[None], *keys: str) -> None:
    """All of *keys* at once, before the app has dealt with any of them."""
    for key in keys:
        app.post_message(events.Key(key, _CHARACTERS.get(key)))


def browse(pilot: Pilot[None]) -> BrowseScreen:
    screen = pilot.app.screen
    assert isinstance(screen, BrowseScreen)
    return screen


def test_what_is_typed_into_prompts_at_once(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        screen = browse(pilot)
        await until(pilot, lambda: screen.counts.complete)
        burst(pilot.app, "slash", *"added", "enter", "colon", "slash", *"etc", "enter", "w")
        await until(pilot, lambda: screen.entries.cursor_path == b"/etc")
        await until(pilot, lambda: not screen.panes.shows_detail)
        assert screen.finder.search is not None
        assert screen.finder.search.text == "added"
        assert not screen.query_one(Prompt).is_open

    run(demo_snapshot(tmp_path / "demo"), drive)


def test_what_is_typed_behind_an_arrow_goes_into_the_next_field(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        screen = browse(pilot)
        await until(pilot, lambda: screen.counts.complete)
        burst(pilot.app, "e", "down", "5", "down", "down", "r", "up", "up", "6")

        def typed(name: str) -> str:
            found = pilot.app.screen.query(f"#{name}")
            return found.first(Input).value if found else ""

        await until(pilot, lambda: typed("level") == "6")  # typed over what was there
        assert typed("ref") == "r"

    run(demo_snapshot(tmp_path / "demo"), drive)


def test_keys_behind_one_that_opens_a_screen_go_to_that_screen(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        screen = browse(pilot)
        await until(pilot, lambda: screen.counts.complete)
        opened = []
        pilot.app.screen_change_signal.subscribe(
            screen, lambda shown: opened.append(type(shown)), immediate=True
        )
        # each Escape would be the end of the screen below if it came to that
        for key in ("i", "question_mark", "F", "e"):
            burst(pilot.app, key, "escape")
        burst(pilot.app, "down", "down")
        await until(pilot, lambda: screen.entries.cursor == 2)
        assert pilot.app.screen is screen
        assert opened == [
            GlossaryScreen, BrowseScreen, HelpScreen, BrowseScreen,
            FindingsScreen, BrowseScreen, ExportScreen, BrowseScreen,
        ]  # fmt: skip

    run(demo_snapshot(tmp_path / "demo"), drive)


def test_keys_behind_enter_on_a_file_scroll_its_detail(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        screen = browse(pilot)
        await until(pilot, lambda: screen.counts.complete)
        burst(pilot.app, "down", "down", "enter", "left", "down", "enter", "h", "up")
        await until(pilot, lambda: screen.entries.has_focus and screen.entries.cursor == 2)

    run(demo_snapshot(tmp_path / "demo"), drive)


def test_a_jump_from_a_list_is_made_before_the_next_key(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        screen = browse(pilot)
        await until(pilot, lambda: screen.counts.complete)
        screen.action_findings()
        await until(pilot, lambda: isinstance(pilot.app.screen, FindingsScreen))
        await pilot.pause()
        await until(pilot, lambda: pilot.app.screen.known.survey.walked)  # type: ignore[attr-defined]
        burst(pilot.app, "enter", "w")
        await until(pilot, lambda: not screen.panes.shows_detail)
        assert pilot.app.screen is screen
        assert screen.entries.cursor_path != b"/"

    run(demo_snapshot(tmp_path / "demo"), drive)


class Stuck(Button):
    """Never comes to an end with a key."""

    async def on_key(self) -> None:
        await asyncio.sleep(3600)


class StuckApp(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.queue = KeyQueue(self, super().on_event)

    async def on_event(self, event: events.Event) -> None:
        if self.queue.takes(event):
            await self.queue.take(event)
        else:
            await super().on_event(event)

    def compose(self) -> ComposeResult:
        yield Stuck("stuck")
        yield Input()


def test_a_key_that_never_ends_holds_no_other_up_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyqueue, "_LOOK_EVERY", 0.01)

    async def body() -> None:
        app = StuckApp()
        async with app.run_test() as pilot:
            burst(app, "x")
            await asyncio.sleep(0)
            app.screen.set_focus(app.query_one(Input))
            burst(app, "a", "b")
            for _ in range(500):
                await asyncio.sleep(0.01)
                if app.query_one(Input).value == "ab":
                    break
            assert app.query_one(Input).value == "ab"
            app.query_one(Stuck)._task.cancel()  # type: ignore[union-attr]
            del pilot

    asyncio.run(body())


@pytest.mark.peer("tmux")
def test_keys_in_one_write_of_a_terminal(terminal: Start) -> None:
    shown = terminal("demo")
    shown.wait("✓")
    shown.press(*"/added", "Enter", *":/etc", "Enter", "i", "Escape")
    shown.wait(lambda text: "\n /etc " in text and "“added” " in text)
    shown.press("i")
    shown.wait("mount -t overlay")
