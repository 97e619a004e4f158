"""A choice of a few words, made with the arrow keys alone."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget


class Choice(Widget, can_focus=True):
    """One of several words, side by side; left and right change it, and so does a click."""

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

    def render(self) -> Content:
        """The words, the chosen one in brackets as well as in colour."""
        parts: list[tuple[str, str]] = []
        for position, word in enumerate(self.words):
            if position == self.value:
                parts.append((f"[{word}]", "bold $text-primary"))
            else:
                parts.append((f" {word} ", "$foreground-muted"))
            parts.append((" ", ""))
        return Content.assemble(*parts)

    def watch_value(self) -> None:
        """Tell that the choice changed."""
        self.post_message(self.Changed())

    def on_key(self, event: events.Key) -> None:
        """Left and right, h and l, or the first letter of a word."""
        steps = {"left": -1, "h": -1, "right": 1, "l": 1, "space": 1}
        if event.key in steps:
            self.value = (self.value + steps[event.key]) % len(self.words)
            event.stop()
            return
        for position, word in enumerate(self.words):
            if event.character and word.startswith(event.character):
                self.value = position
                event.stop()

    def on_click(self, event: events.Click) -> None:
        """Choose the word under the pointer."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        left = 0
        for position, word in enumerate(self.words):
            if left <= offset.x < left + len(word) + 2:
                self.value = position
            left += len(word) + 3
