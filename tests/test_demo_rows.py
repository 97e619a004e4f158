"""The demo has a row for everything that the tool can show, named after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum

import pytest

from whiteout.demo import build_demo
from whiteout.entries import EntryType
from whiteout.errors import ReadError
from whiteout.opening import open_mounts
from whiteout.remarks import RemarkKind
from whiteout.snapshot import Snapshot
from whiteout.steps import Effect, Question, effect_of, steps_of
from whiteout.survey import survey
from whiteout.verdicts import ChangeKind, Method, Opaque, Reason, Verdict
from whiteout.wording import _FIELDS, _STEPS

REASONS = {
    Reason.ROOT: b"/",
    Reason.ADDED: b"/etc/added.conf",
    Reason.ADDED_IN_NEW: b"/opaque-but-nothing-below/added.txt",
    Reason.ADDED_UNDER_FILE: b"/file-became-directory-unmarked/below-a-file.txt",
    Reason.MODIFIED: b"/etc/modified-content.conf",
    Reason.SAME: b"/copied-up-but-the-same.txt",
    Reason.DELETED: b"/deleted-file.txt",
    Reason.WHITEOUT_OF_NOTHING: b"/whiteout-of-nothing.txt",
    Reason.MISSING: b"/opaque-directory/hidden-file.txt",
    Reason.LINKED: b"/opaque-directory/linked-again.txt",
    Reason.REMOVED_WITH_PARENT: b"/deleted-directory/file.txt",
    Reason.UNTOUCHED: b"/etc/untouched.conf",
    Reason.UNREADABLE: b"/unreadable-entry.txt",
}
TYPES = {
    EntryType.FILE: b"/etc/added.conf",
    EntryType.DIRECTORY: b"/unchanged-directory",
    EntryType.SYMLINK: b"/symlink-added",
    EntryType.CHARACTER: b"/device-character-added",
    EntryType.BLOCK: b"/device-block-added",
    EntryType.FIFO: b"/fifo",
    EntryType.SOCKET: b"/socket",
}
#: Where the row is not the root.
REMARKS = {
    RemarkKind.UNREADABLE: b"/unreadable-entry.txt",
    RemarkKind.OTHER_CONTENT: b"/same-size-and-time-but-other-content.txt",
    RemarkKind.WHITEOUT_NAME: b"/odd-names/.wh.not-a-whiteout",
    RemarkKind.WHITEOUT_IN_OPAQUE: b"/opaque-with-a-whiteout/deleted-twice.txt",
    RemarkKind.ATTRIBUTES_LOST: b"/extended-attributes-lost.txt",
    RemarkKind.SETUID: b"/setuid-gained",
    RemarkKind.SETGID: b"/setgid-gained",
    RemarkKind.CAPABILITY: b"/capability-gained",
    RemarkKind.SOCKET: b"/socket",
    RemarkKind.ROOT_CHANGED: b"/",
    RemarkKind.COPIED_UP: b"/copied-up-but-the-same.txt",
    RemarkKind.WHITEOUT_OF_NOTHING: b"/whiteout-of-nothing.txt",
    RemarkKind.OPAQUE_WITHOUT_BASE: b"/opaque-but-nothing-below",
    RemarkKind.OPAQUE: b"/opaque-directory",
    RemarkKind.OPAQUE_X: b"/whiteout-attributes",
    RemarkKind.WHITEOUT_ATTRIBUTE: b"/whiteout-attributes/deleted-by-attribute.txt",
    RemarkKind.REDIRECT: b"/redirect-new-name",
    RemarkKind.METACOPY: b"/metacopy-only-mode-changed.txt",
}
#: Of the snapshot as a whole, which the demo is not: it opens for everybody, with the overlay
#: differ, in mounts that name no data-only layers, and is small enough to be compared.
NOT_IN_A_DEMO = {
    RemarkKind.PRIVILEGES,
    RemarkKind.NOT_COMPARED,
    RemarkKind.DATA_LAYERS,
    RemarkKind.WALKING,
}
#: Steps of other differs: of fuse-overlayfs' layers, and of the original rules.
NOT_IN_AN_OVERLAY = {(Question.WHITEOUT, "file"), (Question.SAME, "not-compared")}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    built = build_demo(str(tmp_path_factory.mktemp("rows") / "d"), unreadable=True)
    assert built.left_out == ()
    return open_mounts(built.mounts)


@pytest.fixture(scope="module")
def rows(snapshot: Snapshot) -> Mapping[bytes, Verdict]:
    return {verdict.path: verdict for verdict in _rows(snapshot, b"/")}


def _rows(snapshot: Snapshot, path: bytes) -> Iterator[Verdict]:
    """Every row that the tree has, and the root."""
    if path == b"/":
        yield snapshot.explain(path)
    try:
        verdicts = list(snapshot.children(path))
    except ReadError:
        assert path == b"/deleted-unreadable-directory"
        return
    for verdict in verdicts:
        yield verdict
        if verdict.expandable:
            yield from _rows(snapshot, verdict.path)


pytestmark = pytest.mark.root


def every(kind: type[Enum], *but: Enum) -> set[Enum]:
    return set(kind) - set(but)


def test_a_row_for_every_reason(snapshot: Snapshot, rows: Mapping[bytes, Verdict]) -> None:
    assert set(REASONS) == every(Reason)
    for reason, path in REASONS.items():
        # What is untouched has no row: only its path leads to it.
        verdict = snapshot.explain(path) if reason is Reason.UNTOUCHED else rows[path]
        assert verdict.reason is reason


def test_a_row_for_every_type(rows: Mapping[bytes, Verdict]) -> None:
    assert set(TYPES) == every(EntryType)
    for kind, path in TYPES.items():
        entry = rows[path].entry
        assert entry is not None and entry.type is kind


def test_a_row_for_every_kind_flag_and_effect(rows: Mapping[bytes, Verdict]) -> None:
    verdicts = rows.values()
    assert {verdict.kind for verdict in verdicts} == {*ChangeKind, None}
    assert {verdict.opaque for verdict in verdicts} == every(Opaque)
    assert {verdict.method for verdict in verdicts} == every(Method)
    assert {effect_of(verdict).effect for verdict in verdicts} == every(Effect)
    assert rows[b"/redirect-new-name"].redirect == b"redirect-old-name"
    assert rows[b"/metacopy-only-mode-changed.txt"].metacopy
    assert b"/redirect-new-name/came-along.txt" in rows


def test_a_row_for_every_step(snapshot: Snapshot, rows: Mapping[bytes, Verdict]) -> None:
    untouched = snapshot.explain(REASONS[Reason.UNTOUCHED])
    steps = [step for verdict in (*rows.values(), untouched) for step in steps_of(verdict)]
    asked = {(step.question, step.answer) for step in steps}
    assert asked == set(_STEPS) - NOT_IN_AN_OVERLAY


def test_a_row_that_each_fact_decided(rows: Mapping[bytes, Verdict]) -> None:
    decided = {
        verdict.facts[-1].field
        for verdict in rows.values()
        if verdict.facts and not verdict.facts[-1].equal
    }
    # The inode decides that it is the same; the type is a part of the mode; the others are told.
    assert decided == set(_FIELDS) - {"inode", "type", "redirect", "names"}


def test_a_row_for_every_finding(snapshot: Snapshot) -> None:
    found = {(remark.kind, remark.path) for remark in survey(snapshot).remarks.kept}
    assert set(REMARKS) == every(RemarkKind, *NOT_IN_A_DEMO)
    assert set(REMARKS.items()) <= found
    assert {kind for kind, _ in found} == set(REMARKS)
