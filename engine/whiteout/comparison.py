"""Whether an entry is the same on both sides: BuildKit's rule, with the facts that decided.

This is ``sameDirent`` of BuildKit's ``util/overlay/overlay_linux.go`` and ``sameFile`` of
containerd/continuity's ``fs/diff_linux.go``; the two agree. In order: the same inode; mode, owner,
group and device number; the file capability; a directory needs no more; the size; the time's
seconds and then its nanoseconds. Where both nanoseconds are zero the time may have been cut off,
as tar does, and the link target or the content is compared.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from whiteout.cancel import CancelToken
from whiteout.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from whiteout.merged import Node

_SECOND = 1_000_000_000
_CHUNK = 1 << 18


class Fact(NamedTuple):
    """One thing compared. ``base`` and ``upper`` are plain data; None where nothing is told."""

    field: str
    base: int | bytes | None
    upper: int | bytes | None
    equal: bool


class Comparison(NamedTuple):
    """The outcome of comparing an entry with the one in the base.

    ``decided_by`` names the last thing that was looked at. Capabilities, link targets and the
    result of comparing contents are None where they were not looked at.
    """

    base: os.stat_result
    upper: os.stat_result
    same: bool
    decided_by: str
    capabilities: tuple[bytes, bytes] | None = None
    targets: tuple[bytes, bytes] | None = None

    @property
    def facts(self) -> tuple[Fact, ...]:
        """Everything that was compared, in order, up to what decided."""
        found = []
        for field, values in _READINGS:
            pair = values(self)
            if pair is None:
                continue
            base, upper = pair
            equal = self.same if field == "content" else base == upper
            found.append(Fact(field, base, upper, equal))
            if field == self.decided_by:
                break
        return tuple(found)


_Pair = tuple[int | bytes | None, int | bytes | None] | None


def _stats(read: Callable[[os.stat_result], int]) -> Callable[[Comparison], _Pair]:
    return lambda comparison: (read(comparison.base), read(comparison.upper))


def _inode(comparison: Comparison) -> _Pair:
    if comparison.base.st_dev != comparison.upper.st_dev:
        return None
    return comparison.base.st_ino, comparison.upper.st_ino


def _type(status: os.stat_result) -> int:
    return stat.S_IFMT(status.st_mode)


_READINGS: tuple[tuple[str, Callable[[Comparison], _Pair]], ...] = (
    ("inode", _inode),
    ("mode", _stats(lambda status: status.st_mode)),
    ("owner", _stats(lambda status: status.st_uid)),
    ("group", _stats(lambda status: status.st_gid)),
    ("device", _stats(lambda status: status.st_rdev)),
    ("capability", lambda comparison: comparison.capabilities),
    ("type", _stats(_type)),
    ("size", _stats(lambda status: status.st_size)),
    ("seconds", _stats(lambda status: status.st_mtime_ns // _SECOND)),
    ("nanoseconds", _stats(lambda status: status.st_mtime_ns % _SECOND)),
    ("target", lambda comparison: comparison.targets),
    ("content", lambda comparison: (None, None)),
)


def told_apart(old: os.stat_result, new: os.stat_result) -> bool:
    """Whether the status of a regular file without a capability tells that it differs from *old*.

    By the same rule: where the times are equal to the nanosecond, the content may still differ.
    """
    return (
        old.st_mtime_ns != new.st_mtime_ns
        or old.st_size != new.st_size
        or old.st_mode != new.st_mode
        or old.st_uid != new.st_uid
        or old.st_gid != new.st_gid
    )


def same_directory(old: os.stat_result, new: os.stat_result) -> bool:
    """Whether two directories without capabilities are the same by the rule, by their statuses."""
    return (
        old.st_mode == new.st_mode
        and old.st_uid == new.st_uid
        and old.st_gid == new.st_gid
        and old.st_rdev == new.st_rdev
    ) or (old.st_dev, old.st_ino) == (new.st_dev, new.st_ino)


def compare(base: Node, upper: Node, cancel: CancelToken) -> Comparison:
    """Compare *upper* with *base* by BuildKit's rule.

    Raises:
        OSError: an attribute, a link or content cannot be read.
        Cancelled: *cancel* was cancelled.
    """
    old, new = base.status, upper.status
    if (old.st_dev, old.st_ino) == (new.st_dev, new.st_ino):
        return Comparison(old, new, True, "inode")
    found = _compare_metadata(base, upper)
    if not found.same or upper.is_directory:
        return found
    capabilities = found.capabilities
    if old.st_size != new.st_size:
        return Comparison(old, new, False, "size", capabilities)
    if old.st_mtime_ns // _SECOND != new.st_mtime_ns // _SECOND:
        return Comparison(old, new, False, "seconds", capabilities)
    nanoseconds = old.st_mtime_ns % _SECOND, new.st_mtime_ns % _SECOND
    if nanoseconds != (0, 0):
        same = nanoseconds[0] == nanoseconds[1]
        return Comparison(old, new, same, "nanoseconds", capabilities)
    if stat.S_ISLNK(new.st_mode):
        targets = base.readlink(), upper.readlink()
        same = targets[0] == targets[1]
        return Comparison(old, new, same, "target", capabilities, targets)
    if not upper.is_file or new.st_size == 0:
        return Comparison(old, new, True, "nanoseconds", capabilities)
    return Comparison(old, new, same_content(base, upper, cancel), "content", capabilities)


def compare_directories_only(base: Node, upper: Node) -> Comparison | None:
    """The rule of BuildKit's first overlay differ: None where one side is no directory.

    Raises:
        OSError: an attribute cannot be read.
    """
    if not (base.is_directory and upper.is_directory):
        return None
    return _compare_metadata(base, upper)


def _compare_metadata(base: Node, upper: Node) -> Comparison:
    """Compare what every type of entry has: mode, owner, group, device and capability."""
    old, new = base.status, upper.status
    if old.st_mode != new.st_mode:
        return Comparison(old, new, False, "mode")
    if old.st_uid != new.st_uid:
        return Comparison(old, new, False, "owner")
    if old.st_gid != new.st_gid:
        return Comparison(old, new, False, "group")
    if old.st_rdev != new.st_rdev:
        return Comparison(old, new, False, "device")
    capabilities = base.capability(), upper.capability()
    if capabilities[0] != capabilities[1]:
        return Comparison(old, new, False, "capability", capabilities)
    return Comparison(old, new, True, "type", capabilities)


def same_content(base: Node, upper: Node, cancel: CancelToken) -> bool:
    """Whether the two regular files hold the same bytes.

    Raises:
        OSError: one of them cannot be read.
        Cancelled: *cancel* was cancelled.
    """
    size = upper.status.st_size
    old, new = base.open_file(), -1
    try:
        new = upper.open_file()
        offset = 0
        while True:
            cancel.check()
            left, right = _read_chunk(old, offset, size), _read_chunk(new, offset, size)
            if left != right:
                return False
            offset += len(left)
            if not left or offset == size:
                return True
    finally:
        os.close(old)
        if new >= 0:
            os.close(new)


def _read_chunk(descriptor: int, offset: int, size: int) -> bytes:
    """:data:`_CHUNK` bytes, fewer only at the end of the file.

    One byte more than the *size* is asked for: a file that ends there is at its end.
    """
    wanted = min(_CHUNK, size + 1 - offset)
    chunk = os.pread(descriptor, wanted, offset)
    while 0 < len(chunk) < wanted and offset + len(chunk) != size:
        more = os.pread(descriptor, wanted - len(chunk), offset + len(chunk))
        if not more:
            break
        chunk += more
    return chunk
