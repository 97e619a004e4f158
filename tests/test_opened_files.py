"""Files opened as they are looked up, for the export: the same verdicts, and none stays open."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from whiteout.differ import Finding
from whiteout.layers import Directories, Layer
from whiteout.opening import open_pair
from whiteout.snapshot import Snapshot
from whiteout.verdicts import Reason

WHOLE_SECONDS = 1_700_000_000 * 10**9


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(WHOLE_SECONDS, WHOLE_SECONDS))


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    """Added, changed, same and opaque entries of every common type over two lower layers."""
    upper, lower, lowest = tmp_path / "upper", tmp_path / "lower", tmp_path / "lowest"
    for layer, content in ((lowest, b"one"), (lower, b"two"), (upper, b"two")):
        for directory in ("merged", "opaque"):
            for number in range(12):
                write(layer / directory / f"f{number}", content)
    for name in ("merged/f3", "opaque/f4"):
        write(upper / name, b"not")
    write(upper / "merged" / "new" / "file", b"x" * 5000)
    write(upper / "merged" / "new" / "empty", b"")
    os.link(upper / "merged" / "new" / "file", upper / "merged" / "new" / "link")
    os.symlink("f1", upper / "merged" / "symlink")
    os.mkfifo(upper / "merged" / "fifo")
    os.setxattr(upper / "opaque", "user.overlay.opaque", b"y")
    return open_pair(os.fsencode(upper), [os.fsencode(lower), os.fsencode(lowest)], userxattr=True)


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_the_findings_of_an_export_are_the_verdicts_that_are_shown(snapshot: Snapshot) -> None:
    with snapshot.findings(opens_files=True) as findings:
        found = [finding.verdict for finding in findings]
    assert found == list(snapshot.changes(skipped=True))
    assert {verdict.reason.value for verdict in found} >= {"added", "modified", "same"}


def test_a_finding_holds_its_file_until_the_next_one(snapshot: Snapshot) -> None:
    before = open_descriptors()
    with snapshot.findings(opens_files=True) as findings:
        nodes = [finding.node for finding in findings if finding.node is not None]
        files = [node for node in nodes if node.is_file]
        contents = []
        for node in files:  # all of them are closed by now, and are opened again
            with open(node.open_file(), "rb") as file:
                contents.append(file.read())
    assert len(contents[0]) == 3 and b"x" * 5000 in contents
    assert open_descriptors() == before


@pytest.mark.parametrize("stop", [1, 7, 20])
def test_an_abandoned_walk_leaves_nothing_open(snapshot: Snapshot, stop: int) -> None:
    before = open_descriptors()
    with snapshot.findings(opens_files=True) as findings:
        for _ in range(stop):
            next(findings)
    assert open_descriptors() == before


def swap_for_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def swap_for_symlink(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("swap", [swap_for_fifo, swap_for_symlink, remove])
def test_what_replaced_a_listed_file_is_judged_as_what_it_is(
    tmp_path: Path, swap: Callable[[Path], None]
) -> None:
    for name in ("a", "b"):
        write(tmp_path / "upper" / name, b"file")
    (tmp_path / "lower").mkdir()
    snapshot = open_pair(os.fsencode(tmp_path / "upper"), [os.fsencode(tmp_path / "lower")])
    with snapshot.findings(opens_files=True) as findings:
        first = next(findings)
        swap(tmp_path / "upper" / "b")
        rest: list[Finding] = list(findings)
    assert first.verdict.path == b"/a"
    if swap is remove:
        assert [finding.verdict.reason for finding in rest] == [Reason.UNREADABLE]
    else:
        entry = rest[0].verdict.upper
        assert entry is not None and entry.stat == os.lstat(tmp_path / "upper" / "b")


def test_a_directory_that_was_expected_to_lack_names_shows_those_it_has(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path / f"f{number}", b"")
    with Directories() as pool:
        few, many = (pool.root(Layer(os.fsencode(tmp_path))) for _ in range(2))
        few.expect(1)  # the directory is longer than twice that, and so is not read to its end
        many.expect(100)
        for directory in (few, many):
            found = [directory.lstat(b"f%d" % number) is not None for number in range(7)]
            assert found == [True] * 5 + [False] * 2
