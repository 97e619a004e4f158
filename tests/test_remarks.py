"""Findings: each kind is found where it is, and nowhere else."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest

from support.commands import whiteout
from support.overlay import overlay, stack_options
from support.trees import WHITEOUT, Dir, File, Symlink, make
from whiteout import remarks, survey
from whiteout.cancel import CancelToken
from whiteout.demo import build_demo
from whiteout.differ import Finding
from whiteout.errors import Cancelled
from whiteout.opening import DifferChoice, open_pair
from whiteout.remarks import Level, Remark, RemarkKind
from whiteout.report import json_line, remark_object
from whiteout.snapshot import Snapshot
from whiteout.surveywords import REMARK_WORDS, finding_lines
from whiteout.verdicts import Reason, Verdict

OPAQUE = {"user.overlay.opaque": b"y"}
TIME = 1_700_000_000_123_456_789


def pair(tmp_path: Path, upper: object, lower: object, **options: object) -> Snapshot:
    return open_pair(
        os.fsencode(make(tmp_path / "upper", upper)),
        [os.fsencode(make(tmp_path / "lower", lower))],
        userxattr=True,
        **options,  # type: ignore[arg-type]
    )


def found(snapshot: Snapshot, **options: int) -> dict[RemarkKind, list[bytes]]:
    kept = survey.survey(snapshot, **options).remarks.kept  # type: ignore[arg-type]
    paths: dict[RemarkKind, list[bytes]] = {}
    for remark in kept:
        paths.setdefault(remark.kind, []).append(remark.path)
    return paths


def test_nothing_deserves_attention_in_plain_changes(tmp_path: Path) -> None:
    snapshot = pair(
        tmp_path,
        {"added": File(b"1"), "d": {"changed": File(b"12")}, "gone": WHITEOUT},
        {"d": {"changed": File(b"1")}, "gone": File(b"1")},
    )
    assert found(snapshot) == {}


def test_whiteouts_and_opaque_directories(tmp_path: Path) -> None:
    snapshot = pair(
        tmp_path,
        {
            ".wh.file": File(b"1"),
            "nothing": WHITEOUT,
            "o": Dir({"deep": {"w": WHITEOUT}, "again": File(b"same")}, xattrs=OPAQUE),
            "p": Dir({"new": File(b"1")}, xattrs=OPAQUE),
        },
        {"o": {"deep": {"w": File(b"1")}, "again": File(b"same")}},
    )
    assert found(snapshot) == {
        RemarkKind.WHITEOUT_NAME: [b"/.wh.file"],
        RemarkKind.WHITEOUT_OF_NOTHING: [b"/nothing"],
        RemarkKind.WHITEOUT_IN_OPAQUE: [b"/o/deep/w"],
        RemarkKind.OPAQUE: [b"/o"],
        RemarkKind.OPAQUE_WITHOUT_BASE: [b"/p"],
    }


def test_whiteouts_in_the_form_of_attributes(tmp_path: Path) -> None:
    whiteout_file = File(b"", xattrs={"user.overlay.whiteout": b""})
    holder = Dir({"w": whiteout_file}, xattrs={"user.overlay.opaque": b"x"})
    snapshot = pair(tmp_path, {"d": holder}, {"d": {"w": File(b"1")}})
    assert found(snapshot) == {
        RemarkKind.WHITEOUT_ATTRIBUTE: [b"/d/w"],
        RemarkKind.OPAQUE_X: [b"/d"],
    }


@pytest.mark.parametrize("differ", [DifferChoice.OVERLAY, DifferChoice.WALKING])
def test_copies_that_change_nothing_and_changes_that_are_missed(
    tmp_path: Path, differ: DifferChoice
) -> None:
    snapshot = pair(
        tmp_path,
        {
            "copy": File(b"same", mtime_ns=TIME),
            "empty": File(b"", mtime_ns=TIME),
            "missed": File(b"AAAA", mtime_ns=TIME),
            "whole": File(b"same", mtime_ns=10**18),
        },
        {
            "copy": File(b"same", mtime_ns=TIME),
            "empty": File(b"", mtime_ns=TIME),
            "missed": File(b"BBBB", mtime_ns=TIME),
            "whole": File(b"same", mtime_ns=10**18),
        },
        differ=differ,
    )
    remarks_found = survey.survey(snapshot).remarks
    wasted = {r.path: r.size for r in remarks_found.kept if r.kind is RemarkKind.COPIED_UP}
    assert wasted == {b"/copy": 4, b"/empty": 0, b"/whole": 4}
    assert dict(remarks_found.sizes)[RemarkKind.COPIED_UP] == 8
    assert found(snapshot)[RemarkKind.OTHER_CONTENT] == [b"/missed"]


def test_a_symlink_with_another_target_and_the_same_time_is_missed(tmp_path: Path) -> None:
    snapshot = pair(tmp_path, {"l": Symlink(b"aaa")}, {"l": Symlink(b"bbb")})
    for layer in ("upper", "lower"):
        os.utime(tmp_path / layer / "l", ns=(TIME, TIME), follow_symlinks=False)
    assert found(snapshot) == {RemarkKind.OTHER_CONTENT: [b"/l"]}


def test_what_is_not_compared_is_told(tmp_path: Path) -> None:
    tree = {str(number): File(b"same", mtime_ns=TIME) for number in range(5)}
    snapshot = pair(tmp_path, tree, tree)
    result = survey.survey(snapshot, files=3, size=5)
    kept = [remark for remark in result.remarks.kept if remark.kind is RemarkKind.NOT_COMPARED]
    assert kept == [Remark(RemarkKind.NOT_COMPARED, b"/", b"3")]
    assert (result.compared, result.to_compare) == (2, 3)
    assert result.complete


def test_comparing_can_be_cancelled(tmp_path: Path) -> None:
    tree = {str(number): File(b"same", mtime_ns=TIME) for number in range(5)}
    snapshot = pair(tmp_path, tree, tree)
    token = CancelToken()

    def report(so_far: survey.Survey) -> None:
        if so_far.walked:
            token.cancel()

    with pytest.raises(Cancelled):
        survey.survey(snapshot, cancel=token, report=report)


def test_rights_gained_and_attributes_lost(tmp_path: Path) -> None:
    snapshot = pair(
        tmp_path,
        {
            "new-setuid": File(b"1", 0o4755),
            "new-setgid": File(b"1", 0o2755),
            "kept-setuid": File(b"12", 0o4755),
            "lost": File(b"1", xattrs={"user.note": b"x", "user.overlay.origin": b"y"}),
            "setgid-dir": Dir({}, 0o2755),
        },
        {"kept-setuid": File(b"1", 0o4755)},
    )
    assert found(snapshot) == {
        RemarkKind.ATTRIBUTES_LOST: [b"/lost"],
        RemarkKind.SETGID: [b"/new-setgid"],
        RemarkKind.SETUID: [b"/new-setuid"],
    }
    lost = survey.survey(snapshot).remarks.kept[0]
    assert lost.detail == b"user.note"


@pytest.mark.root
def test_capabilities_gained(tmp_path: Path) -> None:
    capability = {"security.capability": struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)}
    snapshot = pair(
        tmp_path,
        {"gained": File(b"1", 0o755, xattrs=capability), "had": File(b"12", xattrs=capability)},
        {"had": File(b"1", xattrs=capability)},
    )
    assert found(snapshot) == {RemarkKind.CAPABILITY: [b"/gained"]}


@pytest.mark.root
def test_redirect_and_metacopy_of_a_real_overlay(tmp_path: Path) -> None:
    lower = make(tmp_path / "lower", {"f": File(b"data"), "old": {"g": File(b"1")}})
    upper, work = make(tmp_path / "upper", {}), make(tmp_path / "work", {})
    options = stack_options([os.fsencode(lower)], os.fsencode(upper), os.fsencode(work))
    with overlay(tmp_path / "merged", [*options, b"redirect_dir=on,metacopy=on"]) as merged:
        (merged / "f").chmod(0o600)
        (merged / "old").rename(merged / "new")
    snapshot = open_pair(os.fsencode(upper), [os.fsencode(lower)])
    kept = survey.survey(snapshot).remarks.kept
    assert Remark(RemarkKind.REDIRECT, b"/new", b"old") in kept
    assert Remark(RemarkKind.METACOPY, b"/f") in kept


def test_missing_privileges_sockets_unreadable_and_the_root(tmp_path: Path) -> None:

    snapshot = pair(tmp_path, Dir({}, 0o700), {})
    os.mknod(tmp_path / "upper" / "s", 0o140644)
    snapshot = snapshot._replace(doubts=("not root",), fallback="no upper")
    assert found(snapshot) == {
        RemarkKind.PRIVILEGES: [b"/"],
        RemarkKind.WALKING: [b"/"],
        RemarkKind.ROOT_CHANGED: [b"/"],
        RemarkKind.SOCKET: [b"/s"],
    }
    gathering = remarks.Gathering(snapshot)
    verdict = Verdict(b"/u", None, Reason.UNREADABLE, error="cannot read /u: no")
    gathering.add(Finding(verdict, None, None))
    assert gathering.remarks().kept == (
        Remark(RemarkKind.UNREADABLE, b"/u", b"cannot read /u: no"),
    )


def test_each_kind_is_counted_whole_and_kept_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remarks, "KEPT", 2)
    snapshot = pair(tmp_path, {str(number): WHITEOUT for number in range(5)}, {})
    result = survey.survey(snapshot).remarks
    assert result.counts == ((RemarkKind.WHITEOUT_OF_NOTHING, 5),)
    assert len(result.kept) == 2
    assert "  and 3 more" in list(finding_lines(result))
    assert (result.total, result.warnings) == (5, 0)


@pytest.mark.parametrize("kind", RemarkKind)
def test_every_kind_has_words_and_a_level(kind: RemarkKind) -> None:
    assert REMARK_WORDS[kind].title
    assert REMARK_WORDS[kind].meaning.endswith(".")
    hostile = Remark(kind, b"/\x1b[2J\xff", b"\x1b]0;x\x07", 5)
    told = json.loads(json_line(remark_object(hostile)))
    assert told["level"] in {level.value for level in Level}
    shown = "\n".join(finding_lines(remarks.Remarks(((kind, 1),), (), (hostile,))))
    assert "\x1b" not in shown and "\x07" not in shown


def test_the_commands(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    demo = build_demo(os.fsencode(tmp_path / "demo"))
    told = whiteout(capfdbinary, "findings", "--mounts", demo.mounts_file)
    assert told.status == 0
    assert b"same size and time, other content (1)" in told.stdout
    told = whiteout(capfdbinary, "findings", "--json", "--mounts", demo.mounts_file)
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert {"whiteout-of-nothing", "copied-up-unchanged"} <= {line["finding"] for line in lines}
    told = whiteout(capfdbinary, "totals", "--mounts", demo.mounts_file, "--largest", "1")
    assert b"296,250  A /big-added-file.txt" in told.stdout
    assert b"largest directories\n" in told.stdout
    told = whiteout(capfdbinary, "totals", "--json", "--mounts", demo.mounts_file)
    largest = {"path": "/big-added-file.txt", "bytes": 296250, "kind": "A"}
    assert json.loads(told.stdout)["files"][0] == largest
    told = whiteout(capfdbinary, "totals", "--mounts", demo.mounts_file, "--largest", "-1")
    assert told.status == 2
