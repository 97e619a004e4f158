"""Podman without root: a user made for the test, with subordinate ids and a store of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.commands import program
from support.engines import run, short_directory

_NAME = "whiteout-rootless"


@dataclass(frozen=True)
class RootlessPodman:
    """A user and the store below their home."""

    uid: int
    gid: int
    home: Path

    @property
    def root(self) -> Path:
        """The store."""
        return self.home / ".local/share/containers/storage"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the user's processes; nothing of the tests' own."""
        return {
            "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
            "HOME": str(self.home),
            "USER": pwd.getpwuid(self.uid).pw_name,
            "LC_ALL": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(self.home / "run"),
        }

    def wrapper(self) -> list[str]:
        """What makes a command one of this user."""
        ids = [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        words = [f"{name}={value}" for name, value in self.environment.items()]
        return ["setpriv", *ids, "env", "-i", "-C", str(self.home), *words]

    def podman(self, *arguments: str | Path) -> str:
        options = ["--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]
        return run(*self.wrapper(), "podman", *options, *arguments)

    def unshare(self, script: str) -> str:
        """Run a shell script in the user namespace of the store."""
        return self.podman("unshare", "sh", "-c", script)


@contextlib.contextmanager
def rootless_podman(storage: str = "") -> Iterator[RootlessPodman]:
    """A user with podman. Needs root; skips or fails plainly where users may have no namespaces.

    *storage* is added to the storage.conf of the user, whose driver is overlay.
    """
    with short_directory() as directory:
        directory.chmod(0o755)
        with _user(directory / "home") as user:
            engine = RootlessPodman(user.pw_uid, user.pw_gid, Path(user.pw_dir))
            for path in (engine.home, engine.home / "run"):
                path.mkdir(mode=0o700)
                os.chown(path, engine.uid, engine.gid)
            configuration = engine.home / ".config/containers/storage.conf"
            configuration.parent.mkdir(parents=True)
            configuration.write_text(f'[storage]\ndriver = "overlay"\n{storage}')
            for path in (engine.home / ".config", configuration.parent, configuration):
                os.chown(path, engine.uid, engine.gid)
            try:
                _require_namespaces(engine)
                yield engine
            finally:
                _end_processes(engine.uid)


def _require_namespaces(engine: RootlessPodman) -> None:
    tried = subprocess.run(
        [*engine.wrapper(), "podman", "unshare", "true"], capture_output=True, check=False
    )
    if tried.returncode == 0:
        return
    reason = f"podman cannot run without root here: {tried.stderr.decode(errors='replace')[-300:]}"
    if os.environ.get("WHITEOUT_REQUIRE_ALL") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@contextlib.contextmanager
def _user(home: Path) -> Iterator[pwd.struct_passwd]:
    useradd = program("useradd")
    assert useradd is not None
    name = f"{_NAME}-{os.getpid()}"
    words = [useradd, "--no-create-home", "--home-dir", str(home), "--shell", "/bin/sh"]
    subprocess.run([*words, name], check=True, timeout=60)
    try:
        yield pwd.getpwnam(name)
    finally:
        userdel = Path(useradd).with_name("userdel")
        subprocess.run([userdel, "--force", name], check=False, timeout=60, capture_output=True)


def _end_processes(uid: int) -> None:
    """End what the user still runs, such as the process that keeps their namespace."""
    deadline = time.monotonic() + 10
    while (left := list(_processes(uid))) and time.monotonic() < deadline:
        for number in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        time.sleep(0.05)
    assert not left, left


def _processes(uid: int) -> Iterator[int]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                alive = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
                if alive and os.stat(f"/proc/{name}").st_uid == uid:
                    yield int(name)
