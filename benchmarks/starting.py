"""What the start of a command costs: CPU on a snapshot of one file, beside an empty Python."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from measure import Command, Timing, in_turn
from workloads import Workload


@dataclass(frozen=True, slots=True)
class Start:
    """The CPU seconds of a whole command, user and system."""

    command: str
    cpu_seconds: float
    peak_mib: float


def _one_file(here: Path, _: float) -> None:
    (here / "lower-00").mkdir()
    (here / "upper").mkdir()
    (here / "upper" / "file").write_bytes(b"added")


def measure_starts(
    root: Path, runs: int, ours: Callable[[Workload, Path, str], Command]
) -> list[Start]:
    """Each command *runs* times, in turn. ``list`` looks at an empty place, not at this host."""
    workload = Workload("one-file", "one added file", _one_file)
    workload.make(root, 1.0)
    empty = root / "empty"
    empty.mkdir(exist_ok=True)
    python = [sys.executable, "-m", "whiteout_tui"]
    changes = ours(workload, root, "changes").words
    store = ["export", "--store", str(root / "store"), "--compression", "none"]
    words = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "--version": [*python, "--version"],
        "changes": changes,
        "explain": [*python, "explain", *changes[4:], "/file"],
        "export -o FILE": ours(workload, root, "export none").words,
        "export --store DIR": [*python, *store, *changes[4:]],
        "list": [*python, "list", "--root", str(empty)],
    }
    names = list(words)
    taken = in_turn([Command(name, words[name]) for name in names], runs, lambda: None)
    timings = [Timing.of(each) for each in taken]
    return [
        Start(name, timing.cpu_seconds, timing.peak_mib)
        for name, timing in zip(names, timings, strict=True)
    ]


def table(starts: list[Start]) -> str:
    """One line for each command."""
    lines = ["| command | CPU ms | peak MiB |", "|---|---|---|"]
    lines += [f"| `{s.command}` | {s.cpu_seconds * 1000:.0f} | {s.peak_mib:.0f} |" for s in starts]
    return "\n".join(lines)
