"""Every feature of overlayfs by itself, against the kernel: the rows of docs/features.md."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.commands import PROJECT
from support.detached import attached_overlay, detached_overlay
from support.overlay import overlay, stack_options
from support.trees import Dir, File, lines, make
from support.views import comparable, kernel_view, our_view
from whiteout import layers as layers_module
from whiteout import verity
from whiteout.display import display_path
from whiteout.errors import ReadError, RefusedError
from whiteout.export import export_to_file
from whiteout.following import Following
from whiteout.layers import Layer, Marks
from whiteout.mediatypes import TAR
from whiteout.mountinfo import find_mount
from whiteout.opening import open_mount, open_pair
from whiteout.snapshot import Snapshot
from whiteout.sources.mounts import record_of_mount
from whiteout.verdicts import Opaque
from whiteout.verity import Verity
from whiteout.wording import explanation
from whiteout_tui.main import main


def content_of(snapshot: Snapshot, directory: Path) -> dict[str, bytes | None]:
    """The entries of the layer with their content.

    No record of it may be a mark of overlayfs, and every mark must be explained.
    """
    for verdict in snapshot.changes(skipped=True):
        told = "\n".join(explanation(verdict))
        assert (verdict.redirect is None) or display_path(verdict.redirect) in told
        assert ("(metacopy)" in told) is verdict.metacopy
        assert ("It is opaque" in told) is (verdict.opaque is Opaque.YES)
        assert ("It is a whiteout" in told) is verdict.whiteout
    target = directory / "layer.tar"
    export_to_file(snapshot, os.fsencode(target), media_type=TAR)
    found: dict[str, bytes | None] = {}
    with tarfile.open(target) as archive:
        for entry in archive:
            assert not [record for record in entry.pax_headers if "overlay" in record]
            assert not entry.islnk(), entry.name
            file = archive.extractfile(entry) if entry.isreg() else None
            found[entry.name] = file.read() if file is not None else None
    return found


def agree(
    layers: Sequence[Path],
    options: Sequence[tuple[bytes, bytes | None]] = (),
    data: Sequence[Path] = (),
) -> set[bytes]:
    """Our view of *layers* is the kernel's; gives the paths that are shown."""
    user = (b"userxattr", None) in options
    marks = Marks.USER if user else Marks.TRUSTED
    prefix = b"user.overlay." if user else b"trusted.overlay."
    paths = [os.fsencode(path) for path in layers]
    data_paths = [os.fsencode(path) for path in data]
    ours = our_view(
        [Layer(path, marks) for path in paths],
        data=[Layer(path, Marks.PLAIN) for path in data_paths],
        following=Following(not user, not user),
        prefix=prefix,
    )
    with detached_overlay(paths, data=data_paths, options=options) as merged:
        expected, found = comparable(kernel_view(merged, ours), ours)
    assert found == expected
    return set(found)


FOLLOW: list[tuple[bytes, bytes | None]] = [(b"redirect_dir", b"on"), (b"metacopy", b"on")]


def mounted(tmp_path: Path, number: int, lowers: Sequence[Path], options: str):  # type: ignore[no-untyped-def]
    upper, work = tmp_path / f"upper{number}", tmp_path / f"work{number}"
    upper.mkdir()
    work.mkdir()
    stack = stack_options([os.fsencode(p) for p in lowers], os.fsencode(upper), os.fsencode(work))
    stack = [option for option in stack if option != b"index=off"]
    return overlay(tmp_path / f"merged{number}", [options.encode(), *stack])


def opened(merged: Path) -> Snapshot:
    mount = find_mount(os.fsencode(merged))
    assert mount is not None
    return open_mount(mount)


