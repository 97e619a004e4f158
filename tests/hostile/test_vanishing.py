"""What vanishes while its directory is read is never passed over in silence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.trees import Dir, File, make
from whiteout.cancel import CancelToken
from whiteout.errors import ReadError
from whiteout.export import export_to_file
from whiteout.mediatypes import TAR
from whiteout.opening import open_pair
from whiteout.snapshot import Snapshot
from whiteout.verdicts import Reason


class Remover(CancelToken):
    """Removes a file when it is asked for the *moment*-th time, such as once for each entry."""

    def __init__(self, path: Path, moment: int) -> None:
        super().__init__()
        self._path = path
        self._left = moment

    def check(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._path.unlink()
        super().check()


def snapshot(tmp_path: Path, differ: str, *, opaque: bool = False) -> Snapshot:
    attributes = {"user.overlay.opaque": b"y"} if opaque else {}
    entries = {name: File(name.encode()) for name in ("a", "both", "new")}
    upper = make(tmp_path / "upper", {"d": Dir(entries, xattrs=attributes)})
    lower = make(tmp_path / "lower", {"d": {"both": File(b"older"), "gone": File()}})
    return open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True, differ=differ)


@pytest.mark.parametrize(
    ("differ", "name"),
    [
        ("overlay", "both"),
        ("overlay", "new"),
        ("walking", "new"),  # of "both" the view has the base's by then, and says so
        ("opaque", "both"),
        ("opaque", "new"),
    ],
)
def test_a_file_that_vanishes(tmp_path: Path, differ: str, name: str) -> None:
    opaque = differ == "opaque"
    opened = snapshot(tmp_path, "auto" if opaque else differ, opaque=opaque)
    victim = tmp_path / "upper" / "d" / name
    second = Remover(victim, 2)  # after /d itself was found and its directory was listed
    verdicts = {v.path: v for v in opened.children(b"/d", cancel=second)}
    assert not victim.exists()
    lost = verdicts[f"/d/{name}".encode()]
    assert lost.reason is Reason.UNREADABLE
    assert "vanished while its directory was read" in (lost.error or "")


@pytest.mark.parametrize("differ", ["overlay", "walking"])
def test_a_layer_without_what_vanished_is_not_written(tmp_path: Path, differ: str) -> None:
    opened = snapshot(tmp_path, differ)
    victim = tmp_path / "upper" / "d" / "new"
    refused = 0
    for moment in range(1, 20):
        target = tmp_path / f"layer{moment}"
        victim.write_bytes(b"new")
        try:
            remover = Remover(victim, moment)
            export_to_file(opened, os.fsencode(target), media_type=TAR, cancel=remover)
        except ReadError as error:
            refused += "vanished" in str(error)
            assert not target.exists()
    assert refused


@pytest.mark.parametrize("differ", ["overlay", "walking", "opaque"])
def test_what_is_only_hidden_or_deleted_has_not_vanished(tmp_path: Path, differ: str) -> None:
    opaque = differ == "opaque"
    opened = snapshot(tmp_path, "auto" if opaque else differ, opaque=opaque)
    assert all(verdict.error is None for verdict in opened.changes(skipped=True))
