"""The rows of the demo: what every layer holds at each path, and what that teaches.

A directory comes before what is in it, and rows are in byte order, so that the table reads like the
tree on the screen.
"""

from __future__ import annotations

import hashlib
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

#: Modification times, nanoseconds since the epoch: of the base, of the snapshot, and one in between
#: that ends in whole seconds, as a time that came out of a tar archive does.
OLD = 1_704_103_200_123_456_789
NEW = 1_717_243_200_987_654_321
WHOLE = 1_709_294_400_000_000_000


class Need(Enum):
    """What a row needs that an ordinary user does not have. The values are words for people."""

    TRUSTED = "attributes trusted.*"
    DEVICES = "device nodes"
    CAPABILITIES = "file capabilities"
    OWNERS = "other owners"
    UNREADABLE = "an entry that cannot be read"
    """Made only when it is asked for, as no layer is exported of a snapshot that has one."""


@dataclass(frozen=True, slots=True)
class File:
    """A regular file. ``owner`` is a user and a group id, None for who builds the demo.

    Of a ``metacopy`` there is the size of the content, and the mark; see :attr:`Need.TRUSTED`.
    """

    content: bytes
    mode: int = 0o644
    mtime_ns: int | None = None
    owner: tuple[int, int] | None = None
    attributes: tuple[tuple[str, bytes], ...] = ()
    metacopy: bool = False


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory. ``redirect`` is written where the marks are in ``trusted.*`` alone."""

    mode: int = 0o755
    opaque: bool = False
    mtime_ns: int | None = None
    redirect: bytes | None = None


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symbolic link."""

    target: bytes
    mtime_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """One more name of a file above it in the table."""

    to: bytes


@dataclass(frozen=True, slots=True)
class Special:
    """A fifo, a socket or a device, whose ``device`` is its major and minor number."""

    type: int
    mode: int = 0o644
    device: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Whiteout:
    """A whiteout: a device 0:0, or an empty file with an ``attribute``."""

    attribute: bool = False


Node = File | Directory | Symlink | Link | Special | Whiteout


@dataclass(frozen=True, slots=True)
class Row:
    """One path: what the lower layers and the upper one hold there, and what that teaches."""

    path: bytes
    lesson: str = ""
    lower_1: Node | None = None
    lower_2: Node | None = None
    upper: Node | None = None
    need: Need | None = None

    def in_layer(self, layer: bytes) -> Node | None:
        """What *layer* holds at the path."""
        return {b"lower-1": self.lower_1, b"lower-2": self.lower_2, b"upper": self.upper}[layer]


def _prose(lines: int) -> bytes:
    """Text that compresses to about a third."""
    return b"".join(
        b"%06d the same words on every line, and then %s\n"
        % (number, hashlib.sha256(b"%d" % number).hexdigest()[:32].encode())
        for number in range(lines)
    )


#: ``cap_net_raw=ep``, as ``setcap`` writes it (``struct vfs_cap_data``, revision 2).
NET_RAW = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
_CAPABLE = (("security.capability", NET_RAW),)

_DIR = Directory()
_SAME = File(b"The same on both sides.\n", mtime_ns=OLD)
_LONG = b"long-path/" + b"a-directory-whose-name-has-60-bytes".ljust(60, b"-")

#: What teaches something of the root directory itself.
ROOT_LESSON = (
    "The upper directory has the sticky bit and the root of the base has not. No layer can say so: "
    "BuildKit and containerd never record the root."
)
#: Modes of the roots of the layers.
ROOT_MODES = {b"lower-1": 0o755, b"lower-2": 0o755, b"upper": 0o1755}

