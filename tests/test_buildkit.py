"""BuildKit as a source.

Debian has BuildKit in dockerd, which builds an image here. It has no buildkitd: that one's worker
keeps the very files of containerd's overlay snapshotter and metadata, so a real containerd makes
those, in the places where BuildKit has them; its database of cache records is written by the tests
as BuildKit's source has it.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.boltwriter import Tree, bolt
from support.commands import Run
from support.engines import Containerd, Docker, containerd, dockerd
from whiteout.sources.bolt import open_bolt
from whiteout.sources.buildkitmeta import cache_records
from whiteout.sources.model import Record
from whiteout.sources.registry import discover, resolve
from whiteout.sources.root import Root
from whiteout.sources.stack import Kind

OVERLAY = "io.containerd.snapshotter.v1.overlayfs"
META = "io.containerd.metadata.v1.bolt/meta.db"


def record(**values: object) -> Tree:
    return {
        key.replace("__", ".").encode(): json.dumps({"value": value}).encode()
        for key, value in values.items()
    }


RECORDS: Tree = {
    b"_main": {
        b"aaa": record(
            cache__snapshot="snap-a",
            cache__description="pulled from example.org/base:1",
            cache__createdAt=1_700_000_000_500_000_000,
            snapshot__size=8192,
            cache__recordType="regular",
            cache__imageRefs=["example.org/base:1"],
        ),
        b"bbb": record(
            cache__snapshot="not-committed-yet",
            cache__equalMutable="snap-b",
            cache__parent="aaa",
            cache__description="[2/2] RUN make\x1b[31m install",
            snapshot__size=-1,
        ),
        b"ccc": record(cache__blobonly=True, cache__description="a lazy blob"),
        b"ddd": record(cache__deleted=True, cache__description="deleted"),
        b"eee": {
            b"cache.description": b"not json",
            b"cache.createdAt": b'{"value": "x"}',
            b"cache.imageRefs": b"[" * 9000,
            b"snapshot.size": b'{"value": true}',
        },
    },
    b"_index": {b"chainid:sha256:00::aaa": b""},
}


def test_records_as_buildkit_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.write_bytes(bolt(RECORDS))
    found = {each.id: each for each in cache_records(open_bolt(os.fsencode(path)))}
    assert list(found) == ["aaa", "bbb", "ccc", "eee"]
    a, b, c, e = found.values()
    assert (a.created, a.size, a.type) == (1_700_000_000.5, 8192, "regular")
    assert (a.images, a.snapshots) == (("example.org/base:1",), ("snap-a",))
    assert (b.parent, b.size, b.snapshots) == ("aaa", None, ("not-committed-yet", "snap-b"))
    assert c.lazy
    assert (e.description, e.created, e.size, e.images, e.snapshots) == (
        "",
        None,
        None,
        (),
        ("eee",),
    )


@pytest.fixture(scope="module")
def engine() -> Iterator[Containerd]:
    with containerd() as engine:
        for key, parent in (("snap-a", None), ("snap-b", "snap-a"), ("loose", "snap-a")):
            active = key if key == "snap-b" else f"{key}-active"
            more = [parent] if parent else []
            engine.ctr("snapshots", "prepare", active, *more, namespace="buildkit")
            layers = engine.root / OVERLAY / "snapshots"
            newest = max(layers.iterdir(), key=lambda each: int(each.name))
            (newest / "fs" / f"of-{key}").touch()
            if active != key:
                engine.ctr("snapshots", "commit", key, active, namespace="buildkit")
        yield engine


@pytest.fixture
def host(engine: Containerd, tmp_path: Path) -> Path:
    """A root with the state of a BuildKit."""
    worker = tmp_path / "host/var/lib/buildkit/runc-overlayfs"
    worker.mkdir(parents=True)
    subprocess.run(["cp", "-a", engine.root / OVERLAY, worker / "snapshots"], check=True)
    shutil.copy(engine.root / META, worker / "containerdmeta.db")
    (worker / "metadata_v2.db").write_bytes(bolt(RECORDS))
    return tmp_path / "host"


def listed(host: Path) -> dict[str, Record]:
    return {each.target: each for each in discover(Root(os.fsencode(host)), ["buildkit"])}


@pytest.mark.root
@pytest.mark.peer("containerd", "ctr")
def test_the_cache_is_listed_by_its_steps(host: Path) -> None:
    found = listed(host)
    told = {each: (record.kind, record.layers, record.problem) for each, record in found.items()}
    assert told["buildkit:aaa"] == (Kind.BUILD_STEP, 1, None)
    assert told["buildkit:bbb"] == (Kind.BUILD_STEP, 2, None)
    assert told["buildkit:loose"] == (Kind.SNAPSHOT, 2, None)
    assert told["buildkit:ccc"][2] == "it is a blob that was not unpacked yet"
    assert "its snapshot is not in /var/lib/buildkit" in str(told["buildkit:eee"][2])
    assert "buildkit:ddd" not in told
    assert found["buildkit:bbb"].parent == "aaa"
    assert found["buildkit:aaa"].notes == ("regular", "example.org/base:1")


@pytest.mark.root
@pytest.mark.peer("containerd", "ctr")
def test_a_step_is_opened_by_id_snapshot_or_description(host: Path, run: Run) -> None:
    for name in ("bbb", "snap-b", "[2/2] RUN make\x1b[31m install", "[2/2] RUN"):
        outcome = run("changes", f"buildkit:{name}", "--root", host).done()
        assert outcome.stdout == b"A /of-snap-b\n"
    stack = resolve("buildkit:bbb", Root(os.fsencode(host))).stack()
    steps = ["[2/2] RUN make\x1b[31m install", "pulled from example.org/base:1"]
    assert [layer.name for layer in stack.layers] == steps
    assert stack.label == steps[0]
    text = run("list", "buildkit:bbb", "--root", host).done().stdout
    assert b"\x1b" not in text
    assert b"RUN make\\x1b[31m install" in text


@pytest.mark.root
@pytest.mark.peer("containerd", "ctr")
def test_a_worker_for_containerd_has_its_snapshots_there(
    engine: Containerd, tmp_path: Path
) -> None:
    worker = tmp_path / "host/var/lib/buildkit/containerd-overlayfs"
    worker.mkdir(parents=True)
    (worker / "metadata_v2.db").write_bytes(bolt(RECORDS))
    subprocess.run(["cp", "-a", engine.root, tmp_path / "host/var/lib/containerd"], check=True)
    found = listed(tmp_path / "host")
    assert found["buildkit:bbb"].layers == 2
    assert len(found["buildkit:bbb"].stack().layers) == 2


def test_a_damaged_cache_is_a_row_with_the_reason(tmp_path: Path) -> None:
    worker = tmp_path / "var/lib/buildkit/runc-overlayfs"
    worker.mkdir(parents=True)
    (worker / "metadata_v2.db").write_bytes(b"\0" * 20000)
    (only,) = discover(Root(os.fsencode(tmp_path)), ["buildkit"])
    assert only.kind is Kind.STORE
    assert "metadata_v2.db is no bbolt database" in str(only.problem)


# the BuildKit in dockerd

DOCKERFILE = b"""\
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "mkdir", "/made"]
RUN ["/bin/busybox", "rmdir", "/made"]
"""


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    """A dockerd whose BuildKit has built the image ``built:1``."""
    with dockerd() as engine:
        build(engine.address.removeprefix("unix://"))
        yield engine


def build(address: str) -> None:
    """Ask for a build by BuildKit as the API of Docker has it: no other client is needed."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.add(shutil.which("busybox") or "", "busybox")
        member = tarfile.TarInfo("Dockerfile")
        member.size = len(DOCKERFILE)
        tar.addfile(member, io.BytesIO(DOCKERFILE))
    connection = http.client.HTTPConnection("docker", timeout=60)
    with socket.socket(socket.AF_UNIX) as connection.sock:
        connection.sock.connect(address)
        connection.request(
            *("POST", "/build?version=2&t=built:1&networkmode=none", context.getvalue()),
            {"Content-Type": "application/x-tar"},
        )
        answer = connection.getresponse().read()
    assert b"Successfully tagged built:1" in answer, answer[-2000:]


