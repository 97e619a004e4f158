"""Whole images: every engine unpacks them to the tree that overlayfs shows of the layers."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.commands import whiteout
from support.engines import Docker, Podman, containerd, dockerd, podman, run
from support.imagetrees import View, build_layers, mounted, stack, view, view_of_layers
from support.trees import File, make
from whiteout.cancel import CancelToken
from whiteout.contentstore import ContentStore
from whiteout.errors import (
    Cancelled,
    DigestMismatch,
    NotFound,
    StoreError,
    UsageError,
    WhiteoutError,
)
from whiteout.imagebuild import ImageOptions
from whiteout.images import image_of_layout
from whiteout.mediatypes import GZIP, TAR, ZSTD
from whiteout.opening import open_pair
from whiteout.platforms import Platform
from whiteout.sinks.dockerarchive import DockerArchive
from whiteout.sinks.layout import OciLayout
from whiteout.sinks.model import Action, Step
from whiteout.sinks.run import export_to, whole_stack
from whiteout.sinks.spelling import parse_sink
from whiteout.snapshot import Snapshot
from whiteout.verify import verify_blob, verify_stream


@pytest.fixture
def layers(tmp_path: Path) -> list[Path]:
    (tmp_path / "layers").mkdir()
    return build_layers(tmp_path / "layers")


@pytest.fixture
def expected(layers: list[Path], tmp_path: Path) -> View:
    return view_of_layers(layers, tmp_path / "merged")


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    with dockerd() as engine:
        yield engine


@pytest.fixture
def storage() -> Iterator[Podman]:
    with podman() as engine:
        yield engine


def simple(tmp_path: Path, name: str = "s") -> Snapshot:
    """A snapshot that any user may make."""
    lower = make(tmp_path / f"{name}-lower", {"etc": {"conf": File(b"old")}, "old": File()})
    upper = make(tmp_path / f"{name}-upper", {"etc": {"conf": File(name.encode())}})
    return open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True)


def image_json(layout: Path, digest: str) -> dict[str, object]:
    with ContentStore(layout, create=False).open(digest) as file:
        value = json.load(file)
    assert isinstance(value, dict)
    return value


def everything_in(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


# An OCI image layout


@pytest.mark.root
@pytest.mark.peer("umoci")
def test_umoci_unpacks_a_whole_image(layers: list[Path], expected: View, tmp_path: Path) -> None:
    result = export_to(OciLayout(str(tmp_path / "oci"), "v1"), whole_stack(stack(layers)))
    assert len(result.exported) == len(result.layers) == 3
    run("umoci", "unpack", "--image", f"{tmp_path}/oci:v1", tmp_path / "bundle")
    assert view(tmp_path / "bundle" / "rootfs") == expected


@pytest.mark.root
@pytest.mark.peer("podman")
@pytest.mark.parametrize("media_type", [TAR, GZIP, ZSTD])
def test_podman_pulls_a_whole_image(
    layers: list[Path], expected: View, tmp_path: Path, storage: Podman, media_type: str
) -> None:
    export_to(OciLayout(str(tmp_path / "oci")), whole_stack(stack(layers)), media_type=media_type)
    image = storage.podman("pull", "-q", f"oci:{tmp_path}/oci:latest").strip()
    point = storage.podman("image", "mount", image).strip()
    try:
        assert view(Path(point)) == expected
    finally:
        storage.podman("image", "umount", image)


@pytest.mark.root
@pytest.mark.peer("containerd")
@pytest.mark.peer("ctr")
def test_containerd_imports_the_archive(layers: list[Path], expected: View, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    export_to(DockerArchive(str(archive), "team/app:1"), whole_stack(stack(layers)))
    (tmp_path / "mnt").mkdir()
    with containerd() as engine:
        engine.ctr("images", "import", archive)
        name = "docker.io/team/app:1"
        assert "complete (4/4)" in engine.ctr("images", "check")
        engine.ctr("images", "mount", name, tmp_path / "mnt")
        try:
            assert view(tmp_path / "mnt") == expected
        finally:
            engine.ctr("images", "unmount", tmp_path / "mnt")


# An archive for docker load


@pytest.mark.root
@pytest.mark.peer("dockerd", "docker")
@pytest.mark.parametrize("media_type", [TAR, GZIP])
def test_docker_loads_the_archive(
    layers: list[Path], expected: View, tmp_path: Path, docker: Docker, media_type: str
) -> None:
    archive = tmp_path / "image.tar"
    result = export_to(
        DockerArchive(str(archive), f"team/app:{media_type[-3:]}"),
        whole_stack(stack(layers)),
        media_type=media_type,
        options=ImageOptions(author="A. U. Thor", comment="why"),
    )
    assert f"team/app:{media_type[-3:]}" in docker.docker("load", "--input", archive)
    image = docker.inspect(f"team/app:{media_type[-3:]}")
    assert image["Id"] == result.config.digest
    assert image["RootFS"]["Layers"] == [layer.diff_id for layer in result.layers]
    assert (image["Author"], image["Comment"]) == ("A. U. Thor", "why")
    data = image["GraphDriver"]["Data"]
    unpacked = [Path(path) for path in (data["UpperDir"], *data["LowerDir"].split(":"))]
    with mounted(unpacked, tmp_path / "docker") as top:
        assert view(top) == expected


@pytest.mark.peer("skopeo")
def test_skopeo_reads_both_sides_of_the_archive(tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    result = export_to(DockerArchive(str(archive), "team/app:1"), [simple(tmp_path)])
    for image in (f"docker-archive:{archive}", f"oci-archive:{archive}:1"):
        told = json.loads(run("skopeo", "inspect", "--config", image))
        assert told["rootfs"]["diff_ids"] == [layer.diff_id for layer in result.layers]
    with tarfile.open(archive) as tar:
        (entry,) = json.load(tar.extractfile("manifest.json") or pytest.fail("no manifest"))
        assert entry["RepoTags"] == ["team/app:1"]
        for member in tar:
            assert (member.mtime, member.uid, member.uname) == (0, 0, "")


def test_zstd_is_refused_for_docker(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gzip or none"):
        export_to(DockerArchive(str(tmp_path / "a.tar")), [simple(tmp_path)], media_type=ZSTD)
    export_to(OciLayout(str(tmp_path / "zstd")), [simple(tmp_path)], media_type=ZSTD)
    with pytest.raises(UsageError, match="gzip or none"):
        export_to(
            DockerArchive(str(tmp_path / "a.tar")), [], base=image_of_layout(f"{tmp_path}/zstd")
        )
    assert not (tmp_path / "a.tar").exists()


# The storage of Podman and its kin


@pytest.mark.root
@pytest.mark.peer("skopeo", "podman", "buildah")
@pytest.mark.parametrize("program", ["skopeo", "podman", "buildah"])
def test_each_program_stores_the_image(
    layers: list[Path],
    expected: View,
    tmp_path: Path,
    storage: Podman,
    program: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Skopeo, or one of the others where it is not installed."""
    with monkeypatch.context() as patch:
        patch.setattr("shutil.which", lambda name: name if name == program else None)
        sink = parse_sink(f"containers-storage:{storage.storage}team/app:1")
        result = export_to(sink, whole_stack(stack(layers)))
    assert result.reference == f"containers-storage:{storage.storage}localhost/team/app:1"
    point = storage.podman("image", "mount", "localhost/team/app:1").strip()
    try:
        assert view(Path(point)) == expected
    finally:
        storage.podman("image", "umount", "localhost/team/app:1")
    assert (
        storage.podman("image", "inspect", "--format", "{{.Id}}", "team/app:1").strip()
        == (result.config.digest.partition(":")[2])
    )


