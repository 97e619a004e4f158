"""What deserves attention in a snapshot: the findings of the app and of ``whiteout findings``.

(:class:`whiteout.differ.Finding` is something else, the differ's answer for one entry; here one
thing worth knowing is a :class:`Remark`.) Remarks are gathered from the stream of the differ's
answers. For each kind all are counted, and the first thousand are kept.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from enum import Enum

from whiteout.differ import Finding
from whiteout.errors import ReadError
from whiteout.layerentries import WHITEOUT_PREFIX
from whiteout.marks import TRUSTED_PREFIX, USER_PREFIX
from whiteout.merged import Node
from whiteout.snapshot import Snapshot
from whiteout.verdicts import Opaque, Reason, Verdict
from whiteout.xattrs import CAPABILITY

#: How many remarks of one kind are kept.
KEPT = 1000


class Level(Enum):
    """How much attention a remark deserves."""

    WARNING = "warning"
    """The layer lacks something, may surprise, or grants something."""
    NOTE = "note"
    """Nothing is wrong; it is good to know."""


class RemarkKind(Enum):
    """What a remark is about. The values are stable and appear in ``--json``."""

    PRIVILEGES = "missing-privileges"
    UNREADABLE = "unreadable"
    OTHER_CONTENT = "same-size-and-time-other-content"
    NOT_COMPARED = "content-not-compared"
    WHITEOUT_NAME = "name-like-a-whiteout"
    WHITEOUT_IN_OPAQUE = "whiteout-in-opaque-directory"
    ATTRIBUTES_LOST = "attributes-lost"
    SETUID = "setuid-gained"
    SETGID = "setgid-gained"
    CAPABILITY = "capability-gained"
    SOCKET = "socket"
    ROOT_CHANGED = "root-changed"
    COPIED_UP = "copied-up-unchanged"
    WHITEOUT_OF_NOTHING = "whiteout-of-nothing"
    OPAQUE_WITHOUT_BASE = "opaque-without-base"
    OPAQUE = "opaque-directory"
    OPAQUE_X = "opaque-x"
    WHITEOUT_ATTRIBUTE = "whiteout-attribute"
    REDIRECT = "redirect"
    METACOPY = "metacopy"
    DATA_LAYERS = "data-only-layers"
    WALKING = "walking-differ"

    @property
    def level(self) -> Level:
        """How much attention it deserves."""
        return Level.NOTE if self in _NOTES else Level.WARNING


_NOTES = frozenset(
    {
        RemarkKind.COPIED_UP,
        RemarkKind.WHITEOUT_OF_NOTHING,
        RemarkKind.OPAQUE_WITHOUT_BASE,
        RemarkKind.OPAQUE,
        RemarkKind.OPAQUE_X,
        RemarkKind.WHITEOUT_ATTRIBUTE,
        RemarkKind.REDIRECT,
        RemarkKind.METACOPY,
        RemarkKind.DATA_LAYERS,
        RemarkKind.WALKING,
    }
)


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing that deserves attention.

    ``path`` is absolute within the snapshot, ``/`` for the snapshot as a whole. ``detail`` is what
    else is known, as bytes that a stranger may have chosen: a redirect, the names of attributes, a
    sentence. ``size`` is in bytes where one matters, such as what a useless copy takes.
    """

    kind: RemarkKind
    path: bytes
    detail: bytes = b""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Remarks:
    """The remarks so far: how many there are of each kind, their bytes, and the first of each."""

    counts: tuple[tuple[RemarkKind, int], ...] = ()
    sizes: tuple[tuple[RemarkKind, int], ...] = ()
    kept: tuple[Remark, ...] = ()

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(count for _, count in self.counts)

    @property
    def warnings(self) -> int:
        """How many of them are warnings."""
        return sum(count for kind, count in self.counts if kind.level is Level.WARNING)


