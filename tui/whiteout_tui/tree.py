"""The tree on the screen: Textual's line API over :class:`~whiteout_tui.rows.Rows`.

Only the lines in sight are ever drawn, and nothing is measured that is not in sight, so the cost of
a key does not depend on how many rows there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer

from whiteout.display import display_name, display_path, display_text
from whiteout_tui.actions import Scope, bindings
from whiteout_tui.legend import KINDS
from whiteout_tui.lineview import LineView
from whiteout_tui.ordering import Order
from whiteout_tui.rowdata import Batch, RowData, RowFlag, RowType
from whiteout_tui.rows import ROOT, Rows, RowState
from whiteout_tui.rowtext import note, row_parts, triangle_of
from whiteout_tui.search import Filter, Search
from whiteout_tui.sums import Sums
from whiteout_tui.trail import Trail

_GROWTH = 0.1


@dataclass(frozen=True, slots=True)
class Reload:
    """A directory that is to be read anew, and the rows whose reading is in vain by now."""

    row: int
    path: bytes
    in_vain: list[int]


class SnapshotTree(LineView):
    """The entries of a snapshot, one line each, opened directory by directory.

    The tree reads nothing itself: it asks with :class:`Wanted`, and whoever listens answers with
    :meth:`add` and :meth:`finish`.
    """

    BINDINGS = bindings(Scope.TREE)
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "tree--cursor",
        "tree--directory",
        "tree--flags",
        "tree--gone",
        "tree--guide",
        "tree--loading",
        "tree--match",
        "tree--name",
        "tree--size",
        "tree--triangle",
        *(f"tree--{sign.style}" for sign in KINDS.values()),
    }

    class Wanted(Message):
        """The rows below ``row`` are wanted."""

        def __init__(self, row: int, path: bytes) -> None:
            super().__init__()
            self.row = row
            self.path = path

    class Moved(Message):
        """The cursor is on another row, or the row under it changed."""

    class Activated(Message):
        """Enter was pressed on what cannot be opened."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.rows = Rows()
        self.sums = Sums(self.rows)
        self.cursor = 0
        self._row = ROOT
        self._return_to: tuple[int, bytes] | None = None
        self._before: dict[int, dict[bytes, RowData]] = {}
        self._reopening: set[bytes] = set()
        self._styles: dict[str, Style] = {}
        self._growing: Timer | None = None
        self._chain: int | None = None
        self._sought: tuple[list[str], Callable[[str | None], None]] | None = None
        self.trail = Trail()
        self.search: Search | None = None
        self.filter: Filter | None = None
        self.opening_all = False
        self.stale: set[int] = set()
        """Rows of what is not what it was when it was read."""

    def on_mount(self) -> None:
        """The root is open from the beginning."""
        self.rows.open(0)
        self._resized()

    # What the listener answers

    def add(self, row: int, batch: Batch) -> None:
        """Show *batch* as the next rows below *row*."""
        first = len(self.rows)
        inserted = self.rows.append(row, batch, self.cursor)
        if len(self.rows) > first:
            self.sums.add(row, batch, first)
        if row in self._before:
            self._mark_changed(row, range(first, len(self.rows)))
        if inserted is not None:
            if inserted.index <= self.cursor:
                self.cursor += inserted.count
                y = self.scroll_offset.y + inserted.count
                self._grow_now()
                self.scroll_to(y=y, animate=False, immediate=True)
            elif inserted.index <= self.scroll_offset.y + self.size.height:
                self._grow_now()
            elif self._growing is None:
                self._growing = self.set_timer(_GROWTH, self._grow_now)
        self._find_again(row, first)

    def _grow_now(self) -> None:
        if self._growing is not None:
            self._growing.stop()
            self._growing = None
        self._resized()

    def finish(self, row: int, error: str | None) -> None:
        """All rows below *row* are there; *error* says why they are not."""
        if self.rows.state(row) & RowState.GONE:
            return
        if error is not None:
            self.add(row, note(f"! unreadable: {error}", RowFlag.UNREADABLE))
        else:
            self.sums.finish(row)
            if not self.rows.children(row):
                self.add(row, note("empty", RowFlag(0)))
        under = self.cursor_row
        if self.rows.finish_loading(row):
            self._place_cursor(self.rows.place(under) or 0)
            self.refresh()
        self._before.pop(row, None)
        if self._return_to is not None and self._return_to[0] == row:
            self._return_to = None
        self._reopen(row)
        if row == self._chain:
            self._open_chain(row)
        if self._sought is not None:
            self._seek()
        self._refresh_rows(set(self.rows.lineage(row)))

    def _refresh_rows(self, rows: set[int]) -> None:
        """Draw those of *rows* anew that are in sight."""
        top = self.scroll_offset.y
        for place in range(top, min(top + self.size.height, self.rows.height)):
            if self.rows[place] in rows:
                self.refresh_line(place)

    def _reopen(self, row: int) -> None:
        """Open again what was open below *row* before it was read anew."""
        if not self._reopening:
            return
        for name, child in self.rows.directories_below(row).items():
            path = self.rows.path(child)
            if path in self._reopening:
                self._reopening.discard(path)
                place = self.rows.place(child)
                if name and place is not None:
                    self._expand(place)

    def _mark_changed(self, parent: int, rows: range) -> None:
        before = self._before[parent]
        for row in rows:
            if not self.rows.is_note(row) and before.get(self.rows.name(row)) != self.rows.data(
                row
            ):
                self.rows.mark_changed(row)

    def reload(self) -> Reload | None:
        """Ask anew for the directory under the cursor, and for what is below it."""
        row = self.cursor_row
        if not self.rows.is_expandable(row) or (row != ROOT and not self.rows.is_open(row)):
            row = self.rows.parent(row)
            name = self.rows.name(self.cursor_row)
            self._return_to = (row, name) if not self.rows.is_note(self.cursor_row) else None
        place = self.rows.place(row)
        if place is None:
            return None
        self._remember(row)
        in_vain = self.rows.forget_below(place)
        self.sums.forget_below(row)
        self._resized()
        self._place_cursor(place)
        if not self.rows.is_open(row):
            self.rows.open(place)
        self.rows.start_loading(row)
        return Reload(row, self.rows.path(row), in_vain)

    def _remember(self, row: int) -> None:
        """Remember what is below *row*, to tell what has changed when it is read anew."""
        if not self.rows.state(row) & RowState.LOADED:
            return
        children = self.rows.children(row)
        if len(children) <= _COMPARED:
            self._before[row] = {
                self.rows.name(child): self.rows.data(child)._replace(
                    flags=self.rows.data(child).flags & ~RowFlag.CHANGED
                )
                for child in children
            }
        above = set(self.rows.lineage(row))
        self._reopening = {
            self.rows.path(child) for child in self.rows.opened() if child not in above
        }

    def hide_skipped(self, hiding: bool) -> None:
        """Hide the skipped entries that nothing depends on, or show them again."""
        with self.keeping_cursor():
            self.rows.hide_skipped(hiding)

    def sort(self, order: Order) -> None:
        """Show the rows of every directory in *order*."""
        with self.keeping_cursor():
            self.rows.sort(order)

    @contextmanager
    def keeping_cursor(self) -> Iterator[None]:
        """Whatever happens to the rows, the cursor stays on its row, or on what still shows it."""
        row = self.cursor_row
        above = self.cursor - self.scroll_offset.y
        yield
        self._return_to = None
        self._resized()
        self.cursor = self.rows.place(self.rows.nearest_shown(row)) or 0
        self.scroll_to(y=max(0, self.cursor - above), animate=False, immediate=True)
        self._place_cursor(self.cursor)
        self.refresh()

    # The cursor

    @property
    def cursor_row(self) -> int:
        """The row under the cursor."""
        return self.rows[self.cursor]

    @property
    def cursor_path(self) -> bytes:
        """The path of the row under the cursor."""
        return self.rows.path(self.cursor_row)

    def rows_in_sight(self) -> list[int]:
        """The rows on the screen, and before them the directories that lead to the first."""
        top = self.scroll_offset.y
        bottom = min(top + self.scrollable_content_region.height, self.rows.height)
        shown = [self.rows[place] for place in range(top, bottom)]
        return [*self.rows.lineage(shown[0])[:-1], *shown] if shown else []

    def _place_cursor(self, place: int) -> None:
        place = max(0, min(place, self.rows.height - 1))
        before, self.cursor = self.cursor, place
        if self._growing is not None:  # it may be on a row for which there is no room yet
            self._grow_now()
        self._keep_in_sight()
        self.refresh_line(before)
        self.refresh_line(place)
        row = self.rows[place]
        if row != self._row:
            self._row = row
            self.post_message(self.Moved())

    def _keep_in_sight(self) -> None:
        height = max(1, self.scrollable_content_region.height)
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, immediate=True)
        elif self.cursor >= top + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False, immediate=True)

    def _find_again(self, parent: int, first: int) -> None:
        """Put the cursor on the row that it was on, if it is among those from *first* on."""
        if self._return_to is None or self._return_to[0] != parent:
            return
        found = self.rows.named(first, len(self.rows), self._return_to[1])
        place = self.rows.place(found) if found is not None else None
        if place is not None:
            self._return_to = None
            self._place_cursor(place)

    def jump_to(self, row: int, *, remember: bool = True) -> None:
        """Put the cursor on *row*, and open what leads to it."""
        if remember and row != self.cursor_row:
            self.trail.leave(self.cursor_path)
        self._return_to = None
        opened = False
        for above in self.rows.lineage(row)[:-1]:
            place = self.rows.place(above)
            if place is None:
                break
            opened = self.rows.open(place) > 0 or opened
        if opened:
            self._resized()
        place = self.rows.place(self.rows.nearest_shown(row)) or 0
        height = max(1, self.scrollable_content_region.height)
        top = self.scroll_offset.y
        if not top <= place < top + height:
            self.scroll_to(y=max(0, place - height // 3), animate=False, immediate=True)
        self._place_cursor(place)

    def row_at(self, path: bytes | None) -> int:
        """The row of *path*, or of the deepest directory above it that is known."""
        row = ROOT
        for name in (path or b"/").split(b"/"):
            child = self.rows.child_named(row, name) if name else row
            if child is None:
                break
            row = child
        return row

    def find_row(self, text: str) -> int | None:
        """The row of the path *text*, as it is or as it is displayed, if it is known."""
        row: int | None = ROOT
        for name in filter(None, text.split("/")):
            row = self._child(row, name) if row is not None else None
        return row

    def _child(self, row: int, text: str) -> int | None:
        try:
            found = self.rows.child_named(row, text.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:
            return None
        if found is None and "\\" in text:
            for child in self.rows.children(row):
                if display_name(self.rows.name(child)) == text:
                    return child
        return found

    def names_below(self, row: int, start: str) -> list[tuple[bytes, bool]]:
        """The names below *row* that begin with *start*, and whether each is a directory."""
        return [
            (self.rows.name(child), self.rows.data(child).type == RowType.DIRECTORY)
            for child in self.rows.children(row)
            if not self.rows.is_note(child)
            and display_name(self.rows.name(child)).startswith(start)
        ]

    def go_to(self, text: str, tell: Callable[[str | None], None]) -> None:
        """Put the cursor on the path *text*, reading what leads to it.

        *tell* is called with None when it is there, or with a sentence why it is not.
        """
        names: list[str] = []
        for name in text.split("/"):
            if name == "..":
                del names[-1:]
            elif name not in ("", "."):
                names.append(name)
        self._sought = (names, tell)
        self._seek()

    def _seek(self) -> None:
        if self._sought is None:
            return
        names, tell = self._sought
        row = ROOT
        for depth, name in enumerate(names):
            child = self._child(row, name)
            if child is not None:
                row = child
                continue
            state = self.rows.state(row)
            if self.rows.is_expandable(row) and not state & RowState.LOADED:
                if not state & RowState.LOADING:
                    self._want(row)
                return
            self._sought = None
            shown = display_text("/" + "/".join(names[: depth + 1]))
            if self.rows.is_expandable(row):
                tell(f"{shown} is neither in the snapshot nor in its base")
            else:
                tell(f"{display_path(self.rows.path(row))} is not a directory")
            return
        self._sought = None
        unwanted = [above for above in self.rows.lineage(row) if not self.rows.is_wanted(above)]
        if unwanted:
            what = display_path(self.rows.path(unwanted[0]))
            by_filter = self.filter is not None and "is left out by the filter; Esc clears it"
            tell(f"{what} {by_filter or 'is skipped and hidden; u shows it'}")
            return
        self.jump_to(row)
        tell(None)

    def action_back(self) -> None:
        """Back to where the cursor was before the last jump."""
        self._turn(self.trail.back(self.cursor_path), "There is no way back.")

    def action_forward(self) -> None:
        """Forward again."""
        self._turn(self.trail.forward(self.cursor_path), "There is no way forward.")

    def _turn(self, path: bytes | None, nothing: str) -> None:
        if path is None:
            self.notify(nothing, markup=False)
        else:
            self.jump_to(self.row_at(path), remember=False)

    def restore(self, opened: list[int], path: bytes | None) -> None:
        """Open the directories *opened* alone, and put the cursor on *path*."""
        self.rows.open_only(opened)
        self._resized()
        self.jump_to(self.row_at(path), remember=False)

    def show_only(self, shown: Filter | None, opened: list[int]) -> None:
        """Show what passes the filter *shown*, with the directories *opened*; or everything."""
        lineage = self.rows.lineage(self.cursor_row)[:-1] if shown is None else []
        with self.keeping_cursor():
            self.filter = shown
            self.rows.select(shown.select if shown is not None else None, [*opened, *lineage])

    def show_more(self, opened: list[int]) -> None:
        """More passes the filter than before: show it, with the directories *opened*."""
        with self.keeping_cursor():
            self.rows.open_these(opened)
            self.rows.refresh_wanted()

    def _jump_by(self, by: int) -> None:
        self.trail.leave(self.cursor_path)
        self._move(by)

    def _move(self, by: int) -> None:
        self._return_to = None
        self._place_cursor(self.cursor + by)

    def action_cursor_up(self) -> None:
        """One row up."""
        self._move(-1)

    def action_cursor_down(self) -> None:
        """One row down."""
        self._move(1)

    def action_page_up(self) -> None:
        """One page up."""
        self._move(1 - max(2, self.scrollable_content_region.height))

    def action_page_down(self) -> None:
        """One page down."""
        self._move(max(2, self.scrollable_content_region.height) - 1)

    def action_half_up(self) -> None:
        """Half a page up."""
        self._move(-max(1, self.scrollable_content_region.height // 2))

    def action_half_down(self) -> None:
        """Half a page down."""
        self._move(max(1, self.scrollable_content_region.height // 2))

    def action_first(self) -> None:
        """To the first row."""
        self._jump_by(-self.cursor)

    def action_last(self) -> None:
        """To the last row."""
        self._jump_by(self.rows.height)

    # Opening and closing

    def _expand(self, place: int) -> None:
        row = self.rows[place]
        if not self.rows.is_expandable(row) or self.rows.is_open(row):
            return
        self.rows.open(place)
        self._resized()
        if not self.rows.state(row) & (RowState.LOADED | RowState.LOADING):
            self._want(row)
        self._open_chain(row)

    def _open_chain(self, row: int) -> None:
        """Open the only directory in *row* as well, and the only one in that, and so on."""
        self._chain = None
        while self.rows.is_open(row):
            if not self.rows.state(row) & RowState.LOADED:
                self._chain = row
                return
            wanted = filter(self.rows.is_wanted, self.rows.children(row))
            children = list(islice(wanted, 2))
            if len(children) != 1 or not self.rows.is_expandable(children[0]):
                return
            row = children[0]
            place = self.rows.place(row)
            if place is None or self.rows.is_open(row):
                return
            self.rows.open(place)
            self._resized()
            if not self.rows.state(row) & (RowState.LOADED | RowState.LOADING):
                self._want(row)

    def action_expand_all(self) -> None:
        """Open every directory that is read, and go on as more of them are."""
        self.opening_all = True
        self.open_more()

    def open_more(self) -> str | None:
        """Open what was read meanwhile, if all is to be open; says why it does not go on."""
        if not self.opening_all:
            return None
        room = MOST_OPENED - self.rows.height
        chosen = []
        for row in self.rows.closed_directories():
            room -= self.rows.count_wanted(row)
            if room < 0:
                self.opening_all = False
                break
            chosen.append(row)
        if chosen:
            with self.keeping_cursor():
                self.rows.open_these(chosen)
        if self.opening_all:
            return None
        text = f"{MOST_OPENED:,} rows are enough; open the others by hand, or filter with f."
        self.notify(text, title="Not all is open", markup=False)
        return text

    def _collapse(self, place: int) -> None:
        if self.rows.is_open(self.rows[place]):
            self.rows.close(place)
            self._resized()

    def _want(self, row: int) -> None:
        self.rows.start_loading(row)
        self.post_message(self.Wanted(row, self.rows.path(row)))

    def action_toggle_directory(self) -> None:
        """Open or close the directory under the cursor."""
        if self.rows.is_open(self.cursor_row):
            self._collapse(self.cursor)
        else:
            self._expand(self.cursor)

    def action_collapse_all(self) -> None:
        """Close every directory but the root; the cursor goes to what still shows its row."""
        self.opening_all = False
        with self.keeping_cursor():
            self.rows.close_all()

    def action_activate(self) -> None:
        """Open or close a directory; anything else is reported."""
        if self.rows.is_expandable(self.cursor_row):
            self.action_toggle_directory()
        else:
            self.post_message(self.Activated())

    def action_expand(self) -> None:
        """Open the directory, or go to its first row."""
        if not self.rows.is_open(self.cursor_row):
            self._expand(self.cursor)
        elif self.cursor + 1 < self.rows.height:
            below = self.rows[self.cursor + 1]
            if self.rows.parent(below) == self.cursor_row:
                self._move(1)

    def action_collapse(self) -> None:
        """Close the directory, or go to the one that holds the row."""
        row = self.cursor_row
        if self.rows.is_open(row) and row != ROOT:
            self._collapse(self.cursor)
        else:
            place = self.rows.place(self.rows.parent(row))
            if place is not None:
                self._move(place - self.cursor)

    def on_click(self, event: events.Click) -> None:
        """A click sets the cursor; on a triangle, or twice, it opens or closes."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        place = offset.y + self.scroll_offset.y
        if place >= self.rows.height:
            return
        self._move(place - self.cursor)
        row = self.rows[place]
        triangle = triangle_of(self.rows, row, self.scrollable_content_region.width)
        if event.chain == 2 or offset.x in triangle:
            self.action_toggle_directory()

    # Drawing

    def _resized(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, self.rows.height)
        self.cursor = min(self.cursor, self.rows.height - 1)
        self.refresh()

    def on_resize(self) -> None:
        """Keep the cursor in sight."""
        self._resized()
        self._keep_in_sight()

    def notify_style_update(self) -> None:
        """Forget the styles of the theme before."""
        self._styles.clear()
        super().notify_style_update()

    def _style(self, name: str) -> Style:
        """The colour or the accent *name*; a colour is blended with the background, not a field."""
        style = self._styles.get(name)
        if style is None:
            style = self.get_component_rich_style(f"tree--{name}", partial=name in _ACCENTS)
            if name not in _ACCENTS:
                style = Style(
                    color=style.color, bold=style.bold, dim=style.dim, italic=style.italic
                )
            self._styles[name] = style
        return style

    def draw(self, number: int, width: int, base: Style) -> Strip:
        """The row that is shown as the line *number*."""
        if number >= self.rows.height:
            return Strip.blank(width, base)
        lit = Style.null()
        if number == self.cursor:
            base += self._style("cursor")
            lit = Style(dim=False)
        segments = [
            Segment(text, sum(map(self._style, styles), base) + lit)
            for text, *styles in row_parts(self, self.rows[number], width)
        ]
        return Strip(segments).adjust_cell_length(width, base)


#: Component classes that go on top of another one's colour.
_ACCENTS = frozenset({"cursor", "directory", "gone", "match"})

#: How many rows are in sight at most when all directories are opened at once.
MOST_OPENED = 200_000

#: Of a directory with more rows than this, it is not told which of them have changed.
_COMPARED = 50_000
