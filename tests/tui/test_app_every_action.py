"""Every action of the table, by its key, in a real terminal."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.overlay import overlay, stack_options
from support.terminal import Start
from whiteout_tui.actions import ACTIONS, Scope


@dataclass(frozen=True, slots=True)
class Press:
    """A key as tmux writes it, what is on the screen after it, and the action that it stands for.

    ``gone`` is on the screen before it and not after it. Without an action it leads to the next.
    """

    key: str
    sign: str = ""
    action: str = ""
    gone: str = ""


def at(path: str) -> str:
    """The status line with *path*."""
    return rf"(^|\n) {re.escape(path)}\s*( \S[^\n]*)?\n"


TREE = (
    Press("Down", at("/back-to-the-oldest-version.txt"), "TREE.cursor_down"),
    Press("Up", at("/"), "TREE.cursor_up"),
    Press("C-d", r"\n /[a-z]", "TREE.half_down"),
    Press("C-u", at("/"), "TREE.half_up"),
    Press("NPage", r"\n /[a-z]", "TREE.page_down"),
    Press("PPage", at("/"), "TREE.page_up"),
    Press("G", at("/whole-seconds-same-content.txt"), "TREE.last"),
    Press("g", at("/"), "TREE.first"),
    Press("b", at("/whole-seconds-same-content.txt"), "TREE.back"),
    Press("B", at("/"), "TREE.forward"),
    Press("Left"),
    Press("Down"),
    Press("Down", at("/big-added-file.txt")),
    Press("Enter", "", "TREE.activate", gone="Space"),
    Press("Escape", "Space"),
    Press("+", r"deleted-directory/\n.*file\.txt", "TREE.expand_all"),
    Press("-", r"▸ deleted-directory/", "TREE.collapse_all"),
    Press(":", "", "BROWSE.go_to"),
    *(Press(key) for key in "/etc"),
    Press("Enter", at("/etc"), "PROMPT.accept"),
    Press("Right", r"▾ etc/", "TREE.expand"),
    Press("Left", r"▸ etc/", "TREE.collapse"),
    Press("Space", r"▾ etc/", "TREE.toggle_directory"),
)

PROMPTS = (
    Press("/", "", "BROWSE.search"),
    *(Press(key) for key in "added"),
    Press("Down", r"2/\d+|2 of \d+", "PROMPT.next_found"),
    Press("Up", r"1/\d+|1 of \d+", "PROMPT.previous_found"),
    Press("C-r", "(?i)regex|expression", "PROMPT.toggle_expression"),
    Press("Enter", "n N f"),
    Press("n", r"2/\d+|2 of \d+", "BROWSE.next_match"),
    Press("N", r"1/\d+|1 of \d+", "BROWSE.previous_match"),
    Press("Escape", gone="“added”"),
    Press("f", "", "BROWSE.filter"),
    Press("D", gone="big-added-file"),
    Press("Escape", "big-added-file", "PROMPT.leave_prompt", gone="Filter D"),
    Press(":"),
    Press("/"),
    Press("b"),
    Press("i"),
    Press("Tab", "/big-added-file.txt", "PROMPT.complete"),
    Press("Enter", at("/big-added-file.txt")),
)

VIEW = (
    Press("s", "size ?[↑↓▴▾]|[↑↓▴▾] ?size|by size|size", "BROWSE.sort"),
    Press("S", "", "BROWSE.turn_order"),
    Press("s"),
    Press("s"),
    Press("g"),
    Press("u", "skipped hidden", "BROWSE.toggle_skipped"),
    Press("u", gone="skipped hidden"),
    Press("Down", at("/back-to-the-oldest-version.txt")),
    Press("Down", at("/big-added-file.txt")),
    Press("r", at("/big-added-file.txt"), "BROWSE.reload"),
    Press("y", "Copied", "BROWSE.copy_path"),
    Press("2", r"\[2 Before/After\]", "BROWSE.tab_sides"),
    Press("3", r"\[3 Tar entry\]", "BROWSE.tab_tar"),
    Press("4", r"\[4 Content\]", "BROWSE.tab_content"),
    Press("5", r"\[5 Layers\]", "BROWSE.tab_layers"),
    Press("1", r"\[1 Why\]", "BROWSE.tab_why"),
    Press("]", r"\[2 Before/After\]", "BROWSE.next_tab"),
    Press("[", r"\[1 Why\]", "BROWSE.previous_tab"),
    Press("w", "", "BROWSE.toggle_detail", gone="1 Why"),
    Press("w", "1 Why"),
    Press("<", "", "BROWSE.narrower"),
    Press(">", "", "BROWSE.wider"),
    Press("4", "000000"),
    Press("Tab", "", "BROWSE.switch_pane", gone="Space"),
    Press("Down", "", "TEXT.scroll_line_down"),
    Press("Up", "000000 the", "TEXT.scroll_line_up"),
    Press("NPage", "", "TEXT.scroll_page_down", gone="000000 the"),
    Press("PPage", "000000 the", "TEXT.scroll_page_up"),
    Press("G", "", "TEXT.scroll_bottom", gone="000000 the"),
    Press("g", "000000 the", "TEXT.scroll_top"),
    Press("Escape", "Space", "DETAIL.leave_detail"),
    Press("1"),
    Press("v", "000020 the", "BROWSE.view_content"),
    Press("q", "1 Why"),
    Press("x", "(?i)extract", "BROWSE.extract"),
    Press("Escape", "big-added-file", "EXTRACT.dismiss_dialog"),
    Press("x", "(?i)extract"),
    Press("Enter", "sha256", "EXTRACT.write"),
    Press("Y", "path in the layer", "BROWSE.copy_menu"),
    Press("Escape", "1 Why", "COPY.dismiss_dialog"),
    Press("Y", "path in the layer"),
    Press("Enter", "Copied", "COPY.copy"),
    Press("Escape", "1 Why", "BROWSE.close"),
)

WHOLE = (
    Press("t", "Entries and bytes of content", "BROWSE.totals"),
    Press("Down", at("/opaque-directory"), "LINES.line_down"),
    Press("Up", at("/etc"), "LINES.line_up"),
    Press("NPage", "", "LINES.lines_down", gone="Entries and bytes of content"),
    Press("PPage", r"\n /(hard-links|etc|opaque-directory|odd-names)\s*\n", "LINES.lines_up"),
    Press("G", r"touched\.conf|\d  [AM] /", "LINES.last_line"),
    Press("g", at("/etc"), "LINES.first_line"),
    Press("Tab", at("/big-added-file.txt"), "SURVEY.next_section"),
    Press("BTab", at("/etc"), "SURVEY.previous_section"),
    Press("c", "✓ complete", "SURVEY.toggle_walk"),
    Press("Escape", "flag", "VIEW.close_view"),
    Press("F", "same size and time, other content", "BROWSE.findings"),
    Press("Enter", r"1 Why(.|\n)*/same-size-and-time-but-other-content.txt", "LINES.choose"),
    Press("i", "mount -t overlay", "BROWSE.glossary"),
    Press("Escape", "flag"),
)

EXPORT = (
    Press("e", r"\[gzip\]", "BROWSE.export"),
    Press("Enter", "diffID", "EXPORT.submit"),
    Press("y", "Copied", "EXPORT.copy"),
    Press("Y", "the result", "EXPORT.copy_all"),
    Press("v", "✓ verified", "EXPORT.verify"),
    Press("e", r"\[gzip\]", "EXPORT.again"),
    Press("Escape", "flag", "EXPORT.dismiss_dialog"),
)

APP = (
    Press("?", "The first column", "APP.help"),
    Press("Escape", "flag", "HELP.close_help"),
    Press("T", "(?i)search for themes|ansi", "APP.change_theme"),
    Press("Escape", gone="Search for themes"),
    Press("C-p", "Search for commands", "APP.command_palette"),
    Press("Escape", gone="Search for commands"),
    Press("q", "ended with 0", "APP.quit"),
)

IN_THE_DEMO = {
    "tree": TREE,
    "prompts": PROMPTS,
    "view": VIEW,
    "whole": WHOLE,
    "export": EXPORT,
    "app": APP,
}
#: Of the list of what can be opened, and the layers of one mount.
IN_THE_PICKER = (
    Press("Down", "", "LIST.line_down"),
    Press("Up", "", "LIST.line_up"),
    Press("NPage", "", "LIST.list_page_down"),
    Press("PPage", "", "LIST.list_page_up"),
    Press("G", "", "LIST.list_last"),
    Press("g", "", "LIST.list_first"),
    Press("r", r"\d snapshot", "PICKER.reload"),
    Press("/", "", "PICKER.filter"),
    *(Press(key) for key in "every-action"),
    Press("Enter", r"1 of \d(.|\n)*Enter open"),
    Press("Escape", r"\d snapshot", "PICKER.unfilter", gone="1 of "),
    Press("/"),
    *(Press(key) for key in "every-action"),
    Press("Enter", r"1 of \d(.|\n)*Enter open"),
    Press("Enter", "against the layer below", "PICKER.pick"),
    Press("Down", "against nothing below"),
    Press("Up", "against the layer below"),
    Press("Space", "", "LAYERS.mark"),
    Press("Space"),
    Press("Enter", "1 Why", "LAYERS.pick"),
    Press("Escape", "against the layer below"),
    Press("Escape", "snapshots  of this host", "LAYERS.leave"),
)


def carry_out(presses: tuple[Press, ...], start: Start, directory: Path, *arguments: str) -> None:
    shown = start(*arguments, wrapper=("env", "-C", str(directory)))
    shown.wait("✓" if arguments else "mount")
    for press in presses:
        shown.press(press.key)
        if press.sign or press.gone:
            what = f"{press.action or press.key}: {press.sign or 'no ' + press.gone}"

            def has(text: str, press: Press = press) -> bool:
                there = re.search(press.sign, text) is not None
                return there and (not press.gone or press.gone not in text)

            try:
                shown.wait(has)
            except AssertionError as error:
                raise AssertionError(f"{what}\n{error}") from None


@pytest.mark.peer("tmux")
@pytest.mark.parametrize("name", IN_THE_DEMO)
def test_actions_on_the_demo(name: str, tmp_path: Path, terminal: Start) -> None:
    carry_out(IN_THE_DEMO[name], terminal, tmp_path, "demo")


@contextmanager
def mounted(directory: Path) -> Iterator[Path]:
    for name in ("lower", "upper", "work"):
        (directory / name).mkdir(parents=True)
    options = stack_options(
        [os.fsencode(directory / "lower")],
        os.fsencode(directory / "upper"),
        os.fsencode(directory / "work"),
    )
    with overlay(directory / "merged", options) as merged:
        yield merged


@pytest.mark.root
@pytest.mark.peer("tmux")
def test_actions_on_the_list_of_mounts(tmp_path: Path, terminal: Start) -> None:
    with mounted(tmp_path / "whiteout-every-action"):
        carry_out(IN_THE_PICKER, terminal, tmp_path)


def test_every_action_of_the_table_has_its_key_pressed() -> None:
    every = {f"{action.scope.name}.{action.id}" for action in ACTIONS}
    scenarios = [*IN_THE_DEMO.values(), IN_THE_PICKER]
    pressed = {press.action for presses in scenarios for press in presses if press.action}
    assert every == pressed
    assert {name.partition(".")[0] for name in every} == {scope.name for scope in Scope}
