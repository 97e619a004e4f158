"""The second process of an export: the same tar as without it, whatever becomes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whiteout import readahead
from whiteout.cancel import NEVER, CancelToken
from whiteout.differ import FoundInRows, Rules, WrittenDirectories, walk_in_rows
from whiteout.errors import Cancelled, ReadError
from whiteout.export import ExportResult, export_to_file
from whiteout.idmap import IdMap
from whiteout.layerentries import LayerPlan
from whiteout.mediatypes import TAR
from whiteout.opening import open_pair
from whiteout.readaheadprocess import READY, ReaderProcess
from whiteout.snapshot import Snapshot
from whiteout.tarwriter import TarWriter


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is started by the first directory, and waited for."""
    is_ready = ReaderProcess.is_ready

    def is_ready_soon(process: ReaderProcess) -> bool:
        while not is_ready(process):
            time.sleep(0.001)
        return True

    monkeypatch.setattr(readahead, "PATIENCE", 0)
    monkeypatch.setattr(ReaderProcess, "is_ready", is_ready_soon)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


def write(path: Path, content: bytes = b"content") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    """Forty directories of four files over two layers, half of them in one directory."""
    upper, lower, lowest = tmp_path / "upper", tmp_path / "lower", tmp_path / "lowest"
    for number in range(40):
        above = "top" if number % 2 else "."
        for file in range(4):
            write(upper / above / f"d{number:02}" / f"f{file}", b"x" * 700 * file)
        write((lower, lowest)[number % 3 % 2] / above / f"d{number:02}" / "f1", b"older")
    return open_pair(os.fsencode(upper), [os.fsencode(lower), os.fsencode(lowest)], userxattr=True)


def written(found: Iterable[FoundInRows]) -> tuple[bytes | str, int, int]:
    """The tar, or why there is none; how many entries it has; how many directories came written."""
    plan, pieces, directories = LayerPlan(), list[bytes](), 0
    writer = TarWriter(pieces.append, NEVER)
    try:
        for each in found:
            writer.write_found(each, plan)
            if isinstance(each, WrittenDirectories):
                directories += len(each.names)
    except ReadError as error:
        return str(error), 0, directories
    writer.finish()
    return b"".join(pieces), writer.entries, directories


def alone(snapshot: Snapshot) -> tuple[bytes | str, int]:
    with snapshot.reading(opens_files=True) as root:
        tar, entries, directories = written(walk_in_rows(root))
    assert directories == 0
    return tar, entries


def helped(snapshot: Snapshot, cancel: CancelToken = NEVER) -> tuple[bytes | str, int, int]:
    with snapshot.findings_in_rows(cancel) as found:
        result = written(found)
    assert not children()
    return result


def assert_same(snapshot: Snapshot, least: int = 0, most: int = 1 << 30) -> None:
    tar, entries, directories = helped(snapshot)
    assert (tar, entries) == alone(snapshot)
    assert least <= directories <= most


def children(process: int | str = "self") -> list[int]:
    """The processes that *process* started, whichever thread did."""
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return [child for child in found if b"readaheadmain" in command_line(child)]


