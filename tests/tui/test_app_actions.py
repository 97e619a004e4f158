"""One table of actions: bindings, footer, palette and help all come from it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from app_harness import Fake, added, press, run, screen_text, settle, until
from scenes import SCENES, stay
from textual.binding import Binding
from textual.command import Hit
from textual.pilot import Pilot

from whiteout_tui.actions import (
    ACTIONS,
    Action,
    Group,
    Scope,
    actions_of,
    bindings,
    key_name,
    short_key,
)
from whiteout_tui.app import WhiteoutApp
from whiteout_tui.browse_screen import BrowseScreen
from whiteout_tui.choice import Choice
from whiteout_tui.copy_screen import CopyScreen
from whiteout_tui.detail import DetailPane
from whiteout_tui.export_screen import ExportScreen
from whiteout_tui.export_view import ExportView
from whiteout_tui.extract_screen import ExtractScreen
from whiteout_tui.footer import ActionFooter, Offer, laid_out
from whiteout_tui.form import FormField
from whiteout_tui.glossary_screen import GlossaryScreen
from whiteout_tui.help_screen import HelpScreen, help_content
from whiteout_tui.history_screen import HistoryScreen
from whiteout_tui.layers_screen import LayersScreen
from whiteout_tui.legend import FLAGS, KINDS, NUMBERS
from whiteout_tui.linelist import LineList
from whiteout_tui.palette import ActionProvider, title
from whiteout_tui.picker_screen import PickerScreen
from whiteout_tui.prompt import PromptInput
from whiteout_tui.result_table import ResultTable
from whiteout_tui.row_list import RowList
from whiteout_tui.scrolling import ScrollingText
from whiteout_tui.survey_screen import SurveyScreen
from whiteout_tui.tour_bar import TourBar
from whiteout_tui.tree import SnapshotTree

CARRIERS = {
    Scope.APP: WhiteoutApp,
    Scope.PICKER: PickerScreen,
    Scope.LAYERS: LayersScreen,
    Scope.LIST: RowList,
    Scope.BROWSE: BrowseScreen,
    Scope.TREE: SnapshotTree,
    Scope.TEXT: ScrollingText,
    Scope.DETAIL: DetailPane,
    Scope.EXPORT: ExportScreen,
    Scope.EXPORTS: HistoryScreen,
    Scope.RESULT: ExportView,
    Scope.EXTRACT: ExtractScreen,
    Scope.FORM: FormField,
    Scope.CHOICE: Choice,
    Scope.VALUES: ResultTable,
    Scope.COPY: CopyScreen,
    Scope.HELP: HelpScreen,
    Scope.PROMPT: PromptInput,
    Scope.LINES: LineList,
    Scope.SURVEY: SurveyScreen,
    Scope.VIEW: GlossaryScreen,
    Scope.TOUR: TourBar,
}


def text(pilot: Pilot[None]) -> str:
    return screen_text(pilot.app)  # type: ignore[arg-type]


FAKE = Fake({b"/": [added(b"/a")]})


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: f"{action.scope.value}.{action.id}")
def test_every_action_is_carried_out_by_somebody(action: Action) -> None:
    assert callable(getattr(CARRIERS[action.scope], f"action_{action.id}"))


@pytest.mark.parametrize("scope", Scope)
def test_no_key_means_two_things_in_one_place(scope: Scope) -> None:
    keys = [key for action in actions_of(scope) for key in action.keys]
    assert len(keys) == len(set(keys))
    assert [binding.key for binding in bindings(scope) if isinstance(binding, Binding)] == keys


def test_the_help_tells_every_action_letter_and_number() -> None:
    text = help_content(100).plain
    squeezed = " ".join(text.split())
    for action in ACTIONS:
        assert action.help in squeezed
        assert " ".join(map(key_name, action.keys)) in text
    for words in [sign.meaning for sign in (*KINDS.values(), *FLAGS)] + [
        rule for _, rule in NUMBERS
    ]:
        assert " ".join(words.split()) in squeezed


def offered(pilot: Pilot[None]) -> set[Action]:
    """What the footer shows on the screen, as Textual finds it there."""
    footer = pilot.app.screen.query_one(ActionFooter)
    shown = text(pilot).splitlines()[footer.region.y : footer.region.bottom]
    found = set()
    for drawn, line in zip(shown, footer.lines(footer.content_size.width), strict=True):
        for item in line:
            assert item.text in drawn
            assert all(short_key(offer.key) in item.text or item.near for offer in item.offers)
            found |= {offer.action for offer in item.offers}
    return found


def worded(pilot: Pilot[None]) -> set[str]:
    """The words that the footer shows."""
    footer = pilot.app.screen.query_one(ActionFooter)
    return {item.word for line in footer.lines(footer.content_size.width) for item in line}


def expected(*scopes: Scope) -> set[Action]:
    return {action for action in ACTIONS if action.scope in scopes}


FOCUSED: dict[str, tuple[tuple[str, ...], tuple[Scope, ...]]] = {
    "tree": ((), (Scope.APP, Scope.BROWSE, Scope.TREE)),
    "detail": (("tab",), (Scope.APP, Scope.BROWSE, Scope.DETAIL, Scope.TEXT)),
    "help": (("question_mark",), (Scope.HELP, Scope.TEXT)),
}
#: Their only key is taken by what is focused; or they lead nowhere, as nothing was picked.
ELSEWHERE = {"close"}
SEARCHING = {"toggle_expression", "next_found", "previous_found"}


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=["80", "120"])
@pytest.mark.parametrize("focused", FOCUSED)
def test_the_footer_shows_every_action_of_what_is_focused(
    focused: str, size: tuple[int, int]
) -> None:
    keys, scopes = FOCUSED[focused]

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, *keys)
        found = offered(pilot)
        missing = {action for action in expected(*scopes) - found if action.id not in ELSEWHERE}
        if size[0] >= 120:
            assert not missing
        # where there is less room, another way to what is shown may be missing, but no word
        assert all(action.aside for action in missing)
        assert {action.near_word for action in missing} <= worded(pilot)
        assert found <= expected(*scopes)
        assert pilot.app.screen.query_one(ActionFooter).region.height <= 3

    run(FAKE, drive, size=size)


@pytest.mark.parametrize(("key", "elsewhere"), [("slash", {"complete"}), ("colon", SEARCHING)])
def test_the_footer_shows_every_action_of_the_prompt(key: str, elsewhere: set[str]) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, key)
        missing = {action.id for action in expected(Scope.PROMPT) - offered(pilot)}
        assert missing == elsewhere

    run(FAKE, drive)


def test_the_palette_offers_every_action_of_the_snapshot() -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        provider = ActionProvider(pilot.app.screen)
        names = {str(hit.text) for hit in [hit async for hit in provider.discover()]}
        scopes = (Scope.APP, Scope.BROWSE, Scope.TREE, Scope.TEXT, Scope.DETAIL)
        missing = {a.id for a in expected(*scopes) if title(a) not in names}
        assert missing == {"command_palette"}
        hits = [hit async for hit in provider.search("expo") if isinstance(hit, Hit)]
        best = max(hits, key=lambda hit: hit.score)
        assert str(best.text).startswith("Export")

    run(FAKE, drive)


#: Where each scope is seen, and what cannot be done there now: nothing runs, nothing is filtered.
SEEN: dict[str, tuple[tuple[Scope, ...], set[str]]] = {
    "picker": ((Scope.APP, Scope.LIST, Scope.PICKER), set()),
    "layers": ((Scope.APP, Scope.LIST, Scope.LAYERS), set()),
    "totals": ((Scope.APP, Scope.LINES, Scope.SURVEY, Scope.VIEW), set()),
    "glossary": ((Scope.APP, Scope.LINES, Scope.VIEW), set()),
    "export-dialog": ((Scope.EXPORT, Scope.FORM, Scope.CHOICE), set()),
    "export-result": (
        (Scope.APP, Scope.EXPORTS, Scope.RESULT, Scope.VALUES),
        {"cancel_export"},
    ),
    "export-history": (
        (Scope.APP, Scope.LINES, Scope.EXPORTS, Scope.VIEW),
        {"cancel_export", "history"},
    ),
    "extract": ((Scope.EXTRACT, Scope.FORM), set()),
    "copy-menu": ((Scope.COPY, Scope.VALUES), set()),
    "tour": ((Scope.APP, Scope.BROWSE, Scope.TOUR), {"switch_pane", "next_match", "close"}),
}
#: Over these no palette opens: they are dialogs, or take what is typed.
WITHOUT_PALETTE = {
    *(Scope.EXPORT, Scope.EXTRACT, Scope.FORM, Scope.CHOICE),
    *(Scope.COPY, Scope.HELP, Scope.PROMPT),
}


@pytest.mark.parametrize("name", SEEN)
def test_the_footer_and_the_palette_of_every_screen(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scopes, elsewhere = SEEN[name]

    async def look(pilot: Pilot[None]) -> None:
        wanted = expected(*scopes)
        found = offered(pilot)
        missing = {action for action in wanted - found if action.id not in elsewhere}
        assert all(action.aside for action in missing)
        assert {action.near_word for action in missing} <= worded(pilot)
        assert found <= wanted
        names = {str(hit.text) async for hit in ActionProvider(pilot.app.screen).discover()}
        missing = {action.id for action in wanted if title(action) not in names}
        assert missing == {action.id for action in wanted if not action.palette}

    (scene,) = (scene for scene in SCENES if scene.name == name)
    stay(scene, tmp_path, monkeypatch, look)


def test_every_scope_is_seen_with_its_footer_and_its_palette() -> None:
    seen = [scopes for scopes, _ in SEEN.values()] + [scopes for _, scopes in FOCUSED.values()]
    assert {scope for scopes in seen for scope in scopes} | {Scope.PROMPT} == set(Scope)
    for action in ACTIONS:
        nowhere = action.scope in WITHOUT_PALETTE or action.id == "command_palette"
        assert action.palette is not nowhere, action


def many(count: int) -> list[Offer]:
    return [
        Offer(
            Action(f"a{n}", Scope.TREE, ("x",), f"Action {n}", "", list(Group)[n % len(Group)]), "x"
        )
        for n in range(count)
    ] + [Offer(action, action.keys[0]) for action in actions_of(Scope.APP)]


@pytest.mark.parametrize("most", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 5, 20, 60, 500])
def test_a_footer_draws_closer_and_keeps_the_way_to_all_keys(count: int, most: int) -> None:
    offers = many(count)
    lines = laid_out(offers, 80, most)
    assert len(lines) <= most
    shown = [offer.action.id for line in lines for item in line for offer in item.offers]
    assert {action.id for action in actions_of(Scope.APP)} <= set(shown)
    if count < 20 and most == 3:
        assert set(shown) == {offer.action.id for offer in offers}
    assert shown[: len(shown) - len(actions_of(Scope.APP))] == [
        f"a{n}" for n in range(len(shown) - len(actions_of(Scope.APP)))
    ]
    for line in lines:
        assert sum(item.width for item in line) + 2 * (len(line) - 1) <= 80


def test_keys_that_share_a_word_stand_close_together_where_there_is_little_room() -> None:
    offers = [
        Offer(action, action.keys[0])
        for action in ACTIONS
        if action.scope in (Scope.APP, Scope.BROWSE, Scope.TREE)
    ]
    (text,) = {
        "  ".join(item.text for line in laid_out(offers, width) for item in line)
        for width in (78, 79)
    }
    assert text.startswith("↑↓ move  bB jump  →←+- open  /nN search  f filter")
    assert "Tab <> pane  w why  1…5 tab  vx file" in text


def test_a_click_in_the_footer_presses_the_key() -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        footer = pilot.app.screen.query_one(ActionFooter)
        shown = text(pilot).splitlines()[footer.region.y : footer.region.bottom]
        y = next(number for number, line in enumerate(shown) if "? help" in line)
        x = shown[y].index("? help")
        await pilot.click(ActionFooter, offset=(x + 3, y))
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
        await press(pilot, "escape")
        # each key of some that stand close together, and of a range of digits its ends
        for name, place, tab in (("1…5 tab", 2, 4), ("1…5 tab", 0, 0), ("1…5 tab", 1, 1)):
            y = next(number for number, line in enumerate(shown) if name in line)
            await pilot.click(ActionFooter, offset=(shown[y].index(name) + place, y))
            await until(pilot, lambda tab=tab: pilot.app.screen.query_one(DetailPane).tab == tab)

    run(FAKE, drive)


def test_an_action_is_run_from_the_palette() -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await pilot.press("ctrl+p")
        await pilot.press(*"help")
        await until(pilot, lambda: "this help" in text(pilot))
        await pilot.press("enter", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
        assert isinstance(pilot.app.screen, HelpScreen)

    run(FAKE, drive)


def test_help_opens_scrolls_and_closes() -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        for closing in ("escape", "q", "question_mark"):
            await press(pilot, "question_mark")
            assert isinstance(pilot.app.screen, HelpScreen)
            await press(pilot, "G")
            assert "diffID" in text(pilot)
            await press(pilot, closing)
            assert isinstance(pilot.app.screen, BrowseScreen)

    run(FAKE, drive)


def test_escape_at_the_root_closes_nothing() -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "escape")
        assert isinstance(pilot.app.screen, BrowseScreen)

    run(FAKE, drive)


def test_the_actions_are_also_found_while_nothing_is_focused() -> None:
    async def body() -> None:
        app = WhiteoutApp(FAKE)  # type: ignore[arg-type]
        async with app.run_test() as pilot:
            await settle(pilot)
            app.screen.set_focus(None)
            await press(pilot, "question_mark")
            assert isinstance(app.screen, HelpScreen)

    asyncio.run(body())
