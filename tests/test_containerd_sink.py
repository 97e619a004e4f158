"""Writing to a running containerd: content under a lease, and images that it can unpack."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.commands import python, whiteout
from support.engines import Containerd as Engine
from support.engines import containerd
from support.imagetrees import build_layers, stack, view, view_of_layers
from support.trees import File, make
from whiteout.cancel import CancelToken
from whiteout.containerdapi import ContainerdClient
from whiteout.contentstore import Descriptor
from whiteout.errors import Cancelled, DigestMismatch, NotFound, StoreError, UsageError
from whiteout.labels import UNCOMPRESSED
from whiteout.mediatypes import GZIP, TAR, ZSTD
from whiteout.opening import open_pair
from whiteout.sinks.containerd import Containerd
from whiteout.sinks.model import Action, Step
from whiteout.sinks.run import export_to, whole_stack
from whiteout.snapshot import Snapshot


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with containerd() as running:
        yield running


@pytest.fixture
def sink(engine: Engine) -> Containerd:
    return Containerd("default", f"test/{os.urandom(4).hex()}:1", str(engine.address))


def simple(tmp_path: Path, size: int = 10) -> Snapshot:
    upper = make(tmp_path / "upper", {"file": File(os.urandom(size))})
    return open_pair(os.fsencode(upper), [], userxattr=True)


def refs(engine: Engine) -> list[str]:
    return [line.split("\t")[0] for line in engine.ctr("content", "active").splitlines()[1:]]


def leases(engine: Engine) -> list[str]:
    """Ours; ``ctr images mount`` keeps some of its own."""
    return [x for x in engine.ctr("leases", "ls", "-q").split() if x.startswith("whiteout")]


pytestmark = [pytest.mark.root, pytest.mark.peer("containerd", "ctr")]


@pytest.mark.parametrize("media_type", [TAR, GZIP, ZSTD])
def test_containerd_unpacks_a_whole_image(
    engine: Engine, sink: Containerd, tmp_path: Path, media_type: str
) -> None:
    (tmp_path / "layers").mkdir()
    layers = build_layers(tmp_path / "layers")
    result = export_to(sink, whole_stack(stack(layers)), media_type=media_type)
    assert "complete (4/4)" in engine.ctr("images", "check", f"name=={sink.name}")
    (tmp_path / "mnt").mkdir()
    engine.ctr("images", "mount", sink.name, tmp_path / "mnt")
    try:
        assert view(tmp_path / "mnt") == view_of_layers(layers, tmp_path / "merged")
    finally:
        engine.ctr("images", "unmount", tmp_path / "mnt")
    with ContainerdClient("default", str(engine.address)) as client:
        for layer in result.layers:
            assert client.labels(layer.descriptor.digest)[UNCOMPRESSED] == layer.diff_id
    again = export_to(sink, whole_stack(stack(layers)), media_type=media_type)
    assert again.manifest == result.manifest
    assert set(again.reused) == {layer.descriptor.digest for layer in result.layers}
    assert leases(engine) == [] and refs(engine) == []


def test_the_image_survives_the_collector(engine: Engine, sink: Containerd, tmp_path: Path) -> None:
    """A snapshot is removed, which starts the collector; an unreferenced blob goes, ours stay."""
    result = export_to(sink, [simple(tmp_path)])
    lost = b"nobody refers to this" + os.urandom(8)
    lost_digest = f"sha256:{hashlib.sha256(lost).hexdigest()}"
    with ContainerdClient("default", str(engine.address)) as client:
        client.write_small("lost", Descriptor("x", lost_digest, len(lost)), {}, lost)
        engine.ctr("snapshots", "prepare", "one")
        engine.ctr("snapshots", "rm", "one")
        end = time.monotonic() + 30
        while lost_digest in engine.ctr("content", "ls", "-q").split():
            assert time.monotonic() < end, "the collector has not run"
            time.sleep(0.1)
    there = engine.ctr("content", "ls", "-q").split()
    assert {result.manifest.digest, result.config.digest} <= set(there)
    assert {layer.descriptor.digest for layer in result.layers} <= set(there)


def test_a_name_moves_to_the_new_image(engine: Engine, sink: Containerd, tmp_path: Path) -> None:
    export_to(sink, [simple(tmp_path)])
    make(tmp_path / "upper", {"file": File(b"other")})
    second = export_to(sink, [simple(tmp_path)])
    line = next(x for x in engine.ctr("images", "ls").splitlines() if sink.name in x)
    assert second.manifest.digest in line


def test_an_interrupted_write_goes_on(engine: Engine, tmp_path: Path) -> None:
    content = os.urandom(5_000_000)
    descriptor = Descriptor("x", f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))
    offsets: list[int] = []

    def breaking(offset: int) -> Iterator[bytes]:
        yield content[offset : offset + 1_000_000]
        yield content[1_000_000:2_000_000]
        raise ConnectionResetError

    def rest(offset: int) -> Iterator[bytes]:
        offsets.append(offset)
        for start in range(offset, len(content), 1_000_000):
            yield content[start : start + 1_000_000]

    with ContainerdClient("default", str(engine.address)) as client, client.lease():
        with pytest.raises(ConnectionResetError):
            client.write("r", descriptor, {}, breaking, lambda offset: None)
        status = client.status("r")
        assert status is not None and (status.offset, status.total) == (2_000_000, 5_000_000)
        assert client.write("r", descriptor, {"a": "b"}, rest, lambda offset: None)
        assert offsets == [2_000_000]
        assert client.labels(descriptor.digest)["a"] == "b"
        assert client.status("r") is None
        assert not client.write("r", descriptor, {"c": "d"}, rest, lambda offset: None)
        assert client.labels(descriptor.digest).keys() >= {"a", "c"}


def test_wrong_content_is_refused_and_removed(engine: Engine) -> None:
    descriptor = Descriptor("x", "sha256:" + "0" * 64, 3)
    with ContainerdClient("default", str(engine.address)) as client:
        with pytest.raises(DigestMismatch, match="unexpected commit digest"):
            client.write_small("wrong", descriptor, {}, b"abc")
        assert client.status("wrong") is None


def test_cancelled_in_the_middle_nothing_is_left(
    engine: Engine, sink: Containerd, tmp_path: Path
) -> None:
    token = CancelToken()

    def cancel(step: Step) -> None:
        if step.action is Action.SEND:
            token.cancel()

    before = set(engine.ctr("content", "ls", "-q").split())
    with pytest.raises(Cancelled):
        export_to(
            sink,
            [simple(tmp_path, 4_000_000)],
            media_type=TAR,
            progress=cancel,
            cancel=token,
        )
    assert set(engine.ctr("content", "ls", "-q").split()) <= before
    assert (refs(engine), leases(engine)) == ([], [])
    assert sink.name not in engine.ctr("images", "ls", "-q")


def test_the_command_writes_there(
    engine: Engine, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    upper = make(tmp_path / "cli", {"file": File(b"x")})
    lower = make(tmp_path / "cli-lower", {})
    arguments = ["export", upper, "--lower", lower, "--address", engine.address, "--json"]
    told = whiteout(capfdbinary, *arguments, "--to", "containerd://team/app:1").done()
    (result,) = told.objects()
    assert result["reference"] == "containerd://team/app:1"
    assert "complete (2/2)" in engine.ctr("images", "check", namespace="team")


def test_a_socket_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    for address in (tmp_path / "nothing", tmp_path):
        with pytest.raises(StoreError, match="cannot reach containerd at") as caught:
            export_to(Containerd("default", "x", str(address)), [simple(tmp_path)])
        assert "\n" not in str(caught.value)


def test_wrong_names_are_refused(engine: Engine, tmp_path: Path) -> None:
    for namespace, name in (("", "x"), ("a b", "x"), ("default", ""), ("default", "a\nb")):
        with pytest.raises(UsageError):
            export_to(Containerd(namespace, name, str(engine.address)), [simple(tmp_path)])


def test_grpc_is_imported_only_when_it_is_used(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['grpc'] = None\n"
        "from whiteout.sinks.spelling import parse_sink\n"
        "from whiteout.errors import UsageError\n"
        "sink = parse_sink('containerd://default/x')\n"
        "try: sink.check(frozenset())\n"
        "except UsageError as error: print(error)\n"
    )
    told = python(script)
    assert b"pip install 'whiteout[containerd]'" in told.stdout


def test_what_was_written_can_be_read_again(
    engine: Engine, sink: Containerd, tmp_path: Path
) -> None:
    result = export_to(sink, [simple(tmp_path, 3 << 20)], media_type=TAR)
    digest = result.layers[0].descriptor.digest
    with sink.reading(CancelToken()) as blobs:
        with blobs.open(digest) as file:
            assert hashlib.sha256(file.read()).hexdigest() == digest.removeprefix("sha256:")
        with pytest.raises(NotFound):
            blobs.open("sha256:" + "0" * 64)
