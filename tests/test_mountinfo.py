import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.overlay import mount_overlay, overlay, unmount
from whiteout.errors import MountError, ReadError
from whiteout.mountinfo import OverlayMount, find_mount, overlay_mounts
from whiteout.mountoptions import escape_path


def made(directory: Path, *names: bytes) -> list[bytes]:
    """New directories below *directory*."""
    paths = [os.path.join(os.fsencode(directory), name) for name in names]
    for path in paths:
        os.makedirs(path)
    return paths


def options(lowers: list[bytes], upper: bytes, work: bytes) -> list[bytes]:
    return [
        b"lowerdir=" + b":".join(map(escape_path, lowers)),
        b"upperdir=" + escape_path(upper),
        b"workdir=" + escape_path(work),
    ]


def listed(mount_point: Path) -> OverlayMount:
    found = [m for m in overlay_mounts() if m.mount_point == os.fsencode(mount_point)]
    assert len(found) == 1
    return found[0]


@pytest.fixture
def in_directory(tmp_path: Path) -> Iterator[Path]:
    """The temporary directory as the current one, and the old one again afterwards."""
    old = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(old)


names = st.binary(min_size=1, max_size=12).map(
    lambda data: data.replace(b"\0", b"0").replace(b"/", b"|").replace(b".", b"-")
)


@pytest.mark.root
@given(st.lists(names, min_size=4, max_size=6, unique=True))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_layers_with_odd_names_come_back(
    tmp_path_factory: pytest.TempPathFactory, names: list[bytes]
) -> None:
    directory = tmp_path_factory.mktemp("odd")
    upper, work, merged, *lowers = made(directory, *names)
    mount_overlay(merged, options(lowers, upper, work))
    try:
        mount = find_mount(merged)
        assert mount is not None
        assert mount.problem is None
        assert mount.mount_point == merged
        assert mount.layers == (upper, *lowers)
        assert mount.verified
        assert mount in overlay_mounts()
    finally:
        unmount(merged)


@pytest.mark.root
@pytest.mark.parametrize("index", [b"index=off", b"index=on"])
def test_index_does_not_disturb_the_verification(tmp_path: Path, index: bytes) -> None:
    upper, work, lower = made(tmp_path, b"u", b"w", b"l")
    with overlay(tmp_path / "m", [index, *options([lower], upper, work)]) as merged:
        (merged / "file").touch()
        assert listed(merged).verified


@pytest.mark.root
def test_a_view_has_no_upperdir(tmp_path: Path) -> None:
    a, b = made(tmp_path, b"a", b"b")
    with overlay(tmp_path / "m", [b"lowerdir=" + a + b":" + b]) as merged:
        mount = listed(merged)
        assert mount.options.upperdir is None
        assert (mount.layers, mount.verified) == ((a, b), True)


@pytest.mark.root
def test_relative_layers_are_found_above_the_mount_point(in_directory: Path) -> None:
    upper, _, lower = made(in_directory, b"store/1/fs", b"store/1/work", b"store/2/fs")
    os.chdir(in_directory / "store")
    with overlay(in_directory / "store/m", options([b"2/fs"], b"1/fs", b"1/work")) as merged:
        os.chdir("/")
        mount = listed(merged)
        assert (mount.layers, mount.verified) == ((upper, lower), True)


@pytest.mark.root
def test_relative_lowers_are_found_beside_an_absolute_upper(in_directory: Path) -> None:
    upper, work, lower = made(in_directory, b"store/1/fs", b"store/1/work", b"store/2/fs")
    made(in_directory, b"elsewhere")
    os.chdir(in_directory / "store")
    with overlay(in_directory / "elsewhere/m", options([b"2/fs"], upper, work)) as merged:
        os.chdir("/")
        assert listed(merged).layers == (upper, lower)


@pytest.mark.root
def test_relative_layers_that_nobody_can_find(in_directory: Path) -> None:
    made(in_directory, b"a/1", b"a/2", b"b")
    os.chdir(in_directory / "a")
    with overlay(in_directory / "b/m", [b"lowerdir=1:2"]) as merged:
        os.chdir("/")
        mount = listed(merged)
        assert mount.layers == ()
        assert mount.problem is not None
        assert "nobody recorded" in mount.problem


@pytest.mark.root
def test_moved_and_replaced_layers_are_refused(tmp_path: Path) -> None:
    upper, work, lower = made(tmp_path, b"u", b"w", b"l\x1b")
    with overlay(tmp_path / "m", options([lower], upper, work)) as merged:
        os.rename(upper, upper + b"-moved")
        assert "does not exist" in str(listed(merged).problem)
        os.mkdir(upper)
        assert "not the directory that was mounted" in str(listed(merged).problem)
        os.rmdir(upper)
        os.rename(upper + b"-moved", upper)
        assert listed(merged).problem is None
        os.rmdir(lower)
        assert "l\\x1b does not exist" in str(listed(merged).problem)


@pytest.mark.root
def test_a_layer_covered_by_the_overlay_itself(tmp_path: Path) -> None:
    lower, other = made(tmp_path, b"l", b"o")
    merged = tmp_path / "l"
    mount_overlay(lower, [b"lowerdir=" + other + b":" + lower])
    try:
        assert "covered by the overlay itself" in str(listed(merged).problem)
    finally:
        unmount(lower)


