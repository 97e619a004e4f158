"""The differ: what a snapshot changed, one directory at a time or as a stream.

Every directory of a snapshot is judged in one of three ways, its *standing*:

* :class:`OverlayStanding` — the entries of the upper directory, each looked up in the base:
  BuildKit's ``util/overlay/overlay_linux.go``;
* :class:`WalkingStanding` — both sides listed and merged by name: ``doubleWalkDiff`` of
  containerd/continuity's ``fs/diff.go``. It serves opaque and redirected directories, and as the
  walking differ whole snapshots;
* :class:`BaseStanding` — only the base has it: removed, or never touched.

A standing knows its entries (:meth:`Standing.entries`) and the standing of a directory among them
(:meth:`Standing.descend`), and nothing of what is above, below or beside it. So one directory
costs what that directory holds, and the full stream is the same computation, depth first in byte
order. Neither holds a list of the tree.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator
from enum import Enum
from itertools import chain, islice, takewhile

from whiteout.cancel import CancelToken
from whiteout.comparison import compare, compare_directories_only, same_directory
from whiteout.display import display_path
from whiteout.entries import Entry, is_whiteout_device
from whiteout.errors import NotFound, ReadError, SnapshotChanged, read_error
from whiteout.layers import Directories, Marks, PlainFile
from whiteout.marks import UNMARKED, EntryMarks
from whiteout.merged import MergedDirectory, MergedView, Node
from whiteout.names import NameSorter, lookup_in, union
from whiteout.typed import TYPE_CHECKING, NamedTuple, Protocol
from whiteout.verdicts import ChangeKind, Method, Opaque, Reason, Verdict

if TYPE_CHECKING:
    from typing import TypeVar

    #: What comes in rows for plain files, and what comes for a directory's entries altogether.
    _Plain = TypeVar("_Plain")
    _Row = TypeVar("_Row")
    _Found = TypeVar("_Found")

# What most entries need: a member looked up in its Enum costs 0.2 µs in Python 3.11.
_ADD, _MODIFY = ChangeKind.ADD, ChangeKind.MODIFY
_ADDED, _ADDED_IN_NEW, _SAME = Reason.ADDED, Reason.ADDED_IN_NEW, Reason.SAME
_OVERLAY, _WALKING = Method.OVERLAY, Method.WALKING
_NOT_OPAQUE = Opaque.NO
_PLAIN = Marks.PLAIN
#: Of how many names at once it is asked whether they are plain files.
_LONGEST_ROW = 256


class Rules(Enum):
    """Which of BuildKit's rule sets judges the entries of an upper directory."""

    CURRENT = "current"
    """BuildKit 0.12 and later."""
    ORIGINAL = "original"
    """BuildKit's first overlay differ: only directories are compared with the base."""


class Finding(NamedTuple):
    """A verdict with the live node behind its upper entry, for whoever needs the content."""

    verdict: Verdict
    node: Node | None
    base: Node | None


class PlainFiles(NamedTuple):
    """Files in a row in the directory at ``path``: each of them added, plain, and read already.

    This is how a layer that is written gets most of its files, instead of a finding for each.
    """

    path: bytes
    files: list[PlainFile]


class PlainDirectory(NamedTuple):
    """A directory that is added, or the same as in the base, and plain on both sides.

    This is how the walks get most directories, instead of a finding for each. ``standing`` is how
    its own entries are judged.
    """

    path: bytes
    status: os.stat_result
    reason: Reason
    standing: OverlayStanding

    @property
    def recorded(self) -> bool:
        """Whether it is an entry of the layer, whatever is in it."""
        return self.reason is not _SAME

    @property
    def verdict(self) -> Verdict:
        """The verdict on a recorded one."""
        entry = Entry(self.status, self.standing.upper.parts[0].layer)
        return Verdict(self.path, _ADD, self.reason, entry)


