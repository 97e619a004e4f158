"""What a source tells: records of what can be opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from whiteout.display import display_text
from whiteout.errors import MountError
from whiteout.layers import Marks
from whiteout.sources.root import Root
from whiteout.sources.stack import Kind, LayerStack


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