def command_line(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def test_directories_come_written_and_make_the_same_tar(snapshot: Snapshot) -> None:
    assert_same(snapshot, least=5)


def test_an_export_says_the_same(snapshot: Snapshot, tmp_path: Path) -> None:
    def export() -> tuple[ExportResult, int]:
        entries = list[int]()
        result = export_to_file(
            snapshot,
            os.fsencode(tmp_path / "layer"),
            media_type=TAR,
            progress=lambda progress: entries.append(progress.entries),
        )
        return result._replace(seconds=0), entries[-1]

    with_process = export()
    readahead.PATIENCE = 1 << 30  # which the fixture puts back
    assert export() == with_process
    assert not children()


#: What a directory may be, or have in it, in one of the layers.
KINDS: dict[str, Callable[[Path], object]] = {
    "files": lambda place: write(place / "b"),
    "below": lambda place: write(place / "c" / "x"),
    "symlink": lambda place: (place / "link").symlink_to("b"),
    "link": lambda place: os.link(place / "a", place / "other"),
    "link elsewhere": lambda place: os.link(place / "a", place.parent / f"={place.name}"),
    "fifo": lambda place: os.mkfifo(place / "fifo"),
    "whiteout": lambda place: mark(place / "b", "whiteout"),
    "opaque": lambda place: os.setxattr(place, "user.overlay.opaque", b"y"),
    "comment": lambda place: os.setxattr(place, "user.comment", b"-"),
    "redirect": lambda place: os.setxattr(place, "user.overlay.redirect", b"d01"),
    "mode": lambda place: place.chmod(0o711),
    "large": lambda place: write(place / "large", b"l" * (1 << 20)),
    "long": lambda place: write(place / ("p" * 120) / ("q" * 120)),
    "odd": lambda place: os.mkdir(os.fsencode(place) + b"/\xff\xfe"),
    "empty": lambda place: (place / "a").unlink(),
    "closed": lambda place: place.chmod(0),
    "file": lambda place: None,
}
_DIRECTORIES = [f"{above}d{number:02}" for above in ("", "m/") for number in range(10)]
_KIND = st.sampled_from(["none", "files", "files", "below", *KINDS])
_LAYER = st.lists(
    st.lists(_KIND, max_size=2, unique=True), min_size=len(_DIRECTORIES), max_size=len(_DIRECTORIES)
)


def mark(path: Path, name: str) -> None:
    path.write_bytes(b"")
    os.setxattr(path, f"user.overlay.{name}", b"y")


def put(place: Path, kinds: list[str]) -> None:
    if "none" in kinds:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if "file" in kinds:
        write(place)
        return
    write(place / "a", b"first")
    for kind in sorted(kinds, key=list(KINDS).index):
        KINDS[kind](place)


@settings(max_examples=30)
@given(st.lists(_LAYER, min_size=2, max_size=4), st.booleans())
def test_any_directories_make_the_same_tar(layers: list[list[list[str]]], mapped: bool) -> None:
    with tempfile.TemporaryDirectory() as top:
        for number, layer in enumerate(layers):
            Path(top, str(number)).mkdir()
            for directory, kinds in zip(_DIRECTORIES, layer, strict=True):
                put(Path(top, str(number), directory), kinds)
        paths = [os.path.join(os.fsencode(top), b"%d" % number) for number in range(len(layers))]
        idmap = IdMap.parse([f"0:{os.getuid()}:1"], [f"0:{os.getgid()}:1"]) if mapped else None
        made = open_pair(paths[0], paths[1:], userxattr=True)
        if idmap is not None:
            merged = tuple(layer._replace(idmap=idmap) for layer in made.merged)
            made = made._replace(merged=merged, base=merged[1:])
        assert_same(made)
        for directory, names, _ in os.walk(top):
            for name in names:
                if not os.path.islink(path := os.path.join(directory, name)):
                    os.chmod(path, 0o700)


def test_names_that_are_no_text_and_long_paths_make_the_same_tar(tmp_path: Path) -> None:
    upper = os.fsencode(tmp_path / "upper")
    for number in range(12):
        os.makedirs(b"%b/\xff%d\n" % (upper, number))
        write(Path(os.fsdecode(b"%b/\xff%d\n/\xfe" % (upper, number))))
    deep = os.path.join(upper, *[b"n" * 200] * 6)
    for number in range(12):
        write(Path(os.fsdecode(deep), f"d{number}", "file"))
    (tmp_path / "lower").mkdir()
    assert_same(open_pair(upper, [os.fsencode(tmp_path / "lower")], userxattr=True), least=2)


def test_a_directory_of_many_files_is_left_to_the_first_process(tmp_path: Path) -> None:
    for number in range(8):
        for file in range(5):
            write(tmp_path / "upper" / f"d{number}" / f"f{file}", b"x" * (1 << 18))
    (tmp_path / "lower").mkdir()
    pair = os.fsencode(tmp_path / "upper"), [os.fsencode(tmp_path / "lower")]
    assert_same(open_pair(*pair, userxattr=True), most=0)


@pytest.mark.parametrize("entries", [0, 3])
def test_directories_without_a_change_bring_none_above_them(tmp_path: Path, entries: int) -> None:
    for layer in ("upper", "lower"):
        for number in range(20):
            (tmp_path / layer / "top" / f"d{number:02}").mkdir(parents=True)
    if entries:
        write(tmp_path / "upper" / "top" / "d15" / "added")
    pair = os.fsencode(tmp_path / "upper"), [os.fsencode(tmp_path / "lower")]
    snapshot = open_pair(*pair, userxattr=True)
    assert_same(snapshot, least=5)
    assert alone(snapshot)[1] == entries


def test_where_a_path_leads_the_process_elsewhere_it_is_done_without(
    snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = ReaderProcess.__init__
    (tmp_path / "elsewhere").mkdir()
    base = (snapshot.base[0], snapshot.base[1]._replace(path=os.fsencode(tmp_path / "elsewhere")))
    other = snapshot._replace(base=base, merged=snapshot.merged[:1] + base)
    monkeypatch.setattr(ReaderProcess, "__init__", lambda self, _, root: start(self, other, root))
    assert_same(snapshot, most=0)


@pytest.mark.parametrize("answers", [0, 1, 3])
def test_a_killed_process_is_done_without(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch, answers: int
) -> None:
    answer, left = ReaderProcess.answer, [answers]

    def killed(process: ReaderProcess) -> tuple[int, bytes, int]:
        if not left[0]:
            for child in children():
                os.kill(child, signal.SIGKILL)
        left[0] -= 1
        return answer(process)

    monkeypatch.setattr(ReaderProcess, "answer", killed)
    assert_same(snapshot)
    assert left[0] < 0


READY_FIRST = f"printf {READY.decode().strip()!r}'\\n'; cat >&2 &\n"


@pytest.mark.parametrize(
    "script",
    [
        "exit 1",
        "echo This is no such program.",
        "printf 'white'",
        READY_FIRST + "exit 0",
        READY_FIRST + "printf '\\001\\0\\0\\0\\001\\0'",
        READY_FIRST + "printf '\\001\\0\\0\\0\\001\\0\\0\\0\\0\\002\\0\\0half'",
        READY_FIRST + "yes",
    ],
)
def test_what_is_no_such_process_is_done_without(
    snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    assert_same(snapshot, most=0)


@pytest.mark.parametrize("program", ["", "/nonexistent"])
def test_where_no_process_can_be_started_it_is_done_without(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(sys, "executable", program)
    assert_same(snapshot, most=0)


def test_an_export_that_waits_for_the_process_can_be_cancelled(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, cancel = ReaderProcess.answer, CancelToken()

    def stopped(process: ReaderProcess) -> tuple[int, bytes, int]:
        for child in children():
            os.kill(child, signal.SIGSTOP)
        threading.Timer(0.1, cancel.cancel).start()
        while True:
            answer(process)

    monkeypatch.setattr(ReaderProcess, "answer", stopped)
    with pytest.raises(Cancelled):
        helped(snapshot, cancel)
    assert not children()


def test_an_abandoned_walk_leaves_no_process(snapshot: Snapshot) -> None:
    before = set(os.listdir("/proc/self/fd"))
    with snapshot.findings_in_rows() as found:
        next(found)
        assert len(children()) == 1
    assert not children()
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_child_that_somebody_else_waited_for_is_no_error(snapshot: Snapshot) -> None:
    with snapshot.findings_in_rows() as found:
        next(found)
        (child,) = children()
        os.kill(child, signal.SIGKILL)
        os.waitpid(-1, 0)
        following = list(found)
    assert following
    assert not children()


EXPORT = """
import os, sys
from whiteout import readahead
from whiteout.export import export_to_file
from whiteout.mediatypes import TAR
from whiteout.opening import open_pair

readahead.PATIENCE = float(sys.argv[1])
os.sched_getaffinity = lambda _: {0, 1}
upper, *lowers = map(os.fsencode, sys.argv[2:])
snapshot = open_pair(upper, lowers, userxattr=True)
export_to_file(snapshot, 1, media_type=TAR)
print("whiteout.readaheadprocess" in sys.modules, file=sys.stderr)
"""


def exporting(snapshot: Snapshot, patience: float) -> list[str]:
    paths = [os.fsdecode(layer.path) for layer in snapshot.merged]
    return [sys.executable, "-c", EXPORT, str(patience), *paths]


@pytest.fixture
def unread(snapshot: Snapshot) -> Iterator[subprocess.Popen[bytes]]:
    """An export into a pipe that nobody reads: it goes on until the pipe is full."""
    for number in range(60):
        for file in range(8):
            write(Path(os.fsdecode(snapshot.merged[0].path), f"e{number}", f"f{file}"), b"x" * 9999)
    with subprocess.Popen(exporting(snapshot, 0), stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


def until(happened: Callable[[], object]) -> None:
    while not happened():
        time.sleep(0.01)


def test_a_killed_export_leaves_no_process(unread: subprocess.Popen[bytes]) -> None:
    until(lambda: children(unread.pid) or unread.poll() is not None)
    (child,) = children(unread.pid)
    unread.kill()
    unread.wait()
    until(lambda: not command_line(child))  # which what has ended has not


def test_small_exports_start_nothing(snapshot: Snapshot) -> None:
    done = subprocess.run(exporting(snapshot, 1 << 30), capture_output=True, check=True)
    assert done.stderr == b"False\n"


def test_a_hostile_working_directory_has_no_say(
    snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    for module in ("whiteout/__init__.py", "pickle.py", "gc.py", "sitecustomize.py", "struct.py"):
        write(here / module, b"open('taken', 'w')\n")
    monkeypatch.chdir(here)
    monkeypatch.setenv("PYTHONPATH", str(here))
    assert_same(snapshot, least=5)
    assert not (here / "taken").exists()


def _of_fuse(snapshot: Snapshot) -> Snapshot:
    merged = tuple(layer._replace(fuse=True) for layer in snapshot.merged)
    return snapshot._replace(merged=merged, base=merged[1:])


@pytest.mark.parametrize(
    "other",
    [_of_fuse, lambda snapshot: snapshot._replace(rules=Rules.ORIGINAL)],
    ids=["fuse", "original rules"],
)
def test_where_the_process_could_give_nothing_none_is_started(
    snapshot: Snapshot,
    monkeypatch: pytest.MonkeyPatch,
    other: Callable[[Snapshot], Snapshot],
) -> None:
    monkeypatch.setattr(ReaderProcess, "__init__", None)  # which is no function
    assert_same(other(snapshot), most=0)


def test_one_processor_goes_alone(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {7})
    monkeypatch.setattr(ReaderProcess, "__init__", None)
    assert_same(snapshot, most=0)
