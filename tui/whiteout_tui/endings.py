"""Ends that come from outside: a signal to end, or a terminal that is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable

#: How long an app that was told to end may take, in seconds: without its terminal it may wait for
#: ever.
PATIENCE = 5.0
#: The exit status of an app that was ended from outside.
FAILED = 1


def end_on_signals(end: Callable[[], None]) -> None:
    """Let the running loop call *end* when SIGTERM or SIGHUP comes.

    Should the process still be there :data:`PATIENCE` seconds later, it ends without more ado.
    """

    def told() -> None:
        last = threading.Timer(PATIENCE, os._exit, (FAILED,))
        last.daemon = True
        last.start()
        end()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, told)