class WrittenDirectories(NamedTuple):
    """Plain directories in a row in the directory at ``path``, with all that is in them.

    Whatever is in them is plain, too, and comes as the tar bytes of its entries. ``data`` is empty
    where nothing is recorded.
    """

    path: bytes
    names: list[bytes]
    data: bytes
    entries: int


#: What a walk in rows gives.
FoundInRows = Finding | PlainDirectory | WrittenDirectories | PlainFiles


class ReadsAhead(Protocol):
    """Gives directories that were written while the walk was elsewhere."""

    def written(
        self, path: bytes, names: list[bytes], is_directory: Callable[[bytes], bool]
    ) -> WrittenDirectories | None:
        """Some of *names* in the directory *path*, from the first one on; None to walk that one.

        *names* are those that follow, and *is_directory* tells which of them are directories.
        """


class Trees(NamedTuple):
    """The two sides of a snapshot: the base, and the view of everything with the upper on top.

    With *shared*, directories that both sides have from the same layers are not compared: there is
    nothing in them that could differ.
    """

    pool: Directories
    base: MergedView
    merged: MergedView
    rules: Rules
    cancel: CancelToken
    shared: bool = False


class Standing(ABC):
    """How the entries of one directory are judged."""

    __slots__ = ("original", "path", "trees")

    def __init__(self, trees: Trees, path: bytes) -> None:
        self.trees = trees
        self.path = path
        self.original = trees.rules is Rules.ORIGINAL

    @abstractmethod
    def names(self) -> Iterable[bytes]:
        """The names to judge, in byte order. Raises ``OSError``, but not any more while they are
        taken.
        """

    @abstractmethod
    def judge(self, name: bytes) -> Finding | None:
        """The verdict on one name, or None where there is nothing at all.

        Raises:
            OSError: something cannot be read.
            ReadError: something cannot be read, in words.
        """

    @abstractmethod
    def descend(self, finding: Finding) -> Standing | None:
        """The standing of the directory *finding*, or None where there is nothing below."""

    @abstractmethod
    def close(self) -> None:
        """Give back the descriptors of the directory; it may be used again."""

    def child_path(self, name: bytes) -> bytes:
        """The path of the entry *name*."""
        return self.path + b"/" + name

    def finding(self, name: bytes) -> Finding | None:
        """As :meth:`judge`, with every error turned into a :class:`ReadError` that names the path.

        A file that a former finding has open is closed.

        Raises:
            ReadError: something cannot be read.
            Cancelled: the token was cancelled.
        """
        self.trees.cancel.check()
        self.trees.pool.release_files()
        try:
            return self.judge(name)
        except OSError as error:
            raise read_error("read", self.child_path(name), error) from error

    def listing(self) -> Iterable[bytes]:
        """As :meth:`names`, with every error turned into a :class:`ReadError`.

        Raises:
            ReadError: the directory cannot be listed.
        """
        try:
            return self.names()
        except OSError as error:
            raise read_error("list", self.path or b"/", error) from error

    def entries(self) -> Iterator[Finding]:
        """One finding for each entry of the directory; what cannot be read is a finding, too.

        Raises:
            ReadError: the directory cannot be listed.
            Cancelled: the token was cancelled.
        """
        for name in self.listing():
            finding = self._finding_or_unreadable(name)
            if finding is not None:
                yield finding

    def changed_entries(self) -> Iterator[Finding | PlainDirectory | list[Verdict]]:
        """As :meth:`entries`, but of plain files that are added and follow each other come the
        verdicts alone, in one piece, and those that are the same as in the base are left out.
        Plain directories come as such.

        Raises:
            ReadError: the directory cannot be listed.
            Cancelled: the token was cancelled.
        """
        return self._in_rows(self._plain_verdicts, list)

    def entries_in_rows(self, ahead: ReadsAhead | None = None) -> Iterator[FoundInRows]:
        """As :meth:`entries`, but plain files that are recorded and follow each other come in one
        piece, and plain files that are the same as in the base are left out. Plain directories come
        as such, or with all that is in them, as far as *ahead* has them.

        Raises:
            ReadError: the directory cannot be listed.
            SnapshotChanged: a plain file has not the size that it said.
            Cancelled: the token was cancelled.
        """
        return self._in_rows(
            self._plain_files,
            lambda files: PlainFiles(self.path, files),
            None if ahead is None else lambda names: self._written(names, ahead),
        )

    def _in_rows(
        self,
        plain_ones: Callable[[list[bytes]], list[_Plain]],
        row_of: Callable[[list[_Plain]], _Row],
        written: Callable[[list[bytes]], tuple[int, _Row] | None] | None = None,
    ) -> Iterator[Finding | PlainDirectory | _Row]:
        """Findings, and between them rows of *plain_ones*: one for each of the first names.

        *written* gives a row, and for how many of the first names, where one is there already.
        """
        names = iter(self.listing())
        next_names = list(islice(names, _LONGEST_ROW))
        longest = _LONGEST_ROW
        while next_names:
            self.trees.cancel.check()
            if self._holds_directory(next_names[0]):
                passed = 0
                if written is not None and (there := written(next_names)) is not None:
                    passed, of_directories = there
                    yield of_directories
                elif (directory := self.plain_directory(next_names[0])) is not None:
                    passed = 1
                    yield directory
                if passed:
                    del next_names[:passed]
                    next_names += islice(names, passed)
                    continue
            row = next_names[:longest]
            passed = self._count_same(row)
            if not passed:
                plain = plain_ones(row)
                passed = len(plain)
                if plain:
                    yield row_of(plain)
            # What was read behind the end of a row is read again: never much more than was used.
            longest = min(2 * longest, _LONGEST_ROW) if passed == len(row) else max(1, passed)
            if not passed:
                finding = self._finding_or_unreadable(row[0])
                if finding is not None:
                    yield finding
                passed = 1
            del next_names[:passed]
            next_names += islice(names, passed)

    def _written(
        self, names: list[bytes], ahead: ReadsAhead
    ) -> tuple[int, WrittenDirectories] | None:
        """The first of *names*, as many as *ahead* has."""
        return None

    def _holds_directory(self, name: bytes) -> bool:
        """Whether *name* was listed as a directory that may be a plain one."""
        return False

    def plain_directory(self, name: bytes) -> PlainDirectory | None:
        """*name*, where it surely is a plain directory, and added or not recorded."""
        return None

    def _plain_files(self, names: list[bytes]) -> list[PlainFile]:
        """The first of *names*, as many as surely are plain files and recorded."""
        return []

    def _plain_verdicts(self, names: list[bytes]) -> list[Verdict]:
        """The verdicts on the first of *names*, as many as surely are plain files and added."""
        return []

    def _added(
        self, upper: MergedDirectory, names: list[bytes], reason: Reason, method: Method
    ) -> list[Verdict]:
        """The verdicts on the first of *names*, which the base lacks: those on plain files."""
        if not names:
            return []
        above, layer = self.path + b"/", upper.parts[0].layer
        return [
            Verdict(above + name, _ADD, reason, Entry(status, layer), None, method)
            for name, status, _ in upper.read_plain_files(names, content=False)
        ]

    def _count_same(self, names: list[bytes]) -> int:
        """How many of *names*, from the first on, surely are plain files and not recorded."""
        return 0

    def _finding_or_unreadable(self, name: bytes) -> Finding | None:
        try:
            finding = self.finding(name)
            if (finding is None or finding.node is None) and self.has_lost(name):
                raise SnapshotChanged(
                    f"{display_path(self.child_path(name))} vanished while its directory was"
                    " read; stop what writes to the snapshot and try again",
                    self.child_path(name),
                )
        except ReadError as error:
            return Finding(self._unreadable(name, str(error)), None, None)
        return finding

    def has_lost(self, name: bytes) -> bool:
        """Whether the upper side listed *name*, which it does not have any more."""
        return False

    def _unreadable(self, name: bytes, error: str) -> Verdict:
        return Verdict(self.child_path(name), None, Reason.UNREADABLE, error=error)

    def _removed_below(self, finding: Finding) -> Standing | None:
        verdict = finding.verdict
        if finding.base is None or not verdict.replaces_directory:
            return None
        directory = finding.base.open_directory()
        return BaseStanding(self.trees, verdict.path, directory, Reason.REMOVED_WITH_PARENT)


