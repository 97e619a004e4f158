#!/usr/bin/env python3
"""Renders the screenshots: the real app, headless, over the demo snapshot or a made-up host.

    python screenshots/make.py            write the SVG files beside this program
    python screenshots/make.py --check    write nothing; exit status 1 when one of them is stale

The files are the same on every machine: the demo's owner is shown as root, no clock runs, and no
path of the machine is in sight.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "engine"), str(HERE.parent / "tui")]
for variable in [name for name in os.environ if name.startswith("TEXTUAL")] + ["NO_COLOR"]:
    os.environ.pop(variable, None)
os.environ["TEXTUAL_ANIMATIONS"] = "none"

import host  # noqa: E402
from textual.pilot import Pilot  # noqa: E402

from whiteout import export, layers  # noqa: E402
from whiteout.demo import build_demo  # noqa: E402
from whiteout.opening import open_pair  # noqa: E402
from whiteout_tui import picker_screen  # noqa: E402
from whiteout_tui.app import WhiteoutApp  # noqa: E402
from whiteout_tui.browse_screen import BrowseScreen  # noqa: E402
from whiteout_tui.detail import DetailPane  # noqa: E402
from whiteout_tui.export_view import ExportView  # noqa: E402
from whiteout_tui.picker_screen import PickerScreen  # noqa: E402
from whiteout_tui.rows import RowState  # noqa: E402

FONTS = '"Fira Code", "DejaVu Sans Mono", "Liberation Mono", monospace'


#: Among the keys: wait until the app has come to rest.
REST = "…"


@dataclass(frozen=True, slots=True)
class Shot:
    name: str
    size: tuple[int, int]
    keys: tuple[str, ...]
    theme: str = "textual-dark"
    of_host: bool = False
    """Over the list of what is on a host, and not over the demo."""


TREE = (("down",) * 8) + ("right", REST) + ("down",) * 3
SHOTS = (
    Shot("tree", (120, 36), TREE),
    Shot("tree-light", (120, 36), TREE, "textual-light"),
    Shot("opaque", (120, 36), ("down",) * 17 + ("space", REST, "down", "down"), "textual-light"),
    Shot("narrow", (60, 20), ("down",) * 4),
    Shot("folded", (60, 16), (*("down",) * 4, "1"), "textual-light"),
    Shot("picker", (80, 24), ("down",) * 2, of_host=True),
    Shot("export", (80, 24), ("e", "n", "enter", REST, "v")),
    Shot("help", (80, 24), ("question_mark",)),
)


class _OwnedByRoot:
    """The module ``os`` for a program whose files all belong to root."""

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def stat(self, *arguments: object, **options: object) -> os.stat_result:
        status = os.stat(*arguments, **options)  # type: ignore[arg-type]
        fields = list(status)
        fields[4:6] = 0, 0
        named = {
            name: getattr(status, name) for name in dir(status) if name.startswith(("st_", "n_"))
        }
        return os.stat_result(fields, named)


def _is_settled(screen: object) -> bool:
    if isinstance(screen, BrowseScreen):
        tree, detail = screen.entries, screen.query_one(DetailPane)
        reading = any(tree.rows.state(row) & RowState.LOADING for row in range(len(tree.rows)))
        return screen.counts.complete and not reading and detail.shows(tree.cursor_path)
    if isinstance(screen, PickerScreen):
        return not screen.is_reading
    if isinstance(screen, ExportView):
        return screen.export.outcome is not None and not screen.export.verifying
    return True


async def _settle(pilot: Pilot[None]) -> None:
    for _ in range(400):
        await pilot.pause(0.05)
        if _is_settled(pilot.app.screen):
            return await pilot.pause()
    raise TimeoutError("the app does not come to rest")


async def _render(shot: Shot) -> str:
    with tempfile.TemporaryDirectory() as directory:
        demo = build_demo(os.path.join(directory, "demo"), as_user=True)
        snapshot = open_pair(demo.upperdir, demo.lowerdirs, userxattr=True, label="demo")
        os.chdir(directory)
        app = WhiteoutApp(None if shot.of_host else snapshot, store_path="layers")
        async with app.run_test(size=shot.size) as pilot:
            app.theme = shot.theme
            await _settle(pilot)
            for key in shot.keys:
                await (_settle(pilot) if key == REST else pilot.press(key))
            await _settle(pilot)
            title = "whiteout" if shot.of_host else "whiteout demo"
            picture = app.export_screenshot(title=title, simplify=True)
        os.chdir(HERE)
    picture = re.sub(r"\s*@font-face\s*\{.*?\}", "", picture, flags=re.DOTALL)
    picture = re.sub(r"font-family:[^;]*;", f"font-family: {FONTS};", picture)
    assert directory not in picture
    return picture.rstrip() + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    layers.os = _OwnedByRoot()  # type: ignore[assignment]
    export.time = SimpleNamespace(monotonic=lambda: 0.0)  # type: ignore[assignment]
    picker_screen.time = SimpleNamespace(time=lambda: host.NOW)  # type: ignore[assignment]
    picker_screen.sources = host.sources
    picker_screen.can_read_trusted = lambda: True
    stale = []
    for shot in SHOTS:
        picture = asyncio.run(_render(shot))
        file = HERE / f"{shot.name}.svg"
        if file.exists() and file.read_text(encoding="utf-8") == picture:
            continue
        stale.append(file.name)
        if not check:
            file.write_text(picture, encoding="utf-8")
    if stale:
        print(f"{'stale' if check else 'written'}: {', '.join(stale)}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
