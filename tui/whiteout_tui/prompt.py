"""The line for what is typed: a search, a filter, a path to go to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from whiteout_tui.actions import Scope, bindings
from whiteout_tui.field import Field


@dataclass(frozen=True, slots=True)
class _Manner:
    label: str
    hint: str


class PromptMode(Enum):
    """What is asked for. The value has its name and, while nothing is wrong, what to type."""

    SEARCH = _Manner("Search", "part of a name; of a path with a / in it; capitals count if typed")
    EXPRESSION = _Manner("Regex", r"an expression for names, such as \.so(\.\d+)*$")
    FILTER = _Manner(
        "Filter", "kind:AM size:>10M name:*.so path:/etc/* flag:O type:fl text -kind:S"
    )
    PATH = _Manner("Go to", "a path, such as /etc/hosts; Tab completes it")


class PromptInput(Field):
    """The field; its keys are those of the table of actions."""

    BINDINGS = bindings(Scope.PROMPT)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what makes sense for what is asked for."""
        mode = self._prompt.mode
        if action in ("toggle_expression", "next_found", "previous_found"):
            return mode in (PromptMode.SEARCH, PromptMode.EXPRESSION)
        if action == "complete":
            return mode is PromptMode.PATH
        return super().check_action(action, parameters)

    @property
    def _prompt(self) -> Prompt:
        return self.query_ancestor(Prompt)

    def action_accept(self) -> None:
        """Keep what was typed."""
        self._prompt.post_message(Prompt.Accepted(self._prompt.mode, self.value))

    def action_leave_prompt(self) -> None:
        """Back, as if nothing had been typed."""
        self._prompt.post_message(Prompt.Left(self._prompt.mode))

    def action_toggle_expression(self) -> None:
        """From plain text to an expression, and back."""
        plain = self._prompt.mode is PromptMode.EXPRESSION
        self._prompt.change_mode(PromptMode.SEARCH if plain else PromptMode.EXPRESSION)

    def action_next_found(self) -> None:
        """To the next match, while typing."""
        self._prompt.post_message(Prompt.Stepped(1))

    def action_previous_found(self) -> None:
        """To the match before, while typing."""
        self._prompt.post_message(Prompt.Stepped(-1))

    def action_complete(self) -> None:
        """Complete the path."""
        self._prompt.post_message(Prompt.Completed(self.value))


class Prompt(Vertical):
    """Asks for one line; it is not there while nothing is asked for."""

    class Changed(Message):
        """What is typed has changed."""

        def __init__(self, mode: PromptMode, text: str) -> None:
            super().__init__()
            self.mode = mode
            self.text = text

    class Accepted(Message):
        """What was typed is to be kept."""

        def __init__(self, mode: PromptMode, text: str) -> None:
            super().__init__()
            self.mode = mode
            self.text = text

    class Left(Message):
        """The prompt was left; nothing that was typed counts."""

        def __init__(self, mode: PromptMode) -> None:
            super().__init__()
            self.mode = mode

    class Stepped(Message):
        """The next match is wanted, or the one before."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    class Completed(Message):
        """The path is to be completed."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self) -> None:
        super().__init__(id="prompt")
        self.display = False
        self.mode = PromptMode.SEARCH

    def compose(self) -> ComposeResult:
        """The field between its name and its result, and a line that helps."""
        with Horizontal():
            yield Static("", id="prompt-label")
            yield PromptInput(compact=True, select_on_focus=False, id="prompt-input")
            yield Static("", id="prompt-result")
        yield Static("", id="prompt-hint")

    @property
    def is_open(self) -> bool:
        """Whether something is asked for."""
        return self.display

    @property
    def field(self) -> PromptInput:
        """Where it is typed."""
        return self.query_one(PromptInput)

    def ask(self, mode: PromptMode, text: str = "") -> None:
        """Ask for a line, beginning with *text*."""
        self.display = True
        with self.prevent(Input.Changed):
            self.field.value = text
        self.field.cursor_position = len(text)
        self.mode = mode
        self._draw()
        self.screen.set_focus(self.field)  # at once, so that what is typed next goes there

    def close(self) -> None:
        """Ask no more."""
        self.display = False

    def change_mode(self, mode: PromptMode) -> None:
        """Ask for something else with the same text."""
        self.mode = mode
        self._draw()
        self.post_message(self.Changed(mode, self.field.value))

    def type(self, text: str) -> None:
        """Put *text* into the field."""
        with self.prevent(Input.Changed):
            self.field.value = text
        self.field.cursor_position = len(text)

    def on_input_changed(self, changed: Input.Changed) -> None:
        """Pass on what is typed."""
        changed.stop()
        self.post_message(self.Changed(self.mode, changed.value))

    def tell(self, result: str, *, error: str | None = None, hint: str | None = None) -> None:
        """Show the *result*, and below it an *error* in words, a *hint*, or how to go on."""
        self.query_one("#prompt-result", Static).update(Content(result))
        line = self.query_one("#prompt-hint", Static)
        line.update(Content(error or (self.mode.value.hint if hint is None else hint)))
        line.set_class(error is not None, "-error")

    def _draw(self) -> None:
        self.query_one("#prompt-label", Static).update(Content(self.mode.value.label))
        self.tell("")
        self.screen.refresh_bindings()
