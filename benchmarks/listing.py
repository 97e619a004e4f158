#!/usr/bin/env python3
"""Times ``whiteout list`` over a store of containerd with many snapshots.

    python benchmarks/listing.py [--snapshots 1000] [--runs 5]

A containerd of its own, on a private root and socket, makes the snapshots; the peer is
``ctr snapshots ls``, which asks the running daemon. Needs root.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.engines import Containerd, containerd


def fill(engine: Containerd, count: int) -> None:
    """Chains of nine committed layers each and an active snapshot on top, several at a time."""
    with ThreadPoolExecutor(4) as pool:
        starts = range(0, count, 10)
        list(pool.map(lambda start: _chain(engine, start, min(10, count - start)), starts))


def _chain(engine: Containerd, start: int, count: int) -> None:
    ctr = f"ctr --address {engine.address} snapshots"
    lines, parent = ["set -e"], ""
    for layer in range(min(9, count)):
        name = f"chain{start}-layer{layer}"
        lines += [f"{ctr} prepare {name}-a {parent}", f"{ctr} commit {name} {name}-a"]
        parent = name
    if count == 10:
        lines.append(f"{ctr} prepare chain{start}-active {parent}")
    subprocess.run(["sh"], input="\n".join(lines).encode(), check=True)


def seconds(command: list[str], runs: int) -> tuple[float, float]:
    """The medians of the time on the wall and of the CPU time."""
    wall, cpu = [], []
    for _ in range(runs):
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall.append(time.perf_counter() - started)
        cpu.append(usage.ru_utime + usage.ru_stime)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"failed: {' '.join(command)}")
    return statistics.median(wall), statistics.median(cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--snapshots", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with containerd() as engine:
        fill(engine, options.snapshots)
        peer = ["ctr", "--address", str(engine.address), "snapshots", "ls"]
        theirs = seconds(peer, options.runs)
        ours = [sys.executable, "-m", "whiteout_tui", "list"]
        below = seconds([*ours, "--root", str(engine.root)], options.runs)
        host = seconds(ours, options.runs)
    print(f"{options.snapshots:,} snapshots, median of {options.runs} runs: seconds, CPU seconds")
    for name, (wall, cpu) in (
        ("whiteout list --root STORE", below),
        ("whiteout list (whole host)", host),
        ("ctr snapshots ls", theirs),
    ):
        print(f"{name:<27} {wall:6.2f} {cpu:6.2f}")


if __name__ == "__main__":
    main()
