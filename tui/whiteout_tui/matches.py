"""The matches of a search among the rows: how many, which is the next one, and which number it has.

Matches are counted in the order of the tree on the screen, whether their directories are open or
not. For every directory the number of matches below it is known, so that a million rows need not
be passed one by one.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from itertools import compress

from whiteout_tui.rows import ROOT, Rows

_BLOCK = 1024


class Matches:
    """The rows that match, as far as :meth:`add` was told of them."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._is_match = bytearray()
        self._below = array("I")

    @property
    def known(self) -> int:
        """How many rows were looked at: all those before this one."""
        return len(self._is_match)

    @property
    def total(self) -> int:
        """How many rows match."""
        return self._below[ROOT] if self._below else 0

    def __contains__(self, row: int) -> bool:
        return row < len(self._is_match) and bool(self._is_match[row])

    def add(self, found: bytes) -> None:
        """Take in which of the next rows match: a 1 or a 0 for each of them."""
        start = len(self._is_match)
        self._is_match += found
        self._below.extend(array("I", bytes(4 * len(found))))
        if start == 0 and found:
            self._is_match[ROOT] = 0  # it has no name
        parents = self._rows.parents(start, start + len(found))
        matching = compress(parents, self._is_match[start:])
        for row, count in Counter(matching).items():
            above = row
            self._below[above] += count
            while above != ROOT:
                above = self._rows.parent(above)
                self._below[above] += count

    def before(self, row: int) -> int:
        """How many matches come before *row*."""
        count = 0
        while row != ROOT:
            parent = self._rows.parent(row)
            count += self._among(self._rows.children(parent), row)
            count += row_is(self._is_match, parent)
            row = parent
        return count

    def _among(self, siblings: Sequence[int], row: int) -> int:
        """The matches at and below those of *siblings* that come before *row*."""
        if isinstance(siblings, range):
            return self._between(siblings.start, row)
        count = 0
        for sibling in siblings:
            if sibling == row:
                break
            count += self._between(sibling, sibling + 1)
        return count

    def _between(self, start: int, end: int) -> int:
        return self._is_match.count(1, start, end) + sum(self._below[start:end])

    def at(self, number: int) -> int | None:
        """The match that has *number* matches before it, or None."""
        if not 0 <= number < self.total:
            return None
        row = ROOT
        while True:
            siblings = self._rows.children(row)
            position = 0
            if isinstance(siblings, range):
                last = min(siblings.stop, len(self._is_match))
                for start in range(siblings.start, last, _BLOCK):
                    inside = self._between(start, min(start + _BLOCK, last))
                    if number < inside:
                        position = start - siblings.start
                        break
                    number -= inside
            for sibling in siblings[position:]:
                if sibling >= len(self._is_match):
                    continue
                if self._is_match[sibling]:
                    if number == 0:
                        return sibling
                    number -= 1
                if number < self._below[sibling]:
                    row = sibling
                    break
                number -= self._below[sibling]
            else:
                return None

    def after(self, row: int) -> int | None:
        """The first match after *row*; after the last one the first of all."""
        number = self.before(row) + (row in self)
        return self.at(number if number < self.total else 0)

    def ahead_of(self, row: int) -> int | None:
        """The last match before *row*; before the first one the last of all."""
        return self.at((self.before(row) or self.total) - 1)


def row_is(column: bytearray, row: int) -> int:
    """The byte of *row*, 0 for a row that is not known yet."""
    return column[row] if row < len(column) else 0
