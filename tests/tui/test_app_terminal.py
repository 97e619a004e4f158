"""The real program in a real terminal, by keys alone."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from support.commands import whiteout_process
from support.terminal import Start


@pytest.mark.peer("tmux")
def test_the_main_job_from_start_to_end(tmp_path: Path, terminal: Start) -> None:
    shown = terminal("demo")
    shown.wait("deleted-file.txt")
    shown.wait("✓")
    shown.press("Down", "Down")
    shown.wait("/big-added-file.txt")
    shown.wait("Added: the base has nothing of this name.")
    shown.press("2")
    shown.wait("mtime")
    shown.press("Tab", "Escape")
    shown.wait("? help")
    shown.press("?")
    shown.wait("The first column")
    shown.press("Escape")
    shown.wait(lambda text: "The first column" not in text)
    store = tmp_path / "home" / ".data" / "whiteout" / "store"
    for key, compression in (("g", "gzip"), ("z", "zstd")):
        shown.press("e")
        shown.wait("[gzip]")
        shown.press(key, "Enter")
        text = shown.wait("diffID")
        inside = "".join(line.strip() for line in re.findall("│(.*)│", text))
        digest = re.search("sha256:[0-9a-f]{64}", inside)
        assert digest is not None
        assert f"tar+{compression}" in text
        shown.press("v")
        shown.wait("✓ verified")
        shown.press("Escape")
        shown.wait(lambda text: "diffID" not in text)
        assert whiteout_process("verify", digest.group(), "--store", store).status == 0
    shown.press("q")
    shown.wait("ended with 0")


@pytest.mark.peer("tmux")
def test_the_wide_screen_has_the_panes_side_by_side(terminal: Start) -> None:
    shown = terminal("demo", size=(120, 36))
    shown.press("j")
    shown.wait(lambda text: "back-to-the-oldest-version.txt" in text)
    shown.wait(lambda text: re.search(r"^ k flag .*│ \[1 Why\]", text, re.MULTILINE))
    shown.press("C-p")
    shown.wait("Search for commands")
    shown.press("Escape")
    shown.press("C-q")
    shown.wait("ended with 0")


@pytest.mark.peer("tmux")
def test_the_program_without_arguments_lists_what_is_here(terminal: Start) -> None:
    shown = terminal()
    shown.wait(lambda text: re.search(r"\d+ snapshots?\b", text))
    shown.press("q")
    shown.wait("ended with 0")


@pytest.mark.peer("tmux")
def test_hostile_names_in_a_real_terminal(tmp_path: Path, terminal: Start) -> None:
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    upper.mkdir()
    lower.mkdir()
    for name in (b"[bold]x[", b"\x1b[2J\x1b]0;owned\x07", b"\x9b2J\xff", "\u202egnp".encode()):
        Path(os.fsdecode(os.fsencode(upper) + b"/" + name)).write_bytes(b"")
    shown = terminal(upper, "--lower", lower, "--userxattr")
    text = shown.wait("[bold]x[")
    assert "\\x1b[2J\\x1b]0;owned\\a" in text
    assert "\\u202egnp" in text
    shown.press("G")
    shown.wait("Added")
    shown.press("q")
    shown.wait("ended with 0")
