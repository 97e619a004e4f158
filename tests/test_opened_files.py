"""Files opened as they are looked up, for the export: the same verdicts, and none stays open."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from whiteout.cancel import NEVER
from whiteout.differ import Finding, FoundInRows, PlainDirectory, PlainFiles
from whiteout.errors import ReadError, SnapshotChanged
from whiteout.idmap import IdMap, IdRange
from whiteout.layerentries import LayerPlan
from whiteout.layers import Directories, Layer
from whiteout.opening import open_pair
from whiteout.snapshot import Snapshot
from whiteout.tarwriter import TarWriter
from whiteout.verdicts import Reason

WHOLE_SECONDS = 1_700_000_000 * 10**9


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(WHOLE_SECONDS, WHOLE_SECONDS))


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    """Added, changed, same and opaque entries of every common type over two lower layers."""
    upper, lower, lowest = tmp_path / "upper", tmp_path / "lower", tmp_path / "lowest"
    for layer, content in ((lowest, b"one"), (lower, b"two"), (upper, b"two")):
        for directory in ("merged", "opaque"):
            for number in range(12):
                write(layer / directory / f"f{number}", content)
    for name in ("merged/f3", "opaque/f4"):
        write(upper / name, b"not")
    write(upper / "merged" / "new" / "file", b"x" * 5000)
    write(upper / "merged" / "new" / "empty", b"")
    os.link(upper / "merged" / "new" / "file", upper / "merged" / "new" / "link")
    os.symlink("f1", upper / "merged" / "symlink")
    os.mkfifo(upper / "merged" / "fifo")
    os.setxattr(upper / "opaque", "user.overlay.opaque", b"y")
    return open_pair(os.fsencode(upper), [os.fsencode(lower), os.fsencode(lowest)], userxattr=True)


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_the_findings_of_an_export_are_the_verdicts_that_are_shown(snapshot: Snapshot) -> None:
    list(snapshot.changes())  # so that no directory gets another time of access later
    with snapshot.findings(opens_files=True) as findings:
        found = [finding.verdict for finding in findings]
    assert found == list(snapshot.changes(skipped=True))
    assert {verdict.reason.value for verdict in found} >= {"added", "modified", "same"}


def test_a_finding_holds_its_file_until_the_next_one(snapshot: Snapshot) -> None:
    before = open_descriptors()
    with snapshot.findings(opens_files=True) as findings:
        nodes = [finding.node for finding in findings if finding.node is not None]
        files = [node for node in nodes if node.is_file]
        contents = []
        for node in files:  # all of them are closed by now, and are opened again
            with open(node.open_file(), "rb") as file:
                contents.append(file.read())
    assert len(contents[0]) == 3 and b"x" * 5000 in contents
    assert open_descriptors() == before


@pytest.mark.parametrize("stop", [1, 7, 20])
def test_an_abandoned_walk_leaves_nothing_open(snapshot: Snapshot, stop: int) -> None:
    before = open_descriptors()
    with snapshot.findings(opens_files=True) as findings:
        for _ in range(stop):
            next(findings)
    assert open_descriptors() == before


def swap_for_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def swap_for_symlink(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("swap", [swap_for_fifo, swap_for_symlink, remove])
def test_what_replaced_a_listed_file_is_judged_as_what_it_is(
    tmp_path: Path, swap: Callable[[Path], None]
) -> None:
    for name in ("a", "b"):
        write(tmp_path / "upper" / name, b"file")
    (tmp_path / "lower").mkdir()
    snapshot = open_pair(os.fsencode(tmp_path / "upper"), [os.fsencode(tmp_path / "lower")])
    with snapshot.findings(opens_files=True) as findings:
        first = next(findings)
        swap(tmp_path / "upper" / "b")
        rest: list[Finding] = list(findings)
    assert first.verdict.path == b"/a"
    if swap is remove:
        assert [finding.verdict.reason for finding in rest] == [Reason.UNREADABLE]
    else:
        entry = rest[0].verdict.upper
        assert entry is not None and entry.stat == os.lstat(tmp_path / "upper" / "b")


def test_a_directory_that_was_expected_to_lack_names_shows_those_it_has(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path / f"f{number}", b"")
    with Directories() as pool:
        few, many = (pool.root(Layer(os.fsencode(tmp_path))) for _ in range(2))
        few.expect(1)  # the directory is longer than twice that, and so is not read to its end
        many.expect(100)
        for directory in (few, many):
            found = [directory.lstat(b"f%d" % number) is not None for number in range(7)]
            assert found == [True] * 5 + [False] * 2


def tar_of(rows: Iterable[FoundInRows]) -> tuple[bytes, int]:
    """The tar, and how many entries of it came in rows."""
    written: list[bytes] = []
    plan, writer, in_rows = LayerPlan(), TarWriter(written.append, NEVER), 0
    for found in rows:
        writer.write_found(found, plan)
        if isinstance(found, PlainFiles):
            in_rows += len(found.files)
    writer.finish()
    return b"".join(written), in_rows


def tar_or_error(rows: Iterable[FoundInRows]) -> tuple[bytes | str, int]:
    try:
        return tar_of(rows)
    except ReadError as error:
        return str(error), 0


def assert_same_tar(snapshot: Snapshot, least: int) -> None:
    with snapshot.findings() as findings:
        expected, none = tar_or_error(findings)
    with snapshot.findings_in_rows() as rows:
        found, in_rows = tar_or_error(rows)
    assert found == expected
    assert none == 0 and in_rows >= least
    everything = list(snapshot.changes(skipped=True))
    recorded = [v for v in everything if v.kind is not None or v.reason is Reason.UNREADABLE]
    assert list(snapshot.changes()) == recorded


@pytest.mark.parametrize("differ", ["overlay", "walking"])
def test_files_in_rows_make_the_same_tar(snapshot: Snapshot, tmp_path: Path, differ: str) -> None:
    upper = tmp_path / "upper"
    odd = upper / "merged" / "added"
    for number in range(600):  # more than one row
        write(odd / f"f{number:03}", b"c" * (number % 513))
    write(odd / "é".ljust(120, "n"), b"a PAX header")
    write(odd / ("p" * 90) / ("q" * 90), b"a prefix")
    write(odd / "whiteout", b"")
    os.setxattr(odd / "whiteout", "user.overlay.whiteout", b"y")
    write(odd / "attribute", b"kept apart from what matters")
    os.setxattr(odd / "attribute", "user.comment", b"-")
    write(odd / "large", b"l" * (1 << 20))
    write(odd / "before 1970", b"")
    os.utime(odd / "before 1970", ns=(-1, -1))
    snapshot = open_pair(
        os.fsencode(upper),
        [os.fsencode(tmp_path / "lower"), os.fsencode(tmp_path / "lowest")],
        userxattr=True,
        differ=differ,
    )
    assert_same_tar(snapshot, 600 if differ == "overlay" else 0)


_NAMES = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=60)


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(_NAMES.filter(lambda name: name not in (".", "..")), st.integers(0, 7)),
    st.integers(0, 0o7777),
)
def test_rows_are_nothing_but_findings_read_ahead(kinds: dict[str, int], mode: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        upper, lower = Path(directory, "upper"), Path(directory, "lower")
        for place in (upper, upper / "new", lower):
            place.mkdir()
        linked = 0
        for name, kind in kinds.items():
            file = (upper / "new" if kind % 2 else upper) / name
            if len(os.fsencode(name)) > 255 or file.exists():
                continue
            write(file, b"x" * kind * 300)
            if kind == 3:
                linked += 1
                os.link(file, upper / f"{linked}.link")
            if kind == 4:
                write(lower / name, b"x" * kind * 300)
            if kind == 5:
                file.chmod(mode | 0o400)
        assert_same_tar(open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True), 0)


#: What a layer may have under a name: nothing, a directory of some sort, or something else.
_KINDS = (
    "none",
    "plain",
    "plain",
    "plain",
    "mode",
    "comment",
    "opaque",
    "whiteout",
    "file",
    "link",
)
_PLACES = [
    f"{above}/{below}".strip("/") for above in ("a", "b", "c", "d", "e") for below in ("", "x")
]


def _put(place: Path, kind: str) -> None:
    if kind == "none" or (place.parent.exists() and not place.parent.is_dir()):
        return
    if kind in ("file", "link", "whiteout"):
        place.parent.mkdir(exist_ok=True)
        if kind == "link":
            place.symlink_to("a")
            return
        place.touch()
        if kind == "whiteout":
            os.setxattr(place, "user.overlay.whiteout", b"y")
        return
    place.mkdir(parents=True, exist_ok=True)
    write(place / kind, kind.encode())
    if kind == "mode":
        place.chmod(0o700)
    elif kind == "comment":
        os.setxattr(place, "user.comment", b"-")
    elif kind == "opaque":
        os.setxattr(place, "user.overlay.opaque", b"y")


_LAYER = st.lists(st.sampled_from(_KINDS), min_size=len(_PLACES), max_size=len(_PLACES))


@settings(max_examples=60, deadline=None)
@given(st.lists(_LAYER, min_size=2, max_size=5), st.booleans())
def test_plain_directories_are_nothing_but_findings(layers: list[list[str]], mapped: bool) -> None:
    with tempfile.TemporaryDirectory() as directory:
        places = [Path(directory, str(number)) for number in range(len(layers))]
        for layer, kinds in zip(places, layers, strict=True):
            layer.mkdir()
            for place, kind in zip(_PLACES, kinds, strict=True):
                if not (layer / place).parent.is_symlink():
                    _put(layer / place, kind)
        upper, *lower = map(os.fsencode, places)
        snapshot = open_pair(upper, lower, userxattr=True)
        if mapped:
            ids = (IdRange(5, os.geteuid(), 1),), (IdRange(5, os.getegid(), 1),)
            idmap = IdMap(*ids)
            merged = tuple(layer._replace(idmap=idmap) for layer in snapshot.merged)
            snapshot = snapshot._replace(merged=merged, base=merged[1:])
        assert_same_tar(snapshot, 0)


def test_plain_directories_are_found_without_a_finding(tmp_path: Path) -> None:
    for layer in ("upper", "lower", "lowest"):
        for name in ("both", "odd"):
            write(tmp_path / layer / name / "below" / layer, b"content")
    write(tmp_path / "upper" / "new" / "f", b"content")
    (tmp_path / "upper" / "odd").chmod(0o700)
    snapshot = open_pair(
        os.fsencode(tmp_path / "upper"),
        [os.fsencode(tmp_path / "lower"), os.fsencode(tmp_path / "lowest")],
        userxattr=True,
    )
    with snapshot.findings_in_rows() as rows:
        found = [
            (row.path, row.recorded) if isinstance(row, PlainDirectory) else row.verdict.path
            for row in rows
            if not isinstance(row, PlainFiles)
        ]
    assert found == [
        (b"/both", False),
        (b"/both/below", False),
        (b"/new", True),
        b"/odd",
        (b"/odd/below", False),
    ]
    assert_same_tar(snapshot, 3)


_CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)  # cap_net_bind_service=ep


def _same(upper: Path, base: Path) -> None:
    pass


def _other_content(upper: Path, base: Path) -> None:
    write(upper, b"uppr!")


def _other_size(upper: Path, base: Path) -> None:
    write(upper, b"longer")


def _empty(upper: Path, base: Path) -> None:
    write(upper, b"")


def _both_empty(upper: Path, base: Path) -> None:
    write(upper, b"")
    write(base, b"")


def _other_mode(upper: Path, base: Path) -> None:
    upper.chmod(0o600)


def _same_nanoseconds(upper: Path, base: Path) -> None:
    write(upper, b"uppr!")
    for file in (upper, base):
        os.utime(file, ns=(WHOLE_SECONDS, WHOLE_SECONDS + 7))


def _other_nanoseconds(upper: Path, base: Path) -> None:
    os.utime(upper, ns=(WHOLE_SECONDS, WHOLE_SECONDS + 7))


def _linked(upper: Path, base: Path) -> None:
    os.link(upper, upper.with_suffix(".link"))


def _only_upper(upper: Path, base: Path) -> None:
    base.unlink()


def _only_base(upper: Path, base: Path) -> None:
    upper.unlink()


def _whiteout_in_base(upper: Path, base: Path) -> None:
    write(upper, b"")
    write(base, b"")
    os.setxattr(base, "user.overlay.whiteout", b"y")


def _whiteout_in_upper(upper: Path, base: Path) -> None:
    write(upper, b"")
    os.setxattr(upper, "user.overlay.whiteout", b"y")


def _whiteout_of_an_empty_file(upper: Path, base: Path) -> None:
    _both_empty(upper, base)
    os.setxattr(upper, "user.overlay.whiteout", b"y")


def _capability_in_upper(upper: Path, base: Path) -> None:
    with suppress(PermissionError):  # not everybody may give one
        os.setxattr(upper, "security.capability", _CAPABILITY)


def _capability_in_base(upper: Path, base: Path) -> None:
    with suppress(PermissionError):
        os.setxattr(base, "security.capability", _CAPABILITY)


def _directory_in_base(upper: Path, base: Path) -> None:
    base.unlink()
    write(base / "below", b"")


def _directories(upper: Path, base: Path) -> None:
    for place in (upper, base):
        place.unlink()
        write(place / "below", b"")


def _symlink_in_base(upper: Path, base: Path) -> None:
    base.unlink()
    base.symlink_to(upper)


def _symlink_in_upper(upper: Path, base: Path) -> None:
    upper.unlink()
    upper.symlink_to(base)


def _metacopy_in_upper(upper: Path, base: Path) -> None:
    os.setxattr(upper, "user.overlay.metacopy", b"")


_RELATIONS = (
    *(_same, _other_content, _other_size, _empty, _both_empty, _other_mode),
    *(_same_nanoseconds, _other_nanoseconds, _linked, _only_upper, _only_base),
    *(_whiteout_in_base, _whiteout_in_upper, _whiteout_of_an_empty_file),
    *(_capability_in_upper, _capability_in_base, _directory_in_base, _directories),
    *(_symlink_in_base, _symlink_in_upper, _metacopy_in_upper),
)
_MOSTLY_THE_SAME = st.one_of(st.just(_same), st.just(_other_size), st.sampled_from(_RELATIONS))
_EACH_AMONG_SAME = [relation for each in _RELATIONS[:-1] for relation in (_same, each, _same)]


@example(_EACH_AMONG_SAME, "y", 0, True)
@example(_EACH_AMONG_SAME, "", 3, True)
@example(_EACH_AMONG_SAME, "y", 2, False)
@settings(max_examples=60, deadline=None)
@given(
    st.lists(_MOSTLY_THE_SAME, min_size=1, max_size=30),
    st.sampled_from(["y", "x", ""]),
    st.integers(0, 3),
    st.booleans(),
)
def test_files_of_the_base_in_rows_make_the_same_tar(
    relations: list[Callable[[Path, Path], None]], opaque: str, lowest: int, userxattr: bool
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        layers = [root / "upper", root / "lower", root / "lowest"]
        for layer in layers:
            (layer / "d").mkdir(parents=True)
        for number, relation in enumerate(relations):
            below = layers[2] if lowest and number % 4 < lowest else layers[1]
            pair = layers[0] / "d" / f"f{number:02}", below / "d" / f"f{number:02}"
            for file in pair:
                write(file, b"upper")
            relation(*pair)
        if opaque:
            os.setxattr(layers[0] / "d", "user.overlay.opaque", opaque.encode())
        lowers = [os.fsencode(layer) for layer in layers[1 : 3 if lowest else 2]]
        for differ in ("overlay", "walking"):
            snapshot = open_pair(os.fsencode(layers[0]), lowers, userxattr=userxattr, differ=differ)
            assert_same_tar(snapshot, 0)


def test_what_is_the_same_as_in_the_base_makes_no_finding(tmp_path: Path) -> None:
    for layer in ("upper", "lower"):
        for number in range(400):
            write(tmp_path / layer / "d" / f"f{number:03}", b"same")
    write(tmp_path / "upper" / "d" / "f200", b"diff")
    os.setxattr(tmp_path / "upper" / "d", "user.overlay.opaque", b"y")
    snapshot = open_pair(
        os.fsencode(tmp_path / "upper"), [os.fsencode(tmp_path / "lower")], userxattr=True
    )
    with snapshot.findings_in_rows() as rows:
        paths = [row.verdict.path for row in rows if isinstance(row, Finding)]
    assert paths == [b"/d", b"/d/f200"]


def test_a_file_that_changes_its_size_in_a_row_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "upper" / "new" / "f", b"12345")
    (tmp_path / "lower").mkdir()
    snapshot = open_pair(os.fsencode(tmp_path / "upper"), [os.fsencode(tmp_path / "lower")])
    read = os.read

    def growing(descriptor: int, size: int) -> bytes:
        with (tmp_path / "upper" / "new" / "f").open("ab") as file:
            file.write(b"more")
        return read(descriptor, size)

    with snapshot.findings_in_rows() as rows:
        monkeypatch.setattr(os, "read", growing)
        with pytest.raises(SnapshotChanged, match="grew while it was read"):
            list(rows)
