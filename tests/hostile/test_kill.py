"""Killed at any moment: a store holds only whole blobs, and the next export cleans up."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support.commands import python
from support.trees import File, make
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
    snapshot = opened(*directories)
    again = tmp_path / "again.tar"
    export_to_file(snapshot, os.fsencode(again), media_type=TAR)
    left = [entry.name for entry in place.iterdir() if entry.name != "layer"]
    assert all(name.startswith(".layer.") and name.endswith(".partial") for name in left)
    content = target.read_bytes()
    store = ContentStore(tmp_path / "store")
    assert verify_blob(store, store.add(content).digest).ok
