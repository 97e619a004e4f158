"""Where Whiteout answers otherwise than BuildKit: each row of ``docs/differences.md`` has a test.

The layers here carry ``user.overlay.*`` marks where possible, so that any user can run the test.
"""

from __future__ import annotations

import errno
import io
import os
import tarfile
from pathlib import Path

import pytest

from support.overlay import overlay, stack_options
from support.trees import WHITEOUT, Device, Dir, File, Symlink, lines, make
from whiteout import xattrs
from whiteout.differ import Rules
from whiteout.errors import NotFound, RefusedError
from whiteout.export import export_to_file
from whiteout.mediatypes import TAR
from whiteout.mountinfo import find_mount
from whiteout.opening import open_mount, open_pair
from whiteout.snapshot import Snapshot
from whiteout.verdicts import Opaque, Reason

OPAQUE = {"user.overlay.opaque": b"y"}


def pair(tmp_path: Path, upper: object, *lowers: object, userxattr: bool = True) -> Snapshot:
    directories = [make(tmp_path / f"lower-{number}", tree) for number, tree in enumerate(lowers)]
    return open_pair(
        os.fsencode(make(tmp_path / "upper", upper)),
        [os.fsencode(directory) for directory in directories],
        userxattr=userxattr,
    )


def layer(snapshot: Snapshot, directory: Path) -> dict[str, bytes | None]:
    """The entries of the exported layer: name and content (None for what is no file)."""
    path = directory / "layer.tar"
    export_to_file(snapshot, os.fsencode(path), media_type=TAR)
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as archive:
        found: dict[str, bytes | None] = {}
        for entry in archive:
            file = archive.extractfile(entry) if entry.isreg() else None
            found[entry.name] = file.read() if file is not None else None
    return found


def test_symlinks_of_the_base_are_not_followed(tmp_path: Path) -> None:
    outside = make(tmp_path / "outside", {"secret": File(b"s")})
    snapshot = pair(
        tmp_path,
        {"conf": {"secret": WHITEOUT, "added": File()}},
        {"conf": Symlink(os.fsencode(outside))},
    )
    assert lines(snapshot) == ["M /conf", "A /conf/added"]
    assert snapshot.explain(b"/conf/secret").reason is Reason.WHITEOUT_OF_NOTHING


def test_an_empty_capability_grants_nothing(tmp_path: Path) -> None:
    snapshot = pair(tmp_path, {"f": File(b"new")}, {"f": File(b"old!")})
    path = tmp_path / "upper" / "f"
    try:
        os.setxattr(path, xattrs.CAPABILITY, b"")
        os.getxattr(path, xattrs.CAPABILITY)
    except OSError as error:
        if error.errno != errno.EINVAL:
            pytest.skip("this system does not let an empty capability be set")
    assert lines(snapshot) == ["M /f"]
    assert layer(snapshot, tmp_path) == {"f": b"new"}


def test_whiteouts_inside_an_opaque_directory_are_hidden(tmp_path: Path) -> None:
    snapshot = pair(
        tmp_path,
        {"d": Dir({"gone": WHITEOUT, "never": WHITEOUT, "new": File(b"n")}, xattrs=OPAQUE)},
        {"d": {"gone": File(), "hidden": File()}},
    )
    assert lines(snapshot) == ["D /d/gone", "D /d/hidden", "A /d/new"]
    assert snapshot.explain(b"/d/never").reason is Reason.WHITEOUT_OF_NOTHING
    assert set(layer(snapshot, tmp_path)) == {"d", "d/.wh.gone", "d/.wh.hidden", "d/new"}


def test_a_whiteout_below_a_file_of_the_base_deletes_nothing(tmp_path: Path) -> None:
    snapshot = pair(tmp_path, {"t": {"x": WHITEOUT, "y": File()}}, {"t": File(b"file")})
    assert lines(snapshot, skipped=True) == ["M /t", "S /t/x", "A /t/y"]


