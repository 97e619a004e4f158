"""Tagged images in a store: reproducible, never lost, and read by real clients."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from whiteout.compression import open_compressor
from whiteout.contentstore import ContentStore, Descriptor
from whiteout.digests import digest_of
from whiteout.errors import DigestMismatch, MediaTypeError, NotFound, StoreError, UsageError
from whiteout.mediatypes import GZIP, MEDIA_TYPES, TAR
from whiteout.ocilayout import LayerRef, resolve, tag_image, tags


def small_tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        directory = tarfile.TarInfo("etc")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(directory)
        file = tarfile.TarInfo("etc/motd")
        file.size = 6
        tar.addfile(file, io.BytesIO(b"hello\n"))
    return out.getvalue()


def add_layer(store: ContentStore, media_type: str = GZIP) -> LayerRef:
    data = small_tar()
    with store.writer("layer") as writer:
        compressor = open_compressor(media_type, None, writer.write)
        compressor.write(data)
        compressor.close()
        info = writer.commit()
    return LayerRef(Descriptor(media_type, info.digest, info.size), digest_of(data))


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "store")


def read_json(store: ContentStore, digest: str) -> dict[str, object]:
    with store.open(digest) as file:
        value = json.load(file)
    assert isinstance(value, dict)
    return value


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_image_says_what_its_layers_are(store: ContentStore) -> None:
    layer = add_layer(store)
    image = tag_image(store, [layer], "app/web:1.0", ["RUN made it"], "arm64")
    manifest = read_json(store, image.digest)
    assert manifest["layers"] == [layer.descriptor.as_dict()]
    config_descriptor = manifest["config"]
    assert isinstance(config_descriptor, dict)
    config = read_json(store, config_descriptor["digest"])
    assert config["rootfs"] == {"type": "layers", "diff_ids": [layer.diff_id]}
    assert (config["architecture"], config["os"]) == ("arm64", "linux")
    assert "RUN made it" in json.dumps(config["history"])
    found = resolve(store, "app/web:1.0")
    assert (found.digest, found.size) == (image.digest, image.size)
    assert list(tags(store)) == ["app/web:1.0"]


def test_the_same_image_has_the_same_bytes(tmp_path: Path) -> None:
    images = []
    for name in "ab":
        store = ContentStore(tmp_path / name)
        images.append(tag_image(store, [add_layer(store)], "t"))
    assert images[0] == images[1]
    index = [(tmp_path / name / "index.json").read_bytes() for name in "ab"]
    assert index[0] == index[1]


def test_a_tag_moves_and_foreign_content_stays(store: ContentStore) -> None:
    layer = add_layer(store)
    path = Path(store.path, "index.json")
    foreign = {"mediaType": "x/y", "digest": "sha512:abc", "size": 3, "platform": {"os": "plan9"}}
    path.write_text(json.dumps({"schemaVersion": 2, "manifests": [foreign], "annotations": {}}))
    first = tag_image(store, [layer], "t", ["one"])
    tag_image(store, [layer], "u")
    second = tag_image(store, [layer], "t", ["two"])
    assert first.digest != second.digest
    assert resolve(store, "t").digest == second.digest
    assert list(tags(store)) == ["t", "u"]
    index = json.loads(path.read_text())
    assert index["manifests"][0] == foreign
    assert index["annotations"] == {}
    assert len(index["manifests"]) == 3
    assert [name for name in os.listdir(store.path) if name.endswith(".tmp")] == []


def test_processes_do_not_lose_each_others_tags(store: ContentStore) -> None:
    layer = add_layer(store, TAR)
    code = (
        "import sys\nfrom whiteout.contentstore import ContentStore, Descriptor\n"
        "from whiteout.ocilayout import LayerRef, tag_image\n"
        "p, mt, d, size, diff, name = sys.argv[1:]\n"
        "layer = LayerRef(Descriptor(mt, d, int(size)), diff)\n"
        "for n in range(15): tag_image(ContentStore(p), [layer], f'{name}{n}')\n"
    )
    facts = [TAR, layer.descriptor.digest, str(layer.descriptor.size), layer.diff_id]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen([sys.executable, "-c", code, store.path, *facts, name], env=environment)
        for name in "ab"
    ]
    assert [process.wait() for process in processes] == [0, 0]
    assert len(tags(store)) == 30


@pytest.mark.parametrize(
    "tag", ["", "a b", "-a", "a-", "a..b", "/a", "a/", "../a", "a\n", "é", "\x1b[0m", "a" * 256]
)
def test_bad_tags_are_refused(store: ContentStore, tag: str) -> None:
    with pytest.raises(UsageError, match="not a valid tag") as caught:
        tag_image(store, [add_layer(store)], tag)
    assert str(caught.value).isprintable()
    assert tags(store) == {}


@pytest.mark.parametrize("tag", ["latest", "1", "a--b", "docker.io/library/x:1.2_3@y+z", "a" * 255])
def test_good_tags(store: ContentStore, tag: str) -> None:
    tag_image(store, [add_layer(store)], tag)
    assert list(tags(store)) == [tag]


def test_layers_that_are_not_so_are_refused(store: ContentStore) -> None:
    layer = add_layer(store)
    good = layer.descriptor
    with pytest.raises(NotFound):
        tag_image(store, [LayerRef(Descriptor(GZIP, layer.diff_id, 3), layer.diff_id)], "t")
    with pytest.raises(DigestMismatch):
        tag_image(store, [LayerRef(Descriptor(GZIP, good.digest, 3), layer.diff_id)], "t")
    with pytest.raises(MediaTypeError):
        tag_image(store, [LayerRef(Descriptor("a/b", good.digest, good.size), layer.diff_id)], "t")
    with pytest.raises(UsageError):
        tag_image(store, [], "t")
    with pytest.raises(UsageError):
        tag_image(store, [layer], "t", ["one", "two"])
    with pytest.raises(NotFound):
        resolve(store, "t")


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b'{"schemaVersion":1,"manifests":[]}',
        b'{"schemaVersion":2,"manifests":{}}',
        b'{"schemaVersion":2,"manifests":[7]}',
        b" " * (17 * 1024 * 1024),
    ],
)
def test_a_broken_index_is_an_error_and_stays(store: ContentStore, index: bytes) -> None:
    layer = add_layer(store)
    path = Path(store.path, "index.json")
    path.write_bytes(index)
    with pytest.raises(StoreError, match="not an OCI image index"):
        tags(store)
    with pytest.raises(StoreError, match="not an OCI image index"):
        tag_image(store, [layer], "t")
    assert path.read_bytes() == index


def test_a_malformed_entry_is_an_error(store: ContentStore) -> None:
    entry = {
        "mediaType": "x/y",
        "digest": "../../etc",
        "size": 1,
        "annotations": {"org.opencontainers.image.ref.name": "\x1b[31m"},
    }
    path = Path(store.path, "index.json")
    path.write_text(json.dumps({"schemaVersion": 2, "manifests": [entry, {"annotations": 3}]}))
    with pytest.raises(StoreError, match="malformed") as caught:
        tags(store)
    assert str(caught.value).isprintable()


def test_an_index_that_is_a_link_is_refused(store: ContentStore, tmp_path: Path) -> None:
    path = Path(store.path, "index.json")
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    with pytest.raises(StoreError, match="symbolic link"):
        tags(store)


def test_a_missing_index_is_empty(store: ContentStore) -> None:
    Path(store.path, "index.json").unlink()
    assert tags(ContentStore(store.path, create=False)) == {}


@pytest.mark.peer("skopeo")
@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_skopeo_reads_and_copies_the_image(
    store: ContentStore, tmp_path: Path, media_type: str
) -> None:
    layer = add_layer(store, media_type)
    image = tag_image(store, [layer], "v1")
    said = json.loads(run("skopeo", "inspect", f"oci:{store.path}:v1"))
    assert said["Layers"] == [layer.descriptor.digest]
    assert said["Digest"] == image.digest
    copy = tmp_path / "copy"
    run("skopeo", "--insecure-policy", "copy", f"oci:{store.path}:v1", f"oci:{copy}:v2")
    copied = ContentStore(copy, create=False)
    manifest = read_json(copied, resolve(copied, "v2").digest)
    assert manifest["config"] == read_json(store, image.digest)["config"]
    if media_type != TAR:  # which skopeo compresses as it copies
        assert resolve(copied, "v2").digest == image.digest


@pytest.mark.peer("umoci")
@pytest.mark.root
@pytest.mark.parametrize("media_type", [TAR, GZIP])
def test_umoci_unpacks_the_image(store: ContentStore, tmp_path: Path, media_type: str) -> None:
    tag_image(store, [add_layer(store, media_type)], "v1")
    bundle = tmp_path / "bundle"
    run("umoci", "unpack", "--image", f"{store.path}:v1", bundle)
    assert (bundle / "rootfs" / "etc" / "motd").read_text() == "hello\n"
