"""The whole content of a file in the user's pager, as printable lines through a pipe.

The pager gets neither the name nor the bytes of the file, only text that can do nothing to a
terminal; it reads as much of it as is looked at.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO

from textual.app import App, SuspendNotSupported

from whiteout.content import Side, looks_like_text, open_content, read_head
from whiteout.display import display_line, display_name, display_text
from whiteout.errors import UsageError, WhiteoutError, reason_of
from whiteout.snapshot import Snapshot
from whiteout_tui.printable import hex_lines

_CHUNK = 1 << 16
_DEFAULTS = (["less"], ["more"])


def pager_command(environment: Mapping[str, str]) -> list[str]:
    """The words of ``$PAGER``, which no shell reads; else less or more.

    Raises:
        UsageError: there is no pager.
    """
    named = environment.get("PAGER", "")
    try:
        words = shlex.split(named)
    except ValueError:
        raise UsageError(f"$PAGER is {display_text(named)}, which is no command") from None
    path = environment.get("PATH")
    for command in [words] if words else _DEFAULTS:
        if shutil.which(command[0], path=path) is not None:
            return command
    if words:
        raise UsageError(f"$PAGER names {display_text(words[0])}, which is not installed")
    raise UsageError("there is no pager; install less, or name one in $PAGER")


def show_in_pager(app: App[object], snapshot: Snapshot, path: bytes, side: Side) -> None:
    """Give the terminal to the pager until it ends.

    Raises:
        UsageError: there is no pager, no terminal to give, or nothing to read.
        NotFound: that side has nothing there.
        ReadError: the content cannot be read.
    """
    command = pager_command(os.environ)
    head = read_head(snapshot, path, side, 1)
    if head.link_target is not None:
        target = f"→ {display_name(head.link_target)}\n".encode()
        _run(app, command, iter([target]))
        return
    with open_content(snapshot, path, side) as file:
        _run(app, command, printable(file))


def printable(file: IO[bytes]) -> Iterator[bytes]:
    """Everything in *file* as lines for a terminal; what is no text in hexadecimal."""
    data = file.read(_CHUNK)
    if not looks_like_text(data):
        yield from _hexadecimal(file, data)
        return
    rest = b""
    while data:
        *lines, rest = (rest + data).split(b"\n")
        yield "".join(display_line(line) + "\n" for line in lines).encode()
        if len(rest) > _CHUNK:
            cut = _boundary(rest)
            yield display_line(rest[:cut]).encode()
            rest = rest[cut:]
        data = file.read(_CHUNK)
    if rest:
        yield (display_line(rest) + "\n").encode()


def _boundary(line: bytes) -> int:
    """Where a long *line* may be cut without cutting a character of UTF-8."""
    for cut in range(len(line) - 1, len(line) - 4, -1):
        if line[cut] & 0xC0 != 0x80:
            return cut
    return len(line)


def _hexadecimal(file: IO[bytes], data: bytes) -> Iterator[bytes]:
    start = 0
    while data:
        yield "".join(line + "\n" for line in hex_lines(data, start)).encode()
        start += len(data)
        data = file.read(_CHUNK)


def _run(app: App[object], command: list[str], text: Iterator[bytes]) -> None:
    try:
        with app.suspend(), _interrupts_for_the_pager():
            _feed(command, text)
    except SuspendNotSupported:
        raise UsageError("this terminal cannot be given to a pager") from None


@contextmanager
def _interrupts_for_the_pager() -> Iterator[None]:
    """Ctrl+C is the pager's, and not the app's, while the pager runs."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _feed(command: list[str], text: Iterator[bytes]) -> None:
    environment = {"LESSCHARSET": "utf-8", **os.environ}
    try:
        pager = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
    except OSError as error:
        words = display_text(" ".join(command))
        raise UsageError(f"the pager {words} does not start: {reason_of(error)}") from error
    assert pager.stdin is not None
    try:
        for part in text:
            pager.stdin.write(part)
    except BrokenPipeError:
        pass  # the pager was quit before the end
    except OSError as error:
        raise WhiteoutError(f"the content cannot be read on: {reason_of(error)}") from error
    finally:
        with suppress(BrokenPipeError):
            pager.stdin.close()
        pager.wait()
