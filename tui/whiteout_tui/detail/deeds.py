"""What can be done with the entry under the cursor: page it, extract it, copy words for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.app import App

from whiteout.content import Side
from whiteout.display import display_path
from whiteout.entries import EntryType
from whiteout.errors import WhiteoutError
from whiteout.export import ExportResult
from whiteout.metadata import Inspection
from whiteout.snapshot import Snapshot
from whiteout_tui.copy_screen import CopyScreen, copy_values, digests_of
from whiteout_tui.detail.content import side_of
from whiteout_tui.extract_screen import ExtractScreen
from whiteout_tui.pager import show_in_pager
from whiteout_tui.words import words_of


def view_content(app: App[object], snapshot: Snapshot, inspection: Inspection) -> None:
    """Show the whole content in the pager."""
    path = inspection.verdict.path
    sides = _sides_with(inspection, EntryType.FILE, EntryType.SYMLINK)
    if not sides:
        _refuse(app, inspection, "shown")
        return
    try:
        show_in_pager(app, snapshot, path, sides[0])
    except WhiteoutError as error:
        app.notify(words_of(error), title="Pager", severity="error", markup=False)


def extract_file(app: App[object], snapshot: Snapshot, inspection: Inspection) -> None:
    """Ask where the file shall go."""
    sides = _sides_with(inspection, EntryType.FILE)
    if not sides:
        _refuse(app, inspection, "extracted")
        return
    app.push_screen(ExtractScreen(snapshot, inspection.verdict.path, sides))


def copy_menu(
    exports: Sequence[ExportResult],
) -> Callable[[App[object], Snapshot, Inspection], None]:
    """Offer what can be copied, the digests of *exports* too."""

    def offer(app: App[object], snapshot: Snapshot, inspection: Inspection) -> None:
        app.push_screen(CopyScreen(copy_values(snapshot, inspection, digests_of(exports))))

    return offer


def _sides_with(inspection: Inspection, *types: EntryType) -> tuple[Side, ...]:
    """The sides that have one of *types* there, the one that is shown first."""
    first = side_of(inspection)
    order: tuple[Side, ...] = (first, "base") if first == "upper" else (first,)
    found: list[Side] = []
    for side in order:
        shown = inspection.upper if side == "upper" else inspection.base
        if shown is not None and shown.entry.type in types:
            found.append(side)
    return tuple(found)


def _refuse(app: App[object], inspection: Inspection, what: str) -> None:
    entry = inspection.verdict.entry
    kind = entry.type.value if entry is not None else "directory"
    path = display_path(inspection.verdict.path)
    app.notify(f"{path} is a {kind}; only a file can be {what}", severity="warning", markup=False)
