"""The command palette, from the table of actions."""

from __future__ import annotations

from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.dom import DOMNode
from textual.types import IgnoreReturnCallbackType

from whiteout_tui.actions import ACTIONS, Action, Group, Scope, key_name
from whiteout_tui.browse_screen import BrowseScreen
from whiteout_tui.detail import DetailPane
from whiteout_tui.export_actions import ExportActions
from whiteout_tui.export_view import ExportView
from whiteout_tui.glossary_screen import GlossaryScreen
from whiteout_tui.layers_screen import LayersScreen
from whiteout_tui.linelist import LineList
from whiteout_tui.list_screen import ListScreen
from whiteout_tui.picker_screen import PickerScreen
from whiteout_tui.result_table import ResultTable
from whiteout_tui.survey_screen import SurveyScreen
from whiteout_tui.tour_bar import TourBar
from whiteout_tui.tree import SnapshotTree


class ActionProvider(Provider):
    """Offers every action that the screen behind the palette can carry out."""

    def _offers(self) -> list[tuple[Action, DOMNode]]:
        carriers: dict[Scope, DOMNode] = {Scope.APP: self.app}
        screen = self.screen
        if isinstance(screen, BrowseScreen):
            carriers[Scope.BROWSE] = screen
            carriers[Scope.TREE] = screen.query_one(SnapshotTree)
            carriers[Scope.DETAIL] = screen.query_one(DetailPane)
            carriers[Scope.TEXT] = screen.query_one(DetailPane).text
            tour = screen.query_one(TourBar)
            if tour.step is not None:
                carriers[Scope.TOUR] = tour
        for lists in screen.query(LineList):
            carriers[lists.SCOPE] = lists
        for table in screen.query(ResultTable):
            carriers[Scope.VALUES] = table
        if isinstance(screen, ListScreen | GlossaryScreen):
            carriers[Scope.VIEW] = screen
        if isinstance(screen, SurveyScreen):
            carriers[Scope.SURVEY] = screen
        if isinstance(screen, ExportActions):
            carriers[Scope.EXPORTS] = screen
        if isinstance(screen, ExportView):
            carriers[Scope.RESULT] = screen
        if isinstance(screen, PickerScreen):
            carriers[Scope.PICKER] = screen
        if isinstance(screen, LayersScreen):
            carriers[Scope.LAYERS] = screen
        return [
            (action, carriers[action.scope])
            for action in ACTIONS
            if action.palette and action.scope in carriers
        ]

    def _run(self, action: Action, carrier: DOMNode) -> IgnoreReturnCallbackType:
        return partial(self.app.run_action, action.id, carrier)

    async def discover(self) -> Hits:
        """Every action, before anything is typed; those that everybody knows come last."""
        for action, carrier in sorted(self._offers(), key=_moves):
            yield DiscoveryHit(
                Content(title(action)), self._run(action, carrier), title(action), action.help
            )

    async def search(self, query: str) -> Hits:
        """The actions whose name or explanation matches."""
        matcher = self.matcher(query)
        for action, carrier in self._offers():
            score = matcher.match(f"{title(action)} {action.help}")
            if score > 0:
                yield Hit(
                    score,
                    matcher.highlight(title(action)),
                    self._run(action, carrier),
                    title(action),
                    action.help,
                )


def _moves(offer: tuple[Action, DOMNode]) -> bool:
    return offer[0].group in (Group.MOVE, Group.TREE)


def title(action: Action) -> str:
    """How the palette names *action*, with its keys."""
    part = "Detail: " if action.scope in (Scope.TEXT, Scope.DETAIL) else ""
    keys = ", ".join(map(key_name, action.keys))
    return f"{part}{action.label}  ({keys})"