@pytest.mark.peer("skopeo")
def test_what_the_program_says_is_told(tmp_path: Path) -> None:
    sink = parse_sink(f"containers-storage:[nonsense@{tmp_path}/r+{tmp_path}/w]app")
    with pytest.raises(StoreError, match="skopeo failed: ") as caught:
        export_to(sink, [simple(tmp_path)])
    assert "\n" not in str(caught.value)


def test_a_program_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UsageError, match="needs skopeo, podman or buildah"):
        export_to(parse_sink("containers-storage:app"), [simple(tmp_path)])
    monkeypatch.setattr("shutil.which", lambda name: name if name == "podman" else None)
    with pytest.raises(UsageError, match="install skopeo"):
        export_to(parse_sink("containers-storage:app"), [simple(tmp_path)], media_type=ZSTD)


# On top of another image


@pytest.mark.peer("skopeo", "umoci")
def test_a_layer_goes_on_top_of_an_image(tmp_path: Path) -> None:
    """The base is umoci's own, with an environment that must stay."""
    base = tmp_path / "base"
    run("umoci", "init", "--layout", base)
    run("umoci", "new", "--image", f"{base}:b")
    run("umoci", "config", "--image", f"{base}:b", "--config.env", "A=b", "--config.cmd", "sh")
    below = make(tmp_path / "below", {"etc": {"conf": File(b"below")}, "old": File()})
    run("umoci", "insert", *rootless(), "--image", f"{base}:b", below, "/")
    image = image_of_layout(str(base), "b")
    result = export_to(
        OciLayout(str(tmp_path / "new"), "n"),
        [simple(tmp_path)],
        base=image,
        options=ImageOptions(created="2001-02-03T04:05:06Z", annotations={"k": "v"}),
    )
    assert [layer.diff_id for layer in result.layers[:-1]] == [x.diff_id for x in image.layers]
    told = json.loads(run("skopeo", "inspect", "--config", f"oci:{tmp_path}/new:n"))
    assert (told["config"]["Env"], told["created"]) == (["A=b"], "2001-02-03T04:05:06Z")
    assert [h.get("created_by") for h in told["history"]][-1] == "whiteout export"
    assert len(told["history"]) == len(image.history) + 1
    raw = json.loads(run("skopeo", "inspect", "--raw", f"oci:{tmp_path}/new:n"))
    assert raw["annotations"] == {"k": "v"}
    run("umoci", "unpack", *rootless(), "--image", f"{tmp_path}/new:n", tmp_path / "bundle")
    assert (tmp_path / "bundle/rootfs/etc/conf").read_bytes() == b"s"
    assert (tmp_path / "bundle/rootfs/old").exists()
    again = export_to(OciLayout(str(tmp_path / "new"), "again"), [simple(tmp_path)], base=image)
    assert set(again.reused) == {layer.descriptor.digest for layer in image.layers}


