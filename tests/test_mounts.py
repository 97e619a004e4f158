import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whiteout.errors import NotOverlay, UsageError
from whiteout.mounts import (
    Mount,
    MountPair,
    find_upperdir,
    mounts_from_json,
    mounts_to_json,
    overlay_layers,
)

CASES = json.loads((Path(__file__).parent / "data/upperdir_cases.json").read_text("utf-8"))

paths = st.binary(max_size=12).map(lambda data: data.replace(b"\0", b""))
mounts = st.builds(
    Mount,
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    paths,
    st.lists(paths, max_size=3).map(tuple),
    paths,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
mount_like = st.dictionaries(
    st.sampled_from(["Type", "Source", "Options", "Target", "other"]),
    json_values | st.text() | st.lists(st.text()),
)
pair_like = st.fixed_dictionaries(
    {
        "lower": st.none() | json_values | st.lists(mount_like),
        "upper": json_values | st.lists(mount_like),
    }
)


def test_there_are_43_cases() -> None:
    assert len(CASES) == 43


@pytest.mark.parametrize("original", [False, True], ids=["current", "original"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(case: dict[str, object], original: bool) -> None:
    pair = mounts_from_json(json.dumps(case))
    answer = case.get("seed", case) if original else case
    assert isinstance(answer, dict)
    if "error" in answer:
        with pytest.raises(NotOverlay) as caught:
            find_upperdir(pair.lower, pair.upper, original=original)
        assert str(caught.value) == answer["error"]
    else:
        found = find_upperdir(pair.lower, pair.upper, original=original)
        assert found == str(answer["upperdir"]).encode()


def test_layers_are_bottom_to_top() -> None:
    options = (b"upperdir=/u", b"lowerdir=/c:/b:/a", b"workdir=/w")
    assert overlay_layers(Mount("overlay", b"overlay", options)) == (b"/a", b"/b", b"/c", b"/u")


def test_what_a_message_quotes_is_printable() -> None:
    with pytest.raises(NotOverlay) as caught:
        overlay_layers(Mount("overlay", b"", (b'\x1b[31m"\\\xff\n\xe2\x80\xae',)))
    assert str(caught.value) == (
        'unknown option "\\x1b[31m\\"\\\\\\xff\\n\\u202e" specified by snapshotter'
    )


def test_strings_may_hold_any_bytes() -> None:
    text = '{"lower": null, "upper": [{"Type": "bind", "Source": "/\\udcff\\u00e9", "x": 1}]}'
    expected = MountPair((), (Mount("bind", b"/\xff\xc3\xa9"),))
    assert mounts_from_json(text) == expected
    raw = b'{"lower": [], "upper": [{"Type": "bind", "Source": "/\xff\xc3\xa9", "Options": null}]}'
    assert mounts_from_json(raw) == expected


@given(st.builds(MountPair, st.lists(mounts).map(tuple), st.lists(mounts).map(tuple)))
def test_json_round_trip(pair: MountPair) -> None:
    assert mounts_from_json(mounts_to_json(pair)) == pair


@given(json_values | pair_like)
def test_any_json_is_read_or_refused_in_one_sentence(value: object) -> None:
    try:
        mounts_from_json(json.dumps(value))
    except UsageError as error:
        assert str(error).isprintable()


@given(st.binary() | st.text())
def test_anything_is_read_or_refused(document: bytes | str) -> None:
    try:
        mounts_from_json(document)
    except UsageError as error:
        assert str(error).isprintable()


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"lower": [], "upper": ' + "9" * 5000 + "}", "not JSON"),
        ("[]", "must be an object"),
        ('{"upper": []}', 'no "lower"'),
        ('{"lower": 1, "upper": []}', '"lower" of the mounts must be a list'),
        ('{"lower": [], "upper": [3]}', "upper[0]"),
        ('{"lower": [], "upper": [{}]}', "no Type"),
        ('{"lower": [], "upper": [{"Type": 3}]}', "upper[0].Type"),
        ('{"lower": [], "upper": [{"Type": "bind", "Source": 3}]}', "upper[0].Source"),
        ('{"lower": [], "upper": [{"Type": "bind", "Options": "ro"}]}', "list of strings"),
        ('{"lower": [], "upper": [{"Type": "bind", "Options": [1]}]}', "upper[0].Options[0]"),
        ('{"lower": [], "upper": [{"Type": "bind", "Source": "/\\u0000"}]}', "NUL"),
        ('{"lower": [], "upper": [{"Type": "bind", "Source": "/\\ud800"}]}', "surrogate"),
    ],
)
def test_malformed(document: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        mounts_from_json(document)
    assert words in str(caught.value)
