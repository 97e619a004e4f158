"""Owners in id-mapped layers: from the ids on disk to those that the container sees.

A rootless store, and podman's ``--uidmap``, write files with the ids of the host, such as 100999
for the container's 1000. A layer must hold the container's ids, so they are mapped back: the map
is that of user_namespaces(7) (``/proc/PID/uid_map``), read the other way round. An id that no
range holds is shown as the overflow id (``/proc/sys/kernel/overflowuid``), as the kernel shows it,
and then no layer is exported: nobody knows whose the file is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from whiteout.display import display_text
from whiteout.entries import OVERFLOW_ID, with_fields
from whiteout.errors import UsageError

_IDS = 1 << 32
_NS_CAPABILITY = 24


@dataclass(frozen=True, slots=True)
class IdRange:
    """*count* ids, from *inside* on as the container sees them and from *outside* on here."""

    inside: int
    outside: int
    count: int

    def holds(self, host_id: int) -> bool:
        """Whether *host_id* is one of them."""
        return self.outside <= host_id < self.outside + self.count


@dataclass(frozen=True, slots=True)
class IdMap:
    """How owners on disk (outside) are owners of the container (inside).

    Without a range the ids on disk are the container's.

    Raises:
        UsageError: a range is empty or leaves the 32 bits of an id, or two of them overlap.
    """

    uids: tuple[IdRange, ...] = ()
    gids: tuple[IdRange, ...] = ()

    def __post_init__(self) -> None:
        _check(self.uids)
        _check(self.gids)

    @classmethod
    def parse(cls, uids: Sequence[str], gids: Sequence[str]) -> IdMap | None:
        """The map of ``--uidmap`` and ``--gidmap``: ranges ``CONTAINER:HOST:LENGTH``.

        One of the two alone counts for both, as with podman. None when there is neither.

        Raises:
            UsageError: a range is malformed.
        """
        if not uids and not gids:
            return None
        return cls(_parse(uids or gids), _parse(gids or uids))

    def uid_to_container(self, uid: int) -> int:
        """The user id that the container sees, :data:`OVERFLOW_ID` where it has none."""
        return _inside(self.uids, uid)

    def gid_to_container(self, gid: int) -> int:
        """The group id that the container sees, :data:`OVERFLOW_ID` where it has none."""
        return _inside(self.gids, gid)

    def to_container(self, status: os.stat_result) -> os.stat_result:
        """*status* with the owner and the group that the container sees."""
        return with_fields(
            status,
            uid=_inside(self.uids, status.st_uid),
            gid=_inside(self.gids, status.st_gid),
        )

    def holds_owner_of(self, status: os.stat_result) -> bool:
        """Whether the container has ids for both owner and group of *status*, those on disk."""
        return _holds(self.uids, status.st_uid) and _holds(self.gids, status.st_gid)

    def capability_to_container(self, value: bytes) -> bytes:
        """A raw ``security.capability`` as the container sees it.

        One of revision 3 names the user who is root where it counts (``struct vfs_ns_cap_data`` of
        ``linux/capability.h``). Of the container's own root the kernel shows revision 2.
        """
        if len(value) != _NS_CAPABILITY or value[3] != 3:
            return value
        root = int.from_bytes(value[-4:], "little")
        if not _holds(self.uids, root):
            return value
        inside = _inside(self.uids, root)
        if inside:
            return value[:-4] + inside.to_bytes(4, "little")
        return value[:3] + b"\x02" + value[4:-4]


def _inside(ranges: tuple[IdRange, ...], host_id: int) -> int:
    if not ranges:
        return host_id
    for one in ranges:
        if one.holds(host_id):
            return one.inside + host_id - one.outside
    return OVERFLOW_ID


def _holds(ranges: tuple[IdRange, ...], host_id: int) -> bool:
    return not ranges or any(one.holds(host_id) for one in ranges)


def _check(ranges: tuple[IdRange, ...]) -> None:
    for number, one in enumerate(ranges):
        if min(one.inside, one.outside) < 0 or one.count <= 0:
            raise UsageError("an id range needs ids of 0 and more, and a length of 1 and more")
        if max(one.inside, one.outside) + one.count > _IDS:
            raise UsageError("an id range leaves the 32 bits that an id has")
        for other in ranges[:number]:
            if _overlap(one.outside, one, other.outside, other) or _overlap(
                one.inside, one, other.inside, other
            ):
                raise UsageError("two id ranges overlap, so an id would have two meanings")


def _overlap(start: int, one: IdRange, other_start: int, other: IdRange) -> bool:
    return start < other_start + other.count and other_start < start + one.count


def _parse(ranges: Sequence[str]) -> tuple[IdRange, ...]:
    found = []
    for text in ranges:
        fields = text.split(":")
        if len(fields) != 3 or not all(
            field.isascii() and field.isdigit() and len(field) <= 10 for field in fields
        ):
            raise UsageError(
                f"the id range {display_text(text)} is not CONTAINER:HOST:LENGTH, such as"
                " 0:100000:65536"
            )
        found.append(IdRange(*map(int, fields)))
    return tuple(found)
