"""Every action of the app, once: bindings, footer, palette and help are made from this table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from textual.binding import Binding, BindingType


class Scope(Enum):
    """Which part of the app carries an action out. The values appear in the help."""

    APP = "app"
    PICKER = "list"
    LAYERS = "layers"
    LIST = "list, layers"
    BROWSE = "snapshot"
    TREE = "tree"
    TEXT = "detail, help"
    DETAIL = "detail"
    PROMPT = "search, filter, path"
    EXPORT = "export dialog"
    FORM = "dialogs"
    CHOICE = "choice"
    VALUES = "values"
    EXPORTS = "export, exports"
    RESULT = "export"
    EXTRACT = "extract"
    COPY = "copy"
    HELP = "help"
    LINES = "totals, findings, terms, exports"
    VIEW = "totals, findings, glossary, exports"
    SURVEY = "totals, findings"
    TOUR = "tour"


class Group(Enum):
    """Headings of the help."""

    MOVE = "Move"
    TREE = "Open and close"
    FIND = "Find"
    VIEW = "View"
    DETAIL = "Detail"
    EXPORT = "Export"
    APP = "App"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that the user can do.

    ``id`` is the binding's id and, with ``action_`` before it, the method of the widget or screen
    of its ``scope``. It stands in the footer under its ``hint``, which several actions may share,
    or under its label; where there is little room under ``near``, and not at all if it is
    ``aside``, another way to what its word says. ``palette`` puts it into the command palette,
    which opens over no dialog and takes the focus from what is typed.
    """

    id: str
    scope: Scope
    keys: tuple[str, ...]
    label: str
    help: str
    group: Group
    hint: str = ""
    near: str = ""
    aside: bool = False
    palette: bool = True

    @property
    def word(self) -> str:
        """What the footer says of it."""
        return self.hint or self.label.lower()

    @property
    def near_word(self) -> str:
        """What the footer says of it where there is little room."""
        return self.near or self.word


