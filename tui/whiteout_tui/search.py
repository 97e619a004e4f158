"""A search and a filter over all known rows, in short steps, so that no key waits for them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from whiteout.search import parse_filter, parse_query
from whiteout_tui.matches import Matches
from whiteout_tui.rows import ROOT, Rows
from whiteout_tui.selecting import both, rows_of_filter, rows_of_query

_STEP = 16_384


class Search:
    """The rows that a query finds, among those that are not hidden or left out.

    Raises:
        UsageError: the expression is malformed.
    """

    def __init__(self, rows: Rows, text: str, *, regex: bool) -> None:
        self.text = text
        self.regex = regex
        self.pattern = _pattern(text, regex)
        self._rows = rows
        self._select = rows_of_query(parse_query(text, regex=regex))
        self.matches = Matches(rows)

    def restart(self) -> None:
        """Begin anew, as other rows are wanted now."""
        self.matches = Matches(self._rows)

    def step(self) -> bool:
        """Look at some more rows; tells whether there are still more."""
        start = self.matches.known
        end = min(start + _STEP, len(self._rows))
        if start < end:
            found = self._select(self._rows, start, end)
            self.matches.add(both(found, self._rows.entries_wanted(start, end)))
        return end < len(self._rows)


def _pattern(text: str, regex: bool) -> re.Pattern[str] | None:
    """What to highlight in a name as it is displayed; None for a whole name."""
    if "/" in text:
        return None
    letters = re.sub(r"\\.", "", text) if regex else text
    flags = 0 if any(letter.isupper() for letter in letters) else re.IGNORECASE
    try:
        return re.compile(text if regex else re.escape(text), flags)
    except (re.error, OverflowError, RecursionError):
        return None


class Filter:
    """The rows that pass, and the directories that lead to them.

    Raises:
        UsageError: the text cannot be understood.
    """

    def __init__(self, rows: Rows, text: str) -> None:
        self.text = text
        self.terms = parse_filter(text)
        self.total = 0
        self.stale = False
        """Whether directories were found to lead somewhere after they had been left out."""
        self._rows = rows
        self._select = rows_of_filter(self.terms)
        self._shown = bytearray()
        self._leading: set[int] = set()

    def step(self) -> bool:
        """Look at some more rows; tells whether there are still more."""
        start = len(self._shown)
        end = min(start + _STEP, len(self._rows))
        self._look(start, end)
        return end < len(self._rows)

    def _look(self, start: int, end: int) -> None:
        if start >= end:
            return
        found = self._select(self._rows, start, end)
        self._shown += found
        self.total += found.count(1) - (start == 0 and found[ROOT])
        parents = self._rows.parents(start, end)
        self._lead({parents[place] for place in _places(found)})

    def _lead(self, directories: Iterable[int]) -> None:
        for directory in directories:
            row = directory
            while row not in self._leading:
                self._leading.add(row)
                if row < len(self._shown) and not self._shown[row]:
                    self._shown[row] = 1
                self.stale = True
                if row == ROOT:
                    break
                row = self._rows.parent(row)

    @property
    def leading(self) -> set[int]:
        """The directories that something passes below."""
        return self._leading

    def select(self, start: int, end: int) -> bytes:
        """Which rows are shown; new rows are looked at as they come."""
        self._look(len(self._shown), end)
        return bytes(self._shown[start:end])


def _places(found: bytes) -> Iterable[int]:
    at = found.find(1)
    while at >= 0:
        yield at
        at = found.find(1, at + 1)