@pytest.mark.root
def test_attribute_whiteouts(tmp_path: Path) -> None:
    mark = File(b"", xattrs={"trusted.overlay.whiteout": b""})
    directory = Dir({"gone": mark}, xattrs={"trusted.overlay.opaque": b"x"})
    upper = make(tmp_path / "upper", {"d": directory})
    lower = make(tmp_path / "lower", {"d": {"gone": File(b"x"), "kept": File(b"k")}})
    assert agree([upper, lower]) == {b"/d", b"/d/kept"}
    snapshot = open_pair(os.fsencode(upper), [os.fsencode(lower)])
    assert lines(snapshot) == ["D /d/gone"]
    assert set(content_of(snapshot, tmp_path)) == {"d", "d/.wh.gone"}


@pytest.mark.root
def test_a_chain_of_renames(tmp_path: Path) -> None:
    lower = make(tmp_path / "lower", {"a": {"b": {"f": File(b"f")}}, "p": {}})
    options = "redirect_dir=on"
    with mounted(tmp_path, 1, [lower], options) as merged:
        (merged / "a").rename(merged / "c")
        (merged / "c" / "b").rename(merged / "p" / "q")
    below = [tmp_path / "upper1", lower]
    with mounted(tmp_path, 2, below, options) as merged:
        (merged / "p").rename(merged / "r")
        snapshot = opened(merged)
        assert lines(snapshot) == ["D /p", "A /r", "A /r/q", "A /r/q/f"]
        assert content_of(snapshot, tmp_path)["r/q/f"] == b"f"
    assert b"/r/q/f" in agree([tmp_path / "upper2", *below], FOLLOW)


@pytest.mark.root
def test_metacopy_through_several_layers(tmp_path: Path) -> None:
    lower = make(tmp_path / "lower", {"f": File(b"the data"), "d": {}})
    options = "redirect_dir=on,metacopy=on"
    below = [lower]
    for number, mode in ((1, 0o600), (2, 0o640)):
        with mounted(tmp_path, number, below, options) as merged:
            next(merged.glob("**/f*")).chmod(mode)
            next(merged.glob("**/f*")).rename(merged / "d" / f"f{number}")
        below.insert(0, tmp_path / f"upper{number}")
    with mounted(tmp_path, 3, below, options) as merged:
        (merged / "d" / "f2").chmod(0o644)
        snapshot = opened(merged)
        assert lines(snapshot) == ["M /d/f2"]
        assert content_of(snapshot, tmp_path)["d/f2"] == b"the data"
    assert b"/d/f2" in agree([tmp_path / "upper3", *below], FOLLOW)


@pytest.mark.root
@pytest.mark.parametrize("feature", ["redirect_dir", "metacopy"])
def test_a_mount_that_does_not_follow(tmp_path: Path, feature: str) -> None:
    lower = make(tmp_path / "lower", {"d": {"x": File(b"x")}, "f": File(b"data")})
    with mounted(tmp_path, 1, [lower], "redirect_dir=on,metacopy=on") as merged:
        if feature == "redirect_dir":
            (merged / "d").rename(merged / "e")
        else:
            (merged / "f").chmod(0o600)
    name = "e" if feature == "redirect_dir" else "f"
    off = "redirect_dir=nofollow,metacopy=off"
    (tmp_path / "work2").mkdir()
    upper = tmp_path / "upper1"
    stack = stack_options([os.fsencode(lower)], os.fsencode(upper), os.fsencode(tmp_path / "work2"))
    with overlay(tmp_path / "merged2", [off.encode(), *stack]) as merged:
        with pytest.raises(PermissionError):
            (merged / name).stat()
        snapshot = opened(merged)
        verdicts = {verdict.path: verdict for verdict in snapshot.changes()}
        error = verdicts[b"/" + name.encode()].error
        assert error is not None and feature in error
        with pytest.raises(ReadError, match="not followed by this mount"):
            export_to_file(snapshot, os.fsencode(tmp_path / "layer.tar"), media_type=TAR)


