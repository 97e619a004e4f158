"""The main screen: the tree of a snapshot, the detail of what is under the cursor."""

from __future__ import annotations

import os

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer

from whiteout.cancel import CancelToken
from whiteout.demo import lessons_of
from whiteout.snapshot import Snapshot
from whiteout_tui.actions import Scope, bindings
from whiteout_tui.counting import Counts
from whiteout_tui.detail import DetailPane, deeds
from whiteout_tui.export_plan import Plan
from whiteout_tui.export_screen import ExportScreen
from whiteout_tui.export_view import ExportView
from whiteout_tui.export_words import running_notices
from whiteout_tui.exports import Export, exports_of
from whiteout_tui.finder import Finder
from whiteout_tui.findings_screen import FindingsScreen
from whiteout_tui.footer import ActionFooter
from whiteout_tui.formats import glimpse
from whiteout_tui.glossary_screen import GlossaryScreen
from whiteout_tui.heading import Heading
from whiteout_tui.jobs import Jobs, Window, send
from whiteout_tui.loading import Listing, read_below, read_directory
from whiteout_tui.ordering import Order, SortKey
from whiteout_tui.panes import Divider, Panes
from whiteout_tui.prompt import Prompt, PromptMode
from whiteout_tui.reading import Reading
from whiteout_tui.rows import ROOT
from whiteout_tui.shell import shell_word
from whiteout_tui.state import state_of
from whiteout_tui.status import Notice, StatusLine, TitleLine, WarningBar
from whiteout_tui.survey_screen import SurveyScreen
from whiteout_tui.surveying import StackSurveyor, Surveyor
from whiteout_tui.totals_screen import TotalsScreen
from whiteout_tui.tour import steps_in
from whiteout_tui.tour_bar import TourBar
from whiteout_tui.tree import SnapshotTree
from whiteout_tui.visit import TourWanted
from whiteout_tui.watching import Watcher
from whiteout_tui.words import words_of

_DEBOUNCE = 0.08
#: All that lies between two changed lines of a screen is drawn anew: first the cursor is, and so
#: much later, in seconds, its path far below.
_PATH_AFTER = 0.025
_COUNT_EVERY = 0.1


