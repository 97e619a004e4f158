"""Every action of the table, by its key, in a real terminal."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.engines import short_directory
from support.overlay import overlay, stack_options
from support.terminal import Start
from whiteout_tui.actions import ACTIONS, Scope, key_name


@dataclass(frozen=True, slots=True)
class Press:
    """A key as tmux writes it, what is on the screen after it, and the action that it stands for.

    ``gone`` is on the screen before it and not after it. Without an action it leads to the next.
    What is waited for must not be so before the key: it would say nothing of it. A key that changes
    nothing that can be seen has no sign.
    """

    key: str
    sign: str = ""
    action: str = ""
    gone: str = ""

    @property
    def is_seen(self) -> bool:
        return bool(self.sign or self.gone)

    def is_done(self, text: str) -> bool:
        there = re.search(self.sign, text) is not None
        return there and (not self.gone or self.gone not in text)


def at(path: str) -> str:
    """The status line with *path*."""
    return rf"(^|\n) {re.escape(path)}\s*( \S[^\n]*)?\n"


def typed(prompt: str, text: str) -> Iterator[Press]:
    """A key for each character of *text*, in a line that begins with *prompt*."""
    for end, key in enumerate(text, 1):
        line = f"{prompt} {text[:end]}".lstrip()
        yield Press(key, rf"\n {re.escape(line)}(\s|$)")


#: The lowest row of the tree at 80x24: a demo that root builds has devices.
LAST_IN_SIGHT = "device-character-added" if os.geteuid() == 0 else "extended-attributes-lost"

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
    Press("Down", at("/back-to-the-oldest-version.txt")),
    Press("Down", at("/big-added-file.txt")),
    Press("Enter", "Esc back", "TREE.activate", gone="bB jump"),
    Press("Escape", "bB jump"),
    Press(":", r"\n Go to", "BROWSE.go_to"),
    *typed("Go to", "/etc"),
    Press("Enter", at("/etc"), "PROMPT.accept"),
    Press("Right", r"▾ etc/", "TREE.expand"),
    Press("Left", r"▸ etc/", "TREE.collapse"),
    Press("Space", r"▾ etc/", "TREE.toggle_directory"),
    Press("-", r"▸ etc/", "TREE.collapse_all"),
    Press("+", r"▾ etc/", "TREE.expand_all"),
    Press("y", "Copied", "BROWSE.copy_path"),  # what says so stays for a while
)

PROMPTS = (
    Press("/", r"\n Search", "BROWSE.search"),
    *typed("Search", "added"),
    Press("Down", r"2/\d+|2 of \d+", "PROMPT.next_found"),
    Press("Up", r"1/\d+|1 of \d+", "PROMPT.previous_found"),
    Press("C-r", r"\n Regex added", "PROMPT.toggle_expression"),
    Press("Enter", "/nN search"),
    Press("n", r"2/\d+|2 of \d+", "BROWSE.next_match"),
    Press("N", r"1/\d+|1 of \d+", "BROWSE.previous_match"),
    Press("Escape", gone="“added”"),
    Press("f", r"\n Filter", "BROWSE.filter"),
    Press("D", gone="big-added-file"),
    Press("Escape", "big-added-file", "PROMPT.leave_prompt", gone="Filter D"),
    Press(":", r"\n Go to"),
    *typed("Go to", "/bi"),
    Press("Tab", r"\n Go to /big-added-file.txt", "PROMPT.complete"),
    Press("Enter", at("/big-added-file.txt")),
)

VIEW = (
    Press("s", "size▾", "BROWSE.sort"),
    Press("S", "size▴", "BROWSE.turn_order"),
    Press("s", "k▴"),
    Press("s", "name▴"),
    Press("u", "skipped hidden", "BROWSE.toggle_skipped"),
    Press("u", gone="skipped hidden"),
    Press("Down", at("/back-to-the-oldest-version.txt")),
    Press("Down", at("/big-added-file.txt")),
    Press("r", "", "BROWSE.reload"),
    Press("2", r"\[2 Before/After\]", "BROWSE.tab_sides"),
    Press("3", r"\[3 Tar entry\]", "BROWSE.tab_tar"),
    Press("4", r"\[4 Content\]", "BROWSE.tab_content"),
    Press("5", r"\[5 Layers\]", "BROWSE.tab_layers"),
    Press("1", r"\[1 Why\]", "BROWSE.tab_why"),
    Press("]", r"\[2 Before/After\]", "BROWSE.next_tab"),
    Press("[", r"\[1 Why\]", "BROWSE.previous_tab"),
    Press("w", "", "BROWSE.toggle_detail", gone="1 Why"),
    Press("w", "1 Why"),
    Press("<", "", "BROWSE.narrower", gone=LAST_IN_SIGHT),
    Press(">", LAST_IN_SIGHT, "BROWSE.wider"),
    Press("4", "000000"),
    Press("Tab", "Esc back", "BROWSE.switch_pane", gone="bB jump"),
    Press("Down", "", "TEXT.scroll_line_down", gone="now, text"),
    Press("Up", "now, text", "TEXT.scroll_line_up"),
    Press("NPage", "", "TEXT.scroll_page_down", gone="000000 the"),
    Press("PPage", "000000 the", "TEXT.scroll_page_up"),
    Press("G", "", "TEXT.scroll_bottom", gone="000000 the"),
    Press("g", "000000 the", "TEXT.scroll_top"),
    Press("Escape", "bB jump", "DETAIL.leave_detail"),
    Press("1", r"\[1 Why\]"),
    Press("v", "000020 the", "BROWSE.view_content"),
    Press("q", "1 Why"),
    Press("x", "Extract a file", "BROWSE.extract"),
    Press("Escape", "1 Why", "EXTRACT.dismiss_dialog", gone="Extract a file"),
    Press("x", "Extract a file"),
    Press("Enter", "sha256", "EXTRACT.write"),
    Press("Y", "path in the layer", "BROWSE.copy_menu"),
    Press("Escape", "1 Why", "COPY.dismiss_dialog"),
    Press("Y", "path in the layer"),
    Press("Down", "› path in the layer", "VALUES.value_down"),
    Press("Up", "› path  ", "VALUES.value_up"),
    Press("Enter", "Copied", "COPY.copy"),
    Press("Escape", "", "BROWSE.close"),
)

WHOLE = (
    Press("t", r"✓ complete(.|\n)*Entries and bytes of content", "BROWSE.totals"),
    Press("Down", at("/opaque-directory"), "LINES.line_down"),
    Press("Up", at("/etc"), "LINES.line_up"),
    Press("NPage", "", "LINES.lines_down", gone="Entries and bytes of content"),
    Press("PPage", "Entries and bytes of content", "LINES.lines_up"),
    Press("G", r"\n /[^/\n]+/\S+ *\n", "LINES.last_line"),
    Press("g", at("/etc"), "LINES.first_line"),
    Press("Tab", at("/big-added-file.txt"), "SURVEY.next_section"),
    Press("BTab", at("/etc"), "SURVEY.previous_section"),
    Press("c", "", "SURVEY.toggle_walk"),
    Press("Escape", "flag", "VIEW.close_view"),
    Press("F", "same size and time, other content", "BROWSE.findings"),
    Press("Enter", r"1 Why(.|\n)*/same-size-and-time-but-other-content.txt", "LINES.choose"),
    Press("i", "mount -t overlay", "BROWSE.glossary"),
    Press("Escape", "flag"),
)

EXPORT = (
    Press("e", r"\[gzip\]", "BROWSE.export"),
    Press("Right", r"\[zstd\]", "CHOICE.next_word"),
    Press("Left", r"\[gzip\]", "CHOICE.previous_word"),
    Press("Down", "", "FORM.next_field"),
    Press("Up", "", "FORM.previous_field"),
    Press("Enter", "diffID", "EXPORT.submit"),
    Press("y", "Copied", "EXPORTS.copy"),
    Press("Y", "the result", "RESULT.copy_all"),
    Press("v", "✓ verified", "EXPORTS.verify"),
    Press("d", "mediaType", "EXPORTS.descriptor"),
    Press("e", r"\[gzip\]", "RESULT.again"),
    Press("Escape", "1 Why", "EXPORT.dismiss_dialog"),
    Press("H", "exports of this session", "APP.history"),
    Press("t", "tar of export 1", "EXPORTS.list_entries"),
    Press("Escape", "exports of this session"),
    Press("Enter", "diffID  "),
    Press("Escape", "exports of this session", "RESULT.hide"),
    Press("Escape", "1 Why"),
    Press("e", r"\[gzip\]"),
    Press("BTab"),
    Press("f", "layer.tar.gz"),
    Press("Tab"),
    Press("Tab"),
    Press("Tab"),
    *(Press(key) for key in "fifo"),
    Press("Enter", "running  to"),
    Press("c", "cancelling", "EXPORTS.cancel_export"),
    Press("q"),
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

TOUR = (
    Press("L", r"Tour 1/\d+", "BROWSE.tour"),
    Press("Right", r"Tour 2/\d+(.|\n)*/deleted-file.txt", "TOUR.next_step"),
    Press("Left", r"Tour 1/\d+", "TOUR.previous_step"),
    Press("Escape", "bB jump", "TOUR.end_tour", gone="Tour 1/"),
)

IN_THE_DEMO = {
    "tour": TOUR,
    "tree": TREE,
    "prompts": PROMPTS,
    "view": VIEW,
    "whole": WHOLE,
    "export": EXPORT,
    "app": APP,
}


def in_the_picker(mounts: Path) -> tuple[Press, ...]:
    """For the list of what can be opened, and the layers of one of two mounts below *mounts*."""
    first, second = at(f"{mounts}/a/merged"), at(f"{mounts}/b/merged")
    narrowed = (
        Press("/", "words that must be in the line", "PICKER.filter"),
        *typed("", mounts.name),
        Press("Enter", r"\n *2 of \d+ snapshots?\n(.|\n)*Enter open"),
    )
    return (
        *narrowed,
        Press("Down", second, "LIST.line_down"),
        Press("Up", first, "LIST.line_up"),
        Press("NPage", second, "LIST.lines_down"),
        Press("PPage", first, "LIST.lines_up"),
        Press("G", second, "LIST.last_line"),
        Press("g", first, "LIST.first_line"),
        Press("r", "", "PICKER.reload"),
        Press("L", r"Tour 1/\d+", "PICKER.tour"),
        Press("Escape", gone="Tour 1/"),
        Press("Escape", r"\n *2 of \d+ snapshots?\n"),
        Press("Escape", r"\n *\d+ snapshots?\n", "PICKER.unfilter"),
        *narrowed,
        Press("Enter", "against the layer below", "PICKER.pick"),
        Press("Down", "against nothing below"),
        Press("Up", "against the layer below"),
        Press("Space", r"▌ +1 layer", "LAYERS.mark"),
        Press("Space", gone="▌"),
        Press("Enter", "1 Why", "LAYERS.pick"),
        Press("Escape", "against the layer below"),
        Press("Escape", "snapshots  of this host", "LAYERS.leave"),
    )


def carry_out(presses: tuple[Press, ...], start: Start, directory: Path, *arguments: str) -> None:
    shown = start(*arguments, wrapper=("env", "-C", str(directory)))
    shown.wait("✓" if arguments else "mount")
    for press in presses:
        if press.is_seen:
            assert not press.is_done(before := shown.text()), f"{press} says nothing of:\n{before}"
        shown.press(press.key)
        if press.is_seen:
            try:
                shown.wait(press.is_done)
            except AssertionError as error:
                raise AssertionError(f"{press}\n{error}") from None


@pytest.mark.long
@pytest.mark.peer("tmux")
@pytest.mark.parametrize("name", IN_THE_DEMO)
def test_actions_on_the_demo(name: str, tmp_path: Path, terminal: Start) -> None:
    os.mkfifo(tmp_path / "fifo")  # an export to it waits until somebody reads
    carry_out(IN_THE_DEMO[name], terminal, tmp_path, "demo")


@contextmanager
def mounted(directory: Path) -> Iterator[None]:
    """An overlay with a layer below it, mounted at ``merged``."""
    parts = [directory / name for name in ("lower", "upper", "work")]
    for part in parts:
        part.mkdir(parents=True)
    lower, upper, work = map(os.fsencode, parts)
    with overlay(directory / "merged", stack_options([lower], upper, work)):
        yield


@pytest.mark.long
@pytest.mark.root
@pytest.mark.peer("tmux")
def test_actions_on_the_list_of_mounts(tmp_path: Path, terminal: Start) -> None:
    with short_directory() as mounts, mounted(mounts / "a"), mounted(mounts / "b"):
        carry_out(in_the_picker(mounts), terminal, tmp_path)


#: Keys as tmux writes them, and as Textual does.
KEYS = {
    **{name: name.lower() for name in ("Up", "Down", "Left", "Right", "Enter", "Escape", "Space")},
    "NPage": "pagedown",
    "PPage": "pageup",
    "Tab": "tab",
    "BTab": "shift+tab",
}


def is_key(pressed: str, key: str) -> bool:
    """Whether *pressed*, as tmux writes it, is the *key* of a binding."""
    if pressed.startswith("C-"):
        return key == f"ctrl+{pressed[2:]}"
    return KEYS.get(pressed) == key or key_name(key) == pressed


def test_every_action_of_the_table_has_its_key_pressed() -> None:
    every = {f"{action.scope.name}.{action.id}": action for action in ACTIONS}
    scenarios = [*IN_THE_DEMO.values(), in_the_picker(Path("/mounts"))]
    presses = [press for presses in scenarios for press in presses if press.action]
    assert every.keys() == {press.action for press in presses}
    assert {name.partition(".")[0] for name in every} == {scope.name for scope in Scope}
    for press in presses:
        assert any(is_key(press.key, key) for key in every[press.action].keys), press
