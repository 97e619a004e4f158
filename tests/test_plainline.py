"""Plain command lines mean what argparse takes them for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whiteout.arguments import _PARSERS, parsers
from whiteout.errors import UsageError
from whiteout.plainline import PlainLine

COMMANDS = sorted(_PARSERS)


def plain(command: str, words: list[str]) -> dict[str, object] | None:
    found = _PARSERS[command](PlainLine).read(words)
    return None if found is None else vars(found)


@st.composite
def lines(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A command, and words of which many are its own."""
    command = draw(st.sampled_from(COMMANDS))
    actions = parsers()[command]._actions
    names = [name for action in actions for name in action.option_strings]
    values = [str(choice) for action in actions for choice in action.choices or ()]
    value = st.sampled_from(["DIR", "7", "007", " 7", "1_0", "-", "-7", "", "a=b", "é", *values])
    name = st.sampled_from([*names, "--", "--none", "--js", "-x", "--json", "--level", "-o"])
    word = st.one_of(value, name, st.builds("{}={}".format, name, value))
    pair = st.tuples(name, value)
    return command, [each for found in draw(st.lists(pair | st.tuples(word))) for each in found]


@given(lines())
def test_a_plain_line_is_what_argparse_takes_it_for(line: tuple[str, list[str]]) -> None:
    command, words = line
    found = plain(command, words)
    if found is not None:
        assert found == vars(parsers()[command].parse_intermixed_args(words))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("", []),
        ("", ["TARGET", "--store", "DIR"]),
        ("list", []),
        ("list", ["TARGET", "--json", "--engine", "docker", "--engine=podman"]),
        ("changes", ["UPPER", "--lower", "A", "--lower", "B", "--userxattr", "--null"]),
        ("changes", ["--mounts", "-", "--skipped"]),
        ("explain", ["UPPER", "--lower=DIR", "/etc", "--differ", "walking"]),
        ("totals", ["TARGET", "--largest", "3"]),
        ("export", ["TARGET", "-o", "-", "--compression", "zstd", "--level", "3"]),
        ("export", ["TARGET", "--to", "oci:DIR", "--annotation", "a=b", "--annotation", "c=d"]),
        ("verify", ["sha256:0", "--json"]),
        ("demo", ["--tour"]),
        ("completion", ["bash"]),
    ],
)
def test_usual_lines_are_plain(command: str, words: list[str]) -> None:
    found = plain(command, words)
    assert found is not None
    assert found == vars(parsers()[command].parse_intermixed_args(words))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("changes", ["--help"]),
        ("changes", ["--json", "--null"]),
        ("changes", ["--lower"]),
        ("changes", ["--lower", "--json"]),
        ("changes", ["--json=yes"]),
        ("changes", ["--mapped", "some"]),
        ("changes", ["--low", "DIR"]),
        ("export", ["--level", "high"]),
        ("export", ["--media-type", "MT", "--compression", "none"]),
        ("list", ["ONE", "TWO"]),
        ("verify", []),
        ("completion", ["csh"]),
        ("demo", ["DIR"]),
    ],
)
def test_what_is_wrong_is_not_plain(command: str, words: list[str]) -> None:
    assert plain(command, words) is None
    with pytest.raises((UsageError, SystemExit)):
        parsers()[command].parse_intermixed_args(words)
