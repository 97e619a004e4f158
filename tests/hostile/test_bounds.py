"""Sizes that nobody expects: they are shown, or refused in words, and never fill the memory."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import time
from pathlib import Path

import pytest

from support.commands import python
from support.trees import make
from whiteout.cancel import CancelToken
from whiteout.content import read_head
from whiteout.errors import Cancelled
from whiteout.export import Progress, export_to_file
from whiteout.mediatypes import TAR
from whiteout.opening import open_pair
from whiteout.snapshot import Snapshot

_TIB = 1 << 40


def opened(upper: Path, lower: Path) -> Snapshot:
    return open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True)


def sparse(path: Path, size: int) -> Path:
    """A file of *size* bytes, nearly all of them a hole."""
    with open(path, "wb") as file:
        file.write(b"begin")
        try:
            file.truncate(size)
        except OSError:
            pytest.skip(f"this filesystem holds no file of {size:,} bytes")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


@pytest.fixture
def layers(tmp_path: Path) -> tuple[Path, Path]:
    return make(tmp_path / "upper", {}), make(tmp_path / "lower", {})


def test_a_sparse_file_of_eight_tebibytes(layers: tuple[Path, Path], tmp_path: Path) -> None:
    upper, lower = layers
    sparse(upper / "huge", 8 * _TIB)
    snapshot = opened(upper, lower)
    (verdict,) = snapshot.changes()
    assert verdict.entry is not None
    assert verdict.entry.size == 8 * _TIB
    assert read_head(snapshot, b"/huge", "upper", 16).data.startswith(b"begin\0")
    token = CancelToken()

    def watch(progress: Progress) -> None:
        if progress.uncompressed > 50_000_000:
            token.cancel()

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Cancelled):
        export_to_file(
            snapshot,
            os.fsencode(tmp_path / "layer.tar"),
            media_type=TAR,
            progress=watch,
            cancel=token,
        )
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert not (tmp_path / "layer.tar").exists()
    assert grown < 64 * 1024, f"{grown} KiB more"


def test_a_comparison_of_huge_files_is_cancelled(layers: tuple[Path, Path]) -> None:
    upper, lower = layers
    sparse(upper / "huge", 4 * _TIB)
    sparse(lower / "huge", 4 * _TIB)
    token = CancelToken()
    threading.Timer(0.3, token.cancel).start()
    started = time.monotonic()
    try:
        list(opened(upper, lower).changes(cancel=token))
    except Cancelled:
        assert time.monotonic() - started < 60


def descend(layer: Path, name: str, depth: int) -> int:
    """Directories of that *name* in each other; an open descriptor of the deepest."""
    descriptor = os.open(layer, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=descriptor)
        below = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    return descriptor


def test_deeper_than_any_path_may_be_long(layers: tuple[Path, Path], tmp_path: Path) -> None:
    upper, lower = layers
    name = "d" * 200
    depth = 60
    assert len(name) * depth > os.pathconf("/", "PC_PATH_MAX")
    for layer in layers:
        descriptor = descend(layer, name, depth)
        if layer is upper:
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=descriptor))
        os.close(descriptor)
    snapshot = opened(upper, lower)
    (verdict,) = snapshot.changes()
    assert verdict.path == b"/" + b"/".join([os.fsencode(name)] * depth) + b"/file"
    assert snapshot.explain(verdict.path).kind is verdict.kind
    result = export_to_file(snapshot, os.fsencode(tmp_path / "layer.tar"), media_type=TAR)
    assert result.entries == depth + 1
    subprocess.run(["rm", "-rf", upper, lower], check=True)


_DEEP = """
import os, resource, sys
from whiteout.errors import ReadError
from whiteout.export import export_to_file
from whiteout.mediatypes import TAR
from whiteout.opening import open_pair
snapshot = open_pair(os.fsencode(sys.argv[1]), [os.fsencode(sys.argv[2])], userxattr=True)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(sum(1 for _ in snapshot.changes()))
try:
    export_to_file(snapshot, os.fsencode(sys.argv[3]), media_type=TAR)
