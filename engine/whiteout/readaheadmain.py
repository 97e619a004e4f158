"""What the second process of an export does (:mod:`whiteout.readaheadprocess`).

It walks as an export does, and keeps what it writes if all of it was plain.
"""

from __future__ import annotations

import gc
import os
import pickle
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import BinaryIO

from whiteout.cancel import NEVER
from whiteout.differ import (
    Finding,
    Standing,
    WrittenDirectories,
    step_into,
    walk_in_rows,
)
from whiteout.durable import write_all
from whiteout.errors import ReadError, WhiteoutError
from whiteout.layerentries import LayerPlan
from whiteout.readahead import ENOUGH
from whiteout.readaheadprocess import ANSWER, LARGEST, LENGTH, READY, roots_of
from whiteout.snapshot import Snapshot
from whiteout.tarwriter import TarWriter

_REQUESTS, _ANSWERS = 0, 1
#: How many directories a directory has at most that is written as a whole, and how many directories
#: and rows of files it is altogether. Of what is larger each process is to do a part.
_MOST_DIRECTORIES, _LONGEST = 1 << 7, 1 << 9


def main() -> None:
    """Serve until the first process closes its pipe, or has died."""
    os.closerange(3, 1 << 30)
    gc.set_threshold(100_000)
    with suppress(OSError, EOFError, WhiteoutError), open(_REQUESTS, "rb", closefd=False) as file:
        _serve(_messages(file))
    os._exit(0)


def _messages(file: BinaryIO) -> Iterator[bytes]:
    while length := file.read(LENGTH.size):
        yield file.read(*LENGTH.unpack(length))


def _serve(messages: Iterator[bytes]) -> None:
    snapshot: Snapshot
    snapshot, roots = pickle.loads(next(messages))
    with snapshot.reading(opens_files=True) as root:
        if roots_of(root) != roots:
            return
        write_all(_ANSWERS, READY)
        way = _Way(root)
        for message in messages:
            path, *names = message.split(b"\0")
            count, entries, pieces = _written(way, path, names)
            write_all(_ANSWERS, ANSWER.pack(count, entries, sum(map(len, pieces))))
            for piece in pieces:
                write_all(_ANSWERS, piece)


class _Way:
    """The standings of the directories from *root* down to the one that was wanted last."""

    def __init__(self, root: Standing) -> None:
        self._standings = [root]
        self._listed: Standing | None = None

    def to(self, path: bytes) -> Standing:
        """The standing of the directory *path*, which is listed already.

        Raises:
            ReadError: it cannot be read.
        """
        while not (path + b"/").startswith(self._standings[-1].path + b"/"):
            self._standings.pop().close()
        standing = self._standings[-1]
        for name in path[len(standing.path) :].split(b"/")[1:]:
            finding = standing.finding(name)
            below = step_into(standing, finding) if finding is not None else None
            if below is None:
                raise ReadError("the directory is not there any more", path)
            standing = below
            self._standings.append(standing)
        if standing is not self._listed:
            standing.listing()
            self._listed = standing
        return standing


def _written(way: _Way, path: bytes, names: list[bytes]) -> tuple[int, int, list[bytes]]:
    """How many of *names* could be written, from the first on, their entries and tar bytes."""
    pieces: list[bytes] = []
    entries = count = 0
    with suppress(OSError, ReadError):
        standing = way.to(path)
        for name in names:
            written = _directory(standing, name)
            if written is None:
                break
            count += 1
            entries += written[0]
            pieces += written[1]
            if sum(map(len, pieces)) >= ENOUGH:
                break
    return count, entries, pieces


def _directory(standing: Standing, name: bytes) -> tuple[int, list[bytes]] | None:
    """How many entries *name* and all that is in it are, and their tar bytes.

    None where not all of it is plain, or where it is much.
    """
    directory = standing.plain_directory(name)
    if directory is None:
        return None
    plan = LayerPlan(standing.path)
    pieces: list[bytes] = []
    writer = TarWriter(pieces.append, NEVER)
    below = directory.standing
    for number, found in enumerate(chain((directory,), walk_in_rows(below))):
        if number > _LONGEST or (number and below.upper.count_directories() > _MOST_DIRECTORIES):
            return None
        if isinstance(found, Finding | WrittenDirectories):
            return None
        writer.write_found(found, plan)
        if sum(map(len, pieces)) > LARGEST:
            return None
    writer.flush()
    return (writer.entries, pieces) if sum(map(len, pieces)) <= LARGEST else None
