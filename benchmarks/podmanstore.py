"""Podman beside ``whiteout changes``: ``podman diff`` of a container with the same layers.

Podman compares what is in its own store alone, and one layer on the other. So workloads c and d are
put into a store that is made for them: an image whose layer leads to the lower directory, and a
container of it that gets a copy of the upper directory. Nothing is run, and no daemon is asked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from measure import Command
from workloads import Workload


class Podman:
    """A private store of Podman below *directory*, which whoever made that removes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._containers: dict[str, str] = {}

    @staticmethod
    def problem() -> str | None:
        """Why it cannot be asked, or None."""
        if os.geteuid() != 0:
            return "not root, so not compared: podman"
        return None if shutil.which("podman") else "not installed, so not compared: podman"

    def diff(self, workload: Workload, root: Path) -> Command | None:
        """``podman diff`` of a workload, None where there is nothing for it to compare."""
        if workload.name not in "cd":
            return None
        if workload.name not in self._containers:
            self._containers[workload.name] = self._container(workload, root)
        return Command("podman diff", self._podman("diff", self._containers[workload.name]))

    def _podman(self, *words: str) -> list[str]:
        places = (f"--{name}={self._directory / name}" for name in ("root", "runroot", "tmpdir"))
        return ["podman", *places, "--storage-driver=overlay", "--events-backend=none", *words]

    def _asked(self, *words: str) -> str:
        answer = subprocess.run(self._podman(*words), capture_output=True, check=True, text=True)
        return answer.stdout.strip()

    def _container(self, workload: Workload, root: Path) -> str:
        upper, (lower,) = workload.directories(root)
        self._directory.mkdir(parents=True, exist_ok=True)
        layer = self._directory / "layer.tar"
        with tarfile.open(layer, "w") as tar:  # that no other image has
            tar.addfile(tarfile.TarInfo(workload.name))
        image = self._asked("import", "--quiet", str(layer), f"localhost/{workload.name}")
        container = self._asked("create", "--pull=never", image, "true")
        data = "{{.GraphDriver.Data.UpperDir}}\n{{.GraphDriver.Data.LowerDir}}"
        its_upper, its_lower = map(Path, self._asked("inspect", "-f", data, container).split("\n"))
        shutil.rmtree(its_lower)
        its_lower.symlink_to(lower)
        subprocess.run(["cp", "-a", f"{upper}/.", str(its_upper)], check=True)
        return container