@pytest.mark.root
def test_data_only_layers(tmp_path: Path) -> None:
    data = make(tmp_path / "data", {"store": {"1": File(b"stored")}})
    marks = {"trusted.overlay.metacopy": b"", "trusted.overlay.redirect": b"/store/1"}
    lower = make(tmp_path / "lower", {"f": File(bytes(6), xattrs=marks)})
    assert agree([lower, make(tmp_path / "l2", {})], FOLLOW, [data]) == {b"/f"}
    upper, work = make(tmp_path / "upper", {}), make(tmp_path / "work", {})
    options = b"redirect_dir=on,metacopy=on,lowerdir=%b::%b,upperdir=%b,workdir=%b" % tuple(
        map(os.fsencode, (lower, data, upper, work))
    )
    with overlay(tmp_path / "merged", [options]) as merged:
        (merged / "f").chmod(0o600)
        (merged / "f").rename(merged / "g")
        snapshot = opened(merged)
        assert lines(snapshot) == ["D /f", "A /g"]
        assert content_of(snapshot, tmp_path) == {".wh.f": b"", "g": b"stored"}


@pytest.mark.root
@pytest.mark.parametrize(
    "redirect", [b"", b"a/b", b"/", b"//a", b"/a/", b".", b"..", b"/a/../b", b"n" * 300]
)
def test_a_redirect_that_is_malformed(tmp_path: Path, redirect: bytes) -> None:
    """A name that is too long is none of these: it is found nowhere, and hides what is below."""
    mark = Dir({"new": File(b"n")}, xattrs={"trusted.overlay.redirect": redirect})
    upper = make(tmp_path / "upper", {"d": mark})
    lower = make(tmp_path / "lower", {"d": {"old": File(b"o")}, "a": {"b": {"x": File(b"x")}}})
    assert b"/d/old" not in agree([upper, lower], FOLLOW)
    snapshot = open_pair(os.fsencode(upper), [os.fsencode(lower)])
    if len(redirect) > 255:
        assert set(content_of(snapshot, tmp_path)) == {"d", "d/.wh.old", "d/new"}
        return
    with pytest.raises(ReadError, match="malformed overlay redirect"):
        content_of(snapshot, tmp_path)


@pytest.mark.root
@pytest.mark.parametrize("option", ["xino=on", "uuid=on", "uuid=null", "override_creds"])
def test_options_that_change_nothing_of_this(tmp_path: Path, option: str) -> None:
    lower = make(tmp_path / "lower", {"d": {"f": File(b"f"), "g": File(b"g")}})
    with mounted(tmp_path, 1, [lower], option) as merged:
        (merged / "d" / "f").write_bytes(b"changed")
        snapshot = opened(merged)
        assert snapshot.doubts == ()
        assert content_of(snapshot, tmp_path) == {"d": None, "d/f": b"changed"}


@pytest.mark.root
def test_a_mount_of_lower_layers_alone(tmp_path: Path) -> None:
    lower = make(tmp_path / "lower", {"d": {"old": File(b"o")}})
    upper = make(tmp_path / "upper", {"d": {"new": File(b"n")}})
    with overlay(tmp_path / "merged", stack_options([os.fsencode(p) for p in (upper, lower)])):
        snapshot = opened(tmp_path / "merged")
        assert lines(snapshot) == ["A /d/new"]
        assert content_of(snapshot, tmp_path) == {"d": None, "d/new": b"n"}


def metacopy_layers(tmp_path: Path, mark: bytes) -> tuple[Path, Path]:
    """A file whose metadata lie above its data, with *mark* as the value of its metacopy mark."""
    above = File(bytes(4), 0o600, xattrs={"trusted.overlay.metacopy": mark})
    return make(tmp_path / "upper", {"f": above}), make(tmp_path / "lower", {"f": File(b"data")})


#: ``struct ovl_metacopy``: version, length, flags, algorithm SHA-256, and a digest.
DIGEST = bytes([0, 36, 0, 1]) + bytes(range(32))


