"""Every golden case through the real commands: the same changes and the same layer, byte for byte.

Where BuildKit's overlay differ refuses and the walking differ answers, that answer is right, as it
is what BuildKit falls back to. Where both fail, ``support/own_answers.py`` says what is right.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.commands import Outcome, command, environment, whiteout, whiteout_process
from support.overlay import overlay, stack_options
from support.own_answers import OWN_ANSWERS, WALKING_AS_OVERLAY
from support.snapshot_case import (
    Answer,
    Change,
    Header,
    SnapshotCase,
    case_names,
    load_case,
)
from support.tarheaders import decode_headers, first_difference

pytestmark = pytest.mark.root

NAMES = case_names()
TAR = "application/vnd.oci.image.layer.v1.tar"
MEDIA_TYPES = {"none": TAR, "gzip": f"{TAR}+gzip", "zstd": f"{TAR}+zstd"}

#: Layers of gigabytes of holes: exported once, as plain tar, and hashed on the way.
#: Layers too large to keep; the largest is not even read by the test, which would take long.
LARGE = frozenset({"sparse_2g", "sparse_8g"})

Capture = pytest.CaptureFixture[bytes]


@dataclass(frozen=True, slots=True)
class Built:
    case: SnapshotCase
    root: Path
    mounts: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Built]:
    """Builds a case when it is asked for the first time."""
    known: dict[str, Built] = {}

    def build(name: str) -> Built:
        if name not in known:
            case = load_case(name)
            root = tmp_path_factory.mktemp(name)
            case.build(root / "case")
            document = root / "mounts.json"
            document.write_text(json.dumps(case.mounts(root / "case")))
            known[name] = Built(case, root / "case", document)
        return known[name]

    return build


@dataclass(frozen=True, slots=True)
class Expected:
    """The right answer; ``headers`` stands for the layer where no program gave a diffID."""

    changes: tuple[Change, ...]
    diff_id: str | None
    size: int
    headers: tuple[Header, ...] | None
    differ: str


def expected_overlay(case: SnapshotCase) -> Expected:
    if case.name in OWN_ANSWERS:
        own = OWN_ANSWERS[case.name]
        return Expected(own.changes, None, 0, own.headers, "overlay")
    if case.buildkit.changes is not None and case.buildkit.diff_id is not None:
        return _from(case.buildkit, case.headers, "overlay")
    # BuildKit falls back to the walking differ; ours reads such marks itself and says the same.
    return _from(case.walking, None, "overlay")


def expected_walking(case: SnapshotCase) -> Expected:
    if case.name in OWN_ANSWERS:
        own = OWN_ANSWERS[case.name]
        return Expected(own.changes, None, 0, own.headers, "walking")
    if case.name in WALKING_AS_OVERLAY:
        return _from(case.buildkit, case.headers, "walking")
    same = case.walking.diff_id == case.buildkit.diff_id
    return _from(case.walking, case.headers if same else None, "walking")


def _from(answer: Answer, headers: tuple[Header, ...] | None, differ: str) -> Expected:
    assert answer.changes is not None
    assert answer.diff_id is not None
    return Expected(answer.changes, answer.diff_id, answer.size, headers, differ)


def test_every_case_has_a_right_answer() -> None:
    assert len(NAMES) == 127
    for name in NAMES:
        case = load_case(name)
        assert expected_walking(case)
        assert (expected_overlay(case).size > 64 << 20) == (name in LARGE)


@pytest.mark.parametrize("name", NAMES)
def test_changes(name: str, built: Callable[[str], Built], capfdbinary: Capture) -> None:
    snapshot = built(name)
    want = expected_overlay(snapshot.case).changes
    told = whiteout(capfdbinary, "changes", "--mounts", snapshot.mounts, "--null").done()
    assert told.pairs() == want
    lines = whiteout(capfdbinary, "changes", "--mounts", snapshot.mounts, "--json").done()
    assert changes_in(lines) == want


@pytest.mark.parametrize("name", NAMES)
def test_changes_walking(name: str, built: Callable[[str], Built], capfdbinary: Capture) -> None:
    snapshot = built(name)
    arguments = ("changes", "--mounts", snapshot.mounts, "--differ", "walking", "--null")
    told = whiteout(capfdbinary, *arguments).done()
    assert told.pairs() == expected_walking(snapshot.case).changes


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.long) if name in LARGE else name for name in NAMES],
)
def test_export(
    name: str, built: Callable[[str], Built], capfdbinary: Capture, tmp_path: Path
) -> None:
    snapshot = built(name)
    expected = expected_overlay(snapshot.case)
    if name in LARGE:
        look = told_of_stream if name == "sparse_8g" else streamed
        assert look(snapshot.mounts) == (expected.diff_id, expected.size)
        return
    for compression, media_type in MEDIA_TYPES.items():
        check_export(
            capfdbinary,
            tmp_path / compression,
            expected,
            ("--mounts", snapshot.mounts, "--media-type", media_type),
            compression,
        )


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LARGE])
def test_export_walking(
    name: str, built: Callable[[str], Built], capfdbinary: Capture, tmp_path: Path
) -> None:
    snapshot = built(name)
    expected = expected_walking(snapshot.case)
    arguments = ("--mounts", snapshot.mounts, "--differ", "walking", "--compression", "none")
    check_export(capfdbinary, tmp_path / "layer", expected, arguments, "none")


def check_export(
    capture: Capture,
    blob: Path,
    expected: Expected,
    arguments: tuple[str | Path, ...],
    compression: str,
) -> None:
    """Export to *blob*, and hold the file and what the command says of it against *expected*."""
    (told,) = whiteout(capture, "export", *arguments, "-o", blob, "--json").done().objects()
    compressed = blob.read_bytes()
    layer = decompress(compressed, compression)
    if expected.diff_id is None:
        assert expected.headers is not None
        assert list(decode_headers(layer)) == list(expected.headers)
        assert layer.endswith(bytes(1024))
    elif digest(layer) != expected.diff_id:
        headers = list(expected.headers or ())
        where = first_difference(headers, layer) if headers else "(no headers are kept of it)"
        pytest.fail(f"not the layer that is right: {where}")
    assert told["mediaType"] == MEDIA_TYPES[compression]
    assert told["digest"] == digest(compressed)
    assert told["size"] == len(compressed)
    assert told["diffID"] == digest(layer)
    assert told["differ"] == expected.differ
    assert told["path"] == str(blob)


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def decompress(data: bytes, compression: str) -> bytes:
    if compression == "gzip":
        return gzip.decompress(data)
    if compression == "zstd":
        import zstandard

        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)) as reader:
            return reader.read()
    return data


def changes_in(outcome: Outcome) -> tuple[Change, ...]:
    return tuple((told["kind"], os.fsencode(told["path"])) for told in outcome.objects())


def streamed(mounts: Path) -> tuple[str, int]:
    """The diffID and size of a layer too large to keep, through a pipe."""
    hasher = hashlib.sha256()
    size = 0
    with subprocess.Popen(
        streaming(mounts), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()
    ) as process:
        assert process.stdout is not None
        while chunk := process.stdout.read(1 << 20):
            hasher.update(chunk)
            size += len(chunk)
    assert process.returncode == 0
    return f"sha256:{hasher.hexdigest()}", size


def told_of_stream(mounts: Path) -> tuple[str, int]:
    """The same, as the command says it of a layer that nobody reads."""
    done = subprocess.run(
        streaming(mounts),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(),
        check=True,
        timeout=300,
    )
    told = json.loads(done.stderr)
    return told["diffID"], told["size"]


def streaming(mounts: Path) -> list[str | bytes | Path]:
    return command("export", "--mounts", mounts, "--compression", "none", "-o", "-", "--json")


PROCESS_CASES = ("add", "names_nonutf8", "opaque_recreate", "setcap")


@pytest.mark.parametrize("name", PROCESS_CASES)
def test_the_same_in_a_process_of_its_own(name: str, built: Callable[[str], Built]) -> None:
    snapshot = built(name)
    expected = expected_overlay(snapshot.case)
    document = snapshot.mounts.read_bytes()
    told = whiteout_process("changes", "--mounts", "-", "--null", stdin=document).done()
    assert told.pairs() == expected.changes
    arguments = ("export", "--mounts", snapshot.mounts, "--compression", "none", "-o", "-")
    exported = whiteout_process(*arguments)
    assert exported.status == 0, exported
    assert digest(exported.stdout) == expected.diff_id


OTHER_WAYS_CASES = (
    "add",
    "delete",
    "hardlink_upper",
    "lowers_3",
    "names_odd",
    "opaque_lower_layers",
    "opaque_recreate",
    "setcap",
    "whiteout_chain",
)


@pytest.mark.parametrize("name", OTHER_WAYS_CASES)
def test_the_same_from_an_upperdir_and_its_lowerdirs(
    name: str, built: Callable[[str], Built], capfdbinary: Capture, tmp_path: Path
) -> None:
    snapshot = built(name)
    *lowerdirs, upperdir = snapshot.case.layer_directories(snapshot.root)
    target: list[str | Path] = [upperdir]
    for lowerdir in reversed(lowerdirs):
        target += ["--lower", lowerdir]
    check_target(capfdbinary, tmp_path, snapshot.case, target)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[Built], Path]]:
    """Mounts the overlay of a case."""
    import contextlib

    with contextlib.ExitStack() as stack:

        def mount(snapshot: Built) -> Path:
            *lowerdirs, upperdir = map(os.fsencode, snapshot.case.layer_directories(snapshot.root))
            work = os.fsencode(tmp_path / "work")
            os.mkdir(work)
            options = stack_options(lowerdirs[::-1], upperdir, work)
            return stack.enter_context(overlay(tmp_path / "merged", options))

        yield mount


@pytest.mark.parametrize("name", OTHER_WAYS_CASES)
def test_the_same_from_a_mount_point(
    name: str,
    built: Callable[[str], Built],
    mounted: Callable[[Built], Path],
    capfdbinary: Capture,
    tmp_path: Path,
) -> None:
    snapshot = built(name)
    check_target(capfdbinary, tmp_path, snapshot.case, [mounted(snapshot)])


def check_target(
    capture: Capture, directory: Path, case: SnapshotCase, target: list[str | Path]
) -> None:
    expected = expected_overlay(case)
    told = whiteout(capture, "changes", *target, "--null").done()
    assert told.pairs() == expected.changes
    blob = directory / "layer"
    check_export(capture, blob, expected, (*target, "--compression", "none"), "none")


def test_a_wrong_layer_is_told_by_its_first_different_header() -> None:
    headers: list[Header] = [{"name": "f", "type": "0", "mode": "0o644", "mtime": 1}]
    assert "the layer lacks" in first_difference(headers, bytes(1024))
