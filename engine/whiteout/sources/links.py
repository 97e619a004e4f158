"""A guard against layers that are deleted while they are read.

Docker's and containers-storage's overlay drivers take away the symlink ``l/LINK`` of a layer before
they delete its directory, file by file (``Remove`` in both ``overlay.go``). So as long as the link
is there, nothing of the layer is gone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress

from whiteout.display import display_path, display_text
from whiteout.errors import SnapshotChanged
from whiteout.sources.documents import read_line

_Identity = tuple[int, int]


def guard(label: str, layers: Sequence[bytes]) -> Callable[[], None]:
    """A check that the directories *layers*, each ``…/ID/diff``, and their links are the same.

    The check raises :class:`~whiteout.errors.SnapshotChanged`.
    """
    watched = {path: _identity(path) for layer in layers for path in (layer, *_link_of(layer))}

    def check() -> None:
        for path, identity in watched.items():
            if _identity(path) != identity:
                raise SnapshotChanged(
                    f"{display_text(label)} was removed while it was read: {display_path(path)} is"
                    " gone; list again",
                    path,
                )

    return check


def _link_of(layer: bytes) -> tuple[bytes, ...]:
    """The symlink to *layer*; none where the driver made none, or it was gone before."""
    directory = os.path.dirname(layer)
    with suppress(OSError):
        name = os.fsencode(read_line(os.path.join(directory, b"link")))
        path = os.path.join(os.path.dirname(directory), b"l", name)
        if b"/" not in name and _identity(path) is not None:
            return (path,)
    return ()


def _identity(path: bytes) -> _Identity | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
