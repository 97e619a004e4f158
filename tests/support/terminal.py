"""A program in a terminal of its own, which tmux gives it."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from support.commands import command, environment


class Terminal:
    """``whiteout`` with *arguments* in a tmux session, under the program *wrapper* if one is given.

    When the program ends, the screen says ``ended with`` and its exit status.
    """

    def __init__(
        self,
        socket: str,
        size: tuple[int, int],
        arguments: Sequence[str | bytes | os.PathLike[str]],
        wrapper: Sequence[str] = (),
    ) -> None:
        self._socket = socket
        words = [*wrapper, *command(*arguments)]
        line = " ".join(shlex.quote(os.fsdecode(word)) for word in words)
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

    def text(self, *, escapes: bool = False) -> str:
        """What is on the screen, with *escapes* also the sequences for its attributes."""
        return self._tmux("capture-pane", "-p", *(["-e"] if escapes else []))

    def press(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def wait(self, sign: str | Callable[[str], object]) -> str:
        """The screen, once it shows *sign*."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            text = self.text()
            if sign in text if isinstance(sign, str) else sign(text):
                return text
            time.sleep(0.02)
        raise AssertionError(f"{sign} is not on the screen:\n{self.text()}")

    def kill(self) -> None:
        self._tmux("kill-server")


#: Starts a :class:`Terminal`: arguments, and by name its size and a wrapper.
Start = Callable[..., Terminal]


@contextmanager
def terminals() -> Iterator[Start]:
    """Terminals for as long as the context lasts. Their sockets have short names, as they must."""
    started: list[Terminal] = []
    with tempfile.TemporaryDirectory(prefix="tmux-") as directory:

        def start(
            *arguments: str | bytes | os.PathLike[str],
            size: tuple[int, int] = (80, 24),
            wrapper: Sequence[str] = (),
        ) -> Terminal:
            socket = os.path.join(directory, str(len(started)))
            started.append(Terminal(socket, size, arguments, wrapper))
            return started[-1]

        try:
            yield start
        finally:
            for one in started:
                one.kill()
