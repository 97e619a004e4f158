"""Overlay mounts that are nowhere in the tree: made with fsopen(2), gone with their descriptor."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from support.overlay import syscall, unmount

_MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 429, 430, 431, 432
_SET_FLAG, _SET_STRING, _CREATE = 0, 1, 6
_CLOEXEC = 1
_AT_FDCWD, _EMPTY_PATH = -100, 4

#: A name and its value, None for a flag.


Setting = tuple[bytes, bytes | None]


@contextlib.contextmanager
def detached_overlay(
    layers: Sequence[bytes],
    *,
    data: Sequence[bytes] = (),
    upper: tuple[bytes, bytes] | None = None,
    options: Sequence[Setting] = (),
) -> Iterator[bytes]:
    """The root of an overlay of *layers*, topmost first, and *data*-only layers; as a path.

    *upper* are an upperdir and its workdir. An option is a name and a value, None for a flag.

    Raises:
        OSError: the kernel refuses; its reasons follow in the message.
    """
    settings: list[Setting] = [*options]
    settings += [(b"lowerdir+", layer) for layer in layers]
    settings += [(b"datadir+", layer) for layer in data]
    if upper is not None:
        settings += [(b"upperdir", upper[0]), (b"workdir", upper[1])]
    mount = _create(settings)
    try:
        root = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=mount)
    finally:
        os.close(mount)
    try:
        yield b"/proc/self/fd/%d" % root
    finally:
        os.close(root)


@contextlib.contextmanager
def attached_overlay(target: Path, settings: Sequence[Setting]) -> Iterator[Path]:
    """An overlay on *target*, a new directory, with *settings* given one by one, as they are."""
    mount = _create(settings)
    try:
        target.mkdir()
        syscall(_MOVE_MOUNT, mount, b"", _AT_FDCWD, os.fsencode(target), _EMPTY_PATH)
    finally:
        os.close(mount)
    try:
        yield target
    finally:
        unmount(os.fsencode(target))


def _create(settings: Sequence[Setting]) -> int:
    """The descriptor of an overlay with *settings*, which is mounted nowhere."""
    context = syscall(_FSOPEN, b"overlay", _CLOEXEC)
    try:
        for name, value in settings:
            command = _SET_FLAG if value is None else _SET_STRING
            syscall(_FSCONFIG, context, command, name, value, 0)
        syscall(_FSCONFIG, context, _CREATE, None, None, 0)
        return syscall(_FSMOUNT, context, _CLOEXEC, 0)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}: {_messages(context)}") from None
    finally:
        os.close(context)


def _messages(context: int) -> str:
    found = []
    with contextlib.suppress(OSError):
        while text := os.read(context, 4096):
            found.append(text.decode("utf-8", "replace").strip())
    return "; ".join(found)
