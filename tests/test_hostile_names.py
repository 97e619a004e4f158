"""File names of any bytes: none reaches a terminal raw, and ``--null`` gives them back."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support.commands import Outcome, whiteout

Capture = pytest.CaptureFixture[bytes]

HOSTILE = (
    b"[/]".replace(b"/", b"x"),
    b"[red]bold[",
    b"\x1b[31mred\x1b[0m",
    b"\x1b]0;title\x07",
    b"line\nbreak",
    b"carriage\rreturn",
    b"\xff\xfe",
    "\u202eright-to-left".encode(),
    "\u2066isolate\u2069".encode(),
    "\u200bzero".encode(),
    "\u2028separator".encode(),
    "\x9bcsi".encode(),
    b"\x9b31m",
    b"\x7f",
    b"back\\slash",
    b"-o",
    b"--json",
    b" ",
    b"n" * 255,
)

names = st.one_of(
    st.sampled_from(HOSTILE),
    st.binary(min_size=1, max_size=255),
    st.text(min_size=1, max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
).filter(
    lambda name: (
        0 < len(name) <= 255
        and b"/" not in name
        and b"\0" not in name
        and name not in (b".", b"..")
    )
)


def assert_harmless(*texts: bytes) -> None:
    """No control character but the newline, no bidirectional mark, nothing that is not UTF-8."""
    for data in texts:
        text = data.decode("utf-8")
        for character in text.replace("\n", ""):
            assert unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp"), (
                f"U+{ord(character):04X} in {text!r}"
            )


def assert_harmless_outcome(outcome: Outcome) -> Outcome:
    assert_harmless(outcome.stdout, outcome.stderr)
    assert b"Traceback" not in outcome.stderr
    return outcome


def make(top: bytes, entries: list[bytes]) -> None:
    os.mkdir(top)
    for number, name in enumerate(entries):
        path = os.path.join(top, name)
        if number % 3 == 0:
            os.mkdir(path)
            with open(os.path.join(path, name), "wb") as file:
                file.write(top[-1:])
        elif number % 3 == 1:
            os.symlink(name, path)
        else:
            with open(path, "wb") as file:
                file.write(top[-1:])


def test_the_measure_itself() -> None:
    for bad in ("\x1b", "\u202e", "\x9b", "\r", "\u2028", "\u200b"):
        with pytest.raises(AssertionError):
            assert_harmless(bad.encode())
    with pytest.raises(UnicodeDecodeError):
        assert_harmless(b"\xff")


@pytest.mark.long
@settings(max_examples=60)
@given(
    upper=st.lists(names, min_size=1, max_size=6, unique=True),
    lower=st.lists(names, max_size=6, unique=True),
)
@example(upper=list(HOSTILE), lower=list(reversed(HOSTILE)))
def test_every_command(
    upper: list[bytes],
    lower: list[bytes],
    capfdbinary: Capture,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = os.fsencode(tempfile.mkdtemp(dir=tmp_path_factory.getbasetemp()))
    try:
        make(root + b"/upper", upper)
        make(root + b"/lower", lower)
        target = (root + b"/upper", "--lower", root + b"/lower", "--userxattr")
        check_changes(capfdbinary, target, upper)
        for name in {*upper[:3], *lower[:3]}:
            for form in ((), ("--json",)):
                told = whiteout(capfdbinary, "explain", *target, *form, "--", b"/" + name)
                assert assert_harmless_outcome(told).status in (0, 1)
        blob = root + b"/" + upper[0] + b".out"
        if len(upper[0]) <= 200:
            told = whiteout(capfdbinary, "export", *target, "--json", "-o", blob)
            assert assert_harmless_outcome(told).status == 0
            assert os.fsencode(json.loads(told.stdout)["path"]) == blob
            told = whiteout(capfdbinary, "export", *target, "-o", blob)
            assert assert_harmless_outcome(told).status == 0
        told = whiteout(capfdbinary, "export", *target, "--store", root + b"/store")
        assert assert_harmless_outcome(told).status == 0
    finally:
        shutil.rmtree(root)


def check_changes(capture: Capture, target: tuple[str | bytes, ...], upper: list[bytes]) -> None:
    raw = whiteout(capture, "changes", *target, "--skipped", "--null").done().pairs()
    assert {path[1:] for _, path in raw if path.count(b"/") == 1} == set(upper)
    lines = assert_harmless_outcome(whiteout(capture, "changes", *target, "--skipped")).done()
    assert len(lines.stdout.splitlines()) == len(raw)
    objects = whiteout(capture, "changes", *target, "--skipped", "--json").done()
    assert_harmless_outcome(objects)
    told = [os.fsencode(each["path"]) for each in objects.objects()]
    assert told == [path for _, path in raw]


@settings(max_examples=60)
@given(name=names)
@example(name=b"\x1b[31mred")
@example(name=b"\xff\n")
def test_error_messages(
    name: bytes, capfdbinary: Capture, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = os.fsencode(tempfile.mkdtemp(dir=tmp_path_factory.getbasetemp()))
    try:
        os.mkdir(root + b"/there")
        missing = root + b"/missing-" + name[:200]
        there = root + b"/there"
        pair = (there, "--lower", there, "--userxattr")
        for words in (
            ("changes", missing),
            ("changes", missing, "--lower", there),
            ("changes", there, "--lower", missing),
            ("changes", "--mounts", missing),
            ("explain", *pair, missing),
            ("export", *pair, "-o", missing + b"/blob"),
            ("export", *pair, "--media-type=no-" + os.fsdecode(name)),
            ("export", *pair, "--compression=no-" + os.fsdecode(name)),
            ("export", *pair, "--ref=" + os.fsdecode(name), "--level=x"),
            ("verify", "--store", missing, "sha256:" + "0" * 64),
            ("verify", "--store", there, "--", name),
            ("changes", *pair, "--rules=no-" + os.fsdecode(name)),
            ("changes", *pair, b"--no-" + name),
        ):
            told = assert_harmless_outcome(whiteout(capfdbinary, *words))
            assert told.status in (1, 2), words
            assert told.stdout == b""
            assert told.stderr.count(b"\n") == 1
    finally:
        shutil.rmtree(root)


def test_mounts_with_hostile_values(tmp_path: Path, capfdbinary: Capture) -> None:
    document = tmp_path / "mounts.json"
    for value in ("\x1b[31m", "\u202e", "\udcff", "a\nb"):
        mount = {"Type": value, "Source": value, "Options": [value]}
        document.write_text(json.dumps({"lower": [mount], "upper": [mount]}))
        for form in ("overlay", "walking", "auto"):
            told = whiteout(capfdbinary, "changes", "--mounts", document, "--differ", form)
            assert assert_harmless_outcome(told).status in (1, 2)
