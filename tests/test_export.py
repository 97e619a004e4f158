"""Exporting: real clients read it, and nothing is left of what fails or is cancelled."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest
import zstandard

from support.trees import WHITEOUT, Dir, File, Symlink, make
from whiteout.cancel import CancelToken
from whiteout.contentstore import ContentStore
from whiteout.demo import build_demo
from whiteout.errors import (
    Cancelled,
    ReadError,
    RefLocked,
    RefusedError,
    SnapshotChanged,
    StoreError,
)
from whiteout.export import Progress, default_ref, export_to_file, export_to_store
from whiteout.labels import UNCOMPRESSED
from whiteout.mediatypes import GZIP, MEDIA_TYPES, TAR, ZSTD
from whiteout.opening import open_mounts, open_pair
from whiteout.snapshot import Snapshot
from whiteout.verify import verify_blob


@pytest.fixture
def demo(tmp_path: Path) -> Snapshot:
    return open_mounts(build_demo(os.fsencode(tmp_path / "demo")).mounts)


def a_snapshot(tmp_path: Path, upper: object) -> Snapshot:
    lower = make(tmp_path / "lower", {"old": File(), "d": {"f": File()}})
    return open_pair(
        os.fsencode(make(tmp_path / "upper", upper)), [os.fsencode(lower)], userxattr=True
    )


def ordinary(tmp_path: Path) -> Snapshot:
    """A snapshot that any image tool can unpack, as any user."""
    tree = {
        "etc": {"conf": File(b"conf\n"), "long" * 30: File(b"x"), "naïve-日本": File(b"n")},
        "old": WHITEOUT,
        "d": Dir({"new": File(b"new")}, xattrs={"user.overlay.opaque": b"y"}),
        "link": Symlink(b"etc/conf"),
    }
    return a_snapshot(tmp_path, tree)


def decompressed(blob: bytes, media_type: str) -> bytes:
    if media_type == GZIP:
        return gzip.decompress(blob)
    if media_type == ZSTD:
        return zstandard.ZstdDecompressor().decompressobj().decompress(blob)
    return blob


def everything_in(directory: Path) -> set[str]:
    return {
        str(Path(current, name).relative_to(directory))
        for current, names, files in os.walk(directory)
        for name in (*names, *files)
    }


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_the_blob_is_what_the_result_says(demo: Snapshot, tmp_path: Path, media_type: str) -> None:
    store = ContentStore(tmp_path / "store")
    result = export_to_store(demo, store, media_type=media_type)
    assert result.path is not None
    blob = Path(os.fsdecode(result.path)).read_bytes()
    tar = decompressed(blob, media_type)
    assert result.digest == f"sha256:{hashlib.sha256(blob).hexdigest()}"
    assert result.diff_id == f"sha256:{hashlib.sha256(tar).hexdigest()}"
    assert (result.size, result.uncompressed_size) == (len(blob), len(tar))
    assert store.labels(result.digest) == {UNCOMPRESSED: result.diff_id}
    found = verify_blob(store, result.digest)
    assert (found.problems, found.diff_id, found.entries) == ((), result.diff_id, result.entries)
    again = export_to_store(demo, store, media_type=media_type)
    assert again.digest == result.digest


def test_a_file_holds_the_same_blob_as_the_store(demo: Snapshot, tmp_path: Path) -> None:
    target = tmp_path / "layer.tar.gz"
    target.write_bytes(b"an older layer")
    target.chmod(0o600)
    to_file = export_to_file(demo, os.fsencode(target), media_type=GZIP)
    to_store = export_to_store(demo, ContentStore(tmp_path / "store"), media_type=GZIP)
    assert to_file.digest == to_store.digest
    assert hashlib.sha256(target.read_bytes()).hexdigest() == to_file.digest.partition(":")[2]


def test_a_pipe_and_a_device_are_written_in_place(demo: Snapshot, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    result = export_to_file(demo, os.fsencode(pipe), media_type=TAR)
    reader.join()
    assert hashlib.sha256(received[0]).hexdigest() == result.diff_id.partition(":")[2]
    export_to_file(demo, b"/dev/null", media_type=TAR)
    assert not Path("/dev/null").is_file()


def test_an_empty_change_is_two_blocks_of_zeros(tmp_path: Path) -> None:
    result = export_to_store(
        a_snapshot(tmp_path, {}), ContentStore(tmp_path / "store"), media_type=TAR
    )
    assert (result.size, result.entries) == (1024, 0)
    assert result.digest.startswith("sha256:5f70bf18a086007016e948b04aed3b82")


class _After(CancelToken):
    """A token that cancels itself when it was asked *checks* times."""

    __slots__ = ("checks", "left")

    def __init__(self, checks: int) -> None:
        super().__init__()
        self.left = checks

    def check(self) -> None:
        self.left -= 1
        if self.left < 0:
            self.cancel()
        super().check()


def test_cancelling_at_any_check_leaves_nothing(demo: Snapshot, tmp_path: Path) -> None:
    store = ContentStore(tmp_path / "store")
    before = everything_in(tmp_path / "store")
    counted = _After(10**9)
    export_to_file(demo, b"/dev/null", media_type=ZSTD, cancel=counted)
    checks = 10**9 - counted.left
    assert checks > 100
    for after in range(0, checks - 1, 7):
        with pytest.raises(Cancelled):
            export_to_store(demo, store, media_type=ZSTD, cancel=_After(after))
        with pytest.raises(Cancelled):
            export_to_file(
                demo, os.fsencode(tmp_path / "file"), media_type=ZSTD, cancel=_After(after)
            )
    assert not (tmp_path / "file").exists()
    left = everything_in(tmp_path / "store") - before
    assert not {name for name in left if name.startswith(("blobs/sha256/", "ingest/"))}
    assert store.statuses() == ()


def test_a_large_file_is_cancelled_in_the_middle(tmp_path: Path) -> None:
    snapshot = a_snapshot(tmp_path, {"big": File(b"x" * 20_000_000)})
    token = CancelToken()
    seen: list[Progress] = []

    def cancel(progress: Progress) -> None:
        seen.append(progress)
        token.cancel()

    with pytest.raises(Cancelled):
        export_to_file(
            snapshot,
            os.fsencode(tmp_path / "layer"),
            media_type=TAR,
            progress=cancel,
            cancel=token,
        )
    assert seen[0].uncompressed < 5_000_000
    assert not (tmp_path / "layer").exists()


def test_a_second_export_of_a_ref_is_told_so(demo: Snapshot, tmp_path: Path) -> None:
    store = ContentStore(tmp_path / "store")
    with store.writer(default_ref(demo, TAR)), pytest.raises(RefLocked, match="locked"):
        export_to_store(demo, store, media_type=TAR)
    export_to_store(demo, store, media_type=TAR)


def test_a_directory_as_target_is_refused(demo: Snapshot, tmp_path: Path) -> None:
    for target in (tmp_path, tmp_path / "missing" / "layer"):
        with pytest.raises(StoreError):
            export_to_file(demo, os.fsencode(target), media_type=TAR)
    assert not (tmp_path / "missing").exists()


def test_what_cannot_be_read_is_not_exported(tmp_path: Path) -> None:
    snapshot = a_snapshot(tmp_path, {"closed": File(b"secret", mode=0)})
    target = os.fsencode(tmp_path / "layer")
    if os.geteuid() == 0:
        export_to_file(snapshot, target, media_type=TAR)
    else:
        with pytest.raises(ReadError, match="closed"):
            export_to_file(snapshot, target, media_type=TAR)
        assert not (tmp_path / "layer").exists()


def test_doubtful_layers_are_not_exported(
    demo: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same directories, once with marks that this process may not see."""
    monkeypatch.setattr("whiteout.opening.can_read_trusted", lambda: False)
    snapshot = open_pair(demo.upperdir or b"", demo.lowerdirs)
    assert snapshot.doubts
    with pytest.raises(RefusedError, match="trusted"):
        export_to_file(snapshot, os.fsencode(tmp_path / "layer"), media_type=TAR)
    certain = open_pair(demo.upperdir or b"", demo.lowerdirs, userxattr=True)
    assert export_to_file(certain, os.fsencode(tmp_path / "layer"), media_type=TAR).entries
    alone = open_pair(demo.upperdir or b"", [])
    assert not alone.doubts


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_two_readers_list_the_layer(demo: Snapshot, tmp_path: Path, compression: str) -> None:
    media_type = {"none": TAR, "gzip": GZIP, "zstd": ZSTD}[compression]
    path = tmp_path / "layer"
    result = export_to_file(demo, os.fsencode(path), media_type=media_type)
    plain = tmp_path / "layer.tar"
    plain.write_bytes(decompressed(path.read_bytes(), media_type))
    with tarfile.open(plain) as archive:
        assert len(archive.getmembers()) == result.entries
    listing = subprocess.run(["tar", "-tvf", plain], capture_output=True, check=True)
    assert listing.stderr == b""
    assert len(listing.stdout.splitlines()) == result.entries


