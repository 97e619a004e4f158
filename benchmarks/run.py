#!/usr/bin/env python3
"""Times whole commands against peers, in alternating runs, and prints the medians.

    python benchmarks/run.py [--quick] [--runs N] [--only a,b] [--no-scaling] [--no-sizes]
                             [--json FILE] [--plots DIR] [--document FILE] [--directory DIR]

A ratio above 1 means that Whiteout is faster. What the peers do is said in peers.py; one that is
not installed is left out. The diffID must be the same for every compression, and that of
containerd. --document puts the tables, and links to the plots, between the two marks in a Markdown
file. --quick makes everything a hundred times smaller and runs it once: it proves that the
benchmark runs, and its figures say nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import date
from multiprocessing import get_context
from pathlib import Path

import plot
import scaling
import sizes
import starting
from measure import Command, Timing, in_turn, ratio
from peers import Containerd, find_and_start, tar_pipe
from podmanstore import Podman
from workloads import WORKLOADS, Workload

COMPRESSIONS = ("none", "gzip", "zstd")
_BEGIN, _END = "<!-- figures: begin -->", "<!-- figures: end -->"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: a command, and by how much it is faster than one peer.

    The ratios are of wall time and of CPU time, None where there is no peer.
    """

    workload: str
    what: str
    ours: Timing
    peer: str | None = None
    theirs: Timing | None = None
    ratio: float | None = None
    cpu_ratio: float | None = None


def whiteout(workload: Workload, root: Path, what: str) -> Command:
    """``changes``, or ``export`` with a compression, of a workload."""
    upper, lowers = workload.directories(root)
    named = [word for lower in lowers for word in ("--lower", str(lower))]
    verb, _, compression = what.partition(" ")
    output = ["-o", str(root / "out"), "--compression", compression] if compression else []
    words = [sys.executable, "-m", "whiteout_tui", verb, *output, str(upper), *named, "--userxattr"]
    return Command("whiteout", words)


def check_digests(workload: Workload, root: Path, containerd: Containerd | None) -> str:
    """The diffID, which must depend on nothing but the snapshot."""
    found = {}
    for compression in COMPRESSIONS:
        words = whiteout(workload, root, f"export {compression}").words
        answer = subprocess.run([*words, "--json"], capture_output=True, check=True, text=True)
        found[compression] = json.loads(answer.stdout)["diffID"]
    if containerd is not None:
        found["containerd"] = containerd.diff_id(workload, root, root / "out")
    if len(set(found.values())) != 1:
        raise SystemExit(f"{workload.name}: the diffIDs differ: {found}")
    return f"{found['none']} ({', '.join(found)})"


def figures_of(
    workload: Workload,
    root: Path,
    runs: int,
    containerd: Containerd | None,
    podman: Podman | None,
) -> list[Figure]:
    """The lines of one workload."""
    upper, _ = workload.directories(root)
    out = root / "out"
    figures = []
    for what in (*(f"export {compression}" for compression in COMPRESSIONS), "changes"):
        compression = what.partition(" ")[2]
        peers: list[Command | None] = []
        if not compression:
            peers = [find_and_start(upper)]
            if podman is not None:
                peers.append(podman.diff(workload, root))
        else:
            if workload.name in "ab":
                peers.append(tar_pipe(upper, compression, out))
            if containerd is not None:
                peers.append(containerd.diff(workload, root, compression, out))
        present = [peer for peer in peers if peer is not None]
        commands = [whiteout(workload, root, what), *present]
        taken, *others = in_turn(commands, runs, lambda: out.unlink(missing_ok=True))
        ours = Timing.of(taken)
        if not present:
            figures.append(Figure(workload.name, what, ours))
        for peer, its in zip(present, others, strict=True):
            wall = ratio(its, taken, lambda run: run.seconds)
            cpu = ratio(its, taken, lambda run: run.cpu_seconds)
            figures.append(Figure(workload.name, what, ours, peer.name, Timing.of(its), wall, cpu))
    return figures


def table(figures: list[Figure]) -> str:
    """The figures in Markdown."""
    names = "workload|command|runs|s|spread|CPU s|peak MiB|peer|its s|its CPU s|ratio|CPU ratio"
    lines = [f"| {names.replace('|', ' | ')} |", "|" + "---|" * 12]
    for f in figures:
        theirs = "- | - | - | - | -"
        if f.theirs is not None:
            times = f"{f.theirs.seconds:.2f} | {f.theirs.cpu_seconds:.2f}"
            theirs = f"{f.peer} | {times} | {f.ratio:.2f} | {f.cpu_ratio:.2f}"
        lines.append(
            f"| {f.workload} | {f.what} | {f.ours.runs} | {f.ours.seconds:.2f}"
            f" | {f.ours.spread:.2f} | {f.ours.cpu_seconds:.2f} | {f.ours.peak_mib:.0f}"
            f" | {theirs} |"
        )
    return "\n".join(lines)


