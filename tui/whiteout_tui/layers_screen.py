"""The layers of one stack: each of them, or a range, opens as a snapshot."""

from __future__ import annotations

import time

from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from whiteout.cancel import CancelToken
from whiteout.display import display_text
from whiteout.opening import LayerRange, open_stack
from whiteout.snapshot import Snapshot
from whiteout.sources.stack import LayerStack
from whiteout_tui.actions import Scope, bindings
from whiteout_tui.browse_screen import BrowseScreen
from whiteout_tui.footer import ActionFooter
from whiteout_tui.jobs import Jobs, send
from whiteout_tui.prose import Prose
from whiteout_tui.record_rows import LAYERS_HEADING, about_layers, layer_rows
from whiteout_tui.row_list import RowList
from whiteout_tui.status import Notice, StatusLine, TitleLine
from whiteout_tui.words import words_of


class LayersScreen(Screen[None]):
    """Lists the layers of a stack, topmost first."""

    BINDINGS = bindings(Scope.LAYERS)
    AUTO_FOCUS = "RowList"

    class Opened(Message):
        """A snapshot is ready to be browsed."""

        def __init__(self, snapshot: Snapshot) -> None:
            super().__init__()
            self.snapshot = snapshot

    class Failed(Message):
        """Something failed; the sentence is printable."""

        def __init__(self, sentence: str) -> None:
            super().__init__()
            self.sentence = sentence

    def __init__(self, stack: LayerStack, store_path: str | None) -> None:
        super().__init__()
        self.layer_stack = stack
        self._store_path = store_path
        self._start: int | None = None
        self._jobs = Jobs(self)

    def compose(self) -> ComposeResult:
        """Title, layers, the one under the cursor, status, footer."""
        yield TitleLine(display_text(self.layer_stack.label), "layers, topmost first")
        yield Static(LAYERS_HEADING, classes="columns", markup=False)
        yield RowList(id="layers")
        yield Prose("", id="about", markup=False)
        yield StatusLine()
        yield ActionFooter()

    def on_mount(self) -> None:
        """Show the layers."""
        count = len(self.layer_stack.layers)
        self.query_one(StatusLine).show_state(Notice(f"{count:,} layers"))
        self._draw()

    def on_unmount(self) -> None:
        """Leave no thread behind."""
        self.stop()

    def stop(self) -> None:
        """Stop what runs, without waiting for it."""
        self._jobs.cancel_all()

    @property
    def _picked(self) -> int:
        picked = self.query_one(RowList).picked
        return picked if isinstance(picked, int) else 0

    @property
    def marked(self) -> range:
        """The layers that Enter opens: from the mark to the cursor."""
        ends = (self._picked, self._picked if self._start is None else self._start)
        return range(min(ends), max(ends) + 1)

    def _draw(self) -> None:
        marked = self.marked if self._start is not None else range(0)
        self.query_one(RowList).show_rows(layer_rows(self.layer_stack, time.time(), marked))

    def on_line_list_moved(self) -> None:
        """Draw the range to where the cursor is, and say what it would be."""
        rows = self.query_one(RowList)
        if self._start is not None:
            rows.redraw(layer_rows(self.layer_stack, time.time(), self.marked))
        about = about_layers(self.layer_stack, self._picked, self.marked)
        self.query_one("#about", Static).update(about)

    def action_mark(self) -> None:
        """Begin a range at this layer, or forget the one that was begun."""
        self._start = self._picked if self._start is None else None
        self._draw()

    def on_line_list_chosen(self) -> None:
        """Open the layer that was clicked twice."""
        self.action_pick()

    def action_pick(self) -> None:
        """Open this layer, or the range."""
        marked = self.marked

        def read(token: CancelToken) -> None:
            which = LayerRange(marked.start, marked.stop - 1)
            send(self, self.Opened(open_stack(self.layer_stack, which)), token)

        self._jobs.start("open", read, self._failed)

    def _failed(self, error: BaseException, token: CancelToken) -> Message:
        return self.Failed(words_of(error))

    def on_layers_screen_opened(self, opened: Opened) -> None:
        """Browse it."""
        self.app.push_screen(
            BrowseScreen(opened.snapshot, store_path=self._store_path, picked=True)
        )

    def on_layers_screen_failed(self, failed: Failed) -> None:
        """Say why it cannot be opened."""
        self.notify(failed.sentence, severity="error", markup=False)

    def action_leave(self) -> None:
        """Forget the range; without one, back to the list."""
        if self._start is not None:
            self.action_mark()
        else:
            self.dismiss()
