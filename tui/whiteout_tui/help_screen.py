"""The help: every key, every letter, and the rule of every number, from the tables."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from whiteout_tui.actions import ACTIONS, Action, Group, Scope, bindings, key_name
from whiteout_tui.footer import ActionFooter
from whiteout_tui.legend import FLAGS, KINDS, MOUSE, NUMBERS, SUFFIXES
from whiteout_tui.rowdata import RowKind
from whiteout_tui.scrolling import ScrollingText
from whiteout_tui.status import COLOURS
from whiteout_tui.words import wrap

_WIDTH = 18


class HelpScreen(ModalScreen[None]):
    """Explains the keys and the signs."""

    BINDINGS = bindings(Scope.HELP)
    AUTO_FOCUS = "#help"

    def compose(self) -> ComposeResult:
        """One text, scrolled by the keyboard."""
        with Vertical(id="dialog"):
            with HelpText(id="help"):
                yield Static("", id="help-text", markup=False)
            yield ActionFooter()

    def action_close_help(self) -> None:
        """Close the help."""
        self.dismiss()


class HelpText(ScrollingText):
    """The text of the help, drawn for its width."""

    def on_resize(self) -> None:
        """Draw for the new width."""
        width = max(30, self.scrollable_content_region.width)
        self.query_one("#help-text", Static).update(help_content(width))


def help_content(width: int) -> Content:
    """The whole help in lines of *width* cells."""
    lines = [
        Content.styled("Whiteout shows what an overlayfs snapshot really changed,", "bold"),
        Content.styled("why, and the layer that it becomes. It never writes to a layer.", "bold"),
        _heading("The first column: what becomes of an entry"),
    ]
    for kind, sign in KINDS.items():
        if kind is not RowKind.NOTE:
            lines.append(_line(sign.letter, sign.meaning, width, f"bold {COLOURS[kind]}"))
    lines.append(_heading("The second column: what else is to be known of it"))
    lines.extend(_line(sign.letter, sign.meaning, width) for sign in FLAGS)
    lines.append(_heading("After the name: its type"))
    lines.extend(_line(suffix or "(none)", word, width) for suffix, word in SUFFIXES.values())
    for group in Group:
        lines.append(_heading(group.value))
        for action in ACTIONS:
            if action.group is group:
                lines.append(_line(_keys(action), _told(action), width))
    lines.append(_heading("The mouse"))
    lines.extend(_line(name, text, width) for name, text in MOUSE)
    lines.append(_heading("The numbers, and their rules"))
    lines.extend(_line(name, rule, width) for name, rule in NUMBERS)
    return Content("\n").join(lines)


def _keys(action: Action) -> str:
    return " ".join(map(key_name, action.keys))


def _told(action: Action) -> str:
    if action.scope in (Scope.BROWSE, Scope.TREE, Scope.APP):
        return action.help
    return f"{action.help} [{action.scope.value}]"


def _heading(title: str) -> Content:
    return Content.assemble("\n", (title, "bold $text-primary"))


def _line(name: str, text: str, width: int, style: str = "bold") -> Content:
    first, *rest = wrap(text, width - _WIDTH)
    return Content("\n").join(
        [
            Content.assemble((f"{name:<{_WIDTH}}", style), first),
            *(Content(" " * _WIDTH + line) for line in rest),
        ]
    )
