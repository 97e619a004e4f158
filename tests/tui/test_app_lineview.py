"""Lines are drawn once; what is on the screen must be what drawing all of them anew shows."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from app_harness import demo_snapshot, press, run, screen_text, settle
from textual.pilot import Pilot
from textual.strip import Strip

from whiteout_tui.lineview import LineView

KEYS = (*["down"] * 6, *["up"] * 4, *"jkgGsu+-r", "ctrl+d", "ctrl+u", "pagedown", "pageup")
FOLDS = ("space", "enter", "right", "left")


def strips(pilot: Pilot[None]) -> list[Strip]:
    return list(pilot.app.screen._compositor.render_strips())


async def check_against_a_new_drawing(pilot: Pilot[None], after: object) -> None:
    before, text = strips(pilot), screen_text(pilot.app)  # type: ignore[arg-type]
    for view in pilot.app.screen.query(LineView):
        view.refresh()
    await pilot.pause()
    assert screen_text(pilot.app) == text, after  # type: ignore[arg-type]
    assert strips(pilot) == before, after


@pytest.mark.parametrize("seed", range(2))
def test_the_tree_shows_what_drawing_it_anew_shows(tmp_path: Path, seed: int) -> None:
    chosen = random.Random(seed)

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        for _ in range(40):
            keys = chosen.choices(KEYS + FOLDS, k=chosen.randint(1, 6))
            await press(pilot, *keys)
            await check_against_a_new_drawing(pilot, keys)

    run(demo_snapshot(tmp_path / "demo"), drive, size=(80, 16))


def test_a_list_shows_what_drawing_it_anew_shows(tmp_path: Path) -> None:
    chosen = random.Random(0)

    async def drive(pilot: Pilot[None]) -> None:
        await press(pilot, "F")
        for _ in range(20):
            keys = chosen.choices(["down", "up", "pagedown", "pageup", "home", "end"], k=3)
            await press(pilot, *keys)
            await check_against_a_new_drawing(pilot, keys)

    run(demo_snapshot(tmp_path / "demo"), drive, size=(80, 16))
