"""The dialog that copies one file out of the snapshot."""

from __future__ import annotations

import os
import re

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from whiteout.cancel import CancelToken
from whiteout.content import Extracted, Side, extract
from whiteout.display import display_name, display_path
from whiteout.errors import UsageError, WhiteoutError
from whiteout.snapshot import Snapshot
from whiteout_tui.actions import Scope, bindings
from whiteout_tui.choice import Choice
from whiteout_tui.field import DialogField
from whiteout_tui.footer import ActionFooter
from whiteout_tui.formats import exact_size
from whiteout_tui.jobs import Jobs, send
from whiteout_tui.prose import Prose
from whiteout_tui.words import words_of

_UNSAFE = re.compile(r"[^\w .,@+=-]|^[ .-]+")


def default_name(path: bytes) -> str:
    """A harmless name for a copy of *path*: what could do something is replaced by ``_``."""
    return _UNSAFE.sub("_", display_name(path.rpartition(b"/")[2]))[:200] or "file"


def destination(typed: str, path: bytes) -> bytes:
    """Where the copy goes: ``~`` stands for the home directory; into a directory, under its name.

    Raises:
        UsageError: nothing was typed.
    """
    if not typed.strip() or "\0" in typed:
        raise UsageError("name the file to write to")
    target = os.path.expanduser(typed)
    if os.path.isdir(target):
        target = os.path.join(target, default_name(path))
    return os.fsencode(target)


class ExtractScreen(ModalScreen[None]):
    """Asks where a file shall go, and copies it there; nothing is ever replaced."""

    BINDINGS = bindings(Scope.EXTRACT)
    AUTO_FOCUS = "#destination"

    class Done(Message):
        """The file is there."""

        def __init__(self, extracted: Extracted) -> None:
            super().__init__()
            self.extracted = extracted

    class Failed(Message):
        """It is not; the sentence is printable."""

        def __init__(self, sentence: str) -> None:
            super().__init__()
            self.sentence = sentence

    def __init__(self, snapshot: Snapshot, path: bytes, sides: tuple[Side, ...]) -> None:
        """*sides* are those that have a file at *path*, the one to copy first."""
        super().__init__()
        self._snapshot = snapshot
        self._path = path
        self._sides = sides
        self._jobs = Jobs(self)
        self.is_copying = False

    def compose(self) -> ComposeResult:
        """What is copied, from which side, and where to."""
        with Vertical(id="dialog"):
            yield Static(Content.styled("Extract a file", "bold $text-primary"), id="heading")
            yield Prose(Content(display_path(self._path)), id="source")
            if len(self._sides) > 1:
                with Horizontal(classes="line"):
                    yield Label("Side")
                    yield Choice(self._sides, self._sides[0], id="side")
            with Horizontal(classes="line"):
                yield Label("To")
                yield DialogField(default_name(self._path), id="destination", compact=True)
            yield Static(
                Content("Enter copies it there. ~ is your home directory. Nothing is replaced."),
                id="hint",
            )
            yield Prose("", id="failure", classes="-empty")
            yield ActionFooter()

    def on_mount(self) -> None:
        """No cursor blinks."""
        self.query_one(Input).cursor_blink = False

    def on_unmount(self) -> None:
        """Leave no thread behind."""
        self.stop()

    def stop(self) -> None:
        """Stop what runs, without waiting for it."""
        self._jobs.cancel_all()

    def action_write(self) -> None:
        """Copy the file."""
        if self.is_copying:
            return
        try:
            target = destination(self.query_one(Input).value, self._path)
        except WhiteoutError as error:
            self._tell(f"! {words_of(error)}")
            return
        choices = self.query(Choice)
        side = self._sides[choices.first().value if choices else 0]
        self.is_copying = True
        self._tell("copying… Esc cancels")

        def copy(token: CancelToken) -> None:
            extracted = extract(self._snapshot, self._path, target, side, token)
            send(self, self.Done(extracted), token)

        def failed(error: BaseException, token: CancelToken) -> Message:
            return self.Failed(words_of(error))

        self._jobs.start("extract", copy, failed, writes=True)

    def on_extract_screen_done(self, done: Done) -> None:
        """Say where it is, how large, and what it holds."""
        extracted = done.extracted
        self.app.notify(
            f"{display_path(extracted.path)}\n{exact_size(extracted.size)}\n"
            f"sha256:{extracted.sha256}",
            title="Extracted",
            timeout=20,
            markup=False,
        )
        self.dismiss()

    def on_extract_screen_failed(self, failed: Failed) -> None:
        """Say why not; another path may do."""
        self.is_copying = False
        self._tell(f"! {failed.sentence}")

    def _tell(self, text: str) -> None:
        failure = self.query_one("#failure", Static)
        failure.update(Content(text))
        failure.remove_class("-empty")
        self.query_one("#dialog").add_class("-failed")

    def action_dismiss_dialog(self) -> None:
        """Close; what is not whole yet is removed again."""
        self.stop()
        self.dismiss()
