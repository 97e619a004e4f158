"""Every screen and pane, on a small and on a large screen: legible in every theme."""

from __future__ import annotations

from pathlib import Path

import pytest
from app_harness import GOLDEN, check_golden, screen_text
from contrast import illegible
from scenes import NARROW, SCENES, SIZES, STUCK, Scene, parts_of_the_app, rest, stay
from textual.pilot import Pilot

from whiteout_tui.app import WhiteoutApp
from whiteout_tui.detail.tabs import TABS
from whiteout_tui.footer import ActionFooter
from whiteout_tui.prompt import PromptMode

#: Each of these draws every scene; the others have to be legible by their colours alone.
THEMES = ("textual-dark", "textual-light", "ansi-dark", "ansi-light")


def sizes_of(scene: Scene) -> tuple[tuple[int, int], ...]:
    return (*SIZES, NARROW) if scene.name.startswith("browse-") else SIZES


def golden_name(scene: Scene, size: tuple[int, int]) -> str:
    return f"scene-{scene.name}-{size[0]}x{size[1]}"


def keys_out_of_sight(app: WhiteoutApp) -> list[str]:
    """The footers that are cut off: nobody would find the keys of a dialog, and no mouse an end."""
    cut = []
    for footer in app.screen.query(ActionFooter):
        shown = app.screen.find_widget(footer).visible_region
        if shown != footer.region or shown.height < len(footer.lines(footer.content_size.width)):
            cut.append(f"a footer is cut off at {app.size}:\n{screen_text(app)}")
    return cut


@pytest.mark.root  # the goldens tell owners and devices
@pytest.mark.usefixtures("as_root_owns_it")
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_scene(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlike: list[str] = []

    async def look(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, WhiteoutApp)
        for size in sizes_of(scene):
            await pilot.resize_terminal(*size)
            await rest(pilot, scene.stage == STUCK)
            text = screen_text(app)
            assert str(tmp_path) not in text
            try:
                check_golden(golden_name(scene, size), text)
            except (AssertionError, FileNotFoundError) as error:
                unlike.append(str(error))
            unlike.extend(keys_out_of_sight(app))
        if NARROW not in sizes_of(scene):
            await pilot.resize_terminal(*NARROW)
            await rest(pilot, False)
            unlike.extend(keys_out_of_sight(app))
        for theme in THEMES:
            app.theme = theme
            await rest(pilot, scene.stage == STUCK)
            unlike.extend(f"{theme}: {found}" for found in illegible(app))

    stay(scene, tmp_path, monkeypatch, look)
    assert not unlike, "\n".join(unlike)


def test_every_part_of_the_app_has_a_scene() -> None:
    shown = {kind for scene in SCENES for kind in scene.shows}
    missing = {kind.__name__ for kind in parts_of_the_app() - shown}
    assert not missing, f"no scene of tests/tui/scenes.py shows {missing}"


def test_every_tab_and_every_prompt_has_a_scene() -> None:
    names = {scene.name for scene in SCENES}
    assert len(names) == len(SCENES)
    assert len([name for name in names if name.startswith("screen-")]) == len(TABS)
    modes = {"SEARCH": "search", "EXPRESSION": "regex", "FILTER": "filter", "PATH": "path"}
    assert {f"prompt-{modes[mode.name]}" for mode in PromptMode} <= names


def test_no_golden_is_left_of_a_scene_that_is_gone() -> None:
    expected = {f"{golden_name(scene, size)}.txt" for scene in SCENES for size in sizes_of(scene)}
    assert {file.name for file in GOLDEN.glob("scene-*.txt")} == expected
