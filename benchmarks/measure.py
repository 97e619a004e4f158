"""Running whole commands in turn and taking their times."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
#: Bytecode is written once, as when it is installed.
_ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True, slots=True)
class Command:
    """A command, and what it is called. ``daemon`` is a process that works for it, if any."""

    name: str
    words: list[str]
    daemon: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One run: wall and CPU seconds, the daemon's included, and its own peak of memory."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


@dataclass(frozen=True, slots=True)
class Timing:
    """The median of several ``runs``; ``spread`` is the slowest less the fastest."""

    runs: int
    seconds: float
    spread: float
    cpu_seconds: float
    peak_mib: float

    @classmethod
    def of(cls, runs: list[Run]) -> Timing:
        seconds = [run.seconds for run in runs]
        return cls(
            len(runs),
            statistics.median(seconds),
            max(seconds) - min(seconds),
            statistics.median(run.cpu_seconds for run in runs),
            max(run.peak_mib for run in runs),
        )


def run(command: Command) -> Run:
    """Run *command* once, from its start to its end."""
    before = _daemon_seconds(command)
    started = time.perf_counter()
    process = subprocess.Popen(command.words, stdout=subprocess.DEVNULL, env=_ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"failed: {' '.join(command.words)}")
    cpu = usage.ru_utime + usage.ru_stime + _daemon_seconds(command) - before
    return Run(seconds, cpu, usage.ru_maxrss / 1024)


def _daemon_seconds(command: Command) -> float:
    if command.daemon is None:
        return 0.0
    fields = Path(f"/proc/{command.daemon}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


#: A command that has taken so many seconds in all is not run again.
_ENOUGH = 30.0


def in_turn(commands: list[Command], count: int, done: Callable[[], object]) -> list[list[Run]]:
    """*count* runs of each command, A B C A B C ..., so that all see the same machine.

    A slow command drops out before that. *done* is called after each run, to take away what it
    wrote.
    """
    runs: list[list[Run]] = [[] for _ in commands]
    for _ in range(count):
        for command, taken in zip(commands, runs, strict=True):
            if sum(run.seconds for run in taken) < _ENOUGH:
                taken.append(run(command))
                done()
    return runs


def ratio(peer: list[Run], ours: list[Run], of: Callable[[Run], float]) -> float:
    """The median, pair by pair, of the peer's figure by ours, over the rounds with both."""
    return statistics.median(of(a) / max(of(b), 1e-9) for a, b in zip(peer, ours, strict=False))
