"""Words of an explanation that the glossary explains: underlined, and a click leads there.

A mark carries the name of a term of ours and nothing of the text that it is on, so that no file
name can make it lead elsewhere.
"""

from __future__ import annotations

import re

from textual.content import Content
from textual.style import Style

from whiteout.verdicts import ChangeKind, Opaque, Reason, Verdict
from whiteout_tui.glossary import term_named

#: The key of the mark in the style of a word.
TERM = "glossary-term"

#: What is marked, as the explanations word it; a longer wording goes first.
_WORDS = (
    "overlay attributes?",
    "extended attributes?",
    "hard links?",
    "redirect(?:ed)?",
    "metacopy",
    "copied up",
    "whiteouts?",
    "opaque",
    "upper directory",
    "lower (?:layer|directory)",
    "base",
    "capability",
    "PAX records?",
    "layer",
)
#: Words only, not what is a part of a path or of another word.
_WORD = re.compile(rf"(?<![\w./\\-])(?:{'|'.join(_WORDS)})(?![\w/\\-]|\.\w)")

_BY_REASON = {
    Reason.ROOT: "overlayfs",
    Reason.MISSING: "opaque",
    Reason.LINKED: "hard link",
    Reason.REMOVED_WITH_PARENT: "ghost",
    Reason.UNTOUCHED: "lowerdir",
}


def mark_terms(text: Content) -> Content:
    """*text* with the first mention of every term marked."""
    seen = set()
    for match in _WORD.finditer(text.plain):
        name = _name_of(match.group())
        if name is None or name in seen:
            continue
        seen.add(name)
        style = Style(underline=True) + Style.from_meta({TERM: name})
        text = text.stylize(style, match.start(), match.end())
    return text


def _name_of(word: str) -> str | None:
    singular = "redirect" if word == "redirected" else word.removesuffix("s")
    term = term_named(word) or term_named(singular)
    return term.name if term is not None else None


def main_term(verdict: Verdict) -> str:
    """The name of the term that says most of why the verdict is what it is."""
    entry = verdict.upper
    if verdict.redirect is not None:
        name = "redirect"
    elif verdict.metacopy:
        name = "metacopy"
    elif verdict.opaque is not Opaque.NO:
        name = "opaque"
    elif verdict.whiteout:
        name = "whiteout"
    elif verdict.reason in _BY_REASON:
        name = _BY_REASON[verdict.reason]
    elif entry is not None and entry.is_directory and verdict.base is not None:
        name = "merged directory"
    elif entry is not None and verdict.kind is ChangeKind.ADD and entry.is_hard_linked:
        name = "hard link"
    elif verdict.base is not None:
        name = "copy-up"
    else:
        name = "upperdir"
    return name
