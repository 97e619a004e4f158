"""Work in threads that can be told to stop.

Leaving the app waits for Textual's workers, however long they take. So these are threads of our
own: every job carries a :class:`~whiteout.cancel.CancelToken`, leaving the app cancels them all and
gives them a moment to tidy up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from textual.message import Message
from textual.message_pump import MessagePump

from whiteout.cancel import CancelToken
from whiteout.errors import Cancelled
from whiteout_tui.courtesy import PoliteToken

#: What a job does: it is given its token and posts its own messages.
Work = Callable[[CancelToken], None]


class Job:
    """One piece of work in a thread; it is dropped silently when it was cancelled."""

    __slots__ = ("_failed", "_work", "token")

    def __init__(self, work: Work, failed: Callable[[BaseException], None]) -> None:
        self.token: CancelToken = PoliteToken()
        self._work = work
        self._failed = failed

    def run(self) -> None:
        """Do the work. No error leaves this method."""
        try:
            self.token.check()
            self._work(self.token)
        except Cancelled as error:
            if not self.token.cancelled:
                self._failed(error)
        except Exception as error:
            self._failed(error)


#: The threads of the jobs that run, and whether each writes something that it has to tidy up.
_threads: dict[threading.Thread, bool] = {}


def _run(job: Job) -> None:
    try:
        job.run()
    finally:
        _threads.pop(threading.current_thread(), None)


def wait_for_jobs(seconds: float, *, only_writing: bool = False) -> bool:
    """Wait until no job runs any more, but no longer than *seconds*; gives whether none does.

    *only_writing* leaves out those that only read: they leave nothing behind.
    """
    deadline = time.monotonic() + seconds
    awaited = [thread for thread, writes in _threads.copy().items() if writes or not only_writing]
    for thread in awaited:
        thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in awaited)


class Jobs:
    """The running jobs of one screen, by name; a new one of a name cancels the one before."""

    def __init__(self, owner: MessagePump) -> None:
        self._owner = owner
        self._running: dict[str, Job] = {}

    def start(
        self,
        name: str,
        work: Work,
        failed: Callable[[BaseException, CancelToken], Message],
        *,
        writes: bool = False,
    ) -> None:
        """Do *work* in a thread; an error is posted as the message that *failed* makes of it.

        Leaving the app gives a job that *writes* time to remove what it has not finished.
        """
        self.cancel(name)

        def post(error: BaseException) -> None:
            send(self._owner, failed(error, job.token), job.token)

        job = Job(work, post)
        self._running[name] = job
        thread = threading.Thread(target=_run, args=(job,), name=name, daemon=True)
        _threads[thread] = writes
        thread.start()

    def cancel(self, name: str) -> None:
        """Ask the job *name* to stop, if there is one."""
        job = self._running.pop(name, None)
        if job is not None:
            job.token.cancel()

    def cancel_all(self) -> None:
        """Ask every job to stop."""
        for name in list(self._running):
            self.cancel(name)


def send(target: MessagePump, message: Message, token: CancelToken) -> None:
    """Post *message* from a thread, unless nobody wants it any more."""
    if not token.cancelled:
        with suppress(RuntimeError):  # the app is gone
            target.post_message(message)


class Window:
    """Back-pressure: at most *size* messages are under way, so that keys never queue behind."""

    __slots__ = ("_free",)

    def __init__(self, size: int = 2) -> None:
        self._free = threading.Semaphore(size)

    def enter(self, token: CancelToken) -> None:
        """Wait, in a thread, until one more message may go.

        Raises:
            Cancelled: the token was cancelled meanwhile.
        """
        while not self._free.acquire(timeout=0.05):
            token.check()

    def leave(self) -> None:
        """The app has dealt with a message."""
        self._free.release()
