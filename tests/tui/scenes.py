"""Every screen and pane of the app, and the way to it: one table for goldens, colours and more.

A new screen, tab or pane gets a line in :data:`SCENES`; a test fails while it has none.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import pkgutil
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from app_harness import DIRECTORY, Fake, added, screen_text, settle, until
from fake_sources import NOW, sources_of, three_layers
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.screen import Screen
from textual.scrollbar import ScrollBar
from textual.widget import Widget
from textual.widgets._toast import Toast

import whiteout_tui
from whiteout import export
from whiteout.demo import build_demo
from whiteout.opening import open_pair
from whiteout.snapshot import Snapshot
from whiteout_tui import commands, exports, picker_screen, record_rows
from whiteout_tui.app import WhiteoutApp
from whiteout_tui.browse_screen import BrowseScreen
from whiteout_tui.choice import Choice
from whiteout_tui.copy_screen import CopyScreen
from whiteout_tui.detail import DetailPane
from whiteout_tui.detail.tabs import TabBar
from whiteout_tui.entries_screen import EntriesScreen
from whiteout_tui.export_actions import ExportActions
from whiteout_tui.export_screen import ExportScreen
from whiteout_tui.export_view import ExportView
from whiteout_tui.extract_screen import ExtractScreen
from whiteout_tui.field import DialogField, Field
from whiteout_tui.findings_screen import FindingsScreen
from whiteout_tui.footer import ActionFooter
from whiteout_tui.glossary_screen import GlossaryScreen
from whiteout_tui.heading import Heading
from whiteout_tui.help_screen import HelpScreen, HelpText
from whiteout_tui.history_screen import HistoryScreen
from whiteout_tui.layers_screen import LayersScreen
from whiteout_tui.linelist import LineList
from whiteout_tui.lineview import LineView
from whiteout_tui.list_screen import ListScreen
from whiteout_tui.panes import Divider, Handle, Panes
from whiteout_tui.picker_screen import PickerScreen
from whiteout_tui.prompt import Prompt, PromptInput
from whiteout_tui.prose import Prose
from whiteout_tui.result_table import ResultTable
from whiteout_tui.row_list import RowList
from whiteout_tui.scrolling import ScrollingText
from whiteout_tui.status import StatusLine, TitleLine, WarningBar
from whiteout_tui.survey_screen import SurveyScreen
from whiteout_tui.totals_screen import TotalsScreen
from whiteout_tui.tour_bar import TourBar
from whiteout_tui.tree import SnapshotTree

#: What a step of a scene may be: a key, a path to go to, or what has to be on the screen.
Step = str | bytes | Callable[[str], bool]
DEMO, PICKER, STUCK, DOUBTFUL = "demo", "picker", "stuck", "doubtful"
#: The last name of a path of the machine is all that a golden may hold of it.
SHORT = "/layers/"


@dataclass(frozen=True, slots=True)
class Scene:
    """The way to a screen: *steps* over the *stage*; then all of *shows* is in sight."""

    name: str
    steps: tuple[Step, ...]
    shows: tuple[type[Widget], ...]
    stage: str = DEMO
    begins: tuple[int, int] = (80, 24)


def has(sign: str) -> Callable[[str], bool]:
    return lambda text: sign in text


PANES = (SnapshotTree, Panes, DetailPane, Heading, TabBar, TitleLine, StatusLine, ActionFooter)
MODIFIED = b"/etc/modified-content.conf"
EXPORTED = ("e", has("[gzip]"), "enter", has("diffID"))
TABS = {"why": "1", "sides": "2", "tar": "3", "content": "4", "layers": "5"}

SCENES = (
    Scene("browse-root", (), (BrowseScreen, *PANES, Handle, LineView)),
    Scene("browse-beside", (), (Divider,), begins=(120, 36)),
    Scene("browse-modified", (b"/back-to-the-oldest-version.txt",), PANES),
    Scene("browse-opaque-directory", (b"/opaque-directory", "space", "down"), PANES),
    Scene("browse-deleted-directory", (b"/deleted-directory", "space", "down"), PANES),
    Scene("browse-folded", ("w",), (SnapshotTree,)),
    Scene("browse-by-size", ("s",), (Heading,)),
    Scene("browse-hidden", ("u",), (StatusLine,)),
    Scene("browse-reading", (), (BrowseScreen,), STUCK),
    Scene("browse-doubtful", (), (WarningBar,), DOUBTFUL),
    *(Scene(f"screen-{tab}", (MODIFIED, key), (TabBar,)) for tab, key in TABS.items()),
    Scene("detail-focused", (b"/deleted-file.txt", "enter"), (ScrollingText,)),
    Scene("toast", (b"/fifo", "y", has("Copied")), (Toast,)),
    Scene("prompt-search", ("slash", *"added", has(" of ")), (Prompt, PromptInput)),
    Scene("prompt-regex", ("slash", "ctrl+r", *"(", has("Regex")), (Prompt,)),
    Scene("prompt-filter", ("f", *"kind:D"), (Prompt,)),
    Scene("prompt-filter-wrong", ("f", *"size:x"), (Prompt,)),
    Scene("prompt-path", ("colon", *"/etc/n"), (Prompt,)),
    Scene("searched", ("slash", *"added", has(" of "), "enter"), (SnapshotTree,)),
    Scene("filtered", ("f", *"kind:D", "enter"), (SnapshotTree,)),
    Scene("totals", ("t", has("✓ complete")), (TotalsScreen, SurveyScreen, ListScreen, LineList)),
    Scene("findings", ("F", has("✓ complete")), (FindingsScreen, LineList)),
    Scene("glossary", ("i",), (GlossaryScreen, ScrollingText)),
    Scene("help", ("question_mark",), (HelpScreen, HelpText)),
    Scene("help-letters", ("question_mark", "G"), (HelpScreen,)),
    Scene("tour", ("L",), (TourBar,)),
    Scene("menu", ("ctrl+p", has("search the whole snapshot")), (CommandPalette,)),
    Scene("themes", ("T", has("ansi-dark")), (CommandPalette,)),
    Scene("export-dialog", ("e", has("[gzip]")), (ExportScreen, Choice, DialogField)),
    Scene("export-result", EXPORTED, (ExportView, ExportActions, ResultTable)),
    Scene("export-verified", (*EXPORTED, "v", has("✓ verified")), (ExportView, Prose)),
    Scene("export-entries", (*EXPORTED, "t", has("etc/")), (EntriesScreen,)),
    Scene("export-history", (*EXPORTED, "escape", "H", has("sha256")), (HistoryScreen,)),
    Scene("extract", (MODIFIED, "x", has("Extract")), (ExtractScreen,)),
    Scene("copy-menu", (MODIFIED, "Y", has("path in the layer")), (CopyScreen, ResultTable)),
    Scene("picker", ("down",), (PickerScreen, RowList), PICKER),
    Scene("picker-filter", ("slash", *"image"), (PickerScreen, Field), PICKER),
    Scene(
        "layers",
        ("down", "enter", has("against"), "space", "down"),
        (LayersScreen, RowList),
        PICKER,
    ),
)
#: The shapes of the screen that a scene has goldens for.
SIZES = ((80, 24), (120, 36))
#: Where there is little room, the panes of the main screen.
NARROW = (60, 20)


def parts_of_the_app() -> set[type[Widget]]:
    """Every widget and screen class that the app defines; a bar is part of what it scrolls."""
    for module in pkgutil.walk_packages(whiteout_tui.__path__, "whiteout_tui."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

    def below(kind: type[Widget]) -> Iterator[type[Widget]]:
        for one in kind.__subclasses__():
            yield one
            yield from below(one)

    defined = {one for one in below(Widget) if one.__module__.startswith("whiteout_tui.")}
    return {one for one in defined if not issubclass(one, ScrollBar)}


def stage_of(name: str, directory: Path, patch: pytest.MonkeyPatch) -> Fake | Snapshot | None:
    """What the app is started over."""
    patch.setattr(WhiteoutApp, "NOTIFICATION_TIMEOUT", 600)
    still = SimpleNamespace(monotonic=lambda: 0.0, strftime=lambda form: "12:00:00")
    patch.setattr(export, "time", still)
    patch.setattr(exports, "time", still)
    patch.chdir(directory)
    if name == DEMO:
        patch.setattr(commands, "_absolute", lambda path: b"/" + path)
        demo = build_demo(b"demo")
        lowerdirs = [os.path.relpath(path) for path in demo.lowerdirs]
        return open_pair(os.path.relpath(demo.upperdir), lowerdirs, userxattr=True, label="demo")
    if name == PICKER:
        found = sources_of(three_layers(directory))
        patch.setattr(picker_screen, "sources", lambda: tuple(found))
        patch.setattr(picker_screen, "can_read_trusted", lambda: True)
        patch.setattr(picker_screen.time, "time", lambda: NOW)
        patch.setattr(record_rows, "display_path", lambda path: SHORT + os.fsdecode(path)[-1])
        return None
    listings = {b"/": [added(b"/a", DIRECTORY), added(b"/z")], b"/a": [added(b"/a/b")]}
    if name == STUCK:
        return Fake(listings, gate=threading.Event(), gate_at=b"/a")
    return Fake(listings, doubts=("The marks cannot be read; become root.",), fallback="no pair")


def is_shown(app: WhiteoutApp, kind: type[Widget]) -> bool:
    """Whether some of *kind* is in sight."""
    if isinstance(app.screen, kind):
        return True
    return any(found.visible and found.region.area for found in app.screen.query(kind))


def _is_at(screen: BrowseScreen, path: bytes) -> bool:
    return screen.entries.cursor_path == path


async def rest(pilot: Pilot[None], stuck: bool) -> None:
    """Wait until nothing moves on the screen."""
    if not stuck:
        await settle(pilot)
    if isinstance(screen := pilot.app.screen, PickerScreen):
        await until(pilot, lambda: not screen.is_reading)
    await pilot.pause()


async def play(scene: Scene, pilot: Pilot[None]) -> None:
    """Go to *scene* from where the app begins."""
    stuck = scene.stage == STUCK
    app = pilot.app
    assert isinstance(app, WhiteoutApp)
    if stuck:
        await until(pilot, lambda: "reading…" in screen_text(app))
    await rest(pilot, stuck)
    for step in scene.steps:
        if isinstance(step, bytes):
            screen = app.screen
            assert isinstance(screen, BrowseScreen)
            screen.reveal(step)
            await until(pilot, partial(_is_at, screen, step))
        elif callable(step):
            await until(pilot, lambda sign=step: sign(screen_text(app)))
        else:
            await pilot.press(step)
        if not isinstance(step, str) or len(step) > 1:
            await rest(pilot, stuck)
    await rest(pilot, stuck)
    missing = [kind.__name__ for kind in scene.shows if not is_shown(app, kind)]
    assert not missing, f"{scene.name} does not show {missing}\n{screen_text(app)}"


def stay(
    scene: Scene,
    directory: Path,
    patch: pytest.MonkeyPatch,
    look: Callable[[Pilot[None]], Awaitable[None]],
    *,
    colours: bool = True,
) -> None:
    """Let *look* look at *scene*."""
    snapshot = stage_of(scene.stage, directory, patch)

    async def body() -> None:
        app = WhiteoutApp(snapshot, store_path="store", colours=colours)  # type: ignore[arg-type]
        async with app.run_test(size=scene.begins, notifications=True) as pilot:
            await play(scene, pilot)
            await look(pilot)

    asyncio.run(body())


def shown_screens() -> set[type[Screen[object]]]:
    return {kind for scene in SCENES for kind in scene.shows if issubclass(kind, Screen)}
