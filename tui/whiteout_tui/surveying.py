"""What is counted in the background, once somebody wants to see it: a snapshot, or its stack."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from textual.message import Message
from textual.widget import Widget

from whiteout.cancel import CancelToken
from whiteout.estimate import Estimate, estimate_layer
from whiteout.sinks.run import whole_stack
from whiteout.snapshot import Snapshot
from whiteout.survey import Survey, survey
from whiteout_tui.jobs import Jobs, send
from whiteout_tui.words import words_of

_JOB = "survey"
_STACK_JOB = "stack"


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What is known of the whole snapshot; ``problem`` says why the walk ended too early."""

    survey: Survey = field(default_factory=Survey)
    problem: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will become known."""
        return self.survey.complete or self.problem is not None


class _Counting:
    """Counts something of a snapshot in threads, begun once, for *owner*."""

    def __init__(self, owner: Widget, snapshot: Snapshot) -> None:
        self._owner = owner
        self._snapshot = snapshot
        self._jobs = Jobs(owner)
        self._begun = False

    def begin(self) -> None:
        """Begin to count, unless that was done before."""
        if not self._begun:
            self.begin_anew()

    def begin_anew(self) -> None:
        """Begin to count, once more."""
        self._begun = True
        self._start()

    def stop(self) -> None:
        """Stop counting, without waiting for it."""
        self._jobs.cancel_all()

    def _start(self) -> None:
        raise NotImplementedError


class Surveyor(_Counting):
    """Walks through a snapshot in a thread, and tells *owner* what is known."""

    class Told(Message):
        """More is known of the whole snapshot."""

        def __init__(self, surveyed: Surveyed, token: CancelToken | None) -> None:
            super().__init__()
            self.surveyed = surveyed
            self.token = token

    def __init__(self, owner: Widget, snapshot: Snapshot) -> None:
        super().__init__(owner, snapshot)
        self.known = Surveyed()

    def toggle(self) -> None:
        """Cancel the walk; when there is none, begin it anew."""
        if self.known.is_over:
            self.begin_anew()
        else:
            self.stop()
            self._post(replace(self.known, problem="cancelled by you"), None)

    def take(self, told: Told) -> Surveyed | None:
        """Take what was told; None when it is of a walk that was cancelled."""
        if told.token is not None and told.token.cancelled:
            return None
        self.known = told.surveyed
        return self.known

    def _start(self) -> None:
        self._post(Surveyed(), None)

        def walk(token: CancelToken) -> None:
            survey(
                self._snapshot,
                cancel=token,
                report=lambda found: send(self._owner, self.Told(Surveyed(found), token), token),
            )

        def failed(error: BaseException, token: CancelToken) -> Message:
            return self.Told(replace(self.known, problem=words_of(error)), token)

        self._jobs.start(_JOB, walk, failed)

    def _post(self, surveyed: Surveyed, token: CancelToken | None) -> None:
        self.known = surveyed
        self._owner.post_message(self.Told(surveyed, token))


@dataclass(frozen=True, slots=True)
class Counted:
    """The layers below a snapshot, from the bottom, as far as they are counted.

    ``count`` is how many there are; the last of ``estimates`` is not final before ``is_over``.
    """

    count: int = 0
    estimates: tuple[Estimate, ...] = ()
    is_over: bool = False
    problem: str | None = None


class StackSurveyor(_Counting):
    """Counts the layers below a snapshot in a thread, one by one, and tells *owner*."""

    class Told(Message):
        """More is known of the layers below."""

        def __init__(self, counted: Counted, token: CancelToken) -> None:
            super().__init__()
            self.counted = counted
            self.token = token

    def __init__(self, owner: Widget, snapshot: Snapshot) -> None:
        super().__init__(owner, snapshot)
        self.known = Counted()

    def take(self, told: Told) -> None:
        """Take what was told."""
        self.known = told.counted

    def _start(self) -> None:
        self._jobs.start(_STACK_JOB, self._count, self._failed)

    def _count(self, token: CancelToken) -> None:
        below = whole_stack(self._snapshot)[:-1]
        count = len(below)
        done: tuple[Estimate, ...] = ()

        def tell(counted: Counted) -> None:
            send(self._owner, self.Told(counted, token), token)

        for layer in below:

            def report(found: Survey, before: tuple[Estimate, ...] = done) -> None:
                tell(Counted(count, (*before, estimate_layer(found.totals))))

            found = survey(layer, cancel=token, report=report, files=0)
            done = (*done, estimate_layer(found.totals))
        tell(Counted(count, done, is_over=True))

    def _failed(self, error: BaseException, token: CancelToken) -> Message:
        return self.Told(replace(self.known, is_over=True, problem=words_of(error)), token)
