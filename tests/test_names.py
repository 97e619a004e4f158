"""Names in byte order, few or many, and what many of them take in memory."""

from __future__ import annotations

import os
import stat
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whiteout import layers, names
from whiteout.layers import Directories, Layer
from whiteout.names import NameSorter, keep_names, lookup_in, sort_names, union
from whiteout.opening import open_pair
from whiteout.snapshot import Snapshot

_NAMES = st.sets(st.binary(min_size=1, max_size=6).map(lambda name: name.replace(b"\0", b"x")))


@pytest.fixture(params=[1 << 15, 4, 1], ids="many are {}".format)
def many(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_MANY", request.param)
    monkeypatch.setattr(names, "_PACK", 3)


@pytest.mark.usefixtures("many")
@settings(max_examples=60)
@given(_NAMES, _NAMES)
def test_names_are_those_of_a_sorted_list(one: set[bytes], other: set[bytes]) -> None:
    ordered = sort_names(one)
    assert list(ordered) == list(keep_names(sorted(one))) == sorted(one)
    assert len(ordered) == len(one)
    known = lookup_in(ordered)
    assert {name for name in one | other if name in known} == one
    assert b"" not in known
    assert list(union(ordered, sort_names(other))) == sorted(one | other)


@pytest.mark.usefixtures("many")
@settings(max_examples=30)
@given(_NAMES, _NAMES)
def test_a_sorter_is_empty_when_it_was_asked(one: set[bytes], other: set[bytes]) -> None:
    sorter = NameSorter()
    sorter.extend(one)
    for name in other - one:
        sorter.add(name)
    assert list(sorter.sorted()) == sorted(one | other)
    assert list(sorter.sorted()) == []


@pytest.mark.parametrize("as_text", [True, False])
def test_names_are_listed_byte_for_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_text: bool
) -> None:
    monkeypatch.setattr(layers, "_NAMES_AS_TEXT", as_text)
    made = [b"plain", "é€😀".encode(), b"\xff\xfe", b"\xed\xb3\xbf", b"\x80", b"\xc3", b" \n\x1b"]
    path = os.fsencode(tmp_path / "layer")
    os.mkdir(path)
    for name in made:
        os.mknod(os.path.join(path, name), stat.S_IFREG | 0o644)
    with Directories() as pool:
        directory = pool.root(Layer(path))
        assert directory.names() == sorted(made)
        assert directory.expect(len(made))
        assert not any(map(directory.surely_lacks, made))
        assert directory.surely_lacks(b"else")
        assert directory.names() == sorted(made)


def _fill(directory: Path, numbers: range) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        os.mknod(directory / f"a name of {number:05}", stat.S_IFREG | 0o644)
    return directory


def _opaque(directory: Path) -> None:
    os.setxattr(directory, "user.overlay.opaque", b"y")


def _layers(tmp_path: Path) -> tuple[bytes, list[bytes]]:
    """Names of the upper directory alone, of some lower ones, and of several; whiteouts as files
    and, where they can be made, as devices.
    """
    upper, *lower = (tmp_path / f"layer-{number}" for number in range(4))
    for number, layer in enumerate((upper, *lower)):
        _fill(layer / "merged", range(5 * number, 5 * number + 12))
        _fill(layer / "opaque", range(5 * number, 5 * number + 12))
        os.setxattr(layer / "merged" / f"a name of {5 * number:05}", "user.overlay.whiteout", b"y")
        if os.geteuid() == 0:
            os.mknod(layer / "merged" / f"a name of {5 * number + 13:05}", stat.S_IFCHR, 0)
            os.mknod(layer / "opaque" / f"a name of {5 * number + 14:05}", stat.S_IFCHR, 0)
    _opaque(upper / "opaque")
    _opaque(lower[1] / "merged")
    return os.fsencode(upper), [os.fsencode(layer) for layer in lower]


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("differ", ["overlay", "walking"])
@pytest.mark.parametrize("fuse", [False, True], ids=["kernel", "fuse"])
def test_changes_are_the_same_however_many_names_are_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, differ: str, fuse: bool
) -> None:
    upper, lower = _layers(tmp_path)
    if fuse:
        (tmp_path / "layer-0" / "merged" / ".wh.a name of 00016").touch()
        (tmp_path / "layer-1" / "merged" / ".wh..wh..opq").touch()
        (tmp_path / "layer-1" / "merged" / ".wh..opq").touch()
    snapshot = open_pair(upper, lower, userxattr=True, differ=differ, fuse=fuse)
    list(snapshot.changes(skipped=True))  # so that no directory gets another time of access later
    told = list(snapshot.changes(skipped=True))
    walked = [
        (path, [verdict.path for verdict in verdicts]) for path, verdicts in snapshot.directories()
    ]
    monkeypatch.undo()
    assert told == list(snapshot.changes(skipped=True))
    assert walked == [
        (path, [verdict.path for verdict in verdicts]) for path, verdicts in snapshot.directories()
    ]


def _peak(snapshot: Snapshot) -> int:
    """Bytes of Python's objects at most while all changes are read."""
    list(snapshot.children())
    tracemalloc.start()
    try:
        for _ in snapshot.changes():
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.long
@pytest.mark.parametrize("differ", ["overlay", "walking"])
def test_a_long_directory_takes_little_more_than_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, differ: str
) -> None:
    """On both sides; lists and sets of names would take more than twice the limit."""
    monkeypatch.setattr(names, "_MANY", 256)
    monkeypatch.setattr(names, "_PACK", 64)
    files = 4_000
    for side in ("upper", "lower"):
        _fill(tmp_path / side / "d", range(files))
    _opaque(tmp_path / "upper" / "d")
    upper, lower = (os.fsencode(tmp_path / side) for side in ("upper", "lower"))
    assert _peak(open_pair(upper, [lower], userxattr=True, differ=differ)) < 80 * files
