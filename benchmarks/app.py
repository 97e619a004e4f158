#!/usr/bin/env python3
"""Times the app through a pseudo-terminal, as a user feels it, and prints a table.

    python benchmarks/app.py [--rows N] [--json FILE]

A snapshot of N rows (by default 1,000,000: directories of 1,000 files) is opened in a terminal of
120 x 36. A time runs from the key to the first byte of the answer; of what may take several steps,
such as a filter, to the screen that shows the result. Beside it stands Textual's own Tree with the
same rows, as far as it can be waited for (--peer-rows, by default 100,000).
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

PER_DIRECTORY = 1000
DOWN, RIGHT, SPACE = b"\x1b[B", b"\x1b[C", b" "

_PEER = """
import sys
from textual.app import App
from textual.widgets import Tree
class Peer(App):
    def compose(self):
        yield Tree("root")
    def on_mount(self):
        tree = self.query_one(Tree)
        tree.root.expand()
        for d in range(int(sys.argv[1]) // 1000):
            node = tree.root.add(f"d{d:04}")
            for f in range(1000):
                node.add_leaf(f"f{f:03}")
        tree.focus()
    def on_key(self, event):
        if event.key == "f12":
            for node in self.query_one(Tree).root.children:
                node.expand()
        if event.key == "q":
            self.exit()
Peer().run()
"""


class Terminal:
    """A program in a pseudo-terminal."""

    def __init__(self, command: list[str], size: tuple[int, int] = (120, 36)) -> None:
        self._said = bytearray()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            environment = {**os.environ, "TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none"}
            environment["XDG_CONFIG_HOME"] = tempfile.gettempdir() + "/whiteout-bench-config"
            os.execvpe(command[0], command, environment)
        self.resize(*size)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

    def _read(self, seconds: float) -> bool:
        """Take what comes within so long; tells whether anything came."""
        if not select.select([self._fd], [], [], seconds)[0]:
            return False
        with suppress(OSError):
            self._said += os.read(self._fd, 1 << 16)
        return True

    def quiet(self, seconds: float = 0.3, limit: float = 30.0) -> None:
        """Wait until nothing has come for so long."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline and self._read(seconds):
            pass

    def until(self, sign: str, limit: float = 300.0) -> float:
        """Seconds until *sign* has come since the last :meth:`forget`."""
        started = time.perf_counter()
        while sign.encode() not in self._said:
            if time.perf_counter() - started > limit:
                raise SystemExit(
                    f"{sign!r} never came; the last output was {bytes(self._said[-300:])!r}"
                )
            self._read(0.1)
        return time.perf_counter() - started

    def forget(self) -> None:
        """What came so far counts no more."""
        self._said = bytearray()

    def send(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    def answer(self, keys: bytes) -> float:
        """Milliseconds from *keys* to the first byte of the answer; 5 s when there is none."""
        started = time.perf_counter()
        self.send(keys)
        select.select([self._fd], [], [], 5)
        return (time.perf_counter() - started) * 1000

    def drain(self, seconds: float) -> None:
        """Take what comes for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)

    def memory(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024

    def ended(self) -> float:
        """Seconds until the program has ended."""
        started = time.perf_counter()
        while True:
            self._read(0.001)
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                os.close(self._fd)
                return time.perf_counter() - started


def build(root: Path, rows: int) -> tuple[Path, Path]:
    upper, lower = root / "upper", root / "lower"
    lower.mkdir()
    for number in range(max(1, rows // PER_DIRECTORY)):
        directory = upper / f"d{number:04}"
        directory.mkdir(parents=True)
        descriptor = os.open(directory, os.O_RDONLY)
        for file in range(PER_DIRECTORY):
            os.close(os.open(f"f{file:03}", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
        os.close(descriptor)
    return upper, lower


def keys(terminal: Terminal, key: bytes, times: int, pause: float = 0.05) -> list[float]:
    found = []
    for _ in range(times):
        terminal.drain(pause)
        found.append(terminal.answer(key))
    return found


def told(found: list[float]) -> str:
    ordered = sorted(found)
    middle, high = statistics.median(ordered), ordered[int(0.95 * (len(ordered) - 1))]
    return f"{middle:.1f} / {high:.1f} / {ordered[-1]:.1f}"


def measure_ours(upper: Path, lower: Path, rows: int) -> dict[str, str]:
    command = [sys.executable, "-m", "whiteout_tui", str(upper), "--lower", str(lower)]
    figures: dict[str, str] = {}
    terminal = Terminal([*command, "--userxattr"])
    figures["first rows, s"] = f"{terminal.until('d0003'):.2f}"
    figures["down while reading, ms"] = told(keys(terminal, DOWN, 60))
    started = time.perf_counter()
    terminal.until("✓")
    figures["read to the end, s (rest)"] = f"{time.perf_counter() - started:.1f}"
    terminal.quiet()
    before = terminal.memory()
    figures["resident memory, MiB"] = f"{before / 2**20:.0f}"
    figures["bytes a row (columns)"] = f"{_bytes_a_row(rows):.0f}"
    figures["down, ms"] = told(keys(terminal, DOWN, 40))
    terminal.send(b"g")
    terminal.quiet()
    terminal.send(DOWN)
    terminal.quiet()
    figures["open / close 1,000 rows, ms"] = told(keys(terminal, SPACE, 20, 0.2))
    terminal.quiet()
    figures["search, s"] = _typed(terminal, b"/f777", f" of {rows // PER_DIRECTORY:,}")
    terminal.send(b"\x1b")
    terminal.drain(1)
    figures["filter, s"] = _typed(terminal, b"fname:*77", f" {_ending_in_77(rows):,} rows")
    terminal.send(b"\x1b")
    terminal.drain(1)
    found = []
    for columns in (100, 120, 90, 120):
        terminal.quiet()
        terminal.forget()
        started = time.perf_counter()
        terminal.resize(columns, 36)
        terminal.until("d0001")
        found.append((time.perf_counter() - started) * 1000)
    figures["resize, ms"] = told(found)
    terminal.send(b"q")
    figures["quit, s"] = f"{terminal.ended():.2f}"
    terminal = Terminal([*command, "--userxattr"])
    terminal.until("d0003")
    terminal.drain(0.5)
    terminal.send(b"q")
    figures["quit while reading, s"] = f"{terminal.ended():.2f}"
    return figures


def _ending_in_77(rows: int) -> int:
    directories = max(1, rows // PER_DIRECTORY)
    return 10 * directories + len(range(77, directories, 100))


def _typed(terminal: Terminal, typed: bytes, sign: str) -> str:
    for key in typed[:-1]:
        terminal.send(bytes([key]))
        terminal.drain(0.3)
    terminal.drain(2)  # the field blinks, so it is never quiet
    terminal.forget()
    terminal.send(typed[-1:])
    return f"{terminal.until(sign, 60):.2f}"


def _bytes_a_row(rows: int) -> float:
    from whiteout_tui.rowdata import Batch, RowData
    from whiteout_tui.rows import ROOT, Rows

    known = Rows()
    batch = Batch([RowData(b"f%03d" % number, 0, 0, 0, 0) for number in range(1000)])
    for _ in range(rows // 1000):
        known.append(ROOT, batch)
    return sum(sys.getsizeof(getattr(known, column)) for column in Rows.__slots__) / len(known)


def measure_peer(rows: int) -> dict[str, str]:
    terminal = Terminal([sys.executable, "-c", _PEER, str(rows)])
    figures = {"first rows, s": f"{terminal.until('d0003'):.2f}"}
    terminal.quiet(2)
    figures["resident memory, MiB"] = f"{terminal.memory() / 2**20:.0f}"
    terminal.send(b"\x1b[24~")  # open every directory
    terminal.quiet(2)
    figures["down, ms"] = told(keys(terminal, DOWN, 40))
    terminal.quiet(1)
    terminal.send(b"\x1b[H")
    terminal.quiet(1)
    terminal.send(DOWN)
    terminal.quiet(1)
    found = []
    for _ in range(6):
        terminal.quiet(1)
        found.append(_settled(terminal, lambda: terminal.send(SPACE)))
    figures["open / close 1,000 rows, ms"] = told(found)
    found = [_settled(terminal, partial(terminal.resize, columns, 36)) for columns in (100, 120)]
    figures["resize, ms"] = told(found)
    terminal.send(b"q")
    figures["quit, s"] = f"{terminal.ended():.2f}"
    return figures


def _settled(terminal: Terminal, act: Callable[[], None]) -> float:
    """Milliseconds to the first byte after *act*."""
    started = time.perf_counter()
    act()
    select.select([terminal._fd], [], [], 60)
    took = (time.perf_counter() - started) * 1000
    terminal.quiet(1)
    return took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peer-rows", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="whiteout-bench-") as temporary:
        upper, lower = build(Path(temporary), options.rows)
        ours = measure_ours(upper, lower, options.rows)
    peer = measure_peer(options.peer_rows) if options.peer_rows else {}
    print("Several times are median / 95th percentile / worst.\n")
    print(f"| | whiteout, {options.rows:,} rows | Textual's Tree, {options.peer_rows:,} rows |")
    print("|---|---|---|")
    for name, figure in ours.items():
        print(f"| {name} | {figure} | {peer.get(name, '-')} |")
    if options.json is not None:
        options.json.write_text(json.dumps({"whiteout": ours, "tree": peer}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
