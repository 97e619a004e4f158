"""The totals: entries and bytes by kind, the largest directories and files."""

from __future__ import annotations

from collections.abc import Sequence

from whiteout.display import display_path
from whiteout.totals import Sized, Totals
from whiteout.verdicts import ChangeKind
from whiteout_tui.formats import short_size
from whiteout_tui.linelist import LineList, Lines, Part
from whiteout_tui.survey_screen import SurveyScreen

_LETTERS = {
    ChangeKind.ADD: ("A", "added"),
    ChangeKind.MODIFY: ("M", "modified"),
}


class TotalsLines(Lines):
    """The lines of the totals; those of a path can be chosen."""

    def __init__(self, totals: Totals, *, complete: bool) -> None:
        self._lines: list[list[Part] | Sized] = [*_sums(totals, complete=complete)]
        self._list(
            "Largest directories",
            "   recorded    removed  directory, with all below it",
            totals.directories,
            complete,
        )
        self._list("Largest files", "       size  name", totals.files, complete)

    def _list(self, title: str, columns: str, items: Sequence[Sized], complete: bool) -> None:
        note = "" if complete else "  so far"
        self._lines += [[], [(title, "heading"), (note, "muted")]]
        if items:
            self._lines += [[(columns, "muted")], *items]
        else:
            self._lines.append([("  none", "muted")])

    def __len__(self) -> int:
        return len(self._lines)

    def can_be_chosen(self, number: int) -> bool:
        """Only a directory or a file."""
        return isinstance(self._lines[number], Sized)

    def item(self, number: int) -> Sized | None:
        """What the line is about."""
        line = self._lines[number]
        return line if isinstance(line, Sized) else None

    def parts(self, number: int, width: int) -> list[Part]:
        """The words of one line."""
        line = self._lines[number]
        return _sized(line) if isinstance(line, Sized) else line


def _sums(totals: Totals, *, complete: bool) -> list[list[Part]]:
    removed = totals.removed
    rows: list[tuple[str, str, str, int, int | None, str]] = [
        ("A", "added", "added", totals.added.entries, totals.added.size, ""),
        (
            "M",
            "modified",
            "modified",
            totals.modified.entries,
            totals.modified.size,
            f"{totals.before:,} before",
        ),
        ("D", "deleted", "deleted", totals.deleted, None, "whiteouts in the layer"),
        ("U", "unmodified", "unmodified", totals.unmodified, None, "linked names"),
        ("·", "muted", "skipped", totals.skipped, None, "not in the layer"),
    ]
    if totals.unreadable:
        rows.append(("!", "deleted", "unreadable", totals.unreadable, None, ""))
    below = "at least: not all is listed" if totals.unlisted else "with all below"
    rows.append(("", "muted", "removed", removed.entries, removed.size, below))
    note = "" if complete else "  so far"
    lines: list[list[Part]] = [
        [("Entries and bytes of content", "heading"), (note, "muted")],
        [("                 entries             bytes", "muted")],
    ]
    for letter, style, name, entries, size, remark in rows:
        shown = "" if size is None else f"{size:,}"
        short = f"  {short_size(size):<6}" if size is not None and size >= 1024 else " " * 8
        lines.append(
            [
                (f" {letter:<1} ", style),
                (f"{name:<11}", ""),
                (f"{entries:>10,}", ""),
                (f"{shown:>18}", ""),
                (f"{short}{remark}", "muted"),
            ]
        )
    return lines


def _sized(item: Sized) -> list[Part]:
    path = display_path(item.path)
    if item.kind is not None:
        letter, style = _LETTERS[item.kind]
        return [(f"{item.size:>11,}", ""), (f"  {letter} ", style), (path, "")]
    more = " …" if not item.complete else "  "
    removed = f"{item.removed:>11,}" if item.removed else " " * 11
    return [(f"{item.size:>11,}", ""), (removed, "deleted"), (more, "warning"), (f"{path}/", "")]


class TotalsScreen(SurveyScreen):
    """Shows the totals of a snapshot while they become known."""

    NAME = "totals"

    def show_lines(self) -> None:
        """Show the totals so far; the cursor stays with its path."""
        survey = self.known.survey
        lines = TotalsLines(survey.totals, complete=survey.walked)
        shown = self.query_one(LineList)
        chosen = self._item() if shown.moved else None
        cursor = 0 if chosen is None else None
        if chosen is not None:
            for number in range(len(lines)):
                item = lines.item(number)
                if item is not None and (item.path, item.kind) == (chosen.path, chosen.kind):
                    cursor = number
                    break
        shown.show(lines, cursor)

    def _item(self) -> Sized | None:
        shown = self.query_one(LineList)
        if shown.cursor is None or not isinstance(shown.lines, TotalsLines):
            return None
        return shown.lines.item(shown.cursor)

    def on_line_list_moved(self) -> None:
        """Say what is under the cursor, whole."""
        item = self._item()
        self.show_note(display_path(item.path) if item is not None else "")

    def on_line_list_chosen(self) -> None:
        """Go to the row."""
        item = self._item()
        if item is not None:
            self.dismiss(item.path)
