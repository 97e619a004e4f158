#!/usr/bin/env python3
"""Times the app through a pseudo-terminal, as a user feels it, and prints a table.

    python benchmarks/app.py [--rows N] [--peer-rows N] [--quick] [--json FILE]

Two snapshots of N rows (by default 1,000,000) are opened in a terminal of 120 x 36: directories of
1,000 files each, and one directory with all of them. Beside them stands Textual's own Tree with
rows in the same shape, as far as it can be waited for (--peer-rows, by default 100,000).

A key is timed from its press to the screen that shows what it does: of the arrows, to the name of
the row below in the colour of the cursor; that of the Tree to its first byte.
Resizing and sorting count to the last byte. The machine may be busy with other work, so that the
CPU that the main thread of the app takes for it stands after the times.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from terminal import Answer, NoAnswer, Terminal, told

DOWN, SPACE, ESCAPE, ENTER = b"\x1b[B", b" ", b"\x1b", b"\r"
QUIT, TREE_OPENS_ALL = b"\x11", b"\x1b[24~"
#: Between keys, as when one is held down or pressed quickly.
PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class Case:
    """A snapshot: *directories* of *width* empty files, and an empty base below it."""

    name: str
    directories: int
    width: int
    root: Path

    @property
    def rows(self) -> int:
        return self.directories * (self.width + 1)

    def build(self) -> None:
        (self.root / "lower").mkdir(parents=True)
        for number in range(self.directories):
            directory = self.root / "upper" / f"d{number:04}"
            directory.mkdir(parents=True)
            descriptor = os.open(directory, os.O_RDONLY)
            for file in range(self.width):
                os.close(os.open(f"f{file:07}", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
            os.close(descriptor)

    def start(self, *options: str) -> Terminal:
        upper, lower = self.root / "upper", self.root / "lower"
        command = [sys.executable, "-m", "whiteout_tui", str(upper), "--lower", str(lower)]
        return Terminal([*command, "--userxattr", *options], self.root / "config")


@dataclass(frozen=True, slots=True)
class Small:
    """Of the app without rows: resident bytes, and the colour of the cursor."""

    memory: int
    cursor: str


@dataclass(slots=True)
class Figures:
    """What was measured, by name; *cursor* is the colour of the cursor."""

    cursor: str
    found: dict[str, str] = field(default_factory=dict)

    def note(self, name: str, answers: list[Answer]) -> None:
        self.found[name] = told(answers)

    def moves(self, name: str, terminal: Terminal, rows: list[str]) -> None:
        """The arrow down, once to each of *rows*, with what the other threads did meanwhile."""
        answers = []
        started, others = time.monotonic(), terminal.other_seconds()
        for row in rows:
            terminal.drain(PAUSE)
            answers.append(terminal.answer(DOWN, f"{self.cursor}m{row}"))
        share = (terminal.other_seconds() - others) / (time.monotonic() - started)
        self.found[name] = told(answers) + (f" ({share:.0%} of a core)" if share > 0.1 else "")


def directories(first: int, count: int) -> list[str]:
    """The names of the directories from *first* on."""
    return [f"d{number:04}" for number in range(first, first + count)]


def files(first: int, count: int) -> list[str]:
    return [f"f{number:07}" for number in range(first, first + count)]


def measure(case: Case, keys: int, small: Small) -> dict[str, str]:
    """What is the same for both shapes; *small* is the app without rows."""
    figures = Figures(small.cursor)
    terminal = case.start()
    figures.found["first row, s"] = f"{terminal.until('d0000'):.2f}"
    if case.directories > 1:
        figures.moves("down while reading", terminal, directories(0, keys))
    else:
        terminal.answer(DOWN, "/d0000")
        terminal.quiet(0.1, 1)
        figures.note("open while reading", [terminal.answer(SPACE, "f0000000")])
        figures.moves("down while reading", terminal, files(0, keys))
    figures.found["read to the end, s"] = f"{terminal.watched():.1f}"
    terminal.quiet()
    figures.found["bytes a row, resident"] = f"{(terminal.memory() - small.memory) / case.rows:.0f}"
    if case.directories > 1:
        figures.moves("down", terminal, directories(keys, keys))
    else:
        figures.moves("down", terminal, files(keys, keys))
    terminal.send(b"g")
    terminal.quiet()
    terminal.answer(DOWN, "/d0000")
    terminal.quiet()
    figures.note(f"open or close {case.width:,} rows", _toggle(terminal, case, keys // 3))
    figures.note("to the last row", [terminal.settled(partial(terminal.send, b"G"))])
    terminal.send(b"g")
    terminal.quiet()
    _look_for(terminal, case, figures)
    sizes = [100, 120, 90, 120]
    resizes = [terminal.settled(partial(terminal.resize, columns, 36)) for columns in sizes]
    figures.note("resize", resizes)
    if case.directories > 1:
        figures.note("open all", [terminal.settled(partial(terminal.send, b"+"))])
    else:  # by hand, as there may be more rows in it than are opened at once
        terminal.answer(DOWN, "d0000")
        terminal.answer(SPACE, "f0000000")
    terminal.send(b"g")
    terminal.quiet()
    figures.moves("down, all open", terminal, ["d0000", *files(0, keys - 1)])
    sorts = [terminal.settled(partial(terminal.send, b"s")) for _ in range(3)]
    figures.note("sort", sorts)
    _survey(terminal, case, figures)
    terminal.send(QUIT)
    figures.found["quit, s"] = f"{terminal.ended():.2f}"
    _be_busy(case, keys, figures)
    return figures.found


def _toggle(terminal: Terminal, case: Case, times: int) -> list[Answer]:
    """Close and open the directory under the cursor; it is closed in the end."""
    opened = case.directories == 1
    after_closing = "d0001" if case.directories > 1 else "▸ "
    answers = []
    for _ in range(2 * (times // 2) + opened):
        terminal.drain(0.2)
        answers.append(terminal.answer(SPACE, after_closing if opened else "f0000000"))
        opened = not opened
    terminal.quiet()
    return answers


def _look_for(terminal: Terminal, case: Case, figures: Figures) -> None:
    """Search and filter: from the last key that is typed to the number of what was found."""
    of_77 = case.directories * len(range(77, case.width, 100)) + len(
        range(77, case.directories, 100)
    )
    searched, filtered = f" of {case.directories:,}", f" {of_77:,} row"
    for name, typed, sign in (
        ("search", b"/f0000077", searched),
        ("filter", b"fname:*77", filtered),
    ):
        terminal.type(typed[:-1], 0.3)
        terminal.drain(2)
        figures.note(name, [terminal.answer(typed[-1:], sign, 60)])
        terminal.send(ESCAPE)
        terminal.drain(1)


def _survey(terminal: Terminal, case: Case, figures: Figures) -> None:
    """The totals of all are counted in the background, while the cursor moves."""
    terminal.send(b"g")
    terminal.quiet()
    terminal.send(b"t")
    terminal.drain(0.5)
    terminal.send(ESCAPE)
    terminal.drain(0.2)
    terminal.send(b"g")
    figures.moves("down while the totals are counted", terminal, ["d0000", *files(0, 40)])


def _be_busy(case: Case, keys: int, figures: Figures) -> None:
    """Leave while the snapshot is read; move and leave while its layer is written."""
    terminal = case.start()
    terminal.until("d0000")
    terminal.drain(0.5)
    terminal.send(QUIT)
    figures.found["quit while reading, s"] = f"{terminal.ended():.2f}"
    store = case.root / "store"
    terminal = case.start("--store", str(store))
    terminal.until("d0000")
    terminal.quiet(limit=1)
    terminal.send(b"e")
    terminal.until("Export the layer")
    terminal.drain(0.5)
    terminal.send(ENTER)
    deadline = time.monotonic() + 30
    while not any(store.rglob("ingest/*")) and not any(store.rglob("index.json")):
        if time.monotonic() > deadline:
            raise NoAnswer(f"no export began in {store}")
        terminal.drain(0.05)
    terminal.send(ESCAPE)
    terminal.drain(1)
    if case.directories == 1:  # what is above it has few rows
        terminal.answer(DOWN, "d0000")
        terminal.answer(SPACE, "f0000000")
        terminal.drain(1)
    names = files(0, keys) if case.directories == 1 else directories(0, keys)
    figures.moves("down while exporting", terminal, names)
    terminal.send(QUIT)
    figures.found["quit while exporting, s"] = f"{terminal.ended():.2f}"


def measure_tree(case: Case, rows: int, keys: int) -> dict[str, str]:
    """The same of Textual's Tree."""
    width = case.width if case.directories > 1 else rows
    script = str(Path(__file__).with_name("textualtree.py"))
    empty = Terminal([sys.executable, script, "1", "1"], case.root / "config")
    empty.until("d0000")
    empty.quiet(1)
    before = empty.memory()
    empty.send(b"q")
    empty.ended()
    terminal = Terminal([sys.executable, script, str(rows), str(width)], case.root / "config")
    figures = Figures("")
    figures.found["first row, s"] = f"{terminal.until('d0000'):.2f}"
    terminal.quiet(2)
    figures.found["bytes a row, resident"] = f"{(terminal.memory() - before) / rows:.0f}"
    figures.note("down", _presses(terminal, DOWN, keys if case.directories > 1 else 1))
    terminal.send(b"\x1b[H")
    terminal.quiet(1)
    terminal.send(DOWN)
    terminal.quiet(1)
    toggles = [terminal.settled(partial(terminal.send, SPACE)) for _ in range(4)]
    figures.note(f"open or close {case.width:,} rows", toggles)
    figures.note("open all", [terminal.settled(partial(terminal.send, TREE_OPENS_ALL))])
    figures.note("down, all open", _presses(terminal, DOWN, keys))
    resizes = [terminal.settled(partial(terminal.resize, columns, 36)) for columns in (100, 120)]
    figures.note("resize", resizes)
    terminal.send(QUIT)
    figures.found["quit, s"] = f"{terminal.ended():.2f}"
    return figures.found


