"""The app: its screens, its colours, and its way out."""

from __future__ import annotations

import gc
import os
import sys
from functools import partial

from textual import events
from textual.app import App
from textual.screen import Screen

from whiteout.snapshot import Snapshot
from whiteout.sources.root import HOST, Root
from whiteout_tui.actions import Scope, bindings
from whiteout_tui.browse_screen import BrowseScreen
from whiteout_tui.colours import has_colours, is_light, legible
from whiteout_tui.courtesy import COURTESY
from whiteout_tui.endings import FAILED, end_on_signals
from whiteout_tui.entries_screen import EntriesScreen
from whiteout_tui.export_plan import FilePlan
from whiteout_tui.export_view import ExportView
from whiteout_tui.exports import Export, Exports, ExportState
from whiteout_tui.extract_screen import ExtractScreen
from whiteout_tui.help_screen import HelpScreen
from whiteout_tui.history_screen import HistoryScreen
from whiteout_tui.jobs import wait_for_jobs
from whiteout_tui.keyqueue import KeyQueue
from whiteout_tui.layers_screen import LayersScreen
from whiteout_tui.palette import ActionProvider
from whiteout_tui.picker_screen import PickerScreen
from whiteout_tui.state import State, load_state, save_state
from whiteout_tui.visit import Visit

#: How long a thread may keep a key waiting before it has to give way, in seconds.
_TURN = 0.0005
#: How long what still runs may take to remove what it has not finished, in seconds.
_TIDYING = 0.2
#: The same for exports that have begun to write where something could stay.
_TIDYING_OF_EXPORTS = 2.0


class WhiteoutApp(App[None]):
    """The terminal inspector; without a snapshot it begins with the list of mounts."""

    TITLE = "Whiteout"
    CSS_PATH = "app.tcss"
    BINDINGS = bindings(Scope.APP)
    COMMANDS = {ActionProvider}  # noqa: RUF012 - as Textual has it
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        snapshot: Snapshot | None,
        *,
        store_path: str | None = None,
        root: Root = HOST,
        state: State | None = None,
        tour: bool = False,
        colours: bool = True,
    ) -> None:
        super().__init__(ansi_color=None if colours else True)
        self.state = state or State()
        self.exports = Exports(self)
        self.cancelled: list[Export] = []
        """The exports that were still running when the app was left."""
        self._root = root
        self._snapshot = snapshot
        self._store_path = store_path
        self._tour = tour
        self.visit = Visit(self)
        self._keys = KeyQueue(self, super().on_event)

    async def on_event(self, event: events.Event) -> None:
        """Every key in its turn; what runs in the background stands back for it."""
        if self._keys.takes(event):
            COURTESY.begin()
            self.call_after_refresh(COURTESY.answered)
            await self._keys.take(event)
        else:
            await super().on_event(event)

    def on_load(self) -> None:
        """Heed signals to end, before the terminal is taken."""
        end_on_signals(partial(self._leave, FAILED))

    def on_mount(self) -> None:
        """Take the colours that were chosen the last time."""
        if self.state.theme in self.available_themes:
            self.theme = self.state.theme

    def get_css_variables(self) -> dict[str, str]:
        """The colours of the theme, every text legible."""
        theme = self.current_theme
        variables = legible(super().get_css_variables(), ansi=theme.ansi, dark=theme.dark)
        self.theme_variables = variables
        return variables

    def get_default_screen(self) -> Screen[None]:
        """The tree of the snapshot, or the list of mounts."""
        if self._snapshot is None:
            return PickerScreen(self._store_path, self._root)
        return self._browsing(self._snapshot, picked=False, tour=self._tour)

    def _browsing(self, snapshot: Snapshot, *, picked: bool, tour: bool) -> BrowseScreen:
        return BrowseScreen(snapshot, store_path=self._store_path, picked=picked, tour=tour)

    def action_help(self) -> None:
        """Show the help."""
        self.push_screen(HelpScreen())

    def action_history(self) -> None:
        """Show the exports of this session, or go back to them."""
        if any(isinstance(screen, HistoryScreen) for screen in self.screen_stack):
            while not isinstance(self.screen, HistoryScreen):
                self.pop_screen()
        else:
            self.push_screen(HistoryScreen(), partial(_lead, self.screen))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """No way to the list of exports from there."""
        if action == "history":
            return not isinstance(self.screen, HistoryScreen)
        return super().check_action(action, parameters)

    def on_tour_wanted(self) -> None:
        """Open the demo, and begin the tour."""
        self.visit.begin()

    def on_visit_ready(self, ready: Visit.Ready) -> None:
        """Begin the tour in the demo that was built, or say why there is none."""
        self.visit.take(ready)
        if ready.snapshot is None:
            self.notify(ready.failure, title="No tour", severity="error", markup=False)
            return
        self.push_screen(self._browsing(ready.snapshot, picked=True, tour=True))

    async def action_quit(self) -> None:
        """Leave, without waiting for what still runs."""
        self._leave(0)

    def _leave(self, status: int) -> None:
        for screen in self.screen_stack:
            if isinstance(
                screen,
                BrowseScreen | EntriesScreen | ExtractScreen | LayersScreen | PickerScreen,
            ):
                screen.stop()
        self.cancelled = self.exports.stop()
        self.exit(return_code=status)

    def on_exports_told(self, told: Exports.Told) -> None:
        """Something of an export is new; say when it is over, unless that is in sight."""
        was_over = told.export.is_over
        self.exports.take(told)
        export = told.export
        if was_over or not export.is_over or export.state is ExportState.CANCELLED:
            return
        if isinstance(self.screen, ExportView) and self.screen.export is export:
            return
        layer = export.layer
        self.notify(
            layer.digest if layer is not None else export.failure or "",
            title=f"Export {export.number}: {export.state.value}",
            severity="error" if export.state is ExportState.FAILED else "information",
            markup=False,
        )


