"""The main screen: the tree of a snapshot, the detail of what is under the cursor."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Static

from whiteout.cancel import CancelToken
from whiteout.display import display_path
from whiteout.snapshot import Snapshot
from whiteout_tui.actions import Scope, bindings
from whiteout_tui.counting import Counts, count_changes
from whiteout_tui.detail import DetailPane
from whiteout_tui.export_screen import ExportScreen
from whiteout_tui.footer import ActionFooter
from whiteout_tui.jobs import Jobs, Window, send
from whiteout_tui.loading import read_directory
from whiteout_tui.rowdata import RowData
from whiteout_tui.shell import shell_word
from whiteout_tui.status import StatusLine, TitleLine, WarningBar
from whiteout_tui.tree import HEADING, SnapshotTree
from whiteout_tui.words import words_of

_DEBOUNCE = 0.08


class BrowseScreen(Screen[None]):
    """Browses one snapshot; ``picked`` tells that esc leads back to where it was picked."""

    BINDINGS = bindings(Scope.BROWSE)
    AUTO_FOCUS = "SnapshotTree"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012 - as Textual has it

    class RowsRead(Message):
        """A batch of rows of the directory ``row``."""

        def __init__(self, row: int, batch: list[RowData], token: CancelToken) -> None:
            super().__init__()
            self.row = row
            self.batch = batch
            self.token = token

    class DirectoryRead(Message):
        """The directory ``row`` is read, or failed for ``error``."""

        def __init__(self, row: int, error: str | None, token: CancelToken) -> None:
            super().__init__()
            self.row = row
            self.error = error
            self.token = token

    class Counted(Message):
        """New counts of the whole snapshot."""

        def __init__(self, counts: Counts) -> None:
            super().__init__()
            self.counts = counts

    def __init__(self, snapshot: Snapshot, *, store_path: str | None, picked: bool) -> None:
        super().__init__()
        self.snapshot = snapshot
        self.counts = Counts()
        self._store_path = store_path
        self._picked = picked
        self._jobs = Jobs(self)
        self._window = Window()
        self._debounce: Timer | None = None
        self._counting = False
        self._hiding = False

    def compose(self) -> ComposeResult:
        """Title, warning, panes, status, footer."""
        snapshot = self.snapshot
        lowers = len(snapshot.lowerdirs)
        layers = f"{lowers} lower layer" if lowers == 1 else f"{lowers} lower layers"
        yield TitleLine(snapshot.label, f"{layers}, {snapshot.differ} differ")
        yield WarningBar(snapshot.doubts, snapshot.fallback)
        with Container(id="panes"):
            with Vertical(id="tree-pane"):
                yield Static(HEADING, id="heading", markup=False)
                yield SnapshotTree(id="tree")
            yield DetailPane(snapshot, id="detail")
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

    def on_mount(self) -> None:
        """Explain the first row; the tree asks for its first directory itself."""
        self.query_one(TitleLine).show(self.counts)
        self._show_detail()
        self._show_state()

    def on_unmount(self) -> None:
        """Leave no thread behind."""
        self.stop()

    def stop(self) -> None:
        """Stop everything that still runs, without waiting for it."""
        self._jobs.cancel_all()
        for detail in self.query(DetailPane):
            detail.stop()

    # Reading directories

    def on_snapshot_tree_wanted(self, wanted: SnapshotTree.Wanted) -> None:
        """Read a directory in a thread, in batches."""
        row, path = wanted.row, wanted.path

        def read(token: CancelToken) -> None:
            def post(batch: list[RowData]) -> None:
                self._window.enter(token)
                self.post_message(self.RowsRead(row, batch, token))

            read_directory(self.snapshot, path, token, post)
            send(self, self.DirectoryRead(row, None, token), token)

        def failed(error: BaseException, token: CancelToken) -> Message:
            return self.DirectoryRead(row, words_of(error), token)

        self._jobs.start(f"read-{row}", read, failed)

    def on_browse_screen_rows_read(self, read: RowsRead) -> None:
        """Show a batch, unless it was asked for before the directory was re-read."""
        self._window.leave()
        self._begin_to_count()
        if not read.token.cancelled:
            self.entries.add(read.row, read.batch)
            self._show_state()

    def on_browse_screen_directory_read(self, read: DirectoryRead) -> None:
        """All rows of a directory are there."""
        self._begin_to_count()
        if read.token.cancelled:
            return
        self._jobs.cancel(f"read-{read.row}")
        self.entries.finish(read.row, read.error)
        self._show_state()

    # Counting

    def _begin_to_count(self) -> None:
        """Count once the first rows are in sight, so that they need not share the processor."""
        if not self._counting:
            self._counting = True
            self._jobs.start("count", self._count, self._count_failed)

    def _count(self, token: CancelToken) -> None:
        count_changes(self.snapshot, token, lambda counts: send(self, self.Counted(counts), token))

    def _count_failed(self, error: BaseException, token: CancelToken) -> Message:
        return self.Counted(Counts(self.counts.by_kind, problem=words_of(error)))

    def on_browse_screen_counted(self, counted: Counted) -> None:
        """Show the counts."""
        self.counts = counted.counts
        self.query_one(TitleLine).show(self.counts)
        self._show_state()

    # The detail

    def on_snapshot_tree_moved(self) -> None:
        """Explain the row under the cursor, once the cursor rests."""
        self._show_path()
        if self._debounce is not None:
            self._debounce.stop()
        self._debounce = self.set_timer(_DEBOUNCE, self._show_detail)

    def _show_detail(self) -> None:
        self._show_path()
        self.detail.look_at(self.entries.cursor_path)

    # The status

    def _show_path(self) -> None:
        self.query_one(StatusLine).show_path(display_path(self.entries.cursor_path))

    def _show_state(self) -> None:
        hidden = self.entries.rows.hidden
        parts = []
        if self._hiding:
            parts.append(f"{hidden:,} skipped hidden, u shows them")
        if self.counts.problem is not None:
            parts.append(f"count stopped: {self.counts.problem}")
        elif not self.counts.complete:
            parts.append(f"counting… {self.counts.total:,}")
        self.query_one(StatusLine).show_state("  ".join(parts))

    # Actions

    def action_export(self) -> None:
        """Open the export dialog."""
        expected = self.counts.recorded if self.counts.complete else None
        self.app.push_screen(ExportScreen(self.snapshot, self._store_path, expected))

    def action_toggle_skipped(self) -> None:
        """Hide the skipped entries, or show them again."""
        self._hiding = not self._hiding
        self.entries.hide_skipped(self._hiding)
        self._show_state()

    def action_reload(self) -> None:
        """Read the directory under the cursor again."""
        for row in self.entries.reload():
            self._jobs.cancel(f"read-{row}")
        self.detail.forget()
        self._show_detail()

    def action_copy_path(self) -> None:
        """Copy the path under the cursor, quoted for a shell."""
        word = shell_word(self.entries.cursor_path)
        self.app.copy_to_clipboard(word)
        self.notify(word, title="Copied", markup=False)

    def action_switch_pane(self) -> None:
        """From the tree to the detail, and back."""
        if self.entries.has_focus:
            self.set_focus(self.detail.text)
            self.remove_class("-folded")
        else:
            self.set_focus(self.entries)

    def action_toggle_detail(self) -> None:
        """Fold the detail away, or bring it back."""
        self.toggle_class("-folded")
        self.set_focus(self.entries)

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

    def _show_tab(self, number: int) -> None:
        self.remove_class("-folded")
        self.detail.choose(number)

    def on_snapshot_tree_activated(self) -> None:
        """Enter on a file leads to its detail."""
        self.remove_class("-folded")
        self.set_focus(self.detail.text)

    def on_detail_pane_left(self) -> None:
        """Back to the tree."""
        self.set_focus(self.entries)

    def action_close(self) -> None:
        """Back to the list of mounts, when there is one."""
        if self._picked:
            self.dismiss()
