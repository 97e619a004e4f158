"""The status line says all that it has to say, shortened where there is little room."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from app_harness import Fake, added, press, run, screen_text, settle, until
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.pilot import Pilot

from whiteout.opening import open_pair
from whiteout_tui.browse_screen import BrowseScreen
from whiteout_tui.status import Notice, fitted

NOTICES = (
    Notice("“added” 3 of 12", "/ 3 of 12"),
    Notice("! 3 changed since read, r re-reads", "! 3 changed, r"),
    Notice("reading… 12,345"),
)


def test_the_less_important_is_shortened_first() -> None:
    texts = [notice.text for notice in NOTICES]
    assert fitted(NOTICES, 80) == "  ".join(texts)
    assert fitted(NOTICES, 66) == "“added” 3 of 12  ! 3 changed, r  reading… 12,345"
    assert fitted(NOTICES, 44) == "/ 3 of 12  ! 3 changed, r  reading… 12,345"
    assert fitted((), 10) == ""


@given(
    st.lists(
        st.builds(Notice, st.text("ab “”", max_size=30), st.text("xy", max_size=9)), max_size=5
    ),
    st.integers(0, 120),
)
def test_it_is_as_long_as_it_may_be_and_no_longer_than_it_must(
    notices: list[Notice], width: int
) -> None:
    said = fitted(notices, width)
    shortest = "  ".join(notice.short or notice.text for notice in notices)
    longest = "  ".join(notice.text for notice in notices)
    assert cell_len(said) <= width or said == shortest
    if cell_len(longest) <= width:
        assert said == longest


@pytest.mark.parametrize("size", [(80, 24), (60, 20)], ids=["80", "60"])
def test_a_search_a_filter_and_a_change_are_told_together(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    (upper / "a-directory-with-a-long-name").mkdir(parents=True)
    lower.mkdir()
    for number in range(3):
        (upper / f"some-name-that-is-searched-for-{number}").write_text("1")

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, BrowseScreen)
        await press(pilot, "f", *"type:fd", "enter")
        await press(pilot, "slash", *"some-name-that-is-searched", "enter")
        await until(pilot, lambda: "1 of 3" in screen_text(pilot.app))  # type: ignore[arg-type]
        (upper / "some-name-that-is-searched-for-1").write_text("changed")
        screen.watcher.look()
        await until(pilot, lambda: "! 1 changed" in screen_text(pilot.app))  # type: ignore[arg-type]
        (line,) = (
            line
            for line in screen_text(pilot.app).splitlines()  # type: ignore[arg-type]
            if "! 1 changed" in line
        )
        assert "1 of 3" in line
        assert "4 rows" in line
        assert "…" not in line.partition("1 of 3")[2]

    run(open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True), drive, size=size)


def test_a_long_search_leaves_its_count_in_sight() -> None:
    name = b"n" * 48

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "slash", *name.decode(), "enter")
        assert "/ 1 of 1" in screen_text(pilot.app)  # type: ignore[arg-type]

    run(Fake({b"/": [added(b"/" + name)]}), drive)
