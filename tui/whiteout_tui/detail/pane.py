"""The pane of tabs: it asks for what its tab tells of the entry under the cursor, and shows it."""

from __future__ import annotations

from collections.abc import Callable

from textual import events
from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from whiteout.cancel import CancelToken
from whiteout.layerindex import index_layer
from whiteout.metadata import Inspection
from whiteout.snapshot import Snapshot
from whiteout_tui.actions import Scope, bindings
from whiteout_tui.detail.lines import trouble
from whiteout_tui.detail.question import Drawing, Indexing, Question
from whiteout_tui.detail.tabs import TABS, TabBar
from whiteout_tui.detail.terms import TERM
from whiteout_tui.detail.why import Why
from whiteout_tui.jobs import Jobs, send
from whiteout_tui.scrolling import ScrollingText
from whiteout_tui.words import words_of

#: Something that is done with an entry once both sides of it are known.
Deed = Callable[[App[object], Snapshot, Inspection], None]


class DetailPane(Vertical):
    """Shows one entry of a snapshot, in the chosen tab."""

    BINDINGS = bindings(Scope.DETAIL)

    class TermWanted(Message):
        """A marked word was clicked: the user wants to read of the term *name*."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    class Left(Message):
        """The user goes back to the tree."""

    class Answered(Message):
        """What a tab tells of an entry; the last answer to a question is ``final``."""

        def __init__(self, drawing: Drawing | None, final: bool, token: CancelToken) -> None:
            super().__init__()
            self.drawing = drawing
            self.final = final
            self.token = token

    class Indexed(Message):
        """The index of the layer is there, or cannot be."""

        def __init__(self, indexing: Indexing, token: CancelToken) -> None:
            super().__init__()
            self.indexing = indexing
            self.token = token

    class Inspected(Message):
        """An entry that something shall be done with, or why it cannot be."""

        def __init__(
            self, deed: Deed, inspection: Inspection | None, failure: str, token: CancelToken
        ) -> None:
            super().__init__()
            self.deed = deed
            self.inspection = inspection
            self.failure = failure
            self.token = token

    def __init__(self, snapshot: Snapshot, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.path: bytes | None = None
        """The path of the entry that was asked for last."""
        self._answered = True
        self._snapshot = snapshot
        self._jobs = Jobs(self)
        self._drawing: Drawing | None = None
        self._indexing: Indexing | None = None
        self._shown: tuple[bytes | None, int] = (None, 0)

    def compose(self) -> ComposeResult:
        """The names of the tabs, and one text, drawn anew for each width."""
        yield TabBar(id="tabs")
        with ScrollingText(id="detail-scroll"):
            yield Static("", markup=False, id="detail-text")

    @property
    def text(self) -> ScrollingText:
        """What is scrolled, and takes the keys."""
        return self.query_one(ScrollingText)

    @property
    def tab(self) -> int:
        """The number of the chosen tab, beginning at 0."""
        return self.query_one(TabBar).chosen

    @property
    def term(self) -> str:
        """The word of the glossary that explains most of what is shown; empty if none does."""
        return self._drawing.term if isinstance(self._drawing, Why) else ""

    def shows(self, path: bytes) -> bool:
        """Whether the pane tells of *path*, and nothing more is awaited."""
        indexing = TABS[self.tab].needs_index and not (self._indexing or Indexing()).is_done
        return self._answered and not indexing and self.path == path

    def on_unmount(self) -> None:
        """Leave no thread behind."""
        self.stop()

    def stop(self) -> None:
        """Stop what runs, without waiting for it."""
        self._jobs.cancel_all()

    # Asking

    def look_at(self, path: bytes) -> None:
        """Tell of the entry *path*; what is shown stays until the answer is there."""
        self.path = path
        self._ask()

    def choose(self, number: int) -> None:
        """Show the tab *number*."""
        self.query_one(TabBar).chosen = number % len(TABS)
        self._ask()

    def _ask(self) -> None:
        path = self.path
        if path is None:
            return
        tab = TABS[self.tab]
        if tab.needs_index and self._indexing is None:
            self._begin_index()
        indexing = self._indexing or Indexing()
        self._answered = False

        def answer(token: CancelToken) -> None:
            def show(drawing: Drawing) -> None:
                send(self, self.Answered(drawing, False, token), token)

            tab.load(Question(self._snapshot, path, token, indexing), show)
            send(self, self.Answered(None, True, token), token)

        def failed(error: BaseException, token: CancelToken) -> Message:
            sentence = words_of(error)
            return self.Answered(lambda width: trouble(sentence, width), True, token)

        self._jobs.start("look", answer, failed)

    def _begin_index(self) -> None:
        """Find out where every entry is, in the background; it is known for all rows then."""
        self._indexing = Indexing()

        def index(token: CancelToken) -> None:
            found = index_layer(self._snapshot, token)
            send(self, self.Indexed(Indexing(found), token), token)

        def failed(error: BaseException, token: CancelToken) -> Message:
            return self.Indexed(Indexing(failure=words_of(error)), token)

        self._jobs.start("index", index, failed)

    def on_detail_pane_indexed(self, indexed: Indexed) -> None:
        """Tell more of what is shown, now that it is known."""
        indexed.stop()
        if indexed.token.cancelled:
            return
        self._indexing = indexed.indexing
        if TABS[self.tab].needs_index:
            self._ask()

    def forget(self) -> None:
        """What was known of the whole layer may be true no more."""
        self._jobs.cancel("index")
        self._indexing = None

    def on_detail_pane_answered(self, answered: Answered) -> None:
        """Show an answer, unless something else was asked meanwhile."""
        answered.stop()
        if answered.token.cancelled:
            return
        self._answered = answered.final
        if answered.drawing is None:
            return
        self._drawing = answered.drawing
        self._draw()
        shown = self.path, self.tab
        if shown != self._shown:
            self._shown = shown
            self.text.scroll_home(animate=False)

    # Doing

    def do(self, deed: Deed, path: bytes) -> None:
        """Read both sides of *path*, and do *deed* with them."""

        def inspect(token: CancelToken) -> None:
            inspection = self._snapshot.inspect(path, cancel=token)
            send(self, self.Inspected(deed, inspection, "", token), token)

        def failed(error: BaseException, token: CancelToken) -> Message:
            return self.Inspected(deed, None, words_of(error), token)

        self._jobs.start("deed", inspect, failed)

    def on_detail_pane_inspected(self, inspected: Inspected) -> None:
        """Do it, unless something else is to be done by now."""
        inspected.stop()
        if inspected.token.cancelled:
            return
        self._jobs.cancel("deed")
        if inspected.inspection is None:
            self.notify(inspected.failure, severity="error", markup=False)
        else:
            inspected.deed(self.app, self._snapshot, inspected.inspection)

    # Showing

    def on_resize(self) -> None:
        """Draw for the new width."""
        self._draw()

    def _draw(self) -> None:
        width = self.text.scrollable_content_region.width
        if width < 4:
            return
        drawing = self._drawing
        self.query_one("#detail-text", Static).update(
            drawing(width) if drawing is not None else Content("")
        )

    def on_tab_bar_chosen(self, chosen: TabBar.Chosen) -> None:
        """A tab was clicked."""
        chosen.stop()
        self.choose(chosen.number)

    def on_click(self, event: events.Click) -> None:
        """A marked word leads to the glossary."""
        name = event.style.meta.get(TERM)
        if name is not None:
            event.stop()
            self.post_message(self.TermWanted(name))

    def action_leave_detail(self) -> None:
        """Back to the tree."""
        self.post_message(self.Left())
