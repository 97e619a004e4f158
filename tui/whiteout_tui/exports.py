"""The exports of this session: each in a thread of its own, with its progress and its outcome."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol, runtime_checkable

from textual.app import App
from textual.dom import DOMNode
from textual.message import Message
from textual.signal import Signal

from whiteout.cancel import CancelToken
from whiteout.contentstore import ContentStore
from whiteout.errors import Cancelled
from whiteout.export import ExportResult, default_ref
from whiteout.images import Blobs
from whiteout.sinks.model import Step
from whiteout.snapshot import Snapshot
from whiteout.verify import Verification, verify_blob, verify_stream
from whiteout_tui.export_plan import Outcome, Plan, StorePlan
from whiteout_tui.jobs import Jobs, send
from whiteout_tui.words import words_of

_PAUSE = 0.1


class ExportState(Enum):
    """How an export stands. The values are shown."""

    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Verified:
    """What reading the blobs again gave: of each new layer; or why it came to nothing."""

    found: tuple[Verification, ...] = ()
    failure: str | None = None


@dataclass(slots=True, eq=False)
class Export:
    """One export. Only the thread of the app changes it."""

    number: int
    snapshot: Snapshot
    plan: Plan
    expected: tuple[int, ...]
    """Bytes of tar of each new layer, from the bottom, by an estimate; empty without one."""
    began: float = field(default_factory=time.monotonic)
    clock: str = field(default_factory=lambda: time.strftime("%H:%M:%S"))
    state: ExportState = ExportState.RUNNING
    step: Step | None = None
    made_before: int = 0
    """Bytes of tar of the layers before the present one."""
    seconds: float = 0.0
    outcome: Outcome | None = None
    failure: str | None = None
    """A printable sentence."""
    verifying: bool = False
    verified: Verified | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state not in (ExportState.RUNNING, ExportState.CANCELLING)

    @property
    def fraction(self) -> float | None:
        """How much of the present step is done, from 0 to 1; None while that is not known."""
        step = self.step
        if step is None:
            return None
        if step.layer is None:
            return min(1.0, step.done / step.total) if step.total else None
        if len(self.expected) != step.count:
            return None
        return min(0.99, step.layer.uncompressed / self.expected[step.number - 1])

    @property
    def layer(self) -> ExportResult | None:
        """The topmost layer that was written."""
        return self.outcome.layers[-1] if self.outcome is not None else None


class Exports:
    """Starts exports, and knows of each what became of it; *app* must hand on what is told."""

    class Told(Message):
        """Something is to be changed in an export."""

        def __init__(self, export: Export, change: Callable[[Export], None]) -> None:
            super().__init__()
            self.export = export
            self.change = change

    def __init__(self, app: DOMNode) -> None:
        self._app = app
        self._jobs = Jobs(app)
        self.every: list[Export] = []
        self.changed: Signal[Export] = Signal(app, "exports")
        self.form: dict[str, str] = {}
        """What was last put into the dialog."""

    @property
    def running(self) -> list[Export]:
        """Those that are not over."""
        return [export for export in self.every if not export.is_over]

    def results(self, snapshot: Snapshot) -> list[ExportResult]:
        """The layers that were written of *snapshot*, in the order of the exports."""
        return [
            layer
            for export in self.every
            if export.snapshot is snapshot and export.outcome is not None
            for layer in export.outcome.layers
        ]

    def start(self, snapshot: Snapshot, plan: Plan, expected: tuple[int, ...]) -> Export:
        """Begin an export in the background; *expected* as in :class:`Export`."""
        number = len(self.every) + 1
        export = Export(number, snapshot, self._unlocked(snapshot, plan, number), expected)
        self.every.append(export)

        def work(token: CancelToken) -> None:
            try:
                outcome = export.plan.run(snapshot, self._reporter(export, token), token)
            except Exception as error:  # told even when it was cancelled, as that is an end, too
                self._tell(export, _failed(error))
            else:
                self._tell(export, _done(outcome))

        self._jobs.start(f"export-{number}", work, self._unexpected, writes=True)
        self.changed.publish(export)
        return export

    def _unlocked(self, snapshot: Snapshot, plan: Plan, number: int) -> Plan:
        """*plan* with a ref of its own, where another one of this session holds the usual one."""
        if not isinstance(plan, StorePlan) or plan.ref is not None:
            return plan
        held = {
            other.plan.lock(other.snapshot)
            for other in self.running
            if isinstance(other.plan, StorePlan)
        }
        if plan.lock(snapshot) not in held:
            return plan
        return replace(plan, ref=f"{default_ref(snapshot, plan.media_type)}-{number}")

    def _reporter(self, export: Export, token: CancelToken) -> Callable[[Step], None]:
        reported = 0.0
        action = None

        def report(step: Step) -> None:
            nonlocal reported, action
            token.check()
            now = time.monotonic()
            if step.action is action and now - reported < _PAUSE:
                return
            reported, action = now, step.action
            send(self._app, self.Told(export, stepped(step)), token)

        return report

    def _tell(self, export: Export, change: Callable[[Export], None]) -> None:
        with suppress(RuntimeError):  # the app is gone
            self._app.post_message(self.Told(export, change))

    def _unexpected(self, error: BaseException, token: CancelToken) -> Message:
        raise AssertionError("every error is told by the job itself") from error

    def cancel(self, export: Export) -> None:
        """Ask the export to stop, or else its verification."""
        if export.state is ExportState.RUNNING:
            export.state = ExportState.CANCELLING
            self._jobs.cancel(f"export-{export.number}")
        elif export.verifying:
            export.verifying = False
            self._jobs.cancel(f"verify-{export.number}")
        self.changed.publish(export)

    def verify(self, export: Export) -> None:
        """Read every new layer again, where it went to, and recompute its digests."""
        outcome = export.outcome
        if outcome is None or export.verifying:
            return
        export.verifying = True
        export.verified = None

        def work(token: CancelToken) -> None:
            found = []
            with export.plan.reading(token) as blobs:
                for layer in outcome.layers:
                    found.append(_verify(blobs, layer, token))
            send(self._app, self.Told(export, _verified(Verified(tuple(found)))), token)

        def failed(error: BaseException, token: CancelToken) -> Message:
            return self.Told(export, _verified(Verified(failure=words_of(error))))

        self._jobs.start(f"verify-{export.number}", work, failed)
        self.changed.publish(export)

    def take(self, told: Told) -> None:
        """Change what was told."""
        told.change(told.export)
        self.changed.publish(told.export)

    def stop(self) -> list[Export]:
        """Ask all of them to stop, without waiting; gives those that were still running."""
        running = self.running
        for export in running:
            export.state = ExportState.CANCELLING
        self._jobs.cancel_all()
        return running


def _verify(blobs: Blobs, layer: ExportResult, cancel: CancelToken) -> Verification:
    if isinstance(blobs, ContentStore):
        return verify_blob(blobs, layer.digest, cancel)
    with blobs.open(layer.digest) as file:
        return verify_stream(
            file, layer.digest, size=layer.size, label=layer.diff_id, cancel=cancel
        )


def stepped(step: Step) -> Callable[[Export], None]:
    """The change of an export that is at *step*."""

    def change(export: Export) -> None:
        before = export.step
        if before is not None and before.layer is not None and before.number < step.number:
            export.made_before += before.layer.uncompressed
        export.step = step
        export.seconds = time.monotonic() - export.began

    return change


def _done(outcome: Outcome) -> Callable[[Export], None]:
    def change(export: Export) -> None:
        export.outcome = outcome
        export.state = ExportState.DONE
        export.seconds = outcome.image.seconds if outcome.image else outcome.layers[-1].seconds

    return change


def _failed(error: BaseException) -> Callable[[Export], None]:
    def change(export: Export) -> None:
        export.seconds = time.monotonic() - export.began
        if isinstance(error, Cancelled):
            export.state = ExportState.CANCELLED
            export.failure = "cancelled; nothing was left behind"
        else:
            export.state = ExportState.FAILED
            export.failure = words_of(error)

    return change


def _verified(verified: Verified) -> Callable[[Export], None]:
    def change(export: Export) -> None:
        export.verifying = False
        export.verified = verified

    return change


@runtime_checkable
class HasExports(Protocol):
    """An app with exports."""

    exports: Exports


def exports_of(app: App[object]) -> Exports:
    """The exports of the session of *app*."""
    if not isinstance(app, HasExports):
        raise TypeError("an app without exports")
    return app.exports
