"""The findings: what deserves attention in a snapshot, each with its meaning and a jump."""

from __future__ import annotations

from textual.content import Content

from whiteout.display import display_path
from whiteout.remarks import Level, Remark, RemarkKind, Remarks
from whiteout.survey import Survey
from whiteout.surveywords import REMARK_WORDS, remark_detail
from whiteout_tui.linelist import LineList, Lines, Part
from whiteout_tui.survey_screen import SurveyScreen

NOTHING = "Nothing that deserves attention."


class FindingsLines(Lines):
    """The findings, each kind below its heading."""

    def __init__(self, remarks: Remarks, empty: str) -> None:
        self._lines: list[list[Part] | Remark] = []
        counts = dict(remarks.counts)
        last: RemarkKind | None = None
        left = 0
        for remark in remarks.kept:
            if remark.kind is not last:
                self._more(left)
                last = remark.kind
                left = counts[last]
                self._heading(last, left)
            self._lines.append(remark)
            left -= 1
        self._more(left)
        if not self._lines:
            self._lines.append([(empty, "muted")])

    def _heading(self, kind: RemarkKind, count: int) -> None:
        warning = kind.level is Level.WARNING
        if self._lines:
            self._lines.append([])
        self._lines.append(
            [
                ("! " if warning else "i ", "warning" if warning else "accent"),
                (REMARK_WORDS[kind].title, "heading"),
                (f"  {count:,}", "muted"),
            ]
        )

    def _more(self, left: int) -> None:
        if left > 0:
            self._lines.append([(f"    and {left:,} more, which are counted only", "muted")])

    def __len__(self) -> int:
        return len(self._lines)

    def can_be_chosen(self, number: int) -> bool:
        """Only a finding."""
        return isinstance(self._lines[number], Remark)

    def remark(self, number: int) -> Remark | None:
        """The finding of the line."""
        line = self._lines[number]
        return line if isinstance(line, Remark) else None

    def parts(self, number: int, width: int) -> list[Part]:
        """The words of one line."""
        line = self._lines[number]
        if not isinstance(line, Remark):
            return line
        detail = remark_detail(line)
        return [
            (f"    {display_path(line.path)}", ""),
            (f"  {detail}" if detail else "", "muted"),
        ]


class FindingsScreen(SurveyScreen):
    """Shows the findings of a snapshot while they become known."""

    NAME = "findings"

    def state_after_walk(self, found: Survey) -> Content:
        """After the walk contents are compared."""
        if not found.complete:
            return Content.styled(
                f"… not complete: contents of {found.compared:,} of {found.to_compare:,} files "
                "compared; c cancels",
                "$text-warning",
            )
        remarks = found.remarks
        return Content.assemble(
            ("✓ complete", "$text-success"),
            f"  {remarks.warnings:,} to heed, {remarks.total - remarks.warnings:,} to know",
        )

    def show_lines(self) -> None:
        """Show the findings so far; the cursor stays with its finding."""
        survey = self.known.survey
        lines = FindingsLines(survey.remarks, NOTHING if survey.complete else "Nothing so far…")
        shown = self.query_one(LineList)
        chosen = self._remark() if shown.moved else None
        cursor = 0 if chosen is None else None
        if chosen is not None:
            for number in range(len(lines)):
                if lines.remark(number) == chosen:
                    cursor = number
                    break
        shown.show(lines, cursor)

    def _remark(self) -> Remark | None:
        shown = self.query_one(LineList)
        if shown.cursor is None or not isinstance(shown.lines, FindingsLines):
            return None
        return shown.lines.remark(shown.cursor)

    def on_line_list_moved(self) -> None:
        """Say what the finding under the cursor means."""
        remark = self._remark()
        if remark is None:
            self.show_note("")
            return
        detail = remark_detail(remark)
        about = f" ({detail})" if detail else ""
        self.show_note(f"{display_path(remark.path)}{about}: {REMARK_WORDS[remark.kind].meaning}")

    def on_line_list_chosen(self) -> None:
        """Go to the row."""
        remark = self._remark()
        if remark is not None:
            self.dismiss(remark.path)
