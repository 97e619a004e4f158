"""Power loss: nothing gets its name before its bytes are on the disk (fsync order, by strace).

A full disk: an export of any size on a disk of any size is whole, or nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.commands import command, environment, whiteout_process
from support.trees import File, make
from whiteout.contentstore import ContentStore
from whiteout.errors import StoreError
from whiteout.export import export_to_store
from whiteout.mediatypes import MEDIA_TYPES
from whiteout.opening import open_pair

_CALL = re.compile(r"^(\w+)\((.*)\) += (\d+)(?:<(.*)>)?$")
_FD = re.compile(r"\d+<([^>]*)>")


def snapshot_arguments(tmp_path: Path, size: int = 300_000) -> list[str]:
    upper = make(tmp_path / "upper", {"new": File(os.urandom(size)), "small": File(b"x")})
    lower = make(tmp_path / "lower", {})
    return [str(upper), "--lower", str(lower), "--userxattr"]


def traced(tmp_path: Path, *arguments: str) -> list[tuple[str, list[str], str]]:
    """The calls that name or save files, each with the paths of its descriptors and the names."""
    log = tmp_path / "trace"
    calls = "fsync,fdatasync,rename,renameat,renameat2,linkat,mkdirat,mkdir"
    subprocess.run(
        ["strace", "-y", "-o", log, "-e", f"trace={calls}", *command(*arguments)],
        check=True,
        env=environment(),
        stdout=subprocess.DEVNULL,
        timeout=120,
    )
    found = []
    for line in log.read_text().splitlines():
        match = _CALL.match(line)
        if match:
            paths = _FD.findall(match[2])
            names = re.findall(r'"([^"]*)"', match[2])
            found.append((match[1], paths, " ".join(names)))
    return found


def position(calls: list[tuple[str, list[str], str]], name: str, sign: str) -> int:
    for number, (call, paths, names) in enumerate(calls):
        if call == name and sign in " ".join([*paths, names]):
            return number
    raise AssertionError(f"no {name} of {sign} in {calls}")


@pytest.mark.peer("strace")
def test_a_blob_gets_its_name_when_it_is_on_the_disk(tmp_path: Path) -> None:
    store = tmp_path / "store"
    calls = traced(tmp_path, "export", *snapshot_arguments(tmp_path), "--store", str(store))
    saved = position(calls, "fsync", "/data")
    named = next(n for n, c in enumerate(calls) if c[0] == "renameat" and c[2].startswith("data "))
    kept = position(calls[named:], "fsync", "/blobs/sha256") + named
    labelled = position(calls[kept:], "fdatasync", "metadata.db") + kept
    assert saved < named < kept < labelled
    written = position(calls[labelled:], "fsync", "/.index.json.") + labelled
    tagged = position(calls[labelled:], "renameat", ".index.json.") + labelled
    assert written < tagged
    assert calls[tagged + 1][:2] == ("fsync", [str(store)])


@pytest.mark.peer("strace")
def test_a_file_gets_its_name_when_it_is_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    calls = traced(
        tmp_path, "export", *snapshot_arguments(tmp_path), "-o", str(tmp_path / "place" / "layer")
    )
    saved = next(n for n, c in enumerate(calls) if c[0] == "fsync")
    named = position(calls, "renameat", "layer")
    assert saved < named
    assert calls[named + 1][:2] == ("fsync", [str(tmp_path / "place")])


@contextmanager
def disk(tmp_path: Path, kilobytes: int) -> Iterator[Path]:
    point = tmp_path / "disk"
    point.mkdir(exist_ok=True)
    options = f"size={kilobytes}k,nr_inodes=0"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", point], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", point], check=True)


@pytest.mark.root
def test_disks_of_every_size(tmp_path: Path, tell: Callable[[str], None]) -> None:
    snapshot_arguments(tmp_path, 150_000)
    snapshot = open_pair(
        os.fsencode(tmp_path / "upper"), [os.fsencode(tmp_path / "lower")], userxattr=True
    )
    ends = {"whole": 0, "refused": 0}
    for kilobytes in range(16, 300, 12):
        with disk(tmp_path, kilobytes) as point:
            try:
                store = ContentStore(point / "store")
                export_to_store(
                    snapshot, store, media_type=MEDIA_TYPES[kilobytes // 12 % len(MEDIA_TYPES)]
                )
            except StoreError as error:
                assert "free some space" in str(error)
                ends["refused"] += 1
            else:
                ends["whole"] += 1
            blobs = point / "store" / "blobs" / "sha256"
            for blob in blobs.iterdir() if blobs.exists() else ():
                assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    tell(f"disks from 16 to 300 KiB: {ends}")
    assert min(ends.values()) > 3


@pytest.mark.root
def test_a_full_disk_is_one_sentence_of_the_command(tmp_path: Path) -> None:
    arguments = snapshot_arguments(tmp_path)
    with disk(tmp_path, 100) as point:
        told = whiteout_process("export", *arguments, "-o", point / "layer.tar.gz")
        assert told.status == 1
        assert told.stderr.startswith(b"whiteout: cannot write ")
        assert b"no space left on device" in told.stderr
        assert told.stderr.count(b"\n") == 1
        assert list(point.iterdir()) == []
