"""The picker: everything on this host that can be opened, by engine, as it is found."""

from __future__ import annotations

import time
from itertools import islice

from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input, Static

from whiteout.cancel import CancelToken
from whiteout.display import display_path, display_text
from whiteout.opening import open_stack
from whiteout.privileges import TRUSTED_HIDDEN, can_read_trusted
from whiteout.snapshot import Snapshot
from whiteout.sources.model import Record, Source
from whiteout.sources.registry import discover_one, sources
from whiteout.sources.root import HOST, Root
from whiteout.sources.stack import Kind, LayerStack
from whiteout_tui.actions import Scope, bindings
from whiteout_tui.browse_screen import BrowseScreen
from whiteout_tui.field import Field
from whiteout_tui.footer import ActionFooter
from whiteout_tui.jobs import Jobs, send
from whiteout_tui.layers_screen import LayersScreen
from whiteout_tui.prose import Prose
from whiteout_tui.record_rows import about_record, matches, picker_heading, record_rows
from whiteout_tui.row_list import RowList
from whiteout_tui.status import Notice, StatusLine, TitleLine, WarningBar
from whiteout_tui.visit import TourWanted
from whiteout_tui.words import words_of

_BATCH = 200
NOTHING = (
    "No overlay is mounted here and no engine has a store that this process can see.\n\n"
    "Open an upper directory with    whiteout UPPERDIR --lower LOWERDIR\n"
    "or try the built-in example     whiteout demo"
)


