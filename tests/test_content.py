"""Content: bounded, honest about text, and extracted whole or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from support.trees import File, Symlink, make
from whiteout.cancel import CancelToken
from whiteout.content import DiffLine, extract, looks_like_text, read_head, unified_diff
from whiteout.errors import Cancelled, NotFound, StoreError, UsageError
from whiteout.opening import open_pair
from whiteout.snapshot import Snapshot


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    upper = {
        "f": File(b"new\n"),
        "l": Symlink(b"/etc"),
        "gone": File(xattrs={"user.overlay.whiteout": b""}),
    }
    lower = {"f": File(b"old"), "gone": File(b"was")}
    made = [os.fsencode(make(tmp_path / name, tree)) for name, tree in (("u", upper), ("l", lower))]
    return open_pair(made[0], [made[1]], userxattr=True)


def test_the_beginning_of_both_sides(snapshot: Snapshot) -> None:
    assert read_head(snapshot, b"/f", "base").data == b"old"
    head = read_head(snapshot, b"/f", "upper", 2)
    assert (head.data, head.truncated, head.size, head.is_text) == (b"ne", True, 4, True)
    assert read_head(snapshot, b"/l", "upper").link_target == b"/etc"
    assert read_head(snapshot, b"/gone", "base").data == b"was"
    with pytest.raises(NotFound, match="not in the snapshot"):
        read_head(snapshot, b"/gone", "upper")
    with pytest.raises(NotFound, match="not in its base"):
        read_head(snapshot, b"/l", "base")


def test_what_is_text() -> None:
    assert looks_like_text(b"") and looks_like_text("ä\t\n".encode())
    assert looks_like_text("abcdef€".encode()[:-1])
    assert not looks_like_text(b"\x7fELF\x00") and not looks_like_text(b"abcdef\xff more text")


def test_extracting_gives_place_size_and_digest(snapshot: Snapshot, tmp_path: Path) -> None:
    target = tmp_path / "out"
    told = extract(snapshot, b"/f", os.fsencode(target), "upper")
    assert target.read_bytes() == b"new\n"
    assert told.path == os.fsencode(target)
    assert (told.size, told.sha256) == (4, hashlib.sha256(b"new\n").hexdigest())


def test_extracting_replaces_and_follows_nothing(snapshot: Snapshot, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    for name in ("link", "u", "missing/out"):
        before = sorted(os.listdir(tmp_path))
        with pytest.raises(StoreError, match="give another path"):
            extract(snapshot, b"/f", os.fsencode(tmp_path / name), "upper")
        assert sorted(os.listdir(tmp_path)) == before
    with pytest.raises(UsageError, match="not a file"):
        extract(snapshot, b"/l", os.fsencode(tmp_path / "out"), "upper")


def test_a_cancelled_extraction_leaves_nothing(snapshot: Snapshot, tmp_path: Path) -> None:
    cancel = CancelToken()
    cancel.cancel()
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(Cancelled):
        extract(snapshot, b"/f", os.fsencode(tmp_path / "out"), "upper", cancel)
    assert sorted(os.listdir(tmp_path)) == before


def test_what_changed_in_a_text_file(snapshot: Snapshot, tmp_path: Path) -> None:
    (tmp_path / "l" / "f").write_bytes(b"same\nold\n--\n")
    (tmp_path / "u" / "f").write_bytes(b"same\nn\xc3\xa4w\n--\n")
    assert unified_diff(snapshot, b"/f") == (
        DiffLine("@", b"@@ -1,3 +1,3 @@"),
        DiffLine(" ", b"same"),
        DiffLine("-", b"old"),
        DiffLine("+", b"n\xc3\xa4w"),
        DiffLine(" ", b"--"),
    )
    assert unified_diff(snapshot, b"/f", 5) is None
    (tmp_path / "u" / "f").write_bytes(b"same\rold\n--\n--")
    assert unified_diff(snapshot, b"/f") == (
        DiffLine("@", b"@@ -1,3 +1,3 @@"),
        DiffLine("-", b"same"),
        DiffLine("-", b"old"),
        DiffLine("+", b"same\rold"),
        DiffLine(" ", b"--"),
        DiffLine("+", b"--"),
        DiffLine("\\", b"No newline at end of file"),
    )
    (tmp_path / "u" / "f").write_bytes(b"\0")
    assert unified_diff(snapshot, b"/f") is None
