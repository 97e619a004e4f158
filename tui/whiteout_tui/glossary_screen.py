"""The glossary on the screen: the terms on the left, what the one under the cursor means beside."""

from __future__ import annotations

import re
from collections.abc import Collection

from textual import events
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.screen import Screen
from textual.style import Style
from textual.widgets import Static

from whiteout.display import display_path
from whiteout_tui.actions import Scope, bindings
from whiteout_tui.detail.terms import TERM
from whiteout_tui.footer import ActionFooter
from whiteout_tui.glossary import TERMS, Term, term_named
from whiteout_tui.linelist import LineList, Lines, Part
from whiteout_tui.scrolling import ScrollingText
from whiteout_tui.words import wrap


class TermLines(Lines):
    """The names of the terms."""

    def __len__(self) -> int:
        return len(TERMS)

    def parts(self, number: int, width: int) -> list[Part]:
        """One name."""
        return [(f" {TERMS[number].name}", "")]


class GlossaryScreen(Screen[bytes]):
    """Explains the terms; the result is the path of an example to go to."""

    BINDINGS = bindings(Scope.VIEW)
    AUTO_FOCUS = "LineList"

    def __init__(self, word: str = "", *, examples: Collection[bytes] = ()) -> None:
        """Begins with the term that *word* stands for. *examples* are the paths that there are."""
        super().__init__()
        term = term_named(word)
        self._first = TERMS.index(term) if term is not None else 0
        self._examples = examples

    def compose(self) -> ComposeResult:
        """Title, terms, meaning, footer."""
        yield Static(
            Content.assemble(("Whiteout", "bold $text-primary"), "  glossary"), id="view-title"
        )
        with Container(id="glossary"):
            yield LineList(id="terms")
            with ScrollingText(id="meaning"):
                yield Static("", id="meaning-text", markup=False)
        yield ActionFooter()

    def on_mount(self) -> None:
        """Show the first term."""
        self.query_one(LineList).show(TermLines(), self._first)

    @property
    def term(self) -> Term:
        """The term under the cursor."""
        return TERMS[self.query_one(LineList).cursor or 0]

    def on_line_list_moved(self) -> None:
        """Explain another term."""
        pane = self.query_one(ScrollingText)
        width = max(20, pane.scrollable_content_region.width)
        self.query_one("#meaning-text", Static).update(
            explained(self.term, width, examples=self._examples)
        )
        pane.scroll_home(animate=False)

    def on_resize(self) -> None:
        """Draw for the new width."""
        self.call_after_refresh(self.on_line_list_moved)

    def on_click(self, event: events.Click) -> None:
        """To a related term."""
        term = term_named(event.style.meta.get(TERM, ""))
        if term is not None:
            self.query_one(LineList).move_to(TERMS.index(term))

    def on_line_list_chosen(self) -> None:
        """Go to the example, where there is one to go to."""
        if self.term.example is not None and self.term.example in self._examples:
            self.dismiss(self.term.example)

    def action_close_view(self) -> None:
        """Back to where the glossary was opened."""
        self.dismiss()


def _linked(text: Content, names: Collection[str]) -> Content:
    """*text* with the terms *names* in it marked, so that a click leads to them."""
    for name in names:
        words = r"\s+".join(map(re.escape, name.split()))
        match = re.search(rf"(?<=[\s,]){words}(?=,|\s|$)", text.plain)
        if match is not None:
            style = Style(underline=True) + Style.from_meta({TERM: name})
            text = text.stylize(style, match.start(), match.end())
    return text


def explained(term: Term, width: int, *, examples: Collection[bytes]) -> Content:
    """What is to be said of *term*, in lines of *width* cells."""

    def paragraph(text: str, style: str = "") -> Content:
        return Content.styled("\n".join(wrap(text, width)), style)

    parts = [
        paragraph(term.name, "bold"),
        paragraph(term.own, "$text-primary"),
        Content(""),
        paragraph(term.meaning),
    ]
    if term.example is not None:
        if term.example in examples:
            where = "Enter goes to it"
        elif examples:
            where = "only a demo that root builds has it"
        else:
            where = "see it with: whiteout demo"
        parts += [
            Content(""),
            paragraph(f"In the demo: {display_path(term.example)} ({where}). {term.example_note}"),
        ]
    else:
        parts += [Content(""), paragraph("The demo, which any user can build, cannot show it.")]
    parts += [Content(""), paragraph(f"Read on: {term.reading}", "$foreground-muted")]
    if term.see:
        seen = paragraph(f"See also: {', '.join(term.see)}", "$foreground-muted")
        parts.append(_linked(seen, term.see))
    return Content("\n").join(parts)
