"""What can be done with an export, whether it is looked at alone or in the list of all."""

from __future__ import annotations

from textual.content import Content
from textual.screen import Screen

from whiteout.contentstore import Descriptor
from whiteout.export import ExportResult
from whiteout.snapshot import Snapshot
from whiteout_tui.entries_screen import EntriesScreen
from whiteout_tui.export_words import descriptor_json
from whiteout_tui.exports import Export, Exports, ExportState, exports_of
from whiteout_tui.formats import glimpse

_OF_OUTCOME = frozenset({"verify", "copy", "descriptor", "list_entries"})


class ExportActions(Screen[bytes]):
    """A screen with a chosen export. Its result is the path of the row to go to."""

    @property
    def exports(self) -> Exports:
        """All exports of this session."""
        return exports_of(self.app)

    @property
    def chosen(self) -> Export | None:
        """The export that actions are about."""
        raise NotImplementedError

    @property
    def chosen_layer(self) -> ExportResult | None:
        """The layer of it that actions are about; None for the image, or where there is none."""
        raise NotImplementedError

    @property
    def browsed(self) -> Snapshot | None:
        """The snapshot whose tree lies below this screen."""
        for screen in reversed(self.app.screen_stack):
            snapshot = getattr(screen, "snapshot", None)
            if isinstance(snapshot, Snapshot):
                return snapshot
        return None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what the chosen export can do now."""
        export = self.chosen
        if action == "cancel_export":
            running = export is not None and export.state is ExportState.RUNNING
            return running or (export is not None and export.verifying)
        if action in _OF_OUTCOME:
            return export is not None and export.outcome is not None
        return super().check_action(action, parameters)

    def action_cancel_export(self) -> None:
        """Cancel it; nothing is left behind."""
        if self.chosen is not None:
            self.exports.cancel(self.chosen)

    def action_verify(self) -> None:
        """Read its blobs again, and recompute their digests."""
        if self.chosen is not None:
            self.exports.verify(self.chosen)

    def action_descriptor(self) -> None:
        """Copy the descriptor as JSON."""
        descriptor = self._descriptor()
        if descriptor is not None:
            text = descriptor_json(descriptor)
            self.copy_text(text, "descriptor: " + " ".join(text.split()))

    def _descriptor(self) -> Descriptor | None:
        outcome = self.chosen.outcome if self.chosen is not None else None
        if outcome is None:
            return None
        layer = self.chosen_layer
        if layer is not None:
            return layer.descriptor
        return outcome.image.manifest if outcome.image is not None else None

    def copy_text(self, text: str, shown: str | None = None) -> None:
        """Copy the printable *text*, and say so."""
        self.app.copy_to_clipboard(text)
        self.notify(glimpse(shown if shown is not None else text), title="Copied", markup=False)

    def action_list_entries(self) -> None:
        """List the entries of its tar, read from the blob."""
        export = self.chosen
        if export is None or export.outcome is None or not export.outcome.layers:
            return
        layer = self.chosen_layer or export.outcome.layers[-1]
        here = self.browsed is export.snapshot
        self.app.push_screen(EntriesScreen(export, layer, leads_to_rows=here), self._follow)

    def _follow(self, path: bytes | None) -> None:
        """Go where the list of entries leads to."""
        if path is not None:
            self.dismiss(path)


def failure_content(export: Export) -> Content:
    """Why it came to nothing."""
    return Content.styled(f"! {export.failure}", "$text-error") if export.failure else Content("")
