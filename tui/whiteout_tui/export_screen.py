"""The export dialog: what to write, how it goes, what came of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import ContentSwitcher, Input, Label, ProgressBar, Static

from whiteout.cancel import CancelToken
from whiteout.contentstore import ContentStore
from whiteout.display import display_path, display_text
from whiteout.errors import Cancelled, UsageError
from whiteout.export import (
    ExportResult,
    Progress,
    default_store_path,
    export_to_store,
    swept_sentence,
)
from whiteout.mediatypes import COMPRESSIONS, media_type_of
from whiteout.snapshot import Snapshot
from whiteout.verify import Verification, verify_blob
from whiteout_tui.actions import Scope, bindings
from whiteout_tui.choice import Choice
from whiteout_tui.footer import ActionFooter
from whiteout_tui.formats import duration_text, exact_size, short_size
from whiteout_tui.jobs import Jobs, send
from whiteout_tui.result_table import ResultTable, Value
from whiteout_tui.shell import shell_word
from whiteout_tui.state import state_of
from whiteout_tui.words import words_of

_PAUSE = 0.1
_STEPS = {
    "form": {"submit", "dismiss_dialog"},
    "running": {"dismiss_dialog"},
    "result": {"copy", "copy_all", "verify", "again", "dismiss_dialog"},
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What the dialog asks for. ``level`` None is the default of the compression."""

    compression: str
    level: int | None
    store: str
    tag: str


