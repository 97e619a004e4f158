"""The processes of this host: which engines run, and what each of them sees as its root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from whiteout.sources.root import HOST, Root


@dataclass(frozen=True, slots=True)
class Process:
    """A running program; ``root`` is what it sees as ``/``."""

    id: int
    arguments: tuple[bytes, ...]
    root: Root

    def option(self, *names: bytes) -> bytes | None:
        """The value of the first option of its command line that has one of *names*."""
        for position, argument in enumerate(self.arguments):
            name, equals, value = argument.partition(b"=")
            if name in names:
                if equals:
                    return value
                return next(iter(self.arguments[position + 1 : position + 2]), None)
        return None


def processes(*programs: bytes) -> Iterator[Process]:
    """The running processes of one of *programs*, as far as this process may look at them.

    A program in a mount namespace or a root of its own is reached through ``/proc/PID/root``.
    """
    try:
        numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return
    for number in sorted(numbers):
        directory = b"/proc/%d" % number
        with suppress(OSError):
            if _name_of(directory) not in programs:
                continue
            with open(directory + b"/cmdline", "rb") as file:
                arguments = tuple(file.read().rstrip(b"\0").split(b"\0"))
            yield Process(number, arguments, root_of(number))


def _name_of(directory: bytes) -> bytes:
    """The name of a program; there are many of them, and a file object costs more than the rest."""
    descriptor = os.open(directory + b"/comm", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 64).rstrip(b"\n")
    finally:
        os.close(descriptor)


def root_of(number: int) -> Root:
    """What the process *number* sees as ``/``: the host's own root, or one of its own.

    Raises:
        OSError: this process may not look.
    """
    directory = b"/proc/%d" % number
    same_namespace = (
        os.readlink(directory + b"/ns/mnt") == os.readlink("/proc/self/ns/mnt").encode()
    )
    top = os.stat(directory + b"/root")
    own = os.stat("/")
    if same_namespace and (top.st_dev, top.st_ino) == (own.st_dev, own.st_ino):
        return HOST
    return Root(directory + b"/root")
