"""The overlay mounts of this host as a source."""

from __future__ import annotations

import os
from collections.abc import Iterator

from whiteout.display import display_text
from whiteout.errors import UsageError
from whiteout.following import following_of, kernel_defaults
from whiteout.layers import Marks
from whiteout.mountinfo import OverlayMount, all_overlay_mounts, check_mounted
from whiteout.sources.model import Record
from whiteout.sources.naming import choose
from whiteout.sources.root import Root
from whiteout.sources.stack import Kind, LayerStack, StackLayer


def stack_of_mount(mount: OverlayMount) -> LayerStack:
    """The layers of a mount that has no problem."""
    return LayerStack(
        label=os.fsdecode(mount.path),
        layers=tuple(StackLayer(path, os.fsdecode(path)) for path in mount.layers),
        data_layers=mount.data_layers,
        marks=Marks.USER if mount.options.userxattr else Marks.TRUSTED,
        following=following_of(mount.options, kernel_defaults()),
        fuse=mount.is_fuse,
        doubts=_doubts(mount),
        check=lambda: check_mounted(mount),
    )


def _doubts(mount: OverlayMount) -> tuple[str, ...]:
    """What the index (``index=on``) makes of hard links, which the layers alone do not tell.

    A file of a lower layer with several names, once it is changed under one of them, is shown
    changed under all of them; where, the index directory knows by file handles
    (``ovl_lookup_index`` of ``fs/overlayfs/namei.c``).
    """
    if b"index=on" not in mount.options.others or mount.options.workdir is None:
        return ()
    index = os.path.join(mount.options.workdir, b"index")
    try:
        if not os.listdir(index):
            return ()
    except OSError:
        pass
    return (
        "the mount has index=on and changed hard links: their other names, which only lower layers"
        " have, are shown there as changed and here as they were; open its upper directory with"
        " --lower to export it without them",
    )


def record_of_mount(mount: OverlayMount) -> Record:
    """What is listed for *mount*."""
    point = os.fsdecode(mount.path)
    notes = []
    if mount.namespace is not None:
        program, process = os.fsdecode(mount.namespace.program), mount.namespace.process
        notes.append(f"in the mount namespace of {program}, process {process}")
    if mount.problem is None:
        if mount.options.upperdir is None:
            notes.append("read-only")
        if mount.options.volatile:
            notes.append("volatile: what was written may be lost at a crash")
        if not mount.verified:
            notes.append("layers not proved by inode numbers")
    return Record(
        target=point,
        name=point,
        engine="mount",
        kind=Kind.MOUNT,
        group="overlay mounts",
        layers=len(mount.layers) or None,
        aliases=(os.fsdecode(mount.mount_point),) if mount.namespace is not None else (),
        notes=tuple(notes),
        problem=mount.problem,
        marks=Marks.USER if mount.options.userxattr else Marks.TRUSTED,
        opener=lambda: stack_of_mount(mount),
    )


class MountSource:
    """Overlay mounts; only the running host has any."""

    name = "mount"
    schemes = ("mount",)

    def discover(self, root: Root) -> Iterator[Record]:
        """One record for each mounted overlay."""
        if root.is_host:
            yield from map(record_of_mount, all_overlay_mounts())

    def resolve(self, scheme: str, rest: str, root: Root) -> Record:
        """The overlay mounted at the path *rest*."""
        if not root.is_host:
            raise UsageError(
                f"{display_text(f'{scheme}:{rest}')} is a mount, and there are none below --root;"
                " leave out --root"
            )
        return choose(self.discover(root), rest, f"{scheme}:{rest}")


SOURCE = MountSource()