class PickerScreen(Screen[None]):
    """Lists what the sources find, and opens one of it."""

    BINDINGS = bindings(Scope.PICKER)
    AUTO_FOCUS = "RowList"

    class Listed(Message):
        """Some more records of one source; ``done`` when they are the last."""

        def __init__(self, source: str, records: list[Record], done: bool) -> None:
            super().__init__()
            self.source = source
            self.records = records
            self.done = done

    class Opened(Message):
        """The layers of a record are found; of a single layer the snapshot is ready."""

        def __init__(self, stack: LayerStack, snapshot: Snapshot | None) -> None:
            super().__init__()
            self.stack = stack
            self.snapshot = snapshot

    class Failed(Message):
        """Something failed; the sentence is printable."""

        def __init__(self, sentence: str) -> None:
            super().__init__()
            self.sentence = sentence

    def __init__(self, store_path: str | None, root: Root = HOST) -> None:
        super().__init__()
        self._root = root
        self._store_path = store_path
        self._jobs = Jobs(self)
        self._trusted = can_read_trusted()
        self._found: dict[str, list[Record]] = {source.name: [] for source in sources()}
        self._stale: set[str] = set()
        self._reading: set[str] = set()

    def compose(self) -> ComposeResult:
        """Title, warning, list, the record under the cursor, filter, status, footer."""
        where = "this host" if self._root.is_host else display_path(self._root.path)
        yield TitleLine("snapshots", f"of {where}")
        hidden = f"{TRUSTED_HIDDEN}; rows with ? are doubtful"
        yield WarningBar(() if self._trusted else (hidden,), None)
        yield Static("", id="columns", classes="columns", markup=False)
        yield RowList(id="records")
        yield Static("", id="nothing", classes="-empty", markup=False)
        yield Prose("", id="about", markup=False)
        yield Field(placeholder="words that must be in the line", id="filter", classes="-empty")
        yield StatusLine()
        yield ActionFooter()

    def on_mount(self) -> None:
        """Ask every source."""
        self.action_reload()

    def on_resize(self) -> None:
        """The columns are as wide as there is room."""
        self.call_after_refresh(self._draw_heading)

    def _draw_heading(self) -> None:
        """The heading over the columns of the list, which a scrollbar makes narrower."""
        width = self.query_one(RowList).scrollable_content_region.width
        self.query_one("#columns", Static).update(Content(picker_heading(width)))

    def on_unmount(self) -> None:
        """Leave no thread behind."""
        self.stop()

    def stop(self) -> None:
        """Stop what runs, without waiting for it."""
        self._jobs.cancel_all()

    def _failed(self, error: BaseException, token: CancelToken) -> Message:
        return self.Failed(words_of(error))

    # The list

    def action_reload(self) -> None:
        """Ask every source again, each in a thread of its own."""
        every = sources()
        self._reading = {source.name for source in every}
        self._stale = set(self._reading)  # what was found before shows until there is more
        for source in every:
            self._read(source)
        self._draw()

    def _read(self, source: Source) -> None:
        def read(token: CancelToken) -> None:
            records = discover_one(source, self._root)
            while batch := list(islice(records, _BATCH)):
                token.check()
                send(self, self.Listed(source.name, batch, done=False), token)
            send(self, self.Listed(source.name, [], done=True), token)

        def failed(error: BaseException, token: CancelToken) -> Message:
            self.call_later(self.notify, words_of(error), severity="error", markup=False)
            return self.Listed(source.name, [], done=True)

        self._jobs.start(f"list {source.name}", read, failed)

    @property
    def is_reading(self) -> bool:
        """Whether a source may still find more."""
        return bool(self._reading)

    def on_picker_screen_listed(self, listed: Listed) -> None:
        """Show what was found."""
        if listed.source in self._stale:
            self._stale.discard(listed.source)
            self._found[listed.source] = []
        self._found[listed.source] += listed.records
        if listed.done:
            self._reading.discard(listed.source)
        self._draw()

    def _draw(self) -> None:
        words = self.query_one(Input).value.lower().split()
        every = [record for found in self._found.values() for record in found]
        shown = [record for record in every if matches(record, words)]
        rows = self.query_one(RowList)
        rows.show_rows(record_rows(shown, time.time(), trusted=self._trusted))
        rows.set_class(not shown, "-empty")
        self.call_after_refresh(self._draw_heading)
        message = self.query_one("#nothing", Static)
        message.set_class(bool(shown), "-empty")
        if not shown:
            message.update(Content(self._nothing(bool(every))))
        elif self.focused is None:
            rows.focus()
        self._show_state(len([record for record in every if record.kind is not Kind.STORE]), shown)

    def _nothing(self, filtered: bool) -> str:
        if filtered:
            return "Nothing has these words; Esc shows everything again."
        return "looking…" if self._reading else NOTHING

    def _show_state(self, count: int, shown: list[Record]) -> None:
        state = f"{count:,} snapshot" if count == 1 else f"{count:,} snapshots"
        if self.query_one(Input).value.strip():
            state = f"{sum(each.kind is not Kind.STORE for each in shown):,} of {state}"
        if self._reading:
            state += f", asking {', '.join(sorted(self._reading))}…"
        self.query_one(StatusLine).show_state(Notice(state))

    def on_line_list_moved(self) -> None:
        """Say more of the record under the cursor."""
        picked = self._picked
        about = Content("") if picked is None else about_record(picked, trusted=self._trusted)
        self.query_one("#about", Static).update(about)

    @property
    def _picked(self) -> Record | None:
        picked = self.query_one(RowList).picked
        return picked if isinstance(picked, Record) else None

    def action_tour(self) -> None:
        """Open the demo, for the guided tour."""
        self.post_message(TourWanted())

    # The filter

    def action_filter(self) -> None:
        """Type words that must be in a line for it to be shown."""
        line = self.query_one(Input)
        line.remove_class("-empty")
        line.focus()

    def action_unfilter(self) -> None:
        """Show everything again."""
        line = self.query_one(Input)
        line.value = ""
        line.add_class("-empty")
        self._draw()
        self.query_one(RowList).focus()

    def on_input_changed(self) -> None:
        """Show what the filter leaves."""
        self._draw()

    def on_input_submitted(self) -> None:
        """Back to the list, with the filter; an empty one goes away."""
        if self.query_one(Input).value.strip():
            self.query_one(RowList).focus()
        else:
            self.action_unfilter()

    # Opening

    def on_line_list_chosen(self) -> None:
        """Open the record that was clicked twice."""
        self.action_pick()

    def action_pick(self) -> None:
        """Open the record under the cursor."""
        record = self._picked
        if record is None:
            return

        def read(token: CancelToken) -> None:
            stack = record.stack()
            single = open_stack(stack) if len(stack.layers) == 1 else None
            send(self, self.Opened(stack, single), token)

        self.query_one(StatusLine).show_path(f"opening {display_text(record.target)}…")
        self._jobs.start("open", read, self._failed)

    def on_picker_screen_opened(self, opened: Opened) -> None:
        """Browse the only layer, or choose among several."""
        self.query_one(StatusLine).show_path("")
        if opened.snapshot is not None:
            snapshot = opened.snapshot
            self.app.push_screen(BrowseScreen(snapshot, store_path=self._store_path, picked=True))
        else:
            self.app.push_screen(LayersScreen(opened.stack, self._store_path))

    def on_picker_screen_failed(self, failed: Failed) -> None:
        """Say why it cannot be opened."""
        self.query_one(StatusLine).show_path("")
        self.notify(failed.sentence, severity="error", markup=False)
