"""A stage of work in a thread of its own, fed through a bounded queue.

Hashing, compressing and writing release the interpreter's lock, so each of them in its own thread
runs beside the differ. The queue is short: a slow stage stops the one before it, and memory stays
bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from whiteout.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from queue import SimpleQueue
    from typing import Self

Chunk = bytes | bytearray | memoryview

#: Bytes that are hashed, compressed and written sooner than a thread is there.
_LITTLE = 1 << 20


class Stage:
    """Calls *work* with each chunk, in order, in a thread.

    The first chunks, of *little* bytes together, are worked on by whoever hands them over.

    Use it in a ``with`` block: leaving it by an error drops what is queued, leaving it well waits
    until everything is done. An error of *work* is raised again by :meth:`put` or at the end.
    """

    # A signal may raise in whoever feeds the stage, at any moment. So all that is waited for are
    # queues, which stay whole then; the locks of a threading.Thread may be let go twice, or never.

    def __init__(
        self, work: Callable[[Chunk], object], *, little: int = _LITTLE, depth: int = 4
    ) -> None:
        self._work = work
        self._little = little
        self._depth = depth
        self._queue: SimpleQueue[Chunk | None] | None = None
        self._begun = False
        """Whether a thread is sure to tell its end."""
        self._error: BaseException | None = None
        self._dropping = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._dropping = error is not None
        if self._queue is not None:
            self._queue.put(None)
        if self._begun:
            self._end.get()
        if error is None:
            self._raise()

    def put(self, chunk: Chunk) -> None:
        """Hand over *chunk*, which must not change any more; waits while the stage is behind."""
        queue = self._queue
        if queue is None:
            self._little -= len(chunk)
            if self._little >= 0:
                self._work(chunk)
                return
            queue = self._begin()
        self._raise()
        self._room.get()
        queue.put(chunk)

    def _begin(self) -> SimpleQueue[Chunk | None]:
        from _thread import start_new_thread
        from queue import SimpleQueue

        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(self._depth):
            self._room.put(None)
        self._end: SimpleQueue[None] = SimpleQueue()
        queue: SimpleQueue[Chunk | None] = SimpleQueue()
        self._queue = queue
        start_new_thread(self._run, (queue,))
        self._begun = True
        return queue

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self, queue: SimpleQueue[Chunk | None]) -> None:
        while (chunk := queue.get()) is not None:
            try:
                if self._error is None and not self._dropping:
                    self._work(chunk)
            except BaseException as error:
                self._error = error
            finally:
                self._room.put(None)
        self._end.put(None)
