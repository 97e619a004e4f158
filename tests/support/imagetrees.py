"""Three layers with everything that an image may hold, and what overlayfs shows of them."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from support.listing import Item, Listing, groups, list_tree
from support.overlay import overlay, stack_options
from support.trees import WHITEOUT, Dir, File, Symlink, make
from whiteout.opening import open_pair
from whiteout.snapshot import Snapshot

#: ``cap_net_raw+ep``, as ``setcap`` writes it.
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")

View = tuple[Listing, set[frozenset[bytes]]]


def build_layers(top: Path) -> list[Path]:
    """Three layers, topmost first. Needs root."""
    base = {
        "etc": {"conf": File(b"one\n"), "gone": File(b"x"), "long-" + "n" * 120: File(b"long")},
        "bin": {"tool": File(b"#!/bin/sh\n" * 3000, mode=0o4755), "link": Symlink(b"tool")},
        "var": {"log": {"a": File(b"a"), "b": File(b"b")}},
        "naïve 日本": File(b"n", mode=0o600),
    }
    middle = {
        "etc": {"gone": WHITEOUT, "conf": File(b"two\n", mode=0o640)},
        "var": {"log": Dir({"c": File(b"c")}, xattrs={"trusted.overlay.opaque": b"y"})},
        "srv": Dir({"empty": Dir(mode=0o1777)}, mode=0o2750),
    }
    upper = {
        "bin": {"link": WHITEOUT, "new": File(bytes(range(256)) * 2000)},
        "var": {"log": {"c": WHITEOUT, "d": File(b"d")}},
        "opt": {},
    }
    layers = [make(top / name, tree) for name, tree in (("u", upper), ("m", middle), ("b", base))]
    os.link(layers[2] / "bin/tool", layers[2] / "bin/tool2")
    os.link(layers[0] / "bin/new", layers[0] / "opt/same")
    os.mkfifo(layers[2] / "var/fifo")
    os.mknod(layers[1] / "srv/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.chown(layers[2] / "bin/tool", 1000, 2000)
    os.chmod(layers[2] / "bin/tool", 0o4755)
    os.chown(layers[1] / "srv", 70000, 3_000_000)
    os.chmod(layers[1] / "srv", 0o2750)
    os.setxattr(layers[0] / "bin/new", "security.capability", CAPABILITY)
    return layers


def stack(layers: list[Path]) -> Snapshot:
    """The topmost layer over the others."""
    upper, *lower = map(os.fsencode, layers)
    return open_pair(upper, lower)


@contextlib.contextmanager
def mounted(layers: list[Path], target: Path) -> Iterator[Path]:
    """The layers as overlayfs shows them, without an upper directory; one layer as it is."""
    if len(layers) == 1:
        yield layers[0]
        return
    with overlay(target, stack_options([os.fsencode(layer) for layer in layers])) as point:
        yield point


def view(top: Path) -> View:
    """A tree, with times in whole seconds and without those of directories, which mean little."""
    listing, linked = list_tree(os.fsencode(top))
    return {path: _comparable(item) for path, item in listing.items()}, groups(linked)


def _comparable(item: Item) -> Item:
    special = item.type in (stat.S_IFDIR, stat.S_IFLNK)
    return replace(item, mtime_ns=0 if special else item.mtime_ns // 10**9)


def view_of_layers(layers: list[Path], scratch: Path) -> View:
    """What overlayfs shows of *layers*; *scratch* is a new directory."""
    with mounted(layers, scratch) as top:
        return view(top)
