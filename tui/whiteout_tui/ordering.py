"""The orders that the rows of a directory can be shown in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import TYPE_CHECKING

from whiteout_tui.rowdata import RowKind, RowType

if TYPE_CHECKING:
    from whiteout_tui.rows import Rows


class SortKey(Enum):
    """What the rows of a directory are sorted by; where that is equal, by their names."""

    NAME = "name"
    SIZE = "size"
    KIND = "kind"

    @property
    def following(self) -> SortKey:
        """The next one, round and round."""
        keys = list(SortKey)
        return keys[(keys.index(self) + 1) % len(keys)]


@dataclass(frozen=True, slots=True)
class Order:
    """By *key*: names from the smallest byte, sizes from the greatest, kinds as in the legend.

    ``turned`` turns that around.
    """

    key: SortKey = SortKey.NAME
    turned: bool = False

    @property
    def falls(self) -> bool:
        """Whether the greatest comes first."""
        return self.turned != (self.key is SortKey.SIZE)

    @property
    def arrow(self) -> str:
        """``▾`` where the greatest comes first, else ``▴``."""
        return "▾" if self.falls else "▴"


#: The order that the engine gives the rows in.
NAMES_FIRST = Order()


def arranged(rows: Rows, numbers: Sequence[int], order: Order) -> Sequence[int]:
    """The rows *numbers* of one directory, given in the order of their names, in *order*.

    A remark stays at the end.
    """
    remarks = [row for row in numbers[-1:] if rows.is_note(row)]
    entries = numbers[:-1] if remarks else numbers
    if order.key is SortKey.NAME or not entries:
        found = list(reversed(entries)) if order.turned else list(entries)
    elif order.key is SortKey.SIZE:
        values = _file_sizes(rows, entries)
        places = sorted(range(len(entries)), key=values.__getitem__, reverse=order.falls)
        found = [entries[place] for place in places]
    else:
        kinds = rows.kinds(entries[0], entries[-1] + 1)
        by_kind: list[list[int]] = [[] for _ in RowKind]
        for row in entries:
            by_kind[kinds[row - entries[0]]].append(row)
        found = list(chain.from_iterable(reversed(by_kind) if order.turned else by_kind))
    return [*found, *remarks]


def _file_sizes(rows: Rows, entries: Sequence[int]) -> list[int]:
    first = entries[0]
    sizes = rows.sizes(first, entries[-1] + 1)
    types = rows.types(first, entries[-1] + 1)
    file = int(RowType.FILE)
    return [sizes[row - first] if types[row - first] == file else 0 for row in entries]
