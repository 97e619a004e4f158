"""How small the compressed layers of real trees are, beside other programs at their defaults."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from measure import Command
from peers import Containerd
from workloads import Workload

_TREES = {
    "a Python installation": [sysconfig.get_path("stdlib")],
    "a Node installation": ["/usr/lib/node_modules", "/usr/share/nodejs"],
    "a Debian /usr": ["/usr/bin", "/usr/sbin", "/usr/lib", "/usr/share"],
}


@dataclass(frozen=True, slots=True)
class Size:
    """The bytes that one compressor made of one tree."""

    tree: str
    by: str
    size: int


def _copy(here: Path, sources: list[str], limit: int) -> None:
    """The first *limit* bytes of regular files, so that every machine can hold it."""
    (here / "lower-00").mkdir(parents=True)
    left = limit
    for source in sources:
        for directory, below, files in os.walk(source):
            below.sort()
            target = here / "upper" / Path(directory).relative_to("/")
            for name in sorted(files):
                file = Path(directory, name)
                if left <= 0 or file.is_symlink() or not file.is_file():
                    continue
                target.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target / name)
                left -= file.stat().st_size
    (here / "upper").mkdir(exist_ok=True)


def measure_sizes(
    root: Path,
    limit: int,
    containerd: Containerd | None,
    ours: Callable[[Workload, Path, str], Command],
) -> list[Size]:
    """Whiteout's gzip and zstd, and beside them ``gzip -6``, ``zstd -3`` and Go's gzip (of ctr)."""
    found = []
    out = root / "out"
    for number, (tree, places) in enumerate(_TREES.items()):
        present = [place for place in places if os.path.isdir(place)]
        if not present:
            continue

        def build(here: Path, _: float, present: list[str] = present) -> None:
            _copy(here, present, limit)

        workload = Workload(f"tree-{number}", tree, build)
        workload.make(root, 1.0)
        sizes = {}
        for compression in ("none", "gzip", "zstd"):
            command = ours(workload, root, f"export {compression}")
            subprocess.run(command.words, check=True, stdout=subprocess.DEVNULL)
            sizes[f"whiteout {compression}"] = out.stat().st_size
            if compression == "none":
                for peer in ("gzip -6", "zstd -q -3"):
                    if shutil.which(peer.split()[0]):
                        packed = subprocess.run(
                            ["sh", "-c", f"{peer} < {out} | wc -c"], capture_output=True, check=True
                        )
                        sizes[peer.replace(" -q", "")] = int(packed.stdout)
        if containerd is not None:
            sizes["Go gzip (ctr)"] = containerd.gzip_size(workload, root, out)
        found += [Size(tree, by, size) for by, size in sizes.items()]
        shutil.rmtree(root / workload.name)
    out.unlink(missing_ok=True)
    return found


def table(sizes: list[Size]) -> str:
    """One line for each tree, in bytes."""
    names = list(dict.fromkeys(size.by for size in sizes))
    lines = [f"| tree | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for tree in dict.fromkeys(size.tree for size in sizes):
        by = {size.by: size.size for size in sizes if size.tree == tree}
        lines.append(f"| {tree} | {' | '.join(f'{by[name]:,}' for name in names)} |")
    return "\n".join(lines)
