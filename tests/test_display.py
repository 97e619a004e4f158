"""Bytes on their way to a terminal."""

from __future__ import annotations

import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from whiteout.display import display_name, display_text


@given(st.binary(max_size=300))
@example(b"\x1b]52;c;aGk=\x07")
@example("\u202e\u200b\u2028\ufeff\x9b\x7f".encode())
@example(b"\xed\xa0\x80 \xff")
def test_what_is_shown_is_printable(name: bytes) -> None:
    shown = display_name(name)
    assert all(character.isprintable() for character in shown)
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Co"}
    shown.encode("utf-8")


@given(st.binary(max_size=60), st.binary(max_size=60))
@example(b"\\xff", b"\xff")
@example("\u202e".encode(), b"\\u202e")
def test_different_names_look_different(one: bytes, other: bytes) -> None:
    assert (display_name(one) == display_name(other)) == (one == other)


@given(st.text(max_size=100))
def test_text_is_shown_by_the_same_rule(text: str) -> None:
    assert all(character.isprintable() for character in display_text(text))


def test_ordinary_names_are_left_alone() -> None:
    for name in ("plain.txt", "a b", "naïve-日本語-ü", "[/]", "{x} %s"):
        assert display_name(name.encode()) == name
    assert display_name(b"back\\slash") == "back\\\\slash"
    assert display_name(b"\t\n\x1b\xff") == "\\t\\n\\x1b\\xff"


def test_a_surrogate_that_stands_for_no_byte_is_shown_as_bytes() -> None:
    """JSON may hold one, and no encoding has it."""
    assert display_text("a\ud800b") == "a\\xed\\xa0\\x80b"