def _presses(terminal: Terminal, key: bytes, times: int) -> list[Answer]:
    answers = []
    for _ in range(times):
        terminal.quiet(PAUSE)
        answers.append(terminal.answer(key))
    return answers


def measure_small(root: Path) -> Small:
    """What the app takes for a snapshot of one file."""
    case = Case("one file", 1, 1, root)
    case.build()
    terminal = case.start()
    terminal.watched()
    terminal.quiet()
    memory = terminal.memory()
    terminal.send(DOWN)
    terminal.quiet()
    small = Small(memory, terminal.background("d0000"))
    terminal.send(b"q")
    terminal.ended()
    return small


def roomy_directory(rows: int) -> str | None:
    """Where so many files cost the least: in memory, if there is room for them."""
    memory = Path("/dev/shm")
    if "TMPDIR" in os.environ or not os.access(memory, os.W_OK):
        return None
    return str(memory) if os.statvfs(memory).f_favail > 3 * rows else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peer-rows", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true", help="few rows: only to see that it runs")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.peer_rows = 20_000, 2_000
    keys, width = (12, 100) if options.quick else (60, 1000)
    written: dict[str, dict[str, dict[str, str]]] = {}
    print("Milliseconds where nothing else is said: median / 95th percentile / worst; CPU of the")
    print("main thread. In brackets what the other threads took meanwhile.")
    with tempfile.TemporaryDirectory(
        prefix="whiteout-bench-", dir=roomy_directory(options.rows)
    ) as temporary:
        root = Path(temporary)
        small = measure_small(root / "small")
        cases = (
            Case("many directories", options.rows // width, width, root / "many"),
            Case("one directory", 1, options.rows, root / "one"),
        )
        for case in cases:
            case.build()
            ours = measure(case, keys, small)
            tree = measure_tree(case, options.peer_rows, keys) if options.peer_rows else {}
            written[case.name] = {"whiteout": ours, "tree": tree}
            _print(case, options.peer_rows, ours, tree)
    if options.json is not None:
        options.json.write_text(json.dumps(written, indent=1) + "\n")
    return 0


def _print(case: Case, peer_rows: int, ours: dict[str, str], tree: dict[str, str]) -> None:
    shape = f"{case.directories:,} x {case.width:,} files"
    print(f"\n| {case.name} | whiteout, {shape} | Textual's Tree, {peer_rows:,} rows |")
    print("|---|---|---|")
    for name in dict.fromkeys((*ours, *tree)):
        print(f"| {name} | {ours.get(name, '-')} | {tree.get(name, '-')} |")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