class ExportScreen(ModalScreen[None]):
    """Writes the layer of a snapshot to a content store."""

    BINDINGS = bindings(Scope.EXPORT)
    AUTO_FOCUS = "#compression"

    class Progressed(Message):
        """How far the export is."""

        def __init__(self, entries: int, text: str) -> None:
            super().__init__()
            self.entries = entries
            self.text = text

    class Exported(Message):
        """The layer is in the store."""

        def __init__(self, result: ExportResult) -> None:
            super().__init__()
            self.result = result

    class Verified(Message):
        """The blob was read again."""

        def __init__(self, verification: Verification) -> None:
            super().__init__()
            self.verification = verification

    class Failed(Message):
        """The job failed; the sentence is printable."""

        def __init__(self, sentence: str) -> None:
            super().__init__()
            self.sentence = sentence

    def __init__(
        self,
        snapshot: Snapshot,
        store_path: str | None,
        expected: int | None,
        exported: Callable[[ExportResult], None] = lambda result: None,
    ) -> None:
        """``expected`` is the number of changes that the layer records, when it is known.

        *exported* is told of every layer that was written.
        """
        super().__init__()
        self._exported = exported
        self._snapshot = snapshot
        self._expected = expected or None
        self._store_path = store_path if store_path is not None else default_store_path()
        self._jobs = Jobs(self)
        self._wish: Wish | None = None
        self._result: ExportResult | None = None
        self._cancelling = False
        self.is_verifying = False

    def compose(self) -> ComposeResult:
        """The three steps, one of them in sight."""
        with Vertical(id="dialog"):
            yield Static(Content.styled("Export the layer", "bold $text-primary"), id="heading")
            with ContentSwitcher(initial="form"):
                with Vertical(id="form"):
                    with Horizontal(classes="line"):
                        yield Label("Compression")
                        yield Choice(tuple(COMPRESSIONS), "gzip", id="compression")
                    with Horizontal(classes="line"):
                        yield Label("Level")
                        yield Input(placeholder="default", id="level", compact=True)
                    with Horizontal(classes="line"):
                        yield Label("Store")
                        yield Input(display_text(self._store_path), id="store", compact=True)
                    with Horizontal(classes="line"):
                        yield Label("Tag")
                        yield Input("latest", id="tag", compact=True)
                    yield Static("", id="hint")
                with Vertical(id="running"):
                    yield ProgressBar(show_eta=False, show_percentage=False, id="bar")
                    yield Static("", id="progress")
                with VerticalScroll(id="result", can_focus=False):
                    yield ResultTable(id="values")
                    yield Static("", id="verification")
            yield Static("", id="failure", classes="-empty")
            yield ActionFooter()

    def on_mount(self) -> None:
        """Show what the dialog does."""
        for field in self.query(Input):
            field.cursor_blink = False
        self._show_hint()

    def on_unmount(self) -> None:
        """Leave no thread behind."""
        self.stop()

    def stop(self) -> None:
        """Stop what runs, without waiting for it."""
        self._jobs.cancel_all()

    # The steps

    @property
    def step(self) -> str:
        """``form``, ``running`` or ``result``."""
        return self.query_one(ContentSwitcher).current or "form"

    def _go(self, step: str, focus: str | None) -> None:
        self.query_one(ContentSwitcher).current = step
        if focus is None:
            self.set_focus(None)
        else:
            self.set_focus(self.query_one(focus))
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what the present step can do."""
        if action not in set().union(*_STEPS.values()):
            return True
        return action in _STEPS[self.step]

    def _fail(self, sentence: str) -> None:
        failure = self.query_one("#failure", Static)
        failure.update(Content(f"! {sentence}" if sentence else ""))
        failure.set_class(not sentence, "-empty")

    def on_choice_changed(self) -> None:
        """Another compression has other levels."""
        self._show_hint()

    def _show_hint(self) -> None:
        compression = self.query_one(Choice).word
        levels = {"none": "no level", "gzip": "level 0 to 9", "zstd": "level 1 to 22"}[compression]
        self.query_one("#level", Input).disabled = compression == "none"
        self.query_one("#hint", Static).update(
            Content(f"{media_type_of(compression)}, {levels}. The store is an OCI image layout.")
        )

    # Writing

    def _read_form(self) -> Wish:
        compression = self.query_one(Choice).word
        level_text = self.query_one("#level", Input).value.strip()
        store = self.query_one("#store", Input).value
        if store == display_text(self._store_path):
            store = self._store_path
        level: int | None = None
        if level_text and compression != "none":
            try:
                level = int(level_text)
            except ValueError:
                raise UsageError("the level is a whole number, or empty for the default") from None
        if not store.strip():
            raise UsageError("name the directory of the store to write to")
        state_of(self.app).store = os.path.abspath(os.path.expanduser(store))
        return Wish(
            compression, level, os.path.expanduser(store), self.query_one("#tag", Input).value
        )

    def on_input_submitted(self) -> None:
        """Enter in a field starts the export."""
        self.action_submit()

    def action_submit(self) -> None:
        """Start the export."""
        if self.step != "form":
            return
        try:
            wish = self._read_form()
        except UsageError as error:
            self._fail(words_of(error))
            return
        self._wish = wish
        self._cancelling = False
        self._fail("")
        self.query_one("#progress", Static).update("")
        self._go("running", None)

        def export(token: CancelToken) -> None:
            try:
                result = export_to_store(
                    self._snapshot,
                    ContentStore(wish.store),
                    media_type=media_type_of(wish.compression),
                    level=wish.level,
                    tag=wish.tag or None,
                    progress=self._reporter(token),
                    cancel=token,
                )
            except Exception as error:  # told even after esc: the dialog waits for the end
                self.post_message(self._failed(error, token))
            else:
                self.post_message(self.Exported(result))

        self._jobs.start("export", export, self._failed)

    def _failed(self, error: BaseException, token: CancelToken) -> Message:
        if isinstance(error, Cancelled):
            return self.Failed("cancelled; nothing was left behind")
        return self.Failed(words_of(error))

    def _reporter(self, token: CancelToken) -> Callable[[Progress], None]:
        started = reported = time.monotonic()

        def report(progress: Progress) -> None:
            nonlocal reported
            now = time.monotonic()
            if now - reported < _PAUSE:
                return
            reported = now
            rate = short_size(round(progress.uncompressed / max(now - started, 1e-3)))
            send(self, self.Progressed(progress.entries, text(progress, rate)), token)

        def text(progress: Progress, rate: str) -> str:
            return (
                f"{progress.entries:,} entries   {short_size(progress.uncompressed)} of tar   "
                f"{short_size(progress.written)} written   {rate}/s\n{display_path(progress.path)}"
            )

        return report

    def on_export_screen_progressed(self, progressed: Progressed) -> None:
        """Show how far it is."""
        if self._cancelling:
            return
        self.query_one("#progress", Static).update(Content(progressed.text))
        if self._expected is not None:
            bar = self.query_one(ProgressBar)
            bar.update(total=self._expected, progress=min(progressed.entries, self._expected))

    def on_export_screen_exported(self, exported: Exported) -> None:
        """Show the result."""
        self._result = exported.result
        self._exported(exported.result)
        self.query_one("#verification", Static).update("")
        self.query_one(ResultTable).show(result_values(exported.result), marked=1)
        self._go("result", "#values")

    def on_export_screen_failed(self, failed: Failed) -> None:
        """Say why, and go back to where it was asked for."""
        self.is_verifying = False
        if self.step == "running":
            self._go("form", "#compression")
        self._fail(failed.sentence)

    # The result

    def action_copy(self) -> None:
        """Copy the marked value."""
        table = self.query_one(ResultTable)
        value = table.values[table.marked]
        self._copy(value.copied, f"{value.label}: {value.shown}")

    def action_copy_all(self) -> None:
        """Copy every value, a line each."""
        values = self.query_one(ResultTable).values
        self._copy("\n".join(f"{value.label}: {value.copied}" for value in values), "the result")

    def _copy(self, text: str, shown: str) -> None:
        self.app.copy_to_clipboard(text)
        self.notify(shown, title="Copied", markup=False)

    def action_verify(self) -> None:
        """Read the blob again, and recompute both digests."""
        if self._result is None or self._wish is None:
            return
        self.is_verifying = True
        digest, store = self._result.digest, self._wish.store
        self._fail("")
        self.query_one("#verification", Static).update(Content("reading the blob again…"))

        def verify(token: CancelToken) -> None:
            verification = verify_blob(ContentStore(store, create=False), digest, cancel=token)
            send(self, self.Verified(verification), token)

        self._jobs.start("verify", verify, self._failed)

    def on_export_screen_verified(self, verified: Verified) -> None:
        """Show what was found."""
        self.is_verifying = False
        self.query_one("#verification", Static).update(
            verification_text(verified.verification, self._result)
        )
        self.query_one("#result").scroll_end(animate=False)

    def action_again(self) -> None:
        """Back to the form."""
        self._fail("")
        self._go("form", "#compression")

    def action_dismiss_dialog(self) -> None:
        """Cancel what runs, or close."""
        if self.step == "running" and not self._cancelling:
            self._cancelling = True
            self._jobs.cancel("export")
            self.query_one("#progress", Static).update("cancelling…")
            return
        self.dismiss()


def result_values(result: ExportResult) -> tuple[Value, ...]:
    """The lines of the result."""
    ratio = result.uncompressed_size / result.size if result.size else 1.0
    path = result.path or b""

    def plain(label: str, text: str) -> Value:
        return Value(label, text, text)

    swept = swept_sentence(result)
    return (
        plain("media type", result.media_type),
        plain("digest", result.digest),
        plain("diffID", result.diff_id),
        Value("size", exact_size(result.size), str(result.size)),
        Value(
            "tar",
            f"{exact_size(result.uncompressed_size)}, ratio {ratio:.2f}",
            str(result.uncompressed_size),
        ),
        Value("entries", f"{result.entries:,}", str(result.entries)),
        Value("time", duration_text(result.seconds), f"{result.seconds:.3f}"),
        Value("tag", display_text(result.tag or "none"), shell_word((result.tag or "").encode())),
        plain("differ", result.differ),
        Value("path", display_path(path), shell_word(path)),
        *([plain("swept", swept)] if swept is not None else []),
    )


def verification_text(verification: Verification, result: ExportResult | None) -> Content:
    """What a verification found, in words."""
    problems = list(verification.problems)
    if result is not None and verification.diff_id not in (None, result.diff_id):
        problems.append(f"its diffID is {verification.diff_id}")
    if problems:
        return Content.styled("\n".join(f"✗ {problem}" for problem in problems), "$text-error")
    return Content.styled(
        f"✓ verified: digest and diffID recomputed, {verification.entries:,} entries read",
        "$text-success",
    )
