"""What anybody can install and set beside the export: pipes of tar, containerd, find.

The pipes pack the upper directory of workloads a and b, where that is the whole layer. They neither
compare it with a base nor hash what they compressed, and they do not wait for the disk. containerd
(``ctr snapshots diff``) does the whole work, by its walking differ over two mounted views. ``find``
only lists the upper directory; the start of an interpreter that does nothing is added to it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from measure import Command
from workloads import Workload

PACKERS = {"none": "sha256sum", "gzip": "pigz", "zstd": "zstd -q -T0"}
_MEDIA_TYPES = {
    "none": "application/vnd.oci.image.layer.v1.tar",
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
}
_CONFIG = """\
version = 2
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{directory}/socket"
"""
_SNAPSHOTS = "root/io.containerd.snapshotter.v1.overlayfs/snapshots"


def tar_pipe(upper: Path, compression: str, out: Path) -> Command | None:
    """``tar`` of a whole upper directory into the packer of *compression*."""
    packer = PACKERS[compression]
    if shutil.which(packer.split()[0]) is None:
        return None
    return Command(
        f"tar, {packer.split()[0]}", ["sh", "-c", f"tar -C {upper} -cf - . | {packer} > {out}"]
    )


def find_and_start(upper: Path) -> Command:
    """``find`` over an upper directory, and an interpreter that starts and ends."""
    words = ["sh", "-c", 'find "$1" && exec "$2" -c pass', "sh", str(upper), sys.executable]
    return Command("find, python", words)


class Containerd:
    """A private containerd; workloads are put in as committed snapshots, by symlinks.

    Use it in a ``with`` block, which ends it and removes what it wrote.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._daemon: subprocess.Popen[bytes] | None = None
        self._keys: dict[str, tuple[str, str]] = {}

    @staticmethod
    def problem() -> str | None:
        """Why it cannot be asked, or None."""
        if os.geteuid() != 0:
            return "not root, so not compared: containerd"
        absent = [name for name in ("containerd", "ctr") if shutil.which(name) is None]
        return f"not installed, so not compared: {', '.join(absent)}" if absent else None

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True)
        config = self._directory / "config.toml"
        config.write_text(_CONFIG.format(directory=self._directory))
        with ExitStack() as opened:
            log = opened.enter_context((self._directory / "log").open("wb"))
            self._daemon = subprocess.Popen(
                ["containerd", "-c", str(config)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 30
        while subprocess.run(self._ctr("version"), capture_output=True).returncode != 0:
            if time.monotonic() > deadline or self._daemon.poll() is not None:
                self._end()
                raise SystemExit("containerd does not start")
            time.sleep(0.1)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        assert self._daemon is not None
        self._daemon.terminate()
        self._daemon.wait()
        shutil.rmtree(self._directory)  # removes the symlinks, not what they lead to

    def _ctr(self, *words: str) -> list[str]:
        return ["ctr", "--address", str(self._directory / "socket"), *words]

    def _commit(self, key: str, parent: list[str], place: Path) -> None:
        snapshots = self._directory / _SNAPSHOTS
        before = set(snapshots.iterdir()) if snapshots.is_dir() else set()
        prepare = self._ctr("snapshots", "prepare", f"{key}-active", *parent)
        subprocess.run(prepare, check=True, capture_output=True)
        (new,) = set(snapshots.iterdir()) - before
        (new / "fs").rmdir()
        (new / "fs").symlink_to(place)
        commit = self._ctr("snapshots", "commit", key, f"{key}-active")
        subprocess.run(commit, check=True, capture_output=True)

    def _keys_of(self, workload: Workload, root: Path) -> tuple[str, str]:
        if workload.name not in self._keys:
            upper, lowers = workload.directories(root)
            below: list[str] = []
            for number, place in enumerate((*reversed(lowers), upper)):
                key = f"{workload.name}-{number}"
                self._commit(key, below, place)
                base, below = below, [key]
            self._keys[workload.name] = base[0], below[0]
        return self._keys[workload.name]

    def diff(self, workload: Workload, root: Path, compression: str, out: Path) -> Command | None:
        """``ctr snapshots diff`` of a workload. zstd is newer than Debian's containerd."""
        if compression not in _MEDIA_TYPES or self._daemon is None:
            return None
        base, upper = self._keys_of(workload, root)
        words = ("snapshots", "diff", "--media-type", _MEDIA_TYPES[compression], base, upper)
        asked = " ".join(self._ctr(*words))
        return Command("ctr", ["sh", "-c", f"exec {asked} > {out}"], self._daemon.pid)

    def diff_id(self, workload: Workload, root: Path, out: Path) -> str:
        """The digest of the tar that containerd makes."""
        command = self.diff(workload, root, "none", out)
        assert command is not None
        subprocess.run(command.words, check=True)
        with out.open("rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()

    def gzip_size(self, workload: Workload, root: Path, out: Path) -> int:
        """The size of the gzip blob that containerd makes, with Go's compress/gzip."""
        command = self.diff(workload, root, "gzip", out)
        assert command is not None
        subprocess.run(command.words, check=True)
        return out.stat().st_size