class OverlayStanding(Standing):
    """A directory of the upper directory that is merged with the base's directory, if any.

    ``under_file`` tells that the base has something else than a directory there or above.
    """

    __slots__ = ("_known", "base", "under_file", "upper")

    def __init__(
        self,
        trees: Trees,
        path: bytes,
        upper: MergedDirectory,
        base: MergedDirectory | None,
        under_file: bool = False,
    ) -> None:
        super().__init__(trees, path)
        self.upper = upper
        self.base = base
        self.under_file = under_file
        self._known = True
        """Whether it is known of what is not in the base that it is not."""

    def names(self) -> Iterable[bytes]:
        names = self.upper.names_raw()
        if self.base is not None:
            self._known = self.base.expect(len(names))
        return names

    def _written(
        self, names: list[bytes], ahead: ReadsAhead
    ) -> tuple[int, WrittenDirectories] | None:
        written = ahead.written(self.path, names, self.upper.holds_directory)
        return None if written is None else (len(written.names), written)

    def _holds_directory(self, name: bytes) -> bool:
        return self.upper.holds_directory(name)

    def plain_directory(self, name: bytes) -> PlainDirectory | None:
        path = self.path + b"/" + name
        if self.original or len(path) > _MAX_DEPTH:
            return None
        upper = self.upper.plain_child(name)
        base = below = None
        if upper is None or (status := upper.status) is None:
            return None
        if self.base is not None and (base := self.base.plain_child(name)) is None:
            return None
        reason = self._reason_of_added
        if base is not None and base.status is not None:
            if not same_directory(base.status, status):
                return None
            reason, below = _SAME, base.directory
        standing = OverlayStanding(self.trees, path, upper.directory, below, self.under_file)
        return PlainDirectory(path, status, reason, standing)

    def _plain_files(self, names: list[bytes]) -> list[PlainFile]:
        if self.under_file and self.original:
            return []
        files = self.upper.read_plain_files(names)
        if self.base is None:
            return files
        return list(takewhile(self._surely_differs, files))

    def _plain_verdicts(self, names: list[bytes]) -> list[Verdict]:
        if not self._known or (self.under_file and self.original):
            return []
        if self.base is not None:
            names = list(takewhile(self.base.surely_lacks, names))
        return self._added(self.upper, names, self._reason_of_added, _OVERLAY)

    @property
    def _reason_of_added(self) -> Reason:
        if self.under_file:
            return Reason.ADDED_UNDER_FILE
        return _ADDED if self.base is not None else _ADDED_IN_NEW

    def _surely_differs(self, file: PlainFile) -> bool:
        assert self.base is not None
        try:
            return self.base.surely_differs(file.name, file.status)
        except OSError:  # which is worded where the file is judged by itself
            return False

    def has_lost(self, name: bytes) -> bool:
        return self.upper.lookup_raw(name) is None

    def close(self) -> None:
        self.upper.close()
        if self.base is not None:
            self.base.close()

    def judge(self, name: bytes) -> Finding | None:
        node = self.upper.lookup_raw(name)
        base = self.base.lookup(name) if self.base is not None else None
        if node is None:
            return self._untouched(name, base)
        if self.under_file and self.original:
            raise ReadError(
                f"{display_path(self.child_path(name))}: its parent is not a directory in the base,"
                " which the original rules cannot diff; use the current rules"
            )
        if self._is_whiteout(node):
            return self._whiteout(name, node, base)
        return self._entry(name, node, base)

    def _is_whiteout(self, node: Node) -> bool:
        if self.original:
            return is_whiteout_device(node.status)
        marks = node.part.marks
        return node.is_whiteout(Marks.TRUSTED if marks is _PLAIN else marks)

    def _whiteout(self, name: bytes, node: Node, base: Node | None) -> Finding:
        return Finding(
            Verdict(
                self.child_path(name),
                ChangeKind.DELETE if base is not None else None,
                Reason.DELETED if base is not None else Reason.WHITEOUT_OF_NOTHING,
                node.entry,
                base.entry if base is not None else None,
                whiteout=True,
            ),
            node,
            base,
        )

    def _entry(self, name: bytes, node: Node, base: Node | None) -> Finding:
        path = self.child_path(name)
        marks = self._marks(node)
        opaque = _NOT_OPAQUE
        redirect = None
        metacopy = False
        if marks is not UNMARKED:
            merged = self.trees.merged
            if node.is_directory and marks.opaque == b"y":
                opaque = Opaque.YES if base is not None else Opaque.WITHOUT_BASE
            elif node.is_directory and (self.base is not None or merged.goes_elsewhere):
                redirect = marks.redirect  # the kernel does not even look at it otherwise
            metacopy = marks.metacopy and node.is_file
            merged.check_followed(node, redirect=redirect is not None, metacopy=metacopy)
            if metacopy:
                node = merged.find(path) or node
        comparison = None
        if base is None:
            kind: ChangeKind | None = _ADD
            reason = self._reason_of_added
        else:
            if self.original:
                comparison = compare_directories_only(base, node)
            else:
                comparison = compare(base, node, self.trees.cancel)
            same = comparison is not None and comparison.same
            kind = None if same else _MODIFY
            reason = _SAME if same else Reason.MODIFIED
        verdict = Verdict(
            path,
            kind,
            reason,
            node.entry,
            base.entry if base is not None else None,
            _OVERLAY,
            comparison,
            opaque,
            redirect,
            metacopy,
        )
        return Finding(verdict, node, base)

    def _marks(self, node: Node) -> EntryMarks:
        if node.is_directory or (node.is_file and node.status.st_size):
            return node.marks
        return UNMARKED

    def _untouched(self, name: bytes, base: Node | None) -> Finding | None:
        if base is None:
            return None
        verdict = Verdict(self.child_path(name), None, Reason.UNTOUCHED, base=base.entry)
        return Finding(verdict, None, base)

    def descend(self, finding: Finding) -> Standing | None:
        verdict, node, base = finding.verdict, finding.node, finding.base
        below = base.open_directory() if base is not None and base.is_directory else None
        if node is None:
            if below is None:
                return None
            return BaseStanding(self.trees, verdict.path, below, Reason.UNTOUCHED)
        if not node.is_directory:
            return self._removed_below(finding)
        if verdict.opaque is Opaque.YES:
            return WalkingStanding(self.trees, verdict.path, node.open_top(), below)
        if verdict.redirect is not None and not self.original:
            merged = self.trees.merged.find(verdict.path)
            if merged is None or not merged.is_directory:
                raise SnapshotChanged(
                    f"{display_path(verdict.path)} vanished while it was read; try again",
                    verdict.path,
                )
            return WalkingStanding(self.trees, verdict.path, merged.open_directory(), below)
        under_file = self.under_file or (base is not None and below is None)
        return OverlayStanding(self.trees, verdict.path, node.open_top(), below, under_file)