def rootless() -> list[str]:
    return ["--rootless"] if os.geteuid() != 0 else []


def test_a_damaged_layer_of_the_base_is_not_taken(tmp_path: Path) -> None:
    export_to(OciLayout(str(tmp_path / "base")), [simple(tmp_path, "b")])
    image = image_of_layout(str(tmp_path / "base"))
    blob = Path(ContentStore(tmp_path / "base").blob_path(image.layers[0].descriptor.digest))
    content = bytearray(blob.read_bytes())
    content[40] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(content)
    for sink in (OciLayout(f"{tmp_path}/new"), DockerArchive(f"{tmp_path}/new.tar")):
        with pytest.raises(DigestMismatch, match="damaged"):
            export_to(sink, [simple(tmp_path, "n")], base=image)
    assert json.loads((tmp_path / "new/index.json").read_bytes())["manifests"] == []
    assert not (tmp_path / "new.tar").exists()


def test_the_platform_chooses_the_base(tmp_path: Path) -> None:
    layout = tmp_path / "multi"
    entries = []
    for system in (Platform("linux", "arm", "v7"), Platform("linux", "s390x")):
        made = export_to(
            OciLayout(str(layout), system.architecture),
            [simple(tmp_path, system.architecture)],
            options=ImageOptions(platform=system),
        )
        platform = {"os": system.os, "architecture": system.architecture}
        if system.variant:
            platform["variant"] = system.variant
        entries.append({**made.manifest.as_dict(), "platform": platform})
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [*entries, {**entries[0], "platform": {"os": "unknown", "architecture": "x"}}],
    }
    info = ContentStore(layout).add(json.dumps(index).encode())
    (layout / "index.json").write_text(
        json.dumps(
            {
                "schemaVersion": 2,
                "manifests": [
                    {"mediaType": index["mediaType"], "digest": info.digest, "size": info.size}
                ],
            }
        )
    )
    arm = image_of_layout(str(layout), platform=Platform("linux", "arm"))
    assert arm.descriptor.digest == entries[0]["digest"]
    with pytest.raises(NotFound, match="it has linux/arm/v7, linux/s390x"):
        image_of_layout(str(layout), platform=Platform("linux", "mips"))


