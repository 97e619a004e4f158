"""The footer: every action that the focused part of the screen offers, from the table of actions.

Actions with the same hint share one word, as in ``s S sort``. Where that takes more lines than
there are, one group of the help after the other is drawn closer together, under one word.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.geometry import Size
from textual.keys import key_to_character
from textual.screen import Screen
from textual.widget import Widget

from whiteout_tui.actions import ACTIONS, Action, Group, Scope, binding_id, short_key

_MOST_LINES = 3
_GAP = 2


@dataclass(frozen=True, slots=True)
class Offer:
    """An action and the key that carries it out now."""

    action: Action
    key: str


@dataclass(frozen=True, slots=True)
class Item:
    """Some keys and the one word for what they do."""

    offers: tuple[Offer, ...]
    word: str

    @property
    def width(self) -> int:
        """In cells."""
        keys = sum(cell_len(short_key(offer.key)) + 1 for offer in self.offers)
        return keys + cell_len(self.word)


def items_by(offers: Iterable[Offer], closer: Collection[Group] = ()) -> list[Item]:
    """One item for each hint, but one alone for each of the groups *closer*, in the table's order.

    What belongs to the whole app keeps its own words, as those lead to all the others.
    """
    gathered: dict[tuple[bool, str], list[Offer]] = {}
    for offer in offers:
        action = offer.action
        alone = action.scope is Scope.APP
        drawn_closer = action.group in closer and not alone
        word = action.group.hint if drawn_closer else action.hint or action.label.lower()
        gathered.setdefault((alone, word), []).append(offer)
    return [Item(tuple(found), word) for (_, word), found in sorted(gathered.items(), key=_last)]


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


def laid_out(offers: Sequence[Offer], width: int) -> list[list[Item]]:
    """The lines of a footer of *width* cells.

    Where even the closer drawing is too long, the lines before the last are what remains, and the
    last begins with what belongs to the whole app.
    """
    groups = list(Group)
    lines = broken(items_by(offers), width)
    for number in range(1, len(groups) + 1):
        if len(lines) <= _MOST_LINES:
            break
        lines = broken(items_by(offers, groups[:number]), width)
    if len(lines) > _MOST_LINES:
        of_app = [offer for offer in offers if offer.action.scope is Scope.APP]
        last = broken(items_by(of_app), width)[:1]
        lines = lines[: _MOST_LINES - len(last)] + last
    return lines


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
        """The actions that a key carries out now, in the table's order, each with its first key."""
        focused = self.screen.focused
        keys: dict[str, str] = {}
        for key, active in self.screen.active_bindings.items():
            shown = active.binding.key_display or ""
            typed = shown if len(shown) == 1 and shown.isascii() else key_to_character(key)
            if focused is not None and focused.check_consume_key(key, typed):
                continue
            if active.enabled and active.binding.id is not None:
                keys[active.binding.id] = key
        found = []
        for action in ACTIONS:
            for position in range(len(action.keys)):
                pressed = keys.get(binding_id(action, position))
                if pressed is not None:
                    found.append(Offer(action, pressed))
                    break
        return found

    def lines(self, width: int) -> list[list[Item]]:
        """What is shown in *width* cells."""
        return laid_out(self.offers(), width)

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
    keys = [
        Content.styled(short_key(offer.key), "bold $footer-key-foreground") for offer in item.offers
    ]
    return Content(" ").join([*keys, Content.styled(item.word, "$footer-description-foreground")])


def _key_at(line: Sequence[Item], x: int) -> str | None:
    start = 0
    for item in line:
        if start <= x < start + item.width:
            at = start
            for offer in item.offers:
                at += cell_len(short_key(offer.key)) + 1
                if x < at:
                    return offer.key
            return item.offers[0].key
        start += item.width + _GAP
    return None
