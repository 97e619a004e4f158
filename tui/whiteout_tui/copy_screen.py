"""The menu of what can be copied of the row under the cursor."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from whiteout.display import display_path
from whiteout.export import ExportResult
from whiteout.mediatypes import COMPRESSIONS
from whiteout.metadata import Inspection
from whiteout.snapshot import Snapshot
from whiteout.steps import effect_of
from whiteout.verdicts import Reason
from whiteout_tui.actions import Scope, bindings
from whiteout_tui.commands import commands_for
from whiteout_tui.footer import ActionFooter
from whiteout_tui.formats import glimpse
from whiteout_tui.result_table import ResultTable, Value
from whiteout_tui.shell import shell_word

_LONGEST = 130


class CopyScreen(ModalScreen[None]):
    """Copies one of several values, each safe to paste into a shell."""

    BINDINGS = bindings(Scope.COPY)
    AUTO_FOCUS = "#values"

    def __init__(self, values: tuple[Value, ...]) -> None:
        super().__init__()
        self._values = values

    def compose(self) -> ComposeResult:
        """The values."""
        with Vertical(id="dialog"):
            yield Static(Content.styled("Copy", "bold $text-primary"), id="heading")
            with VerticalScroll(id="result", can_focus=False):
                yield ResultTable(id="values")
            yield ActionFooter()

    def on_mount(self) -> None:
        """Show them."""
        self.query_one(ResultTable).show(self._values)

    def action_copy(self) -> None:
        """Copy the marked value, and close."""
        table = self.query_one(ResultTable)
        value = table.values[table.marked]
        self.app.copy_to_clipboard(value.copied)
        self.app.notify(glimpse(value.copied), title=f"Copied: {value.label}", markup=False)
        self.dismiss()

    def action_dismiss_dialog(self) -> None:
        """Close."""
        self.dismiss()


def copy_values(
    snapshot: Snapshot, inspection: Inspection, digests: tuple[tuple[str, str], ...] = ()
) -> tuple[Value, ...]:
    """Everything that can be copied of one entry; *digests* are those of exports, with labels."""
    verdict = inspection.verdict
    values = [_path("path", verdict.path)]
    entry = effect_of(verdict).entry
    if entry is not None:
        values.append(_path("path in the layer", entry))
    on_host = not snapshot.in_archive
    if on_host and verdict.reason is Reason.ROOT and snapshot.upperdir is not None:
        values.append(_path("path on this host", snapshot.upperdir))
    for label, side in (("path on this host", inspection.upper), ("base's path", inspection.base)):
        if on_host and side is not None:
            values.append(_path(label, side.host_path))
    values.extend(Value(label, digest, digest) for label, digest in digests)
    values.extend(
        Value(command.label, _beginning(command.text), command.text)
        for command in commands_for(snapshot, inspection)
    )
    return tuple(values)


def digests_of(exports: Sequence[ExportResult]) -> tuple[tuple[str, str], ...]:
    """The digests and diffIDs of *exports* with labels, each once, those of the last one first."""
    found: dict[str, str] = {}
    for result in reversed(exports):
        suffix = result.media_type.rpartition("+")[2]
        compression = suffix if suffix in COMPRESSIONS else "none"
        found.setdefault(result.digest, f"digest, {compression}")
    for result in reversed(exports):
        found.setdefault(result.diff_id, "diffID")
    return tuple((label, digest) for digest, label in found.items())


def _beginning(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _path(label: str, path: bytes) -> Value:
    return Value(label, display_path(path), shell_word(path))
