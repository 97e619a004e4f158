"""Real overlay mounts for tests, and the question whether this process may make them."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

_MNT_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


def _call(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def syscall(*arguments: object) -> int:
    """What the kernel returns; OSError when it refuses."""
    result: int = _libc.syscall(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def mount_overlay(target: bytes, options: Sequence[bytes]) -> None:
    """Mount an overlay on *target*. *options* are joined as they are, without escaping."""
    data = b",".join(options)
    _call(_libc.mount(b"overlay", target, b"overlay", 0, data), "mount overlay")


def unmount(target: bytes, *, lazily: bool = False) -> None:
    """Unmount it. Another test may be looking at the mounts of this host: then try again."""
    deadline = time.monotonic() + 10
    while True:
        try:
            _call(_libc.umount2(target, _MNT_DETACH if lazily else 0), "umount")
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def stack_options(
    layers: Sequence[bytes], upperdir: bytes | None = None, workdir: bytes | None = None
) -> list[bytes]:
    """Mount options for *layers*, topmost first, below an optional upperdir."""
    options = [b"index=off", b"lowerdir=" + b":".join(layers)]
    if upperdir is not None and workdir is not None:
        options += [b"upperdir=" + upperdir, b"workdir=" + workdir]
    return options


@contextlib.contextmanager
def overlay(target: Path, options: Sequence[bytes]) -> Iterator[Path]:
    """An overlay on *target*, a new directory, for as long as the context lasts."""
    target.mkdir(exist_ok=True)
    mount_overlay(os.fsencode(target), options)
    try:
        yield target
    finally:
        unmount(os.fsencode(target))


def mount_points_below(directory: Path) -> list[bytes]:
    """Mount points at or below *directory*, deepest first."""
    top = os.fsencode(directory.resolve())
    found = []
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        point = _unescape(line.split(b" ")[4])
        if point == top or point.startswith(top + b"/"):
            found.append(point)
    return sorted(found, key=len, reverse=True)


def _unescape(field: bytes) -> bytes:
    for code in (b"\\040", b"\\011", b"\\012", b"\\134"):
        field = field.replace(code, bytes([int(code[1:], 8)]))
    return field


@functools.cache
def why_no_overlay() -> str | None:
    """Why tests marked ``root`` cannot run here, or None when everything they need works."""
    if os.geteuid() != 0:
        return "needs root"
    step = "a temporary directory"
    try:
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            for part in ("lower", "upper", "work"):
                (directory / part).mkdir()
            step = "set trusted.* attributes"
            os.setxattr(directory / "lower", "trusted.overlay.opaque", b"y")
            step = "make a whiteout device"
            os.mknod(directory / "upper" / "whiteout", stat.S_IFCHR, os.makedev(0, 0))
            step = "mount an overlay"
            options = stack_options(
                [os.fsencode(directory / "lower")],
                os.fsencode(directory / "upper"),
                os.fsencode(directory / "work"),
            )
            with overlay(directory / "merged", options) as merged:
                step = "write through an overlay"
                (merged / "file").write_bytes(b"x")
    except OSError as error:
        return f"needs CAP_SYS_ADMIN and overlayfs: cannot {step} ({os.strerror(error.errno or 0)})"
    return None
