"""The app ends when it is told to from outside, and when its terminal goes away."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from support.commands import command, environment

#: What the terminal gets, one after the other: its other screen, the heading, the end of the count.
MOMENTS = {"taken": b"\x1b[?1049h", "drawn": b"name", "counted": "✓".encode()}


@contextmanager
def demo(directory: Path) -> Iterator[tuple[subprocess.Popen[bytes], int, int]]:
    """The demo, built below *directory*, in a terminal of its own: process, both ends."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 80))
    process = subprocess.Popen(
        command("demo"),
        env={**environment(), "TERM": "xterm-256color", "TMPDIR": os.fspath(directory)},
        preexec_fn=partial(os.login_tty, theirs),
    )
    try:
        yield process, ours, theirs
    finally:
        process.kill()
        process.wait()


def read_until(terminal: int, sign: bytes) -> None:
    text = b""
    while sign not in text:
        text += os.read(terminal, 65536)


def read_on(terminal: int) -> None:
    """Read what still comes, in a thread, so that nothing waits for the terminal."""

    def read() -> None:
        try:
            while os.read(terminal, 65536):
                pass
        except OSError:
            pass

    threading.Thread(target=read, daemon=True).start()


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_terminal_that_is_gone_ends_the_app(moment: str, tmp_path: Path) -> None:
    with demo(tmp_path) as (process, ours, theirs):
        os.close(theirs)
        read_until(ours, MOMENTS[moment])
        os.close(ours)
        assert process.wait(60) in (1, 120), "Python's own where nothing can be written any more"
    assert not [*tmp_path.glob("whiteout-demo-*")], "the demo is removed"


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_ends_the_app_and_gives_the_terminal_back(moment: str, tmp_path: Path) -> None:
    with demo(tmp_path) as (process, ours, theirs):
        before = termios.tcgetattr(theirs)
        read_until(ours, MOMENTS[moment])
        read_on(ours)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 1
        assert termios.tcgetattr(theirs) == before
    assert not [*tmp_path.glob("whiteout-demo-*")], "the demo is removed"
