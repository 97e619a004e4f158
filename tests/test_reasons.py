"""Every verdict carries its reason: one case for each outcome, with its steps and its effect."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from support.trees import WHITEOUT, Dir, File, Symlink, make
from whiteout.errors import NotFound
from whiteout.opening import open_pair
from whiteout.snapshot import Snapshot
from whiteout.steps import Effect, Question, effect_of, steps_of
from whiteout.verdicts import ChangeKind, Reason
from whiteout.wording import explanation

OPAQUE = {"user.overlay.opaque": b"y"}
WHOLE = 1_700_000_000_000_000_000
A, M, D, U, S = *ChangeKind, None


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    old = {
        "content": File(b"old"),
        "mode": File(b"x", mode=0o644),
        "same": File(b"same"),
        "same-time": File(b"abc"),
        "whole": File(b"abc", mtime_ns=WHOLE),
        "whole-same": File(b"abc", mtime_ns=WHOLE),
        "carries": {"below": {"f": File()}},
        "deleted": {"tree": {"leaf": File()}},
        "opaque": {"hidden": File(), "kept": File(b"k"), "tree": {"leaf": File()}},
        "became-file": {"leaf": File()},
        "became-dir": File(),
        "link": Symlink(b"a"),
        "only-below": {"f": File()},
    }
    new = {
        "added": File(b"new"),
        "new-dir": {"f": File()},
        "content": File(b"new content"),
        "mode": File(b"x", mode=0o755),
        "same": File(b"same"),
        "same-time": File(b"xyz"),
        "whole": File(b"xyz", mtime_ns=WHOLE),
        "whole-same": File(b"abc", mtime_ns=WHOLE),
        "carries": {"below": {"g": File()}},
        "deleted": WHITEOUT,
        "nothing": WHITEOUT,
        "opaque": Dir({"kept": File(b"k"), "new": File()}, xattrs=OPAQUE),
        "became-file": File(b"now"),
        "became-dir": {"f": File()},
        "link": Symlink(b"b"),
    }
    lower, upper = make(tmp_path / "lower", old), make(tmp_path / "upper", new)
    os.link(upper / "opaque" / "kept", upper / "opaque" / "linked")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(upper)
        try:
            listener.bind("socket")
        finally:
            os.chdir(here)
    return open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True)


OUTCOMES = [
    ("/", S, Reason.ROOT, Effect.NOTHING, None),
    ("/added", A, Reason.ADDED, Effect.ENTRY, None),
    ("/new-dir/f", A, Reason.ADDED_IN_NEW, Effect.ENTRY, None),
    ("/became-dir/f", A, Reason.ADDED_UNDER_FILE, Effect.ENTRY, None),
    ("/content", M, Reason.MODIFIED, Effect.ENTRY, "size"),
    ("/mode", M, Reason.MODIFIED, Effect.ENTRY, "mode"),
    ("/whole", M, Reason.MODIFIED, Effect.ENTRY, "content"),
    ("/link", M, Reason.MODIFIED, Effect.ENTRY, "nanoseconds"),
    ("/became-file", M, Reason.MODIFIED, Effect.ENTRY, "mode"),
    ("/same", S, Reason.SAME, Effect.NOTHING, "nanoseconds"),
    ("/same-time", S, Reason.SAME, Effect.NOTHING, "nanoseconds"),
    ("/whole-same", S, Reason.SAME, Effect.NOTHING, "content"),
    ("/carries", S, Reason.SAME, Effect.PARENT, "type"),
    ("/deleted", D, Reason.DELETED, Effect.WHITEOUT, None),
    ("/deleted/tree/leaf", S, Reason.REMOVED_WITH_PARENT, Effect.NOTHING, None),
    ("/nothing", S, Reason.WHITEOUT_OF_NOTHING, Effect.NOTHING, None),
    ("/opaque/hidden", D, Reason.MISSING, Effect.WHITEOUT, None),
    ("/opaque/tree/leaf", S, Reason.REMOVED_WITH_PARENT, Effect.NOTHING, None),
    ("/opaque/kept", U, Reason.LINKED, Effect.LINK, "nanoseconds"),
    ("/opaque/linked", A, Reason.ADDED, Effect.ENTRY_OR_LINK, None),
    ("/became-file/leaf", S, Reason.REMOVED_WITH_PARENT, Effect.NOTHING, None),
    ("/only-below", S, Reason.UNTOUCHED, Effect.NOTHING, None),
    ("/only-below/f", S, Reason.UNTOUCHED, Effect.NOTHING, None),
    ("/socket", A, Reason.ADDED, Effect.SOCKET, None),
]


@pytest.mark.parametrize(("path", "kind", "reason", "effect", "decided_by"), OUTCOMES)
def test_outcome(
    snapshot: Snapshot,
    path: str,
    kind: ChangeKind | None,
    reason: Reason,
    effect: Effect,
    decided_by: str | None,
) -> None:
    if path == "/link":  # a symlink's time cannot be pinned by the same helper
        for side in ("lower", "upper"):
            link = Path(os.fsdecode(snapshot.upperdir or b"")).parent / side / "link"
            os.utime(link, ns=(1, 1 if side == "upper" else 2), follow_symlinks=False)
    verdict = snapshot.explain(path.encode())
    assert (verdict.kind, verdict.reason) == (kind, reason)
    assert effect_of(verdict).effect is effect
    if decided_by is not None:
        (same,) = [step for step in steps_of(verdict) if step.question is Question.SAME]
        assert same.facts[-1].field == decided_by
        assert (same.answer == "yes") == (kind in (None, ChangeKind.UNMODIFIED))
    text = "\n".join(explanation(verdict))
    assert path in text
    assert text.isprintable() or "\n" in text


def test_each_outcome_of_the_enumeration_is_covered() -> None:
    assert {reason for _, _, reason, _, _ in OUTCOMES} == set(Reason) - {Reason.UNREADABLE}


def test_opaque_is_a_step_of_its_own(snapshot: Snapshot) -> None:
    def answer(path: bytes) -> str:
        steps = steps_of(snapshot.explain(path))
        return next(step.answer for step in steps if step.question is Question.OPAQUE)

    assert answer(b"/opaque") == "yes"
    assert answer(b"/carries") == "no"


def test_what_is_nowhere_has_no_verdict(snapshot: Snapshot) -> None:
    for path in (b"/missing", b"/added/below", b"/new-dir/missing"):
        with pytest.raises(NotFound):
            snapshot.explain(path)


def test_the_order_of_nothing_is_by_bytes(snapshot: Snapshot) -> None:
    paths = [verdict.path for verdict in snapshot.changes(skipped=True)]
    assert paths == sorted(paths, key=lambda path: path.split(b"/"))


def test_an_unreadable_directory_is_not_called_unchanged(tmp_path: Path) -> None:
    upper = make(tmp_path / "upper", {"closed": Dir({"f": File()}, mode=0), "open": File()})
    lower = make(tmp_path / "lower", {})
    snapshot = open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True)
    found = [(v.path, v.reason) for v in snapshot.changes()]
    if os.geteuid() == 0:
        assert (b"/closed/f", Reason.ADDED_IN_NEW) in found
    else:
        assert (b"/closed", Reason.UNREADABLE) in found
    assert (b"/open", Reason.ADDED) in found
