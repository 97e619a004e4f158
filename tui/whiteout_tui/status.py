"""The lines above and below the panes: what is looked at, and what has been found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from whiteout.display import display_name, display_path
from whiteout_tui.counting import Counts
from whiteout_tui.legend import KINDS
from whiteout_tui.prose import Prose
from whiteout_tui.rowdata import RowKind

COLOURS = {
    RowKind.ADD: "$text-success",
    RowKind.MODIFY: "$text-warning",
    RowKind.DELETE: "$text-error",
    RowKind.UNMODIFIED: "$text-accent",
    RowKind.SKIPPED: "$foreground-muted",
    RowKind.UNREADABLE: "$text-error",
}

_GAP = "  "
#: As in the style sheet: how much of the line is not for the path, in percent.
_MOST_OF_STATE = 66


class TitleLine(Horizontal):
    """The first line: the program, the snapshot, and the counts by kind."""

    def __init__(self, title: str, detail: str = "") -> None:
        super().__init__()
        self._title = title
        self._detail = detail

    def compose(self) -> ComposeResult:
        """Left the title, right the counts."""
        yield Static(
            Content.assemble(
                ("Whiteout", "bold $text-primary"), "  ", (self._title, "bold"), "  ", self._detail
            ),
            id="title",
        )
        yield Static("", id="counts")

    def show(self, counts: Counts) -> None:
        """Show *counts*, with their state."""
        parts: list[Content | tuple[str, str]] = []
        for kind, colour in COLOURS.items():
            number = counts.by_kind[kind]
            if kind is RowKind.UNREADABLE and not number:
                continue
            style = colour if number else "$foreground-muted"
            parts.append((f"{KINDS[kind].letter} {number:,}", style))
            parts.append(("  ", ""))
        if counts.problem is not None:
            parts.append(("stopped", "bold $text-error"))
        elif not counts.complete:
            parts.append(("…", "$foreground-muted"))
        else:
            parts.append(("✓", "$text-success"))
        _show(self.query_one("#counts", Static), Content.assemble(*parts))


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the status line says; ``short`` is for where there is little room."""

    text: str
    short: str = ""


def fitted(notices: Sequence[Notice], width: int) -> str:
    """*notices*, the most important first, in *width* cells if that can be.

    The less important of them are shortened before the others.
    """
    said = [notice.text for notice in notices]
    for position in reversed(range(len(said))):
        if cell_len(_GAP.join(said)) <= width:
            break
        said[position] = notices[position].short or said[position]
    return _GAP.join(said)


class StatusLine(Horizontal):
    """The last line above the footer: the path under the cursor, and what is hidden or going on."""

    class Chosen(Message):
        """A name in the path under the cursor was clicked; *path* ends with it."""

        def __init__(self, path: bytes) -> None:
            super().__init__()
            self.path = path

    def __init__(self) -> None:
        super().__init__()
        self._path = ""
        self._notices: tuple[Notice, ...] = ()
        self._steps: list[tuple[int, bytes]] = []  # the end of each name in cells, and its path

    def compose(self) -> ComposeResult:
        """Left the path, right the state."""
        yield Static("", id="path")
        yield Static("", id="state")

    def show_path(self, path: str) -> None:
        """Show the printable *path*; its end, where it is too long."""
        self._path = path
        self._steps = []
        self._draw()

    def show_trail(self, path: bytes) -> None:
        """Show *path* as a trail: a click on a name in it leads there."""
        self.show_path(display_path(path))
        self._steps = trail_of(path)

    def show_state(self, *notices: Notice) -> None:
        """Show the printable *notices*, the most important first."""
        self._notices = notices
        self._draw_state()

    def on_resize(self) -> None:
        """Cut the path for the new width, and say more or less of the rest."""
        self._draw_state()
        self.call_after_refresh(self._draw)

    def _draw_state(self) -> None:
        room = self.content_size.width * _MOST_OF_STATE // 100 - len(_GAP)
        state = fitted(self._notices, room) if room > 0 else ""
        if _show(self.query_one("#state", Static), Content(state)):
            self.call_after_refresh(self._draw)

    def on_click(self, event: events.Click) -> None:
        """A click on a name in the path leads there."""
        line = self.query_one("#path", Static)
        if not line.region.contains_point(event.screen_offset):
            return
        cut = max(0, cell_len(self._path) - line.content_size.width)
        place = event.screen_x - line.content_region.x + cut
        for end, path in self._steps:
            if place < end:
                self.post_message(self.Chosen(path))
                return

    def _draw(self) -> None:
        line = self.query_one("#path", Static)
        line.update(Content(_end(self._path, line.content_size.width)), layout=False)


def _show(line: Static, content: Content) -> bool:
    """Put *content* into *line*; the screen is laid out anew only where its width changes.

    Tells whether that is so. A layout takes longer than everything else that a key does.
    """
    before = line.content
    wider = not isinstance(before, Content) or before.cell_length != content.cell_length
    line.update(content, layout=wider)
    return wider


def trail_of(path: bytes) -> list[tuple[int, bytes]]:
    """Every directory on the way to *path*, and itself: where each ends in the printable path.

    The ends are in cells from the left; the slash before a name belongs to it.
    """
    steps = [(1, b"/")]
    end = 0
    so_far = b""
    for name in filter(None, path.split(b"/")):
        so_far += b"/" + name
        end += 1 + cell_len(display_name(name))
        steps.append((end, so_far))
    return steps


def _end(text: str, width: int) -> str:
    """The last *width* cells of *text*, with an ellipsis where it was cut."""
    if width < 2 or cell_len(text) <= width:
        return text
    return "…" + set_cell_size(text[::-1], width - 1)[::-1].lstrip()


class WarningBar(Prose):
    """What the privileges of this process hide, and why another differ answers."""

    def __init__(self, doubts: tuple[str, ...], fallback: str | None) -> None:
        lines = [f"! {doubt}" for doubt in doubts]
        if fallback is not None:
            lines.append(f"i The walking differ answers: {fallback}")
        super().__init__(Content("\n".join(lines)), classes="" if lines else "-empty")
