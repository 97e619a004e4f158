"""``--rules original``: the change lists of BuildKit's first overlay differ.

It compares directories only. A base path below something that is no directory is an error to it,
which is an error here as well; it fails, too, on whiteouts inside opaque directories, where ours
answers as by the current rules.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.commands import whiteout
from support.own_answers import OWN_ANSWERS
from support.snapshot_case import SnapshotCase, case_names, load_case

Capture = pytest.CaptureFixture[bytes]

#: The base has a file where the upper directory has a directory with something in it.
BELOW_A_FILE = frozenset({"file_under_file", "whiteout_under_file"})


def build(case: SnapshotCase, tmp_path: Path) -> Path:
    case.build(tmp_path / "case")
    document = tmp_path / "mounts.json"
    document.write_text(json.dumps(case.mounts(tmp_path / "case")))
    return document


@pytest.mark.root
@pytest.mark.parametrize("name", case_names())
def test_changes(name: str, tmp_path: Path, capfdbinary: Capture) -> None:
    case = load_case(name)
    document = build(case, tmp_path)
    arguments = ("changes", "--mounts", document, "--rules", "original", "--null")
    told = whiteout(capfdbinary, *arguments)
    if name in BELOW_A_FILE:
        assert case.original.changes is None
        assert told.status == 1
        assert b"not a directory" in told.stderr
        assert all(line.startswith(b"whiteout: /") for line in told.stderr.splitlines())
        return
    want = case.original.changes
    assert told.done().pairs() == (OWN_ANSWERS[name].changes if want is None else want)


def test_a_copied_up_file_without_a_change_is_recorded(
    tmp_path: Path, capfdbinary: Capture
) -> None:
    import shutil

    for side in ("lower", "upper"):
        (tmp_path / side).mkdir()
    (tmp_path / "lower" / "file").write_bytes(b"x")
    shutil.copy2(tmp_path / "lower" / "file", tmp_path / "upper" / "file")
    target = ("changes", tmp_path / "upper", "--lower", tmp_path / "lower", "--userxattr")
    assert whiteout(capfdbinary, *target).done().stdout == b""
    original = whiteout(capfdbinary, *target, "--rules", "original").done()
    assert original.stdout == b"M /file\n"


@pytest.mark.root
def test_a_failed_export_leaves_no_file(tmp_path: Path, capfdbinary: Capture) -> None:
    document = build(load_case("file_under_file"), tmp_path)
    blob = tmp_path / "layer.tar"
    arguments = ("export", "--mounts", document, "--rules", "original", "-o", blob)
    told = whiteout(capfdbinary, *arguments)
    assert told.status == 1
    assert not list(tmp_path.glob("*layer.tar*"))