@pytest.mark.root
def test_one_overlay_mounted_twice_is_one(tmp_path: Path) -> None:
    upper, work, lower, again, part = made(tmp_path, b"u", b"w", b"l", b"again", b"part")
    with overlay(tmp_path / "m", options([lower], upper, work)) as merged:
        (merged / "sub").mkdir()
        subprocess.run(["mount", "--bind", merged / "sub", part], check=True)
        subprocess.run(["mount", "--bind", merged, again], check=True)
        try:
            assert len([m for m in overlay_mounts() if m.layers[:1] == (upper,)]) == 1
            found = find_mount(again)
            assert found is not None
            assert found.layers == (upper, lower)
            with pytest.raises(MountError, match="shows only the directory /sub"):
                find_mount(part)
        finally:
            unmount(again)
            unmount(part)


@pytest.mark.root
def test_a_covered_mount_point_is_listed_but_not_found_there(tmp_path: Path) -> None:
    upper, work, lower = made(tmp_path, b"u", b"w", b"l")
    with overlay(tmp_path / "m", options([lower], upper, work)) as merged:
        subprocess.run(["mount", "-t", "tmpfs", "none", merged], check=True)
        try:
            mount = listed(merged)
            assert (mount.layers, mount.verified) == ((upper, lower), False)
            assert find_mount(os.fsencode(merged)) is None
        finally:
            unmount(os.fsencode(merged))


@pytest.mark.root
def test_a_path_inside_names_the_mount_point(tmp_path: Path) -> None:
    upper, work, lower = made(tmp_path, b"u", b"w", b"l/sub")
    (tmp_path / "l/sub/file").touch()
    with overlay(tmp_path / "m", options([os.path.dirname(lower)], upper, work)) as merged:
        for name in ("sub", "sub/file"):
            with pytest.raises(MountError) as caught:
                find_mount(os.fsencode(merged / name))
            assert f"inside the overlay mount at {merged}; give {merged}" in str(caught.value)
        (tmp_path / "link").symlink_to(merged)
        assert find_mount(os.fsencode(tmp_path / "link")) == listed(merged)


@pytest.mark.root
@pytest.mark.peer("fuse-overlayfs")
def test_fuse_overlayfs_is_listed_and_a_dead_one_does_not_hang(tmp_path: Path) -> None:
    lower, fused, upper, work, merged = made(tmp_path, b"l", b"f", b"u", b"w", b"m")
    command = [b"fuse-overlayfs", b"-f", b"-o", b"timeout=0,lowerdir=" + lower, fused]
    daemon = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while not os.path.ismount(fused):
            assert daemon.poll() is None
            time.sleep(0.01)
        assert listed(tmp_path / "f").layers == (lower,)
        mount_overlay(merged, options([fused], upper, work))
        try:
            assert listed(tmp_path / "m").problem is None
            daemon.send_signal(signal.SIGSTOP)
            stopped = [m for m in overlay_mounts(timeout=0.1) if m.mount_point == merged]
            daemon.send_signal(signal.SIGCONT)
            assert "do not answer" in str(stopped[0].problem)
        finally:
            daemon.send_signal(signal.SIGCONT)
            unmount(merged)
    finally:
        try:
            unmount(fused)
        finally:
            daemon.terminate()
            daemon.wait(10)


def test_no_overlay_here(tmp_path: Path) -> None:
    if not any(mount.mount_point == b"/" for mount in overlay_mounts()):
        assert find_mount(os.fsencode(tmp_path)) is None


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no such file"):
        find_mount(os.fsencode(tmp_path / "missing"))
    with pytest.raises(ReadError, match="cannot read"):
        overlay_mounts(str(tmp_path / "missing"))


MADE_UP = b"""\
22 27 0:21 / /proc rw,relatime - proc proc rw
45 27 0:9039 / /no\\040such/m rw - overlay overlay rw,lowerdir=/no\\134\\054such/l,upperdir=/u
46 27 0:9039 / /copy rw shared:5 master:1 - overlay overlay rw,lowerdir=/no\\134\\054such/l
47 27 0:9040 / /f rw - fuse3.fuse-overlayfs fuse-overlayfs rw,user_id=0
48 27 0:9041 / /e ro - overlay overlay ro
49 27 0:9042 / /g ro - overlay overlay ro,lowerdir=/a:
50 27 0:9043 / /h ro - overlay overlay ro,lowerdir=3:4
broken line

"""


def test_a_made_up_table(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_bytes(MADE_UP)
    mounts = {mount.mount_point: mount for mount in overlay_mounts(str(table))}
    assert list(mounts) == [b"/no such/m", b"/f", b"/e", b"/g", b"/h"]
    first = mounts[b"/no such/m"]
    assert first.device == os.makedev(0, 9039)
    assert first.options.lowerdirs == (b"/no,such/l",)
    words = ["does not exist", "fuse-overlayfs", "no lowerdir", "empty path", "nobody recorded"]
    for mount, word in zip(mounts.values(), words, strict=True):
        assert mount.layers == ()
        assert word in str(mount.problem)