@pytest.mark.peer("skopeo")
@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_skopeo_inspects_the_exported_image(tmp_path: Path, media_type: str) -> None:
    result = export_to_store(
        ordinary(tmp_path), ContentStore(tmp_path / "store"), media_type=media_type, tag="v1"
    )
    for image in (f"oci:{tmp_path}/store", f"oci:{tmp_path}/store:v1"):
        answer = subprocess.run(["skopeo", "inspect", image], capture_output=True, check=True)
        assert json.loads(answer.stdout)["Layers"] == [result.digest]


@pytest.mark.peer("umoci")
@pytest.mark.parametrize("media_type", [TAR, GZIP])
def test_umoci_unpacks_the_exported_image(tmp_path: Path, media_type: str) -> None:
    """umoci compares the diffID. Its version in Debian does not know zstd."""
    export_to_store(
        ordinary(tmp_path), ContentStore(tmp_path / "store"), media_type=media_type, tag="v1"
    )
    command = ["umoci", "unpack", "--image", f"{tmp_path}/store:v1", str(tmp_path / "bundle")]
    rootless = ["--rootless"] if os.geteuid() != 0 else []
    subprocess.run([*command[:2], *rootless, *command[2:]], capture_output=True, check=True)
    unpacked = tmp_path / "bundle" / "rootfs"
    assert (unpacked / "etc" / "conf").read_bytes() == b"conf\n"
    assert (unpacked / "link").read_bytes() == b"conf\n"
    assert sorted(os.listdir(unpacked / "d")) == ["new"]


