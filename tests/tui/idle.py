"""When the app has nothing left to do: asked of its event loop and of its jobs, not of a clock.

Textual's pilot sleeps twice after each key, and at each pause, for at least a fiftieth of a second
and until the whole process hardly used the processor meanwhile. That costs most of the time of the
tests of the app, and on a busy machine a process that was not let run looks idle.
"""

from __future__ import annotations

import asyncio
import time

import pytest
import textual.app
import textual.pilot

from whiteout_tui import jobs

#: A timer that is due in so many seconds belongs to what is under way: the next frame, the path
#: below the tree. What comes later has a sign of its own to wait for.
_SOON = 0.03
#: For so long it is looked whether a job does anything: it may wait for what a test does next.
_SLICE = 0.02
#: Of a slice in which nothing is done, the processor has less than this.
_NOTHING = _SLICE / 20


async def wait_for_idle(min_sleep: float = 0.0, max_sleep: float = 1.0) -> None:
    """Wait until nothing is to be done in this loop, at once or soon, and no job does anything."""
    loop = asyncio.get_running_loop()
    deadline = time.monotonic() + max_sleep
    while time.monotonic() < deadline:
        # asked first: what a job sent before its end is in the loop
        resting = jobs.wait_for_jobs(0)
        await asyncio.sleep(0)
        if loop._ready:  # type: ignore[attr-defined]
            continue
        if due := [timer.when() for timer in loop._scheduled if not timer.cancelled()]:  # type: ignore[attr-defined]
            left = min(due) - loop.time()
            if left < _SOON:
                await asyncio.sleep(left)
                continue
        if resting:
            return
        used = time.process_time()
        await asyncio.sleep(_SLICE)
        if time.process_time() - used < _NOTHING and not loop._ready:  # type: ignore[attr-defined]
            return


@pytest.fixture(autouse=True)
def idle_when_nothing_is_left_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pilot takes this measure instead of its own."""
    monkeypatch.setattr(textual.app, "wait_for_idle", wait_for_idle)
    monkeypatch.setattr(textual.pilot, "wait_for_idle", wait_for_idle)
