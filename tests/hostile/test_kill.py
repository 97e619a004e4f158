"""Killed at any moment: a store holds only whole blobs, and the next export cleans up."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support.commands import python
from support.trees import File, make
from whiteout import outfile
from whiteout.contentstore import ContentStore
from whiteout.export import export_to_file, export_to_store
from whiteout.labels import UNCOMPRESSED
from whiteout.layoutfiles import read_index
from whiteout.mediatypes import GZIP, TAR
from whiteout.opening import open_pair
from whiteout.snapshot import Snapshot
from whiteout.verify import verify_blob

_KILLS = {"store": 200, "file": 100}

#: Exports again and again, each time in a child that is killed after a random part of the time that
#: a whole export takes; prints how many were killed, and how many were done before.
_KILLER = """
import json, os, random, signal, sys, time
from whiteout.contentstore import ContentStore
from whiteout.export import export_to_file, export_to_store
from whiteout.mediatypes import GZIP, TAR, ZSTD
from whiteout.opening import open_pair

upper, lower, target, kind, kills = sys.argv[1:]
snapshot = open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True)
types = (TAR, GZIP, ZSTD)

def export(number):
    with open(upper + "/changing", "w") as file:
        file.write(f"{number}" * 1000)
    if kind == "store":
        store = ContentStore(target)
        export_to_store(snapshot, store, media_type=types[number % 3], ref=f"r{number % 2}")
    else:
        export_to_file(snapshot, os.fsencode(target), media_type=types[number % 3])

random.seed(20)
spans = []
for number in range(3):
    started = time.monotonic()
    pid = os.fork()
    if not pid:
        export(number)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    spans.append(time.monotonic() - started)
ends = {"killed": 0, "done": 0}
for number in range(3, 3 + int(kills)):
    pid = os.fork()
    if not pid:
        export(number)
        os._exit(0)
    time.sleep(random.uniform(0, max(spans)))
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    ends["done" if status == 0 else "killed"] += 1
print(json.dumps(ends))
"""


@pytest.fixture
def directories(tmp_path: Path) -> tuple[Path, Path]:
    many = {f"f{number}": File(os.urandom(3000)) for number in range(60)}
    upper = make(tmp_path / "upper", {"many": many, "large": File(os.urandom(500_000))})
    lower = make(tmp_path / "lower", {"old": File()})
    return upper, lower


def opened(upper: Path, lower: Path) -> Snapshot:
    return open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True)


def kill_often(
    directories: tuple[Path, Path], target: Path, kind: str, tell: Callable[[str], None]
) -> dict[str, int]:
    told = python(_KILLER, *directories, target, kind, str(_KILLS[kind]))
    assert told.status == 0, told
    ends: dict[str, int] = json.loads(told.stdout)
    tell(f"{kind}: {_KILLS[kind]} exports, {ends['killed']} killed, {ends['done']} done before")
    assert ends["killed"] > _KILLS[kind] // 4
    return ends


@pytest.mark.long
def test_a_store_holds_only_whole_blobs(
    directories: tuple[Path, Path], tmp_path: Path, tell: Callable[[str], None]
) -> None:
    path = tmp_path / "store"
    ends = kill_often(directories, path, "store", tell)
    store = ContentStore(path)
    blobs = list((path / "blobs" / "sha256").iterdir())
    layers = 0
    for blob in blobs:
        digest = f"sha256:{blob.name}"
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
        if UNCOMPRESSED in store.labels(digest):
            layers += 1
            assert verify_blob(store, digest).ok
    assert layers >= ends["done"]
    for entry in read_index(store.path)["manifests"]:
        manifest = json.loads(Path(store.blob_path(entry["digest"])).read_bytes())
        for part in (manifest["config"], *manifest["layers"]):
            assert os.path.getsize(store.blob_path(part["digest"])) == part["size"]
    export_to_store(opened(*directories), store, media_type=GZIP)
    assert list((path / "ingest").iterdir()) == [], "the next export swept what was left"
    left = {entry.name for entry in path.iterdir() if not entry.name.endswith("-journal")}
    assert left <= {"blobs", "index.json", "ingest", "metadata.db", "oci-layout"}


def test_a_file_is_the_old_one_or_the_new_one(
    directories: tuple[Path, Path], tmp_path: Path, tell: Callable[[str], None]
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    target = place / "layer"
    kill_often(directories, target, "file", tell)
    content = target.read_bytes()
    store = ContentStore(tmp_path / "store")
    assert verify_blob(store, store.add(content).digest).ok
    export_to_file(opened(*directories), os.fsencode(target), media_type=TAR)
    assert os.listdir(place) == ["layer"], "the next export swept what was left"


@pytest.mark.parametrize("unnamed", [True, False], ids=["without a name", "by name"])
def test_what_others_left_of_a_file_is_swept_and_nothing_else(
    directories: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unnamed: bool
) -> None:
    """Where the filesystem has files without a name, and where a file has one from the start."""
    if not unnamed:
        monkeypatch.setattr(outfile.os, "O_TMPFILE", os.O_RDONLY | os.O_DIRECTORY)
    place = tmp_path / "place"
    place.mkdir()
    dead, alive = place / f".l[a]y.{'0' * 16}.partial", place / f".l[a]y.{'1' * 16}.partial"
    kept = [alive.name, f".l[a]y.{'2' * 16}.partial", ".l[a]y.partial", f".lay.{'0' * 16}.partial"]
    for path in (dead, *(place / name for name in kept)):
        path.touch()
    (place / kept[1]).unlink()
    os.mkfifo(place / kept[1])
    with alive.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        export_to_file(opened(*directories), os.fsencode(place / "l[a]y"), media_type=TAR)
    assert sorted(os.listdir(place)) == sorted(["l[a]y", *kept])
