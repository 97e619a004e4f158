"""What there is at some paths, without comparing anything."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from whiteout.cancel import CancelToken
from whiteout.demo import build_demo
from whiteout.entries import Entry
from whiteout.errors import Cancelled
from whiteout.opening import open_pair
from whiteout.snapshot import Snapshot
from whiteout.verdicts import ChangeKind, Reason, Verdict


def demo(directory: Path) -> tuple[Path, Snapshot]:
    found = build_demo(os.fsencode(directory / "demo"))
    snapshot = open_pair(found.upperdir, found.lowerdirs, userxattr=True)
    return Path(os.fsdecode(found.upperdir)), snapshot


def is_absent(verdict: Verdict) -> bool:
    gone = verdict.reason is Reason.REMOVED_WITH_PARENT or verdict.kind is ChangeKind.DELETE
    return gone or verdict.whiteout


def lasting(status: os.stat_result) -> tuple[int, ...]:
    """What a look at the entry leaves as it was: all but the time of the last access."""
    return (
        status.st_mode,
        status.st_ino,
        status.st_dev,
        status.st_nlink,
        status.st_uid,
        status.st_gid,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def test_they_are_those_that_the_verdicts_were_made_of(tmp_path: Path) -> None:
    _, snapshot = demo(tmp_path)
    verdicts = [verdict for _, found in snapshot.directories() for verdict in list(found)]
    statuses = snapshot.statuses([verdict.path for verdict in verdicts])
    for verdict, status in zip(verdicts, statuses, strict=True):
        if is_absent(verdict):
            assert status is None, verdict.path
        else:
            assert isinstance(verdict.entry, Entry)
            assert status is not None, verdict.path
            assert lasting(status) == lasting(verdict.entry.stat), verdict.path


def test_changes_are_seen_at_once(tmp_path: Path) -> None:
    upper, snapshot = demo(tmp_path)
    paths = [b"/", b"/etc", b"/etc/added.conf", b"/none", b"/etc/added.conf/below"]
    before = list(snapshot.statuses(paths))
    assert before[0] is not None
    assert lasting(before[0]) == lasting(os.stat(upper))
    assert [status is None for status in before] == [False, False, False, True, True]
    (upper / "etc" / "added.conf").unlink()
    (upper / "none").mkdir()
    root, etc, added, none, below = snapshot.statuses(paths)
    assert root is not None
    assert etc is not None
    assert lasting(root) == lasting(os.stat(upper)) != lasting(before[0])
    assert lasting(etc) == lasting(os.stat(upper / "etc"))
    assert (added, below) == (None, None)
    assert none is not None
    assert lasting(none) == lasting(os.stat(upper / "none"))


def test_what_cannot_be_reached_is_not_there(tmp_path: Path) -> None:
    upper, snapshot = demo(tmp_path)
    os.rename(upper / "etc", upper / "elsewhere")
    os.symlink("elsewhere", upper / "etc")
    assert list(snapshot.statuses([b"/etc/added.conf"])) == [None]
    shutil.rmtree(upper / "elsewhere")


def test_it_can_be_cancelled(tmp_path: Path) -> None:
    _, snapshot = demo(tmp_path)
    token = CancelToken()
    statuses = snapshot.statuses([b"/", b"/etc"], cancel=token)
    next(statuses)
    token.cancel()
    with pytest.raises(Cancelled):
        next(statuses)
