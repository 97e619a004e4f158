"""Everything that can be told of one entry, for showing it."""

from __future__ import annotations

from whiteout.entries import Entry, EntryType
from whiteout.errors import reason_of
from whiteout.merged import Node
from whiteout.typed import NamedTuple
from whiteout.verdicts import Verdict
from whiteout.xattrs import Xattr


class Metadata(NamedTuple):
    """One side of an entry. ``host_path`` is where it is on the host, or what messages call it when
    it lies in an archive.

    ``host_owner`` are the user and group id there where the container sees other ones.

    ``error`` says what could not be read; the rest is still true then.
    """

    entry: Entry
    host_path: bytes
    link_target: bytes | None = None
    xattrs: tuple[Xattr, ...] = ()
    error: str | None = None
    host_owner: tuple[int, int] | None = None


class Inspection(NamedTuple):
    """A verdict with both sides of the entry; a side that does not exist is None."""

    verdict: Verdict
    base: Metadata | None
    upper: Metadata | None


def metadata_of(node: Node | None) -> Metadata | None:
    """The metadata of *node*; what cannot be read is told in :attr:`Metadata.error`."""
    if node is None:
        return None
    entry, path = node.entry, node.path
    target: bytes | None = None
    attributes: tuple[Xattr, ...] = ()
    error: str | None = None
    host_owner: tuple[int, int] | None = None
    try:
        host_owner = node.owner_on_disk()
        if entry.type is EntryType.SYMLINK:
            target = node.readlink()
        attributes = node.part.directory.all_attributes(node.name_on_disk)
    except OSError as problem:
        error = f"cannot be read: {reason_of(problem)}"
    return Metadata(entry, path, target, attributes, error, host_owner)