class Gathering:
    """Gathers remarks from the findings of a snapshot, which must come depth first."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._found: dict[RemarkKind, list[Remark]] = {kind: [] for kind in RemarkKind}
        self._counts = dict.fromkeys(RemarkKind, 0)
        self._sizes = dict.fromkeys(RemarkKind, 0)
        self._opaque: bytes | None = None
        """The opaque directory that the stream is in, with a slash behind it."""

    def note(self, kind: RemarkKind, path: bytes, detail: bytes = b"", size: int = 0) -> None:
        """Add one remark."""
        self._counts[kind] += 1
        self._sizes[kind] += size
        found = self._found[kind]
        if len(found) < KEPT:
            found.append(Remark(kind, path, detail, size))

    def remarks(self) -> Remarks:
        """Everything so far."""
        return Remarks(
            tuple((kind, count) for kind, count in self._counts.items() if count),
            tuple((kind, size) for kind, size in self._sizes.items() if size),
            tuple(remark for found in self._found.values() for remark in found),
        )

    def begin(self) -> None:
        """What is to be said of the snapshot as a whole."""
        snapshot = self._snapshot
        for doubt in snapshot.doubts:
            self.note(RemarkKind.PRIVILEGES, b"/", os.fsencode(doubt))
        if snapshot.fallback is not None:
            self.note(RemarkKind.WALKING, b"/", os.fsencode(snapshot.fallback))
        for layer in snapshot.data_layers:
            self.note(RemarkKind.DATA_LAYERS, b"/", layer.path)
        self._root()

    def _root(self) -> None:
        snapshot = self._snapshot
        if not len(snapshot.merged) > len(snapshot.base) > 0:
            return
        try:
            upper, base = (os.stat(stack[0].path) for stack in (snapshot.merged, snapshot.base))
        except OSError:  # the walk will say so
            return
        changed = [
            name
            for name in ("mode", "uid", "gid")
            if getattr(upper, f"st_{name}") != getattr(base, f"st_{name}")
        ]
        if changed:
            self.note(RemarkKind.ROOT_CHANGED, b"/", ", ".join(changed).encode())

    def add(self, finding: Finding) -> None:
        """Look at one finding of the stream."""
        verdict, node = finding.verdict, finding.node
        path, kind = verdict.path, verdict.kind
        if verdict.reason is Reason.UNREADABLE:
            self.note(RemarkKind.UNREADABLE, path, os.fsencode(verdict.error or ""))
            return
        if self._opaque is not None and not path.startswith(self._opaque):
            self._opaque = None
        if verdict.whiteout:
            self._whiteout(verdict)
            return
        upper = verdict.upper
        if upper is None:
            return
        if upper.is_directory:
            self._directory(verdict, node)
        if verdict.metacopy:
            self.note(RemarkKind.METACOPY, path)
        if kind is None:
            return
        if verdict.name.startswith(WHITEOUT_PREFIX):
            self.note(RemarkKind.WHITEOUT_NAME, path)
        if verdict.is_socket:
            self.note(RemarkKind.SOCKET, path)
        elif node is not None:
            self._recorded(finding, node)

    def _whiteout(self, verdict: Verdict) -> None:
        path = verdict.path
        if not verdict.is_whiteout_device:
            self.note(RemarkKind.WHITEOUT_ATTRIBUTE, path)
        if self._opaque is not None:
            self.note(RemarkKind.WHITEOUT_IN_OPAQUE, path)
        elif verdict.reason is Reason.WHITEOUT_OF_NOTHING:
            self.note(RemarkKind.WHITEOUT_OF_NOTHING, path)

    def _directory(self, verdict: Verdict, node: Node | None) -> None:
        path = verdict.path
        mark = b""
        if node is not None and node.position == 0:
            mark = _or_empty(node)
        if mark == b"x":
            self.note(RemarkKind.OPAQUE_X, path)
        if verdict.opaque is Opaque.WITHOUT_BASE:
            self.note(RemarkKind.OPAQUE_WITHOUT_BASE, path)
        elif verdict.opaque is Opaque.YES:
            self.note(RemarkKind.OPAQUE, path)
        if mark == b"y" and self._opaque is None:
            self._opaque = path + b"/"
        if verdict.redirect is not None:
            self.note(RemarkKind.REDIRECT, path, verdict.redirect)

    def is_useless_copy(self, finding: Finding) -> bool:
        """Whether the finding added last is a copy in the upper directory that changes nothing.

        Where only size and time speak for that, the contents decide.
        """
        verdict, node = finding.verdict, finding.node
        return (
            verdict.reason is Reason.SAME
            and self._opaque is None
            and not verdict.metacopy
            and node is not None
            and node.position == 0
            and not node.is_directory
        )

    def _recorded(self, finding: Finding, node: Node) -> None:
        path = finding.verdict.path
        try:
            present = node.attribute_names
        except OSError:  # the export will say so
            return
        lost = [name for name in present if not _is_kept(name)]
        if lost:
            self.note(RemarkKind.ATTRIBUTES_LOST, path, ", ".join(lost).encode(errors="replace"))
        if not node.is_file:
            return
        mode = node.status.st_mode
        before = finding.base.status.st_mode if finding.base is not None else 0
        if not stat.S_ISREG(before):
            before = 0
        if mode & stat.S_ISUID and not before & stat.S_ISUID:
            self.note(RemarkKind.SETUID, path, b"%d" % node.status.st_uid)
        if mode & stat.S_ISGID and mode & stat.S_IXGRP and not before & stat.S_ISGID:
            self.note(RemarkKind.SETGID, path, b"%d" % node.status.st_gid)
        if CAPABILITY in present and not _has_capability(finding.base):
            self.note(RemarkKind.CAPABILITY, path)


def _or_empty(node: Node) -> bytes:
    try:
        return node.marks.opaque
    except (OSError, ReadError):  # a finding of its own says what cannot be read
        return b""


def _is_kept(attribute: str) -> bool:
    """Whether the layer does not lose it: it is written, or overlayfs' own and means nothing."""
    return attribute == CAPABILITY or attribute.startswith((TRUSTED_PREFIX, USER_PREFIX))


def _has_capability(node: Node | None) -> bool:
    try:
        return node is not None and node.is_file and CAPABILITY in node.attribute_names
    except OSError:
        return False
