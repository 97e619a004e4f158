"""Overlay mounts that only other mount namespaces, or other roots, can name."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.commands import Run
from support.overlay import mount_overlay, overlay, unmount
from whiteout.errors import MountError, SnapshotChanged
from whiteout.mountinfo import OverlayMount, all_overlay_mounts, find_mount, overlay_mounts
from whiteout.opening import open_mount, open_target
from whiteout.sources.mounts import record_of_mount

pytestmark = [pytest.mark.root, pytest.mark.peer("unshare")]


@contextlib.contextmanager
def process(script: str, *arguments: str | Path, wrapper: tuple[str, ...]) -> Iterator[int]:
    """A process that runs *script* and then waits; its id."""
    command = [*wrapper, "sh", "-ec", f"{script}; echo ready; read end", "sh", *arguments]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"ready\n"
        yield child.pid
    finally:
        child.stdin.close()
        child.wait(20)
        child.stdout.close()


def mine(directory: Path, pid: int) -> list[OverlayMount]:
    """The mounts below *directory* that the namespace of the process *pid* alone has."""
    return [
        mount
        for mount in all_overlay_mounts()
        if mount.namespace is not None
        and mount.namespace.process == pid
        and mount.mount_point.startswith(os.fsencode(directory))
    ]


UNSHARE = ("unshare", "--mount", "--propagation", "private")
MOUNT = "mount -t overlay overlay -o lowerdir=$1/l,upperdir=$1/u,workdir=$1/w $1/m"


@pytest.fixture
def directories(tmp_path: Path) -> Path:
    for name in ("l", "u", "w", "m"):
        (tmp_path / name).mkdir()
    (tmp_path / "l/below").touch()
    (tmp_path / "u/above").touch()
    return tmp_path


def test_a_mount_of_another_namespace_is_listed_and_opened(directories: Path, run: Run) -> None:
    upper = os.fsencode(directories / "u")
    with process(MOUNT, directories, wrapper=UNSHARE) as pid:
        assert not [each for each in overlay_mounts() if upper in each.layers]
        (mount,) = mine(directories, pid)
        assert (mount.layers, mount.verified) == ((upper, os.fsencode(directories / "l")), True)
        target = f"/proc/{pid}/root{directories}/m"
        assert os.fsdecode(mount.path) == target
        listed = run("list", "--json", "--engine", "mount").done().objects()
        record = next(each for each in listed if each["target"] == target)
        assert any(f"process {pid}" in note for note in record["notes"])
        assert run("changes", target).done().stdout == b"A /above\n"
        assert run("changes", f"mount:{directories}/m").done().stdout == b"A /above\n"
        snapshot = open_target(os.fsencode(target))
        assert [each.path for each in snapshot.changes()] == [b"/above"]
    with pytest.raises(SnapshotChanged, match="is not mounted any more"):
        list(snapshot.changes())


def test_layers_that_only_the_other_namespace_has(directories: Path) -> None:
    """A tmpfs holds them; this namespace has empty directories of the same names."""
    script = 'mount -t tmpfs none "$1"; cd "$1"; mkdir l u w m; touch u/hidden; ' + MOUNT
    with process(script, directories, wrapper=UNSHARE) as pid:
        (mount,) = mine(directories, pid)
        assert mount.verified
        assert mount.layers[0] == b"/proc/%d/root%s/u" % (pid, os.fsencode(directories))
        snapshot = open_mount(mount)
        assert [each.path for each in snapshot.changes()] == [b"/hidden"]


def test_the_same_mount_in_two_namespaces_is_one(directories: Path) -> None:
    upper, lower = os.fsencode(directories / "u"), os.fsencode(directories / "l")
    options = [b"lowerdir=" + lower, b"upperdir=" + upper, b"workdir=" + lower[:-1] + b"w"]
    with overlay(directories / "m", options), process("true", wrapper=UNSHARE):
        found = [each for each in all_overlay_mounts() if upper in each.layers]
        assert [each.namespace for each in found] == [None]


@contextlib.contextmanager
def mounted_by_another_root(top: Path, options: str) -> Iterator[OverlayMount]:
    """The overlay that a process with the root *top*, which it keeps, mounted there at ``/m``."""
    code = (
        "import os, sys, ctypes; os.chroot(sys.argv[1]); os.chdir('/');"
        "data = sys.argv[2].encode();"
        "assert ctypes.CDLL(None).mount(b'overlay', b'/m', b'overlay', 0, data) == 0;"
        "print('ready', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, top, options], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"ready\n"
        mount = find_mount(os.fsencode(top / "m"))
        assert mount is not None
        yield mount
    finally:
        child.stdin.close()
        child.wait(20)
        child.stdout.close()
        unmount(os.fsencode(top / "m"))


def test_a_mounter_with_another_root(tmp_path: Path) -> None:
    """Its options name paths in its root; a process that still has that root leads there."""
    top = tmp_path / "top"
    for name in ("l", "u", "w", "m"):
        (top / name).mkdir(parents=True)
    (top / "u/file").touch()
    with mounted_by_another_root(top, "lowerdir=/l,upperdir=/u,workdir=/w") as mount:
        assert mount.verified, mount.problem
        snapshot = open_mount(mount)
        assert [each.path for each in snapshot.changes()] == [b"/file"]


def test_a_symlink_in_another_root_stays_in_it(tmp_path: Path) -> None:
    """What the mounter called ``/link`` is a directory in its root, and not the one in ours."""
    top, twin = tmp_path / "top", tmp_path / "twin"
    for directory in (twin, top / str(twin).lstrip("/"), *(top / name for name in "uwm")):
        directory.mkdir(parents=True)
    (top / "link").symlink_to(twin)
    (twin / "not-mounted").touch()
    with mounted_by_another_root(top, "lowerdir=/link,upperdir=/u,workdir=/w") as mount:
        assert mount.verified, mount.problem
        assert os.listdir(mount.layers[1]) == []


def test_layers_by_the_numbers_of_open_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "m").mkdir()
    code = (
        "import os, sys, ctypes; top = sys.argv[1];"
        "fds = [os.open(top + '/' + name, os.O_PATH) for name in 'ab'];"
        "os.chdir('/proc/self/fd');"
        "data = b'lowerdir=%d:%d' % tuple(fds);"
        "point = os.fsencode(top + '/m');"
        "assert ctypes.CDLL(None).mount(b'overlay', point, b'overlay', 0, data) == 0"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, timeout=30)
    try:
        mount = find_mount(os.fsencode(tmp_path / "m"))
        assert mount is not None
        assert "is an open file of the program that mounted it" in str(mount.problem)
        with pytest.raises(MountError, match="nobody recorded"):
            record_of_mount(mount).stack()
    finally:
        unmount(os.fsencode(tmp_path / "m"))


def test_a_system_extension_says_where_its_parts_are(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_bytes(
        b"105 43 0:9044 / /usr ro - overlay sysext ro,lowerdir=/run/systemd/sysext/meta/usr:/usr\n"
    )
    (mount,) = overlay_mounts(str(table))
    assert "systemd-sysext made it" in str(mount.problem)
    assert "/var/lib/extensions" in str(mount.problem)


def test_what_is_unmounted_while_it_is_read_is_not_believed(directories: Path) -> None:
    point = os.fsencode(directories / "m")
    options = [
        os.fsencode(f"lowerdir={directories}/l,upperdir={directories}/u,workdir={directories}/w")
    ]
    mount_overlay(point, options)
    try:
        snapshot = open_target(point)
        changes = snapshot.changes()
        assert next(changes).path == b"/above"
    finally:
        unmount(point)
    with pytest.raises(SnapshotChanged, match="is not mounted any more"):
        list(changes)
