"""fuse-overlayfs' own marks: the real program writes the upper directory and is the judge."""

from __future__ import annotations

import os
import stat
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.commands import whiteout
from support.listing import Listing, list_tree
from support.overlay import unmount
from support.trees import WHITEOUT, Dir, File, lines, make
from whiteout.errors import ReadError, RefusedError
from whiteout.export import export_to_file
from whiteout.mediatypes import TAR
from whiteout.opening import open_pair
from whiteout.snapshot import Snapshot
from whiteout.verdicts import Opaque
from whiteout.wording import explanation

pytestmark = pytest.mark.root
OVERRIDE = "user.containers.override_stat"
LOWER = {
    "again": {"x": File(b"1")},
    "gone": File(b"2"),
    "dir": {"removed": File(b"3"), "kept": File(b"4")},
    "file": File(b"5"),
    "old": {"q": File(b"6")},
}
CHANGES = """
set -e
rm gone; rm -r again; mkdir again; echo new > again/n
rm dir/removed; echo a > dir/added; chmod 1777 dir
chown 5:6 file || true; chmod 4755 file
mkdir new; chmod 2750 new; ln -s /q link; mv old renamed
"""


def changed(
    directory: Path, options: str = "", wrapper: Sequence[str] = ()
) -> tuple[Path, Path, Listing]:
    """A lower and an upper directory that fuse-overlayfs wrote, and what it showed of them."""
    lower = make(directory / "lower", LOWER)
    for name in ("upper", "work", "merged"):
        (directory / name).mkdir()
    mount = f"lowerdir=lower,upperdir=upper,workdir=work{options}"
    # In one process, as the wrapper may make a namespace of its own.
    script = f"fuse-overlayfs -o {mount} merged 2>/dev/null && cd merged && {{ {CHANGES} }}"
    if not wrapper:
        subprocess.run(["bash", "-c", script], cwd=directory, check=True, timeout=60)
        try:
            shown, _ = list_tree(os.fsencode(directory / "merged"))
        finally:
            unmount(os.fsencode(directory / "merged"))
        return lower, directory / "upper", shown
    script += " && cd .. && umount merged"
    subprocess.run([*wrapper, "bash", "-c", script], cwd=directory, check=True, timeout=60)
    return lower, directory / "upper", {}


def opened(lower: Path, upper: Path) -> Snapshot:
    return open_pair(os.fsencode(upper), [os.fsencode(lower)], fuse=True)


def entries(snapshot: Snapshot, directory: Path) -> dict[bytes, tuple[str, int, int]]:
    """Mode, owner and group of the entries of the layer, by path."""
    target = directory / "layer.tar"
    export_to_file(snapshot, os.fsencode(target), media_type=TAR)
    with tarfile.open(target) as archive:
        return {
            b"/" + os.fsencode(entry.name): (oct(entry.mode), entry.uid, entry.gid)
            for entry in archive
        }


EXPECTED = [
    "M /again",
    "A /again/n",
    "D /again/x",
    "M /dir",
    "A /dir/added",
    "D /dir/removed",
    "M /file",
    "D /gone",
    "A /link",
    "A /new",
    "D /old",
    "A /renamed",
    "A /renamed/q",
]


@pytest.mark.root
@pytest.mark.peer("fuse-overlayfs")
@pytest.mark.parametrize("options", ["", ",xattr_permissions=2"])
def test_what_fuse_overlayfs_wrote(tmp_path: Path, options: str) -> None:
    """As root, with the owners and modes on disk, and with them in attributes."""
    lower, upper, shown = changed(tmp_path, options)
    assert (upper / "again" / ".wh..wh..opq").exists()
    snapshot = opened(lower, upper)
    found = [line for line in lines(snapshot) if line != "M /again"]
    assert found == [line for line in EXPECTED if line != "M /again"]
    written = entries(snapshot, tmp_path)
    assert not [path for path in written if b".opq" in path]
    for path, found_item in written.items():
        if b".wh." not in path:
            item = shown[path]
            assert found_item == (oct(item.permissions), item.uid, item.gid), path
    assert snapshot.explain(b"/again").opaque is Opaque.YES


@pytest.mark.root
@pytest.mark.peer("fuse-overlayfs")
def test_what_fuse_overlayfs_wrote_in_a_user_namespace(tmp_path: Path) -> None:
    """Where it has no right to ``trusted.*``: ``user.fuseoverlayfs.opaque``."""
    lower, upper, _ = changed(tmp_path, wrapper=["unshare", "--user", "--map-root-user", "--mount"])
    assert os.getxattr(upper / "again", "user.fuseoverlayfs.opaque") == b"y"
    snapshot = opened(lower, upper)
    found = [line for line in lines(snapshot) if line not in ("M /again", "M /file")]
    assert found == [line for line in EXPECTED if line not in ("M /again", "M /file")]
    assert snapshot.explain(b"/again").opaque is Opaque.YES


