"""A choice of a few words, made with the arrow keys alone."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from whiteout_tui.actions import Scope, actions_of, bindings
from whiteout_tui.form import FORM_BINDINGS, FormField

_TAKEN = frozenset(key for action in actions_of(Scope.CHOICE) for key in action.keys)


class Choice(Widget, FormField, can_focus=True):
    """One of several words, side by side; left and right change it, and so does a click."""

    BINDINGS = [*FORM_BINDINGS, *bindings(Scope.CHOICE)]  # noqa: RUF012 - as Textual has it

    value: reactive[int] = reactive(0)

    class Changed(Message):
        """Another word is chosen."""

    def __init__(self, words: tuple[str, ...], chosen: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.words = words
        self.set_reactive(Choice.value, words.index(chosen))

    @property
    def word(self) -> str:
        """The chosen word."""
        return self.words[self.value]

    def _places(self, width: int) -> list[tuple[int, int]]:
        """Line and column of each word, in lines of *width* cells."""
        places = []
        line = left = 0
        for word in self.words:
            room = len(word) + 2
            if left and left + room > width:
                line, left = line + 1, 0
            places.append((line, left))
            left += room + 1
        return places

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as the words take."""
        return self._places(width)[-1][0] + 1

    def render(self) -> Content:
        """The words, the chosen one in brackets as well as in colour."""
        lines: dict[int, list[Content]] = {}
        places = self._places(self.content_size.width)
        for position, (word, (line, _)) in enumerate(zip(self.words, places, strict=True)):
            if position == self.value:
                drawn = Content.styled(f"[{word}]", "bold $text-primary")
            else:
                drawn = Content.styled(f" {word} ", "$foreground-muted")
            lines.setdefault(line, []).append(drawn)
        return Content("\n").join(Content(" ").join(words) for words in lines.values())

    def watch_value(self) -> None:
        """Tell that the choice changed."""
        self.post_message(self.Changed())

    def action_next_word(self) -> None:
        """Choose the word to the right."""
        self.value = (self.value + 1) % len(self.words)

    def action_previous_word(self) -> None:
        """Choose the word to the left."""
        self.value = (self.value - 1) % len(self.words)

    def on_key(self, event: events.Key) -> None:
        """Choose a word by its first letter."""
        if event.key in _TAKEN:
            return
        count = len(self.words)
        for step in range(1, count + 1):
            position = (self.value + step) % count
            if event.character and self.words[position].startswith(event.character):
                self.value = position
                event.stop()
                return

    def on_click(self, event: events.Click) -> None:
        """Choose the word under the pointer."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        places = self._places(self.content_size.width)
        for position, (word, (line, left)) in enumerate(zip(self.words, places, strict=True)):
            if line == offset.y and left <= offset.x < left + len(word) + 2:
                self.value = position
