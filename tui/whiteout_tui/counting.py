"""How many entries the whole snapshot has under each letter."""

from __future__ import annotations

from dataclasses import dataclass

from whiteout_tui.rowdata import RowKind


@dataclass(frozen=True, slots=True)
class Counts:
    """Entries found so far under each kind; ``problem`` says why the count ended too early."""

    by_kind: tuple[int, ...] = (0,) * len(RowKind)
    complete: bool = False
    problem: str | None = None

    @property
    def total(self) -> int:
        """All entries found so far."""
        return sum(self.by_kind)

    @property
    def recorded(self) -> int:
        """The changes found so far that the layer records."""
        return sum(self.by_kind[: RowKind.SKIPPED])
