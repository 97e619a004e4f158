"""Expanding a directory costs its own entries, counted in system calls, and nothing around it."""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from support.commands import python

#: Lists one directory between two calls that nothing else makes.
_EXPAND = """
import os, sys
from whiteout.opening import open_pair
upper, path, *lower = map(os.fsencode, sys.argv[1:])
def mark():
    try:
        os.stat("/whiteout-test-mark")
    except FileNotFoundError:
        pass
snapshot = open_pair(upper, lower)
list(snapshot.children(path))
mark()
print(len(list(snapshot.children(path))))
mark()
"""
_ENTRIES = 20


def make_layer(directory: Path, surroundings: int) -> None:
    """``/here`` with a fixed number of entries; *surroundings* entries beside and below it."""
    here = directory / "here"
    (here / "below").mkdir(parents=True)
    beside = directory / "beside"
    beside.mkdir()
    for number in range(_ENTRIES):
        (here / f"entry{number}").write_bytes(b"x")
    for number in range(surroundings):
        (here / "below" / f"b{number}").write_bytes(b"x")
        (beside / f"b{number}").write_bytes(b"x")
        (directory / f"top{number}").write_bytes(b"x")


def system_calls(
    tmp_path: Path, surroundings: int, lower_layers: int = 1, path: str = "/here"
) -> tuple[Counter[str], int]:
    """The system calls of listing *path* once, and how many verdicts it gave."""
    root = tmp_path / f"{surroundings}-{lower_layers}{path.replace('/', '-')}"
    layers = [root / "upper", *(root / f"lower{number}" for number in range(lower_layers))]
    for layer in layers:
        make_layer(layer, surroundings)
    trace = root / "trace"
    wrapper = ["strace", "-f", "-qq", "-y", "-o", str(trace)]
    upper, *lower = map(str, layers)
    told = python(_EXPAND, upper, path, *lower, wrapper=wrapper)
    assert told.status == 0, told
    lines = trace.read_bytes().splitlines()
    marks = [number for number, line in enumerate(lines) if b"whiteout-test-mark" in line]
    assert len(marks) == 2
    ours = (line for line in lines[marks[0] + 1 : marks[1]] if b"/mountinfo>" not in line)
    names = (re.match(rb"\d+ +(\w+)\(", line) for line in ours)  # others mount meanwhile
    counted = Counter(os.fsdecode(name[1]) for name in names if name is not None)
    for noise in ("brk", "mmap", "munmap", "madvise", "write", "futex", "mremap", "fstat"):
        counted.pop(noise, None)
    return counted, int(told.stdout)


@pytest.mark.peer("strace")
def test_a_directory_costs_the_same_in_a_small_and_in_a_large_tree(tmp_path: Path) -> None:
    small, rows = system_calls(tmp_path, 5)
    large, rows_in_large = system_calls(tmp_path, 2000)
    assert rows == rows_in_large == _ENTRIES + 1
    assert small == large


@pytest.mark.peer("strace")
def test_a_lower_layer_costs_no_more_than_the_entries_once_more(tmp_path: Path) -> None:
    counts = [sum(system_calls(tmp_path, 5, layers)[0].values()) for layers in (2, 3, 4)]
    steps = [after - before for before, after in itertools.pairwise(counts)]
    assert max(steps) <= 10 * (_ENTRIES + 10)
    assert abs(steps[1] - steps[0]) <= _ENTRIES


@pytest.mark.peer("strace")
def test_the_count_sees_entries(tmp_path: Path) -> None:
    """The measure itself: a directory with more entries does cost more."""
    few, _ = system_calls(tmp_path, 5, path="/beside")
    many, _ = system_calls(tmp_path, 500, path="/beside")
    assert sum(many.values()) > sum(few.values()) + 495


def test_the_walk_by_directories_gives_what_each_directory_gives_by_itself(tmp_path: Path) -> None:
    from whiteout.demo import build_demo
    from whiteout.opening import open_pair
    from whiteout.verdicts import Verdict

    demo = build_demo(os.fsencode(tmp_path / "demo"))
    for differ in ("overlay", "walking"):
        snapshot = open_pair(demo.upperdir, demo.lowerdirs, userxattr=demo.userxattr, differ=differ)
        list(snapshot.changes())  # times of access are settled
        seen: list[bytes] = []
        walked: list[Verdict] = []
        for path, verdicts in snapshot.directories():
            entries = list(verdicts)
            assert entries == list(snapshot.children(path))
            seen.append(path)
            walked += entries
        assert len(seen) == len(set(seen))
        assert sorted(verdict.path for verdict in walked) == sorted(
            verdict.path for verdict in snapshot.changes(skipped=True)
        )