ROWS: tuple[Row, ...] = (
    Row(
        b"back-to-the-oldest-version.txt",
        "The snapshot has the content of the bottom layer again. It is still a change, as the "
        "layer in between had another.",
        lower_1=File(b"version 1\n"),
        lower_2=File(b"version 2\n", mtime_ns=WHOLE),
        upper=File(b"version 1\n"),
    ),
    Row(
        b"big-added-file.txt",
        "A file of some 300 KB that the base does not have. Compare its part of the layer with "
        "gzip and with zstd.",
        upper=File(_prose(3750)),
    ),
    Row(
        b"capability-gained",
        "setcap gave it a capability. security.capability is the one extended attribute that is "
        "compared and written to the layer.",
        lower_1=File(b"#!/bin/sh\n", 0o755, OLD),
        upper=File(b"#!/bin/sh\n", 0o755, OLD, attributes=_CAPABLE),
        need=Need.CAPABILITIES,
    ),
    Row(
        b"copied-up-but-the-same.txt",
        "It was opened for writing, so overlayfs copied it up, but nothing changed: mode, owner, "
        "size and time are equal, so the layer does not hold it.",
        lower_1=_SAME,
        upper=_SAME,
    ),
    Row(
        b"deleted-directory",
        "One whiteout deletes the whole directory. What was in it needs no entry in the layer.",
        lower_1=_DIR,
        lower_2=_DIR,
        upper=Whiteout(),
    ),
    Row(
        b"deleted-directory/file.txt",
        "Gone because the directory above it is gone.",
        lower_1=File(b"gone\n"),
    ),
    Row(b"deleted-directory/subdirectory", lower_2=_DIR),
    Row(
        b"deleted-directory/subdirectory/deep.txt",
        "Gone with the directory two levels above it.",
        lower_2=File(b"gone, too\n"),
    ),
    Row(
        b"deleted-file.txt",
        "The upper directory holds a whiteout of this name: a character device 0:0. In the layer "
        "it becomes an empty file .wh.deleted-file.txt.",
        lower_1=File(b"soon gone\n"),
        upper=Whiteout(),
    ),
    Row(
        b"deleted-unreadable-directory",
        "This directory of the base cannot be listed: an ordinary user may not (mode 0), and root "
        "finds a redirect that is malformed. What was deleted with it is not known; the layer "
        "needs only the whiteout.",
        lower_1=Directory(0),
        lower_2=Directory(0, redirect=b"not/one/name"),
        upper=Whiteout(),
    ),
    Row(b"deleted-unreadable-directory/secret.txt", lower_1=File(b"secret\n", 0o600)),
    Row(
        b"device-block-added",
        "A block device is recorded with its numbers and without content.",
        upper=Special(stat.S_IFBLK, 0o600, (7, 0)),
        need=Need.DEVICES,
    ),
    Row(
        b"device-character-added",
        "A character device, like /dev/null. Only the numbers 0:0 would make it a whiteout.",
        upper=Special(stat.S_IFCHR, 0o600, (1, 3)),
        need=Need.DEVICES,
    ),
    Row(
        b"device-number-changed",
        "Both sides have a device of this name. Its numbers differ, so it is modified.",
        lower_1=Special(stat.S_IFCHR, 0o600, (1, 3)),
        upper=Special(stat.S_IFCHR, 0o600, (1, 5)),
        need=Need.DEVICES,
    ),
    Row(
        b"directory-only-mode-changed",
        "Only chmod was run on it. Of directories mode, owner and capability are compared, so it "
        "is modified; what is in it is not.",
        lower_1=_DIR,
        upper=Directory(0o750),
    ),
    Row(
        b"directory-only-mode-changed/untouched.txt",
        lower_1=File(b"never mentioned above\n"),
    ),
    Row(
        b"etc",
        "Unchanged itself; it is here only because entries in it changed.",
        lower_1=_DIR,
        lower_2=_DIR,
        upper=_DIR,
    ),
    Row(
        b"etc/added.conf",
        "The base has nothing of this name, so it is added.",
        upper=File(b"added = true\n"),
    ),
    Row(
        b"etc/modified-content.conf",
        "Content and size differ, so it is modified. The layer holds the whole new file.",
        lower_1=File(b"colour = blue\n"),
        upper=File(b"colour = green\n"),
    ),
    Row(
        b"etc/only-group-changed.conf",
        "Only chgrp was run on it. The layer holds the whole file for that.",
        lower_1=File(b"group = root\n", mtime_ns=OLD, owner=(0, 0)),
        upper=File(b"group = root\n", mtime_ns=OLD, owner=(0, 1)),
        need=Need.OWNERS,
    ),
    Row(
        b"etc/only-mode-changed.sh",
        "Only chmod was run on it. Mode is compared before anything else; the layer has to hold "
        "the whole file for it.",
        lower_1=File(b"#!/bin/sh\necho hello\n", mtime_ns=OLD),
        upper=File(b"#!/bin/sh\necho hello\n", 0o755, mtime_ns=OLD),
    ),
    Row(
        b"etc/only-nanoseconds-changed.conf",
        "The times differ by one nanosecond, and neither ends in whole seconds: modified.",
        lower_1=File(b"touched = again\n", mtime_ns=OLD),
        upper=File(b"touched = again\n", mtime_ns=OLD + 1),
    ),
    Row(
        b"etc/only-owner-changed.conf",
        "Only chown was run on it. The layer holds the whole file for that.",
        lower_1=File(b"owner = root\n", mtime_ns=OLD, owner=(0, 0)),
        upper=File(b"owner = root\n", mtime_ns=OLD, owner=(1, 0)),
        need=Need.OWNERS,
    ),
    Row(
        b"etc/only-time-changed.conf",
        "Only touch was run on it. The times differ, so it counts as modified without its content "
        "being read.",
        lower_1=File(b"touched = yes\n"),
        upper=File(b"touched = yes\n"),
    ),
    Row(b"etc/untouched.conf", lower_2=File(b"never mentioned in the upper directory\n")),
    Row(
        b"extended-attributes-lost.txt",
        "It has an extended attribute of its own, user.comment. The layer loses it: of all extended"
        " attributes only security.capability is written.",
        upper=File(b"see my attribute\n", attributes=(("user.comment", b"lost in the layer"),)),
    ),
    Row(
        b"fifo",
        "A named pipe is recorded like any entry, without content.",
        upper=Special(stat.S_IFIFO),
    ),
    Row(
        b"file-became-directory",
        "The base has a file of this name. The new directory replaces it, and no whiteout is "
        "needed. overlayfs marks such a directory as opaque.",
        lower_1=File(b"I was a file\n"),
        upper=Directory(opaque=True),
    ),
    Row(
        b"file-became-directory/file.txt",
        "Added: below a file there can be nothing in the base.",
        upper=File(b"I am new\n"),
    ),
    Row(
        b"file-became-directory-unmarked",
        "The same without the mark, as some tools unpack it: nothing of the base shows through.",
        lower_1=File(b"I was a file\n"),
        upper=_DIR,
    ),
    Row(
        b"file-became-directory-unmarked/below-a-file.txt",
        "Added: where its directory is, the base has a file, and below that there can be nothing.",
        upper=File(b"I am new\n"),
    ),
    Row(
        b"hard-links",
        "A new directory with two names of one file.",
        upper=_DIR,
    ),
    Row(
        b"hard-links/first-name.txt",
        "The first name, in byte order, carries the content in the layer.",
        upper=File(b"one file, two names\n"),
    ),
    Row(
        b"hard-links/second-name.txt",
        "The second name becomes a hard link to the first in the layer.",
        upper=Link(b"hard-links/first-name.txt"),
    ),
    Row(
        b"long-path",
        "Below it is a path of more than 100 bytes, which no longer fits the name field of a tar "
        "header.",
        upper=_DIR,
    ),
    Row(_LONG, upper=_DIR),
    Row(
        _LONG + b"/a-file-at-the-end-of-a-path-of-more-than-one-hundred-bytes.txt",
        "Its path is split over the fields name and prefix of a USTAR header.",
        upper=File(b"far down\n"),
    ),
    Row(
        b"metacopy-only-mode-changed.txt",
        "chmod on a mount with metacopy=on: only the metadata was copied up, and the data still "
        "comes from a lower layer. The layer holds the whole file.",
        lower_1=File(b"the data is in a lower layer\n", mtime_ns=OLD),
        upper=File(b"the data is in a lower layer\n", 0o600, OLD, metacopy=True),
        need=Need.TRUSTED,
    ),
    Row(b"odd-names", "Names are bytes, and anybody may choose them.", upper=_DIR),
    Row(
        b"odd-names/.wh.not-a-whiteout",
        "A real file whose name begins with .wh. is written as it is, and acts as a whiteout when "
        "the layer is unpacked.",
        upper=File(b"careful\n"),
    ),
    Row(
        b"odd-names/[bold]markup[",
        "Square brackets are markup to some terminal libraries, and only text here.",
        upper=_DIR,
    ),
    Row(
        b"odd-names/[bold]markup[/]",
        "With the slash before it this name closes the markup, [/], as far as text goes.",
        upper=File(b"brackets\n"),
    ),
    Row(
        b"odd-names/\xe2\x80\xaetxt.exe",
        "A bidirectional mark could make the name read backwards; it is shown as \\u202e.",
        upper=File(b"right to left\n"),
    ),
    Row(
        b"odd-names/escape-\x1b[31mred",
        "An escape sequence could colour the terminal or do worse; it is shown as \\x1b.",
        upper=File(b"escape\n"),
    ),
    Row(
        b"odd-names/new\nline",
        "A newline could fake a second line of output; changes --null ends each path with NUL.",
        upper=File(b"newline\n"),
    ),
    Row(
        b"odd-names/not-utf-8-\xff\xfe",
        "Bytes that are not UTF-8 go into the layer as they are.",
        upper=File(b"bytes\n"),
    ),
    Row(
        b"opaque-but-nothing-below",
        "Marked as opaque, but the base has no such directory, so the mark hides nothing.",
        upper=Directory(opaque=True),
    ),
    Row(
        b"opaque-but-nothing-below/added.txt",
        "Added, like the directory that it is in.",
        upper=File(b"new\n"),
    ),
    Row(
        b"opaque-directory",
        "It was deleted and made again. It is marked as opaque, which hides everything that the "
        "base has here, so both sides are compared name by name.",
        lower_1=_DIR,
        upper=Directory(opaque=True),
    ),
    Row(
        b"opaque-directory/added.txt",
        "Not in the base, so it is added.",
        upper=File(b"new\n"),
    ),
    Row(
        b"opaque-directory/hidden-directory",
        "The opaque mark hides it, so the layer deletes it by one whiteout.",
        lower_1=_DIR,
    ),
    Row(
        b"opaque-directory/hidden-directory/file.txt",
        "Gone because the directory above it is hidden.",
        lower_1=File(b"hidden\n"),
    ),
    Row(
        b"opaque-directory/hidden-file.txt",
        "The opaque mark hides it. The layer format has no such mark here: it gets a whiteout of "
        "its own.",
        lower_1=File(b"hidden\n"),
    ),
    Row(
        b"opaque-directory/linked-again.txt",
        "Unmodified, but its file has a second, new name here, so it is recorded and becomes a "
        "hard link to that name in the layer.",
        lower_1=_SAME,
        upper=_SAME,
    ),
    Row(
        b"opaque-directory/linked-new-name.txt",
        "A new name of a file that did not change; it carries the content in the layer.",
        upper=Link(b"opaque-directory/linked-again.txt"),
    ),
    Row(
        b"opaque-directory/re-added-changed.txt",
        "In the base and here, with another content: modified.",
        lower_1=File(b"before\n"),
        upper=File(b"after that\n"),
    ),
    Row(
        b"opaque-directory/re-added-the-same.txt",
        "Put back just as it was, with its time: the same, so it is not recorded.",
        lower_1=_SAME,
        upper=_SAME,
    ),
    Row(
        b"opaque-with-a-whiteout",
        "An opaque directory with a whiteout inside, as some tools unpack it. BuildKit gives up "
        "on it; the kernel shows it as deleted.",
        lower_2=_DIR,
        upper=Directory(opaque=True),
    ),
    Row(
        b"opaque-with-a-whiteout/deleted-twice.txt",
        "Hidden by the opaque mark and deleted by a whiteout: deleted once.",
        lower_2=File(b"gone\n"),
        upper=Whiteout(),
    ),
    Row(
        b"redirect-new-name",
        "A renamed directory, on a mount with redirect_dir=on. It holds only a mark of where it was"
        "; came-along.txt is still in a lower layer, at the old name, and yet the layer holds it.",
        upper=Directory(redirect=b"redirect-old-name"),
        need=Need.TRUSTED,
    ),
    Row(
        b"redirect-new-name/added.txt",
        "Added after the directory was renamed.",
        upper=File(b"new\n"),
        need=Need.TRUSTED,
    ),
    Row(
        b"redirect-old-name",
        "The name before the directory was renamed: deleted by a whiteout.",
        lower_1=_DIR,
        upper=Whiteout(),
        need=Need.TRUSTED,
    ),
    Row(
        b"redirect-old-name/came-along.txt",
        "Gone from here, as it came along to redirect-new-name.",
        lower_1=File(b"I was renamed with my directory\n"),
        need=Need.TRUSTED,
    ),
    Row(
        b"replaced-by-a-file",
        "The base has a directory of this name. The file replaces it and all that was in it, and "
        "no whiteout is needed.",
        lower_1=_DIR,
        upper=File(b"I was a directory\n"),
    ),
    Row(
        b"replaced-by-a-file/lost.txt",
        "Gone because the directory above it became a file.",
        lower_1=File(b"lost\n"),
    ),
    Row(
        b"same-size-and-time-but-other-content.txt",
        "Size and time are equal to the nanosecond, so the content is never compared and the "
        "change is not in the layer. BuildKit does the same.",
        lower_1=File(b"one two three\n", mtime_ns=OLD),
        upper=File(b"ONE TWO THREE\n", mtime_ns=OLD),
    ),
    Row(
        b"setgid-gained",
        "chmod g+s was run on it: who runs it gets its group.",
        lower_1=File(b"#!/bin/sh\n", 0o755, OLD),
        upper=File(b"#!/bin/sh\n", 0o2755, OLD),
    ),
    Row(
        b"setuid-gained",
        "chmod u+s was run on it: who runs it becomes its owner. Findings list such files.",
        lower_1=File(b"#!/bin/sh\n", 0o755, OLD),
        upper=File(b"#!/bin/sh\n", 0o4755, OLD),
    ),
    Row(
        b"socket",
        "No layer can hold a socket: it is skipped.",
        upper=Special(stat.S_IFSOCK, 0o755),
    ),
    Row(
        b"symlink-added",
        "A symlink is recorded with its target, and never followed.",
        upper=Symlink(b"etc/added.conf"),
    ),
    Row(
        b"symlink-became-directory",
        "The base has a symlink here. It is not followed, so nothing of its target is compared.",
        lower_1=Symlink(b"etc"),
        upper=Directory(opaque=True),
    ),
    Row(
        b"symlink-became-directory/modified-content.conf",
        "Added. By way of the symlink the base would seem to have a file of this name.",
        upper=File(b"not the one in etc\n"),
    ),
    Row(
        b"symlink-changed",
        "The target differs, so it is modified.",
        lower_1=Symlink(b"etc/untouched.conf"),
        upper=Symlink(b"etc/modified-content.conf"),
    ),
    Row(
        b"touched-directory",
        "Only its time differs. Times of directories are never compared, so it is not a change.",
        lower_1=_DIR,
        upper=_DIR,
    ),
    Row(b"touched-directory/untouched.txt", lower_1=File(b"never mentioned above\n")),
    Row(
        b"unchanged-directory",
        "Unchanged, but it carries a change far below.",
        lower_1=_DIR,
        lower_2=_DIR,
        upper=_DIR,
    ),
    Row(
        b"unchanged-directory/deep",
        "Unchanged; its entry is in the layer only because of what is below it.",
        lower_1=_DIR,
        lower_2=_DIR,
        upper=_DIR,
    ),
    Row(
        b"unchanged-directory/deep/below",
        "Unchanged; the last step on the way down.",
        lower_2=_DIR,
        upper=_DIR,
    ),
    Row(
        b"unchanged-directory/deep/below/added.txt",
        "The only change below unchanged-directory.",
        upper=File(b"found\n"),
    ),
    Row(
        b"unreadable-but-the-same",
        "Nobody but root may read this file (mode 0). It need not be read: everything that is "
        "compared before its content is equal.",
        lower_1=File(b"no one reads me\n", 0, OLD),
        upper=File(b"no one reads me\n", 0, OLD),
    ),
    Row(
        b"unreadable-entry.txt",
        "Both times end in whole seconds, so the contents must be compared, and that of the base "
        "cannot be read. Nothing is claimed about it, and no layer is exported.",
        lower_2=File(b"nobody knows\n", 0, WHOLE, metacopy=True),
        upper=File(b"nobody knows\n", 0, WHOLE),
        need=Need.UNREADABLE,
    ),
    Row(
        b"whiteout-attributes",
        "Its mark opaque=x says that it may hold whiteouts which are empty files with an attribute:"
        " they are made where no device 0:0 can be.",
        lower_1=_DIR,
        upper=_DIR,
    ),
    Row(
        b"whiteout-attributes/deleted-by-attribute.txt",
        "The upper directory holds an empty file of this name with the attribute overlay.whiteout.",
        lower_1=File(b"soon gone\n"),
        upper=Whiteout(attribute=True),
    ),
    Row(
        b"whiteout-of-nothing.txt",
        "The upper directory deletes what the layer in between had deleted already. There is "
        "nothing left to delete, so it is not recorded.",
        lower_1=File(b"deleted long ago\n"),
        lower_2=Whiteout(),
        upper=Whiteout(),
    ),
    Row(
        b"whole-seconds-other-content.txt",
        "Both times end in whole seconds, as if unpacked from an archive, so they prove nothing "
        "and the contents are compared: they differ.",
        lower_1=File(b"one two three\n", mtime_ns=WHOLE),
        upper=File(b"ONE TWO THREE\n", mtime_ns=WHOLE),
    ),
    Row(
        b"whole-seconds-other-target",
        "Two symlinks of the same size and time, in whole seconds: the targets are compared.",
        lower_1=Symlink(b"etc/one.conf", WHOLE),
        upper=Symlink(b"etc/two.conf", WHOLE),
    ),
    Row(
        b"whole-seconds-same-content.txt",
        "Both times end in whole seconds, so the contents are compared: they are the same, and it "
        "is not recorded.",
        lower_1=File(b"one two three\n", mtime_ns=WHOLE),
        upper=File(b"one two three\n", mtime_ns=WHOLE),
    ),
)

#: What each path of the demo teaches. The paths are absolute within the snapshot.
LESSONS: Mapping[bytes, str] = {
    b"/": ROOT_LESSON,
    **{b"/" + row.path: row.lesson for row in ROWS if row.lesson},
}