class WalkingStanding(Standing):
    """Two directories listed and merged by name; the base may be missing."""

    __slots__ = ("_in_base", "_listed", "base", "upper")

    def __init__(
        self, trees: Trees, path: bytes, upper: MergedDirectory, base: MergedDirectory | None
    ) -> None:
        super().__init__(trees, path)
        self.upper = upper
        self.base = base
        self._listed: Collection[bytes] = ()
        self._in_base: Collection[bytes] = ()

    def names(self) -> Iterable[bytes]:
        upper = self.upper.names_and_whiteouts()
        self._listed = lookup_in(upper)
        if self.base is None:
            return upper
        base = self.base.names()
        self._in_base = lookup_in(base)
        return union(upper, base)

    def _plain_files(self, names: list[bytes]) -> list[PlainFile]:
        if len(self.upper.parts) > 1:
            return []
        return self.upper.read_plain_files(list(takewhile(self._is_added, names)))

    def _plain_verdicts(self, names: list[bytes]) -> list[Verdict]:
        if len(self.upper.parts) > 1:
            return []
        names = list(takewhile(self._is_added, names))
        return self._added(self.upper, names, self._reason_of_added, _WALKING)

    @property
    def _reason_of_added(self) -> Reason:
        return _ADDED if self.base is not None else _ADDED_IN_NEW

    def _is_added(self, name: bytes) -> bool:
        return name not in self._in_base

    def _count_same(self, names: list[bytes]) -> int:
        if self.base is None or names[0] not in self._in_base or names[0] not in self._listed:
            return 0
        return self.upper.count_same_files(self.base, names)

    def has_lost(self, name: bytes) -> bool:
        return name in self._listed and not self.upper.has_anywhere(name)

    def close(self) -> None:
        self.upper.close()
        if self.base is not None:
            self.base.close()

    def judge(self, name: bytes) -> Finding | None:
        path = self.child_path(name)
        node = self.upper.lookup(name)
        base = self.base.lookup(name) if self.base is not None else None
        base_entry = base.entry if base is not None else None
        if node is None:
            whiteout = self.upper.lookup_raw(name) if self.upper.parts else None
            mark = whiteout.entry if whiteout is not None else None
            if base is None and whiteout is None:
                return None
            return Finding(
                Verdict(
                    path,
                    ChangeKind.DELETE if base is not None else None,
                    Reason.MISSING if base is not None else Reason.WHITEOUT_OF_NOTHING,
                    mark,
                    base_entry,
                    Method.WALKING,
                    whiteout=whiteout is not None,
                ),
                whiteout,
                base,
            )
        comparison = None
        if base is None:
            kind: ChangeKind | None = _ADD
            reason = self._reason_of_added
        else:
            comparison = compare(base, node, self.trees.cancel)
            if not comparison.same:
                kind, reason = _MODIFY, Reason.MODIFIED
            elif node.status.st_nlink > 1 and not node.is_directory:
                kind, reason = ChangeKind.UNMODIFIED, Reason.LINKED
            else:
                kind, reason = None, _SAME
        marked = node.position == 0 and node.part.marks is not _PLAIN
        marks = node.marks if marked and (node.is_directory or node.is_file) else UNMARKED
        if marks.metacopy and node.is_file:
            self.trees.merged.check_followed(node, redirect=False, metacopy=True)
        return Finding(
            Verdict(
                path,
                kind,
                reason,
                node.entry,
                base_entry,
                _WALKING,
                comparison,
                _NOT_OPAQUE,
                marks.redirect if node.is_directory else None,
                marks.metacopy and node.is_file,
            ),
            node,
            base,
        )

    def descend(self, finding: Finding) -> Standing | None:
        node, base = finding.node, finding.base
        if node is None or finding.verdict.whiteout or not node.is_directory:
            return self._removed_below(finding)
        below = base.open_directory() if base is not None and base.is_directory else None
        upper = node.open_directory()
        if self.trees.shared and below is not None and upper.has_parts_of(below):
            return BaseStanding(self.trees, finding.verdict.path, below, Reason.UNTOUCHED)
        return WalkingStanding(self.trees, finding.verdict.path, upper, below)


