"""A program in a pseudo-terminal, and how long it takes to answer."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import statistics
import struct
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


class NoAnswer(Exception):
    """What was waited for never came."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Milliseconds until an answer, and milliseconds of CPU that the main thread took for it."""

    wall: float
    cpu: float


class Terminal:
    """*command* in a terminal of *size* columns and rows; its settings are those below *home*.

    When *watched* comes for the first time is remembered, whatever is pressed meanwhile.
    """

    def __init__(
        self,
        command: list[str],
        home: Path,
        size: tuple[int, int] = (120, 36),
        *,
        watched: str = "✓",
    ) -> None:
        self._said = bytearray()
        self._watched = watched.encode()
        self._tail = b""
        self._seen: float | None = None
        self._started = time.perf_counter()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            environment = {**os.environ, "TERM": "xterm-256color", "XDG_CONFIG_HOME": str(home)}
            environment.pop("COLORTERM", None)  # colours come as numbers of 256
            environment["TEXTUAL_ANIMATIONS"] = "none"
            os.execvpe(command[0], command, environment)
        self.resize(*size)

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

    def send(self, keys: bytes) -> None:
        """Press *keys*; what came before counts no more for :meth:`until`."""
        self._said.clear()
        os.write(self._fd, keys)

    def type(self, keys: bytes, pause: float) -> None:
        """Press *keys* one after the other, with so many seconds after each."""
        for key in keys:
            self.send(bytes([key]))
            self.drain(pause)

    def _take(self, seconds: float) -> bool:
        """Take what comes within so long; tells whether anything came."""
        if not select.select([self._fd], [], [], seconds)[0]:
            return False
        with suppress(OSError):
            said = os.read(self._fd, 1 << 16)
            self._said += said
            if self._seen is None:
                if self._watched in self._tail + said:
                    self._seen = time.perf_counter()
                self._tail = said[-len(self._watched) :]
        return True

    def watched(self, limit: float = 300.0) -> float:
        """Seconds from the start to what is watched for.

        Raises:
            NoAnswer: it did not come within *limit* seconds.
        """
        while self._seen is None:
            if time.perf_counter() - self._started > limit:
                raise NoAnswer(f"{self._watched.decode()!r} never came")
            self._take(0.1)
        return self._seen - self._started

    @property
    def has_seen(self) -> bool:
        """Whether what is watched for has come."""
        return self._seen is not None

    def drain(self, seconds: float) -> None:
        """Take what comes for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._take(left)

    def quiet(self, seconds: float = 0.3, limit: float = 30.0) -> float:
        """Wait until nothing has come for so long; gives when the last of it came."""
        deadline = time.monotonic() + limit
        last = time.perf_counter()
        while time.monotonic() < deadline and self._take(seconds):
            last = time.perf_counter()
        return last

    def until(self, sign: str, limit: float = 30.0) -> float:
        """Seconds until *sign* has come since the last keys.

        Raises:
            NoAnswer: it did not come within *limit* seconds.
        """
        started = time.perf_counter()
        wanted = sign.encode()
        while wanted not in self._said:
            if time.perf_counter() - started > limit:
                raise NoAnswer(f"{sign!r} never came; the last was {bytes(self._said[-300:])!r}")
            self._take(0.1)
        return time.perf_counter() - started

    def answer(self, keys: bytes, sign: str = "", limit: float = 30.0) -> Answer:
        """From *keys* to *sign*, or without one to the first byte of the answer.

        Raises:
            NoAnswer: it did not come within *limit* seconds.
        """
        cpu = self.main_seconds()
        started = time.perf_counter()
        self.send(keys)
        if sign:
            self.until(sign, limit)
        elif not select.select([self._fd], [], [], limit)[0]:
            raise NoAnswer(f"nothing came after {keys!r}")
        wall = time.perf_counter() - started
        return Answer(wall * 1000, (self.main_seconds() - cpu) * 1000)

    def background(self, word: str) -> str:
        """The background that *word* was last drawn on, as the terminal was told of it.

        Raises:
            NoAnswer: it was not drawn on any.
        """
        drawn = re.findall(rb"(48;5;\d+)m" + word.encode(), bytes(self._said))
        if not drawn:
            raise NoAnswer(f"{word!r} was drawn on no background")
        return str(drawn[-1].decode())

    def settled(self, act: Callable[[], None]) -> Answer:
        """From *act* to the last byte that comes of it."""
        self._said.clear()
        cpu = self.main_seconds()
        started = time.perf_counter()
        act()
        self._take(30)
        wall = max(time.perf_counter(), self.quiet()) - started
        return Answer(wall * 1000, (self.main_seconds() - cpu) * 1000)

    def memory(self) -> int:
        """Bytes that are resident."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024

    def main_seconds(self) -> float:
        """Seconds of CPU that the main thread has taken."""
        return _seconds_of(Path(f"/proc/{self.pid}/task/{self.pid}"))

    def other_seconds(self) -> float:
        """Seconds of CPU that the other threads have taken, as far as they still run."""
        tasks = Path(f"/proc/{self.pid}/task")
        return sum(_seconds_of(task) for task in tasks.iterdir() if task.name != str(self.pid))

    def ended(self) -> float:
        """Seconds until the program has ended."""
        started = time.perf_counter()
        while True:
            self._take(0.001)
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                os.close(self._fd)
                return time.perf_counter() - started

    def kill(self) -> None:
        """End the program at once, if it still runs."""
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def _seconds_of(task: Path) -> float:
    try:
        return int(task.joinpath("schedstat").read_text().split()[0]) / 1e9
    except OSError:  # it has just ended
        return 0.0


def told(answers: list[Answer]) -> str:
    """Median, 95th percentile and worst in milliseconds; after a semicolon the median of CPU."""
    ordered = sorted(answer.wall for answer in answers)
    high = ordered[round(0.95 * (len(ordered) - 1))]
    cpu = statistics.median(answer.cpu for answer in answers)
    return f"{statistics.median(ordered):.1f} / {high:.1f} / {ordered[-1]:.1f}; {cpu:.1f}"
