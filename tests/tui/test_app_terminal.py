"""The real program in a real terminal, by keys alone."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.commands import command, environment, whiteout_process


class Terminal:
    """A program in a tmux session of its own."""

    def __init__(self, socket: Path, size: tuple[int, int], arguments: list[str]) -> None:
        self._socket = str(socket)
        line = " ".join(map(shlex.quote, map(os.fsdecode, command(*arguments))))
        self._tmux(
            "-f", "/dev/null", "new-session", "-d", "-x", str(size[0]), "-y", str(size[1]),
            f"{line}; printf 'ended with %s' $?; sleep 600",
        )  # fmt: skip

    def _tmux(self, *arguments: str) -> str:
        return subprocess.run(
            ["tmux", "-S", self._socket, *arguments],
            capture_output=True,
            check=True,
            # tmux runs the line in $SHELL, or else in the user's own, which may be no shell at all
            env={**environment(), "SHELL": "/bin/sh"},
            timeout=60,
        ).stdout.decode()

    def text(self) -> str:
        return self._tmux("capture-pane", "-p")

    def press(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def wait(self, sign: str | Callable[[str], object]) -> str:
        """The screen, once it shows *sign*."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            text = self.text()
            if sign in text if isinstance(sign, str) else sign(text):
                return text
            time.sleep(0.05)
        raise AssertionError(f"{sign} is not on the screen:\n{self.text()}")

    def kill(self) -> None:
        self._tmux("kill-server")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    started: list[Terminal] = []

    def start(*arguments: str | Path, size: tuple[int, int] = (80, 24)) -> Terminal:
        socket = tmp_path / f"tmux{len(started)}"
        started.append(Terminal(socket, size, list(map(str, arguments))))
        return started[-1]

    yield start
    for one in started:
        one.kill()


@pytest.mark.peer("tmux")
def test_the_main_job_from_start_to_end(tmp_path: Path, terminal: Callable[..., Terminal]) -> None:
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
def test_the_wide_screen_has_the_panes_side_by_side(terminal: Callable[..., Terminal]) -> None:
    shown = terminal("demo", size=(120, 36))
    shown.press("j")
    text = shown.wait(lambda text: "back-to-the-oldest-version.txt" in text and "Why" in text)
    assert re.search(r"^ k flag .*│ \[1 Why\]", text, re.MULTILINE)
    shown.press("C-p")
    shown.wait("Search for commands")
    shown.press("Escape")
    shown.press("C-q")
    shown.wait("ended with 0")


@pytest.mark.peer("tmux")
def test_the_program_without_arguments_lists_mounts(terminal: Callable[..., Terminal]) -> None:
    shown = terminal()
    shown.wait(lambda text: re.search(r"\d+ mounts?\b", text))
    shown.press("q")
    shown.wait("ended with 0")


@pytest.mark.peer("tmux")
def test_hostile_names_in_a_real_terminal(
    tmp_path: Path, terminal: Callable[..., Terminal]
) -> None:
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
