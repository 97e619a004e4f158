"""Images in layouts and archives as sources: the same tree and reasons as of unpacked layers."""

from __future__ import annotations

import gc
import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.commands import whiteout
from support.engines import Docker, dockerd, podman, run
from support.imagetrees import build_layers, stack
from support.trees import File, Symlink, lines, make
from whiteout.cancel import CancelToken
from whiteout.content import read_head
from whiteout.contentstore import ContentStore, Descriptor
from whiteout.errors import Cancelled, ReadError, StoreError, UsageError, WhiteoutError
from whiteout.export import export_to_file
from whiteout.imagearchives import ImageArchive
from whiteout.layerarchives import LayerArchive
from whiteout.mediatypes import GZIP, MEDIA_TYPES, TAR
from whiteout.ocilayout import LayerRef, tag_image
from whiteout.opening import open_pair, open_stack, open_target, stack_of_target
from whiteout.provenance import provenance
from whiteout.sinks.dockerarchive import DockerArchive
from whiteout.sinks.layout import OciLayout
from whiteout.sinks.run import export_to, whole_stack
from whiteout.snapshot import Snapshot
from whiteout.tarcheck import TarProblem
from whiteout.tarindex import Limits, find, index_tar


def two_layers(tmp_path: Path) -> tuple[Snapshot, ...]:
    """A base and a snapshot on it, as any user can make them: a change, an addition, hard links."""
    lower = make(
        tmp_path / "lower",
        {"etc": {"conf": File(b"old"), "same": File(b"s")}, "l": Symlink(b"etc/conf")},
    )
    new = File(b"new", mtime_ns=1_700_000_001 * 10**9)
    upper = make(tmp_path / "upper", {"etc": {"conf": new}, "n": {"a": File(b"a" * 3000)}})
    os.link(upper / "n/a", upper / "n/b")
    return whole_stack(open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True))


def open_image(target: Path | str, layer: int = 0) -> Snapshot:
    return open_target(os.fsencode(target), layer=layer)


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_a_layout_is_shown_and_exported_as_what_it_was_made_of(
    tmp_path: Path, media_type: str
) -> None:
    made = two_layers(tmp_path)
    result = export_to(OciLayout(f"{tmp_path}/oci", "t"), made, media_type=media_type)
    for target in (f"oci:{tmp_path}/oci", f"oci:{tmp_path}/oci:t", f"{tmp_path}/oci"):
        for number, snapshot in enumerate(reversed(made)):
            image = open_image(target, number)
            assert image.doubts == ()
            assert lines(image) == lines(snapshot)
            again = export_to_file(image, os.fsencode(tmp_path / "layer"), media_type=TAR)
            assert again.diff_id == result.layers[-1 - number].diff_id
    image = open_image(f"oci:{tmp_path}/oci")
    assert read_head(image, b"/n/b", "upper").data == b"a" * 3000
    assert read_head(image, b"/etc/conf", "base").data == b"old"
    assert read_head(image, b"/l", "base").link_target == b"etc/conf"
    assert [holding.what for holding in provenance(image, b"/etc/conf")] == ["file", "file"]
    inspection = image.inspect(b"/etc/conf")
    assert inspection.upper is not None and inspection.upper.error is None


@pytest.mark.root
def test_every_kind_of_entry_comes_back(tmp_path: Path) -> None:
    """Whiteouts, opaque directories, devices, owners, capabilities and links."""
    (tmp_path / "layers").mkdir()
    made = whole_stack(stack(build_layers(tmp_path / "layers")))
    result = export_to(DockerArchive(f"{tmp_path}/image.tar", "x:1"), made)
    (tmp_path / "image.tar.gz").write_bytes(gzip.compress((tmp_path / "image.tar").read_bytes()))
    for target in ("image.tar", "image.tar.gz"):
        image = open_image(tmp_path / target)
        for one, other in zip(whole_stack(image), made, strict=True):
            assert lines(one) == lines(other)
        again = export_to(OciLayout(f"{tmp_path}/again"), whole_stack(image))
        assert again.manifest == result.manifest


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    with dockerd() as engine:
        yield engine


