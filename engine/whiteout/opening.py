"""From what a user or a program names to a :class:`~whiteout.snapshot.Snapshot`.

Four ways in: the mounts that containerd hands over, read as strictly as BuildKit reads them; an
upper directory with its lower directories; a mounted overlay; a layer of what a source lists.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from enum import Enum

from whiteout.differ import Rules
from whiteout.display import display_path, display_text
from whiteout.errors import MountError, NotOverlay, ReadError, UsageError, read_error
from whiteout.following import Following
from whiteout.fusemarks import has_override
from whiteout.layerroots import hidden_by_mount, mount_points
from whiteout.layers import Layer, Marks
from whiteout.privileges import TRUSTED_HIDDEN, can_read_trusted
from whiteout.snapshot import Snapshot
from whiteout.sources.root import HOST, Root
from whiteout.sources.stack import LayerStack, StackLayer
from whiteout.typed import TYPE_CHECKING, NamedTuple
from whiteout.verdicts import Method

if TYPE_CHECKING:
    from whiteout.idmap import IdMap
    from whiteout.mountinfo import OverlayMount
    from whiteout.mounts import Mount, MountPair


class DifferChoice(Enum):
    """Which differ shall answer."""

    AUTO = "auto"
    """The overlay differ, or the walking differ for pairs that it does not understand."""
    OVERLAY = "overlay"
    WALKING = "walking"


def open_mounts(
    document: str | bytes | MountPair,
    *,
    differ: DifferChoice | str = DifferChoice.AUTO,
    rules: Rules | str = Rules.CURRENT,
) -> Snapshot:
    """The snapshot of a pair of mount lists, as JSON or read already.

    Raises:
        UsageError: the document is malformed.
        NotOverlay: the overlay differ was asked for and does not understand the pair.
        MountError: the walking differ cannot read a mount without mounting it.
    """
    from whiteout.mounts import MountPair, find_upperdir, mounts_from_json

    pair = document if isinstance(document, MountPair) else mounts_from_json(document)
    differ, rules = DifferChoice(differ), Rules(rules)
    fallback: str | None = None
    if differ is not DifferChoice.WALKING:
        try:
            upperdir = find_upperdir(pair.lower, pair.upper, original=rules is Rules.ORIGINAL)
        except NotOverlay as refusal:
            if differ is DifferChoice.OVERLAY:
                raise
            fallback = str(refusal)
        else:
            return _overlay_of_mounts(pair, upperdir, rules)
    base, merged = _layers_of(pair.lower), _layers_of(pair.upper)
    return Snapshot(
        label=display_path(merged[0].path) if merged else "an empty directory",
        base=base,
        merged=merged,
        data_layers=_data_layers_of((*pair.lower, *pair.upper)),
        method=Method.WALKING,
        rules=rules,
        upperdir=merged[0].path if merged else None,
        lowerdirs=tuple(layer.path for layer in base),
        doubts=_doubts((*base, *merged)) + _hidden(layer.path for layer in (*base, *merged)),
        fallback=fallback,
    )


def _overlay_of_mounts(pair: MountPair, upperdir: bytes, rules: Rules) -> Snapshot:
    base = _layers_of(pair.lower)
    below: tuple[Layer, ...] = ()
    if base:
        below = _layers_of(pair.upper)[1:]
    merged = (Layer(upperdir, Marks.BOTH), *below)
    return Snapshot(
        label=display_path(upperdir),
        base=base,
        merged=merged,
        rules=rules,
        upperdir=upperdir,
        lowerdirs=tuple(layer.path for layer in base),
        doubts=_doubts(below) + _hidden(layer.path for layer in (*base, *merged)),
    )


def _layers_of(mounts: tuple[Mount, ...]) -> tuple[Layer, ...]:
    """What a list of mounts shows, topmost layer first."""
    from whiteout.mountoptions import options_of_mount

    if not mounts:
        return ()
    if len(mounts) > 1:
        raise MountError(
            "several mounts in one list cannot be read without mounting them; give one for each"
            " side"
        )
    mount = mounts[0]
    if mount.type in ("bind", "rbind"):
        return (Layer(mount.source, Marks.PLAIN),)
    options = options_of_mount(mount)
    marks = Marks.USER if options.userxattr else Marks.TRUSTED
    upper = () if options.upperdir is None else (options.upperdir,)
    return tuple(Layer(path, marks) for path in (*upper, *options.lowerdirs))


def _data_layers_of(mounts: tuple[Mount, ...]) -> tuple[Layer, ...]:
    from whiteout.mountoptions import options_of_mount

    found: dict[bytes, Layer] = {}
    for mount in mounts:
        if mount.type == "overlay":
            for path in options_of_mount(mount).data_lowerdirs:
                found[path] = Layer(path, Marks.PLAIN)
    return tuple(found.values())


def open_pair(
    upperdir: bytes,
    lowerdirs: Sequence[bytes],
    *,
    userxattr: bool = False,
    differ: DifferChoice | str = DifferChoice.AUTO,
    rules: Rules | str = Rules.CURRENT,
    label: str | None = None,
    idmap: IdMap | Sequence[IdMap | None] | None = None,
    fuse: bool = False,
    layer: LayerRange | int = 0,
) -> Snapshot:
    """The snapshot of an upper directory over lower directories, topmost first.

    *layer* is as for :func:`open_stack`, counted from the upper directory.

    With *userxattr* the marks are those in ``user.overlay.*`` alone; without, either namespace
    counts. A single lower directory is read as it is, as containerd would bind-mount it. *idmap*
    maps owners on disk to the container's: one for all directories, or one for each, the upper
    directory first. With *fuse* the marks of fuse-overlayfs count, too.

    Raises:
        UsageError: *idmap* has not one for each directory, or there is no such layer.
        ReadError: one of them is no directory that can be read.
    """
    paths = (upperdir, *lowerdirs)
    each = tuple(idmap) if isinstance(idmap, Sequence) else (idmap,) * len(paths)
    if len(each) != len(paths):
        raise UsageError(f"there are {len(paths):,} directories, and id maps for {len(each):,}")
    layers = zip(paths, each, strict=True)
    stack = LayerStack(
        label=os.fsdecode(upperdir) if label is None else label,
        layers=tuple(StackLayer(path, idmap=each) for path, each in layers),
        marks=Marks.USER if userxattr else Marks.BOTH,
        following=Following(redirects=not userxattr, metacopy=not userxattr),
        fuse=fuse,
    )
    return open_stack(stack, layer, differ=differ, rules=rules)


def open_mount(
    mount: OverlayMount,
    *,
    differ: DifferChoice | str = DifferChoice.AUTO,
    rules: Rules | str = Rules.CURRENT,
) -> Snapshot:
    """The snapshot that is mounted as *mount*: its upper directory over its lower ones.

    Of a mount without an upper directory it is the topmost layer over the rest.

    Raises:
        MountError: the layers of the mount could not be found; the message is the problem.
    """
    from whiteout.sources.mounts import record_of_mount

    return open_stack(record_of_mount(mount).stack(), differ=differ, rules=rules)


class LayerRange(NamedTuple):
    """Layers of a stack that are one diff: from *first* to *last*, both among them.

    0 is the topmost layer.
    """

    first: int = 0
    last: int = 0

    @classmethod
    def parse(cls, text: str) -> LayerRange:
        """Read ``N`` or ``N..M`` as a person counts: 1 is the topmost layer.

        Raises:
            UsageError: it is neither.
        """
        first, dots, last = text.partition("..")
        numbers = [first, last] if dots else [first, first]
        if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in numbers):
            raise UsageError(
                f"--layer takes N or N..M, where 1 is the topmost layer, not {display_text(text)}"
            )
        top, bottom = sorted(map(int, numbers))
        if top == 0:
            raise UsageError("--layer counts from 1, the topmost layer; there is no layer 0")
        return cls(top - 1, bottom - 1)

    @property
    def words(self) -> str:
        """The range as a person counts."""
        if self.first == self.last:
            return f"layer {self.first + 1:,}"
        return f"layers {self.first + 1:,} to {self.last + 1:,}"


def open_stack(
    stack: LayerStack,
    layers: LayerRange | int = 0,
    *,
    differ: DifferChoice | str = DifferChoice.AUTO,
    rules: Rules | str = Rules.CURRENT,
) -> Snapshot:
    """The snapshot of some layers of *stack* against what is below them; 0 is the topmost.

    One layer is an upper directory, which the overlay differ reads. Several are one diff between
    what the stack shows down from the first of them and what it shows below the last, which the
    walking differ gives.

    Raises:
        UsageError: the stack has no such layer.
        NotOverlay: the overlay differ was asked for several layers.
        ReadError: a layer is no directory that can be read.
    """
    if isinstance(layers, int):
        layers = LayerRange(layers, layers)
    differ = DifferChoice(differ)
    count = len(stack.layers)
    if not 0 <= layers.first <= layers.last < count:
        raise UsageError(
            f"{display_text(stack.label)} has no {layers.words}; it has {count:,}, and 1 is the"
            " topmost"
        )
    for each in stack.layers[layers.first :]:
        if each.archive is None:
            _check_directory(each.path)
    number = layers.last - layers.first + 1
    marks = Marks.BOTH if stack.fuse else stack.marks
    merged = tuple(
        Layer(each.path, marks, each.idmap, stack.fuse, each.archive, each.store)
        for each in stack.layers[layers.first :]
    )
    base = merged[number:]
    doubts = _doubts(merged if number > 1 else base)
    fallback = None
    if number > 1:
        if differ is DifferChoice.OVERLAY:
            raise NotOverlay(
                f"the overlay differ knows one upper directory, and {layers.words} are"
                f" {number:,}; leave out --differ"
            )
        if differ is DifferChoice.AUTO:
            fallback = (
                f"{layers.words} are one diff; a directory that none of them has is the same on"
                " both sides"
            )
    elif differ is not DifferChoice.WALKING and Marks.TRUSTED in marks:
        merged = (merged[0]._replace(marks=Marks.BOTH), *base)  # BuildKit takes either for opaque
    on_disk = [layer.path for layer in merged if layer.archive is None]
    if number == 1 and len(base) == 1 and on_disk and not (stack.data_layers or stack.fuse):
        base = (base[0]._replace(marks=Marks.PLAIN),)
    which = f" · {layers.words} of {count:,}" if layers != LayerRange() else ""
    return Snapshot(
        label=display_text(stack.label) + which,
        base=base,
        merged=merged,
        data_layers=tuple(Layer(path, Marks.PLAIN) for path in stack.data_layers),
        method=Method.WALKING if number > 1 or differ is DifferChoice.WALKING else Method.OVERLAY,
        rules=Rules(rules),
        upperdir=merged[0].path,
        lowerdirs=tuple(layer.path for layer in base),
        doubts=doubts
        + stack.doubts
        + _hidden(layer.path for layer in merged if layer.archive is None)
        + _overridden(merged),
        fallback=fallback,
        shared=fallback is not None,
        following=stack.following._replace(top_is_upper=False) if layers.first else stack.following,
        check=stack.check,
        image_config=stack.image_config,
    )


def open_target(
    target: bytes,
    lowerdirs: Sequence[bytes] = (),
    *,
    layer: LayerRange | int = 0,
    root: Root = HOST,
    userxattr: bool = False,
    differ: DifferChoice | str = DifferChoice.AUTO,
    rules: Rules | str = Rules.CURRENT,
    idmap: IdMap | None = None,
    map_lower: bool = True,
    fuse: bool = False,
) -> Snapshot:
    """The snapshot that a person names: a target of :func:`stack_of_target`, of which the
    layers *layer* are opened, or an upper directory with *lowerdirs*.

    *idmap* maps the owners on disk in place of what the target itself says, in the topmost layer
    and, with *map_lower*, in the layers below it.

    Raises:
        UsageError: *target* is neither.
        MountError: the layers could not be found.
        ReadError: a directory cannot be read.
    """
    if lowerdirs:
        maps = (idmap, *(idmap if map_lower else None for _ in lowerdirs))
        return open_pair(
            target,
            lowerdirs,
            layer=layer,
            userxattr=userxattr,
            fuse=fuse,
            differ=differ,
            rules=rules,
            idmap=maps,
        )
    stack = stack_of_target(target, root)
    if idmap is not None:
        top, *below = stack.layers
        top = top._replace(idmap=idmap)
        if map_lower:
            below = [each._replace(idmap=idmap) for each in below]
        stack = stack._replace(layers=(top, *below))
    return open_stack(stack, layer, differ=differ, rules=rules)


def stack_of_target(target: bytes, root: Root = HOST) -> LayerStack:
    """The layers behind *target*: what a source lists, such as ``containerd://default/KEY``, or the
    mount point of an overlay, or an image layout or archive.

    Raises:
        UsageError: *target* is none of these; the message suggests others where some are near.
        MountError: the layers could not be found.
        ReadError: a directory or a store cannot be read.
    """
    from whiteout.mountinfo import find_mount
    from whiteout.sources import registry
    from whiteout.sources.mounts import record_of_mount

    name = os.fsdecode(target)
    if registry.scheme_of(name) is not None:
        return registry.resolve(name, root).stack()
    if not root.is_host:
        raise UsageError(
            f"{display_path(target)} is a path, and nothing is mounted below --root; give a target"
            " of 'whiteout list --root DIR'"
        )
    if not os.path.isdir(target) and (image := registry.resolve_path(target, root)) is not None:
        return image.stack()
    _check_directory(target)
    mount = find_mount(target)
    if mount is None:
        if (image := registry.resolve_path(target, root)) is not None:
            return image.stack()
        raise UsageError(
            f"{display_path(target)} is not an overlay mount point; for an upper directory, name"
            " what is below it with --lower"
        )
    return record_of_mount(mount).stack()


def _check_directory(path: bytes) -> None:
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError):
            raise UsageError(f"{display_path(path)} is not a path") from None
        raise read_error("open", path, error) from None
    if not stat.S_ISDIR(status.st_mode):
        raise ReadError(f"{display_path(path)} is not a directory; give a directory", path)


def _doubts(layers: Sequence[Layer]) -> tuple[str, ...]:
    """What the privileges hide. One plain directory, or ``user.*`` marks alone, hide nothing."""
    hidden = any(layer.marks & Marks.TRUSTED and layer.archive is None for layer in layers)
    if hidden and not can_read_trusted():
        return (TRUSTED_HIDDEN,)
    return ()


def _overridden(layers: Sequence[Layer]) -> tuple[str, ...]:
    """What has its owners and modes in attributes, and is not read so."""
    return tuple(
        f"the owners and modes of {display_path(layer.path)} are in attributes of fuse-overlayfs"
        " (override_stat); give --fuse-overlayfs"
        for layer in layers
        if not layer.fuse and layer.archive is None and has_override(layer.path)
    )


def _hidden(paths: Iterable[bytes]) -> tuple[str, ...]:
    """What is mounted inside a layer and cannot be looked below."""
    mounts = mount_points()
    points = (hidden_by_mount(path, mounts) for path in paths)
    return tuple(
        f"what is mounted on {display_path(point)} hides what the layer has there; unmount it, or"
        " run as root with CAP_SYS_ADMIN"
        for point in dict.fromkeys(filter(None, points))
    )
