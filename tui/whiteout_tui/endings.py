"""Ends that come from outside: a signal to end, or a terminal that is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

#: How long an app that was told to end may take, in seconds.
PATIENCE = 5.0
#: The exit status of an app that was ended from outside.
FAILED = 1


def end_on_signals(end: Callable[[], None]) -> None:
    """Let the running loop call *end* when SIGTERM or SIGHUP comes.

    Should the process still be there :data:`PATIENCE` seconds later, it ends without more ado.
    """
    loop = asyncio.get_running_loop()

    def told(number: int, frame: FrameType | None) -> None:
        # The kernel sends SIGCONT after SIGHUP. Textual would read the keys of the terminal that
        # is gone once more, and never stop.
        signal.signal(signal.SIGCONT, lambda *_: None)
        last = threading.Timer(PATIENCE, os._exit, (FAILED,))
        last.daemon = True
        last.start()
        with suppress(RuntimeError):  # the loop has come to its end already
            loop.call_soon_threadsafe(end)

    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, told)
