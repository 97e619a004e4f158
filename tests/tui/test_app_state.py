"""What the app remembers from one start to the next."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.terminal import Start
from support.trees import File, make
from whiteout_tui.state import State, load_state, save_state, state_file


def test_what_is_saved_comes_back(clean_environment: Path) -> None:
    assert load_state() == State()
    state = State("textual-light", "size", True, True, 35, 70, "/stores/one", True)
    save_state(state)
    assert load_state() == state
    assert state_file().is_relative_to(clean_environment)
    assert stat.S_IMODE(state_file().stat().st_mode) == 0o600
    assert os.listdir(state_file().parent) == ["app.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"sort": "no such", "share_above": 1000, "turned": "yes", "theme": 7, "else": 1}',
        b"[" * 60_000,
    ],
)
def test_garbage_is_as_nothing(content: bytes) -> None:
    state_file().parent.mkdir(parents=True)
    state_file().write_bytes(content)
    state = load_state()
    assert (state.sort, state.turned, state.theme) == ("name", False, None)
    assert state.share_above in (60, 80)


@given(value=st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_any_value_of_any_field(value: object) -> None:
    state_file().parent.mkdir(parents=True, exist_ok=True)
    fields = dict.fromkeys(("theme", "sort", "turned", "hides_skipped", "share_above"), value)
    state_file().write_text(json.dumps(fields))
    save_state(load_state())


def test_where_nothing_can_be_written_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/proc/nowhere")
    save_state(State())
    assert load_state() == State()


@pytest.mark.peer("tmux")
def test_the_next_start_looks_as_the_last_one_did(tmp_path: Path, terminal: Start) -> None:
    upper = make(tmp_path / "upper", {"large": File(b"x" * 5000), "small": File(b"x")})
    lower = make(tmp_path / "lower", {})
    first = terminal(upper, "--lower", lower, "--userxattr")
    first.wait("name▴")
    first.press("s")
    first.wait("size▾")
    first.press("w")
    first.wait(lambda text: "1 Why" not in text)
    first.press("u", "q")
    first.wait("ended with 0")
    state = load_state()
    assert (state.sort, state.hides_skipped, state.theme) == ("size", True, None)
    assert state.folded
    second = terminal(upper, "--lower", lower, "--userxattr")
    assert "1 Why" not in second.wait("size▾")
    second.press("q")
    second.wait("ended with 0")
