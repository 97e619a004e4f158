"""A real attacker against real exports: no byte from outside the layers, in thousands of tries."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import attacker
from support.commands import environment
from whiteout.content import read_head
from whiteout.errors import ReadError, WhiteoutError
from whiteout.export import export_to_file
from whiteout.mediatypes import TAR
from whiteout.opening import open_pair
from whiteout.snapshot import Snapshot

_EXPORTS = 300
_ANSWERS = 500
_IN_ACCESS, _IN_OPEN = 0x1, 0x20


class Watch:
    """Counts what is opened or read in directories, whoever does it (inotify(7))."""

    def __init__(self, *directories: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        for directory in directories:
            mask = _IN_ACCESS | _IN_OPEN
            assert libc.inotify_add_watch(self._descriptor, os.fsencode(directory), mask) > 0

    def events(self) -> int:
        """How many bytes of events there were since the last time."""
        try:
            return len(os.read(self._descriptor, 1 << 20))
        except BlockingIOError:
            return 0

    def close(self) -> None:
        os.close(self._descriptor)


@pytest.fixture
def playground(tmp_path: Path) -> Path:
    attacker.playground(tmp_path)
    return tmp_path


@pytest.fixture
def watch(playground: Path) -> Iterator[Watch]:
    outside = playground / "outside"
    watch = Watch(outside, outside / "deeper")
    os.listdir(outside)
    assert watch.events(), "the watch sees what is opened"
    yield watch
    watch.close()


@pytest.fixture
def attack(playground: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, attacker.__file__, os.fspath(playground)],
        stdout=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield process
    process.kill()
    process.communicate()


def swaps(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGUSR1)
    assert process.stdout is not None
    return int(process.stdout.readline())


def opened(playground: Path, differ: str) -> Snapshot:
    return open_pair(
        os.fsencode(playground / "upper"),
        [os.fsencode(playground / "lower")],
        userxattr=True,
        differ=differ,
    )


@pytest.mark.long
@pytest.mark.parametrize("differ", ["overlay", "walking"])
def test_no_byte_from_outside_while_a_layer_is_written(
    playground: Path,
    watch: Watch,
    attack: subprocess.Popen[bytes],
    tell: Callable[[str], None],
    differ: str,
) -> None:
    snapshot = opened(playground, differ)
    target = playground / "layer.tar"
    ended: Counter[str] = Counter()
    entries = 0
    for _ in range(_EXPORTS):
        try:
            result = export_to_file(snapshot, os.fsencode(target), media_type=TAR)
        except ReadError:
            ended["refused"] += 1
            assert not target.exists(), "half a layer was left"
            continue
        ended["written"] += 1
        entries += result.entries
        content = target.read_bytes()
        assert attacker.SECRET not in content
        assert b"secret-name" not in content
        target.unlink()
    made = swaps(attack)
    tell(
        f"{_EXPORTS} exports by the {differ} differ against {made:,} swaps:"
        f" {ended['written']} written ({entries:,} entries), {ended['refused']} refused"
    )
    assert watch.events() == 0, "something outside of the layers was opened"
    assert made > 1000
    assert ended["written"] + ended["refused"] == _EXPORTS


def test_no_byte_from_outside_in_any_other_answer(
    playground: Path, watch: Watch, attack: subprocess.Popen[bytes], tell: Callable[[str], None]
) -> None:
    snapshot = opened(playground, "auto")
    answers: Counter[str] = Counter()
    for number in range(_ANSWERS):
        place = number % attacker.PLACES
        for kind in (b"directory", b"deeper"):
            path = b"/%s%d/%s" % (kind, place, kind)
            try:
                verdicts = list(snapshot.children(path))
            except WhiteoutError:
                answers["refused"] += 1
            else:
                answers["listed"] += 1
                assert all(b"secret-name" not in verdict.path for verdict in verdicts)
        for path in (b"/directory%d/directory/deeper/file" % place, b"/file%d/file" % place):
            try:
                content = read_head(snapshot, path, "upper")
            except WhiteoutError:
                answers["refused"] += 1
            else:
                answers["read"] += 1
                assert attacker.SECRET not in content.data
    tell(f"{4 * _ANSWERS} questions against {swaps(attack):,} swaps: {dict(answers)}")
    assert watch.events() == 0, "something outside of the layers was opened"
    assert min(answers["listed"], answers["read"]) > 0
