"""The layers of a fuse-overlayfs mount, found in the process that serves it.

The kernel knows no layers of such a mount, and the command line names them as they were relative to
a directory that the process has left. But it keeps them open: the lower directories from the
topmost down, then the upper directory and the work directory (``main`` of fuse-overlayfs'
``main.c``). Which process serves a mount, the inode number of the root tells: fuse-overlayfs shows
that of the topmost layer.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from whiteout.errors import MountError
from whiteout.mountoptions import OverlayOptions, options_of_string

_PROGRAM = b"fuse-overlayfs"


@dataclass(frozen=True, slots=True)
class FuseLayers:
    """What one process serves: the topmost layer first, and whether it is an upper directory."""

    arguments: tuple[bytes, ...]
    layers: tuple[bytes, ...]
    top: os.stat_result
    has_upper: bool

    @property
    def options(self) -> OverlayOptions:
        """The layers as mount options."""
        if self.has_upper:
            return OverlayOptions(lowerdirs=self.layers[1:], upperdir=self.layers[0])
        return OverlayOptions(lowerdirs=self.layers)


def fuse_layers(
    root: os.stat_result, mount_point: bytes, process_directory: str = "/proc"
) -> FuseLayers | None:
    """The layers of the mount at *mount_point* whose root has the status *root*.

    None where no process fits, or several do. The times of the root are not compared, as the kernel
    keeps what it was told before; owner and mode are not, as they may lie in an attribute.
    """
    fit = [one for one in _served(process_directory) if one.top.st_ino == root.st_ino]
    if len(fit) > 1:  # inode numbers of several filesystems
        fit = [one for one in fit if mount_point in one.arguments]
    return fit[0] if len(fit) == 1 else None


def _served(process_directory: str) -> Iterator[FuseLayers]:
    with suppress(OSError):
        for name in sorted(os.listdir(process_directory)):
            if name.isdigit():
                with suppress(OSError):
                    found = _layers_of(os.fsencode(os.path.join(process_directory, name)))
                    if found is not None:
                        yield found


def _layers_of(process: bytes) -> FuseLayers | None:
    """What the process serves; None where it is none of fuse-overlayfs, or has not begun yet.

    Raises:
        OSError: this process may not look, or the other has ended.
    """
    if _read(process + b"/comm").strip() != _PROGRAM:
        return None
    arguments = _read(process + b"/cmdline").split(b"\0")
    options = _options(arguments)
    directories = list(_directories(process))
    if options.upperdir is not None and options.workdir is not None:
        upper, lower = directories[-2:-1], directories[:-2]
    else:
        upper, lower = [], directories
    if not lower or len(lower) != len(options.lowerdirs) or bool(upper) != bool(options.upperdir):
        return None
    layers = [*upper, *lower]
    return FuseLayers(
        tuple(arguments), tuple(path for path, _ in layers), layers[0][1], bool(upper)
    )


def _options(arguments: list[bytes]) -> OverlayOptions:
    """The options of the command line, where ``-o`` may stand apart or not, and several times."""
    found = []
    for position, argument in enumerate(arguments):
        if argument == b"-o":
            found += arguments[position + 1 : position + 2]
        elif argument.startswith(b"-o"):
            found.append(argument[2:])
    with suppress(MountError):
        return options_of_string(b",".join(found))
    return OverlayOptions()


def _directories(process: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    """The directories that the process has open, in the order of their descriptors."""
    for number in sorted(map(int, os.listdir(process + b"/fd"))):
        link = process + b"/fd/%d" % number
        with suppress(FileNotFoundError):
            status = os.stat(link)
            if stat.S_ISDIR(status.st_mode):
                yield _reached(process, link, status), status


def _reached(process: bytes, link: bytes, status: os.stat_result) -> bytes:
    """A path to the directory: as it is called here or there, else through the descriptor."""
    name = os.readlink(link)
    for path in (name, process + b"/root" + name):
        with suppress(OSError):
            found = os.stat(path)
            if (found.st_dev, found.st_ino) == (status.st_dev, status.st_ino):
                return path
    return link


def _read(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read()
