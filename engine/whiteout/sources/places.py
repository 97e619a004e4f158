"""Several stores of one engine: which of them a target means.

``docker:NAME`` is looked for in the store of the system first and in those of the users then. A
store is named as skopeo names containers-storage: ``docker:[/path/of/the/store]NAME``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from whiteout.display import display_text
from whiteout.errors import UsageError
from whiteout.idmap import IdMap
from whiteout.layers import Marks
from whiteout.privileges import in_initial_user_namespace
from whiteout.sources.model import Record
from whiteout.sources.naming import choose
from whiteout.sources.root import Root
from whiteout.sources.subids import rootless_map

_NAMED = re.compile(r"\[([^\]]*)\](.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Place:
    """One store: its directory on this host, and how its layers are read.

    ``named`` tells that a target must name the store.
    """

    root: Root
    path: bytes
    marks: Marks = Marks.TRUSTED
    idmap: IdMap | None = None
    named: bool = False

    @property
    def words(self) -> str:
        """The path as a person knows it."""
        return os.fsdecode(self.root.inside(self.path))

    def target(self, scheme: str, name: str) -> str:
        """What a person types to open *name*."""
        return f"{scheme}:[{self.words}]{name}" if self.named else f"{scheme}:{name}"

    def group(self, title: str) -> str:
        """The heading under which the records of the store are shown."""
        return f"{title} ({self.words})"


def place_of(root: Root, path: bytes, *, named: bool) -> Place:
    """The store at the resolved *path*, with the owners and marks of whoever owns it.

    A store of another user than root is rootless: the kernel keeps its marks in ``user.overlay.*``.
    In a user namespace every store is, and ids are seen as the container has them.

    Raises:
        OSError: it cannot be looked at.
    """
    idmap = rootless_map(root, os.stat(path))
    trusted = idmap is None and in_initial_user_namespace()
    return Place(root, path, Marks.TRUSTED if trusted else Marks.USER, idmap, named)


def split_target(rest: str) -> tuple[bytes | None, str]:
    """The store that a target names, if it does, and the name in it."""
    match = _NAMED.fullmatch(rest)
    return (os.fsencode(match[1]), match[2]) if match else (None, rest)


def choose_among(stores: Sequence[Iterable[Record]], wanted: str, target: str) -> Record:
    """The record that is called *wanted* in the first of the *stores* that has one.

    Raises:
        UsageError: there is none, or several in one store.
    """
    every: list[Record] = []
    for store in stores:
        records = list(store)
        if any(wanted in (record.name, *record.aliases) for record in records):
            return choose(records, wanted, target)
        every += records
    return choose(every, wanted, target)


def named_place(root: Root, path: bytes, target: str) -> Place:
    """The store that a target names by its path.

    Raises:
        UsageError: there is no directory.
    """
    try:
        resolved = root.resolve(path)
        if os.path.isdir(resolved):
            return place_of(root, resolved, named=True)
    except (OSError, ValueError):
        pass
    raise UsageError(
        f"{display_text(target)} names a store that is not there or cannot be read; give the"
        " directory of the store between [ and ]"
    )
