"""A visit to the demo from another snapshot: built when it is wanted, gone when the app ends."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress

from textual.message import Message
from textual.message_pump import MessagePump

from whiteout.cancel import CancelToken
from whiteout.demo import build_demo, remove_demo
from whiteout.errors import WhiteoutError
from whiteout.opening import open_mounts
from whiteout.snapshot import Snapshot
from whiteout_tui.jobs import Jobs, send
from whiteout_tui.words import words_of

_JOB = "demo"


class TourWanted(Message):
    """The user wants the guided tour, and the demo is not open."""


class Visit:
    """Builds the demo in a temporary directory, and tells *owner* when it can be looked at."""

    class Ready(Message):
        """The demo is there; or it is not, and ``failure`` says why."""

        def __init__(self, snapshot: Snapshot | None, failure: str = "") -> None:
            super().__init__()
            self.snapshot = snapshot
            self.failure = failure

    def __init__(self, owner: MessagePump) -> None:
        self._owner = owner
        self._jobs = Jobs(owner)
        self._directory: str | None = None
        self._building = False
        self._snapshot: Snapshot | None = None

    def begin(self) -> None:
        """Build the demo in the background, unless that was done before."""
        if self._snapshot is not None:
            self._owner.post_message(self.Ready(self._snapshot))
        elif not self._building:
            self._building = True
            self._jobs.start(_JOB, self._build, self._failed, writes=True)

    def _build(self, token: CancelToken) -> None:
        directory = self._directory = tempfile.mkdtemp(prefix="whiteout-demo-")
        snapshot = open_mounts(build_demo(directory).mounts)._replace(label="demo")
        send(self._owner, self.Ready(snapshot), token)

    def _failed(self, error: BaseException, token: CancelToken) -> Message:
        return self.Ready(None, words_of(error))

    def take(self, ready: Ready) -> None:
        """Keep what was built, for the next visit."""
        self._building = False
        self._snapshot = ready.snapshot
        if ready.snapshot is None:
            self.remove()

    def remove(self) -> None:
        """Remove what was built."""
        self._jobs.cancel_all()
        directory, self._directory, self._snapshot = self._directory, None, None
        if directory is not None:
            with suppress(WhiteoutError):
                remove_demo(directory)
            shutil.rmtree(directory, ignore_errors=True)  # it was not whole yet