class BaseStanding(Standing):
    """A directory that only the base has: removed from the snapshot, or never touched by it."""

    __slots__ = ("base", "reason")

    def __init__(self, trees: Trees, path: bytes, base: MergedDirectory, reason: Reason) -> None:
        super().__init__(trees, path)
        self.base = base
        self.reason = reason

    def names(self) -> Iterable[bytes]:
        return self.base.names()

    def close(self) -> None:
        self.base.close()

    def judge(self, name: bytes) -> Finding | None:
        base = self.base.lookup(name)
        if base is None:
            return None
        verdict = Verdict(self.child_path(name), None, self.reason, base=base.entry)
        return Finding(verdict, None, base)

    def descend(self, finding: Finding) -> Standing | None:
        if finding.base is None or not finding.base.is_directory:
            return None
        directory = finding.base.open_directory()
        return BaseStanding(self.trees, finding.verdict.path, directory, self.reason)


def root_standing(trees: Trees, method: Method) -> Standing:
    """The standing of the root, which itself is never recorded."""
    if method is Method.WALKING:
        return WalkingStanding(trees, b"", trees.merged.root, trees.base.root)
    return OverlayStanding(trees, b"", trees.merged.root.top(), trees.base.root)


def find(root: Standing, path: bytes) -> tuple[Standing, Finding]:
    """The finding for the absolute *path*, and the standing of the directory that holds it.

    Raises:
        NotFound: neither side has it.
        ReadError: a directory on the way cannot be read.
    """
    standing = root
    finding: Finding | None = None
    names = [name for name in path.split(b"/") if name]
    if any(name in (b".", b"..") or b"\0" in name for name in names):
        raise NotFound(f"{display_path(path)} is no path in a snapshot; leave out . and ..")
    for position, name in enumerate(names):
        if finding is not None:
            below = step_into(standing, finding)
            if below is None:
                raise NotFound(f"{display_path(finding.verdict.path)} is not a directory")
            standing = below
        finding = standing.finding(name)
        if finding is None:
            gone = b"/" + b"/".join(names[: position + 1])
            raise NotFound(f"{display_path(gone)} is neither in the snapshot nor in its base")
    if finding is None:
        raise NotFound("the root directory is never recorded")
    return standing, finding


