#!/usr/bin/env python3
"""Times whole commands against peers, in alternating runs, and prints the medians.

    python benchmarks/run.py [--quick] [--runs N] [--only a,b] [--json FILE] [--directory DIR]

A ratio above 1 means that whiteout is faster. The peers are what anybody can install: tar with
sha256sum, pigz or zstd -T0 for the workloads whose layer is the whole upper directory (they neither
diff nor hash the compressed bytes), and find for the list of changes. A peer that is not installed
is named and left out. --quick makes the workloads a hundred times smaller and runs each once: it
proves that the benchmark runs, and its figures say nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

from workloads import WORKLOADS, Workload

COMPRESSIONS = ("none", "gzip", "zstd")
PEERS = {"none": "sha256sum", "gzip": "pigz", "zstd": "zstd"}
PIPES = {"none": "sha256sum > {out}", "gzip": "pigz > {out}", "zstd": "zstd -q -T0 > {out}"}


@dataclass(frozen=True, slots=True)
class Run:
    seconds: float
    cpu_seconds: float
    peak_mib: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. ``ratio`` is the peer's time by ours, None without a peer."""

    workload: str
    what: str
    seconds: float
    spread: float
    cpu_seconds: float
    peak_mib: float
    peer: str | None
    peer_seconds: float | None
    ratio: float | None


def measure(command: list[str]) -> Run:
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"failed: {' '.join(command)}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def whiteout(workload: Workload, root: Path, *words: str) -> list[str]:
    upper, lowers = workload.directories(root)
    named = [word for lower in lowers for word in ("--lower", str(lower))]
    return [sys.executable, "-m", "whiteout_tui", *words, str(upper), *named, "--userxattr"]


def compare(
    workload: str, what: str, ours: list[str], peer: tuple[str, list[str]] | None, runs: int
) -> Figure:
    mine: list[Run] = []
    theirs: list[Run] = []
    for _ in range(runs):
        mine.append(measure(ours))
        if peer is not None:
            theirs.append(measure(peer[1]))
    seconds = statistics.median(run.seconds for run in mine)
    peer_seconds = statistics.median(run.seconds for run in theirs) if theirs else None
    return Figure(
        workload,
        what,
        seconds,
        max(run.seconds for run in mine) - min(run.seconds for run in mine),
        statistics.median(run.cpu_seconds for run in mine),
        max(run.peak_mib for run in mine),
        peer[0] if peer else None,
        peer_seconds,
        peer_seconds / seconds if peer_seconds else None,
    )


def check_digests(workload: Workload, root: Path) -> str:
    """The diffID, which must not depend on the compression."""
    found = set()
    for compression in COMPRESSIONS:
        words = ("export", "--json", "-o", os.devnull, "--compression", compression)
        answer = subprocess.run(
            whiteout(workload, root, *words), capture_output=True, check=True, text=True
        )
        found.add(json.loads(answer.stdout)["diffID"])
    if len(found) != 1:
        raise SystemExit(f"{workload.name}: the diffIDs differ: {found}")
    return found.pop()


def figures_of(workload: Workload, root: Path, runs: int, missing: set[str]) -> list[Figure]:
    upper, _ = workload.directories(root)
    out = root / "out"
    figures = []
    for compression in COMPRESSIONS:
        words = ("export", "-o", str(out), "--compression", compression)
        peer = None
        if workload.name in "ab" and PEERS[compression] not in missing:
            pipe = PIPES[compression].format(out=out)
            peer = (f"tar, {PEERS[compression]}", ["sh", "-c", f"tar -C {upper} -cf - . | {pipe}"])
        ours = whiteout(workload, root, *words)
        figures.append(compare(workload.name, f"export {compression}", ours, peer, runs))
    find = ("find", ["find", str(upper)])
    ours = whiteout(workload, root, "changes")
    figures.append(compare(workload.name, "changes", ours, find, runs))
    out.unlink(missing_ok=True)
    return figures


def table(figures: list[Figure]) -> str:
    lines = [
        "| workload | command | median s | spread s | CPU s | peak MiB | peer | its s | ratio |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for f in figures:
        theirs = f"{f.peer} | {f.peer_seconds:.2f} | {f.ratio:.2f}" if f.ratio else "- | - | -"
        lines.append(
            f"| {f.workload} | {f.what} | {f.seconds:.2f} | {f.spread:.2f} | {f.cpu_seconds:.2f}"
            f" | {f.peak_mib:.0f} | {theirs} |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="a,b,c,d,e")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--directory", type=Path)
    options = parser.parse_args()
    runs, scale = (1, 0.01) if options.quick else (options.runs, 1.0)
    missing = {name for name in PEERS.values() if shutil.which(name) is None}
    for name in sorted(missing):
        print(f"not installed, so not compared: {name}")
    chosen = [workload for workload in WORKLOADS if workload.name in options.only.split(",")]
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="whiteout-bench-") as temporary:
        root = (options.directory or Path(temporary)) / ("quick" if options.quick else "full")
        for workload in chosen:
            # In a process of its own: a child's peak memory begins at that of its parent.
            builder = get_context("spawn").Process(target=workload.make, args=(root, scale))
            builder.start()
            builder.join()
            print(f"{workload.name}: {workload.description}; {check_digests(workload, root)}")
            figures += figures_of(workload, root, runs, missing)
    print(table(figures))
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
