"""The sums of directories in the tree: as the engine counts, incomplete while they are."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from app_harness import (
    DIRECTORY,
    Fake,
    added,
    demo_snapshot,
    press,
    run,
    screen_text,
    settle,
    until,
)
from textual.pilot import Pilot

from whiteout.opening import open_pair
from whiteout.totals import Tally
from whiteout_tui.browse_screen import BrowseScreen
from whiteout_tui.rowdata import RowKind, RowType
from whiteout_tui.rows import ROOT, RowState
from whiteout_tui.tree import SnapshotTree


def tree_of(pilot: Pilot[None]) -> SnapshotTree:
    screen = pilot.app.screen
    assert isinstance(screen, BrowseScreen)
    return screen.entries


def line(pilot: Pilot[None], name: str) -> str:
    text = screen_text(pilot.app)  # type: ignore[arg-type]
    return next(line for line in text.splitlines() if name in line)


def test_sums_are_those_of_the_engine(tmp_path: Path) -> None:
    snapshot = demo_snapshot(tmp_path / "demo")
    tally = Tally()
    for verdict in snapshot.changes(skipped=True):
        tally.add(verdict)
    tally.finish()

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        tree = tree_of(pilot)
        compared = 0
        for row in range(1, len(tree.rows)):
            data = tree.rows.data(row)
            if data.type == RowType.DIRECTORY and data.kind not in (RowKind.DELETE, RowKind.NOTE):
                known = tally.directory(tree.rows.path(row))
                assert tree.sums.size(row) == (known.size if known is not None else 0)
                assert tree.sums.is_complete(row)
                compared += tree.sums.size(row) > 0
        assert compared >= 3
        totals = tally.totals()
        assert tree.sums.size(ROOT) == totals.added.size + totals.modified.size
        assert tree.sums.is_complete(ROOT)

    run(snapshot, drive)


def test_a_sum_is_incomplete_until_all_below_is_read() -> None:
    gate = threading.Event()
    snapshot = Fake(
        {
            b"/": [added(b"/a", DIRECTORY), added(b"/b", DIRECTORY)],
            b"/a": [added(b"/a/one"), added(b"/a/two")],
            b"/b": [added(b"/b/c", DIRECTORY), added(b"/b/file")],
            b"/b/c": [added(b"/b/c/last")],
        },
        gate=gate,
        gate_at=b"/b/c",
    )

    async def drive(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: " b/" in screen_text(pilot.app))  # type: ignore[arg-type]
        await pilot.press("down", "right")  # read before its turn
        await until(pilot, lambda: " 10 " in line(pilot, " a/"))
        assert " 10…" in line(pilot, "▾ /")
        gate.set()
        await until(pilot, lambda: " 20 " in line(pilot, "▾ /"))
        assert " 10 " in line(pilot, " b/")

    run(snapshot, drive)  # type: ignore[arg-type]


def test_what_cannot_be_read_leaves_the_sum_incomplete() -> None:
    snapshot = Fake({b"/": [added(b"/a", DIRECTORY), added(b"/file")]})

    async def drive(pilot: Pilot[None]) -> None:
        tree = tree_of(pilot)
        await until(pilot, lambda: bool(tree.rows.state(ROOT) & RowState.LOADED))
        await pilot.pause(0.2)
        assert "5…" in line(pilot, "▾ /")

    run(snapshot, drive)  # type: ignore[arg-type]


def test_after_reading_anew_it_is_counted_anew(tmp_path: Path) -> None:
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    (upper / "d" / "e").mkdir(parents=True)
    (upper / "other").mkdir()
    lower.mkdir()
    (upper / "d" / "one").write_bytes(b"1" * 100)
    os.link(upper / "d" / "one", upper / "other" / "one")
    (upper / "d" / "e" / "two").write_bytes(b"2" * 20)
    snapshot = open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True, label="small")

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        tree = tree_of(pilot)
        d, other = tree.row_at(b"/d"), tree.row_at(b"/other")
        assert [tree.sums.size(row) for row in (ROOT, d, other)] == [120, 120, 0]
        (upper / "d" / "e" / "two").write_bytes(b"2" * 7)
        await press(pilot, "down", "right", "right", "r")
        assert tree.cursor_path == b"/d/e"
        assert [tree.sums.size(row) for row in (ROOT, d, other)] == [107, 107, 0]
        for _ in range(3):
            await press(pilot, "g", "r")
            assert tree.sums.size(ROOT) == 107
            assert tree.sums.is_complete(ROOT)

    run(snapshot, drive)
