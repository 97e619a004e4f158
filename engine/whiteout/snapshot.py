"""A snapshot: an upper directory and the stack it stands on, ready to be asked.

A :class:`Snapshot` holds no descriptors. Each question opens what it needs and closes it again, so
a snapshot may be kept and asked from several threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager

from whiteout.cancel import NEVER, CancelToken
from whiteout.differ import (
    Finding,
    FoundInRows,
    PlainDirectory,
    Rules,
    Standing,
    Trees,
    find,
    root_standing,
    step_into,
    walk,
    walk_changes,
    walk_directories,
    walk_in_rows,
)
from whiteout.display import display_path
from whiteout.errors import NotFound, ReadError
from whiteout.following import FOLLOW_ALL, Following
from whiteout.layers import Directories, Layer
from whiteout.merged import MergedView
from whiteout.readahead import ReadAhead
from whiteout.typed import TYPE_CHECKING, NamedTuple
from whiteout.verdicts import Method, Reason, Verdict

if TYPE_CHECKING:
    from whiteout.metadata import Inspection
    from whiteout.sources.stack import ImageConfig


class Snapshot(NamedTuple):
    """What one overlay snapshot changed.

    ``base`` and ``merged`` are the two stacks, topmost layer first: everything below the snapshot,
    and everything with it. ``doubts`` are sentences on what the privileges of this process hide;
    while there is one, no layer is exported. ``following`` is what the mount follows. ``check`` is
    called after each reading and raises when the layers were taken away meanwhile.
    """

    label: str
    base: tuple[Layer, ...]
    merged: tuple[Layer, ...]
    data_layers: tuple[Layer, ...] = ()
    method: Method = Method.OVERLAY
    rules: Rules = Rules.CURRENT
    upperdir: bytes | None = None
    lowerdirs: tuple[bytes, ...] = ()
    doubts: tuple[str, ...] = ()
    following: Following = FOLLOW_ALL
    fallback: str | None = None
    """Why the walking differ answers, when nobody asked for it."""
    check: Callable[[], None] | None = None
    image_config: ImageConfig | None = None
    """Reads the config of the image that the layers belong to, where its engine keeps one."""
    shared: bool = False
    """Whether directories that both stacks have from the same layers go without a comparison."""

    @property
    def in_archive(self) -> bool:
        """Whether a layer lies in an archive, so that its paths lead nowhere on this host."""
        return any(layer.archive is not None for layer in self.merged)

    @property
    def differ(self) -> str:
        """Which differ answers: ``overlay`` or ``walking``."""
        return self.method.value

    @contextmanager
    def reading(
        self, cancel: CancelToken = NEVER, *, opens_files: bool = False
    ) -> Iterator[Standing]:
        """The standing of the root, valid within the block.

        *opens_files* serves who reads most contents (:class:`~whiteout.merged.MergedView`).

        Raises:
            ReadError: a layer cannot be opened.
            SnapshotChanged: its owner took a layer away while the block ran.
        """
        try:
            with self._opened(cancel, opens_files) as root:
                yield root
        except ReadError:
            self._still_there()
            raise
        self._still_there()

    def _still_there(self) -> None:
        if self.check is not None:
            self.check()

    @contextmanager
    def _opened(self, cancel: CancelToken, opens_files: bool) -> Iterator[Standing]:
        below = self.following._replace(top_is_upper=False)
        data = self.data_layers
        with Directories() as pool:
            pool.cancel = cancel
            trees = Trees(
                pool,
                MergedView(self.base, pool, data, below, opens_files=opens_files),
                MergedView(
                    self.merged, pool, data, self.following, opens_files=opens_files, guarded=True
                ),
                self.rules,
                cancel,
                self.shared,
            )
            yield root_standing(trees, self.method)

    def children(self, path: bytes = b"/", *, cancel: CancelToken = NEVER) -> Iterator[Verdict]:
        """The verdicts on the entries of one directory, in byte order, as they become known.

        Skipped entries, deleted ones and those below a removed directory are among them. Nothing
        below or beside the directory is read.

        Raises:
            NotFound: there is no such directory.
            ReadError: the directory cannot be listed.
            Cancelled: *cancel* was cancelled.
        """
        with self.reading(cancel) as root:
            for finding in _directory(root, path).entries():
                yield finding.verdict

    def directories(
        self, path: bytes = b"/", *, cancel: CancelToken = NEVER
    ) -> Iterator[tuple[bytes, Iterator[Verdict]]]:
        """Every directory at and below *path*, one after the other, with its own entries.

        As :meth:`children` of each of them, parents before their children, at the cost of one walk.
        What is only below a removed directory is left out. The verdicts of a directory are to be
        taken before the next directory is asked for; they raise ``ReadError`` where it cannot be
        listed, and the walk may go on after that.

        Raises:
            NotFound: there is no such directory.
            ReadError: the directory cannot be reached.
            Cancelled: *cancel* was cancelled.
        """
        with self.reading(cancel) as root:
            for directory, findings in walk_directories(_directory(root, path)):
                yield directory, (finding.verdict for finding in findings)

    def statuses(
        self, paths: Iterable[bytes], *, cancel: CancelToken = NEVER
    ) -> Iterator[os.stat_result | None]:
        """What ``lstat`` says of each of *paths* in the merged view; None of what is not there.

        Of the root it is what the topmost layer says. Nothing is compared, so this tells cheaply
        whether something changed since it was read.

        Raises:
            ReadError: a layer cannot be opened.
            Cancelled: *cancel* was cancelled.
        """
        with Directories() as pool:
            view = MergedView(self.merged, pool, self.data_layers)
            for path in paths:
                cancel.check()
                try:
                    status = _status(view, path)
                except (OSError, ReadError):
                    status = None
                yield status

    def changes(self, *, skipped: bool = False, cancel: CancelToken = NEVER) -> Iterator[Verdict]:
        """The stream of all changes, in the order of the layer, holding nothing of the tree.

        With *skipped* also what is not recorded. What could not be read is always among them, with
        :attr:`Reason.UNREADABLE`.

        Raises:
            ReadError: a layer cannot be opened.
            Cancelled: *cancel* was cancelled.
        """
        with self.reading(cancel) as root:
            if skipped:
                yield from (finding.verdict for finding in walk(root))
                return
            for found in walk_changes(root):
                if isinstance(found, list):
                    yield from found
                elif isinstance(found, PlainDirectory):
                    if found.recorded:
                        yield found.verdict
                elif found.verdict.kind is not None or found.verdict.reason is Reason.UNREADABLE:
                    yield found.verdict

    def explain(self, path: bytes, *, cancel: CancelToken = NEVER) -> Verdict:
        """The verdict on one path.

        Raises:
            NotFound: neither the snapshot nor its base has it.
            ReadError: it cannot be read.
        """
        if not path.strip(b"/"):
            return Verdict(b"/", None, Reason.ROOT, method=self.method)
        with self.reading(cancel) as root:
            return find(root, path)[1].verdict

    def inspect(self, path: bytes, *, cancel: CancelToken = NEVER) -> Inspection:
        """The verdict on one path, and the metadata of both sides.

        Raises:
            NotFound: neither the snapshot nor its base has it.
            ReadError: it cannot be read.
        """
        from whiteout.metadata import Inspection, metadata_of

        if not path.strip(b"/"):
            return Inspection(self.explain(path), None, None)
        with self.reading(cancel) as root:
            finding = find(root, path)[1]
            return Inspection(finding.verdict, metadata_of(finding.base), metadata_of(finding.node))

    @contextmanager
    def findings(
        self, cancel: CancelToken = NEVER, *, removed: bool = False, opens_files: bool = False
    ) -> Iterator[Iterator[Finding]]:
        """The full stream with live nodes, for writing the layer; valid within the block.

        With *removed* also what was below a removed directory. With *opens_files* the file of a
        finding is open until the next finding is asked for
        (:class:`~whiteout.merged.MergedView`).

        Raises:
            ReadError: a layer cannot be opened.
        """
        with self.reading(cancel, opens_files=opens_files) as root:
            yield walk(root, removed=removed)

    @contextmanager
    def findings_in_rows(self, cancel: CancelToken = NEVER) -> Iterator[Iterator[FoundInRows]]:
        """As :meth:`findings` for who reads every content: plain files that are added come read.

        A long walk gets directories from a second process (:mod:`whiteout.readahead`).

        Raises:
            ReadError: a layer cannot be opened.
        """
        with (
            self.reading(cancel, opens_files=True) as root,
            closing(ReadAhead(self, root)) as ahead,
        ):
            yield walk_in_rows(root, ahead)


def _directory(root: Standing, path: bytes) -> Standing:
    standing: Standing | None = root
    if path.strip(b"/"):
        holder, finding = find(root, path)
        standing = step_into(holder, finding)
    if standing is None:
        raise NotFound(f"{display_path(path)} is not a directory")
    return standing


def _status(view: MergedView, path: bytes) -> os.stat_result | None:
    if not path.strip(b"/"):
        return view.root.parts[0].directory.own_status()
    node = view.find(path)
    return node.status if node is not None else None
