"""Stages of work in threads, and signals that interrupt who feeds them."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from types import FrameType

import pytest

from whiteout.pipeline import Chunk, Stage


class Interrupted(KeyboardInterrupt):
    pass


def test_the_first_bytes_are_worked_on_without_a_thread_and_the_rest_in_one() -> None:
    done: list[tuple[bytes, bool]] = []
    here = threading.get_ident()

    def work(chunk: Chunk) -> None:
        done.append((bytes(chunk), threading.get_ident() == here))

    with Stage(work, little=3) as stage:
        for chunk in (b"ab", b"c", b"d", b"e"):
            stage.put(chunk)
    assert done == [(b"ab", True), (b"c", True), (b"d", False), (b"e", False)]


@pytest.mark.parametrize("little", [0, 100])
def test_an_error_of_the_work_reaches_who_feeds_it(little: int) -> None:
    done: list[Chunk] = []

    def work(chunk: Chunk) -> None:
        if chunk == b"bad":
            raise Interrupted
        done.append(chunk)

    with pytest.raises(Interrupted), Stage(work, little=little) as stage:
        for chunk in (b"good", b"bad", *[b"after"] * 100):
            stage.put(chunk)
    assert done == [b"good"]


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


def test_a_signal_at_any_moment_leaves_the_thread_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", failed.append)

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    chosen = random.Random(0)
    threads = _threads()
    try:
        for _ in range(300):
            with pytest.raises(Interrupted), Stage(lambda _: time.sleep(0), little=0) as stage:
                signal.setitimer(signal.ITIMER_REAL, chosen.uniform(0.00002, 0.001))
                while True:
                    stage.put(b"chunk")
    finally:
        signal.signal(signal.SIGALRM, before)
    for _ in range(1000):  # one that was not waited for ends by itself
        if _threads() > threads:
            time.sleep(0.001)
    assert _threads() == threads
    assert not failed
