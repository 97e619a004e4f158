"""A list of lines under headings, each with a key: the cursor stays with its line."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from whiteout_tui.actions import Scope, bindings
from whiteout_tui.linelist import LineList, Lines, Part


@dataclass(frozen=True, slots=True)
class ListRow:
    """One line of printable parts.

    ``key`` tells lines apart when they are listed again; a heading has none and cannot be picked.
    """

    parts: tuple[Part, ...]
    key: Hashable = None

    def parts_in(self, width: int) -> list[Part]:
        """What is shown in *width* cells, behind which it is cut off."""
        return list(self.parts)


class RowLines(Lines):
    """The lines of some rows."""

    def __init__(self, rows: Sequence[ListRow]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def parts(self, number: int, width: int) -> list[Part]:
        """The parts of the row."""
        return self.rows[number].parts_in(width)

    def can_be_chosen(self, number: int) -> bool:
        """Only what is no heading."""
        return self.rows[number].key is not None


class RowList(LineList, inherit_bindings=False):
    """Rows with a cursor, which passes over headings."""

    SCOPE = Scope.LIST
    BINDINGS = bindings(SCOPE)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lost: Hashable = None

    @property
    def rows(self) -> Sequence[ListRow]:
        """What is shown."""
        return self.lines.rows if isinstance(self.lines, RowLines) else ()

    @property
    def picked(self) -> Hashable:
        """The key of the line under the cursor, None where there is none."""
        return None if self.cursor is None else self.rows[self.cursor].key

    def show_rows(self, rows: Sequence[ListRow]) -> None:
        """Show *rows* instead; the cursor stays with its line, or goes back to it when it comes."""
        key = self.picked if self._lost is None else self._lost
        places = (place for place, row in enumerate(rows) if row.key == key and key is not None)
        place = next(places, None)
        self._lost = key if place is None else None
        self.show(RowLines(rows), place)

    def redraw(self, rows: Sequence[ListRow]) -> None:
        """Show *rows*, which are the same in other words, without moving anything."""
        self.lines = RowLines(rows)
        self.refresh()

    def move_to(self, number: int) -> None:
        """Put the cursor on the line *number*, or on one near to it, and no more on a lost one."""
        self._lost = None
        super().move_to(number)

    def _first_in_sight(self, cursor: int) -> int:
        while cursor > 0 and not self.lines.can_be_chosen(cursor - 1):  # its heading as well
            cursor -= 1
        return cursor