#: How long the path of a directory may be, in bytes, and how many directories one in the other:
#: the paths of all that are above an entry are in memory. No path that is opened whole is longer
#: than 4,096 bytes.
_MAX_PATH, _MAX_DEPTH = 1 << 16, 1 << 13


def step_into(standing: Standing, finding: Finding) -> Standing | None:
    """As :meth:`Standing.descend`, with errors in words.

    Raises:
        ReadError: the directory cannot be read, or is too deep.
    """
    path = finding.verdict.path
    if len(path) > _MAX_PATH or (len(path) > _MAX_DEPTH and path.count(b"/") > _MAX_DEPTH):
        raise ReadError(
            f"{display_path(path[:80])}… is too deep: directories are read down to"
            f" {_MAX_DEPTH:,} levels and paths of {_MAX_PATH:,} bytes",
            path,
        )
    try:
        return standing.descend(finding)
    except OSError as error:
        raise read_error("read", finding.verdict.path, error) from error


def walk(root: Standing, *, removed: bool = False) -> Iterator[Finding]:
    """The full stream, depth first in byte order.

    What is implied by a removed directory is among it only with *removed*.

    What cannot be read comes as a finding with :attr:`Reason.UNREADABLE`; a directory that cannot
    be listed gets one after its own.

    Raises:
        Cancelled: the token was cancelled.
    """
    return _walk(root, Standing.entries, removed=removed)


