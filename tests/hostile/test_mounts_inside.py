"""What is mounted inside a layer is not part of the layer, as the kernel has it too."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from support.overlay import overlay, stack_options, unmount
from support.trees import Dir, File, Symlink, lines, make
from whiteout import layerroots
from whiteout.differ import OverlayStanding
from whiteout.errors import RefusedError
from whiteout.export import export_to_file
from whiteout.mediatypes import TAR
from whiteout.opening import open_pair
from whiteout.snapshot import Snapshot

pytestmark = pytest.mark.root
_MS_BIND = 4096


@contextmanager
def bind(source: Path, target: Path) -> Iterator[None]:
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mount(os.fsencode(source), os.fsencode(target), b"none", _MS_BIND, None) == 0
    try:
        yield
    finally:
        unmount(os.fsencode(target))


@pytest.fixture
def layers(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """An upper and a lower directory, each with something mounted over a directory and a file."""
    secret = make(tmp_path / "secret", {"passwd": File(b"SECRET"), "SECRET": File(b"SECRET")})
    upper = make(
        tmp_path / "upper",
        {"covered": {"inside": File(b"upper")}, "file": File(b"upper"), "a": File(b"a")},
    )
    lower = make(
        tmp_path / "lower",
        {"covered": Dir({"old": File(b"lower")}), "kept": {"old": File(b"lower")}},
    )
    with ExitStack() as mounted:
        mounted.enter_context(bind(secret, upper / "covered"))
        mounted.enter_context(bind(secret / "passwd", upper / "file"))
        mounted.enter_context(bind(secret, lower / "kept"))
        yield upper, lower


def opened(upper: Path, lower: Path) -> Snapshot:
    return open_pair(os.fsencode(upper), [os.fsencode(lower)])


def test_the_layer_is_what_the_kernel_shows_and_not_what_covers_it(
    layers: tuple[Path, Path], tmp_path: Path
) -> None:
    upper, lower = layers
    snapshot = opened(upper, lower)
    assert snapshot.doubts == ()
    assert lines(snapshot) == ["A /a", "A /covered/inside", "A /file"]
    options = stack_options([os.fsencode(upper), os.fsencode(lower)])
    with overlay(tmp_path / "merged", options) as merged:
        assert sorted(os.listdir(merged / "covered")) == ["inside", "old"]
        assert (merged / "file").read_bytes() == b"upper"
    out = tmp_path / "layer.tar"
    export_to_file(snapshot, os.fsencode(out), media_type=TAR)
    assert b"SECRET" not in out.read_bytes()


def test_nothing_is_mounted_for_it(layers: tuple[Path, Path]) -> None:
    before = Path("/proc/self/mountinfo").read_bytes()
    snapshot = opened(*layers)
    with snapshot.reading():
        assert Path("/proc/self/mountinfo").read_bytes() == before


def test_without_privileges_it_is_said_and_no_layer_is_exported(
    layers: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(descriptor: int) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(layerroots, "_clone", denied)
    snapshot = opened(*layers)
    assert len(snapshot.doubts) == 2
    assert all("is mounted" in doubt or "mounted on" in doubt for doubt in snapshot.doubts)
    with pytest.raises(RefusedError, match=r"mounted on .*/upper/covered.* unmount it"):
        export_to_file(snapshot, os.fsencode(tmp_path / "layer.tar"), media_type=TAR)
    assert not (tmp_path / "layer.tar").exists()


def test_the_upper_directory_is_opened_so_that_nothing_but_reading_is_possible(
    tmp_path: Path,
) -> None:
    upper = make(tmp_path / "upper", {"file": File(), "link": Symlink(b"file")})
    os.mknod(upper / "device", 0o020666, os.makedev(1, 3))
    directory = layerroots.open_root(os.fsencode(upper), (), guarded=True)
    try:
        for name, flags, code in (
            ("device", os.O_RDONLY | os.O_NONBLOCK, errno.EACCES),
            ("link", os.O_RDONLY, errno.ELOOP),
            ("file", os.O_WRONLY, errno.EROFS),
            ("new", os.O_WRONLY | os.O_CREAT, errno.EROFS),
        ):
            with pytest.raises(OSError, match=os.strerror(code)):
                os.open(name, flags, dir_fd=directory)
        os.close(os.open("file", os.O_RDONLY, dir_fd=directory))
    finally:
        os.close(directory)


def test_a_snapshot_is_read_through_the_guard(tmp_path: Path) -> None:
    upper = make(tmp_path / "upper", {"file": File()})
    lower = make(tmp_path / "lower", {})
    with opened(upper, lower).reading() as root:
        assert isinstance(root, OverlayStanding)
        directory = root.upper.parts[0].directory
        with pytest.raises(OSError, match="Read-only"):
            os.open("new", os.O_WRONLY | os.O_CREAT, dir_fd=directory.descriptor())


def test_below_a_store_no_symlink_is_followed(tmp_path: Path) -> None:
    """Not even one that is put there between the look at a layer and its opening."""
    store = tmp_path / "store"
    make(tmp_path / "outside", {"diff": {"SECRET": File(b"SECRET")}})
    make(store, {"a": {"diff": {"f": File(b"f")}}, "b": Symlink(b"../outside"), "c": {}})
    (store / "c/diff").symlink_to(tmp_path / "outside/diff")
    (tmp_path / "link").symlink_to(store)
    for place in (store, tmp_path / "link"):
        root = os.fsencode(place)
        os.close(layerroots.open_root(root + b"/a/diff", (), store=root))
        for name in (b"/b/diff", b"/c/diff", b"/../outside/diff", b"/a/../../outside/diff"):
            with pytest.raises(NotADirectoryError):
                layerroots.open_root(root + name, (), store=root)
        with pytest.raises(NotADirectoryError):
            layerroots.open_root(os.fsencode(tmp_path / "outside/diff"), (), store=root)