def _lead(screen: Screen[object], path: bytes | None) -> None:
    """Go from *screen* to the row of *path*, of a tree that lies below it or is it."""
    if path is None:
        return
    if isinstance(screen, BrowseScreen):
        screen.reveal(path)
    else:
        screen.dismiss(path)


def run_app(
    snapshot: Snapshot | None,
    *,
    store_path: str | None = None,
    root: Root = HOST,
    tour: bool = False,
) -> int:
    """Run the app in this terminal, perhaps with the guided tour; returns its exit status."""
    state = load_state()
    colours = has_colours()
    os.environ.pop("NO_COLOR", None)
    if not colours:
        os.environ["NO_COLOR"] = "1"  # what Textual asks
    if os.environ.get("TERM") in ("dumb", "unknown"):
        os.environ["TERM"] = "vt100"  # nothing less can show this app; Rich gives up on "dumb"
    app = WhiteoutApp(
        snapshot, store_path=store_path, root=root, state=state, tour=tour, colours=colours
    )
    if not colours or app.console.color_system == "standard":
        app.theme = "ansi-light" if is_light() else "ansi-dark"
    usual = app.theme
    sys.setswitchinterval(_TURN)
    gc.freeze()  # a collection that goes through all that is imported keeps keys waiting
    try:
        app.run()
    finally:
        tidy = wait_for_jobs(_TIDYING, only_writing=True)
        app.visit.remove()
    if state.theme is not None or app.theme != usual:
        state.theme = app.theme
    save_state(state)
    for export in app.cancelled:
        print(f"export {export.number} to {export.plan.describe()} was cancelled", file=sys.stderr)
    stays = any(not isinstance(export.plan, FilePlan) for export in app.cancelled)
    # a compressor at a high level takes its time to stop; only then what it wrote is removed
    if not tidy and stays and not wait_for_jobs(_TIDYING_OF_EXPORTS, only_writing=True):
        print(
            "what is unfinished could not be removed in time; the next export to the same store "
            "removes it",
            file=sys.stderr,
        )
    return app.return_code or 0