@pytest.mark.root
@pytest.mark.peer("dockerd", "docker")
def test_what_docker_saves_is_read(tmp_path: Path, docker: Docker) -> None:
    """Docker gives back the bytes of a layer that it was given."""
    (tmp_path / "layers").mkdir()
    made = whole_stack(stack(build_layers(tmp_path / "layers")))
    result = export_to(DockerArchive(f"{tmp_path}/in.tar", "x:1"), made)
    docker.docker("load", "--input", tmp_path / "in.tar")
    docker.docker("tag", "x:1", "y:2")
    docker.docker("save", "--output", tmp_path / "out.tar", "x:1", "y:2")
    for name in ("x:1", "docker.io/library/x:1", "y:2"):
        image = open_target(f"docker-archive:{tmp_path}/out.tar:{name}".encode())
        assert [lines(one) for one in whole_stack(image)] == [lines(one) for one in made]
        again = export_to(OciLayout(f"{tmp_path}/again"), whole_stack(image))
        assert [x.diff_id for x in again.layers] == [x.diff_id for x in result.layers]
    with pytest.raises(WhiteoutError, match="no image z"):
        open_target(f"docker-archive:{tmp_path}/out.tar:z".encode())


@pytest.mark.root
@pytest.mark.peer("podman", "buildah")
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_what_podman_saves_is_read(tmp_path: Path, form: str) -> None:
    """Of an image that Buildah committed. Its layers are by other conventions, the changes not."""
    with podman() as storage:
        container = storage.buildah("from", "scratch").strip()
        point = Path(storage.buildah("mount", container).strip())
        make(point / "d", {"x": File(b"x"), "y": File(b"y")})
        make(point / "gone", File(b"g"))
        storage.buildah("commit", "-q", container, "localhost/base:1")
        child = storage.buildah("from", "localhost/base:1").strip()
        point = Path(storage.buildah("mount", child).strip())
        (point / "gone").unlink()
        (point / "d/x").write_bytes(b"changed")
        storage.buildah("commit", "-q", child, "localhost/up:1")
        archive = tmp_path / "saved.tar"
        storage.podman("save", "-q", "--format", form, "-o", archive, "localhost/up:1")
    image = open_image(f"{form}:{archive}")
    assert lines(image) == ["M /d/x", "D /gone"]
    assert lines(open_image(f"{form}:{archive}", 1)) == ["A /d", "A /d/x", "A /d/y", "A /gone"]


