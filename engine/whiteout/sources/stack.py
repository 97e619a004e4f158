"""The stack of layers behind what a source lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

from whiteout.following import FOLLOW_ALL, Following
from whiteout.layers import HasDirectories, Marks
from whiteout.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from whiteout.idmap import IdMap

ImageConfig = Callable[[], Mapping[str, object]]
"""Reads the config of an image: the object of OCI's ``config.md``, unchecked."""


class Kind(Enum):
    """What a record or a layer is to the engine that owns it."""

    CONTAINER = "container"
    IMAGE = "image"
    IMAGE_LAYER = "image layer"
    INIT_LAYER = "init layer"
    """What Docker and Podman put between an image and a container: ``/etc/hosts`` and the like."""
    BUILD_STEP = "build step"
    SNAPSHOT = "snapshot"
    """A snapshot that belongs to no container and no image that could be named."""
    VIEW = "view"
    """A snapshot that nobody may write to."""
    MOUNT = "mount"
    LAYER = "layer"
    """One directory of a stack of which no more is known."""
    STORE = "store"
    """Not a snapshot: a store that cannot be read, listed with the reason."""


class StackLayer(NamedTuple):
    """One layer of a stack: a directory on this host.

    ``name`` is the owner's name for it, as it stands (not yet printable). ``size`` is in bytes and
    ``created`` in seconds since the epoch; both None where nobody recorded them. ``idmap`` maps the
    owners on disk to the container's; None where they are the container's. ``store`` is the
    directory of an engine that the layer lies in; below it the path has no symlinks.
    """

    path: bytes
    name: str = ""
    kind: Kind = Kind.LAYER
    created: float | None = None
    size: int | None = None
    idmap: IdMap | None = None
    archive: HasDirectories | None = None
    """Where the layer is read from when it is no directory; ``path`` is what it is called then."""
    store: bytes = b""


class LayerStack(NamedTuple):
    """The layers of a snapshot, topmost first, and how they were mounted together.

    ``marks`` are what counts as overlayfs' marks in all of them. ``data_layers`` hold only the data
    of files whose metadata lies above (``metacopy``). ``following`` is what their mount follows,
    and ``fuse`` tells that fuse-overlayfs wrote them.
    ``check`` is called after something was read of them, and raises
    :class:`~whiteout.errors.SnapshotChanged` where the owner took a layer away meanwhile, so that
    what is half deleted never passes for what it was. ``doubts`` are printable sentences on what
    the mount shows otherwise than its layers tell; with one, no layer is exported.
    ``image_config`` reads the config of the image that the layers belong to, as far as its engine
    keeps one: the object of OCI's ``config.md``, unchecked. It raises
    :class:`~whiteout.errors.WhiteoutError` where that cannot be read.
    """

    label: str
    layers: tuple[StackLayer, ...]
    data_layers: tuple[bytes, ...] = ()
    marks: Marks = Marks.TRUSTED
    following: Following = FOLLOW_ALL
    fuse: bool = False
    doubts: tuple[str, ...] = ()
    check: Callable[[], None] | None = None
    image_config: ImageConfig | None = None