def walk_changes(root: Standing) -> Iterator[Finding | PlainDirectory | list[Verdict]]:
    """As :func:`walk`, but of plain files only what is recorded, and of those that are added the
    verdicts, in rows; plain directories come as such.

    Raises:
        Cancelled: the token was cancelled.
    """
    return _walk(root, Standing.changed_entries, removed=False)


def walk_in_rows(root: Standing, ahead: ReadsAhead | None = None) -> Iterator[FoundInRows]:
    """As :func:`walk` without files that are the same, with recorded plain files in rows, read, and
    plain directories as such, or with all that is in them, as far as *ahead* has them.

    Raises:
        Cancelled: the token was cancelled.
        SnapshotChanged: a plain file has not the size that it said.
    """
    return _walk(root, lambda standing: standing.entries_in_rows(ahead), removed=False)


def _walk(
    root: Standing, entries_of: Callable[[Standing], Iterator[_Found]], *, removed: bool
) -> Iterator[_Found | Finding]:
    stack: list[tuple[Standing, Iterator[_Found | Finding]]] = []
    below: Standing | None = root
    while True:
        if below is not None:
            stack.append((below, _listed(below, entries_of)))
            below = None
        standing, entries = stack[-1]
        finding = next(entries, None)
        if finding is None:
            standing.close()
            stack.pop()
            if not stack:
                return
            continue
        yield finding
        if isinstance(finding, PlainDirectory):
            below = finding.standing
            continue
        if not isinstance(finding, Finding):
            continue
        verdict = finding.verdict
        is_directory = verdict.upper is not None and verdict.upper.is_directory
        if is_directory or (removed and verdict.replaces_directory):
            try:
                below = step_into(standing, finding)
            except ReadError as error:
                yield Finding(_unlistable(verdict.path, error), None, None)
            if is_directory and isinstance(
                below, BaseStanding
            ):  # the snapshot has nothing of its own there
                below = None


