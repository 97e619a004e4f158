"""The footer: every action that the focused part of the screen offers, from the table of actions.

Actions with the same word share it, as in ``s S sort``. Where that takes more lines than there are,
other ways to the same thing are left out and the keys stand close together, as in ``sS sort``; then
the words are shorter, and fewer. If even that is too long, as on a screen of 60 columns, the last
of them are left to the help.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from rich.cells import cell_len
from textual import events
from textual.app import App
from textual.content import Content
from textual.geometry import Size
from textual.keys import key_to_character
from textual.screen import Screen
from textual.widget import Widget

from whiteout_tui.actions import ACTIONS, Action, Scope, binding_id, short_key

_MOST_LINES = 3
_GAP = 2
#: One line of so many is for the footer.
_SHARE = 6
#: More digits in a row than these are drawn as a range.
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Offer:
    """An action and the key that carries it out now."""

    action: Action
    key: str


@dataclass(frozen=True, slots=True)
class Item:
    """Some keys and the one word for what they do; ``near`` draws the keys close together."""

    offers: tuple[Offer, ...]
    word: str
    near: bool = False

    def drawn(self) -> list[tuple[str, str]]:
        """How each key is drawn with what follows it, and the key that a click there presses."""
        shown = [short_key(offer.key) for offer in self.offers]
        found = []
        for place, (key, offer) in enumerate(zip(shown, self.offers, strict=True)):
            following = shown[place + 1] if place + 1 < len(shown) else ""
            glued = self.near and following and cell_len(key) == cell_len(following) == 1
            found.append((key if glued else f"{key} ", offer.key))
        return _ranged(found) if self.near else found

    @property
    def width(self) -> int:
        """In cells."""
        return sum(cell_len(shown) for shown, _ in self.drawn()) + cell_len(self.word)

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(shown for shown, _ in self.drawn()) + self.word


def _ranged(keys: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """*keys* with many digits in a row as ``1…5``, where the dots press the second of them."""
    found: list[tuple[str, str]] = []
    for digits, run in groupby(keys, key=lambda drawn: drawn[0].strip().isdigit()):
        row = list(run)
        if digits and len(row) > _DIGITS:
            row = [row[0], ("…", row[1][1]), row[-1]]
        found += row
    return found


def items_by(offers: Iterable[Offer], *, near: bool = False, short: bool = False) -> list[Item]:
    """One item for each word, in the table's order.

    With *near* other ways to the same are left out and the keys stand close together; with *short*
    the words are as few and short as they can be. What belongs to the whole app comes last, under
    its own words, as those lead to all the others.
    """
    gathered: dict[tuple[bool, str], list[Offer]] = {}
    for offer in offers:
        action = offer.action
        word = action.near_word if short else action.word
        gathered.setdefault((action.scope is Scope.APP, word), []).append(offer)
    return [
        Item(tuple(_needed(found) if near else found), word, near)
        for (_, word), found in sorted(gathered.items(), key=_last)
    ]


def _needed(offers: list[Offer]) -> list[Offer]:
    """*offers* without other ways to the same; all of them if there is nothing else."""
    return [offer for offer in offers if not offer.action.aside] or offers


def _last(gathered: tuple[tuple[bool, str], list[Offer]]) -> bool:
    return gathered[0][0]


def broken(items: Sequence[Item], width: int) -> list[list[Item]]:
    """*items* in lines of at most *width* cells, where an item is not wider itself."""
    lines: list[list[Item]] = []
    used = width
    for item in items:
        if lines and used + _GAP + item.width <= width:
            lines[-1].append(item)
            used += _GAP + item.width
        else:
            lines.append([item])
            used = item.width
    return lines


def laid_out(offers: Sequence[Offer], width: int, most: int = _MOST_LINES) -> list[list[Item]]:
    """The lines of a footer of *width* cells, at most *most* where one is enough for the app's own.

    Where even the closer drawing is too long, as many of the first words stay as there is room for
    before those of the whole app.
    """
    for near in (False, True):
        lines = broken(items_by(offers, near=near), width)
        if len(lines) <= most:
            return lines
    items = items_by(offers, near=True, short=True)
    of_app = [item for item in items if item.offers[0].action.scope is Scope.APP]
    others = items[: len(items) - len(of_app)]
    kept = next(
        (
            count
            for count in range(len(others), 0, -1)
            if len(broken([*others[:count], *of_app], width)) <= most
        ),
        0,
    )
    return broken([*others[:kept], *of_app], width)[: max(1, most)]


class ActionFooter(Widget):
    """Shows the keys of the focused part of the screen; a click on a key presses it."""

    ALLOW_SELECT = False

    def on_mount(self) -> None:
        """Follow the focus."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def on_unmount(self) -> None:
        """Follow it no more."""
        self.screen.bindings_updated_signal.unsubscribe(self)

    def _changed(self, screen: Screen[object]) -> None:
        if screen.app.app_focus and self.is_attached:
            self.refresh(layout=True)

    def offers(self) -> list[Offer]:
        """The actions that a key carries out now, each with its first key.

        They are in the table's order, those of what is focused before those of the screen.
        """
        focused = self.screen.focused
        keys: dict[str, str] = {}
        afar = set()
        for key, active in self.screen.active_bindings.items():
            shown = active.binding.key_display or ""
            typed = shown if len(shown) == 1 and shown.isascii() else key_to_character(key)
            if focused is not None and focused.check_consume_key(key, typed):
                continue
            if active.enabled and active.binding.id is not None:
                keys[active.binding.id] = key
                if isinstance(active.node, Screen | App):
                    afar.add(active.binding.id)
        found: list[tuple[bool, Offer]] = []
        for action in ACTIONS:
            for position in range(len(action.keys)):
                name = binding_id(action, position)
                if name in keys:
                    found.append((name in afar, Offer(action, keys[name])))
                    break
        return [offer for _, offer in sorted(found, key=itemgetter(0))]

    def lines(self, width: int) -> list[list[Item]]:
        """What is shown in *width* cells."""
        height = self.screen.size.height
        return laid_out(self.offers(), width, max(1, min(_MOST_LINES, height // _SHARE)))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as it takes."""
        return max(1, len(self.lines(width)))

    def render(self) -> Content:
        """The lines, keys in bold."""
        return Content("\n").join(
            Content(" " * _GAP).join(_drawn(item) for item in line)
            for line in self.lines(self.content_size.width)
        )

    def on_click(self, event: events.Click) -> None:
        """Press the key under the pointer; a word stands for its first key."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        lines = self.lines(self.content_size.width)
        key = _key_at(lines[offset.y], offset.x) if offset.y < len(lines) else None
        if key is not None:
            self.app.simulate_key(key)


def _drawn(item: Item) -> Content:
    keys = [Content.styled(shown, "bold $footer-key-foreground") for shown, _ in item.drawn()]
    return Content.assemble(*keys, (item.word, "$footer-description-foreground"))


def _key_at(line: Sequence[Item], x: int) -> str | None:
    start = 0
    for item in line:
        if start <= x < start + item.width:
            at = start
            for shown, key in item.drawn():
                at += cell_len(shown)
                if x < at:
                    return key
            return item.offers[0].key
        start += item.width + _GAP
    return None
