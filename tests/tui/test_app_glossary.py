"""The glossary: every term is whole, leads somewhere, and shows what the demo really has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from app_harness import Fake, added, press, run, screen_text, settle, until
from textual.pilot import Pilot
from textual.style import Style

from whiteout.demo import build_demo
from whiteout.demorows import LESSONS
from whiteout.opening import open_mounts
from whiteout_tui.detail.terms import TERM
from whiteout_tui.detail.why import Why
from whiteout_tui.glossary import TERMS, Term, term_named
from whiteout_tui.glossary_screen import GlossaryScreen, explained

EXPECTED = (
    "whiteout", "opaque", "copy-up", "merged directory", "redirect", "metacopy", "origin",
    "impure", "diffID", "digest", "descriptor", "media type", "upperdir", "lowerdir", "hard link",
    "PAX", "ingest", "ref", "label", "kind", "workdir", "index", "data-only layer", "id map",
    "xattr whiteout", "escaped attribute", "volatile", "blob", "manifest", "capability",
)  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_the_terms_of_the_field_are_there(name: str) -> None:
    term = term_named(name)
    assert term is not None
    assert term.name == name


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)
def test_every_term_is_whole(term: Term) -> None:
    assert term.own
    assert term.reading
    assert term.meaning.endswith(".")
    assert all(term_named(name) is not None for name in term.see)
    assert term.name not in term.see
    if term.example is not None:
        assert term.example in LESSONS


def test_no_word_means_two_things() -> None:
    words = [word.lower() for term in TERMS for word in (term.name, *term.words)]
    assert len(words) == len(set(words))
    assert term_named(" Whiteouts ") is term_named("whiteout")
    assert term_named("nothing of this") is None


def test_every_example_is_a_row_of_the_demo(tmp_path: Path) -> None:
    built = build_demo(os.fsencode(tmp_path / "demo"))
    snapshot = open_mounts(built.mounts)
    for term in TERMS:
        if term.example is not None and term.example not in built.left_out:
            assert snapshot.explain(term.example).path == term.example


def test_a_click_on_a_related_term_leads_to_it() -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "i")
        screen = pilot.app.screen
        assert isinstance(screen, GlossaryScreen)
        for name in (TERMS[0].see[1], term_named(TERMS[0].see[1]).see[0]):  # type: ignore[union-attr]
            shown = screen_text(pilot.app).splitlines()  # type: ignore[arg-type]
            y = next(number for number, line in enumerate(shown) if "See also:" in line)
            x = shown[y].index(name, shown[y].index("See also:"))
            await pilot.click(offset=(x + 1, y))
            await until(pilot, lambda wanted=name: screen.term.name == wanted)  # type: ignore[misc]
            await settle(pilot)

    run(Fake({b"/": [added(b"/a")]}), drive, size=(120, 36))


def test_every_related_term_is_a_link() -> None:
    for term in TERMS:
        for width in (30, 57, 100):
            marked = {
                span.style.meta[TERM]
                for span in explained(term, width, examples=()).spans
                if isinstance(span.style, Style) and TERM in span.style.meta
            }
            assert marked == set(term.see)


def test_the_why_text_of_every_row_leads_to_terms(tmp_path: Path) -> None:
    """Of every row of the demo: the main term is one, and so is each marked word."""
    snapshot = open_mounts(build_demo(os.fsencode(tmp_path / "demo")).mounts)
    marked = set()
    for verdict in snapshot.changes(skipped=True):
        why = Why(verdict)
        assert term_named(why.term) is not None
        marked |= {
            span.style.meta[TERM]
            for span in why(76).spans
            if isinstance(span.style, Style) and TERM in span.style.meta
        }
    assert {"whiteout", "opaque", "upperdir", "base", "hard link"} <= marked
    assert all(term_named(name) is not None for name in marked)