@pytest.mark.root
@pytest.mark.peer("fuse-overlayfs")
def test_whiteouts_that_are_files(tmp_path: Path) -> None:
    """Written by hand, as this program makes devices wherever it may; it shows what we say."""
    lower = make(tmp_path / "lower", {**LOWER, "both": File(b"b"), ".opq": File(b"o")})
    files = {".wh.gone": File(), ".wh.both": File(), "both": File(b"B"), ".wh.never": File()}
    inner = {".wh.removed": File(), "added": File(b"a")}
    opaque = {".wh..wh..opq": File(), ".wh..opq": WHITEOUT, "n": File(b"n")}
    upper = make(tmp_path / "upper", {**files, "dir": inner, "again": opaque})
    (tmp_path / "work").mkdir()
    (tmp_path / "merged").mkdir()
    options = "lowerdir=lower,upperdir=upper,workdir=work"
    command = ["fuse-overlayfs", "-o", options, "merged"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60, stderr=subprocess.DEVNULL)
    try:
        shown, _ = list_tree(os.fsencode(tmp_path / "merged"))
    finally:
        unmount(os.fsencode(tmp_path / "merged"))
    assert {b"/gone", b"/both", b"/dir/removed", b"/again/x"} & set(shown) == set()
    snapshot = opened(lower, upper)
    assert lines(snapshot, skipped=True) == [
        "S /again",
        "A /again/n",
        "D /again/x",
        "D /both",
        "S /dir",
        "A /dir/added",
        "D /dir/removed",
        "D /gone",
        "S /never",
    ]
    text = "\n".join(explanation(snapshot.explain(b"/gone")))
    assert "a file .wh.NAME" in text
    inspection = snapshot.inspect(b"/gone")
    assert inspection.upper is not None
    assert inspection.upper.host_path.endswith(b"/upper/.wh.gone")
    assert inspection.upper.error is None


@pytest.mark.parametrize(
    ("value", "mode", "owner"),
    [
        (b"7:8:0604", stat.S_IFREG | 0o604, (7, 8)),
        (b"0:0:104755", stat.S_IFREG | 0o4755, (0, 0)),
        (b"1:2:0640:file", stat.S_IFREG | 0o640, (1, 2)),
        (b"1:2:0640:char-1-3", stat.S_IFCHR | 0o640, (1, 2)),
        (b"1:2:0640:block-8-1", stat.S_IFBLK | 0o640, (1, 2)),
        (b"1:2:0640:pipe", stat.S_IFIFO | 0o640, (1, 2)),
    ],
)
def test_owner_mode_and_type_from_an_attribute(
    tmp_path: Path, value: bytes, mode: int, owner: tuple[int, int]
) -> None:
    upper = make(tmp_path / "upper", {"f": File(b"", xattrs={OVERRIDE: value})})
    lower = make(tmp_path / "lower", {})
    snapshot = opened(lower, upper)
    verdict = snapshot.explain(b"/f")
    assert verdict.upper is not None
    assert (verdict.upper.stat.st_mode, verdict.upper.stat.st_uid, verdict.upper.stat.st_gid) == (
        mode,
        *owner,
    )
    assert entries(snapshot, tmp_path) == {b"/f": (oct(mode & 0o7777), *owner)}
    if stat.S_ISCHR(mode):
        assert verdict.upper.device == (1, 3)


@pytest.mark.parametrize(
    "value",
    [b"", b"garbage", b"1:2", b"1:2:9", b"1:2:0640:char", b"1:2:0640:what", b"1:2:0640:symlink"],
)
def test_an_attribute_that_says_nothing_clear_is_refused(tmp_path: Path, value: bytes) -> None:
    upper = make(tmp_path / "upper", {"f": File(b"", xattrs={OVERRIDE: value}), "g": File()})
    snapshot = opened(make(tmp_path / "lower", {}), upper)
    assert lines(snapshot) == ["S /f", "A /g"]
    with pytest.raises(ReadError, match="override_stat"):
        export_to_file(snapshot, os.fsencode(tmp_path / "layer.tar"), media_type=TAR)


def test_ordinary_directories_are_not_misread(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    upper = make(tmp_path / "upper", {".wh.gone": File(), "d": {".wh..wh..opq": File()}})
    lower = make(tmp_path / "lower", {"gone": File()})
    words = ("changes", upper, "--lower", lower)
    printed = whiteout(capfdbinary, *words).done().stdout
    assert printed == b"A /.wh.gone\nA /d\nA /d/.wh..wh..opq\n"
    printed = whiteout(capfdbinary, *words, "--fuse-overlayfs").done().stdout
    assert printed == b"A /d\nD /gone\n"


def test_owners_in_attributes_are_not_overlooked(tmp_path: Path) -> None:
    """The root of such a layer says so, as fuse-overlayfs itself wants it."""
    upper = make(tmp_path / "upper", Dir({"f": File()}, xattrs={OVERRIDE: b"0:0:0555"}))
    lower = make(tmp_path / "lower", {})
    snapshot = open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True)
    assert "--fuse-overlayfs" in snapshot.doubts[0]
    with pytest.raises(RefusedError, match="--fuse-overlayfs"):
        export_to_file(snapshot, os.fsencode(tmp_path / "layer.tar"), media_type=TAR)
    assert not opened(lower, upper).doubts or os.geteuid() != 0
