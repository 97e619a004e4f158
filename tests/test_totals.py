"""Totals: their rules, against a count of the same by other means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.trees import WHITEOUT, File, Symlink, make
from whiteout.cancel import CancelToken
from whiteout.demo import build_demo
from whiteout.entries import Entry
from whiteout.errors import Cancelled
from whiteout.opening import open_pair
from whiteout.snapshot import Snapshot
from whiteout.survey import Survey, survey
from whiteout.totals import Amount, InodeSet, Sized, Tally
from whiteout.verdicts import ChangeKind, Reason, Verdict

OPAQUE = {"user.overlay.opaque": b"y"}


def pair(tmp_path: Path, upper: object, lower: object) -> Snapshot:
    return open_pair(
        os.fsencode(make(tmp_path / "upper", upper)),
        [os.fsencode(make(tmp_path / "lower", lower))],
        userxattr=True,
    )


def test_bytes_by_kind(tmp_path: Path) -> None:
    snapshot = pair(
        tmp_path,
        {
            "added": File(b"12345"),
            "gone": WHITEOUT,
            "modified": File(b"1234567"),
            "replaced": Symlink(b"nowhere"),
            "tree": WHITEOUT,
            "was-a-tree": File(b"123"),
        },
        {
            "gone": File(b"1"),
            "modified": File(b"123"),
            "replaced": File(b"12"),
            "tree": {"a": File(b"1234"), "below": {"b": File(b"12345")}},
            "untouched": File(b"never counted"),
            "was-a-tree": {"c": File(b"123456")},
        },
    )
    totals = survey(snapshot).totals
    assert totals.added == Amount(1, 5)
    assert totals.modified == Amount(3, 7 + 3)
    assert totals.before == 3
    assert totals.deleted == 2
    # gone, replaced; tree with a, below, b; was-a-tree with c
    assert totals.removed == Amount(8, 1 + 2 + 4 + 5 + 6)
    assert totals.unlisted == 0
    assert [item.path for item in totals.files] == [b"/modified", b"/added", b"/was-a-tree"]
    below = {item.path: item for item in totals.directories}
    assert below[b"/tree"] == Sized(b"/tree", 0, 9)
    assert below[b"/tree/below"].removed == 5
    assert below[b"/was-a-tree"].removed == 6


def test_a_hard_link_counts_once(tmp_path: Path) -> None:
    snapshot = pair(tmp_path, {"a": {"1": File(b"12345")}, "b": {}}, {})
    upper = tmp_path / "upper"
    os.link(upper / "a" / "1", upper / "a" / "2")
    os.link(upper / "a" / "1", upper / "b" / "3")
    totals = survey(snapshot).totals
    assert totals.added == Amount(5, 5)
    assert [(item.path, item.size) for item in totals.directories] == [(b"/a", 5), (b"/b", 0)]


def test_a_removed_hard_link_counts_once(tmp_path: Path) -> None:
    snapshot = pair(tmp_path, {"d": WHITEOUT}, {"d": {"1": File(b"12345")}})
    os.link(tmp_path / "lower" / "d" / "1", tmp_path / "lower" / "d" / "2")
    assert survey(snapshot).totals.removed == Amount(3, 5)


def test_what_an_opaque_directory_hides_is_removed(tmp_path: Path) -> None:
    from support.trees import Dir

    snapshot = pair(
        tmp_path,
        {"o": Dir({"new": File(b"123")}, xattrs=OPAQUE)},
        {"o": {"hidden": File(b"12"), "deep": {"f": File(b"1234")}}},
    )
    totals = survey(snapshot).totals
    assert totals.removed == Amount(3, 6)
    assert totals.directories[0] == Sized(b"/o", 3, 6, 3)


def test_the_totals_of_the_demo_agree_with_its_changes(tmp_path: Path) -> None:
    demo = build_demo(os.fsencode(tmp_path / "demo"))
    snapshot = open_pair(demo.upperdir, demo.lowerdirs, userxattr=demo.userxattr)
    verdicts = list(snapshot.changes(skipped=True))
    totals = survey(snapshot).totals
    assert totals.entries == len(verdicts)
    for kind, amount in ((ChangeKind.ADD, totals.added), (ChangeKind.MODIFY, totals.modified)):
        of_kind = [verdict for verdict in verdicts if verdict.kind is kind]
        files = {
            (verdict.upper.stat.st_dev, verdict.upper.stat.st_ino): verdict.upper.size
            for verdict in of_kind
            if verdict.upper is not None
        }
        assert amount == Amount(len(of_kind), sum(files.values()))
    assert totals.deleted == sum(verdict.kind is ChangeKind.DELETE for verdict in verdicts)
    assert totals.unmodified == sum(verdict.kind is ChangeKind.UNMODIFIED for verdict in verdicts)


def test_a_directory_is_told_while_it_is_read(tmp_path: Path) -> None:
    tally = Tally()
    entry = _file(10)
    for path in (b"/a", b"/a/b"):
        tally.add(Verdict(path, ChangeKind.ADD, Reason.ADDED, upper=_directory()))
    tally.add(Verdict(b"/a/b/f", ChangeKind.ADD, Reason.ADDED, upper=entry))
    assert tally.directory(b"/a") == Sized(b"/a", 10, 0, 2, complete=False)
    assert tally.directory(b"/other") is None
    assert [item.complete for item in tally.totals().directories] == [False, False]
    tally.add(Verdict(b"/z", ChangeKind.ADD, Reason.ADDED, upper=entry))
    assert tally.directory(b"/a") == Sized(b"/a", 10, 0, 2)
    assert tally.directory(b"/") == Sized(b"", 20, 0, 4, complete=False)
    tally.finish()
    assert tally.totals().directories == (
        Sized(b"/a/b", 10, 0, 1),
        Sized(b"/a", 10, 0, 2),
    )


def test_only_the_largest_directories_are_remembered() -> None:
    tally = Tally(directories=3)
    for number in range(50):
        path = b"/%03d" % number
        tally.add(Verdict(path, ChangeKind.ADD, Reason.ADDED, upper=_directory()))
        tally.add(Verdict(path + b"/f", ChangeKind.ADD, Reason.ADDED, upper=_file(number)))
    tally.finish()
    assert [item.size for item in tally.totals().directories] == [49, 48, 47]
    assert tally.directory(b"/049") is not None
    assert tally.directory(b"/001") is None
    assert len(tally._known) == 3


def test_a_survey_is_reported_and_can_be_cancelled(tmp_path: Path) -> None:
    files = {str(number): File(b"x") for number in range(300)}
    snapshot = pair(tmp_path, {"d": files}, {})
    reports: list[Survey] = []
    survey(snapshot, report=reports.append, interval=0)
    assert len(reports) > 3
    assert not reports[0].walked
    assert not reports[2].totals.directories[0].complete
    assert reports[-1].complete
    token = CancelToken()
    with pytest.raises(Cancelled):
        survey(snapshot, cancel=token, report=lambda _: token.cancel(), interval=0)


def test_a_removed_directory_that_cannot_be_listed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whiteout.layers import Directory

    snapshot = pair(tmp_path, {"d": WHITEOUT}, {"d": {"f": File(b"123")}})
    names = Directory.names

    def refuse(self: Directory) -> list[bytes]:
        if self.name == b"d":
            raise PermissionError(13, "no")
        return names(self)

    monkeypatch.setattr(Directory, "names", refuse)
    monkeypatch.setattr(Directory, "names_and_whiteouts", lambda self: (refuse(self), set()))
    totals = survey(snapshot).totals
    assert totals.unlisted == 1
    assert totals.unreadable == 0
    assert totals.removed == Amount(1, 0)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2**64 - 1)), max_size=400))
def test_the_set_of_inodes_is_a_set(files: list[tuple[int, int]]) -> None:
    met: set[tuple[int, int]] = set()
    inodes = InodeSet()
    for device, inode in files:
        status = os.stat_result((0, inode, device, 2, 0, 0, 0, 0, 0, 0))
        assert inodes.is_first_name(status) is ((device, inode) not in met)
        met.add((device, inode))


def _file(size: int) -> Entry:
    return Entry(os.stat_result((0o100644, 1, 1, 1, 0, 0, size, 0, 0, 0)))


def _directory() -> Entry:
    return Entry(os.stat_result((0o040755, 1, 1, 2, 0, 0, 0, 0, 0, 0)))
