"""One export: how far it is while it runs, then its result or why there is none."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import ContentSwitcher, ProgressBar, Static

from whiteout.export import ExportResult
from whiteout_tui.actions import Scope, bindings
from whiteout_tui.export_actions import ExportActions, failure_content
from whiteout_tui.export_words import Told, progress_lines, told_of, verification_text
from whiteout_tui.exports import Export, ExportState
from whiteout_tui.footer import ActionFooter
from whiteout_tui.prose import Prose
from whiteout_tui.result_table import ResultTable

_PARTS = 1000


class ExportView(ExportActions):
    """Shows one export while it goes on, and when it is over."""

    BINDINGS = [*bindings(Scope.EXPORTS), *bindings(Scope.RESULT)]  # noqa: RUF012 - as Textual has it
    AUTO_FOCUS = ""

    def __init__(self, export: Export) -> None:
        super().__init__()
        self.export = export
        self._told: Told | None = None

    @property
    def chosen(self) -> Export:
        """The export in sight."""
        return self.export

    @property
    def chosen_layer(self) -> ExportResult | None:
        """The layer that the marked value belongs to."""
        if self._told is None:
            return None
        return self._told.layers[self.query_one(ResultTable).marked]

    def compose(self) -> ComposeResult:
        """Progress, result and failure, one of them in sight."""
        with Vertical(id="dialog"):
            yield Static("", id="heading")
            with ContentSwitcher(initial="running"):
                with Vertical(id="running"):
                    yield ProgressBar(show_eta=False, show_percentage=False, id="bar")
                    yield Static("", id="progress")
                with VerticalScroll(id="result", can_focus=False):
                    yield ResultTable(id="values")
                yield Prose("", id="failed")
            yield Prose("", id="verification", classes="-empty")
            yield ActionFooter()

    def on_mount(self) -> None:
        """Follow the export."""
        self.exports.changed.subscribe(self, self._changed)
        self._show()

    def _changed(self, export: Export) -> None:
        if export is self.export:
            self._show()

    def _show(self) -> None:
        export = self.export
        self.query_one("#heading", Static).update(
            Content.assemble(
                (f"Export {export.number}", "bold $text-primary"),
                f"  {export.state.value}  to {export.plan.describe()}",
            )
        )
        if not export.is_over:
            self._show_progress()
        elif export.outcome is not None:
            if self._told is None:
                self._told = told_of(export.outcome)
                table = self.query_one(ResultTable)
                table.show(self._told.values, marked=self._told.first)
                self._go("result")
                self.set_focus(table)
            verification = verification_text(export)
            shown = self.query_one("#verification", Static)
            shown.update(verification)
            shown.set_class(not verification.plain, "-empty")
            self.query_one("#dialog").set_class(bool(verification.plain), "-verified")
        else:
            self.query_one("#failed", Static).update(failure_content(export))
            self._go("failed")
        self.refresh_bindings()

    def _go(self, part: str) -> None:
        self.query_one(ContentSwitcher).current = part

    def _show_progress(self) -> None:
        export = self.export
        cancelling = export.state is ExportState.CANCELLING
        lines = ("cancelling…", "") if cancelling else progress_lines(export)
        self.query_one("#progress", Static).update(Content("\n".join(lines)))
        fraction = export.fraction
        bar = self.query_one(ProgressBar)
        if fraction is None:
            bar.update(total=None)
        else:
            bar.update(total=_PARTS, progress=round(fraction * _PARTS))

    def action_copy(self) -> None:
        """Copy the marked value."""
        if self._told is not None:
            value = self._told.values[self.query_one(ResultTable).marked]
            self.copy_text(value.copied, f"{value.label}: {value.shown}")

    def action_copy_all(self) -> None:
        """Copy every value, a line each."""
        if self._told is not None:
            lines = (
                f"{value.label}: {value.shown if value.label == 'descriptor' else value.copied}"
                for value in self._told.values
            )
            self.copy_text("\n".join(lines), "the result")

    def action_again(self) -> None:
        """Back to the dialog; what runs goes on."""
        self.dismiss()
        self.app.call_later(self._again)

    async def _again(self) -> None:
        for screen in reversed(self.app.screen_stack):
            if callable(getattr(screen, "action_export", None)):
                await self.app.run_action("export", screen)
                return

    def action_hide(self) -> None:
        """Close; what runs goes on."""
        self.dismiss()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Values can be copied when there are some."""
        if action == "copy_all":
            return self.export.outcome is not None
        return super().check_action(action, parameters)
