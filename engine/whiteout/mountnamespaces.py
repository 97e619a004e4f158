"""The mount namespaces of this host that can be looked into, each by one of its processes.

The mounts of a container's namespace are in ``/proc/PID/mountinfo`` of its processes, and what they
see is below ``/proc/PID/root``. Without privileges a table may be readable where the namespace's
identity is not; then equal tables count as one namespace.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MountNamespace:
    """A mount namespace other than this process's own; *program* is its process's name."""

    process: int
    program: bytes

    @property
    def table(self) -> str:
        """Its mountinfo."""
        return f"/proc/{self.process}/mountinfo"

    @property
    def root(self) -> bytes:
        """What its process sees as ``/``."""
        return b"/proc/%d/root" % self.process

    @property
    def directory(self) -> bytes:
        """The current directory of its process."""
        return b"/proc/%d/cwd" % self.process


def process_ids() -> list[int]:
    """The processes that are to be seen, in the order of their numbers."""
    try:
        return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    except OSError:
        return []


def other_namespaces() -> Iterator[MountNamespace]:
    """One process for each mount namespace but this process's own, the lowest number first."""
    own = os.readlink("/proc/self/ns/mnt")
    seen: set[str | int] = {own}
    with suppress(OSError):
        seen.add(_hash_of("/proc/self/mountinfo"))
    for number in process_ids():
        with suppress(OSError):
            try:
                identity: str | int = os.readlink(f"/proc/{number}/ns/mnt")
            except PermissionError:
                identity = _hash_of(f"/proc/{number}/mountinfo")
            if identity not in seen:
                seen.add(identity)
                with open(f"/proc/{number}/comm", "rb") as file:
                    yield MountNamespace(number, file.read().rstrip(b"\n"))


def _hash_of(table: str) -> int:
    with open(table, "rb") as file:
        return hash(file.read())


def other_roots() -> Iterator[bytes]:
    """What processes of this mount namespace see as ``/``, where it is not ``/`` (chroot)."""
    own = os.readlink("/proc/self/ns/mnt")
    top = os.stat("/")
    seen = {(top.st_dev, top.st_ino)}
    for number in process_ids():
        with suppress(OSError):
            if os.readlink(f"/proc/{number}/ns/mnt") != own:
                continue
            root = b"/proc/%d/root" % number
            status = os.stat(root)
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                yield root
