"""Work in the background stands back while a key is answered, and never for longer than it may."""

import threading

import pytest

from whiteout.cancel import CancelToken
from whiteout.errors import Cancelled
from whiteout_tui import courtesy
from whiteout_tui.courtesy import COURTESY, MOST, REST, Courtesy, PoliteToken


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_key_holds_work_back_until_it_is_answered_and_a_rest() -> None:
    clock = Clock()
    known = Courtesy(clock)
    assert known.until < clock.now
    known.begin()
    assert known.until == clock.now + MOST
    clock.now += MOST / 4
    known.answered()
    assert known.until == clock.now + REST


def test_an_answer_without_a_key_holds_nothing_back() -> None:
    clock = Clock()
    known = Courtesy(clock)
    known.answered()
    assert known.until < clock.now


def test_work_goes_on_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.now += seconds

    monkeypatch.setattr(courtesy.time, "sleep", sleep)
    known = Courtesy(clock)
    known.begin()
    known.stand_back(CancelToken())
    assert slept and sum(slept) == pytest.approx(MOST)


def test_cancelled_work_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(COURTESY, "until", float("inf"))
    token = PoliteToken()
    threading.Timer(0.01, token.cancel).start()
    with pytest.raises(Cancelled):
        token.check()
