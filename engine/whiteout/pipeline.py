"""A stage of work in a thread of its own, fed through a bounded queue.

Hashing, compressing and writing release the interpreter's lock, so each of them in its own thread
runs beside the differ. The queue is short: a slow stage stops the one before it, and memory stays
bounded.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

Chunk = bytes | bytearray | memoryview


class Stage:
    """Calls *work* with each chunk, in order, in a thread.

    Use it in a ``with`` block: leaving it by an error drops what is queued, leaving it well waits
    until everything is done. An error of *work* is raised again by :meth:`put` or at the end.
    """

    def __init__(self, name: str, work: Callable[[Chunk], object], depth: int = 4) -> None:
        self._work = work
        self._queue: queue.SimpleQueue[Chunk | None] = queue.SimpleQueue()
        # no semaphore, whose lock may be let go twice when a signal raises within it
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(depth):
            self._room.put(None)
        self._error: BaseException | None = None
        self._dropping = False
        self._thread = threading.Thread(target=self._run, name=f"whiteout-{name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._dropping = error is not None
        self._queue.put(None)
        self._thread.join()
        if error is None:
            self._raise()

    def put(self, chunk: Chunk) -> None:
        """Hand over *chunk*, which must not change any more; waits while the stage is behind."""
        self._raise()
        self._room.get()
        self._queue.put(chunk)

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (chunk := self._queue.get()) is not None:
            try:
                if self._error is None and not self._dropping:
                    self._work(chunk)
            except BaseException as error:
                self._error = error
            finally:
                self._room.put(None)
