"""A small snapshot in which every path teaches one thing, for any user to look at.

It is made without mounting anything and without privileges: the marks are ``user.overlay.*``
attributes, which a mount with ``userxattr`` reads, and whiteouts are character devices 0:0, which
Linux lets everybody make since 5.8. Where that is refused, they are empty files with the attribute
``user.overlay.whiteout`` (Linux 6.7). Names, modes, times and contents are the same in every build.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whiteout.display import display_path
from whiteout.errors import RefusedError, UsageError, WhiteoutError, reason_of
from whiteout.mounts import Mount, MountPair, mounts_to_json

if TYPE_CHECKING:
    from whiteout.snapshot import Snapshot

MOUNTS_FILE = b"mounts.json"
_LAYERS = (b"lower-1", b"lower-2", b"upper")
_WORK = b"work"
_OURS = frozenset((*_LAYERS, _WORK, MOUNTS_FILE))

#: Modification times, nanoseconds since the epoch: of the base, of the snapshot, and one in between
#: that ends in whole seconds, as a time that came out of a tar archive does.
_OLD = 1_704_103_200_123_456_789
_NEW = 1_717_243_200_987_654_321
_WHOLE = 1_709_294_400_000_000_000


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    mode: int = 0o644
    mtime_ns: int | None = None


@dataclass(frozen=True, slots=True)
class _Directory:
    mode: int = 0o755
    opaque: bool = False
    mtime_ns: int | None = None


@dataclass(frozen=True, slots=True)
class _Symlink:
    target: bytes


@dataclass(frozen=True, slots=True)
class _Link:
    """One more name of a file above it in the table."""

    to: bytes


@dataclass(frozen=True, slots=True)
class _Special:
    """A fifo or a socket."""

    type: int
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class _Whiteout:
    pass


_Node = _File | _Directory | _Symlink | _Link | _Special | _Whiteout


@dataclass(frozen=True, slots=True)
class _Row:
    """One path: what the lower layers and the upper one hold there, and what that teaches."""

    path: bytes
    lesson: str = ""
    lower_1: _Node | None = None
    lower_2: _Node | None = None
    upper: _Node | None = None

    def in_layer(self, layer: bytes) -> _Node | None:
        return {b"lower-1": self.lower_1, b"lower-2": self.lower_2, b"upper": self.upper}[layer]


def _prose(lines: int) -> bytes:
    """Text that compresses to about a third."""
    return b"".join(
        b"%06d the same words on every line, and then %s\n"
        % (number, hashlib.sha256(b"%d" % number).hexdigest()[:32].encode())
        for number in range(lines)
    )


_DIR = _Directory()
_SAME = _File(b"The same on both sides.\n", mtime_ns=_OLD)
_LONG = b"long-path/" + b"a-directory-whose-name-has-60-bytes".ljust(60, b"-")

_ROWS: tuple[_Row, ...] = (
    _Row(
        b"back-to-the-oldest-version.txt",
        "The snapshot has the content of the bottom layer again. It is still a change, as the "
        "layer in between had another.",
        lower_1=_File(b"version 1\n"),
        lower_2=_File(b"version 2\n", mtime_ns=_WHOLE),
        upper=_File(b"version 1\n"),
    ),
    _Row(
        b"big-added-file.txt",
        "A file of some 300 KB that the base does not have. Compare its part of the layer with "
        "gzip and with zstd.",
        upper=_File(_prose(3750)),
    ),
    _Row(
        b"copied-up-but-the-same.txt",
        "It was opened for writing, so overlayfs copied it up, but nothing changed: mode, owner, "
        "size and time are equal, so the layer does not hold it.",
        lower_1=_SAME,
        upper=_SAME,
    ),
    _Row(
        b"deleted-directory",
        "One whiteout deletes the whole directory. What was in it needs no entry in the layer.",
        lower_1=_DIR,
        lower_2=_DIR,
        upper=_Whiteout(),
    ),
    _Row(
        b"deleted-directory/file.txt",
        "Gone because the directory above it is gone.",
        lower_1=_File(b"gone\n"),
    ),
    _Row(b"deleted-directory/subdirectory", lower_2=_DIR),
    _Row(
        b"deleted-directory/subdirectory/deep.txt",
        "Gone with the directory two levels above it.",
        lower_2=_File(b"gone, too\n"),
    ),
    _Row(
        b"deleted-file.txt",
        "The upper directory holds a whiteout of this name: a character device 0:0. In the layer "
        "it becomes an empty file .wh.deleted-file.txt.",
        lower_1=_File(b"soon gone\n"),
        upper=_Whiteout(),
    ),
    _Row(
        b"deleted-unreadable-directory",
        "Nobody but root may list this directory of the base (mode 0), so an ordinary user is not "
        "told what was deleted with it. The layer needs only the whiteout.",
        lower_1=_Directory(0),
        upper=_Whiteout(),
    ),
    _Row(b"deleted-unreadable-directory/secret.txt", lower_1=_File(b"secret\n", 0o600)),
    _Row(
        b"etc",
        "Unchanged itself; it is here only because entries in it changed.",
        lower_1=_DIR,
        lower_2=_DIR,
        upper=_DIR,
    ),
    _Row(
        b"etc/added.conf",
        "The base has nothing of this name, so it is added.",
        upper=_File(b"added = true\n"),
    ),
    _Row(
        b"etc/modified-content.conf",
        "Content and size differ, so it is modified. The layer holds the whole new file.",
        lower_1=_File(b"colour = blue\n"),
        upper=_File(b"colour = green\n"),
    ),
    _Row(
        b"etc/only-mode-changed.sh",
        "Only chmod was run on it. Mode is compared before anything else; the layer has to hold "
        "the whole file for it.",
        lower_1=_File(b"#!/bin/sh\necho hello\n", mtime_ns=_OLD),
        upper=_File(b"#!/bin/sh\necho hello\n", 0o755, mtime_ns=_OLD),
    ),
    _Row(
        b"etc/only-time-changed.conf",
        "Only touch was run on it. The times differ, so it counts as modified without its content "
        "being read.",
        lower_1=_File(b"touched = yes\n"),
        upper=_File(b"touched = yes\n"),
    ),
    _Row(b"etc/untouched.conf", lower_2=_File(b"never mentioned in the upper directory\n")),
    _Row(
        b"fifo",
        "A named pipe is recorded like any entry, without content.",
        upper=_Special(stat.S_IFIFO),
    ),
    _Row(
        b"file-became-directory",
        "The base has a file of this name. The new directory replaces it, and no whiteout is "
        "needed. overlayfs marks such a directory as opaque.",
        lower_1=_File(b"I was a file\n"),
        upper=_Directory(opaque=True),
    ),
    _Row(
        b"file-became-directory/file.txt",
        "Added: below a file there can be nothing in the base.",
        upper=_File(b"I am new\n"),
    ),
    _Row(
        b"hard-links",
        "A new directory with two names of one file.",
        upper=_DIR,
    ),
    _Row(
        b"hard-links/first-name.txt",
        "The first name, in byte order, carries the content in the layer.",
        upper=_File(b"one file, two names\n"),
    ),
    _Row(
        b"hard-links/second-name.txt",
        "The second name becomes a hard link to the first in the layer.",
        upper=_Link(b"hard-links/first-name.txt"),
    ),
    _Row(
        b"long-path",
        "Below it is a path of more than 100 bytes, which no longer fits the name field of a tar "
        "header.",
        upper=_DIR,
    ),
    _Row(_LONG, upper=_DIR),
    _Row(
        _LONG + b"/a-file-at-the-end-of-a-path-of-more-than-one-hundred-bytes.txt",
        "Its path is split over the fields name and prefix of a USTAR header.",
        upper=_File(b"far down\n"),
    ),
    _Row(b"odd-names", "Names are bytes, and anybody may choose them.", upper=_DIR),
    _Row(
        b"odd-names/.wh.not-a-whiteout",
        "A real file whose name begins with .wh. is written as it is, and acts as a whiteout when "
        "the layer is unpacked.",
        upper=_File(b"careful\n"),
    ),
    _Row(
        b"odd-names/[bold]markup[",
        "Square brackets are markup to some terminal libraries, and only text here.",
        upper=_DIR,
    ),
    _Row(
        b"odd-names/[bold]markup[/]",
        "With the slash before it this name closes the markup, [/], as far as text goes.",
        upper=_File(b"brackets\n"),
    ),
    _Row(
        b"odd-names/\xe2\x80\xaetxt.exe",
        "A bidirectional mark could make the name read backwards; it is shown as \\u202e.",
        upper=_File(b"right to left\n"),
    ),
    _Row(
        b"odd-names/escape-\x1b[31mred",
        "An escape sequence could colour the terminal or do worse; it is shown as \\x1b.",
        upper=_File(b"escape\n"),
    ),
    _Row(
        b"odd-names/new\nline",
        "A newline could fake a second line of output; changes --null ends each path with NUL.",
        upper=_File(b"newline\n"),
    ),
    _Row(
        b"odd-names/not-utf-8-\xff\xfe",
        "Bytes that are not UTF-8 go into the layer as they are.",
        upper=_File(b"bytes\n"),
    ),
    _Row(
        b"opaque-but-nothing-below",
        "Marked as opaque, but the base has no such directory, so the mark hides nothing.",
        upper=_Directory(opaque=True),
    ),
    _Row(
        b"opaque-but-nothing-below/added.txt",
        "Added, like the directory that it is in.",
        upper=_File(b"new\n"),
    ),
    _Row(
        b"opaque-directory",
        "It was deleted and made again. It is marked as opaque, which hides everything that the "
        "base has here, so both sides are compared name by name.",
        lower_1=_DIR,
        upper=_Directory(opaque=True),
    ),
    _Row(
        b"opaque-directory/added.txt",
        "Not in the base, so it is added.",
        upper=_File(b"new\n"),
    ),
    _Row(
        b"opaque-directory/hidden-directory",
        "The opaque mark hides it, so the layer deletes it by one whiteout.",
        lower_1=_DIR,
    ),
    _Row(
        b"opaque-directory/hidden-directory/file.txt",
        "Gone because the directory above it is hidden.",
        lower_1=_File(b"hidden\n"),
    ),
    _Row(
        b"opaque-directory/hidden-file.txt",
        "The opaque mark hides it. The layer format has no such mark here: it gets a whiteout of "
        "its own.",
        lower_1=_File(b"hidden\n"),
    ),
    _Row(
        b"opaque-directory/linked-again.txt",
        "Unmodified, but its file has a second, new name here, so it is recorded and becomes a "
        "hard link to that name in the layer.",
        lower_1=_SAME,
        upper=_SAME,
    ),
    _Row(
        b"opaque-directory/linked-new-name.txt",
        "A new name of a file that did not change; it carries the content in the layer.",
        upper=_Link(b"opaque-directory/linked-again.txt"),
    ),
    _Row(
        b"opaque-directory/re-added-changed.txt",
        "In the base and here, with another content: modified.",
        lower_1=_File(b"before\n"),
        upper=_File(b"after that\n"),
    ),
    _Row(
        b"opaque-directory/re-added-the-same.txt",
        "Put back just as it was, with its time: the same, so it is not recorded.",
        lower_1=_SAME,
        upper=_SAME,
    ),
    _Row(
        b"opaque-with-a-whiteout",
        "An opaque directory with a whiteout inside, as some tools unpack it. BuildKit gives up "
        "on it; the kernel shows it as deleted.",
        lower_2=_DIR,
        upper=_Directory(opaque=True),
    ),
    _Row(
        b"opaque-with-a-whiteout/deleted-twice.txt",
        "Hidden by the opaque mark and deleted by a whiteout: deleted once.",
        lower_2=_File(b"gone\n"),
        upper=_Whiteout(),
    ),
    _Row(
        b"replaced-by-a-file",
        "The base has a directory of this name. The file replaces it and all that was in it, and "
        "no whiteout is needed.",
        lower_1=_DIR,
        upper=_File(b"I was a directory\n"),
    ),
    _Row(
        b"replaced-by-a-file/lost.txt",
        "Gone because the directory above it became a file.",
        lower_1=_File(b"lost\n"),
    ),
    _Row(
        b"same-size-and-time-but-other-content.txt",
        "Size and time are equal to the nanosecond, so the content is never compared and the "
        "change is not in the layer. BuildKit does the same.",
        lower_1=_File(b"one two three\n", mtime_ns=_OLD),
        upper=_File(b"ONE TWO THREE\n", mtime_ns=_OLD),
    ),
    _Row(
        b"socket",
        "No layer can hold a socket: it is skipped.",
        upper=_Special(stat.S_IFSOCK, 0o755),
    ),
    _Row(
        b"symlink-added",
        "A symlink is recorded with its target, and never followed.",
        upper=_Symlink(b"etc/added.conf"),
    ),
    _Row(
        b"symlink-became-directory",
        "The base has a symlink here. It is not followed, so nothing of its target is compared.",
        lower_1=_Symlink(b"etc"),
        upper=_Directory(opaque=True),
    ),
    _Row(
        b"symlink-became-directory/modified-content.conf",
        "Added. By way of the symlink the base would seem to have a file of this name.",
        upper=_File(b"not the one in etc\n"),
    ),
    _Row(
        b"symlink-changed",
        "The target differs, so it is modified.",
        lower_1=_Symlink(b"etc/untouched.conf"),
        upper=_Symlink(b"etc/modified-content.conf"),
    ),
    _Row(
        b"touched-directory",
        "Only its time differs. Times of directories are never compared, so it is not a change.",
        lower_1=_DIR,
        upper=_DIR,
    ),
    _Row(b"touched-directory/untouched.txt", lower_1=_File(b"never mentioned above\n")),
    _Row(
        b"unchanged-directory",
        "Unchanged, but it carries a change far below.",
        lower_1=_DIR,
        lower_2=_DIR,
        upper=_DIR,
    ),
    _Row(
        b"unchanged-directory/deep",
        "Unchanged; its entry is in the layer only because of what is below it.",
        lower_1=_DIR,
        lower_2=_DIR,
        upper=_DIR,
    ),
    _Row(
        b"unchanged-directory/deep/below",
        "Unchanged; the last step on the way down.",
        lower_2=_DIR,
        upper=_DIR,
    ),
    _Row(
        b"unchanged-directory/deep/below/added.txt",
        "The only change below unchanged-directory.",
        upper=_File(b"found\n"),
    ),
    _Row(
        b"unreadable-but-the-same",
        "Nobody but root may read this file (mode 0). It need not be read: everything that is "
        "compared before its content is equal.",
        lower_1=_File(b"no one reads me\n", 0, _OLD),
        upper=_File(b"no one reads me\n", 0, _OLD),
    ),
    _Row(
        b"whiteout-of-nothing.txt",
        "The upper directory deletes what the layer in between had deleted already. There is "
        "nothing left to delete, so it is not recorded.",
        lower_1=_File(b"deleted long ago\n"),
        lower_2=_Whiteout(),
        upper=_Whiteout(),
    ),
    _Row(
        b"whole-seconds-other-content.txt",
        "Both times end in whole seconds, as if unpacked from an archive, so they prove nothing "
        "and the contents are compared: they differ.",
        lower_1=_File(b"one two three\n", mtime_ns=_WHOLE),
        upper=_File(b"ONE TWO THREE\n", mtime_ns=_WHOLE),
    ),
    _Row(
        b"whole-seconds-same-content.txt",
        "Both times end in whole seconds, so the contents are compared: they are the same, and it "
        "is not recorded.",
        lower_1=_File(b"one two three\n", mtime_ns=_WHOLE),
        upper=_File(b"one two three\n", mtime_ns=_WHOLE),
    ),
)

#: What each path of the demo teaches. The paths are absolute within the snapshot.
LESSONS: Mapping[bytes, str] = {b"/" + row.path: row.lesson for row in _ROWS if row.lesson}


@dataclass(frozen=True, slots=True)
class DemoSnapshot:
    """A demo that was built. ``lowerdirs`` are topmost first; all paths are absolute."""

    directory: bytes
    mounts_file: bytes
    mounts: MountPair
    lowerdirs: tuple[bytes, ...]
    upperdir: bytes
    whiteout_devices: bool
    """Whether whiteouts are character devices 0:0, and not files with an attribute."""


def build_demo(directory: bytes | str) -> DemoSnapshot:
    """Build the demo in *directory*, which is made when it is missing.

    A demo that is there already is built anew. After a failure nothing of it is left.

    Raises:
        UsageError: *directory* holds something else, or has a name that mount options cannot hold.
        WhiteoutError: the filesystem cannot hold the demo.
    """
    root = os.path.abspath(os.fsencode(directory))
    if any(byte in root for byte in b":,\\"):
        raise UsageError(
            f"the demo cannot be built in {display_path(root)}: mount options give : , and \\ "
            "another meaning; choose a directory without them"
        )
    made = not os.path.lexists(root)
    if made:
        _make_directory(root)
    else:
        _empty(root)
    try:
        return _build(root)
    except BaseException as error:
        _remove_entries(root)
        if made and os.path.isdir(root):
            os.rmdir(root)
        if isinstance(error, OSError):
            raise _failure(root, error) from None
        raise


def remove_demo(directory: bytes | str) -> None:
    """Remove the demo, and *directory* with it.

    Raises:
        RefusedError: *directory* holds something else than a demo.
        WhiteoutError: it cannot be removed.
    """
    root = os.path.abspath(os.fsencode(directory))
    if not _is_demo(root):
        raise RefusedError(
            f"{display_path(root)} does not hold a demo and nothing else; remove it yourself"
        )
    try:
        _remove_entries(root)
        os.rmdir(root)
    except OSError as error:
        raise WhiteoutError(
            f"the demo in {display_path(root)} cannot be removed: {reason_of(error)}"
        ) from None


def is_demo(snapshot: Snapshot) -> bool:
    """Whether *snapshot* is of a demo, so that its paths are those of :data:`LESSONS`."""
    upper = snapshot.upperdir
    return (
        upper is not None
        and os.path.basename(upper) == b"upper"
        and _is_demo(os.path.dirname(upper))
    )


def _failure(root: bytes, error: OSError) -> WhiteoutError:
    if error.errno == errno.ENOTSUP:
        reason = "its filesystem holds no user.* extended attributes; choose another directory"
    elif error.errno in (errno.EILSEQ, errno.EINVAL):
        reason = "its filesystem does not take names of any bytes; choose another directory"
    else:
        reason = reason_of(error)
    return WhiteoutError(f"the demo cannot be built in {display_path(root)}: {reason}")


def _is_demo(root: bytes) -> bool:
    try:
        if not _OURS.issuperset(os.listdir(root)):
            return False
        with open(os.path.join(root, MOUNTS_FILE), "rb") as file:
            document = json.load(file)
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("demo") is True


def _make_directory(root: bytes) -> None:
    try:
        os.mkdir(root, 0o755)
    except OSError as error:
        raise _failure(root, error) from None


def _empty(root: bytes) -> None:
    """Make sure that *root* is an empty directory; an older demo in it is removed."""
    try:
        if not os.listdir(root):
            return
        if not _is_demo(root):
            raise UsageError(
                f"{display_path(root)} is not empty and holds no demo; choose an empty or a new "
                "directory"
            )
        _remove_entries(root)
    except OSError as error:
        raise _failure(root, error) from None


def _remove_entries(root: bytes) -> None:
    """Remove what a demo consists of, also out of directories of mode 0."""
    import shutil

    for name in _OURS:
        path = os.path.join(root, name)
        if not os.path.lexists(path):
            continue
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            continue
        os.chmod(path, 0o700)
        for parent, directories, _ in os.walk(path):
            for child in directories:
                inside = os.path.join(parent, child)
                if not os.path.islink(inside):
                    os.chmod(inside, 0o700)
        shutil.rmtree(path)


def _build(root: bytes) -> DemoSnapshot:
    devices = _can_make_whiteout_devices(root)
    for name in (*_LAYERS, _WORK):
        path = os.path.join(root, name)
        os.mkdir(path, 0o700)
        # Asked of every directory, so that a filesystem without user.* attributes fails at once.
        os.setxattr(path, "user.overlay.impure", b"y")
        os.removexattr(path, "user.overlay.impure")
    for layer in _LAYERS:
        _build_layer(os.path.join(root, layer), layer, devices)
    _finish(os.path.join(root, _WORK), 0o755, _OLD)
    lowerdirs = tuple(os.path.join(root, name) for name in (b"lower-2", b"lower-1"))
    upperdir = os.path.join(root, b"upper")
    lowerdir_option = b"lowerdir=" + b":".join(lowerdirs)
    lower = Mount("overlay", b"overlay", (b"userxattr", lowerdir_option))
    upper = Mount(
        "overlay",
        b"overlay",
        (
            b"userxattr",
            b"workdir=" + os.path.join(root, _WORK),
            b"upperdir=" + upperdir,
            lowerdir_option,
        ),
    )
    mounts = MountPair((lower,), (upper,))
    mounts_file = os.path.join(root, MOUNTS_FILE)
    document = {"demo": True, **json.loads(mounts_to_json(mounts))}
    with open(mounts_file, "w", encoding="utf-8") as file:
        file.write(json.dumps(document, indent=1) + "\n")
    os.chmod(mounts_file, 0o644)
    return DemoSnapshot(root, mounts_file, mounts, lowerdirs, upperdir, devices)


def _can_make_whiteout_devices(root: bytes) -> bool:
    probe = os.path.join(root, _WORK)
    try:
        os.mknod(probe, stat.S_IFCHR, os.makedev(0, 0))
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS):
            return False
        raise
    os.unlink(probe)
    return True


def _build_layer(path: bytes, layer: bytes, devices: bool) -> None:
    time = _NEW if layer == b"upper" else _OLD
    held = [(row.path, node) for row in _ROWS if (node := row.in_layer(layer)) is not None]
    directories: list[tuple[bytes, _Directory]] = [(path, _DIR)]
    # The attribute has one value: a directory is opaque (y) or holds whiteouts as files (x).
    opaque: set[bytes] = set()
    for name, node in held:
        where = os.path.join(path, name)
        if isinstance(node, _Directory):
            os.mkdir(where, 0o700)
            directories.append((where, node))
            if node.opaque:
                opaque.add(name)
        elif devices or not isinstance(node, _Whiteout) or os.path.dirname(name) not in opaque:
            _make(path, where, node, devices, time)
    # Last, and the deepest first: what is made in a directory changes the directory's time.
    for where, directory in sorted(directories, reverse=True, key=lambda pair: pair[0].count(b"/")):
        if directory.opaque:
            os.setxattr(where, "user.overlay.opaque", b"y")
        elif not devices and _holds_whiteout(where):
            os.setxattr(where, "user.overlay.opaque", b"x")
        _finish(where, directory.mode, directory.mtime_ns or time)


def _make(layer: bytes, where: bytes, node: _Node, devices: bool, time: int) -> None:
    match node:
        case _File(content, mode, mtime_ns):
            _write(where, content)
            _finish(where, mode, mtime_ns or time)
        case _Symlink(target):
            os.symlink(target, where)
            os.utime(where, ns=(time, time), follow_symlinks=False)
        case _Link(to):
            os.link(os.path.join(layer, to), where, follow_symlinks=False)
        case _Special(kind, mode):
            os.mknod(where, kind | mode)
            _finish(where, mode, time)
        case _Whiteout() if devices:
            os.mknod(where, stat.S_IFCHR, os.makedev(0, 0))
            _finish(where, 0, time)
        case _Whiteout():
            _write(where, b"")
            os.setxattr(where, "user.overlay.whiteout", b"y")
            _finish(where, 0o644, time)


def _write(where: bytes, content: bytes) -> None:
    descriptor = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)


def _finish(where: bytes, mode: int, time: int) -> None:
    os.chmod(where, mode)
    os.utime(where, ns=(time, time))


def _holds_whiteout(directory: bytes) -> bool:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False) and "user.overlay.whiteout" in os.listxattr(
                entry.path, follow_symlinks=False
            ):
                return True
    return False
