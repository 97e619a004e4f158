"""Whose ids a rootless store holds: passwd(5), subuid(5) and subgid(5).

In a rootless container root is the user who started it, and the ids from 1 on are those that the
user was given in ``/etc/subuid`` and ``/etc/subgid``, one range after the other (podman's and
RootlessKit's calls of newuidmap(1)).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from whiteout.errors import WhiteoutError
from whiteout.idmap import IdMap, IdRange
from whiteout.sources.root import Root


@dataclass(frozen=True, slots=True)
class User:
    """One user of passwd(5)."""

    name: bytes
    uid: int
    gid: int
    home: bytes


def users(root: Root) -> Iterator[User]:
    """The users of the root, in the order of the file."""
    for fields in _records(root, b"/etc/passwd", 7):
        with suppress(ValueError):
            yield User(fields[0], int(fields[2]), int(fields[3]), fields[5])


def rootless_map(root: Root, store: os.stat_result) -> IdMap | None:
    """The map of a store whose directory has the status *store*; None where root owns it."""
    if store.st_uid == 0:
        return None
    names = {user.name for user in users(root) if user.uid == store.st_uid}
    names.add(b"%d" % store.st_uid)
    return IdMap(
        uids=_ranges(root, b"/etc/subuid", names, store.st_uid),
        gids=_ranges(root, b"/etc/subgid", names, store.st_gid),
    )


def remapped_map(root: Root, uid: int, gid: int) -> IdMap:
    """The map of a daemon whose containers' root is *uid* and *gid* (``userns-remap``)."""
    return IdMap(
        uids=(IdRange(0, uid, _length(root, b"/etc/subuid", uid)),),
        gids=(IdRange(0, gid, _length(root, b"/etc/subgid", gid)),),
    )


def compose(outer: IdMap | None, inner: IdMap | None) -> IdMap | None:
    """The map of a container with the map *inner* inside a user namespace with the map *outer*."""
    if outer is None or inner is None:
        return inner or outer
    return IdMap(_through(outer.uids, inner.uids), _through(outer.gids, inner.gids))


def _through(outer: tuple[IdRange, ...], inner: tuple[IdRange, ...]) -> tuple[IdRange, ...]:
    if not outer or not inner:
        return inner or outer
    found = []
    for one in inner:
        for other in outer:
            start = max(one.outside, other.inside)
            end = min(one.outside + one.count, other.inside + other.count)
            if start < end:
                found.append(
                    IdRange(
                        one.inside + start - one.outside,
                        other.outside + start - other.inside,
                        end - start,
                    )
                )
    return tuple(found)


def _ranges(root: Root, path: bytes, names: set[bytes], own: int) -> tuple[IdRange, ...]:
    found = [IdRange(0, own, 1)]
    for _, start, count in _subordinates(root, path, names):
        found.append(IdRange(found[-1].inside + found[-1].count, start, count))
    return tuple(found)


def _length(root: Root, path: bytes, start: int) -> int:
    counts = (count for _, first, count in _subordinates(root, path, None) if first == start)
    return next(counts, 65536)


def _subordinates(
    root: Root, path: bytes, names: set[bytes] | None
) -> Iterator[tuple[bytes, int, int]]:
    for name, first, count in _records(root, path, 3):
        if names is None or name in names:
            with suppress(ValueError):
                start, length = int(first), int(count)
                if start >= 0 and length > 0 and start + length <= 1 << 32:
                    yield name, start, length


def _records(root: Root, path: bytes, length: int) -> Iterator[list[bytes]]:
    with suppress(OSError, WhiteoutError):
        for line in root.read(path).split(b"\n"):
            fields = line.strip().split(b":")
            if len(fields) == length and not line.startswith(b"#"):
                yield fields
