import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from support.overlay import overlay
from whiteout.demo import DemoSnapshot, build_demo, lessons_of, remove_demo
from whiteout.demorows import LESSONS, ROWS, Need
from whiteout.errors import RefusedError, UsageError, WhiteoutError
from whiteout.mounts import find_upperdir, mounts_from_json
from whiteout.opening import open_mounts, open_pair

ENGINE = str(Path(__file__).parent.parent / "engine")
Listing = dict[bytes, tuple[object, ...]]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty directory."""
    directory = tmp_path / "place"
    directory.mkdir()
    return directory


def listing(snapshot: DemoSnapshot) -> Listing:
    """All that a demo consists of, but its owners and what only root may read."""
    found: Listing = {}
    for layer in (*snapshot.lowerdirs, snapshot.upperdir):
        for parent, directories, files in os.walk(layer):
            for name in (b"", *directories, *files):
                path = os.path.join(parent, name)
                status = os.lstat(path)
                content: object = None
                if stat.S_ISLNK(status.st_mode):
                    content = os.readlink(path)
                elif stat.S_ISREG(status.st_mode) and os.access(path, os.R_OK):
                    content = Path(os.fsdecode(path)).read_bytes()
                attributes = tuple(sorted(os.listxattr(path, follow_symlinks=False)))
                found[os.path.relpath(path, snapshot.directory)] = (
                    status.st_mode,
                    status.st_mtime_ns,
                    status.st_nlink,
                    status.st_rdev,
                    status.st_size if not stat.S_ISDIR(status.st_mode) else 0,
                    content,
                    attributes,
                )
    return found


def test_two_builds_are_the_same(tmp_path: Path) -> None:
    first = listing(build_demo(str(tmp_path / "first")))
    old = os.umask(0o077)
    try:
        second = listing(build_demo(os.fsencode(tmp_path / "second")))
    finally:
        os.umask(old)
    assert first == second


def test_building_again_replaces_the_old_one(place: Path) -> None:
    first = listing(build_demo(str(place)))
    (place / "upper/extra").touch()
    assert listing(build_demo(str(place))) == first


def test_the_mounts_file_is_a_pair_for_the_overlay_differ(tmp_path: Path) -> None:
    snapshot = build_demo(str(tmp_path / "d"))
    pair = mounts_from_json(Path(os.fsdecode(snapshot.mounts_file)).read_bytes())
    assert pair == snapshot.mounts
    for original in (False, True):
        if snapshot.userxattr or not original:  # which does not know redirect_dir
            assert find_upperdir(pair.lower, pair.upper, original=original) == snapshot.upperdir


@pytest.mark.parametrize("as_user", [False, True])
def test_every_lesson_is_of_a_path_in_some_layer(tmp_path: Path, as_user: bool) -> None:
    built = build_demo(str(tmp_path / "d"), as_user=as_user)
    lessons = lessons_of(open_mounts(built.mounts))
    asked = {b"/" + row.path for row in ROWS if row.need is Need.UNREADABLE}
    missing = {*built.left_out, *asked}
    assert lessons == {path: text for path, text in LESSONS.items() if path not in missing}
    assert all(lesson.endswith(".") for lesson in lessons.values())
    if as_user:
        needy = {b"/" + row.path for row in ROWS if row.need is not None}
        assert needy == missing


def test_only_a_demo_teaches(tmp_path: Path) -> None:
    for name in ("upper", "lower"):
        (tmp_path / name).mkdir()
    pair = [os.fsencode(tmp_path / name) for name in ("upper", "lower")]
    assert lessons_of(open_pair(pair[0], pair[1:])) == {}


def test_removing_leaves_nothing(place: Path) -> None:
    build_demo(str(place / "d"))
    remove_demo(str(place / "d"))
    assert list(place.iterdir()) == []


def test_other_directories_are_left_alone(place: Path) -> None:
    (place / "upper").mkdir()
    (place / "mine").touch()
    with pytest.raises(UsageError, match="not empty"):
        build_demo(str(place))
    with pytest.raises(RefusedError):
        remove_demo(str(place))
    (place / "mounts.json").write_text(json.dumps({"demo": True}))
    with pytest.raises(UsageError, match="not empty"):
        build_demo(str(place))
    assert {path.name for path in place.iterdir()} == {"upper", "mine", "mounts.json"}


@pytest.mark.parametrize("name", ["a:b", "a,b", "a\\b"])
def test_names_that_options_cannot_hold(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="mount options"):
        build_demo(str(tmp_path / name))


def test_a_file_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "d").touch()
    with pytest.raises(WhiteoutError, match="not a directory"):
        build_demo(str(tmp_path / "d"))
    assert (tmp_path / "d").is_file()


def test_a_failure_leaves_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(95, "Operation not supported", "/secret\x1b")

    monkeypatch.setattr(os, "setxattr", refuse)
    with pytest.raises(WhiteoutError, match=r"no user\.\* extended attributes") as caught:
        build_demo(str(place / "d"))
    assert "secret" not in str(caught.value)
    assert list(place.iterdir()) == []


def test_without_devices_whiteouts_are_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mknod = os.mknod

    def refuse(path: bytes, mode: int = 0o600, device: int = 0) -> None:
        if stat.S_ISCHR(mode):
            raise PermissionError(1, "no")
        mknod(path, mode, device)

    monkeypatch.setattr(os, "mknod", refuse)
    snapshot = build_demo(str(tmp_path / "d"))
    assert not snapshot.whiteout_devices
    prefix = "user.overlay." if snapshot.userxattr else "trusted.overlay."
    upper = snapshot.upperdir
    whiteout = os.path.join(upper, b"deleted-file.txt")
    assert os.path.getsize(whiteout) == 0
    assert os.listxattr(whiteout) == [prefix + "whiteout"]
    assert os.getxattr(upper, prefix + "opaque") == b"x"
    assert os.getxattr(os.path.join(upper, b"opaque-directory"), prefix + "opaque") == b"y"
    assert not os.path.lexists(os.path.join(upper, b"opaque-with-a-whiteout/deleted-twice.txt"))


@pytest.mark.root
def test_an_ordinary_user_builds_the_same(tmp_path: Path, place: Path) -> None:
    place.chmod(0o777)
    for parent in (tmp_path, *tmp_path.parents):
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    build = (
        "import os; os.setgid(65534); os.setuid(65534)\n"
        "from whiteout.demo import build_demo, remove_demo\n"
        "build_demo({0!r} + '/gone'); remove_demo({0!r} + '/gone')\n"
        "build_demo({0!r} + '/d')"
    ).format(str(place))
    # The modules are imported before the user is changed, who may not be able to read them.
    code = "import shutil, json, whiteout.demo\n" + build
    environment = {**os.environ, "PYTHONPATH": ENGINE, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    mine = build_demo(str(tmp_path / "mine"), as_user=True)
    theirs = DemoSnapshot(
        os.fsencode(place / "d"),
        b"",
        mine.mounts,
        tuple(os.fsencode(place / "d" / name) for name in ("lower-2", "lower-1")),
        os.fsencode(place / "d/upper"),
        whiteout_devices=True,
        userxattr=True,
    )
    assert listing(theirs) == listing(mine)
    assert (place / "d/upper/etc").stat().st_uid == 65534
    assert [path.name for path in place.iterdir()] == ["d"]


@pytest.mark.root
@pytest.mark.parametrize("as_user", [False, True])
def test_the_kernel_shows_what_the_lessons_say(tmp_path: Path, as_user: bool) -> None:
    snapshot = build_demo(str(tmp_path / "d"), as_user=as_user)
    assert snapshot.userxattr is as_user
    options = [*snapshot.mounts.upper[0].options, *([] if as_user else [b"metacopy=on"])]
    with overlay(tmp_path / "merged", options) as merged:
        if not as_user:
            data = merged / "metacopy-only-mode-changed.txt"
            assert data.read_text() == "the data is in a lower layer\n"
            assert stat.S_IMODE(data.stat().st_mode) == 0o600
            renamed = {path.name for path in (merged / "redirect-new-name").iterdir()}
            assert renamed == {"added.txt", "came-along.txt"}
            assert not (merged / "redirect-old-name").exists()
        assert not (merged / "whiteout-attributes/deleted-by-attribute.txt").exists()
        top = {path.name for path in merged.iterdir()}
        assert not {"deleted-file.txt", "deleted-directory", "whiteout-of-nothing.txt"} & top
        assert "deleted-unreadable-directory" not in top
        assert {path.name for path in (merged / "opaque-directory").iterdir()} == {
            "added.txt",
            "linked-again.txt",
            "linked-new-name.txt",
            "re-added-changed.txt",
            "re-added-the-same.txt",
        }
        assert not (merged / "opaque-with-a-whiteout/deleted-twice.txt").exists()
        assert (merged / "replaced-by-a-file").is_file()
        assert [p.name for p in (merged / "file-became-directory").iterdir()] == ["file.txt"]
        inside = [path.name for path in (merged / "symlink-became-directory").iterdir()]
        assert inside == ["modified-content.conf"]
        assert (merged / "touched-directory/untouched.txt").is_file()
        assert (merged / "etc/untouched.conf").is_file()
        assert (merged / "back-to-the-oldest-version.txt").read_text() == "version 1\n"
        assert len(list((merged / "odd-names").iterdir())) == 6
    remove_demo(str(tmp_path / "d"))  # the kernel left a directory of mode 0 in the work directory


def test_an_unreadable_entry_is_there_when_it_is_asked_for(tmp_path: Path) -> None:
    unreadable = b"/unreadable-entry.txt"
    for wanted in (False, True):
        built = build_demo(str(tmp_path / "d"), unreadable=wanted)
        assert os.path.lexists(built.upperdir + unreadable) is wanted
        snapshot = open_mounts(built.mounts)
        errors = [v.path for v in snapshot.changes(skipped=True) if v.error is not None]
        if built.userxattr and os.geteuid() == 0:
            continue  # root may read what has no mode
        assert errors == ([unreadable] if wanted else [])


def test_every_directory_of_the_table_comes_before_its_entries() -> None:
    for layer in (b"lower-1", b"lower-2", b"upper"):
        made = {b""}
        for row in ROWS:
            if row.in_layer(layer) is not None:
                assert row.path.rpartition(b"/")[0] in made
                made.add(row.path)
