"""How time and memory grow with the lower directory, and with the upper one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from measure import Command, Timing, in_turn
from workloads import Workload, scaled

SIDES = ("lower", "upper")
#: What is larger than so many files is measured once.
_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class Point:
    """The CPU seconds and the peak of memory of one command at one size."""

    side: str
    files: int
    command: str
    cpu_seconds: float
    peak_mib: float


def measure_scaling(
    root: Path,
    sizes: list[int],
    runs: int,
    build: Callable[[Workload, Path], None],
    ours: Callable[[Workload, Path, str], Command],
) -> list[Point]:
    """Changes and export with 1,000 to 1,000,000 files on either side; built, measured, removed."""
    points = []
    for side in SIDES:
        for files in sizes:
            workload = scaled(side, files)
            build(workload, root)
            for name in ("changes", "export none", "export gzip", "export zstd"):
                command = ours(workload, root, name)
                taken = in_turn([command], 1 if files > _ONCE else runs, lambda: None)[0]
                timing = Timing.of(taken)
                points.append(Point(side, files, name, timing.cpu_seconds, timing.peak_mib))
            shutil.rmtree(root / workload.name)
    return points


def table(points: list[Point]) -> str:
    """One line for each side and size: CPU seconds (peak MiB)."""
    names = list(dict.fromkeys(point.command for point in points))
    lines = [f"| files | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for side, files in dict.fromkeys((point.side, point.files) for point in points):
        cells = [
            f"{point.cpu_seconds:.2f} s ({point.peak_mib:.0f} MiB)"
            for point in points
            if (point.side, point.files) == (side, files)
        ]
        lines.append(f"| {files:,} in the {side} | {' | '.join(cells)} |")
    return "\n".join(lines)