ACTIONS: tuple[Action, ...] = (
    Action("cursor_up", Scope.TREE, ("up", "k"), "Up", "one row up", Group.MOVE, hint="move"),
    Action(
        "cursor_down", Scope.TREE, ("down", "j"), "Down", "one row down", Group.MOVE, hint="move"
    ),
    Action(
        "page_up",
        Scope.TREE,
        ("pageup",),
        "Page up",
        "one page up",
        Group.MOVE,
        hint="move",
        aside=True,
    ),
    Action(
        "page_down",
        Scope.TREE,
        ("pagedown",),
        "Page down",
        "one page down",
        Group.MOVE,
        hint="move",
        aside=True,
    ),
    Action(
        "half_up",
        Scope.TREE,
        ("ctrl+u",),
        "Half page up",
        "half a page up",
        Group.MOVE,
        hint="move",
        aside=True,
    ),
    Action(
        "half_down",
        Scope.TREE,
        ("ctrl+d",),
        "Half page down",
        "half a page down",
        Group.MOVE,
        hint="move",
        aside=True,
    ),
    Action(
        "first",
        Scope.TREE,
        ("g", "home"),
        "Top",
        "to the first row",
        Group.MOVE,
        hint="move",
        aside=True,
    ),
    Action(
        "last",
        Scope.TREE,
        ("G", "end"),
        "Bottom",
        "to the last row",
        Group.MOVE,
        hint="move",
        aside=True,
    ),
    Action(
        "back",
        Scope.TREE,
        ("b", "alt+left"),
        "Back",
        "back to where the cursor was before the last jump",
        Group.MOVE,
        hint="back, forth",
        near="jump",
    ),
    Action(
        "forward",
        Scope.TREE,
        ("B", "alt+right"),
        "Forward",
        "forward again",
        Group.MOVE,
        hint="back, forth",
        near="jump",
    ),
    Action(
        "expand",
        Scope.TREE,
        ("right", "l"),
        "Open",
        "open the directory; from an open one to its first row",
        Group.TREE,
        hint="open",
    ),
    Action(
        "collapse",
        Scope.TREE,
        ("left", "h"),
        "Close",
        "close the directory; from anything else to the directory that holds it",
        Group.TREE,
        hint="open",
    ),
    Action(
        "toggle_directory",
        Scope.TREE,
        ("space",),
        "Open",
        "open or close the directory",
        Group.TREE,
        hint="open",
        aside=True,
    ),
    Action(
        "expand_all",
        Scope.TREE,
        ("plus", "equals_sign"),
        "Open all",
        "open every directory, up to 200,000 rows",
        Group.TREE,
        hint="all",
        near="open",
    ),
    Action(
        "collapse_all",
        Scope.TREE,
        ("minus",),
        "Close all",
        "close every directory but the root",
        Group.TREE,
        hint="all",
        near="open",
    ),
    Action(
        "activate",
        Scope.TREE,
        ("enter",),
        "Detail",
        "open or close the directory; of anything else go to the detail",
        Group.TREE,
        hint="open",
        aside=True,
    ),
    Action(
        "search",
        Scope.BROWSE,
        ("slash",),
        "Search",
        "search the whole snapshot for a name, while typing; Enter keeps it, Esc goes back",
        Group.FIND,
        near="search",
    ),
    Action(
        "next_match",
        Scope.BROWSE,
        ("n",),
        "Next match",
        "to the next match, whether its directory is open or not",
        Group.FIND,
        hint="search",
    ),
    Action(
        "previous_match",
        Scope.BROWSE,
        ("N",),
        "Previous match",
        "to the match before",
        Group.FIND,
        hint="search",
    ),
    Action(
        "filter",
        Scope.BROWSE,
        ("f",),
        "Filter",
        "show only some kinds, flags, names, sizes or types, with the directories that lead there",
        Group.FIND,
    ),
    Action(
        "go_to",
        Scope.BROWSE,
        ("colon",),
        "Go to",
        "to a path that is typed",
        Group.FIND,
        near="path",
    ),
    Action(
        "sort",
        Scope.BROWSE,
        ("s",),
        "Sort",
        "sort by name, by size, by kind, and so on; the heading shows which",
        Group.VIEW,
        hint="sort",
    ),
    Action(
        "turn_order",
        Scope.BROWSE,
        ("S",),
        "Turn the order",
        "turn the order around: the smallest first, or the greatest",
        Group.VIEW,
        hint="sort",
    ),
    Action(
        "export",
        Scope.BROWSE,
        ("e",),
        "Export",
        "write the layer to a store, a file, an engine or a registry, and show its digests",
        Group.EXPORT,
    ),
    Action(
        "history",
        Scope.APP,
        ("H",),
        "Exports",
        "the exports of this session: progress, digests, verification, tar entries",
        Group.EXPORT,
    ),
    Action(
        "totals",
        Scope.BROWSE,
        ("t",),
        "Totals",
        "how much was added, modified and removed, and the largest of it",
        Group.VIEW,
    ),
    Action(
        "findings",
        Scope.BROWSE,
        ("F",),
        "Findings",
        "what deserves attention, each with its meaning and a jump to its row",
        Group.VIEW,
    ),
    Action(
        "glossary",
        Scope.BROWSE,
        ("i",),
        "Glossary",
        "the words of overlayfs and of images, explained",
        Group.APP,
        hint="words",
    ),
    Action(
        "tour",
        Scope.BROWSE,
        ("L",),
        "Tour",
        "a guided tour through the demo, which is built if it is not open; again: back to it",
        Group.APP,
    ),
    Action(
        "next_step",
        Scope.TOUR,
        ("right", "n", "enter", "space"),
        "Next",
        "the next step",
        Group.APP,
        hint="next",
    ),
    Action(
        "previous_step",
        Scope.TOUR,
        ("left", "p", "backspace"),
        "Previous",
        "the step before",
        Group.APP,
        hint="back",
    ),
    Action(
        "end_tour",
        Scope.TOUR,
        ("escape",),
        "End of tour",
        "leave the tour where it is",
        Group.APP,
        hint="end",
    ),
    Action(
        "toggle_skipped",
        Scope.BROWSE,
        ("u",),
        "Skipped",
        "hide the skipped entries that nothing depends on, or show them again",
        Group.VIEW,
    ),
    Action(
        "reload",
        Scope.BROWSE,
        ("r",),
        "Re-read",
        "read the directory under the cursor again, and mark what is not as it was",
        Group.VIEW,
        near="read",
    ),
    Action(
        "copy_path",
        Scope.BROWSE,
        ("y",),
        "Copy path",
        "copy the path under the cursor, quoted for a shell",
        Group.VIEW,
        hint="copy",
    ),
    Action(
        "switch_pane",
        Scope.BROWSE,
        ("tab", "shift+tab"),
        "Pane",
        "from the tree to the detail, and back",
        Group.VIEW,
        hint="pane",
    ),
    Action(
        "narrower",
        Scope.BROWSE,
        ("less_than_sign",),
        "Smaller tree",
        "make the tree smaller and the detail larger",
        Group.VIEW,
        hint="size",
        near="pane",
    ),
    Action(
        "wider",
        Scope.BROWSE,
        ("greater_than_sign",),
        "Larger tree",
        "make the tree larger and the detail smaller",
        Group.VIEW,
        hint="size",
        near="pane",
    ),
    Action(
        "toggle_detail",
        Scope.BROWSE,
        ("w",),
        "Why",
        "show why it is so; where that is in sight, fold the detail away",
        Group.VIEW,
    ),
    Action(
        "tab_why",
        Scope.BROWSE,
        ("1",),
        "Why",
        "the steps that led to the verdict, and what follows",
        Group.DETAIL,
        hint="tab",
    ),
    Action(
        "tab_sides",
        Scope.BROWSE,
        ("2",),
        "Before/After",
        "both sides of the entry, and how they differ",
        Group.DETAIL,
        hint="tab",
    ),
    Action(
        "tab_tar",
        Scope.BROWSE,
        ("3",),
        "Tar entry",
        "the headers that the layer gets, and where in the tar they are",
        Group.DETAIL,
        hint="tab",
    ),
    Action(
        "tab_content",
        Scope.BROWSE,
        ("4",),
        "Content",
        "the beginning of the file, and what changed in it",
        Group.DETAIL,
        hint="tab",
    ),
    Action(
        "tab_layers",
        Scope.BROWSE,
        ("5",),
        "Layers",
        "what every layer holds here, and who hides whom",
        Group.DETAIL,
        hint="tab",
    ),
    Action(
        "previous_tab",
        Scope.BROWSE,
        ("left_square_bracket",),
        "Previous tab",
        "the tab to the left",
        Group.DETAIL,
        hint="tab",
        aside=True,
    ),
    Action(
        "next_tab",
        Scope.BROWSE,
        ("right_square_bracket",),
        "Next tab",
        "the tab to the right",
        Group.DETAIL,
        hint="tab",
        aside=True,
    ),
    Action(
        "view_content",
        Scope.BROWSE,
        ("v",),
        "Pager",
        "the whole content in $PAGER, made printable; bytes in hexadecimal",
        Group.DETAIL,
        hint="pager",
        near="file",
    ),
    Action(
        "extract",
        Scope.BROWSE,
        ("x",),
        "Extract",
        "copy the file out of the snapshot, and show its sha256",
        Group.DETAIL,
        hint="extract",
        near="file",
    ),
    Action(
        "copy_menu",
        Scope.BROWSE,
        ("Y",),
        "Copy menu",
        "copy a path, a digest, or the shell command that does the same",
        Group.VIEW,
        hint="copy",
    ),
    Action("scroll_line_up", Scope.TEXT, ("up", "k"), "Up", "scroll up", Group.MOVE, hint="move"),
    Action(
        "scroll_line_down",
        Scope.TEXT,
        ("down", "j"),
        "Down",
        "scroll down",
        Group.MOVE,
        hint="move",
    ),
    Action(
        "scroll_page_up",
        Scope.TEXT,
        ("pageup", "ctrl+u"),
        "Page up",
        "scroll up by a page",
        Group.MOVE,
        hint="move",
        aside=True,
    ),
    Action(
        "scroll_page_down",
        Scope.TEXT,
        ("pagedown", "ctrl+d"),
        "Page down",
        "scroll down by a page",
        Group.MOVE,
        hint="move",
        aside=True,
    ),
    Action(
        "scroll_top",
        Scope.TEXT,
        ("g", "home"),
        "Top",
        "to the top of the text",
        Group.MOVE,
        hint="move",
        aside=True,
    ),
    Action(
        "scroll_bottom",
        Scope.TEXT,
        ("G", "end"),
        "Bottom",
        "to the end of the text",
        Group.MOVE,
        hint="move",
        aside=True,
    ),
    Action(
        "leave_detail",
        Scope.DETAIL,
        ("escape", "left", "h"),
        "Tree",
        "back from the detail to the tree",
        Group.VIEW,
        hint="back",
    ),
    Action(
        "close",
        Scope.BROWSE,
        ("escape",),
        "Back",
        "back to the list or the layers that the snapshot was picked from",
        Group.VIEW,
        hint="back",
    ),
    Action("line_up", Scope.LIST, ("up", "k"), "Up", "one line up", Group.MOVE, hint="move"),
    Action(
        "line_down", Scope.LIST, ("down", "j"), "Down", "one line down", Group.MOVE, hint="move"
    ),
    Action(
        "lines_up",
        Scope.LIST,
        ("pageup", "ctrl+u"),
        "Page up",
        "one page up",
        Group.MOVE,
        hint="move",
        aside=True,
    ),
    Action(
        "lines_down",
        Scope.LIST,
        ("pagedown", "ctrl+d"),
        "Page down",
        "one page down",
        Group.MOVE,
        hint="move",
        aside=True,
    ),
    Action(
        "first_line",
        Scope.LIST,
        ("g", "home"),
        "Top",
        "to the first line",
        Group.MOVE,
        aside=True,
        hint="move",
    ),
    Action(
        "last_line",
        Scope.LIST,
        ("G", "end"),
        "Bottom",
        "to the last line",
        Group.MOVE,
        aside=True,
        hint="move",
    ),
    Action(
        "pick",
        Scope.PICKER,
        ("enter",),
        "Open",
        "show the layers of this one; a single layer opens at once",
        Group.TREE,
    ),
    Action(
        "filter",
        Scope.PICKER,
        ("slash",),
        "Filter",
        "show only lines that have all of some words",
        Group.VIEW,
    ),
    Action("unfilter", Scope.PICKER, ("escape",), "All", "show every line again", Group.VIEW),
    Action(
        "reload",
        Scope.PICKER,
        ("r",),
        "Re-read",
        "look again for what there is",
        Group.VIEW,
    ),
    Action(
        "tour",
        Scope.PICKER,
        ("L",),
        "Tour",
        "a guided tour through a demo that is built for it, in five minutes",
        Group.APP,
    ),
    Action(
        "pick",
        Scope.LAYERS,
        ("enter",),
        "Open",
        "open this layer against what is below it, or the range of layers as one diff",
        Group.TREE,
    ),
    Action(
        "mark",
        Scope.LAYERS,
        ("space",),
        "Range",
        "begin a range of layers here, which ends at the cursor; again: forget it",
        Group.TREE,
    ),
    Action(
        "leave",
        Scope.LAYERS,
        ("escape",),
        "Back",
        "forget the range; without one, back to the list",
        Group.VIEW,
    ),
    Action(
        "accept",
        Scope.PROMPT,
        ("enter",),
        "Keep",
        "keep what was typed; go to the path",
        Group.FIND,
        palette=False,
    ),
    Action(
        "leave_prompt",
        Scope.PROMPT,
        ("escape",),
        "Back",
        "back, as if nothing had been typed",
        Group.FIND,
        palette=False,
    ),
    Action(
        "toggle_expression",
        Scope.PROMPT,
        ("ctrl+r",),
        "Regex",
        "search for a regular expression, or for plain text again",
        Group.FIND,
        palette=False,
    ),
    Action(
        "next_found",
        Scope.PROMPT,
        ("down",),
        "Next",
        "to the next match",
        Group.FIND,
        hint="match",
        palette=False,
    ),
    Action(
        "previous_found",
        Scope.PROMPT,
        ("up",),
        "Previous",
        "to the match before",
        Group.FIND,
        hint="match",
        palette=False,
    ),
    Action(
        "complete",
        Scope.PROMPT,
        ("tab",),
        "Complete",
        "complete the path with what is known",
        Group.FIND,
        palette=False,
    ),
    Action(
        "next_field",
        Scope.FORM,
        ("down", "tab"),
        "Next field",
        "to the next field",
        Group.MOVE,
        hint="field",
        palette=False,
    ),
    Action(
        "previous_field",
        Scope.FORM,
        ("up", "shift+tab"),
        "Field before",
        "to the field before",
        Group.MOVE,
        hint="field",
        palette=False,
    ),
    Action(
        "previous_word",
        Scope.CHOICE,
        ("left", "h"),
        "Word before",
        "choose the word to the left, or any by its first letter",
        Group.MOVE,
        hint="choose",
        palette=False,
    ),
    Action(
        "next_word",
        Scope.CHOICE,
        ("right", "l", "space"),
        "Next word",
        "choose the word to the right",
        Group.MOVE,
        hint="choose",
        palette=False,
    ),
    Action(
        "value_up",
        Scope.VALUES,
        ("up", "k"),
        "Value before",
        "mark the value before",
        Group.MOVE,
        hint="choose",
    ),
    Action(
        "value_down",
        Scope.VALUES,
        ("down", "j"),
        "Next value",
        "mark the next value",
        Group.MOVE,
        hint="choose",
    ),
    Action(
        "submit",
        Scope.EXPORT,
        ("enter",),
        "Export",
        "start the export with what the dialog says",
        Group.EXPORT,
        palette=False,
    ),
    Action(
        "dismiss_dialog",
        Scope.EXPORT,
        ("escape",),
        "Close",
        "close the dialog",
        Group.EXPORT,
        palette=False,
    ),
    Action(
        "copy",
        Scope.EXPORTS,
        ("y",),
        "Copy",
        "copy the digest; in a result the marked value",
        Group.EXPORT,
    ),
    Action(
        "descriptor",
        Scope.EXPORTS,
        ("d",),
        "Descriptor",
        "copy the descriptor of the layer, or of the image's manifest, as JSON",
        Group.EXPORT,
    ),
    Action(
        "verify",
        Scope.EXPORTS,
        ("v",),
        "Verify",
        "read the blobs again from where they went, and recompute both digests",
        Group.EXPORT,
    ),
    Action(
        "list_entries",
        Scope.EXPORTS,
        ("t",),
        "Tar entries",
        "list the entries of the layer's tar, read from its blob",
        Group.EXPORT,
    ),
    Action(
        "cancel_export",
        Scope.EXPORTS,
        ("c",),
        "Cancel",
        "cancel the running export, which leaves nothing behind; or its verification",
        Group.EXPORT,
    ),
    Action(
        "copy_all",
        Scope.RESULT,
        ("Y",),
        "Copy all",
        "copy the whole result",
        Group.EXPORT,
    ),
    Action(
        "again",
        Scope.RESULT,
        ("e",),
        "Another",
        "back to the dialog, for another export",
        Group.EXPORT,
    ),
    Action(
        "hide",
        Scope.RESULT,
        ("escape",),
        "Close",
        "close; what runs goes on in the background",
        Group.EXPORT,
    ),
    Action(
        "write",
        Scope.EXTRACT,
        ("enter",),
        "Extract",
        "copy the file to where the dialog says",
        Group.DETAIL,
        palette=False,
    ),
    Action(
        "dismiss_dialog",
        Scope.EXTRACT,
        ("escape",),
        "Close",
        "close the dialog; a copy that is not whole yet is removed",
        Group.DETAIL,
        palette=False,
    ),
    Action(
        "copy",
        Scope.COPY,
        ("enter", "y"),
        "Copy",
        "copy the marked value",
        Group.VIEW,
        palette=False,
    ),
    Action(
        "dismiss_dialog",
        Scope.COPY,
        ("escape",),
        "Close",
        "close the menu",
        Group.VIEW,
        palette=False,
    ),
    Action(
        "close_help",
        Scope.HELP,
        ("escape", "q", "question_mark"),
        "Close",
        "close the help",
        Group.APP,
        palette=False,
    ),
    Action("line_up", Scope.LINES, ("up", "k"), "Up", "one line up", Group.MOVE, hint="move"),
    Action(
        "line_down", Scope.LINES, ("down", "j"), "Down", "one line down", Group.MOVE, hint="move"
    ),
    Action(
        "lines_up",
        Scope.LINES,
        ("pageup", "ctrl+u"),
        "Page up",
        "one page of lines up",
        Group.MOVE,
        hint="move",
        aside=True,
    ),
    Action(
        "lines_down",
        Scope.LINES,
        ("pagedown", "ctrl+d"),
        "Page down",
        "one page of lines down",
        Group.MOVE,
        hint="move",
        aside=True,
    ),
    Action(
        "first_line",
        Scope.LINES,
        ("g", "home"),
        "Top",
        "to the first line",
        Group.MOVE,
        hint="move",
        aside=True,
    ),
    Action(
        "last_line",
        Scope.LINES,
        ("G", "end"),
        "Bottom",
        "to the last line",
        Group.MOVE,
        hint="move",
        aside=True,
    ),
    Action(
        "choose",
        Scope.LINES,
        ("enter",),
        "Go there",
        "to the row of the tree that the line is about; of an export to its result",
        Group.MOVE,
    ),
    Action(
        "next_section",
        Scope.SURVEY,
        ("tab",),
        "Next part",
        "to the next part of the list, such as the largest files",
        Group.MOVE,
        hint="part",
    ),
    Action(
        "previous_section",
        Scope.SURVEY,
        ("shift+tab",),
        "Part before",
        "to the part of the list before",
        Group.MOVE,
        hint="part",
    ),
    Action(
        "toggle_walk",
        Scope.SURVEY,
        ("c",),
        "Cancel, count",
        "cancel the count in the background, or count again",
        Group.VIEW,
        hint="cancel",
    ),
    Action(
        "close_view",
        Scope.VIEW,
        ("escape",),
        "Back",
        "back to the tree",
        Group.VIEW,
    ),
    Action("help", Scope.APP, ("question_mark", "f1"), "Help", "this help", Group.APP),
    Action(
        "command_palette",
        Scope.APP,
        ("ctrl+p",),
        "Menu",
        "find any action by its name",
        Group.APP,
        palette=False,
    ),
    Action("change_theme", Scope.APP, ("T",), "Theme", "choose the colours", Group.APP),
    Action("quit", Scope.APP, ("q", "ctrl+q"), "Quit", "leave", Group.APP),
)

