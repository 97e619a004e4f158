"""Stages of work in threads, and signals that interrupt who feeds them."""

from __future__ import annotations

import random
import signal
import threading
import time
from types import FrameType

import pytest

from whiteout.pipeline import Stage


class Interrupted(Exception):
    pass


def test_a_signal_at_any_moment_leaves_the_thread_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: failed.append(args.exc_value))

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    chosen = random.Random(0)
    try:
        for _ in range(300):
            with pytest.raises(Interrupted), Stage("work", lambda _: time.sleep(0)) as stage:
                signal.setitimer(signal.ITIMER_REAL, chosen.uniform(0.0002, 0.002))
                while True:
                    stage.put(b"chunk")
            assert not stage._thread.is_alive()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not failed
