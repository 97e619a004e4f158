"""The differ's answer for one entry, with its reason, as data.

A :class:`Verdict` says what becomes of one path and holds every fact that was looked at.
:mod:`whiteout.steps` unfolds it into the ordered steps of the decision, and
:mod:`whiteout.wording` puts those into words.
"""

from __future__ import annotations

import stat
from enum import Enum

from whiteout.comparison import Comparison, Fact
from whiteout.entries import Entry, is_whiteout_device
from whiteout.typed import NamedTuple


class ChangeKind(Enum):
    """What a recorded entry is to the layer: continuity's ``ChangeKind``."""

    ADD = "A"
    MODIFY = "M"
    DELETE = "D"
    UNMODIFIED = "U"
    """An unchanged name of a hard-linked file; it matters when another name is recorded."""


class Reason(Enum):
    """Why a verdict is what it is. The values are stable and appear in ``--json``."""

    ROOT = "root"
    """The root directory: never recorded."""
    ADDED = "added"
    """The base has nothing of this name."""
    ADDED_IN_NEW = "added-in-new-directory"
    """The base has no such directory, so nothing had to be looked up."""
    ADDED_UNDER_FILE = "added-under-file"
    """The base has something that is not a directory where this one's parent is."""
    MODIFIED = "modified"
    """Both sides have it and they differ."""
    SAME = "same"
    """Both sides have it and they are the same: not recorded."""
    DELETED = "deleted"
    """A whiteout, and the base has the name."""
    WHITEOUT_OF_NOTHING = "whiteout-of-nothing"
    """A whiteout, and the base has nothing to delete: not recorded."""
    MISSING = "missing"
    """The base has it; the directory shown, compared name by name, lacks it: deleted."""
    LINKED = "unmodified-link"
    """Unchanged, but one of several names of a file, inside a directory compared by name."""
    REMOVED_WITH_PARENT = "removed-with-parent"
    """Gone because a directory above is gone: implied, not recorded by itself."""
    UNTOUCHED = "untouched"
    """The upper directory does not mention it: not recorded."""
    UNREADABLE = "unreadable"
    """It could not be read, so nothing is claimed about it."""


class Opaque(Enum):
    """What the overlay attribute ``opaque`` does to a directory of the upper directory."""

    NO = "no"
    """There is no such attribute with the value ``y``."""
    YES = "yes"
    """It hides everything that the base has there."""
    WITHOUT_BASE = "without-base"
    """It is set, but the base has nothing that it could hide."""


class Method(Enum):
    """How an entry was judged."""

    OVERLAY = "overlay"
    """An entry of the upper directory, looked up in the base."""
    WALKING = "walking"
    """Both sides listed and merged by name: continuity's double walk."""


class Verdict(NamedTuple):
    """What becomes of one path, and why.

    ``path`` is absolute within the snapshot (``b"/etc/hosts"``). ``kind`` is None for what is
    not recorded. ``upper`` is the entry in the upper directory (or in the merged view, when the
    method is walking), ``base`` the one below it; either may be None. ``whiteout`` tells that the
    upper entry is a whiteout, in whatever form.
    """

    path: bytes
    kind: ChangeKind | None
    reason: Reason
    upper: Entry | None = None
    base: Entry | None = None
    method: Method = Method.OVERLAY
    comparison: Comparison | None = None
    opaque: Opaque = Opaque.NO
    redirect: bytes | None = None
    metacopy: bool = False
    whiteout: bool = False
    error: str | None = None

    @property
    def facts(self) -> tuple[Fact, ...]:
        """Everything that was compared between base and upper, in order."""
        return self.comparison.facts if self.comparison is not None else ()

    @property
    def name(self) -> bytes:
        """The last component of the path; empty for the root."""
        return self.path.rpartition(b"/")[2]

    @property
    def entry(self) -> Entry | None:
        """The entry to show: the upper one, or the base's where that is what was removed."""
        if self.upper is None or (self.whiteout and self.base is not None):
            return self.base or self.upper
        return self.upper

    @property
    def expandable(self) -> bool:
        """Whether there may be rows below: a directory on the side that matters."""
        if self.upper is not None and self.upper.is_directory:
            return True
        return self.base is not None and self.base.is_directory and self.replaces_directory

    @property
    def replaces_directory(self) -> bool:
        """Whether the base has a directory here that the snapshot does not show any more."""
        return (
            self.base is not None
            and self.base.is_directory
            and (self.upper is None or not self.upper.is_directory)
        )

    @property
    def removed(self) -> bool:
        """Whether the path is gone from the merged view."""
        return self.kind is ChangeKind.DELETE or self.reason is Reason.REMOVED_WITH_PARENT

    @property
    def is_socket(self) -> bool:
        """Whether it is a socket, which no layer can hold."""
        return self.upper is not None and stat.S_ISSOCK(self.upper.stat.st_mode)

    @property
    def is_whiteout_device(self) -> bool:
        """Whether the upper entry is a whiteout in the form of a character device 0:0."""
        return self.upper is not None and is_whiteout_device(self.upper.stat)