except ReadError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize(("name", "depth", "read"), [("d" * 250, 200, 201), ("d" * 250, 300, 263)])
def test_depth_has_an_end(
    layers: tuple[Path, Path], tmp_path: Path, name: str, depth: int, read: int
) -> None:
    """Beyond it the rest is unreadable, and nothing is exported."""
    upper, lower = layers
    descriptor = descend(upper, name, depth)
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=descriptor))
    os.close(descriptor)
    told = python(_DEEP, upper, lower, tmp_path / "layer.tar")
    assert told.status == 0, told
    count, *refused, kibibytes = told.stdout.decode().splitlines()
    assert int(count) == read
    assert bool(refused) is (read < depth)
    assert not refused or "is too deep: directories are read down to" in refused[0]
    assert (tmp_path / "layer.tar").exists() is not bool(refused)
    assert int(kibibytes) < 64 * 1024
    subprocess.run(["rm", "-rf", upper], check=True)


def test_the_longest_names_and_the_largest_attributes(
    layers: tuple[Path, Path], tmp_path: Path
) -> None:
    upper, lower = layers
    (upper / ("n" * 255)).write_bytes(b"x")
    (upper / "attributes").write_bytes(b"x")
    try:
        for number in range(3):
            os.setxattr(upper / "attributes", f"user.{'a' * 240}{number}", b"v" * 300)
        os.setxattr(upper / "attributes", "user.overlay.opaque", b"o" * 900)
    except OSError:
        pytest.skip("this filesystem holds no such attributes")
    snapshot = opened(upper, lower)
    assert len(list(snapshot.changes())) == 2
    inspection = snapshot.inspect(b"/attributes")
    assert inspection.upper is not None
    assert export_to_file(snapshot, os.fsencode(tmp_path / "l"), media_type=TAR).entries == 2


_LIST = """
import os, resource, sys
from whiteout.opening import open_pair
snapshot = open_pair(os.fsencode(sys.argv[1]), [os.fsencode(sys.argv[2])], userxattr=True)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(sum(1 for _ in snapshot.changes()))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_directory_of_very_many_entries(layers: tuple[Path, Path]) -> None:
    upper, lower = layers
    (upper / "one").write_bytes(b"")
    many = 50_000  # hard links: as many entries, one inode
    for number in range(many):
        os.link(upper / "one", upper / f"entry-{number}")
    told = python(_LIST, upper, lower)
    count, kibibytes = map(int, told.stdout.split())
    assert count == many + 1
    assert kibibytes * 1024 / many < 400, "bytes of memory an entry"


@pytest.mark.peer("strace")
def test_a_half_read_directory_is_no_whole_one(layers: tuple[Path, Path], tmp_path: Path) -> None:
    upper, lower = layers
    (upper / "d").mkdir()
    for number in range(2000):  # more than one getdents64 gives
        (upper / "d" / f"entry-with-a-long-name-{number:04}").touch()
    wrapper = ["strace", "-f", "-qq", "-o", str(tmp_path / "log")]
    # read through a clone of the mount, the directory is known by its path in the layer
    inject = ["-P", str(upper / "d"), "-P", "/d", "-e", "inject=getdents64:error=EIO:when=2"]
    told = python(_CHILDREN, upper, lower, wrapper=[*wrapper, *inject])
    assert told.status == 0, told
    assert told.stdout == b"cannot list /d: input/output error\n"


_CHILDREN = """
import os, sys
from whiteout.errors import ReadError
from whiteout.opening import open_pair
snapshot = open_pair(os.fsencode(sys.argv[1]), [os.fsencode(sys.argv[2])], userxattr=True)
try:
    print("listed", len(list(snapshot.children(b"/d"))))
except ReadError as error:
    print(error)
"""