@pytest.mark.root
@pytest.mark.parametrize("mark", [b"", bytes([0, 4, 0, 0]), DIGEST, b"more than a header"])
def test_a_metacopy_mark_with_a_digest(tmp_path: Path, mark: bytes) -> None:
    """Where the mount checks no digests, whatever is behind the mark counts for nothing."""
    upper, lower = metacopy_layers(tmp_path, mark)
    assert agree([upper, lower], FOLLOW) == {b"/f"}
    snapshot = open_pair(os.fsencode(upper), [os.fsencode(lower)])
    assert content_of(snapshot, tmp_path) == {"f": b"data"}


@pytest.mark.root
@pytest.mark.parametrize("mark", [b"y", b"xyz"])
def test_a_metacopy_mark_that_is_malformed(tmp_path: Path, mark: bytes) -> None:
    upper, lower = metacopy_layers(tmp_path, mark)
    assert agree([upper, lower], FOLLOW) == {b"/f"}  # both cannot show it
    snapshot = open_pair(os.fsencode(upper), [os.fsencode(lower)])
    with pytest.raises(ReadError, match="malformed metacopy mark"):
        content_of(snapshot, tmp_path)


@pytest.mark.root
@pytest.mark.parametrize(
    ("mode", "mark", "words"),
    [
        ("on", b"", None),
        ("on", DIGEST, "does not have"),
        ("on", bytes([1, 36, 0, 1]) + bytes(32), "malformed"),
        ("require", b"", "no fs-verity digest"),
        ("require", DIGEST, "does not have"),
        ("off", DIGEST, None),
    ],
)
def test_a_mount_that_checks_digests(
    tmp_path: Path, mode: str, mark: bytes, words: str | None
) -> None:
    upper, lower = metacopy_layers(tmp_path, mark)
    work = make(tmp_path / "work", {})
    stack = stack_options([os.fsencode(lower)], os.fsencode(upper), os.fsencode(work))
    options = f"redirect_dir=on,metacopy=on,verity={mode}".encode()
    with overlay(tmp_path / "merged", [options, *stack]) as merged:
        snapshot = opened(merged)
        if words is None:
            assert (merged / "f").read_bytes() == b"data"
            assert content_of(snapshot, tmp_path) == {"f": b"data"}
            return
        with pytest.raises(OSError, match="Input/output"):
            (merged / "f").read_bytes()
        with pytest.raises(ReadError, match=rf"{words}.*verity={mode}"):
            content_of(snapshot, tmp_path)


