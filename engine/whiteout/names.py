"""The names in a directory, in byte order, whatever their number.

A name takes some 60 bytes as an object. The names of a short directory are a list of such objects;
those of a long one are sorted by the run, merged, and kept packed, which takes no more than their
bytes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from itertools import chain, islice

#: So many names and more are packed.
_MANY = 1 << 15
#: So many of them to a pack, between bytes that no name has.
_PACK = 64
_END = b"\0"


def sort_names(names: Iterable[bytes]) -> Collection[bytes]:
    """*names*, all different, in byte order."""
    rest = iter(names)
    few = sorted(islice(rest, _MANY))
    if len(few) < _MANY:
        return few
    sorter = NameSorter()
    sorter.extend(chain(few, rest))
    return sorter.sorted()


def keep_names(names: Iterable[bytes]) -> Collection[bytes]:
    """*names*, which come in byte order."""
    rest = iter(names)
    few = list(islice(rest, _MANY))
    return few if len(few) < _MANY else _PackedNames(chain(few, rest))


def lookup_in(names: Collection[bytes]) -> Collection[bytes]:
    """*names* as something that can be asked quickly whether it holds a name."""
    return names if isinstance(names, _PackedNames) else frozenset(names)


def union(one: Collection[bytes], other: Collection[bytes]) -> Iterable[bytes]:
    """The names in *one* or *other*, both of them in byte order, in byte order."""
    if isinstance(one, _PackedNames) or isinstance(other, _PackedNames):
        from heapq import merge

        return _without_repetition(merge(one, other))
    return sorted({*one, *other})


def _without_repetition(names: Iterable[bytes]) -> Iterator[bytes]:
    last = None
    for name in names:
        if name != last:
            yield name
        last = name


class NameSorter:
    """Takes names, all different, in any order and gives them in byte order."""

    __slots__ = ("_names", "_runs")

    def __init__(self) -> None:
        self._names: list[bytes] = []
        self._runs: list[_PackedNames] = []

    def add(self, name: bytes) -> None:
        """Take one name."""
        self.extend((name,))

    def extend(self, names: Iterable[bytes]) -> None:
        """Take *names*."""
        rest = iter(names)
        while more := list(islice(rest, _MANY - len(self._names))):
            self._names += more
            if len(self._names) == _MANY:
                self._runs.append(_PackedNames(sorted(self._names)))
                self._names.clear()

    def sorted(self) -> Collection[bytes]:
        """All that were taken, in byte order; none of them is kept."""
        names, runs = sorted(self._names), self._runs
        self._names, self._runs = [], []
        if not runs:
            return names
        from heapq import merge

        return _PackedNames(merge(names, *(each.drain() for each in runs)))


class _PackedNames(Collection[bytes]):
    """Many names in byte order."""

    __slots__ = ("_count", "_firsts", "_packs")

    def __init__(self, names: Iterable[bytes]) -> None:
        self._packs: list[bytes] = []
        self._firsts: list[bytes] = []
        self._count = 0
        rest = iter(names)
        while pack := list(islice(rest, _PACK)):
            self._packs.append(_END + _END.join(pack) + _END)
            self._firsts.append(pack[0])
            self._count += len(pack)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        for pack in self._packs:
            yield from pack[1:-1].split(_END)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, bytes):
            return False
        place = bisect_right(self._firsts, name)
        return place > 0 and _END + name + _END in self._packs[place - 1]

    def drain(self) -> Iterator[bytes]:
        """All names for the last time: those that were given are forgotten."""
        self._firsts.clear()
        self._packs.reverse()
        while self._packs:
            yield from self._packs.pop()[1:-1].split(_END)
