"""The survey of a whole snapshot in the background, once somebody wants to see it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from textual.message import Message
from textual.widget import Widget

from whiteout.cancel import CancelToken
from whiteout.snapshot import Snapshot
from whiteout.survey import Survey, survey
from whiteout_tui.jobs import Jobs, send
from whiteout_tui.words import words_of

_JOB = "survey"


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What is known of the whole snapshot; ``problem`` says why the walk ended too early."""

    survey: Survey = field(default_factory=Survey)
    problem: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will become known."""
        return self.survey.complete or self.problem is not None


class Surveyor:
    """Walks through a snapshot in a thread, and tells *owner* what is known."""

    class Told(Message):
        """More is known of the whole snapshot."""

        def __init__(self, surveyed: Surveyed, token: CancelToken | None) -> None:
            super().__init__()
            self.surveyed = surveyed
            self.token = token

    def __init__(self, owner: Widget, snapshot: Snapshot) -> None:
        self._owner = owner
        self._snapshot = snapshot
        self._jobs = Jobs(owner)
        self._begun = False
        self.known = Surveyed()

    def begin(self) -> None:
        """Begin the walk, unless that was done before."""
        if not self._begun:
            self._start()

    def toggle(self) -> None:
        """Cancel the walk; when there is none, begin it anew."""
        if self.known.is_over:
            self._start()
        else:
            self.stop()
            self._post(replace(self.known, problem="cancelled by you"), None)

    def stop(self) -> None:
        """Stop the walk, without waiting for it."""
        self._jobs.cancel_all()

    def take(self, told: Told) -> Surveyed | None:
        """Take what was told; None when it is of a walk that was cancelled."""
        if told.token is not None and told.token.cancelled:
            return None
        self.known = told.surveyed
        return self.known

    def _start(self) -> None:
        self._begun = True
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
