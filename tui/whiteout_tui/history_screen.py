"""The exports of this session: what runs, what came of the others, and what they wrote."""

from __future__ import annotations

from whiteout.export import ExportResult
from whiteout_tui.actions import Scope, bindings
from whiteout_tui.export_actions import ExportActions
from whiteout_tui.export_view import ExportView
from whiteout_tui.export_words import (
    STATES,
    percent_text,
    progress_lines,
    verification_text,
    verified_word,
)
from whiteout_tui.exports import Export
from whiteout_tui.formats import duration_text, short_size
from whiteout_tui.linelist import LineList, Lines, Part
from whiteout_tui.list_screen import ListScreen

NOTHING = "Nothing was exported in this session; e in the tree exports."


class HistoryLines(Lines):
    """Two lines for each export: what and where, and how it stands. The last one comes first."""

    def __init__(self, exports: list[Export]) -> None:
        self._exports = exports[::-1]

    def __len__(self) -> int:
        return 2 * len(self._exports) or 1

    def can_be_chosen(self, number: int) -> bool:
        """Only the first line of an export."""
        return bool(self._exports) and number % 2 == 0

    def export(self, number: int) -> Export:
        """The export of the line."""
        return self._exports[number // 2]

    def line_of(self, export: Export | None) -> int:
        """The line of *export*, or the first one."""
        return 2 * self._exports.index(export) if export in self._exports else 0

    def parts(self, number: int, width: int) -> list[Part]:
        """The words of one line."""
        if not self._exports:
            return [(NOTHING, "muted")]
        export = self.export(number)
        return _second(export) if number % 2 else _first(export)


def _first(export: Export) -> list[Part]:
    sign, style = STATES[export.state]
    suffix = export.plan.media_type.rpartition("+")[2]
    form = suffix if suffix in ("gzip", "zstd") else "tar"
    level = f" {export.plan.level}" if export.plan.level is not None else ""
    return [
        (f"{sign} {export.state.value:<10} ", style),
        (f"{export.number:>3}  {export.clock}  ", "muted"),
        (f"{form + level:<8} ", ""),
        (export.plan.describe(), "heading"),
        (f"  of {export.snapshot.label}", "muted"),
    ]


def _second(export: Export) -> list[Part]:
    space = " " * 13
    if export.failure is not None:
        return [(space, ""), (export.failure, "muted")]
    layer = export.layer
    outcome = export.outcome
    if layer is None or outcome is None:
        return [(space, ""), (f"{percent_text(export):>4} {progress_lines(export)[0]}", "muted")]
    image = outcome.image
    digest = image.manifest.digest if image is not None else layer.digest
    size = sum(written.size for written in outcome.layers)
    verified = verified_word(export)
    style = "added" if verified.startswith("✓") else "deleted"
    return [
        (space, ""),
        (f"{digest[:19]}…  ", ""),
        (f"{short_size(size):>5} in {duration_text(export.seconds)}  ", "muted"),
        (verified, style if not export.verifying else "accent"),
    ]


class HistoryScreen(ExportActions, ListScreen):
    """Lists the exports of this session."""

    BINDINGS = bindings(Scope.EXPORTS)

    @property
    def chosen(self) -> Export | None:
        """The export under the cursor."""
        for lines in self.query(LineList):
            if lines.cursor is not None and isinstance(lines.lines, HistoryLines):
                return lines.lines.export(lines.cursor)
        return None

    @property
    def chosen_layer(self) -> ExportResult | None:
        """Its layer; None where it is an image that counts."""
        export = self.chosen
        if export is None or export.outcome is None or export.outcome.image is not None:
            return None
        return export.layer

    def on_mount(self) -> None:
        """Follow all exports."""
        self.exports.changed.subscribe(self, self._changed)
        self._show()

    def _changed(self, export: Export) -> None:
        self._show()

    def _show(self) -> None:
        exports = self.exports
        running = len(exports.running)
        self.show_title(
            "exports of this session  ",
            (f"{len(exports.every)}", "bold"),
            (f"  {running} running" if running else "", "$text-accent"),
        )
        lines = HistoryLines(exports.every)
        shown = self.query_one(LineList)
        shown.show(lines, lines.line_of(self.chosen) if shown.moved else 0)
        self.refresh_bindings()

    def on_line_list_moved(self) -> None:
        """Say of the export under the cursor what has no room in the list."""
        export = self.chosen
        texts = []
        if export is not None:
            texts = [export.failure or "", *self._digests(export)]
            texts.append(verification_text(export).plain)
        self.show_note(*texts)
        self.refresh_bindings()

    @staticmethod
    def _digests(export: Export) -> list[str]:
        outcome = export.outcome
        if outcome is None:
            return []
        if outcome.image is not None:
            return [f"manifest {outcome.image.manifest.digest}"]
        layer = outcome.layers[-1]
        return [f"digest {layer.digest}", f"diffID {layer.diff_id}"]

    def on_line_list_chosen(self) -> None:
        """Show the export."""
        export = self.chosen
        if export is not None:
            self.app.push_screen(ExportView(export), self._follow)

    def action_copy(self) -> None:
        """Copy the digest."""
        export = self.chosen
        if export is None or export.outcome is None:
            return
        image, layer = export.outcome.image, export.outcome.layers[-1]
        self.copy_text(image.manifest.digest if image is not None else layer.digest)
