"""The commands as a user meets them: what they print, how they end, and how they fail."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.commands import Outcome, Run, command, environment, whiteout_process

Capture = pytest.CaptureFixture[bytes]

TAR = "application/vnd.oci.image.layer.v1.tar"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@pytest.fixture
def target(tmp_path: Path) -> list[str]:
    """Plain directories: one file added, one changed, one the same, one untouched.

    They carry no trusted.* marks, which --userxattr says, and so nothing is hidden from anybody.
    """
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    for layer in (upper, lower):
        (layer / "etc").mkdir(parents=True)
        (layer / "etc" / "same").write_bytes(b"same")
        os.utime(layer / "etc" / "same", ns=(10**18, 10**18))
    (lower / "etc" / "changed").write_bytes(b"before")
    (upper / "etc" / "changed").write_bytes(b"after, longer")
    (upper / "new").write_bytes(b"n")
    (lower / "untouched").write_bytes(b"u")
    return [str(upper), "--lower", str(lower), "--userxattr"]


def one_sentence(outcome: Outcome) -> str:
    """The only line of the complaint, which says whose it is."""
    text = outcome.stderr.decode()
    assert text.startswith("whiteout: "), outcome
    assert text.count("\n") == 1, outcome
    assert text.endswith("\n"), outcome
    assert "Traceback" not in text
    assert outcome.stdout == b"", outcome
    return text


# changes


def test_changes_prints_a_line_each_in_layer_order(run: Run, target: list[str]) -> None:
    assert run("changes", *target).done().stdout == b"M /etc/changed\nA /new\n"


def test_changes_null(run: Run, target: list[str]) -> None:
    assert run("changes", *target, "--null").done().stdout == b"M /etc/changed\0A /new\0"


def test_changes_skipped(run: Run, target: list[str]) -> None:
    skipped = run("changes", *target, "--skipped").done().stdout
    assert skipped == b"S /etc\nM /etc/changed\nS /etc/same\nA /new\n"


def test_changes_json_carries_the_reason(run: Run, target: list[str]) -> None:
    told = run("changes", *target, "--skipped", "--json").done().objects()
    assert [(each["kind"], each["path"], each["reason"]) for each in told] == [
        ("S", "/etc", "same"),
        ("M", "/etc/changed", "modified"),
        ("S", "/etc/same", "same"),
        ("A", "/new", "added"),
    ]
    for each in told:
        assert each["differ"] == "overlay"
        assert each["steps"]
        assert all({"question", "answer"} <= step.keys() for step in each["steps"])
    facts = told[1]["steps"][-1]["facts"]
    assert {"field": "size", "base": 6, "upper": 13, "equal": False} in facts


def test_changes_walking(run: Run, target: list[str]) -> None:
    walked = run("changes", *target, "--differ", "walking", "--json").done().objects()
    assert [(each["kind"], each["path"]) for each in walked] == [
        ("M", "/etc/changed"),
        ("A", "/new"),
    ]
    assert {each["differ"] for each in walked} == {"walking"}


def test_lower_directories_are_topmost_first(run: Run, tmp_path: Path) -> None:
    for name, content in (("upper", b"one"), ("top", b"one"), ("bottom", b"other!")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(content)
        os.utime(tmp_path / name / "file", ns=(10**18, 10**18))
    upper, top, bottom = (str(tmp_path / name) for name in ("upper", "top", "bottom"))
    user = (upper, "--userxattr")
    assert run("changes", *user, "--lower", top, "--lower", bottom).stdout == b""
    assert run("changes", *user, "--lower", bottom, "--lower", top).stdout == b"M /file\n"


def mounts_document(target: list[str]) -> bytes:
    upper, _, lower, _ = target
    bind = {"Type": "bind", "Source": lower, "Options": ["rbind", "ro"]}
    options = [
        "index=off",
        "userxattr",
        "workdir=/nowhere",
        f"upperdir={upper}",
        f"lowerdir={lower}",
    ]
    overlay = {"Type": "overlay", "Source": "overlay", "Options": options}
    return json.dumps({"lower": [bind], "upper": [overlay]}).encode()


@pytest.mark.parametrize("form", ["file", "stdin"])
def test_mounts(form: str, target: list[str], tmp_path: Path) -> None:
    document = tmp_path / "mounts.json"
    document.write_bytes(mounts_document(target))
    name, stdin = ("-", document.read_bytes()) if form == "stdin" else (str(document), b"")
    told = whiteout_process("changes", "--mounts", name, stdin=stdin).done()
    assert told.stdout == b"M /etc/changed\nA /new\n"


def test_a_pair_that_is_no_overlay_is_walked(run: Run, target: list[str], tmp_path: Path) -> None:
    upper, _, lower, _ = target
    mounts = [{"Type": "bind", "Source": source, "Options": []} for source in (lower, upper)]
    document = tmp_path / "mounts.json"
    document.write_text(json.dumps({"lower": mounts[:1], "upper": mounts[1:]}))
    told = run("changes", "--mounts", document, "--json").done().objects()
    assert [each["path"] for each in told] == ["/etc/changed", "/new", "/untouched"]
    assert [each["kind"] for each in told] == ["M", "A", "D"]
    assert {each["differ"] for each in told} == {"walking"}
    refused = run("changes", "--mounts", document, "--differ", "overlay")
    assert refused.status == 1
    assert "overlay" in one_sentence(refused)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_cannot_be_read_is_said_and_fails(run: Run, target: list[str]) -> None:
    closed = Path(target[0]) / "closed"
    closed.mkdir(mode=0)
    told = run("changes", *target)
    assert told.status == 1
    assert b"/closed" in told.stderr
    assert b"permission denied" in told.stderr
    assert b"A /new" in told.stdout


# explain


def test_explain_says_why(run: Run, target: list[str]) -> None:
    text = run("explain", *target, "/etc/changed").done().stdout.decode()
    assert text.startswith("M /etc/changed\n")
    assert "size 6 in the base, 13 here" in text


def test_explain_json_is_the_object_of_changes(run: Run, target: list[str]) -> None:
    changes = run("changes", *target, "--json").done().objects()
    for each in changes:
        (told,) = run("explain", *target, each["path"], "--json").done().objects()
        assert told == {**each, "attributes": told["attributes"]}


@pytest.mark.parametrize("path", ["/etc/same", "etc/same", "/etc", "/"])
def test_explain_what_is_skipped(path: str, run: Run, target: list[str]) -> None:
    assert run("explain", *target, path).done().stdout.startswith(b"S /")


def test_explain_what_is_not_there(run: Run, target: list[str]) -> None:
    told = run("explain", *target, "/no/such")
    assert told.status == 1
    assert one_sentence(told) == "whiteout: /no is neither in the snapshot nor in its base\n"


# export and verify


@pytest.mark.parametrize(
    ("words", "media_type"),
    [
        ((), f"{TAR}+gzip"),
        (("--compression", "none"), TAR),
        (("--compression", "gzip"), f"{TAR}+gzip"),
        (("--compression", "zstd"), f"{TAR}+zstd"),
        (("--media-type", TAR), TAR),
        (("--media-type", f"{TAR}+zstd", "--level", "19"), f"{TAR}+zstd"),
        (("--compression", "gzip", "--level", "1"), f"{TAR}+gzip"),
    ],
)
def test_export_to_a_store_and_verify(
    words: tuple[str, ...], media_type: str, run: Run, target: list[str], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    (told,) = run("export", *target, *words, "--store", store, "--json").done().objects()
    blob = Path(told["path"])
    assert told["mediaType"] == media_type
    assert told["digest"] == "sha256:" + hashlib.sha256(blob.read_bytes()).hexdigest()
    assert told["size"] == blob.stat().st_size
    assert DIGEST.fullmatch(told["diffID"])
    assert told["differ"] == "overlay"
    assert blob.is_relative_to(store / "blobs" / "sha256")
    (found,) = run("verify", told["digest"], "--store", store, "--json").done().objects()
    assert (found["ok"], found["diffID"], found["size"]) == (True, told["diffID"], told["size"])
    shown = run("verify", told["digest"], "--store", store).done().stdout.decode()
    assert told["digest"] in shown
    assert told["diffID"] in shown


def test_export_is_reproducible(run: Run, target: list[str], tmp_path: Path) -> None:
    for compression in ("none", "gzip", "zstd"):
        blobs = [tmp_path / f"{compression}{number}" for number in range(2)]
        for blob in blobs:
            assert run("export", *target, "--compression", compression, "-o", blob).status == 0
        assert blobs[0].read_bytes() == blobs[1].read_bytes()


def test_export_tells_the_same_in_words(run: Run, target: list[str], tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    (told,) = run("export", *target, "-o", blob, "--json").done().objects()
    words = run("export", *target, "-o", blob).done().stdout.decode()
    for field in ("mediaType", "digest", "diffID", "path"):
        assert told[field] in words


def test_export_says_what_it_cleaned_up(run: Run, target: list[str], tmp_path: Path) -> None:
    words = ("export", *target, "--store", tmp_path / "store")
    assert b"swept" not in run(*words).done().stdout
    dead = tmp_path / "store/ingest" / ("0" * 64)
    dead.mkdir()
    (dead / "ref").write_bytes(b"of a killed one")
    (dead / "data").write_bytes(bytes(1234))
    said = b"swept       1 unfinished export of processes that died, 1,234 bytes, removed from"
    assert said in run(*words).done().stdout
    assert not dead.exists()
    dead.mkdir()
    assert run(*words, "--json").done().objects()[0]["swept"] == [{"ref": "", "offset": 0}]


def test_export_to_standard_output_is_the_blob_alone(target: list[str], tmp_path: Path) -> None:
    told = whiteout_process("export", *target, "--compression", "none", "-o", "-")
    assert told.status == 0
    whiteout_process("export", *target, "--compression", "none", "-o", tmp_path / "b").done()
    assert told.stdout == (tmp_path / "b").read_bytes()
    assert len(told.stdout) % 512 == 0


def test_verify_finds_damage(run: Run, target: list[str], tmp_path: Path) -> None:
    store = tmp_path / "store"
    (told,) = run("export", *target, "--store", store, "--json").done().objects()
    blob = Path(told["path"])
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    found = run("verify", told["digest"], "--store", store)
    assert found.status == 1
    assert found.stdout == b""
    assert b"digest" in found.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_cannot_be_written(run: Run, target: list[str], tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    told = run("export", *target, "--store", closed / "store")
    assert told.status == 1
    assert "permission denied" in one_sentence(told)


def test_demo_can_be_built_and_read_by_anybody(run: Run, tmp_path: Path) -> None:
    assert run("demo", "--build-only", tmp_path / "demo").done().stdout
    (document,) = (tmp_path / "demo").glob("*.json")
    kinds = {kind for kind, _ in run("changes", "--mounts", document, "--null").pairs()}
    assert {"A", "M", "D"} <= kinds


# mistakes


def mistake(*words: str, status: int, says: str) -> object:
    return pytest.param(words, status, says, id=" ".join(words))


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        mistake("changes", status=2, says="TARGET"),
        mistake("changes", "MISSING", status=1, says="no such file"),
        mistake("changes", "UPPER", status=2, says="--lower"),
        mistake("changes", "FILE", status=1, says="not a directory"),
        mistake("changes", "UPPER", "--lower", "MISSING", status=1, says="no such file"),
        mistake("changes", "UPPER", "--lower", "FILE", status=1, says="not a directory"),
        mistake("changes", "FILE", "--lower", "LOWER", status=1, says="not a directory"),
        mistake("changes", "UPPER", "--lower", status=2, says="--lower"),
        mistake("changes", "UPPER", "more", "--lower", "LOWER", status=2, says="more"),
        mistake("changes", "TARGET", "--nonsense", status=2, says="--nonsense"),
        mistake("changes", "TARGET", "--json", "--null", status=2, says="--json"),
        mistake("changes", "TARGET", "--rules", "wrong", status=2, says="original"),
        mistake("changes", "TARGET", "--differ", "wrong", status=2, says="walking"),
        mistake("changes", "--mounts", "MISSING", status=1, says="no such file"),
        mistake("changes", "--mounts", "UPPER", status=1, says="is a directory"),
        mistake("changes", "--mounts", "FILE", status=2, says="JSON"),
        mistake("changes", "--mounts", "FILE", "--lower", "LOWER", status=2, says="--lower"),
        mistake("explain", "TARGET", status=2, says="PATH"),
        mistake("explain", "TARGET", "/missing", status=1, says="/missing"),
        mistake("explain", "TARGET", "/new/below", status=1, says="/new"),
        mistake("export", "TARGET", "--media-type", "text/plain", status=2, says=f"{TAR}+zstd"),
        mistake("export", "TARGET", "--compression", "lzma", status=2, says="zstd"),
        mistake("export", "TARGET", "--level", "x", status=2, says="--level"),
        mistake("export", "TARGET", "--level", "99", status=2, says="level"),
        mistake(
            "export", "TARGET", "--compression", "none", "--level", "1", status=2, says="level"
        ),
        mistake("export", "TARGET", "-o", "MISSING/blob", status=1, says="no such file"),
        mistake("export", "TARGET", "-o", "UPPER", status=1, says="directory"),
        mistake("export", "TARGET", "-o", "x", "--store", "STORE", status=2, says="--store"),
        mistake("export", "TARGET", "--store", "FILE", status=1, says="FILE"),
        mistake("export", "TARGET", "--store", "UPPER", status=1, says="UPPER"),
        mistake("verify", status=2, says="DIGEST"),
        mistake("verify", "sha256:12", "--store", "STORE", status=2, says="digest"),
        mistake("verify", f"sha256:{'0' * 64}", "--store", "MISSING", status=1, says="MISSING"),
        mistake("demo", "--build-only", "UPPER", status=2, says="UPPER"),
        mistake("demo", "--build-only", "FILE", status=1, says="FILE"),
        mistake("MISSING", status=1, says="no such file"),
        mistake("UPPER", status=2, says="--lower"),
        mistake("--nonsense", status=2, says="--nonsense"),
        mistake("--lower", "LOWER", status=2, says="TARGET"),
    ],
)
def test_mistakes_end_in_one_sentence(
    words: tuple[str, ...],
    status: int,
    says: str,
    run: Run,
    target: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "file"
    file.write_text("not [] of JSON")
    places = {
        "UPPER": target[0],
        "LOWER": target[2],
        "FILE": str(file),
        "MISSING": str(tmp_path / "missing"),
        "STORE": str(tmp_path / "store"),
    }
    arguments: list[str] = []
    for word in words:
        if word == "TARGET":
            arguments += target
        else:
            name, slash, rest = word.partition("/")
            arguments.append(places[name] + slash + rest if name in places else word)
    before = sorted(tmp_path.rglob("*"))
    told = run(*arguments)
    assert told.status == status, told
    text = one_sentence(told)
    assert places.get(says, says).lower() in text.lower()
    assert sorted(tmp_path.rglob("*")) == before, "nothing was left behind"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"lower": [], "upper": {}}',
        b'{"lower": [], "upper": [{}]}',
        b'{"lower": [], "upper": [1]}',
        b'{"lower": [], "upper": [{"Type": "bind", "Source": 1}]}',
        b'{"lower": [], "upper": [{"Type": "bind", "Source": "/", "Options": "x"}]}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
    ids=lambda document: repr(document[:60]),
)
def test_mounts_that_are_malformed(document: bytes, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "mounts.json"
    file.write_bytes(document)
    told = run("changes", "--mounts", file)
    assert told.status in (1, 2)
    one_sentence(told)


# pipes and signals


@pytest.mark.parametrize("words", [("changes",), ("changes", "--json"), ("export", "-o", "-")])
def test_a_reader_that_leaves(words: tuple[str, ...], tmp_path: Path) -> None:
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    upper.mkdir()
    lower.mkdir()
    for number in range(3000):
        (upper / f"a-rather-long-name-to-fill-the-pipe-soon-{number}").touch()
    arguments = command(words[0], upper, "--lower", lower, "--userxattr", *words[1:])
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1)
        process.stdout.close()
        complaint = process.stderr.read()
    assert process.returncode in (1, 128 + signal.SIGPIPE, -signal.SIGPIPE)
    assert b"Traceback" not in complaint
    assert b"BrokenPipe" not in complaint
    assert complaint.count(b"\n") <= 1


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never happened")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("way", ["file", "store"])
def test_an_interrupted_export_leaves_nothing(
    way: str, number: signal.Signals, tmp_path: Path
) -> None:
    upper, lower, out = tmp_path / "upper", tmp_path / "lower", tmp_path / "out"
    for directory in (upper, lower, out):
        directory.mkdir()
    with (upper / "holes").open("wb") as file:
        file.truncate(1 << 40)
    place = ("-o", out / "blob") if way == "file" else ("--store", out / "store")
    arguments = command("export", upper, "--lower", lower, "--userxattr", *place)
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        try:
            wait_for(lambda: process.poll() is not None or bytes_written(process.pid) > 1 << 17)
            process.send_signal(number)
            stdout, stderr = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode in (1, 128 + number)
    one_sentence(Outcome(process.returncode, stdout, stderr))
    assert not (out / "blob").exists()
    if way == "file":
        assert not list(out.iterdir())
    else:
        assert not list((out / "store").glob("ingest/*"))
        assert not list((out / "store").glob("blobs/sha256/*"))


def bytes_written(process: int) -> int:
    """What a process wrote so far: a file without a name can be seen in no directory."""
    fields = Path(f"/proc/{process}/io").read_text().split()
    return int(fields[fields.index("wchar:") + 1])


@pytest.mark.parametrize(
    ("closed", "words", "status"),
    [
        (">&-", ("changes",), 1),
        (">&-", ("changes", "--json"), 1),
        (">&-", ("export", "-o", "-"), 1),
        (">&-", ("export", "-o", "LAYER"), 1),
        (">&- 2>&-", ("export", "-o", "-"), 1),
        ("<&- 2>&-", ("export", "-o", "LAYER"), 0),
        ("<&-", ("changes", "--mounts", "-"), 1),
        ("> /dev/full", ("changes",), 1),
        ("> /dev/full", ("changes", "--help"), 1),
        ("> /dev/full", ("export", "-o", "-"), 1),
    ],
)
def test_closed_and_full_standard_streams(
    closed: str, words: tuple[str, ...], status: int, target: list[str], tmp_path: Path
) -> None:
    """No file that is opened is taken for one of them, and what cannot be written is said."""
    layer = tmp_path / "layer"
    names = [str(layer) if word == "LAYER" else word for word in words[1:]]
    places = [] if "--mounts" in words else target
    ended = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command(words[0], *places, *names)],
        capture_output=True,
        env=environment(),
        check=False,
    )
    assert ended.returncode == status, ended
    if status and "2>&-" not in closed:
        one_sentence(Outcome(ended.returncode, ended.stdout, ended.stderr))
    if layer.exists():
        with tarfile.open(layer) as archive:
            assert archive.getnames()


@pytest.mark.parametrize("closed", ["<&-", "</dev/null", "2>/dev/null", "<&- >&- 2>&-"])
def test_the_app_without_a_terminal(closed: str, target: list[str]) -> None:
    ended = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command(*target)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(),
        check=False,
        timeout=60,
    )
    assert ended.returncode == 2
    if "2>" not in closed:
        assert b"the app needs a terminal" in ended.stderr


def test_nothing_is_read_of_a_closed_standard_input() -> None:
    ended = subprocess.run(
        command("changes", "--mounts", "-"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(),
        check=False,
    )
    assert ended.returncode == 2
    one_sentence(Outcome(ended.returncode, ended.stdout, ended.stderr))


def test_the_module_can_be_run(run: Run) -> None:
    assert whiteout_process("--version").done().stdout == run("--version").done().stdout