@pytest.mark.long
def test_the_stream_holds_no_list_of_the_tree(tmp_path: Path) -> None:
    """Peak memory of a whole walk does not grow with the number of directories."""
    script = (
        "import sys, tracemalloc; from whiteout.opening import open_pair\n"
        "snapshot = open_pair(sys.argv[1].encode(), [sys.argv[2].encode()], userxattr=True)\n"
        "tracemalloc.start()\n"
        "print(sum(1 for _ in snapshot.changes(skipped=True)), tracemalloc.get_traced_memory()[1])"
    )
    peaks = []
    for number in (5, 20):
        directory = tmp_path / str(number)
        directory.mkdir()
        leaves = {f"d{n:02}": {f"f{m}": File() for m in range(20)} for n in range(20)}
        tree = {f"t{n:02}": leaves for n in range(number)}
        upper, lower = make(directory / "upper", tree), make(directory / "lower", tree)
        answer = subprocess.run(
            [sys.executable, "-c", script, upper, lower], capture_output=True, check=True
        )
        count, peak = map(int, answer.stdout.split())
        assert count == number * (1 + 20 * 21)
        peaks.append(peak)
    assert peaks[1] < 1.5 * peaks[0]


def test_the_disk_is_written_to_while_the_layer_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []
    ask = os.posix_fadvise

    def noted(descriptor: int, offset: int, length: int, advice: int) -> None:
        asked.append((offset, length))
        ask(descriptor, offset, length, advice)

    monkeypatch.setattr(os, "posix_fadvise", noted)
    snapshot = a_snapshot(tmp_path, {"large": File(bytes(17 << 20))})
    export_to_file(snapshot, os.fsencode(tmp_path / "layer"), media_type=TAR)
    to_file = asked.copy()
    asked.clear()
    export_to_store(snapshot, ContentStore(tmp_path / "store"), media_type=TAR)
    assert asked == to_file == [(0, 8 << 20), (8 << 20, 8 << 20)]


MIB = 1 << 20
#: The size of a file, and where it has data: the rest are holes.
HOLES = {
    "all": (5 * MIB + 7, ()),
    "begin": (3 * MIB, (3 * MIB - 1,)),
    "between": (9 * MIB + 100, (0, 4 * MIB - 3, 8 * MIB)),
    "end": (6 * MIB + 1, (0, 2 * MIB)),
}


@pytest.mark.parametrize("name", HOLES)
def test_holes_are_zeros_in_the_layer(name: str, tmp_path: Path) -> None:
    size, data = HOLES[name]
    snapshot = a_snapshot(tmp_path, {"f": File()})
    with (tmp_path / "upper" / "f").open("r+b") as file:
        for offset in data:
            file.seek(offset)
            file.write(b"data"[: size - offset])
        file.truncate(size)
    target = tmp_path / "layer.tar"
    export_to_file(snapshot, os.fsencode(target), media_type=TAR)
    with tarfile.open(target) as archive:
        content = archive.extractfile("f")
        assert content is not None
        assert content.read() == (tmp_path / "upper" / "f").read_bytes()


@pytest.mark.parametrize("by", [-MIB, 1])
def test_a_file_whose_end_changes_within_a_hole_is_refused(by: int, tmp_path: Path) -> None:
    snapshot = a_snapshot(tmp_path, {"f": File(b"data")})
    os.truncate(tmp_path / "upper" / "f", 8 * MIB)

    def change(_: Progress) -> None:
        os.truncate(tmp_path / "upper" / "f", 8 * MIB + by)

    with pytest.raises(SnapshotChanged, match="grew" if by > 0 else "shrank"):
        export_to_file(
            snapshot, os.fsencode(tmp_path / "layer.tar"), media_type=TAR, progress=change
        )
    assert not (tmp_path / "layer.tar").exists()
