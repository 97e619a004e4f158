"""Small files that ask for much: each is one sentence, and memory stays what it was."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from support.commands import Outcome, whiteout_measured
from whiteout.contentstore import ContentStore, Descriptor
from whiteout.layoutfiles import compact_json, put_manifest
from whiteout.mediatypes import GZIP, TAR, ZSTD
from whiteout.ocilayout import LayerRef, tag_image
from whiteout.tarcheck import TarProblem
from whiteout.tarindex import Limits, index_tar

_MIB = 1 << 20
#: What any command takes, and room for what may be read at most (8 MiB of JSON, as objects).
_MOST = 160


def refused(*arguments: str | Path, status: int = 1) -> str:
    """The sentence with which a command ends that has read a bomb."""
    outcome, peak = whiteout_measured(*arguments)
    sentence = _sentence(outcome, status)
    assert peak < _MOST, f"{peak} MiB; {sentence}"
    return sentence


def _sentence(outcome: Outcome, status: int) -> str:
    assert outcome.status == status, outcome
    lines = outcome.stderr.decode().splitlines()
    assert len(lines) == 1 and lines[0].startswith("whiteout: "), outcome
    assert len(lines[0]) < 1000
    return lines[0]


def header(name: bytes = b"x", kind: bytes = b"0", size: int = 0, **fields: bytes) -> bytes:
    """One block of a tar; *fields* replace what stands in it, as bytes of any kind."""
    block = bytearray(512)
    places = {"mode": 100, "uid": 108, "gid": 116, "mtime": 136, "major": 329, "minor": 337}
    block[: len(name)] = name
    block[124:136] = b"%011o\0" % size
    block[156:157] = kind
    block[257:265] = b"ustar\00000"
    for field, value in fields.items():
        block[places[field] : places[field] + len(value)] = value
    block[148:156] = b" " * 8
    block[148:155] = b"%06o\0" % sum(block)
    return bytes(block)


def record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    total = length + len(str(length + len(str(length))))
    return b"%d %b=%b\n" % (total, key, value)


def extended(content: bytes) -> bytes:
    return header(b"pax", b"x", len(content)) + content + bytes(-len(content) % 512)


def compressed(chunks: Iterator[bytes], media_type: str) -> tuple[bytes, str]:
    """A blob of *chunks*, and its diffID; no more than a chunk is in memory at once."""
    digest = hashlib.sha256()
    out = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=out, mode="wb", mtime=0, compresslevel=1)
        if media_type == GZIP
        else zstandard.ZstdCompressor().stream_writer(out, closefd=False)
    ) as stream:
        for chunk in chunks:
            digest.update(chunk)
            stream.write(chunk)
    return out.getvalue(), f"sha256:{digest.hexdigest()}"


def image_of(tmp_path: Path, blob: bytes, diff_id: str, media_type: str) -> str:
    store = ContentStore(tmp_path / "image")
    info = store.add(blob)
    tag_image(store, [LayerRef(Descriptor(media_type, info.digest, info.size), diff_id)], "t")
    return f"oci:{tmp_path}/image:t"


def zeros(size: int) -> Iterator[bytes]:
    yield header(b"zeros", size=size)
    for _ in range(size // _MIB):
        yield bytes(_MIB)
    yield bytes(1024)


@pytest.mark.parametrize("media_type", [GZIP, ZSTD])
def test_a_layer_that_becomes_very_large(
    tmp_path: Path, media_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob, diff_id = compressed(zeros(300 * _MIB), media_type)
    assert len(blob) < 2 * _MIB
    image = image_of(tmp_path, blob, diff_id, media_type)
    monkeypatch.setenv("WHITEOUT_MAX_LAYER_SIZE", str(200 * _MIB))
    for command in (("changes",), ("totals",), ("export", "-o", tmp_path / "out")):
        assert "more than 209,715,200 bytes when it is decompressed" in refused(
            command[0], image, *command[1:]
        )
    assert not (tmp_path / "out").exists()
    archive = tmp_path / "image.tar"
    archive.write_bytes(blob)
    assert "more than 209,715,200 bytes" in refused("changes", f"docker-archive:{archive}")


def test_what_other_programs_compress_is_named(tmp_path: Path) -> None:
    for name, magic in (("xz", b"\xfd7zXZ\0\0\4"), ("bzip2", b"BZh91AY&SY")):
        image = image_of(tmp_path / name, magic + bytes(600), f"sha256:{'0' * 64}", TAR)
        assert f"compressed by {name}, which is not read here" in refused("changes", image)
        (tmp_path / f"{name}.tar").write_bytes(magic + bytes(600))
        told = refused("changes", f"docker-archive:{tmp_path}/{name}.tar")
        assert f"compressed by {name}" in told


def endless_headers(kind: str) -> Iterator[bytes]:
    """Extended headers of one entry, 300 MiB of them, with other keys in each."""
    for number in range(300):
        match kind:
            case "records":
                yield extended(record(b"SCHILY.xattr.user.%d" % number, bytes(_MIB - 100)))
            case "long names":
                yield header(b"long", b"L", _MIB) + b"n" * _MIB
    yield header() + bytes(1024)


@pytest.mark.parametrize("kind", ["records", "long names"])
def test_extended_headers_without_end(tmp_path: Path, kind: str) -> None:
    blob, diff_id = compressed(endless_headers(kind), ZSTD)
    image = image_of(tmp_path, blob, diff_id, ZSTD)
    assert "too large together" in refused("changes", image)
    digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    assert "too large together" in refused("verify", digest, "--store", tmp_path / "image")


def hostile_numbers() -> Iterator[tuple[bytes, str]]:
    huge, negative = b"\x80" + b"\x7f" * 7, b"\xff" * 8
    for value in (huge, negative):
        yield header(uid=value), "its uid is"
        yield header(gid=value), "its gid is"
        yield header(kind=b"3", major=value), "no such device"
        yield header(kind=b"4", minor=value), "no such device"
    yield header(mtime=b"\x80" + b"\xff" * 11), "its mtime is"
    yield extended(record(b"uid", b"9" * 20)) + header(), "its uid is"
    yield extended(record(b"size", b"9" * 20)) + header(), "its size is"
    yield extended(record(b"size", b"9" * 18)) + header(), "cut short"
    yield extended(record(b"linkpath", b"a\0b")) + header(kind=b"2"), "NUL"
    yield header(kind=b"S"), "sparse"
    yield extended(record(b"GNU.sparse.size", b"9" * 15)) + header(), "sparse"


def test_numbers_that_no_file_has() -> None:
    for entry, words in hostile_numbers():
        with pytest.raises(TarProblem, match=words):
            index_tar(iter([entry + bytes(1024)]), Limits(), whiteouts=True)


def test_a_time_that_no_calendar_has(tmp_path: Path) -> None:
    tar = header(mtime=b"\x80\0\0\0\x7f" + b"\xff" * 7) + bytes(1024)
    blob, diff_id = compressed(iter([tar]), GZIP)
    image = image_of(tmp_path, blob, diff_id, GZIP)
    for command in (["changes", "--json", image], ["explain", image, "/x"]):
        outcome, _ = whiteout_measured(*command)
        assert (outcome.status, outcome.stderr) == (0, b""), outcome


@pytest.mark.parametrize("kind", ["attributes", "links", "names"])
def test_many_small_things_count_for_what_they_take(kind: str) -> None:
    """A bound on bytes alone would let names of a byte each take a hundred times as much."""

    def entries() -> Iterator[bytes]:
        yield header(b"f")
        for number in range(20_000):
            match kind:
                case "attributes":
                    keys = (b"SCHILY.xattr.%x" % key for key in range(64))
                    yield extended(b"".join(record(key, b"") for key in keys)) + header()
                case "links":
                    link = tarfile.TarInfo(f"{number:x}")
                    link.type, link.linkname = tarfile.LNKTYPE, "f"
                    yield link.tobuf()
                case "names":
                    yield header(b"%x" % number)
        yield bytes(1024)

    with pytest.raises(TarProblem, match="need more than 1,000,000 bytes"):
        index_tar(entries(), Limits(memory=1_000_000), whiteouts=True)


# JSON

_GIB = 1 << 30


def layout(path: Path) -> ContentStore:
    return ContentStore(path)


def test_an_index_of_a_gibibyte(tmp_path: Path) -> None:
    store = layout(tmp_path / "store")
    index = Path(store.path, "index.json")
    with index.open("r+b") as file:
        file.truncate(_GIB)
    assert "not an OCI image index" in refused("changes", f"oci:{store.path}")
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    upper.mkdir()
    lower.mkdir()
    export = ["export", upper, "--lower", lower, "--userxattr", "--store", store.path]
    assert "not an OCI image index" in refused(*export)
    assert index.stat().st_size == _GIB


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 1_000_000,
        b'{"manifests":' + b'{"a":' * 1_000_000,
        b'{"schemaVersion":2,"manifests":[' + b"9" * 1_000_000 + b"]}",
        b'{"schemaVersion":2,"manifests":[' + b"{}," * 1_000_000 + b"{}]}",
    ],
    ids=["arrays", "objects", "digits", "entries"],
)
def test_json_that_is_nested_or_long_without_end(tmp_path: Path, content: bytes) -> None:
    store = layout(tmp_path / "store")
    Path(store.path, "index.json").write_bytes(content)
    refused("changes", f"oci:{store.path}")
    mounts = tmp_path / "mounts.json"
    mounts.write_bytes(content)
    refused("changes", "--mounts", mounts, status=2)
    with tarfile.open(tmp_path / "archive.tar", "w") as archive:
        info = tarfile.TarInfo("manifest.json")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    refused("changes", f"docker-archive:{tmp_path}/archive.tar")
    for media_type in (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
    ):
        store = layout(tmp_path / media_type.rpartition(".")[0])
        info_ = store.add(content)
        put_manifest(store.path, Descriptor(media_type, info_.digest, info_.size).as_dict(), "t")
        refused("changes", f"oci:{store.path}:t")


def test_a_document_with_mounts_that_never_ends() -> None:
    assert "more than 16,777,216 bytes" in refused("changes", "--mounts", "/dev/zero", status=2)


def test_very_many_layers(tmp_path: Path) -> None:
    names = ["l"] * 300_000
    config = {"rootfs": {"type": "layers", "diff_ids": [f"sha256:{'0' * 64}"] * len(names)}}
    files = {
        "manifest.json": [{"Config": "c", "RepoTags": ["a:1"], "Layers": names}],
        "c": config,
        "l": {},
    }
    with tarfile.open(tmp_path / "archive.tar", "w") as archive:
        for name, value in files.items():
            content = compact_json(value)[: 9 * _MIB]
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    assert "is damaged" in refused("changes", f"docker-archive:{tmp_path}/archive.tar")
    config["rootfs"]["diff_ids"] = [f"sha256:{'0' * 64}"] * 1001  # type: ignore[index]
    store = layout(tmp_path / "store")
    descriptor = store.add(compact_json(config))
    manifest = {
        "schemaVersion": 2,
        "config": Descriptor("c", descriptor.digest, descriptor.size).as_dict(),
        "layers": [Descriptor(TAR, f"sha256:{'0' * 64}", 1).as_dict()] * 1001,
    }
    info_ = store.add(compact_json(manifest))
    kind = "application/vnd.oci.image.manifest.v1+json"
    put_manifest(store.path, Descriptor(kind, info_.digest, info_.size).as_dict(), "t")
    assert "at most 1,000 are read" in refused("changes", f"oci:{store.path}:t")


def test_indexes_that_lead_to_each_other(tmp_path: Path) -> None:
    store = layout(tmp_path / "store")
    kind = "application/vnd.oci.image.index.v1+json"
    below: dict[str, object] = Descriptor(kind, f"sha256:{'0' * 64}", 1).as_dict()
    for _ in range(6):
        content = compact_json({"schemaVersion": 2, "manifests": [below]})
        info = store.add(content)
        below = Descriptor(kind, info.digest, info.size).as_dict()
    put_manifest(store.path, below, "t")
    assert "nested too deeply" in refused("changes", f"oci:{store.path}:t")


# databases


def test_a_database_that_is_a_hole(tmp_path: Path) -> None:
    """A containerd root whose database says it is a gibibyte and holds nothing."""
    root = tmp_path / "var/lib/containerd"
    database = root / "io.containerd.metadata.v1.bolt/meta.db"
    (root / "io.containerd.snapshotter.v1.overlayfs/snapshots").mkdir(parents=True)
    database.parent.mkdir()
    with database.open("wb") as file:
        file.write(bytes(16) + struct.pack("<II", 0xED0CDAED, 2))
        file.truncate(_GIB)
    outcome, peak = whiteout_measured("list", "--root", tmp_path)
    assert b"Traceback" not in outcome.stderr
    assert outcome.status in (0, 1)
    assert peak < _MOST, f"{peak} MiB"


def test_a_list_of_containers_that_is_too_long(tmp_path: Path) -> None:
    """Of another user's storage, which ``list`` of the administrator reads, too."""
    storage = tmp_path / "var/lib/containers/storage"
    for directory in ("overlay", "overlay-layers", "overlay-images", "overlay-containers"):
        (storage / directory).mkdir(parents=True)
    for kind in ("layers", "images", "containers"):
        with open(storage / f"overlay-{kind}/{kind}.json", "wb") as file:
            file.write(b"[" + b"{}," * 1_000)
            file.truncate(_GIB)
    outcome, peak = whiteout_measured("list", "--json", "--root", tmp_path)
    assert b"Traceback" not in outcome.stderr
    assert outcome.status in (0, 1)
    for line in outcome.stdout.splitlines():
        json.loads(line)
    assert peak < _MOST, f"{peak} MiB"
    assert os.listdir(storage / "overlay") == []
