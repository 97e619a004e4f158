"""The main screen: what it shows, how it reads, and that nothing stops it."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from app_harness import (
    DIRECTORY,
    Fake,
    added,
    check_golden,
    demo_snapshot,
    press,
    run,
    same,
    screen_text,
    settle,
    status_of,
    until,
)
from textual.pilot import Pilot

from whiteout.entries import Entry
from whiteout_tui.app import WhiteoutApp
from whiteout_tui.browse_screen import BrowseScreen
from whiteout_tui.detail import DetailPane

SIZES = [(80, 24), (120, 36), (60, 20)]
PLACES = {
    "root": (),
    "modified": ("down",),
    "deleted-directory": ("down", "down", "down", "down", "space", "down"),
    "opaque-directory": (*("down",) * 14, "space", *("down",) * 2),
}


def app_of(pilot: Pilot[None]) -> WhiteoutApp:
    assert isinstance(pilot.app, WhiteoutApp)
    return pilot.app


def browse(pilot: Pilot[None]) -> BrowseScreen:
    screen = pilot.app.screen
    assert isinstance(screen, BrowseScreen)
    return screen


@pytest.mark.root  # the goldens tell owners
@pytest.mark.usefixtures("as_root_owns_it")
@pytest.mark.parametrize("size", SIZES, ids=lambda size: "{}x{}".format(*size))
@pytest.mark.parametrize("place", PLACES)
def test_the_screen(tmp_path: Path, place: str, size: tuple[int, int]) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        for key in PLACES[place]:
            await press(pilot, key)
        check_golden(f"browse-{place}-{size[0]}x{size[1]}", screen_text(app_of(pilot)))

    run(demo_snapshot(tmp_path / "demo"), drive, size=size)


def test_a_directory_is_read_once_and_again_when_it_is_asked_for() -> None:
    fake = Fake(
        {
            b"/": [added(b"/a", DIRECTORY), added(b"/b", DIRECTORY)],
            b"/a": [added(b"/a/in", DIRECTORY)],
            b"/a/in": [],
            b"/b": [added(b"/b/file")],
        }
    )

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        assert fake.walked == [b"/", b"/a", b"/a/in", b"/b"]
        await press(pilot, "down", "down", "space", "space", "space")
        assert not fake.listed, "what is known is not read again"
        await press(pilot, "r")
        assert fake.walked[4:] == [b"/b"]
        assert not fake.listed

    run(fake, drive)


def test_a_directory_that_is_opened_before_its_turn_is_read_by_itself() -> None:
    gate = threading.Event()
    fake = Fake(
        {
            b"/": [added(b"/a", DIRECTORY), added(b"/b", DIRECTORY)],
            b"/a": [added(b"/a/1"), added(b"/a/2")],
            b"/b": [added(b"/b/c", DIRECTORY), added(b"/b/file")],
            b"/b/c": [added(b"/b/c/deep")],
        },
        gate=gate,
        gate_at=b"/a",
    )

    async def drive(pilot: Pilot[None]) -> None:
        await until(pilot, fake.stuck.is_set)
        tree = browse(pilot).entries
        await until(pilot, lambda: tree.rows.height == 3)
        await pilot.press("G", "right")
        await until(pilot, lambda: tree.rows.height == 5)
        assert fake.listed == [b"/b"]
        assert not browse(pilot).counts.complete
        gate.set()
        await settle(pilot)
        assert browse(pilot).counts.by_kind[0] == 7
        await press(pilot, "down", "right")
        assert fake.listed == [b"/b"], "the run over everything knows where it belongs"
        assert tree.rows.height == 6

    run(fake, drive)


def test_a_directory_that_is_opened_in_its_turn_is_read_once() -> None:
    listings = {
        b"/": [added(b"/a", DIRECTORY), added(b"/b")],
        b"/a": [added(b"/a/1"), added(b"/a/2")],
    }
    fake = Fake(listings, gate=threading.Event(), gate_at=b"/a")

    async def drive(pilot: Pilot[None]) -> None:
        tree = browse(pilot).entries
        await until(pilot, lambda: fake.stuck.is_set() and tree.rows.height == 3)
        await pilot.press("down", "right")
        assert "reading…" in screen_text(app_of(pilot))
        assert fake.gate is not None
        fake.gate.set()
        await settle(pilot)
        assert tree.rows.height == 5
        assert fake.listed == []

    run(fake, drive)


def test_keys_are_answered_while_a_directory_is_read() -> None:
    gate = threading.Event()
    listing = [added(b"/%06d" % number) for number in range(20_000)]
    fake = Fake({b"/": listing})

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        fake.gate = gate
        fake.stuck.clear()
        await pilot.press("r")
        await until(pilot, fake.stuck.is_set)
        await until(pilot, lambda: "reading…" in screen_text(app_of(pilot)))
        await pilot.press("question_mark")
        assert "The first column" in screen_text(app_of(pilot))
        await pilot.press("escape")
        gate.set()
        await settle(pilot)
        assert browse(pilot).entries.rows.height == 20_001
        await press(pilot, "G")
        assert browse(pilot).entries.cursor_path == b"/019999"

    run(fake, drive)


def test_the_cursor_stays_on_its_row_while_rows_come_above_it() -> None:
    gate = threading.Event()
    fake = Fake(
        {
            b"/": [added(b"/a", DIRECTORY), added(b"/z")],
            b"/a": [added(b"/a/%d" % number) for number in range(10, 60)],
        },
        gate=gate,
        gate_at=b"/a",
    )

    async def drive(pilot: Pilot[None]) -> None:
        await until(pilot, fake.stuck.is_set)
        await until(pilot, lambda: browse(pilot).entries.rows.height == 3)
        await pilot.press("down", "space", "down")
        assert browse(pilot).entries.cursor_path == b"/z"
        gate.set()
        await settle(pilot)
        assert browse(pilot).entries.cursor_path == b"/z"
        assert browse(pilot).entries.cursor == 52

    run(fake, drive)


def test_what_cannot_be_listed_says_so() -> None:
    fake = Fake({b"/": [added(b"/locked", DIRECTORY)]})

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "down", "right")
        text = screen_text(app_of(pilot))
        assert "! unreadable: cannot list /locked: permission denied" in text

    run(fake, drive)


def test_a_directory_that_nobody_may_read(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads every directory")
    upper = tmp_path / "upper"
    (upper / "locked").mkdir(parents=True)
    (upper / "locked").chmod(0)
    (tmp_path / "lower").mkdir()
    from whiteout.opening import open_pair

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "down", "right")
        assert "! unreadable: " in screen_text(app_of(pilot))

    run(open_pair(os.fsencode(upper), [os.fsencode(tmp_path / "lower")], userxattr=True), drive)


def test_an_empty_directory_says_so(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "down", "right")
        assert "empty" in screen_text(app_of(pilot))

    run(Fake({b"/": [added(b"/d", DIRECTORY)], b"/d": []}), drive)


def test_skipped_entries_can_be_hidden_and_their_number_is_shown() -> None:
    fake = Fake({b"/": [added(b"/a"), same(b"/skipped-1"), same(b"/skipped-2"), added(b"/z")]})

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        assert "· 2" in screen_text(app_of(pilot))
        await press(pilot, "u")
        text = screen_text(app_of(pilot))
        assert "skipped-1" not in text
        assert "2 skipped hidden" in text
        await press(pilot, "u")
        assert "skipped-1" in screen_text(app_of(pilot))

    run(fake, drive)


def test_reading_again_shows_what_changed_and_keeps_the_cursor(tmp_path: Path) -> None:
    snapshot = demo_snapshot(tmp_path / "demo")

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "down", "down")
        path = browse(pilot).entries.cursor_path
        (tmp_path / "demo" / "upper" / "aaa-new").write_bytes(b"")
        await press(pilot, "r")
        assert browse(pilot).entries.cursor_path == path
        assert "aaa-new" in screen_text(app_of(pilot))

    run(snapshot, drive)


def test_every_way_of_moving() -> None:
    listing = [added(b"/%03d" % number) for number in range(100)]

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        tree = browse(pilot).entries
        page = tree.scrollable_content_region.height
        for keys, expected in [
            (("j", "j", "k"), 1),
            (("G",), 100),
            (("g",), 0),
            (("end",), 100),
            (("home",), 0),
            (("pagedown",), page - 1),
            (("pageup",), 0),
            (("ctrl+d",), page // 2),
            (("ctrl+u",), 0),
            (("l",), 1),
            (("h",), 0),
        ]:
            await pilot.press(*keys)
            assert tree.cursor == expected, keys
            top = tree.scroll_offset.y
            assert top <= tree.cursor < top + page

    run(Fake({b"/": listing}), drive)


def test_all_directories_are_closed_at_once_and_can_be_opened_again() -> None:
    fake = Fake(
        {
            b"/": [added(b"/a", DIRECTORY), added(b"/z")],
            b"/a": [added(b"/a/b", DIRECTORY), same(b"/a/skipped")],
            b"/a/b": [added(b"/a/b/c")],
        }
    )

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        tree = browse(pilot).entries
        await press(pilot, "u", "down", "l")
        await press(pilot, "down")
        await press(pilot, "down")
        assert tree.cursor_path == b"/a/b/c", "the only child in sight opens with its parent"
        await press(pilot, "minus")
        assert tree.cursor_path == b"/a"
        assert tree.rows.height == 3
        await press(pilot, "u", "l")
        assert tree.rows.height == 5, "the root, a, its two rows, z"
        await press(pilot, "G")
        assert tree.cursor_path == b"/z"

    run(fake, drive)


def test_the_mouse_moves_and_opens() -> None:
    fake = Fake({b"/": [added(b"/a", DIRECTORY), added(b"/b")], b"/a": [added(b"/a/in")]})

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await pilot.click("#tree", offset=(30, 2))
        await settle(pilot)
        assert browse(pilot).entries.cursor_path == b"/b"
        await pilot.click("#tree", offset=(17, 1))
        await settle(pilot)
        assert "in" in screen_text(app_of(pilot)).split()

    run(fake, drive)


def test_the_detail_follows_the_cursor_and_can_be_folded_away() -> None:
    fake = Fake({b"/": [added(b"/%03d" % number) for number in range(50)]})

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, *("down",) * 20)
        assert browse(pilot).query_one(DetailPane).path == b"/019"
        await press(pilot, "tab")
        assert browse(pilot).query_one(DetailPane).text.has_focus
        await press(pilot, "G", "g", "escape")
        assert browse(pilot).entries.has_focus
        await press(pilot, "w")
        assert not browse(pilot).query_one(DetailPane).display
        await press(pilot, "w", "enter")
        assert browse(pilot).query_one(DetailPane).text.has_focus

    run(fake, drive)


def test_an_unexpected_error_is_told_and_the_app_lives(tmp_path: Path) -> None:
    class Broken(Fake):
        def inspect(self, path: bytes, **_: object) -> object:  # type: ignore[override]
            raise RuntimeError("secret \x1b[2J")

        def directories(self, *_: object, **__: object) -> object:  # type: ignore[override]
            raise OSError(5, "secret", "name")

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        text = screen_text(app_of(pilot))
        assert "internal error (RuntimeError)" in text
        assert "stopped" in text
        assert "input/output error" in text
        assert "secret" not in text
        await press(pilot, "down")

    run(Broken({b"/": [added(b"/a")]}), drive)


def test_quitting_does_not_wait_for_the_work() -> None:
    gate = threading.Event()
    fake = Fake({b"/": [added(b"/a")]}, gate=gate)

    async def drive(pilot: Pilot[None]) -> None:
        await until(pilot, fake.stuck.is_set)
        await pilot.press("q")

    run(fake, drive)
    assert not gate.is_set()


def test_doubts_and_fallbacks_stand_above_the_tree() -> None:
    fake = Fake(
        {b"/": []}, doubts=("The marks cannot be read; become root.",), fallback="not a pair"
    )

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        lines = screen_text(app_of(pilot)).splitlines()
        assert "! The marks cannot be read; become root." in lines[1]
        assert "The walking differ answers: not a pair" in lines[2]

    run(fake, drive)


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light", "ansi-dark", "ansi-light"])
def test_every_theme_draws_the_same_text(tmp_path: Path, theme: str) -> None:
    shown: list[str] = []

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        shown.append(screen_text(app_of(pilot)))
        pilot.app.theme = theme
        await settle(pilot)
        shown.append(screen_text(app_of(pilot)))

    run(demo_snapshot(tmp_path / "demo"), drive)
    assert shown[0] == shown[1]


def test_rows_are_sorted_and_the_heading_says_by_what() -> None:
    sized = [
        added(b"/%d" % number, Entry(status_of(stat.S_IFREG | 0o644, size)))
        for number, size in enumerate((5, 70, 70, 1))
    ]
    fake = Fake({b"/": [*sized, same(b"/4"), added(b"/5", DIRECTORY)], b"/5": []})

    def order(pilot: Pilot[None]) -> str:
        tree = browse(pilot).entries
        return b"".join(
            tree.rows.name(tree.rows[place]) for place in range(1, tree.rows.height)
        ).decode()

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "down", "down")
        for key, names, heading in [
            ("s", "120435", "size▾ name"),
            ("S", "530412", "size▴ name"),
            ("s", "012354", " k▴flag   size  name"),
            ("S", "401235", " k▾flag   size  name"),
            ("s", "012345", "name▴"),
            ("S", "543210", "name▾"),
        ]:
            await press(pilot, key)
            assert (order(pilot), heading in screen_text(app_of(pilot))) == (names, True)
            assert browse(pilot).entries.cursor_path == b"/1"
        await pilot.click("#heading", offset=(11, 0))
        assert order(pilot) == "120435"
        await pilot.click("#heading", offset=(11, 0))
        assert order(pilot) == "530412"

    run(fake, drive)