@pytest.mark.root
@pytest.mark.peer("dockerd", "docker", "busybox", "runc")
def test_the_cache_of_dockerd_is_what_docker_lists(docker: Docker) -> None:
    usage = json.loads(docker.docker("system", "df", "-v", "--format", "{{json .BuildCache}}"))
    found = listed(docker.root)
    assert set(found) == {f"buildkit:{each['ID']}" for each in usage}
    assert all((each.kind, each.problem) == (Kind.BUILD_STEP, None) for each in found.values())
    by_name = {each.name: each for each in found.values()}
    made = by_name["mount / from exec /bin/busybox mkdir /made"]
    gone = by_name["mount / from exec /bin/busybox rmdir /made"]
    assert (made.layers, gone.layers) == (2, 3)
    assert made.target == f"buildkit:{gone.parent}"
    others = discover(Root(os.fsencode(docker.root)), ["docker"])
    assert {each.kind for each in others} == {Kind.IMAGE, Kind.IMAGE_LAYER}


@pytest.mark.root
@pytest.mark.peer("dockerd", "docker", "busybox", "runc")
def test_the_steps_of_a_build_are_the_layers_of_its_image(docker: Docker, run: Run) -> None:
    root = Root(os.fsencode(docker.root))
    name = "mount / from exec /bin/busybox rmdir /made"
    stack = resolve(f"buildkit:{name}", root).stack()
    image = resolve("docker:built:1", root).stack()
    assert [layer.path for layer in stack.layers] == [layer.path for layer in image.layers]
    assert [layer.name for layer in stack.layers][:2] == [name, name.replace("rmdir", "mkdir")]
    target = next(each.target for each in listed(docker.root).values() if each.name == name)
    assert run("changes", target, "--root", docker.root).done().stdout == b"D /made\n"
    below = run("changes", target, "--layer", "2", "--root", docker.root).done().stdout
    assert b"A /made\n" in below


@pytest.mark.root
@pytest.mark.peer("dockerd", "docker", "busybox", "runc")
def test_no_damage_of_its_database_leads_out(docker: Docker, tmp_path: Path) -> None:
    copy = tmp_path / "docker"
    subprocess.run(["cp", "-a", docker.root, copy], check=True)
    hostile: Tree = {
        key: {b"committed": value}
        for key, value in ((b"a", b"../../../etc"), (b"b", b"/etc"), (b"c", b"\xff\0"), (b"", b"."))
    }
    (copy / "buildkit/snapshots.db").write_bytes(bolt(hostile))
    assert not [each for each in listed(copy).values() if each.problem is None]
    (copy / "buildkit/snapshots.db").write_bytes(b"\0" * 9000)
    for record in listed(copy).values():
        assert "its snapshot is not in" in str(record.problem)