@pytest.mark.peer("umoci")
def test_what_umoci_makes_is_read(tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    rootless = ["--rootless"] if os.geteuid() else []
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", f"{layout}:t")
    source = make(tmp_path / "source", {"a": File(b"a"), "b": {"c": File(b"c")}})
    run("umoci", "insert", *rootless, "--image", f"{layout}:t", source, "/opt")
    run("umoci", "insert", *rootless, "--image", f"{layout}:t", "--whiteout", "/opt/a")
    run("umoci", "insert", *rootless, "--image", f"{layout}:t", "--opaque", source / "b", "/opt/b")
    image = stack_of_target(f"oci:{layout}:t".encode())
    assert lines(open_stack(image, 2)) == ["A /opt", "A /opt/a", "A /opt/b", "A /opt/b/c"]
    assert "D /opt/a" in lines(open_stack(image, 1))
    assert "D /opt/a" not in lines(open_stack(image, 0))


# Layers made by hand


def tar(*entries: tuple[str, str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of entries: type, name, and content or link target."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for kind, name, content in entries:
            info = tarfile.TarInfo(name)
            info.type = kind.encode()
            if kind in "12":
                info.linkname = content.decode()
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def image_of(tmp_path: Path, *layers: bytes, diff_id: str | None = None) -> str:
    store = ContentStore(tmp_path / "made")
    refs = []
    for layer in layers:
        info = store.add(gzip.compress(layer, mtime=0))
        digest = diff_id or f"sha256:{hashlib.sha256(layer).hexdigest()}"
        refs.append(LayerRef(Descriptor(GZIP, info.digest, info.size), digest))
    tag_image(store, refs, "t")
    return f"oci:{tmp_path}/made:t"


BASE = tar(("5", "d", b""), ("0", "d/a", b"a"), ("0", "d/b", b"b"), ("0", "f", b"f"))


@pytest.mark.parametrize(
    ("layer", "changes"),
    [
        (tar(("0", "d/.wh.a", b"")), ["D /d/a"]),
        (tar(("0", "./d/.wh..wh..opq", b""), ("0", "d/n", b"n")), ["D /d/a", "D /d/b", "A /d/n"]),
        (tar(("0", "d/n", b"n"), ("0", "d/.wh..wh..opq", b"")), ["D /d/a", "D /d/b", "A /d/n"]),
        (
            tar(("0", ".wh.d", b""), ("5", "d", b""), ("0", "d/n", b"n")),
            ["D /d/a", "D /d/b", "A /d/n"],
        ),
        (tar(("0", ".wh..wh.aufs", b""), ("5", ".wh..wh.plnk", b"")), []),
        (tar(("0", "x", b"1"), ("0", "x", b"22")), ["A /x"]),
        (tar(("5", "x", b""), ("0", "x/y", b""), ("0", "x", b"22")), ["A /x"]),
        (tar(("0", "../../x", b"1"), ("0", "/y", b"2")), ["A /x", "A /y"]),
        (tar(("2", "out", b"/../etc"), ("0", "out/x", b"1")), ["A /etc", "A /etc/x", "A /out"]),
        (tar(("2", "up", b"../../.."), ("0", "up/x", b"1")), ["A /up", "A /x"]),
        (tar(("0", "x", b"1"), ("1", "y", b"./x"), ("1", "z", b"/y")), ["A /x", "A /y", "A /z"]),
    ],
)
def test_layers_are_read_as_engines_apply_them(
    tmp_path: Path, layer: bytes, changes: list[str]
) -> None:
    image = open_image(image_of(tmp_path, BASE, layer))
    seen = [line for line in lines(image) if line != "M /d"]
    assert seen == changes


def truncated(data: bytes) -> bytes:
    return data[:700]


def flipped(data: bytes) -> bytes:
    return data[:100] + b"\x01" + data[101:]


def sparse(data: bytes) -> bytes:
    header = bytearray(data[:512])
    header[156:157] = b"S"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data[512:]


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (truncated(tar(("0", "x", b"x" * 500))), "cut short"),
        (flipped(tar(("0", "x", b"x"))), "checksum"),
        (sparse(tar(("0", "x", b"x"))), "sparse"),
        (tar(("1", "x", b"nothing")), "does not hold"),
        (tar(("0", "x", b""), ("0", "x/y", b"")), "below a file"),
        (tar(("2", "a", b"b"), ("2", "b", b"a"), ("0", "a/x", b"")), "too many symlinks"),
        (tar(("0", "n" * 300, b"")), "longer than any"),
        (tar(("0", "d/.wh.", b"")), "whiteout of nothing"),
        (tar(("V", "label", b"")), "kind"),
        (b"not a tar" * 100, "checksum"),
        (b"", "empty"),
    ],
)
def test_a_malformed_layer_is_one_sentence(tmp_path: Path, layer: bytes, sentence: str) -> None:
    image = open_image(image_of(tmp_path, layer))
    with pytest.raises(ReadError, match=sentence) as caught:
        lines(image)
    assert "\n" not in str(caught.value)


def test_a_wrong_diff_id_and_a_damaged_blob_are_told(tmp_path: Path) -> None:
    wrong = "sha256:" + "0" * 64
    with pytest.raises(ReadError, match="diffID"):
        lines(open_image(image_of(tmp_path, BASE, diff_id=wrong)))
    target = image_of(tmp_path, BASE)
    (blob,) = (
        path
        for path in (tmp_path / "made/blobs/sha256").iterdir()
        if path.read_bytes()[:2] == b"\x1f\x8b"
    )
    content = blob.read_bytes()
    blob.chmod(0o644)
    blob.write_bytes(content[:-6] + b"\0" * 6)
    with pytest.raises(ReadError, match=r"corrupt|damaged"):
        lines(open_image(target))


def test_a_bomb_ends_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = image_of(tmp_path, tar(("0", "zeros", bytes(20_000_000))))
    monkeypatch.setenv("WHITEOUT_MAX_LAYER_SIZE", "10000000")
    with pytest.raises(ReadError, match=r"more than 10,000,000 bytes .* WHITEOUT_MAX_LAYER_SIZE"):
        lines(open_image(target))
    monkeypatch.setenv("WHITEOUT_MAX_LAYER_SIZE", "many")
    with pytest.raises(UsageError, match="give a number of bytes"):
        open_image(target)
    monkeypatch.delenv("WHITEOUT_MAX_LAYER_SIZE")
    assert lines(open_image(target)) == ["A /zeros"]


@pytest.mark.parametrize(
    ("limits", "layer"),
    [
        (Limits(entries=10), tar(("0", "/".join("abcdefghijkl"), b""))),
        (Limits(memory=1000), tar(*(("0", f"{n}" * 50, b"") for n in range(30)))),
    ],
)
def test_names_are_limited(limits: Limits, layer: bytes) -> None:
    with pytest.raises(TarProblem, match="more than"):
        index_tar(iter([layer]), limits, whiteouts=True)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_every_form_of_tar_is_read(form: int) -> None:
    name = "/".join(["d" * 90] * 2) if form != tarfile.USTAR_FORMAT else "d" * 60 + "/" + "e" * 90
    link = [] if form == tarfile.USTAR_FORMAT else [("1", "link", name.encode())]
    data = tar(("0", name, b"content"), *link, form=form)
    chunks = (data[start : start + 7] for start in range(0, len(data), 7))
    root = index_tar(chunks, Limits(), whiteouts=True)
    inode = find(root, name.encode())
    assert inode is not None and data[inode.offset : inode.offset + inode.size] == b"content"


def test_overlay_marks_in_a_layer_mean_nothing(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("d")
        info.type = tarfile.DIRTYPE
        info.pax_headers = {
            "SCHILY.xattr.trusted.overlay.opaque": "y",
            "SCHILY.xattr.trusted.overlay.redirect": "/etc",
            "SCHILY.xattr.user.kept": "v",
        }
        archive.addfile(info)
    image = open_image(image_of(tmp_path, BASE, out.getvalue()))
    assert not [line for line in lines(image) if line.startswith("D")]
    upper = image.inspect(b"/d").upper
    assert upper is not None and [x.name for x in upper.xattrs] == [b"user.kept"]


def test_nothing_is_left_open_or_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    target = image_of(tmp_path, BASE, tar(("0", "x", b"x" * 3_000_000)))
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        image = open_image(target)
        assert lines(image) == ["A /x"]
        assert len(read_head(image, b"/x", "upper").data) == 1 << 16
        del image
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
    assert os.listdir(scratch) == []


def test_reading_a_layer_is_cancelled(tmp_path: Path) -> None:
    token = CancelToken()
    token.cancel()
    image = open_image(image_of(tmp_path, BASE))
    with pytest.raises(Cancelled):
        list(image.changes(cancel=token))
    assert len(lines(image)) == 4


def test_the_commands_take_images(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    export_to(DockerArchive(f"{tmp_path}/a.tar", "n:1"), two_layers(tmp_path))
    told = whiteout(capfdbinary, "changes", tmp_path / "a.tar").done()
    assert told.stdout.splitlines()[0] == b"M /etc/conf"
    told = whiteout(capfdbinary, "list", f"docker-archive:{tmp_path}/a.tar:n", "--json")
    assert told.status == 1 and b"no image n" in told.stderr
    told = whiteout(capfdbinary, "list", f"docker-archive:{tmp_path}/a.tar:n:1", "--json").done()
    assert len(told.objects()) == 2
    told = whiteout(
        capfdbinary,
        *("export", tmp_path / "a.tar", "--base", f"docker-archive:{tmp_path}/a.tar"),
        *("--to", f"oci:{tmp_path}/o", "--json"),
    ).done()
    assert len(told.objects()[0]["layers"]) == 3
    (tmp_path / "text").write_text("no archive")
    told = whiteout(capfdbinary, "changes", tmp_path / "text")
    assert told.status == 1 and b"no archive of images" in told.stderr


def test_the_own_store_is_listed(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    two_layers(tmp_path)
    snapshot = [f"{tmp_path}/upper", "--lower", f"{tmp_path}/lower", "--userxattr"]
    whiteout(capfdbinary, "export", *snapshot, "--tag", "mine")
    told = whiteout(capfdbinary, "list", "--engine", "images", "--json")
    (record,) = told.objects()
    assert (told.status, record["name"], record["doubtful"]) == (0, "mine", False)
    assert whiteout(capfdbinary, "changes", record["target"]).done().stdout


_MALFORMED: list[Callable[[dict[str, bytes]], dict[str, bytes]]] = [
    lambda files: {name: data for name, data in files.items() if name != "manifest.json"},
    lambda files: {**files, "manifest.json": b"{"},
    lambda files: {**files, "manifest.json": b"[1]"},
    lambda files: {**files, "manifest.json": b"[]"},
    lambda files: {**files, "manifest.json": b'[{"Config":"../x","Layers":[]}]'},
    lambda files: {**files, "manifest.json": b'[{"Config":"c","Layers":["l","l"]}]'},
    lambda files: {**files, "manifest.json": b'[{"Config":"c","Layers":[1]}]'},
    lambda files: {**files, "c": b"[]"},
    lambda files: {**files, "c": json.dumps({"rootfs": {"diff_ids": ["x"]}}).encode()},
    lambda files: {**files, "l": b"other"},
]


@pytest.mark.parametrize("spoil", _MALFORMED, ids=range(len(_MALFORMED)))
def test_a_malformed_archive_is_one_sentence(
    tmp_path: Path, spoil: Callable[[dict[str, bytes]], dict[str, bytes]]
) -> None:
    diff_id = f"sha256:{hashlib.sha256(BASE).hexdigest()}"
    files = {
        "manifest.json": b'[{"Config":"c","RepoTags":["n:1"],"Layers":["l"]}]',
        "c": json.dumps({"rootfs": {"diff_ids": [diff_id]}}).encode(),
        "l": BASE,
    }
    archive = tmp_path / "a.tar"
    archive.write_bytes(tar(*(("0", name, data) for name, data in files.items())))
    assert lines(open_image(archive)) == ["A /d", "A /d/a", "A /d/b", "A /f"]
    archive.write_bytes(tar(*(("0", name, data) for name, data in spoil(files).items())))
    with pytest.raises(WhiteoutError) as caught:
        lines(open_image(archive))
    assert "\n" not in str(caught.value)


def test_an_archive_that_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", tmp_path / "nothing"):
        with pytest.raises(StoreError):
            ImageArchive(str(path))


def test_layers_have_devices_of_their_own() -> None:
    store: object = None
    layer = LayerRef(Descriptor(TAR, "sha256:" + "0" * 64, 0), "sha256:" + "0" * 64)
    one, other = (LayerArchive(store, layer, b"x", Limits()) for _ in range(2))  # type: ignore[arg-type]
    assert one.device != other.device


def test_surrogates_in_an_image_do_no_harm(tmp_path: Path) -> None:
    """In its names, its history and its config, as JSON may hold them."""
    diff_id = f"sha256:{hashlib.sha256(BASE).hexdigest()}"
    config = {
        "rootfs": {"diff_ids": [diff_id]},
        "history": [{"created_by": "\ud800"}],
        "config": {"Env": ["A=\udfff"]},
    }
    entry = {"Config": "c", "RepoTags": ["\ud800"], "Layers": ["l"]}
    files = {"manifest.json": json.dumps([entry]), "c": json.dumps(config)}
    archive = tmp_path / "a.tar"
    members = [("0", name, text.encode()) for name, text in files.items()]
    archive.write_bytes(tar(*members, ("0", "l", BASE)))
    export_to(
        OciLayout(f"{tmp_path}/o"), [open_image(archive)], base=ImageArchive(str(archive)).image()
    )
    with pytest.raises(WhiteoutError, match="no image n"):
        ImageArchive(str(archive)).image("n")
    archive.write_bytes(
        tar(("0", "manifest.json", json.dumps([{**entry, "Config": "\ud800"}]).encode()))
    )
    with pytest.raises(WhiteoutError, match="has no"):
        open_image(archive)
