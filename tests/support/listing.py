"""A tree as plain data, so that two trees can be compared."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace

_CAPABILITY = "security.capability"


@dataclass(frozen=True, slots=True)
class Item:
    """What matters of one entry; fields that its type does not have are empty."""

    type: int
    permissions: int
    uid: int
    gid: int
    mtime_ns: int
    size: int = 0
    device: int = 0
    content: str = ""
    target: bytes = b""
    capability: bytes = b""


Listing = dict[bytes, Item]


def item_of(status: os.stat_result) -> Item:
    """The part of an item that ``lstat`` tells. Sizes and times of directories mean little."""
    kind = stat.S_IFMT(status.st_mode)
    directory = kind == stat.S_IFDIR
    return Item(
        type=kind,
        permissions=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
        size=0 if directory else status.st_size,
        device=status.st_rdev if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0,
    )


def content_of(descriptor: int) -> str:
    with open(descriptor, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_tree(top: bytes) -> tuple[Listing, dict[bytes, tuple[int, int]]]:
    """Everything below *top* by its path, and device and inode of what has several links."""
    found: Listing = {}
    linked: dict[bytes, tuple[int, int]] = {}
    for directory, directories, files in os.walk(top):
        for name in directories + files:
            place = os.path.join(directory, name)
            path = b"/" + os.path.relpath(place, top)
            status = os.lstat(place)
            found[path] = _complete(place, item_of(status))
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                linked[path] = status.st_dev, status.st_ino
    return found, linked


def _complete(place: bytes, item: Item) -> Item:
    try:
        capability = os.getxattr(place, _CAPABILITY, follow_symlinks=False)
    except OSError:
        capability = b""
    item = replace(item, capability=capability)
    if item.type == stat.S_IFREG:
        return replace(item, content=content_of(os.open(place, os.O_RDONLY)))
    if item.type == stat.S_IFLNK:
        return replace(item, target=os.readlink(place))
    return item


def groups(linked: Mapping[bytes, tuple[int, int]]) -> set[frozenset[bytes]]:
    """The names that share an inode, in groups of two and more."""
    found: dict[tuple[int, int], set[bytes]] = {}
    for path, inode in linked.items():
        found.setdefault(inode, set()).add(path)
    return {frozenset(names) for names in found.values() if len(names) > 1}
