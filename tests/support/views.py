"""Two ways to see a stack of layers: what the kernel's mount shows, and what our view shows.

Both give a :data:`View`: everything that can be looked at by its path, :data:`UNSHOWN` where there
is a name that cannot be. Redirects made by hand may lead to one entry of a layer from two names.
The kernel then refuses the second one (ESTALE), or gives both names one inode, whatever it looked
at first; such names, and what is below them, are ALIASED.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from support.listing import Item, content_of, item_of
from whiteout import xattrs
from whiteout.errors import ReadError
from whiteout.following import FOLLOW_ALL, Following
from whiteout.layers import Directories, Layer
from whiteout.merged import MergedDirectory, MergedView, Node


@dataclass(frozen=True, slots=True)
class Seen:
    """One entry, with its extended attributes."""

    item: Item
    xattrs: tuple[tuple[bytes, bytes], ...] = ()


UNSHOWN = "unshown"
ALIASED = "aliased"
View = dict[bytes, Seen | str]


def _item(status: os.stat_result, read: Callable[[], int], readlink: Callable[[], bytes]) -> Item:
    item = item_of(status)
    fields = {"content": "", "target": b""}
    if item.type == stat.S_IFREG:
        fields["content"] = content_of(read())
    elif item.type == stat.S_IFLNK:
        fields["target"] = readlink()
    return Item(
        item.type,
        item.permissions,
        item.uid,
        item.gid,
        item.mtime_ns,
        item.size,
        item.device,
        str(fields["content"]),
        fields["target"],
    )


def kernel_view(top: bytes, expected: Iterable[bytes] = ()) -> View:
    """What the mount at *top* shows. The *expected* paths are looked up even if not listed.

    (The kernel leaves out of a listing with xattr whiteouts what it cannot look up.)
    """
    found: View = {}
    wanted: dict[bytes, set[bytes]] = {}
    for path in expected:
        above, _, name = path.rpartition(b"/")
        wanted.setdefault(above, set()).add(name)

    single: dict[int, list[bytes]] = {}

    def visit(directory: bytes, above: bytes) -> None:
        for name in sorted({*os.listdir(directory), *wanted.get(above, ())}):
            place, path = directory + b"/" + name, above + b"/" + name
            try:
                status = os.lstat(place)
                item = _item(
                    status, partial(os.open, place, os.O_RDONLY), partial(os.readlink, place)
                )
                attributes = tuple(
                    sorted(
                        (os.fsencode(key), os.getxattr(place, key, follow_symlinks=False))
                        for key in os.listxattr(place, follow_symlinks=False)
                    )
                )
            except FileNotFoundError:
                if os.path.lexists(place):  # data that is nowhere
                    found[path] = UNSHOWN
                continue
            except OSError as error:
                found[path] = ALIASED if error.errno == errno.ESTALE else UNSHOWN
                continue
            found[path] = Seen(item, attributes)
            if stat.S_ISDIR(status.st_mode):
                try:
                    visit(place, path)
                except OSError:  # the kernel cannot list what it cannot look up
                    found[path] = ALIASED
            elif status.st_nlink == 1:
                single.setdefault(status.st_ino, []).append(path)

    visit(top, b"")
    for paths in single.values():
        if len(paths) > 1:
            found.update(dict.fromkeys(paths, ALIASED))
    return found


def our_view(
    layers: Sequence[Layer],
    *,
    data: Sequence[Layer] = (),
    following: Following = FOLLOW_ALL,
    prefix: bytes = b"trusted.overlay.",
) -> View:
    """What our merged view shows; *prefix* is that of the marks."""
    found: View = {}

    def visit(directory: MergedDirectory, above: bytes) -> None:
        for name in directory.names():
            node = directory.lookup(name)
            if node is None:
                continue
            path = above + b"/" + name
            below = None
            try:
                if node.is_directory:
                    below = node.open_directory()
                item = _item(node.status, node.open_file, node.readlink)
                found[path] = Seen(item, _attributes(node, prefix))
            except ReadError:
                found[path] = UNSHOWN
                continue
            if below is not None:
                visit(below, path)

    with Directories() as pool:
        visit(MergedView(layers, pool, data, following).root, b"")
    return found


def _attributes(node: Node, prefix: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Without the marks of this overlay, those of a nested one with the names that it gave."""
    found = []
    for one in xattrs.read_all(node.part.directory.path_of(node.name)):
        if one.name.startswith(prefix):
            inner = one.name.removeprefix(prefix)
            if not inner.startswith(b"overlay."):
                continue
            found.append((prefix + inner.removeprefix(b"overlay."), one.value))
        else:
            found.append((one.name, one.value))
    return tuple(sorted(found))


def comparable(kernel: View, ours: View) -> tuple[View, View]:
    """Both views without what is aliased in the kernel's."""
    aliased = [path for path, seen in kernel.items() if seen == ALIASED]

    def without(view: View) -> View:
        return {
            path: seen
            for path, seen in view.items()
            if not any(path == one or path.startswith(one + b"/") for one in aliased)
        }

    return without(kernel), without(ours)
