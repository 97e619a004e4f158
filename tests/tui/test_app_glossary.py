"""The glossary: every term is whole, leads somewhere, and shows what the demo really has."""

from __future__ import annotations

import pytest

from whiteout.demorows import LESSONS
from whiteout_tui.glossary import TERMS, Term, term_named

EXPECTED = (
    "whiteout", "opaque", "copy-up", "merged directory", "redirect", "metacopy", "origin",
    "impure", "diffID", "digest", "descriptor", "media type", "upperdir", "lowerdir", "hard link",
    "PAX", "ingest", "ref", "label",
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
