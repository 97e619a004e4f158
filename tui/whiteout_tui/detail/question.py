"""What a tab is asked, and what it answers with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from textual.content import Content

from whiteout.cancel import CancelToken
from whiteout.layerindex import LayerIndex
from whiteout.snapshot import Snapshot

#: An answer: the text of the tab in lines of a given number of cells.
Drawing = Callable[[int], Content]


@dataclass(frozen=True, slots=True)
class Indexing:
    """How far the index of the layer is: there, impossible for the reason ``failure``, or begun."""

    index: LayerIndex | None = None
    failure: str | None = None

    @property
    def is_done(self) -> bool:
        """Whether nothing more is to come."""
        return self.index is not None or self.failure is not None


@dataclass(frozen=True, slots=True)
class Question:
    """One entry of a snapshot, to be told of. It is answered in a thread."""

    snapshot: Snapshot
    path: bytes
    cancel: CancelToken
    indexing: Indexing = Indexing()


#: How a tab is filled: it may show a first answer, and more of it later.
Load = Callable[[Question, Callable[[Drawing], None]], None]
