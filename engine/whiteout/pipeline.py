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
    import queue
    import threading
    from typing import Self

Chunk = bytes | bytearray | memoryview

#: Bytes that are hashed and written sooner than a thread is there.
LITTLE = 1 << 20


class Stage:
    """Calls *work* with each chunk, in order, in a thread.

    The first chunks, of *little* bytes together, are worked on by whoever hands them over.

    Use it in a ``with`` block: leaving it by an error drops what is queued, leaving it well waits
    until everything is done. An error of *work* is raised again by :meth:`put` or at the end.
    """

    def __init__(
        self, name: str, work: Callable[[Chunk], object], *, little: int = LITTLE, depth: int = 4
    ) -> None:
        self._name = name
        self._work = work
        self._little = little
        self._depth = depth
        self._error: BaseException | None = None
        self._dropping = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._dropping = error is not None
        if self._thread is not None:
            self._queue.put(None)
            if self._thread.is_alive():  # it is not yet, where a signal raised as it began
                self._thread.join()
        if error is None:
            self._raise()

    def put(self, chunk: Chunk) -> None:
        """Hand over *chunk*, which must not change any more; waits while the stage is behind."""
        if self._thread is None:
            self._little -= len(chunk)
            if self._little >= 0:
                self._work(chunk)
                return
            self._start()
        self._raise()
        self._room.get()
        self._queue.put(chunk)

    def _start(self) -> None:
        import queue
        import threading

        self._queue: queue.SimpleQueue[Chunk | None] = queue.SimpleQueue()
        # no semaphore, whose lock may be let go twice when a signal raises within it
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(self._depth):
            self._room.put(None)
        thread = threading.Thread(target=self._run, name=f"whiteout-{self._name}", daemon=True)
        self._thread = thread
        thread.start()

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