def test_the_digest_that_a_file_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer of the kernel is made up: few kernels and filesystems have fs-verity."""

    def measured(descriptor: int, request: int, answer: bytearray, mutate: bool) -> int:
        assert answer[:4] == b"\0\0\x40\0"
        answer[:36] = b"\1\0\x20\0" + bytes(range(32))
        return 0

    monkeypatch.setattr(verity.fcntl, "ioctl", measured)
    for mode in (Verity.ON, Verity.REQUIRE):
        assert verity.problem_of(DIGEST, -1, mode) is None
        problem = verity.problem_of(DIGEST[:-1] + b"x", -1, mode)
        assert problem is not None and "does not have" in problem


@pytest.mark.root
def test_user_marks(tmp_path: Path) -> None:
    lower = make(tmp_path / "lower", {"d": {"old": File(b"o")}, "f": File(b"f")})
    opaque = Dir({"new": File(b"n")}, xattrs={"user.overlay.opaque": b"y"})
    upper = make(tmp_path / "upper", {"d": opaque})
    assert agree([upper, lower], [(b"userxattr", None)]) == {b"/d", b"/d/new", b"/f"}
    snapshot = open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True)
    assert set(content_of(snapshot, tmp_path)) == {"d", "d/.wh.old", "d/new"}


@pytest.mark.root
def test_marks_of_a_nested_overlay_are_none_here(tmp_path: Path) -> None:
    lower = make(tmp_path / "lower", {"d": {"below": File(b"b")}})
    with mounted(tmp_path, 1, [lower], "redirect_dir=on") as merged:
        os.setxattr(merged / "d", "trusted.overlay.opaque", b"y")
        assert sorted(os.listdir(merged / "d")) == ["below"]
        escaped = "trusted.overlay.overlay.opaque"
        assert os.getxattr(tmp_path / "upper1" / "d", escaped) == b"y"
        snapshot = opened(merged)
        assert lines(snapshot) == []
        inspection = snapshot.inspect(b"/d")
        assert inspection.upper is not None
        assert escaped.encode() in [attribute.name for attribute in inspection.upper.xattrs]
    assert agree([tmp_path / "upper1", lower]) == {b"/d", b"/d/below"}


@pytest.mark.root
def test_bookkeeping_marks_are_left_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from whiteout.attributes import attribute_meaning

    lower = make(tmp_path / "lower", {"d": {"f": File(b"f"), "g": File(b"g")}})
    with mounted(tmp_path, 1, [lower], "redirect_dir=on") as merged:
        (merged / "d" / "f").write_bytes(b"changed")
        snapshot = opened(merged)
        upper = tmp_path / "upper1"
        assert "trusted.overlay.origin" in os.listxattr(upper / "d" / "f")
        assert "trusted.overlay.impure" in os.listxattr(upper / "d")
        os.setxattr(upper / "d" / "f", "trusted.overlay.protattr", b"i")
        assert content_of(snapshot, tmp_path) == {"d": None, "d/f": b"changed"}
        assert main(["explain", str(merged), "/d/f"]) == 0
        told = capfd.readouterr().out
        assert "Attributes of overlayfs on the entry, none of which is in the layer:" in told
        assert "  trusted.overlay.origin = file handle " in told
        assert "  trusted.overlay.protattr = i (flags such as immutable" in told
    for name in (b"origin", b"impure", b"nlink", b"uuid", b"protattr", b"upper"):
        assert attribute_meaning(b"trusted.overlay." + name).startswith("overlayfs: ")


@pytest.mark.root
def test_an_opaque_mark_that_only_buildkit_takes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lower = make(tmp_path / "lower", {"d": {"old": File(b"o")}})
    mark = Dir({"new": File(b"n")}, xattrs={"user.overlay.opaque": b"y"})
    upper, work = make(tmp_path / "upper", {"d": mark}), make(tmp_path / "work", {})
    stack = stack_options([os.fsencode(lower)], os.fsencode(upper), os.fsencode(work))
    with overlay(tmp_path / "merged", stack) as merged:
        assert sorted(os.listdir(merged / "d")) == ["new", "old"]
        assert lines(opened(merged)) == ["A /d/new", "D /d/old"]
        assert main(["explain", str(merged), "/d"]) == 0
        assert "the kernel only with the option userxattr" in capfd.readouterr().out


@pytest.mark.root
@pytest.mark.peer("mkfs.ext4", "chattr")
def test_flags_of_the_filesystem(tmp_path: Path) -> None:
    """Immutable and append-only files, made through the mount and in the layer itself."""
    image, disk = tmp_path / "image", tmp_path / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True, timeout=60)
    subprocess.run(["mount", "-o", "loop", image, disk], check=True, timeout=60)
    try:
        lower = make(disk / "lower", {"f": File(b"f"), "log": File(b"one"), "d": {"x": File(b"x")}})
        with mounted(disk, 1, [lower], "redirect_dir=on") as merged:
            (merged / "f").write_bytes(b"changed")
            flags = {"f": "+i", "log": "+a", "d": "+i"}
            for name, flag in flags.items():
                subprocess.run(["chattr", flag, merged / name], check=True, timeout=60)
            upper = disk / "upper1"
            assert os.getxattr(upper / "f", "trusted.overlay.protattr").startswith(b"i")
            snapshot = opened(merged)
            # What only got flags was copied up, and its time and content are those of the base.
            assert lines(snapshot) == ["M /f"]
            assert content_of(snapshot, tmp_path) == {"f": b"changed"}
            for name, flag in flags.items():
                subprocess.run(
                    ["chattr", flag.replace("+", "-"), merged / name], check=True, timeout=60
                )
        for flag in "ia":
            subprocess.run(["chattr", f"+{flag}", upper / "f", upper], check=True, timeout=60)
            direct = open_pair(os.fsencode(upper), [os.fsencode(lower)])
            assert content_of(direct, tmp_path) == {"f": b"changed"}
            subprocess.run(["chattr", f"-{flag}", upper / "f", upper], check=True, timeout=60)
    finally:
        subprocess.run(["umount", "-l", disk], check=True, timeout=60)


@pytest.mark.root
def test_a_mount_on_a_mount(tmp_path: Path) -> None:
    """The layers of the inner overlay lie in the outer one, which escapes its marks."""
    with mounted(tmp_path, 1, [make(tmp_path / "lower", {"x": {}})], "redirect_dir=on") as outer:
        make(outer / "bottom", {"d": {"old": File(b"o")}, "r": {"f": File(b"f")}})
        top = make(
            outer / "top",
            {
                "d": Dir({"new": File(b"n")}, xattrs={"trusted.overlay.opaque": b"y"}),
                "moved": Dir({}, xattrs={"trusted.overlay.redirect": b"r"}),
            },
        )
        escaped = tmp_path / "upper1/top/d"
        assert os.getxattr(escaped, "trusted.overlay.overlay.opaque") == b"y"
        stack = stack_options([os.fsencode(top), os.fsencode(outer / "bottom")])
        with overlay(tmp_path / "inner", [b"redirect_dir=follow", *stack]) as inner:
            assert sorted(os.listdir(inner / "d")) == ["new"]
            assert sorted(os.listdir(inner / "moved")) == ["f"]
            snapshot = opened(inner)
            assert lines(snapshot) == ["A /d/new", "D /d/old", "A /moved", "A /moved/f"]
            layer = content_of(snapshot, tmp_path)
            assert (layer["d/new"], layer["moved/f"]) == (b"n", b"f")
        # To the outer one they are attributes of directories that are new, and no marks.
        outside = lines(opened(outer))
        assert "A /top/moved" in outside
        assert "A /top/moved/f" not in outside


@pytest.mark.root
def test_layers_and_data_layers_given_one_by_one(tmp_path: Path) -> None:
    """``lowerdir+=`` and ``datadir+=``, whose values the table of mounts shows as they are."""
    marks = {"trusted.overlay.metacopy": b"", "trusted.overlay.redirect": b"/store/1"}
    data = make(tmp_path / "da:ta,", {"store": {"1": File(b"stored")}})
    names = ("lo:w er", "b\\c")
    lowers = [
        make(tmp_path / names[0], {"f": File(bytes(6), xattrs=marks)}),
        make(tmp_path / names[1], {"g": File(b"g")}),
    ]
    settings = [(b"lowerdir+", os.fsencode(path)) for path in lowers]
    settings += [(b"datadir+", os.fsencode(data)), (b"metacopy", b"on")]
    with attached_overlay(tmp_path / "merged", settings) as merged:
        assert (merged / "f").read_bytes() == b"stored"
        mount = find_mount(os.fsencode(merged))
        assert mount is not None
        assert mount.options.lowerdirs == tuple(map(os.fsencode, lowers))
        snapshot = opened(merged)
        assert [layer.path for layer in snapshot.data_layers] == [os.fsencode(data)]
        assert lines(snapshot) == ["A /f"]
        assert content_of(snapshot, tmp_path) == {"f": b"stored"}


@pytest.mark.root
def test_the_link_of_the_index_is_no_name(tmp_path: Path) -> None:
    lower = make(tmp_path / "lower", {"a": File(b"one")})
    os.link(lower / "a", lower / "b")
    with mounted(tmp_path, 1, [lower], "index=on") as merged:
        assert opened(merged).doubts == ()
        (merged / "a").write_bytes(b"two")
        assert (merged / "b").read_bytes() == b"two"
        (doubt,) = opened(merged).doubts
        assert "index=on" in doubt
        with pytest.raises(RefusedError, match="changed hard links"):
            content_of(opened(merged), tmp_path)
        upper = tmp_path / "upper1"
        assert (upper / "a").stat().st_nlink == 2
        snapshot = open_pair(os.fsencode(upper), [os.fsencode(lower)])
        assert content_of(snapshot, tmp_path) == {"a": b"two"}


@pytest.mark.root
def test_escaped_paths(tmp_path: Path) -> None:
    lower = make(tmp_path / "lo:w,e\\r 1", {"f": File(b"f")})
    upper, work = make(tmp_path / "up,p\\er", {}), make(tmp_path / "work", {})
    escaped = [re.sub(rb"[\\:,]", rb"\\\g<0>", os.fsencode(path)) for path in (lower, upper)]
    options = b"lowerdir=%b,upperdir=%b,workdir=%b" % (*escaped, os.fsencode(work))
    with overlay(tmp_path / "merged", [options]) as merged:
        (merged / "f").write_bytes(b"changed")
        snapshot = opened(merged)
        assert (snapshot.upperdir, snapshot.lowerdirs) == (
            os.fsencode(upper),
            (os.fsencode(lower),),
        )
        assert lines(snapshot) == ["M /f"]


@pytest.mark.root
def test_five_hundred_layers(tmp_path: Path) -> None:
    layers = [
        make(tmp_path / str(number), {"d": {f"f{number % 50}": File(b"%d" % number)}})
        for number in range(500)
    ]
    short = Path(os.path.relpath(tmp_path, "/"))
    assert len(agree([Path("/") / short / str(number) for number in range(500)])) == 51
    paths = [os.fsencode(path) for path in layers]
    assert lines(open_pair(paths[0], paths[1:])) == ["M /d/f0"]


@pytest.mark.root
def test_a_volatile_mount(tmp_path: Path) -> None:
    lower = make(tmp_path / "lower", {"f": File(b"f")})
    with mounted(tmp_path, 1, [lower], "volatile") as merged:
        (merged / "g").write_bytes(b"g")
        mount = find_mount(os.fsencode(merged))
        assert mount is not None and mount.options.volatile
        assert any("may be lost" in note for note in record_of_mount(mount).notes)
        assert content_of(open_mount(mount), tmp_path) == {"g": b"g"}


def test_casefolded_directories_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer of the kernel is made up: it has such directories only with Unicode tables."""
    upper = make(tmp_path / "upper", {"d": {"F": File(b"f")}, "g": File(b"g")})
    folded = (upper / "d").stat().st_ino
    monkeypatch.setattr(layers_module, "kernel_can_casefold", lambda: True)
    monkeypatch.setattr(layers_module, "is_casefolded", lambda fd: os.fstat(fd).st_ino == folded)
    snapshot = open_pair(
        os.fsencode(upper), [os.fsencode(make(tmp_path / "lower", {}))], userxattr=True
    )
    errors = [verdict.error for verdict in snapshot.changes() if verdict.error is not None]
    assert "casefolded" in errors[0]
    with pytest.raises(ReadError, match="casefolded"):
        export_to_file(snapshot, os.fsencode(tmp_path / "layer.tar"), media_type=TAR)


def test_this_directory_is_not_casefolded(tmp_path: Path) -> None:
    from whiteout.casefold import is_casefolded

    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        assert stat.S_ISDIR(os.fstat(descriptor).st_mode)
        assert not is_casefolded(descriptor)
    finally:
        os.close(descriptor)


def test_every_row_of_the_table_has_its_test() -> None:
    table = (PROJECT / "docs" / "features.md").read_text("utf-8").splitlines()
    rows = [line for line in table if line.startswith("| ")][1:]
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(tests/\w+\.py)::(\w+)`", row)
        assert named, row
        for file, function in named:
            assert f"\ndef {function}(" in (PROJECT / file).read_text("utf-8"), row
