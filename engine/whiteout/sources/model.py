"""What a source tells: records of what can be opened, and the stacks of layers behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from whiteout.display import display_text
from whiteout.errors import MountError
from whiteout.following import FOLLOW_ALL, Following
from whiteout.idmap import IdMap
from whiteout.layers import HasDirectories, Marks
from whiteout.sources.root import Root

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


@dataclass(frozen=True, slots=True)
class StackLayer:
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
    archive: HasDirectories | None = field(default=None, compare=False, repr=False)
    """Where the layer is read from when it is no directory; ``path`` is what it is called then."""
    store: bytes = b""


@dataclass(frozen=True, slots=True)
class LayerStack:
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
    check: Callable[[], None] | None = field(default=None, compare=False, repr=False)
    image_config: ImageConfig | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that can be opened, or the reason why it cannot.

    ``target`` is what a person types to open it. ``engine`` is the name of the source, ``group``
    the heading under which it is shown: the engine, and its store or namespace where there may be
    several. ``name``, ``parent``, ``aliases`` and ``notes`` are the owner's words as they stand,
    and go through :func:`~whiteout.display.display_text` before they are shown. ``parent`` is the
    name of what it stands on. ``layers`` is how many there are, ``created`` is in seconds since the
    epoch, ``size`` in bytes; each None where it is not known without reading a lot. ``aliases`` are
    other names by which it may be asked for, such as ids. ``problem`` is a printable sentence.
    ``marks`` are those of its layers.
    """

    target: str
    name: str
    engine: str
    kind: Kind
    group: str
    parent: str | None = None
    layers: int | None = None
    created: float | None = None
    size: int | None = None
    aliases: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str | None = None
    marks: Marks = Marks.TRUSTED
    opener: Callable[[], LayerStack] | None = field(default=None, compare=False, repr=False)

    def is_doubtful(self, trusted: bool) -> bool:
        """Whether marks of its layers are hidden from a process that may read ``trusted.*`` or not:
        deleted files may seem to be there, and no layer is exported.
        """
        hidden = not trusted and bool(self.marks & Marks.TRUSTED)
        return hidden and self.problem is None and self.layers != 1

    def stack(self) -> LayerStack:
        """The layers, looked up now.

        Raises:
            MountError: they cannot be opened; the message is the problem.
            ReadError: the store cannot be read.
        """
        if self.problem is not None or self.opener is None:
            problem = self.problem or "there is no layer in it"
            raise MountError(f"cannot open {display_text(self.target)}: {problem}")
        return self.opener()


class Source(Protocol):
    """One kind of store, or the mounts of the host.

    ``name`` is what ``--engine`` takes, ``schemes`` what a target begins with (``containerd`` for
    ``containerd://default/KEY``).
    """

    @property
    def name(self) -> str: ...

    @property
    def schemes(self) -> tuple[str, ...]: ...

    def discover(self, root: Root) -> Iterable[Record]:
        """Everything that can be seen below *root*, lazily; never a write, never a mount.

        A store that cannot be read is a record of :attr:`Kind.STORE` with its problem. What is
        listed was there when it was read, and may be gone when it is opened.

        Raises:
            WhiteoutError, OSError: nothing more can be listed; what came before stands.
        """
        ...

    def resolve(self, scheme: str, rest: str, root: Root) -> Record:
        """The record that the target ``scheme:rest`` names; *rest* is without leading ``//``.

        Raises:
            UsageError: there is no such thing, or it is ambiguous; the message suggests others.
        """
        ...