# Reproducible, cancellable


def test_the_same_snapshot_gives_the_same_image(tmp_path: Path) -> None:
    for name in ("one", "two"):
        export_to(OciLayout(f"{tmp_path}/{name}"), whole_stack(simple(tmp_path)))
        export_to(DockerArchive(f"{tmp_path}/{name}.tar", "x:1"), whole_stack(simple(tmp_path)))
    one, two = (everything_in(tmp_path / name) for name in ("one", "two"))
    one.pop("metadata.db")
    two.pop("metadata.db")
    assert one == two
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


class _After(CancelToken):
    """A token that cancels itself when it was asked *left* times."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    def check(self) -> None:
        self.left -= 1
        if self.left < 0:
            self.cancel()
        super().check()


@pytest.mark.parametrize("spelling", ["oci:{}/new:t", "docker-archive:{}/new.tar:n:1"])
def test_cancelled_at_any_check_there_is_no_image(
    tmp_path: Path, spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    export_to(OciLayout(f"{tmp_path}/base"), [simple(tmp_path, "base")])
    base = image_of_layout(f"{tmp_path}/base")
    sink, snapshot = parse_sink(spelling.format(tmp_path)), simple(tmp_path)
    counted = _After(10**9)
    export_to(parse_sink(spelling.format(tmp_path / "base")), [snapshot], base=base, cancel=counted)
    checks = 10**9 - counted.left
    for after in range(checks - 1):
        with pytest.raises(Cancelled):
            export_to(sink, [snapshot], base=base, cancel=_After(after))
    assert not (tmp_path / "new.tar").exists()
    if (tmp_path / "new").exists():
        assert json.loads((tmp_path / "new/index.json").read_bytes())["manifests"] == []
        assert not os.listdir(tmp_path / "new/ingest")
        for name in os.listdir(tmp_path / "new/blobs/sha256"):
            found = verify_blob(ContentStore(tmp_path / "new"), f"sha256:{name}")
            assert found.ok, "what is there is whole"
    assert os.listdir(scratch) == []


def test_the_steps_tell_of_every_layer(tmp_path: Path) -> None:
    export_to(OciLayout(f"{tmp_path}/base"), [simple(tmp_path, "base")])
    steps: list[Step] = []
    export_to(
        DockerArchive(f"{tmp_path}/a.tar"),
        whole_stack(simple(tmp_path)),
        progress=steps.append,
    )
    assert {step.item for step in steps if step.action is Action.EXPORT} == {
        "layer 1 of 2",
        "layer 2 of 2",
    }
    copied = [step for step in steps if step.action is Action.COPY]
    assert copied and all(step.done <= (step.total or 0) for step in copied)


# The command line


def cli_snapshot(tmp_path: Path) -> list[str]:
    simple(tmp_path)
    return [f"{tmp_path}/s-upper", "--lower", f"{tmp_path}/s-lower", "--userxattr"]


def test_export_to_prints_what_it_wrote(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = cli_snapshot(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    told = whiteout(
        capfdbinary, "export", *snapshot, "--whole", "--to", f"oci:{tmp_path}/o:a", "--json"
    ).done()
    (result,) = told.objects()
    assert result["reference"] == f"oci:{tmp_path}/o:a"
    assert [layer["exported"] for layer in result["layers"]] == [True, True]
    config = image_json(tmp_path / "o", result["config"]["digest"])
    assert config["created"] == "1970-01-02T00:00:00Z"
    base = f"oci:{tmp_path}/o:a"
    told = whiteout(
        capfdbinary,
        *("export", *snapshot, "--base", base, "--to", f"docker-archive:{tmp_path}/a.tar:n"),
        *("--created", "2020-01-01T01:00:00+01:00", "--author", "me"),
    ).done()
    assert b"of the base" in told.stdout
    with tarfile.open(tmp_path / "a.tar") as tar:
        (entry,) = json.load(tar.extractfile("manifest.json") or pytest.fail("no manifest"))
        assert entry["RepoTags"] == ["n:latest"]
        config = json.load(tar.extractfile(entry["Config"]) or pytest.fail("no config"))
    assert (config["created"], config["author"]) == ("2020-01-01T00:00:00Z", "me")
    assert len(config["rootfs"]["diff_ids"]) == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--to", "nowhere:x"], "is no place for images"),
        (["--to", "oci:"], "is no place for images"),
        (["--to", "oci:x:not a tag"], "is not a valid tag"),
        (["--to", "docker-archive:x:UPPER"], "is not a reference"),
        (["--to", "containers-storage:[x"], "is not a name in a storage"),
        (["--to", "containers-storage:App"], "is not a reference"),
        (["--to", "docker:x"], "is no place for images"),
        (["--to", "docker://x/y:1", "--platform", "a"], "is not a platform"),
        (["--to", "oci:x", "--tag", "t"], "leave out --tag"),
        (["--to", "oci:x", "-o", "f"], "leave out --output"),
        (["--whole"], "with --to"),
        (["--base", "oci:x"], "with --to"),
        (["--to", "oci:x", "--whole", "--base", "oci:y"], "leave out one"),
        (["--to", "oci:x", "--base", "y"], "is no image"),
        (["--to", "oci:x", "--base", "oci:/nowhere"], "there is no store"),
        (["--to", "oci:x", "--platform", "linux"], "is not a platform"),
        (["--to", "oci:x", "--created", "soon"], "is not a time"),
        (["--to", "oci:x", "--annotation", "k"], "is not an annotation"),
        (["--to", "docker-archive:x", "--compression", "zstd"], "use --compression gzip"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_one_sentence(
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    told = whiteout(capfdbinary, "export", *cli_snapshot(tmp_path), *arguments)
    assert told.status in (1, 2) and told.stdout == b""
    assert sentence in told.stderr.decode() and told.stderr.count(b"\n") == 1
    assert not (tmp_path / "x").exists()


def test_a_layout_that_is_malformed_is_one_sentence(tmp_path: Path) -> None:
    export_to(OciLayout(f"{tmp_path}/o"), [simple(tmp_path)])
    image = image_of_layout(f"{tmp_path}/o")
    store = ContentStore(tmp_path / "o")
    config = json.loads(Path(store.blob_path(_config_of(tmp_path / "o"))).read_bytes())
    for value in (
        None,
        [],
        "x",
        {"rootfs": {"diff_ids": [1]}},
        {"rootfs": {"diff_ids": ["sha1:"]}},
        {**config, "rootfs": {"diff_ids": []}},
    ):
        info = store.add(json.dumps(value).encode())
        manifest = {
            "schemaVersion": 2,
            "config": {"mediaType": "c", "digest": info.digest, "size": info.size},
            "layers": [layer.descriptor.as_dict() for layer in image.layers],
        }
        written = store.add(json.dumps(manifest).encode())
        index = {
            "schemaVersion": 2,
            "manifests": [
                {**image.descriptor.as_dict(), "digest": written.digest, "size": written.size}
            ],
        }
        (tmp_path / "o/index.json").write_text(json.dumps(index))
        with pytest.raises(WhiteoutError):
            image_of_layout(f"{tmp_path}/o")


def _config_of(layout: Path) -> str:
    manifest = image_json(layout, image_of_layout(str(layout)).descriptor.digest)
    config = manifest["config"]
    assert isinstance(config, dict)
    return str(config["digest"])


@pytest.mark.parametrize("media_type", [TAR, GZIP])
@pytest.mark.parametrize("kind", ["oci", "docker-archive"])
def test_what_a_sink_holds_can_be_read_again(kind: str, media_type: str, tmp_path: Path) -> None:
    sink = parse_sink(f"{kind}:{tmp_path / 'place'}")
    result = export_to(sink, [simple(tmp_path)], media_type=media_type)
    (layer,) = result.layers
    with sink.reading(CancelToken()) as blobs, blobs.open(layer.descriptor.digest) as file:
        found = verify_stream(file, layer.descriptor.digest, label=layer.diff_id)
    assert found.ok
    assert found.size == layer.descriptor.size


def test_a_storage_keeps_no_blobs() -> None:
    with pytest.raises(UsageError, match="no blobs"):
        parse_sink("containers-storage:localhost/x:1").reading(CancelToken())