_KEY_NAMES = {
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
    "question_mark": "?",
    "slash": "/",
    "minus": "-",
    "plus": "+",
    "equals_sign": "=",
    "colon": ":",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "alt+left": "Alt+←",
    "alt+right": "Alt+→",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "escape": "Esc",
    "enter": "Enter",
    "space": "Space",
    "backspace": "Backspace",
    "tab": "Tab",
    "shift+tab": "Shift+Tab",
    "f1": "F1",
}


def key_name(key: str) -> str:
    """The name of a key as people write it: ``Ctrl+P``, ``?``, ``↓``."""
    if key.startswith("ctrl+"):
        return "Ctrl+" + key.removeprefix("ctrl+").upper()
    return _KEY_NAMES.get(key, key)


def short_key(key: str) -> str:
    """As :func:`key_name`, for where there is little room: ``^P``."""
    return key_name(key).replace("Ctrl+", "^")


def binding_id(action: Action, position: int) -> str:
    """The id of the binding of the key at *position* of *action*."""
    name = f"{action.scope.value}.{action.id}"
    return f"{name}.{position}" if position else name


def actions_of(scope: Scope) -> tuple[Action, ...]:
    """The actions that *scope* carries out."""
    return tuple(action for action in ACTIONS if action.scope is scope)


def bindings(scope: Scope) -> list[BindingType]:
    """The key bindings of *scope*, for a ``BINDINGS`` of Textual."""
    found: list[BindingType] = []
    for action in actions_of(scope):
        for position, key in enumerate(action.keys):
            found.append(
                Binding(
                    key,
                    action.id,
                    action.label,
                    key_display=key_name(key),
                    priority=key == "ctrl+q",
                    tooltip=action.help,
                    id=binding_id(action, position),
                )
            )
    return found
