"""Stages of work in threads, and signals that interrupt who feeds them."""

from __future__ import annotations

import random
import signal
import threading
import time
from types import FrameType

import pytest

from whiteout.pipeline import Chunk, Stage


class Interrupted(Exception):
    pass


def _give_way(_: object) -> None:
    time.sleep(0)


def _ended(name: str) -> bool:
    """Whether there is no thread *name* any more, or soon not: one may just have begun to run."""
    for _ in range(1000):
        if all(thread.name != name for thread in threading.enumerate()):
            return True
        time.sleep(0.001)
    return False


def test_the_first_bytes_are_worked_on_without_a_thread_and_the_rest_in_one() -> None:
    done: list[tuple[bytes, str]] = []

    def work(chunk: Chunk) -> None:
        done.append((bytes(chunk), threading.current_thread().name))

    with Stage("hash", work, little=3) as stage:
        for chunk in (b"ab", b"c", b"d", b"e"):
            stage.put(chunk)
    here = threading.current_thread().name
    assert done == [
        *((b"ab", here), (b"c", here)),
        *((b"d", "whiteout-hash"), (b"e", "whiteout-hash")),
    ]


@pytest.mark.parametrize("little", [0, 100])
def test_an_error_of_the_work_reaches_who_feeds_it(little: int) -> None:
    done: list[Chunk] = []

    def work(chunk: Chunk) -> None:
        if chunk == b"bad":
            raise Interrupted
        done.append(chunk)

    with pytest.raises(Interrupted), Stage("hash", work, little=little) as stage:
        for chunk in (b"good", b"bad", *[b"after"] * 100):
            stage.put(chunk)
    assert done == [b"good"]


def test_a_signal_at_any_moment_leaves_the_thread_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: failed.append(args.exc_value))

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    chosen = random.Random(0)
    try:
        for _ in range(300):
            with pytest.raises(Interrupted), Stage("busy", _give_way, little=0) as stage:
                signal.setitimer(signal.ITIMER_REAL, chosen.uniform(0.0002, 0.002))
                while True:
                    stage.put(b"chunk")
            assert _ended("whiteout-busy")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not failed