def build(workload: Workload, root: Path, scale: float = 1.0) -> None:
    """Make a workload in a process of its own: a child's peak of memory begins at its parent's."""
    builder = get_context("fork").Process(target=workload.make, args=(root, scale))
    builder.start()
    builder.join()
    if builder.exitcode != 0:
        raise SystemExit(f"{workload.name} could not be built")


def write_plots(directory: Path, figures: list[Figure], points: list[scaling.Point]) -> None:
    """``ratios.svg``, and ``scaling-lower.svg`` and ``scaling-upper.svg``."""
    rows = [
        (f"{f.workload} {f.what} by {f.peer}", f.ratio)
        for f in figures
        if f.ratio is not None and f.what != "changes"
    ]
    if rows:
        title = "How many times as long the peer takes (wall time; above 1, Whiteout is faster)"
        (directory / "ratios.svg").write_text(plot.bars(title, rows))
    for side in scaling.SIDES if points else ():
        series: dict[str, list[tuple[float, float]]] = {}
        for point in points:
            if point.side == side:
                series.setdefault(point.command, []).append((point.files, point.cpu_seconds))
        title = f"CPU time over the files of the {side} directory"
        drawn = plot.lines(title, series, f"files in the {side}", "CPU s")
        (directory / f"scaling-{side}.svg").write_text(drawn)


def write_document(document: Path, parts: list[str], plots: Path | None) -> None:
    """Put *parts* and links to the plots between the two marks of *document*."""
    before, _, rest = document.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not end:
        raise SystemExit(f"{document} has no {_BEGIN} and {_END}")
    for plot_file in sorted(plots.glob("*.svg")) if plots is not None else ():
        words = plot_file.stem.replace("-", ", ")
        parts.append(f"![{words}]({os.path.relpath(plot_file, document.parent)})")
    middle = "\n\n".join([_BEGIN, *parts, _END])
    document.write_text(before + middle + after)


def main() -> int:
    """Run what the command line chooses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="a,b,c,d,e")
    parser.add_argument("--no-scaling", action="store_true")
    parser.add_argument("--no-sizes", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plots", type=Path)
    parser.add_argument("--document", type=Path)
    parser.add_argument("--directory", type=Path)
    options = parser.parse_args()
    runs, scale = (1, 0.01) if options.quick else (options.runs, 1.0)
    steps = [1_000, 3_000] if options.quick else [1_000, 10_000, 100_000, 1_000_000]
    chosen = [workload for workload in WORKLOADS if workload.name in options.only.split(",")]
    figures: list[Figure] = []
    points: list[scaling.Point] = []
    compressed: list[sizes.Size] = []
    with ExitStack() as opened:
        temporary = opened.enter_context(tempfile.TemporaryDirectory(prefix="whiteout-bench-"))
        root = (options.directory or Path(temporary)) / ("quick" if options.quick else "full")
        root.mkdir(parents=True, exist_ok=True)
        containerd: Containerd | None = None
        if (problem := Containerd.problem()) is None:
            containerd = opened.enter_context(Containerd(Path(temporary) / "containerd"))
        else:
            print(problem)
        podman: Podman | None = None
        if (problem := Podman.problem()) is None:
            podman = Podman(Path(temporary) / "podman")
        else:
            print(problem)
        for workload in chosen:
            build(workload, root, scale)
            told = check_digests(workload, root, containerd)
            print(f"{workload.name}: {workload.description}; {told}", flush=True)
            figures += figures_of(workload, root, runs, containerd, podman)
        starts = starting.measure_starts(root, runs * 4, whiteout)
        if not options.no_sizes:
            limit = (2 if options.quick else 200) << 20
            compressed = sizes.measure_sizes(root, limit, containerd, whiteout)
        if not options.no_scaling:
            points = scaling.measure_scaling(root, steps, min(runs, 3), build, whiteout)
        (root / "out").unlink(missing_ok=True)
    machine = f"{os.cpu_count()} cores, Python {sys.version.split()[0]}"
    parts = [f"{date.today().isoformat()}, {machine}; medians of the runs said.", table(figures)]
    parts += ["CPU of whole commands on a snapshot of one file:", starting.table(starts)]
    if compressed:
        parts += ["Bytes of compressed layers of real trees:", sizes.table(compressed)]
    if points:
        parts += ["CPU seconds and peak of memory as either side grows:", scaling.table(points)]
    print("\n" + "\n\n".join(parts))
    if options.json is not None:
        everything = {
            "figures": figures,
            "starts": starts,
            "sizes": compressed,
            "scaling": points,
        }
        plain = {name: [asdict(each) for each in part] for name, part in everything.items()}
        plain["machine"] = [{"cores": os.cpu_count(), "python": sys.version.split()[0]}]
        options.json.write_text(json.dumps(plain, indent=1) + "\n")
    if options.plots is not None:
        options.plots.mkdir(parents=True, exist_ok=True)
        write_plots(options.plots, figures, points)
    if options.document is not None:
        write_document(options.document, parts, options.plots)
    return 0


if __name__ == "__main__":
    sys.exit(main())
