"""Id-mapped layers: the container's owners in the view, the comparison and the layer.

The judge is the kernel's own id-mapped mount (mount_setattr(2) with MOUNT_ATTR_IDMAP).
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from support.commands import whiteout
from support.idmapped import idmapped
from support.listing import list_tree
from support.trees import File, Symlink, lines, make
from whiteout.errors import ReadError, UsageError
from whiteout.export import export_to_file
from whiteout.idmap import OVERFLOW_ID, IdMap, IdRange
from whiteout.mediatypes import TAR
from whiteout.opening import open_pair
from whiteout.snapshot import Snapshot

MAP = IdMap.parse(["0:1000:1", "1:100000:65536"], [])
CAPABILITY_OF_1000 = bytes.fromhex("0100000300200000000000000000000000000000") + (1000).to_bytes(
    4, "little"
)


def owners(snapshot: Snapshot, directory: Path) -> dict[str, tuple[int, int]]:
    target = directory / "layer.tar"
    export_to_file(snapshot, os.fsencode(target), media_type=TAR)
    with tarfile.open(target) as archive:
        return {entry.name: (entry.uid, entry.gid) for entry in archive}


def test_ids_are_mapped_back() -> None:
    assert MAP is not None
    assert [MAP.uid_to_container(uid) for uid in (1000, 100000, 165535, 0, 999, 165536)] == [
        0,
        1,
        65536,
        *(OVERFLOW_ID,) * 3,
    ]
    assert MAP.gid_to_container(100009) == 10
    assert IdMap((IdRange(0, 1000, 1),)).gid_to_container(5) == 5
    assert IdMap.parse([], []) is None


@pytest.mark.parametrize(
    "text",
    ["", "0", "0:1", "0:1:2:3", "a:b:c", "-1:0:1", "0:1:0", "0:0:4294967297", "٣:0:1", "\n0:1:2"],
)
def test_a_malformed_range_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        IdMap.parse([text], [])


def test_ranges_that_overlap_are_refused() -> None:
    for one, other in (("0:5:10", "20:14:1"), ("0:5:10", "9:100:1")):
        with pytest.raises(UsageError, match="overlap"):
            IdMap.parse([one, other], [])


@pytest.mark.root
def test_the_kernel_sees_the_same_owners(tmp_path: Path) -> None:
    """A directory that is mounted id-mapped, against our reading of it as it lies on disk."""
    assert MAP is not None
    tree = {"root": File(b"r"), "user": File(b"u"), "link": Symlink(b"x"), "d": {"f": File(b"f")}}
    upper = make(tmp_path / "upper", tree)
    for name, owner in (("root", 1000), ("user", 100999), ("link", 100005), ("d", 1000)):
        os.chown(upper / name, owner, owner, follow_symlinks=False)
    os.chown(upper / "d" / "f", 100000, 1000)
    os.setxattr(upper / "user", "security.capability", CAPABILITY_OF_1000)
    snapshot = open_pair(os.fsencode(upper), [os.fsencode(make(tmp_path / "l", {}))], idmap=MAP)
    with idmapped(upper, tmp_path / "mapped", MAP) as seen:
        shown, _ = list_tree(os.fsencode(seen))
    assert {path: (item.uid, item.gid) for path, item in shown.items()} == {
        b"/root": (0, 0),
        b"/user": (1000, 1000),
        b"/link": (6, 6),
        b"/d": (0, 0),
        b"/d/f": (1, 0),
    }
    exported = owners(snapshot, tmp_path)
    assert {b"/" + name.encode(): ids for name, ids in exported.items()} == {
        path: (item.uid, item.gid) for path, item in shown.items()
    }
    inspection = snapshot.inspect(b"/user")
    assert inspection.upper is not None
    assert inspection.upper.host_owner == (100999, 100999)
    with tarfile.open(tmp_path / "layer.tar") as archive:
        record = archive.getmember("user").pax_headers["SCHILY.xattr.security.capability"]
    assert (
        record.encode("utf-8", "surrogateescape")
        == CAPABILITY_OF_1000[:3] + b"\2" + (CAPABILITY_OF_1000[4:-4])
    )


@pytest.mark.root
def test_an_upper_alone_is_mapped(tmp_path: Path) -> None:
    """``podman run --uidmap`` as root: the lower layers hold container ids, the upper host ids."""
    assert MAP is not None
    lower = make(tmp_path / "lower", {"same": File(b"s"), "other": File(b"o")})
    upper = make(tmp_path / "upper", {"same": File(b"s"), "other": File(b"o")})
    for name, uid in (("same", 1000), ("other", 100000)):
        os.chown(upper / name, uid, uid)
    paths = os.fsencode(upper), [os.fsencode(lower)]
    assert lines(open_pair(*paths)) == ["M /other", "M /same"]
    assert lines(open_pair(*paths, idmap=[MAP, None])) == ["M /other"]
    with pytest.raises(UsageError, match="2 directories"):
        open_pair(*paths, idmap=[MAP])


@pytest.mark.root
def test_an_owner_that_the_container_has_not_is_not_exported(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    upper = make(tmp_path / "upper", {"f": File(b"f")})
    os.chown(upper / "f", 7, 100000)
    lower = make(tmp_path / "lower", {})
    words = (upper, "--lower", lower, "--uidmap", "0:100000:65536")
    assert whiteout(capfdbinary, "changes", *words).done().stdout == b"A /f\n"
    output = tmp_path / "layer.tar"
    refused = whiteout(capfdbinary, "export", *words, "-o", output)
    assert refused.status == 1
    assert b"/f belongs to 7:100000 on the host" in refused.stderr
    assert not output.exists()
    snapshot = open_pair(
        os.fsencode(upper), [os.fsencode(lower)], idmap=IdMap.parse(["0:100000:65536"], [])
    )
    inspection = snapshot.inspect(b"/f")
    assert inspection.upper is not None
    assert inspection.upper.entry.stat.st_uid == OVERFLOW_ID
    with pytest.raises(ReadError, match="id map"):
        export_to_file(snapshot, os.fsencode(output), media_type=TAR)


@pytest.mark.root
def test_the_id_65534_of_the_container_is_exported(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    upper = make(tmp_path / "upper", {"f": File(b"f")})
    os.chown(upper / "f", 165534, 165534)
    lower = make(tmp_path / "lower", {})
    output = tmp_path / "layer.tar"
    words = (upper, "--lower", lower, "--gidmap", "0:100000:65536", "--mapped", "upper")
    whiteout(capfdbinary, "export", *words, "-o", output).done()
    with tarfile.open(output) as archive:
        assert archive.getmember("f").uid == 65534
