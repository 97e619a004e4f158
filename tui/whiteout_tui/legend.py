"""The letters and marks of the tree, each with its meaning: one table for rows, header and help."""

from __future__ import annotations

from dataclasses import dataclass

from whiteout.surveywords import TOTALS_RULES
from whiteout_tui.rowdata import RowFlag, RowKind, RowType


@dataclass(frozen=True, slots=True)
class KindSign:
    """The letter of a :class:`RowKind`; ``style`` names the component class of the tree."""

    letter: str
    style: str
    meaning: str


KINDS: dict[RowKind, KindSign] = {
    RowKind.ADD: KindSign("A", "added", "added: the base has nothing of this name"),
    RowKind.MODIFY: KindSign("M", "modified", "modified: both sides have it, and they differ"),
    RowKind.DELETE: KindSign("D", "deleted", "deleted: the layer records a whiteout for it"),
    RowKind.UNMODIFIED: KindSign(
        "U", "unmodified", "unmodified: another name of a hard-linked file, in a compared directory"
    ),
    RowKind.SKIPPED: KindSign("·", "skipped", "skipped: not recorded in the layer; Why says why"),
    RowKind.UNREADABLE: KindSign(
        "!", "unreadable", "unreadable: nothing is claimed about it, and no layer is exported"
    ),
    RowKind.NOTE: KindSign(" ", "note", ""),
}


@dataclass(frozen=True, slots=True)
class FlagSign:
    """The letter of a :class:`RowFlag`."""

    flag: RowFlag
    letter: str
    meaning: str


FLAGS: tuple[FlagSign, ...] = (
    FlagSign(RowFlag.OPAQUE, "O", "opaque: hides everything that the base has in this directory"),
    FlagSign(
        RowFlag.OPAQUE_WITHOUT_BASE, "o", "opaque, but the base has nothing here that it could hide"
    ),
    FlagSign(RowFlag.WHITEOUT, "w", "whiteout: overlayfs' mark of a deleted name is in the upper"),
    FlagSign(RowFlag.HARD_LINK, "H", "hard link: the file has more than one name"),
    FlagSign(RowFlag.UNREADABLE, "!", "something of it could not be read"),
    FlagSign(RowFlag.GHOST, "~", "ghost: gone because a directory above it is gone"),
    FlagSign(RowFlag.REDIRECT, "r", "redirect: a directory that was renamed from elsewhere"),
    FlagSign(RowFlag.METACOPY, "m", "metacopy: only the metadata was copied up"),
)

SUFFIXES: dict[RowType, tuple[str, str]] = {
    RowType.FILE: ("", "file"),
    RowType.DIRECTORY: ("/", "directory"),
    RowType.SYMLINK: ("@", "symbolic link"),
    RowType.DEVICE: ("%", "character device; the size column holds major,minor"),
    RowType.BLOCK_DEVICE: ("#", "block device; the size column holds major,minor"),
    RowType.FIFO: ("|", "named pipe"),
    RowType.SOCKET: ("=", "socket, which no layer can hold"),
}

MOUSE: tuple[tuple[str, str], ...] = (
    ("a row", "a click goes there; on its triangle, or twice, it opens or closes"),
    ("heading", "a click on a column sorts by it; again: the other way around"),
    ("path", "below the tree: a click on a name of it goes to that directory"),
    ("divider", "beside the tree the line, below it the bar of tabs: drag it to size both"),
    ("underlined words", "a click leads to what the glossary says of them"),
    ("lists", "a click marks a line, two choose it"),
    ("tabs, keys", "a click chooses the tab, or presses the key of the footer"),
)

NUMBERS: tuple[tuple[str, str], ...] = (
    (
        "A M D U · !",
        "entries of the whole snapshot under each letter, counted in the background; "
        "“…” until the count is complete. Ghosts and notes are not counted",
    ),
    (
        "size",
        "bytes of content of a regular file, of a removed one those of the base; "
        "K, M, G, T are powers of 1024. A hard-linked file shows its size under each name. Of a "
        "directory: bytes of content that the layer records below it, of a hard-linked file once, "
        "under the name read first; “…” until all below it is read, for ever where it cannot be",
    ),
    *TOTALS_RULES,
    (
        "Gone below it",
        "what the base has below a deleted, replaced or opaque directory and the snapshot does not "
        "show: entries, and bytes of content of regular files, of several names of a file once; "
        "“at least” where something could not be read",
    ),
    (
        "changed",
        "since it was read: an entry on the screen of which time, inode or size is another, or "
        "that is gone or there again; looked at every 3 s. What is not on the screen is not looked "
        "at. Alone: it was another one before r",
    ),
    ("hidden", "skipped entries in the directories read so far that u has hidden"),
    (
        "estimate",
        "of each layer before it is written, from its totals: an entry and 512 bytes for each "
        "recorded entry, the content of its file and half a block of padding, 1024 for the end. "
        "Unchanged directories above an entry and PAX records come on top; sockets drop out. Of "
        "the whole stack the sum of its layers",
    ),
    (
        "progress of an export",
        "bytes of tar made so far of those that the estimate expects, at most 99 %; while an image "
        "is copied or sent, bytes of the blob that is under way",
    ),
    ("entries", "headers written to the layer's tar, parent directories included"),
    ("bytes, rate", "bytes of uncompressed tar made so far, and per second since the start"),
    ("ratio", "uncompressed size of the layer divided by the size of its blob"),
    ("digest", "sha256 of the blob's bytes as stored"),
    ("diffID", "sha256 of the uncompressed tar"),
)

_FLAG_TEXT: dict[int, str] = {}


def flag_letters(flags: int) -> str:
    """The letters of *flags*, in the order of :data:`FLAGS`."""
    text = _FLAG_TEXT.get(flags)
    if text is None:
        text = "".join(sign.letter for sign in FLAGS if flags & sign.flag)
        _FLAG_TEXT[flags] = text
    return text