def test_an_opaque_directory_below_a_file_of_the_base_hides_nothing(tmp_path: Path) -> None:
    snapshot = pair(tmp_path, {"t": {"d": Dir({"y": File()}, xattrs=OPAQUE)}}, {"t": File(b"f")})
    assert lines(snapshot) == ["M /t", "A /t/d", "A /t/d/y"]
    assert snapshot.explain(b"/t/d").opaque is Opaque.WITHOUT_BASE


def test_a_whiteout_in_the_form_of_an_attribute_deletes(tmp_path: Path) -> None:
    mark = File(b"", xattrs={"user.overlay.whiteout": b""})
    directory = Dir({"gone": mark, "never": mark}, xattrs={"user.overlay.opaque": b"x"})
    snapshot = pair(tmp_path, {"d": directory}, {"d": {"gone": File(b"x"), "kept": File(b"k")}})
    assert lines(snapshot) == ["D /d/gone"]
    assert lines(snapshot, skipped=True) == ["S /d", "D /d/gone", "S /d/never"]


@pytest.mark.root
def test_a_renamed_directory_is_complete(tmp_path: Path) -> None:
    lower = make(tmp_path / "lower", {"old": {"deep": {"f": File(b"1"), "g": File(b"2")}}})
    with _mounted(tmp_path, [lower], b"redirect_dir=on") as merged:
        (merged / "old").rename(merged / "new")
        (merged / "new" / "deep" / "f").unlink()
        snapshot = open_mount(_found(merged))
        assert lines(snapshot) == [
            "A /new",
            "A /new/deep",
            "A /new/deep/g",
            "D /old",
        ]
        assert snapshot.explain(b"/new").redirect == b"old"
        assert layer(snapshot, tmp_path)["new/deep/g"] == b"2"


@pytest.mark.root
def test_a_metacopy_takes_its_data_from_below(tmp_path: Path) -> None:
    lower = make(tmp_path / "lower", {"f": File(b"the data"), "d": {"g": File(b"moved")}})
    with _mounted(tmp_path, [lower], b"metacopy=on,redirect_dir=on") as merged:
        (merged / "f").chmod(0o600)
        (merged / "d" / "g").rename(merged / "h")
        snapshot = open_mount(_found(merged))
        assert os.getxattr(tmp_path / "upper" / "f", "trusted.overlay.metacopy") is not None
        assert lines(snapshot) == ["D /d/g", "M /f", "A /h"]
        assert snapshot.explain(b"/f").metacopy
        entries = layer(snapshot, tmp_path)
    assert entries["f"] == b"the data"
    assert entries["h"] == b"moved"


