"""What each layer holds for a path, and who shadows whom."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.trees import Dir, File, Symlink, make
from whiteout.errors import NotFound
from whiteout.opening import open_pair
from whiteout.provenance import provenance
from whiteout.snapshot import Snapshot

OPAQUE = {"user.overlay.opaque": b"y"}
MARK = File(xattrs={"user.overlay.whiteout": b""})


def stack(tmp_path: Path, *layers: object, userxattr: bool = True) -> Snapshot:
    """*layers* with the upper directory first."""
    made = [os.fsencode(make(tmp_path / f"layer{n}", tree)) for n, tree in enumerate(layers)]
    return open_pair(made[0], made[1:], userxattr=userxattr)


def told(snapshot: Snapshot, path: bytes) -> list[str]:
    """Each layer in a word, with ``+`` for what is shown and ``<n`` for what layer n hides."""
    return [
        held.what
        + ("+" if held.shown else "")
        + (f"<{held.shadowed_by}" if held.shadowed_by is not None else "")
        for held in provenance(snapshot, path)
    ]


def test_the_topmost_file_shadows_those_below(tmp_path: Path) -> None:
    snapshot = stack(tmp_path, {"f": File(b"new")}, {}, {"f": File(b"old!")})
    assert told(snapshot, b"/f") == ["file+", "nothing", "file<2"]
    upper, _, lower = provenance(snapshot, b"/f")
    assert (upper.layer, upper.size, lower.layer, lower.size) == (2, 3, 0, 4)
    assert lower.layer_path == os.fsencode(tmp_path / "layer2")


def test_a_whiteout_hides_and_is_not_shown(tmp_path: Path) -> None:
    snapshot = stack(tmp_path, {}, {"f": MARK}, {"f": File(b"1")})
    assert told(snapshot, b"/f") == ["nothing", "whiteout", "file<1"]


def test_a_whiteout_of_a_directory_hides_what_is_below(tmp_path: Path) -> None:
    snapshot = stack(tmp_path, {"d": {"f": File()}}, {"d": MARK}, {"d": {"f": File(b"1")}})
    assert told(snapshot, b"/d/f") == ["file+", "nothing", "file<2"]
    assert told(snapshot, b"/d") == ["directory+", "whiteout", "directory<1"]


def test_directories_are_merged_until_an_opaque_one(tmp_path: Path) -> None:
    snapshot = stack(tmp_path, {"d": {}}, {"d": Dir({}, xattrs=OPAQUE)}, {"d": {"f": File()}})
    assert told(snapshot, b"/d") == ["directory+", "opaque directory+", "directory<1"]
    assert told(snapshot, b"/d/f") == ["nothing", "nothing", "file<1"]


def test_a_directory_shadows_a_file_and_what_that_would_hide(tmp_path: Path) -> None:
    snapshot = stack(tmp_path, {"d": {}}, {"d": Symlink(b"x")}, {"d": {}})
    assert told(snapshot, b"/d") == ["directory+", "symlink<2", "directory<1"]


def test_something_that_is_no_directory_on_the_way_hides(tmp_path: Path) -> None:
    snapshot = stack(tmp_path, {"d": File()}, {"d": {"f": File()}})
    assert told(snapshot, b"/d/f") == ["nothing", "file<1"]


def test_the_root_is_merged_of_all(tmp_path: Path) -> None:
    assert told(stack(tmp_path, {}, {}), b"/") == ["directory+", "directory+"]


def test_dots_are_no_path(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="leave out"):
        provenance(stack(tmp_path, {}, {}), b"/a/../b")


@pytest.mark.root
def test_a_redirect_is_followed_in_the_layers_below(tmp_path: Path) -> None:
    new = Dir({}, xattrs={"trusted.overlay.redirect": b"/old"})
    snapshot = stack(tmp_path, {"new": new}, {"old": {"f": File(b"1")}}, userxattr=False)
    assert told(snapshot, b"/new/f") == ["nothing", "file+"]
    assert told(snapshot, b"/new") == ["directory+", "directory+"]


def test_nothing_is_claimed_below_what_cannot_be_read(tmp_path: Path) -> None:
    snapshot = stack(tmp_path, {}, {"d": {}}, {"d": {}})
    gone = snapshot.merged[1]._replace(path=os.fsencode(tmp_path / "gone"))
    snapshot = snapshot._replace(merged=(snapshot.merged[0], gone, snapshot.merged[2]))
    assert told(snapshot, b"/d") == ["nothing", "unreadable", "directory"]
    _, unread, lower = provenance(snapshot, b"/d")
    assert str(unread.error).startswith("cannot open the layer")
    assert lower.error == "whether it is shown depends on a layer above, which could not be read"
