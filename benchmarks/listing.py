#!/usr/bin/env python3
"""Times ``whiteout list`` over stores with many snapshots.

    python benchmarks/listing.py [--snapshots 1000] [--runs 5]

A containerd of its own, on a private root and socket, makes the snapshots; the peer is
``ctr snapshots ls``, which asks the running daemon. Needs root.

Then as many snapshots are divided among three engines below one root: a copy of containerd's store,
and a data root of Docker and a store of Podman that are written here, in chains of ten layers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
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


def _write_layer(driver: Path, name: str, lower: list[str]) -> None:
    """The layer *name* on those of *lower*, topmost first; it becomes the topmost of them."""
    link = name[:26].upper()
    (driver / name / "diff").mkdir(parents=True)
    _write(driver / name / "link", link)
    (driver / "l").mkdir(exist_ok=True)
    (driver / "l" / link).symlink_to(f"../{name}/diff")
    if lower:
        _write(driver / name / "lower", ":".join(lower))
    lower.insert(0, f"l/{link}")


def write_docker(root: Path, count: int) -> None:
    """Images of ten layers each, as Docker's overlay2 keeps them."""
    database = root / "image" / "overlay2"
    repositories: dict[str, dict[str, str]] = {}
    for number in range(0, count, 10):
        diff_ids, chain = [], ""
        lower: list[str] = []
        for layer in range(min(10, count - number)):
            diff_id = _digest(f"docker {number} {layer}")
            parent, chain = chain, _digest(f"{chain} {diff_id}") if chain else diff_id
            diff_ids.append(diff_id)
            cache = hashlib.sha256(chain.encode()).hexdigest()
            described = database / "layerdb" / "sha256" / chain.removeprefix("sha256:")
            _write(described / "cache-id", cache)
            _write(described / "diff", diff_id)
            _write(described / "size", "1000")
            if parent:
                _write(described / "parent", parent)
            _write_layer(root / "overlay2", cache, lower)
        rootfs = {"type": "layers", "diff_ids": diff_ids}
        config = json.dumps({"created": "2026-01-01T00:00:00Z", "os": "linux", "rootfs": rootfs})
        image = hashlib.sha256(config.encode()).hexdigest()
        _write(database / "imagedb" / "content" / "sha256" / image, config)
        name = f"image{number}"
        repositories[name] = {f"{name}:1": f"sha256:{image}"}
    _write(database / "repositories.json", json.dumps({"Repositories": repositories}))


def write_podman(root: Path, count: int) -> None:
    """Images of ten layers each, as containers/storage keeps them."""
    layers, images = [], []
    for number in range(0, count, 10):
        parent = ""
        lower: list[str] = []
        for layer in range(min(10, count - number)):
            name = hashlib.sha256(f"podman {number} {layer}".encode()).hexdigest()
            entry = {"id": name, "created": "2026-01-01T00:00:00Z", "diff-size": 1000}
            layers.append({**entry, "parent": parent} if parent else entry)
            _write_layer(root / "overlay", name, lower)
            parent = name
        images.append({"id": parent, "names": [f"localhost/image{number}:1"], "layer": parent})
    _write(root / "overlay-layers" / "layers.json", json.dumps(layers))
    _write(root / "overlay-images" / "images.json", json.dumps(images))
    _write(root / "overlay-containers" / "containers.json", "[]")


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


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
    third = options.snapshots // 3
    ours = [sys.executable, "-m", "whiteout_tui", "list"]
    with tempfile.TemporaryDirectory(prefix="whiteout-listing-") as name:
        root = Path(name)
        (root / "var" / "lib").mkdir(parents=True)
        with containerd() as engine:
            fill(engine, third)
            shutil.copytree(engine.root, root / "var" / "lib" / "containerd", symlinks=True)
        write_docker(root / "var" / "lib" / "docker", third)
        write_podman(root / "var" / "lib" / "containers" / "storage", third)
        listed = subprocess.run([*ours, "--root", name, "--json"], stdout=subprocess.PIPE)
        rows = len(listed.stdout.splitlines())
        several = seconds([*ours, "--root", name], options.runs)
    with containerd() as engine:
        fill(engine, options.snapshots)
        peer = ["ctr", "--address", str(engine.address), "snapshots", "ls"]
        theirs = seconds(peer, options.runs)
        below = seconds([*ours, "--root", str(engine.root)], options.runs)
        host = seconds(ours, options.runs)
    print(f"{options.snapshots:,} snapshots, median of {options.runs} runs: seconds, CPU seconds")
    for name, (wall, cpu) in (
        ("whiteout list --root STORE", below),
        ("whiteout list (whole host)", host),
        (f"… three engines, {rows:,} rows", several),
        ("ctr snapshots ls", theirs),
    ):
        print(f"{name:<27} {wall:6.2f} {cpu:6.2f}")


if __name__ == "__main__":
    main()
