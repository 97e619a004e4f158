"""What a directory takes along: by its rule, against what the base has on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.trees import WHITEOUT, Dir, File, make
from whiteout.cancel import CancelToken
from whiteout.errors import Cancelled, NotFound
from whiteout.opening import open_pair
from whiteout.removal import Removal, removal, removes_below
from whiteout.snapshot import Snapshot
from whiteout.totals import Amount

OPAQUE = {"user.overlay.opaque": b"y"}
TREE = {"a": File(b"1234"), "below": {"b": File(b"12345"), "c": {"d": File(b"1")}}}


def pair(tmp_path: Path, upper: object, lower: object) -> Snapshot:
    return open_pair(
        os.fsencode(make(tmp_path / "upper", upper)),
        [os.fsencode(make(tmp_path / "lower", lower))],
        userxattr=True,
    )


def whole(entries: int, size: int) -> Removal:
    return Removal(Amount(entries, size), complete=True)


def test_what_a_deleted_and_a_replaced_directory_take_along(tmp_path: Path) -> None:
    snapshot = pair(
        tmp_path,
        {"gone": WHITEOUT, "file-now": File(b"xyz"), "kept": {"n": File(b"1")}},
        {"gone": TREE, "file-now": TREE, "kept": TREE, "untouched": TREE},
    )
    assert removal(snapshot, b"/gone") == whole(5, 10)
    assert removal(snapshot, b"/file-now") == whole(5, 10)
    assert removal(snapshot, b"/gone/below") == whole(3, 6)
    for path in (b"/kept", b"/untouched", b"/untouched/below", b"/gone/a", b"/kept/n"):
        assert removal(snapshot, path) == whole(0, 0)
        assert not removes_below(snapshot.explain(path))
    with pytest.raises(NotFound):
        removal(snapshot, b"/nothing")


def test_an_opaque_directory_takes_along_what_it_does_not_show_again(tmp_path: Path) -> None:
    again = {"a": File(b"other"), "new": File(b"1"), "below": {"b": Dir({})}}
    snapshot = pair(tmp_path, {"o": Dir(again, xattrs=OPAQUE)}, {"o": TREE})
    # b, which is a directory now; c with d
    assert removal(snapshot, b"/o") == whole(3, 6)


def test_several_names_of_a_file_hold_its_bytes_once(tmp_path: Path) -> None:
    snapshot = pair(tmp_path, {"d": WHITEOUT}, {"d": {"1": File(b"12345")}})
    os.link(tmp_path / "lower" / "d" / "1", tmp_path / "lower" / "d" / "2")
    assert removal(snapshot, b"/d") == whole(2, 5)


def test_it_can_be_stopped(tmp_path: Path) -> None:
    snapshot = pair(tmp_path, {"d": WHITEOUT}, {"d": TREE})
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        removal(snapshot, b"/d", cancel=token)


def test_it_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whiteout.removal._INTERVAL", -1.0)
    many = {f"{number:03}": File(b"12") for number in range(200)}
    snapshot = pair(tmp_path, {"d": WHITEOUT}, {"d": many})
    told: list[Removal] = []
    assert removal(snapshot, b"/d", report=told.append) == whole(200, 400)
    assert [step.gone.entries for step in told] == [64, 128, 192]
    assert not any(step.complete for step in told)


def test_what_cannot_be_listed_is_counted_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whiteout.layers import Directory

    snapshot = pair(tmp_path, {"d": WHITEOUT}, {"d": TREE})
    names = Directory.names
    closed = b"below"

    def refuse(self: Directory) -> list[bytes]:
        if self.name == closed:
            raise PermissionError(13, "no")
        return names(self)

    monkeypatch.setattr(Directory, "names", refuse)
    monkeypatch.setattr(Directory, "names_and_whiteouts", lambda self: (refuse(self), set()))
    assert removal(snapshot, b"/d") == Removal(Amount(2, 4), 1, complete=True)
    closed = b"d"
    assert removal(snapshot, b"/d") == Removal(Amount(0, 0), 1, complete=True)
