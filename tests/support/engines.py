"""Real container engines for tests, each with a root and socket of its own that nobody shares.

Nothing of the host's own engines is touched, and nothing is left: every daemon is ended with its
context, and what it mounted is unmounted.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.overlay import mount_points_below, unmount

_SECONDS = 60.0


def run(*command: str | bytes | Path, environment: dict[str, str] | None = None) -> str:
    """The standard output of a command that must succeed."""
    done = subprocess.run(
        command,
        capture_output=True,
        check=False,
        timeout=_SECONDS,
        env=None if environment is None else {**os.environ, **environment},
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout.decode()


@contextlib.contextmanager
def short_directory() -> Iterator[Path]:
    """A temporary directory whose path leaves room for a socket, unmounted and removed after."""
    path = Path(tempfile.mkdtemp(prefix="wt-"))
    try:
        yield path
    finally:
        for point in mount_points_below(path):
            unmount(point, lazily=True)
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _daemon(
    command: Sequence[str | Path], log: Path, ready: Sequence[str | Path] | Path
) -> Iterator[None]:
    """The daemon *command*, used as soon as the command *ready* succeeds or the file is there."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            end = time.monotonic() + _SECONDS
            while not _is_ready(ready):
                gone = process.poll() is not None
                assert not gone and time.monotonic() < end, log.read_text(errors="replace")[-3000:]
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _is_ready(ready: Sequence[str | Path] | Path) -> bool:
    if isinstance(ready, Path):
        return ready.exists()
    return subprocess.run(ready, capture_output=True, check=False).returncode == 0


@dataclass(frozen=True)
class Containerd:
    """A running containerd; ``root`` is its directory in ``/var/lib``, so to say."""

    root: Path
    address: Path

    def ctr(self, *arguments: str | Path, namespace: str = "default") -> str:
        return run("ctr", "--address", self.address, "--namespace", namespace, *arguments)


@contextlib.contextmanager
def containerd(place: str = "root") -> Iterator[Containerd]:
    """A containerd of its own, with the overlayfs snapshotter, in *place* below a temporary
    directory. Needs root."""
    with short_directory() as directory:
        engine = Containerd(directory / place, directory / "c.sock")
        config = directory / "config.toml"
        config.write_text(
            f'version = 2\nroot = "{engine.root}"\nstate = "{directory}/state"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\n  address = "{engine.address}"\n'
            f'[plugins."io.containerd.internal.v1.opt"]\n  path = "{directory}/opt"\n'
        )
        with _daemon(
            ["containerd", "--config", config],
            directory / "log",
            ["ctr", "--address", engine.address, "version"],
        ):
            yield engine


@dataclass(frozen=True)
class Docker:
    """A running dockerd with the overlay2 driver; ``root`` is its data root."""

    root: Path
    address: str

    def docker(self, *arguments: str | Path) -> str:
        return run("docker", "--host", self.address, *arguments)

    def inspect(self, *arguments: str) -> Any:
        return json.loads(self.docker("inspect", *arguments))[0]


@contextlib.contextmanager
def dockerd() -> Iterator[Docker]:
    """A dockerd of its own, without network. Needs root."""
    with short_directory() as directory:
        engine = Docker(directory / "root", f"unix://{directory}/d.sock")
        command = ["dockerd", "--data-root", engine.root, "--exec-root", directory / "exec"]
        command += ["--pidfile", directory / "pid", "--host", engine.address]
        command += ["--iptables=false", "--ip6tables=false", "--bridge=none"]
        command += ["--storage-driver", "overlay2"]
        with _daemon(command, directory / "log", ["docker", "--host", engine.address, "version"]):
            yield engine


@dataclass(frozen=True)
class Podman:
    """A storage of Podman's and Buildah's own; both are programs without a daemon."""

    root: Path
    runroot: Path

    @property
    def storage(self) -> str:
        """The storage as the transport ``containers-storage`` writes it."""
        return f"[overlay@{self.root}+{self.runroot}]"

    def options(self) -> list[str]:
        places = ["--root", str(self.root), "--runroot", str(self.runroot)]
        return [*places, "--storage-driver", "overlay"]

    def podman(self, *arguments: str | Path) -> str:
        return run("podman", *self.options(), *arguments)

    def buildah(self, *arguments: str | Path) -> str:
        return run("buildah", *self.options(), *arguments)


@contextlib.contextmanager
def podman() -> Iterator[Podman]:
    """A storage for Podman, Buildah and Skopeo. Needs root."""
    with short_directory() as directory:
        yield Podman(directory / "root", directory / "run")


@dataclass(frozen=True)
class Registry:
    """A running registry on this machine alone."""

    host: str
    root: Path
    log: Path


@contextlib.contextmanager
def registry(more: str = "") -> Iterator[Registry]:
    """A ``docker-registry``; *more* is added to its configuration in YAML."""
    with short_directory() as directory:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        config = directory / "config.yml"
        config.write_text(
            "version: 0.1\n"
            f"storage:\n  filesystem:\n    rootdirectory: {directory}/root\n"
            f"http:\n  addr: 127.0.0.1:{port}\n  secret: not-secret\n{more}"
        )
        script = (
            "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1]))).close()"
        )
        with _daemon(
            ["docker-registry", "serve", config],
            directory / "log",
            ["python3", "-c", script, str(port)],
        ):
            yield Registry(f"127.0.0.1:{port}", directory / "root", directory / "log")