def walk_directories(top: Standing) -> Iterator[tuple[bytes, Iterator[Finding]]]:
    """Directory by directory: the path of each, and the findings of its own entries.

    It goes where :func:`walk` goes, parents before their children, siblings in byte order. The
    findings of a directory are to be taken before the next directory is asked for; they raise
    :class:`ReadError` where the directory cannot be listed, and the walk may go on after that.

    Raises:
        Cancelled: the token was cancelled.
    """
    stack: list[tuple[Standing, Iterator[Finding | bytes]]] = []
    below: Standing | None = top
    while below is not None:
        noted, more = list[Finding](), NameSorter()
        yield below.path or b"/", _noting_directories(below, noted, more)
        stack.append((below, chain(noted, more.sorted())))
        below = None
        while stack and below is None:
            standing, waiting = stack[-1]
            directory = next(waiting, None)
            if directory is None:
                standing.close()
                stack.pop()
                continue
            try:
                below = _standing_of(standing, directory)
            except ReadError as error:
                name = directory if isinstance(directory, bytes) else directory.verdict.name
                yield standing.child_path(name), _raising(error)
            if isinstance(below, BaseStanding):  # the snapshot has nothing of its own there
                below = None


#: How many directories of one directory are remembered whole; of more, only the names.
_REMEMBERED = 1000


def _noting_directories(
    standing: Standing, noted: list[Finding], more: NameSorter
) -> Iterator[Finding]:
    for finding in standing.entries():
        upper = finding.verdict.upper
        if upper is not None and upper.is_directory:
            if len(noted) < _REMEMBERED:
                noted.append(finding)
            else:
                more.add(finding.verdict.name)
        yield finding


def _standing_of(standing: Standing, directory: Finding | bytes) -> Standing | None:
    finding = standing.finding(directory) if isinstance(directory, bytes) else directory
    return step_into(standing, finding) if finding is not None else None


def _raising(error: ReadError) -> Iterator[Finding]:
    yield from ()
    raise error


def _listed(
    standing: Standing, entries_of: Callable[[Standing], Iterator[_Found]]
) -> Iterator[_Found | Finding]:
    try:
        yield from entries_of(standing)
    except SnapshotChanged:
        raise
    except ReadError as error:
        yield Finding(_unlistable(standing.path or b"/", error), None, None)


def _unlistable(path: bytes, error: ReadError) -> Verdict:
    return Verdict(path, None, Reason.UNREADABLE, error=str(error))