@pytest.mark.root
def test_links_are_told_apart_by_device_and_inode(tmp_path: Path) -> None:
    """Two files with one inode number, each with two names, in lower layers on two filesystems."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    lowers = [make(tmp_path / name, {}) for name in ("a", "b")]
    renamed = {
        name: Dir({}, xattrs={"trusted.overlay.redirect": b"/" + name.encode()}) for name in "ab"
    }
    upper = make(
        tmp_path / "upper", {f"new-{name}": directory for name, directory in renamed.items()}
    )
    mounted = []
    try:
        for lower in lowers:
            assert libc.mount(b"tmpfs", os.fsencode(lower), b"tmpfs", 0, b"") == 0
            mounted.append(lower)
            make(lower / lower.name, {"one": File(lower.name.encode())})
            os.link(lower / lower.name / "one", lower / lower.name / "two")
        one, other = (os.stat(lower / lower.name / "one") for lower in lowers)
        assert one.st_ino == other.st_ino
        snapshot = open_pair(os.fsencode(upper), [os.fsencode(lower) for lower in lowers])
        entries = layer(snapshot, tmp_path)
    finally:
        for point in mounted:
            libc.umount2(os.fsencode(point), 2)
    assert (entries["new-a/one"], entries["new-b/one"]) == (b"a", b"b")


def test_a_failed_export_leaves_no_archive(tmp_path: Path) -> None:
    from whiteout.errors import SnapshotChanged
    from whiteout.export import Progress

    snapshot = pair(tmp_path, {"big": File(b"x" * 3_000_000), "c": File(b"c" * 10)}, {})
    target = tmp_path / "layer.tar"

    def shrink(_: Progress) -> None:
        os.truncate(tmp_path / "upper" / "big", 10)

    with pytest.raises(SnapshotChanged, match="shrank"):
        export_to_file(snapshot, os.fsencode(target), media_type=TAR, progress=shrink)
    assert not target.exists()
    assert sorted(os.listdir(tmp_path)) == ["home", "lower-0", "upper"]


def test_a_device_of_the_lowest_layer_is_a_device(tmp_path: Path) -> None:
    """Not a difference: a single lower directory is bound as it is, so its 0:0 device counts."""
    snapshot = pair(tmp_path, {"x": WHITEOUT}, {"x": Device(0, 0)})
    assert lines(snapshot) == ["D /x"]


def _mounted(tmp_path: Path, lowers: list[Path], options: bytes):  # type: ignore[no-untyped-def]
    upper, work = tmp_path / "upper", tmp_path / "work"
    upper.mkdir()
    work.mkdir()
    stack = stack_options(
        [os.fsencode(path) for path in lowers], os.fsencode(upper), os.fsencode(work)
    )
    return overlay(tmp_path / "merged", [options, *stack])


def _found(merged: Path):  # type: ignore[no-untyped-def]
    mount = find_mount(os.fsencode(merged))
    assert mount is not None
    return mount


def test_links_into_an_opaque_directory_are_kept(tmp_path: Path) -> None:
    upper = make(tmp_path / "upper", {"d": Dir({"in": File(b"data")}, xattrs=OPAQUE)})
    os.link(upper / "d" / "in", upper / "out")
    os.utime(upper / "d", ns=(1, 1))
    lower = make(tmp_path / "lower", {"d": {"old": File()}})
    snapshot = open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True)
    target = tmp_path / "layer.tar"
    export_to_file(snapshot, os.fsencode(target), media_type=TAR)
    with tarfile.open(target) as archive:
        assert [(entry.name, entry.linkname) for entry in archive if not entry.isdir()] == [
            ("d/in", ""),
            ("d/.wh.old", ""),
            ("out", "d/in"),
        ]


@pytest.mark.parametrize("mark", ["redirect", "whiteout"])
def test_the_original_rules_do_not_export_what_they_lose(tmp_path: Path, mark: str) -> None:
    if mark == "redirect":
        upper: dict[str, object] = {"new": Dir({}, xattrs={"trusted.overlay.redirect": b"old"})}
    else:
        upper = {"old": File(b"", xattrs={"user.overlay.whiteout": b""})}
    try:
        snapshot = pair(tmp_path, upper, {"old": {}}, userxattr=mark == "whiteout")
    except PermissionError:
        pytest.skip("needs the right to set trusted.* attributes")
    snapshot = snapshot._replace(rules=Rules.ORIGINAL, doubts=())
    assert lines(snapshot)
    with pytest.raises(RefusedError, match="original rules"):
        export_to_file(snapshot, os.fsencode(tmp_path / "layer.tar"), media_type=TAR)
    assert not (tmp_path / "layer.tar").exists()


def test_paths_cannot_climb_out_of_a_snapshot(tmp_path: Path) -> None:
    snapshot = pair(tmp_path, {"d": {}}, {})
    for path in (b"/..", b"/d/../d", b"/./d", b"/../../etc/passwd", b"/nul\0"):
        with pytest.raises(NotFound):
            snapshot.explain(path)
        with pytest.raises(NotFound):
            list(snapshot.children(path))