class BrowseScreen(Screen[None]):
    """Browses one snapshot; ``picked`` tells that esc leads back to where it was opened.

    With ``tour`` the guided tour begins at once.
    """

    BINDINGS = bindings(Scope.BROWSE)
    AUTO_FOCUS = "SnapshotTree"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - as Textual has it
    VERTICAL_BREAKPOINTS = [(0, "-low"), (17, "-high")]  # noqa: RUF012

    class Read(Message):
        """More of a directory, or of several, was read."""

        def __init__(
            self, reading: Reading, listings: list[Listing], window: Window, token: CancelToken
        ) -> None:
            super().__init__()
            self.reading = reading
            self.listings = listings
            self.window = window
            self.token = token

    class ReadingEnded(Message):
        """Nothing more comes of the reading named ``name``; ``error`` says why too early."""

        def __init__(self, name: str, reading: Reading, error: str | None) -> None:
            super().__init__()
            self.name = name
            self.reading = reading
            self.error = error

    def __init__(
        self, snapshot: Snapshot, *, store_path: str | None, picked: bool, tour: bool = False
    ) -> None:
        super().__init__()
        self.snapshot = snapshot
        self.counts = Counts()
        self._store_path = store_path
        self._picked = picked
        self._tour = tour
        self._is_exporting = False
        self._jobs = Jobs(self)
        self._readings: dict[str, Reading] = {}
        self._problem: str | None = None
        self._debounce: Timer | None = None
        self._stating: Timer | None = None
        self._pathing: Timer | None = None
        self._hiding = False
        self._has_found = False
        self._surveyor = Surveyor(self, snapshot)
        self._stack_surveyor = StackSurveyor(self, snapshot)

    def compose(self) -> ComposeResult:
        """Title, warning, panes, status, footer."""
        snapshot = self.snapshot
        lowers = len(snapshot.lowerdirs)
        layers = f"{lowers} lower layer" if lowers == 1 else f"{lowers} lower layers"
        yield TitleLine(snapshot.label, f"{layers}, {snapshot.differ} differ")
        yield WarningBar(snapshot.doubts, snapshot.fallback)
        with Panes(id="panes", classes="-folded" if state_of(self.app).folded else None):
            with Vertical(id="tree-pane"):
                yield Heading()
                yield SnapshotTree(id="tree")
            yield Divider(id="divider")
            yield DetailPane(snapshot, id="detail")
        yield TourBar()
        yield Prompt()
        yield StatusLine()
        yield ActionFooter()

    @property
    def entries(self) -> SnapshotTree:
        """The tree."""
        return self.query_one(SnapshotTree)

    @property
    def detail(self) -> DetailPane:
        """The detail of what is under the cursor."""
        return self.query_one(DetailPane)

    @property
    def panes(self) -> Panes:
        """What holds them both."""
        return self.query_one(Panes)

    def on_mount(self) -> None:
        """Explain the first row, and read the snapshot."""
        self.finder = Finder(
            self,
            self.entries,
            self.query_one(Prompt),
            changed=self._show_state,
            complete=lambda: self.counts.complete,
        )
        self.watcher = Watcher(self, self.entries, self.snapshot, self._jobs)
        self.query_one(TitleLine).show(self.counts)
        state = state_of(self.app)
        self._sort(Order(SortKey(state.sort), state.turned))
        if state.hides_skipped:
            self.action_toggle_skipped()
        exports_of(self.app).changed.subscribe(self, self._export_changed)
        self._show_detail()
        self._show_state()
        self._read(ROOT, b"/", deep=True)
        self.watcher.start()
        if self._tour:
            self.call_after_refresh(self.action_tour)

    def on_unmount(self) -> None:
        """Leave no thread behind."""
        self.stop()

    def stop(self) -> None:
        """Stop everything that still runs, without waiting for it."""
        self._jobs.cancel_all()
        self._surveyor.stop()
        self._stack_surveyor.stop()
        for detail in self.query(DetailPane):
            detail.stop()

    # Reading

    def on_snapshot_tree_wanted(self, wanted: SnapshotTree.Wanted) -> None:
        """Read a directory that was opened before its turn."""
        readings = self._readings.values()
        if not any(reading.brings(wanted.row, wanted.path) for reading in readings):
            self._read(wanted.row, wanted.path, deep=False)

    def _read(self, row: int, path: bytes, *, deep: bool) -> None:
        """Read the directory *row* in a thread, with *deep* and everything below it."""
        name = f"read-{row}"
        reading = Reading(self.entries, row, path, deep=deep)
        window = Window()

        def work(token: CancelToken) -> None:
            def post(listings: list[Listing]) -> None:
                window.enter(token)
                send(self, self.Read(reading, listings, window, token), token)

            if deep:
                read_below(self.snapshot, path, token, post, reading.enter)
            else:
                read_directory(self.snapshot, path, token, post)
            send(self, self.ReadingEnded(name, reading, None), token)

        def failed(error: BaseException, token: CancelToken) -> Message:
            return self.ReadingEnded(name, reading, words_of(error))

        self._jobs.start(name, work, failed)
        self._readings[name] = reading

    def on_browse_screen_read(self, read: Read) -> None:
        """Put what was read into the tree, unless it is not wanted any more."""
        read.window.leave()
        if not read.token.cancelled:
            for listing in read.listings:
                read.reading.take(listing)
            self.finder.follow_soon()
            self._count_soon()

    def on_browse_screen_reading_ended(self, ended: ReadingEnded) -> None:
        """A reading came to its end."""
        if self._readings.get(ended.name) is not ended.reading:
            return
        self._jobs.cancel(ended.name)
        del self._readings[ended.name]
        if ended.error is not None:
            ended.reading.fail(ended.error)
            if ended.reading.deep:
                self._problem = ended.error
        self._count()

    @property
    def reading_on(self) -> bool:
        """Whether the snapshot is not yet read to its end."""
        return any(reading.deep for reading in self._readings.values())

    def _count_soon(self) -> None:
        if self._stating is None:
            self._stating = self.set_timer(_COUNT_EVERY, self._count)

    def _count(self) -> None:
        """Show how much was found."""
        if self._stating is not None:
            self._stating.stop()
            self._stating = None
        complete = not self.reading_on and self._problem is None
        self.counts = Counts(self.entries.rows.tally(), complete, self._problem)
        self.query_one(TitleLine).show(self.counts)
        self.entries.open_more()
        if complete:
            self.entries.opening_all = False
            self.finder.follow_soon()
        self._show_state()

    def on_watcher_looked(self, looked: Watcher.Looked) -> None:
        """It was looked whether the rows in sight are still what they were."""
        before = self.watcher.told()
        self.watcher.take(looked)
        if self.watcher.told() != before:
            self._show_state()

    # The detail

    def on_snapshot_tree_moved(self) -> None:
        """Explain the row under the cursor, once the cursor rests."""
        if self._pathing is None:
            self._pathing = self.set_timer(_PATH_AFTER, self._show_path)
        if self.finder.search is not None:
            self._show_state()
        if self._debounce is not None:
            self._debounce.stop()
        self._debounce = self.set_timer(_DEBOUNCE, self._show_detail)

    def _show_detail(self) -> None:
        self._show_path()
        self.detail.look_at(self.entries.cursor_path)

    # The status

    def _show_path(self) -> None:
        if self._pathing is not None:
            self._pathing.stop()
            self._pathing = None
        self.query_one(StatusLine).show_trail(self.entries.cursor_path)

    def on_status_line_chosen(self, chosen: StatusLine.Chosen) -> None:
        """Go to the directory whose name was clicked in the path under the cursor."""
        self.entries.jump_to(self.entries.row_at(chosen.path))
        self._go_to_tree()

    def _show_state(self) -> None:
        hidden = self.entries.rows.hidden
        notices = [
            *self.finder.told(),
            *self.watcher.told(),
            *running_notices(exports_of(self.app).running),
        ]
        if self._hiding:
            notices.append(
                Notice(f"{hidden:,} skipped hidden, u shows them", f"{hidden:,} hidden, u")
            )
        if self.counts.problem is not None:
            notices.append(Notice(f"reading stopped: {self.counts.problem}", "reading stopped"))
        elif not self.counts.complete:
            notices.append(Notice(f"reading… {self.counts.total:,}"))
        self.query_one(StatusLine).show_state(*notices)
        found = self.finder.search is not None or self.finder.filter is not None
        if self._has_found != found:
            self._has_found = found
            self.refresh_bindings()

    # Actions

    def action_export(self) -> None:
        """Open the export dialog."""
        store = self._store_path or state_of(self.app).store
        dialog = ExportScreen(self.snapshot, store, self._surveyor, self._stack_surveyor)

        def begin(plan: Plan | None) -> None:
            if plan is not None:
                export = exports_of(self.app).start(self.snapshot, plan, dialog.expected)
                self.app.push_screen(ExportView(export), self.reveal)

        self.app.push_screen(dialog, begin)

    def _export_changed(self, export: Export) -> None:
        running = bool(exports_of(self.app).running)
        if running or self._is_exporting:
            self._is_exporting = running
            self._show_state()

    def action_totals(self) -> None:
        """Show the totals of the whole snapshot."""
        self._show_survey(TotalsScreen(self._surveyor, self.snapshot.label))

    def action_findings(self) -> None:
        """Show what deserves attention."""
        self._show_survey(FindingsScreen(self._surveyor, self.snapshot.label))

    def _show_survey(self, screen: SurveyScreen) -> None:
        self._surveyor.begin()
        self.app.push_screen(screen, self.reveal)

    def on_surveyor_told(self, told: Surveyor.Told) -> None:
        """More is known of the whole snapshot."""
        if self._surveyor.take(told) is not None:
            for screen in self.app.screen_stack:
                if isinstance(screen, SurveyScreen):
                    screen.show()
            self._show_estimate()

    def on_stack_surveyor_told(self, told: StackSurveyor.Told) -> None:
        """More is known of the layers below."""
        self._stack_surveyor.take(told)
        self._show_estimate()

    def _show_estimate(self) -> None:
        for screen in self.app.screen_stack:
            if isinstance(screen, ExportScreen):
                screen.show_estimate()

    def action_glossary(self) -> None:
        """Explain the words; in the detail, begin with the one that says most there."""
        self._explain(self.detail.term if self.detail.has_focus_within else "")

    def on_detail_pane_term_wanted(self, wanted: DetailPane.TermWanted) -> None:
        """Explain a word that was clicked."""
        self._explain(wanted.name)

    def _explain(self, word: str) -> None:
        self.app.push_screen(GlossaryScreen(word, examples=lessons_of(self.snapshot)), self.reveal)

    def action_tour(self) -> None:
        """Begin the guided tour, or go back to it; of another snapshot, open the demo for it."""
        steps = steps_in(lessons_of(self.snapshot))
        if steps:
            self.query_one(TourBar).begin(steps)
        else:
            self.post_message(TourWanted())

    def on_tour_bar_reached(self, reached: TourBar.Reached) -> None:
        """Bring the row and the pane of a step."""
        step = reached.step
        self.finder.clear()
        self.reveal(step.path)
        if step.tab is not None:
            self.detail.choose(step.tab)
            self.panes.show_detail()
        self.query_one("#tree-pane").set_class(step.tab is None, "-toured")
        self.detail.set_class(step.tab is not None, "-toured")
        self.set_focus(self.query_one(TourBar))

    def on_tour_bar_ended(self) -> None:
        """Go on without the tour."""
        for pane in (self.query_one("#tree-pane"), self.detail):
            pane.remove_class("-toured")
        self._go_to_tree()
        if self._tour and self._picked:
            self.notify(
                "Esc leads back. This demo is in a temporary directory that goes when you quit.",
                title="Demo",
                markup=False,
            )

    def reveal(self, path: bytes | None) -> None:
        """Bring the row of *path* under the cursor, opening the directories on its way."""
        if path is None:
            return
        if self._hiding:
            self.action_toggle_skipped()
        self.entries.go_to(os.fsdecode(path), self._tell_lost)
        self._go_to_tree()

    def _tell_lost(self, failure: str | None) -> None:
        if failure is not None:
            self.notify(failure, severity="warning", markup=False)

    def action_toggle_skipped(self) -> None:
        """Hide the skipped entries, or show them again."""
        self._hiding = not self._hiding
        state_of(self.app).hides_skipped = self._hiding
        self.entries.hide_skipped(self._hiding)
        self.finder.restart()
        self._show_state()

    def action_sort(self) -> None:
        """Sort by the next key."""
        self._sort(Order(self.entries.rows.order.key.following))

    def action_turn_order(self) -> None:
        """Turn the order around."""
        order = self.entries.rows.order
        self._sort(Order(order.key, not order.turned))

    def on_heading_clicked(self, clicked: Heading.Clicked) -> None:
        """Sort by the clicked column; turn the order if it is sorted by that."""
        order = self.entries.rows.order
        same = clicked.key is order.key
        self._sort(Order(clicked.key, same and not order.turned))

    def _sort(self, order: Order) -> None:
        state = state_of(self.app)
        state.sort, state.turned = order.key.value, order.turned
        self.entries.sort(order)
        self.query_one(Heading).show(order)

    def action_reload(self) -> None:
        """Read the directory under the cursor again, and everything below it."""
        reload = self.entries.reload()
        if reload is None:
            return
        for row in reload.in_vain:
            self._stop_reading(f"read-{row}")
        for reading in self._readings.values():
            reading.forget(reload.path)
        self._read(reload.row, reload.path, deep=True)
        self.watcher.forget(reload.row)
        self.finder.restart()
        self.detail.forget()
        self._show_detail()
        self._count()

    def _stop_reading(self, name: str) -> None:
        self._jobs.cancel(name)
        self._readings.pop(name, None)

    def action_copy_path(self) -> None:
        """Copy the path under the cursor, quoted for a shell."""
        word = shell_word(self.entries.cursor_path)
        self.app.copy_to_clipboard(word)
        self.notify(glimpse(word), title="Copied", markup=False)

    def action_switch_pane(self) -> None:
        """From the tree to the detail, and back."""
        if self.entries.has_focus:
            self._go_to_detail()
        else:
            self._go_to_tree()

    def _go_to_detail(self) -> None:
        self.panes.show_detail()
        self.set_focus(self.detail.text)

    def _go_to_tree(self) -> None:
        self.panes.show_tree()
        self.set_focus(self.entries)

    def action_narrower(self) -> None:
        """Give the detail more of the screen."""
        self.panes.divide(-5)

    def action_wider(self) -> None:
        """Give the tree more of the screen."""
        self.panes.divide(5)

    def action_toggle_detail(self) -> None:
        """Show why; where that is in sight, fold the detail away."""
        if self.panes.shows_detail and self.detail.tab == 0:
            self.panes.fold_detail()
            self.set_focus(self.entries)
        else:
            self._show_tab(0)

    def action_tab_why(self) -> None:
        """Show why."""
        self._show_tab(0)

    def action_tab_sides(self) -> None:
        """Show both sides."""
        self._show_tab(1)

    def action_tab_tar(self) -> None:
        """Show the tar entry."""
        self._show_tab(2)

    def action_tab_content(self) -> None:
        """Show the content."""
        self._show_tab(3)

    def action_tab_layers(self) -> None:
        """Show what each layer holds."""
        self._show_tab(4)

    def action_previous_tab(self) -> None:
        """Show the tab before."""
        self._show_tab(self.detail.tab - 1)

    def action_next_tab(self) -> None:
        """Show the next tab."""
        self._show_tab(self.detail.tab + 1)

    def action_view_content(self) -> None:
        """Show the whole content in the pager."""
        self.detail.do(deeds.view_content, self.entries.cursor_path)

    def action_extract(self) -> None:
        """Ask where to copy the file under the cursor to."""
        self.detail.do(deeds.extract_file, self.entries.cursor_path)

    def action_copy_menu(self) -> None:
        """Offer what can be copied."""
        self.detail.do(
            deeds.copy_menu(exports_of(self.app).results(self.snapshot)), self.entries.cursor_path
        )

    def _show_tab(self, number: int) -> None:
        self.detail.choose(number)
        if self.panes.only_one:
            self._go_to_detail()
        else:
            self.panes.show_detail()

    def on_snapshot_tree_activated(self) -> None:
        """Enter on a file leads to its detail."""
        self._go_to_detail()

    def on_detail_pane_left(self) -> None:
        """Back to the tree."""
        self._go_to_tree()

    def action_close(self) -> None:
        """Undo the search, or else the filter, or else go back to where it was picked."""
        if not self.finder.clear() and self._picked:
            self.dismiss()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to go back only where there is something to go back to."""
        if action == "close":
            return self._picked or self._has_found
        return super().check_action(action, parameters)

    # Finding

    def action_search(self) -> None:
        """Ask what to search for."""
        self.finder.ask(PromptMode.SEARCH)

    def action_next_match(self) -> None:
        """To the next match."""
        self.finder.step_match(1)

    def action_previous_match(self) -> None:
        """To the match before."""
        self.finder.step_match(-1)

    def action_filter(self) -> None:
        """Ask what to show."""
        self.finder.ask(PromptMode.FILTER)

    def action_go_to(self) -> None:
        """Ask where to go."""
        self.finder.ask(PromptMode.PATH)

    def on_prompt_changed(self, changed: Prompt.Changed) -> None:
        """Search or filter while it is typed."""
        self.finder.type(changed.mode, changed.text)

    def on_prompt_accepted(self, accepted: Prompt.Accepted) -> None:
        """Keep what was typed."""
        self.finder.accept(accepted.mode, accepted.text)

    def on_prompt_left(self, left: Prompt.Left) -> None:
        """Undo what was typed."""
        self.finder.leave(left.mode)

    def on_prompt_stepped(self, stepped: Prompt.Stepped) -> None:
        """To another match, while typing."""
        self.finder.step_match(stepped.by)
        self.finder.tell()

    def on_prompt_completed(self, completed: Prompt.Completed) -> None:
        """Complete the path."""
        self.finder.complete_path(completed.text)
