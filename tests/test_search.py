"""Queries and filters: what they find, and what they say of bad input."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.trees import Dir, File, Symlink, make
from whiteout.display import display_name
from whiteout.errors import UsageError
from whiteout.opening import open_pair
from whiteout.search import compile_filter, compile_path_query, compile_query, parse_size
from whiteout.verdicts import Reason, Verdict


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> list[Verdict]:
    top = tmp_path_factory.mktemp("search")
    lower = {"etc": {"old.conf": File(b"o"), "same": File(b"s"), "hidden": {"x": File(b"1")}}}
    upper = {
        "etc": {
            "old.conf": File(b"new"),
            "same": File(b"s"),
            "with blank": File(b"x" * 2000),
            "hidden": make_opaque({}),
        },
        "lib": {"Big.so": File(b"x" * 5000), "link.so": Symlink(b"Big.so"), "ä\x1b": File()},
    }
    directories = [make(top / "lower", lower), make(top / "upper", upper)]
    snapshot = open_pair(os.fsencode(directories[1]), [os.fsencode(directories[0])], userxattr=True)
    return list(snapshot.changes(skipped=True))


def make_opaque(entries: dict[str, object]) -> object:
    return Dir(entries, xattrs={"user.overlay.opaque": b"y"})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "etc hidden x old.conf same blank lib Big.so link.so ä"),
        ("kind:A", "blank lib Big.so link.so ä"),
        ("kind:added,M type:f", "old.conf blank Big.so ä"),
        ("kind:S", "etc hidden same"),
        ("kind:·", "etc hidden same"),
        ("-kind:S -type:d", "x old.conf blank Big.so link.so ä"),
        ("size:>1K", "blank Big.so"),
        ("size:1K..2K", "blank"),
        ("size:<=1 kind:d", "x"),
        ("size:=5000", "Big.so"),
        (">1K", "blank Big.so"),
        ("-<=2K type:f", "Big.so"),
        ("name:*.so", "Big.so link.so"),
        ("path:/etc/*", "hidden x old.conf same blank"),
        ("flag:O", "hidden"),
        ("type:l,directory", "etc hidden lib link.so"),
        ("reason:same type:f", "same"),
        ('name:"with blank"', "blank"),
        ("big", "Big.so"),
        ("BIG", ""),
        ("/lib/", "Big.so link.so ä"),
        (r"\x1b", "ä"),
        ("Ä", ""),
        ("ä", "ä"),
    ],
)
def test_a_filter_finds(verdicts: list[Verdict], text: str, found: str) -> None:
    holds = compile_filter(text)
    short = {"with blank": "blank", "ä\x1b": "ä"}
    names = [os.fsdecode(verdict.name) for verdict in verdicts if holds(verdict)]
    assert " ".join(short.get(name, name) for name in names) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [(r"\.so$", 2), ("^/etc/", 5), (r"^\S+$", 9), ("^big", 1), ("^BIG", 0), ("[ä]", 1)],
)
def test_an_expression_finds(verdicts: list[Verdict], text: str, found: int) -> None:
    assert sum(map(compile_query(text, regex=True), verdicts)) == found


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kind:Q", "kind:Q is no kind; use the letters"),
        ("size:big", "big is no size; write it as"),
        ("size:", "size: needs a value"),
        ("size:=>1", "size:=> is no comparison"),
        ("flag:Z", "flag:Z is no flag; use the letters O o w H"),
        ("type:x", "type:x is no type"),
        ("type:", "type: needs a value"),
        ("reason:why", "reason:why is no reason; use one of root,"),
        ("colour:red", "colour: is no term of a filter; terms: kind:"),
        ("name:'a", "a quotation mark is left open"),
        ("name:\ud800", "is not text that a name can hold"),
    ],
)
def test_bad_input_gets_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        compile_filter(text)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("text", ["(", "[z-a]", "(?P<", "a{99999999999999999999}", "*", "[ä"])
def test_a_malformed_expression_gets_a_sentence(text: str) -> None:
    with pytest.raises(UsageError, match="is no regular expression: "):
        compile_query(text, regex=True)


def test_sizes() -> None:
    assert [parse_size(text) for text in ("512", "10M", "1.5k", "2GiB", "1T")] == [
        512,
        10 << 20,
        1536,
        2 << 30,
        1 << 40,
    ]


@given(st.binary(max_size=20).filter(lambda name: b"/" not in name))
def test_every_name_is_found_by_what_is_displayed_of_it(name: bytes) -> None:
    assert compile_path_query(display_name(name))(b"/directory/" + name)


@given(st.text(max_size=20))
def test_any_input_gives_an_answer_or_a_usage_error(text: str) -> None:
    verdict = Verdict(b"/a/b", None, Reason.UNTOUCHED)
    for compile_any in (compile_filter, lambda t: compile_query(t, regex=True)):
        try:
            compile_any(text)(verdict)
        except UsageError as error:
            assert str(error).isprintable()
