"""The tree that a tar holds, and where in it the content of each file is.

Names, owners, times, links and attributes are kept; no content is. Names are resolved inside the
tree alone: ``..`` and symlinks never lead out of it. In a layer, ``.wh.NAME`` is a whiteout and
``.wh..wh..opq`` makes its directory opaque (OCI image spec, ``layer.md``); other names that begin
with ``.wh..wh.`` are AUFS' own and left out, as containerd does. Of an entry that is there twice
the last counts.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from whiteout.display import display_name
from whiteout.tarcheck import (
    BLOCK,
    MAX_BEFORE,
    MAX_SPECIAL,
    TarProblem,
    has_checksum,
    header_name,
    pax_records,
)

WHITEOUT_PREFIX = b".wh."
OPAQUE_FILE = b".wh..wh..opq"
_AUFS_PREFIX = b".wh..wh."
_MAX_NAME = 255
_MAX_PATH = 64 * 1024
_MAX_SYMLINKS = 40
_CHUNK = 1024 * 1024
#: The largest owner, the largest size and time, and the largest number of a device.
_MAX_ID, _MAX_INT64, _MAX_DEVICE = (1 << 32) - 1, (1 << 63) - 1, 0o7777777
#: What a name or an attribute takes in memory beside its bytes, roughly.
_OVERHEAD = 100
_XATTR = b"SCHILY.xattr."
_SPARSE = b"GNU.sparse."
_TIME = re.compile(rb"(-?)(\d{1,15})(?:\.(\d*))?")
_REGULAR = frozenset((0, *b"07"))
_DEVICES = frozenset(b"34")
_TYPES = {
    ord("2"): stat.S_IFLNK,
    ord("3"): stat.S_IFCHR,
    ord("4"): stat.S_IFBLK,
    ord("5"): stat.S_IFDIR,
    ord("6"): stat.S_IFIFO,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a tar may ask of this machine at most."""

    size: int = 16 << 30
    """Bytes of the tar, decompressed."""
    entries: int = 2_000_000
    """Files and directories, those that are only implied among them."""
    memory: int = 512 << 20
    """Bytes that names, link targets and attributes take in all, roughly."""


class Inode:
    """One file of the tree, under one name or several."""

    __slots__ = (
        *("mode", "uid", "gid", "size", "mtime_ns", "device", "offset", "target"),
        *("xattrs", "links", "number", "children", "opaque"),
    )

    def __init__(self, mode: int, number: int) -> None:
        self.mode = mode
        self.number = number
        self.uid = self.gid = self.size = self.mtime_ns = self.offset = 0
        self.device = (0, 0)
        self.target = b""
        self.xattrs: dict[str, bytes] | None = None
        self.links = 1
        self.children: dict[bytes, Inode] | None = {} if stat.S_ISDIR(mode) else None
        self.opaque = False

    @property
    def is_whiteout(self) -> bool:
        """Whether it is overlayfs' mark of a deleted name."""
        return stat.S_ISCHR(self.mode) and self.device == (0, 0)


@dataclass(slots=True)
class _Entry:
    """One entry as its headers give it."""

    name: bytes
    kind: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    linkname: bytes
    device: tuple[int, int]
    xattrs: dict[str, bytes] | None


def index_tar(chunks: Iterator[bytes], limits: Limits, *, whiteouts: bool) -> Inode:
    """The root of the tree that the tar in *chunks* holds, all of which are read.

    Offsets are in bytes from the beginning of the tar. *whiteouts* tells that it is a layer.

    Raises:
        TarProblem: the tar is damaged, holds what cannot be shown, or is beyond *limits*.
    """
    source = _Counted(chunks)
    builder = _Builder(limits, whiteouts)
    for entry in _entries(source):
        builder.add(entry, source.position)
        if not source.skip(entry.size):
            raise TarProblem(f"the tar is cut short in the content of {display_name(entry.name)}")
        source.skip(-entry.size % BLOCK)  # of the last file it may be missing, as with umoci
    while source.skip(_CHUNK):
        pass
    return builder.root


def find(root: Inode, path: bytes) -> Inode | None:
    """What is at *path* in a tree, symlinks followed inside of it; None where there is nothing."""
    done = [root]
    todo = [part for part in reversed(path.split(b"/")) if part not in (b"", b".")]
    symlinks = 0
    while todo:
        part = todo.pop()
        if part == b"..":
            done = done[:-1] or done
            continue
        inode = (done[-1].children or {}).get(part)
        if inode is None:
            return None
        if not stat.S_ISLNK(inode.mode):
            done.append(inode)
            continue
        symlinks += 1
        if symlinks > _MAX_SYMLINKS:
            return None
        if inode.target.startswith(b"/"):
            del done[1:]
        todo += [p for p in reversed(inode.target.split(b"/")) if p not in (b"", b".")]
    return done[-1]


class _Counted:
    """Exact reads from an iterator of chunks, and how many bytes were read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._chunk = b""
        self._start = 0
        self.position = 0

    def read(self, size: int) -> bytes:
        """The next *size* bytes, fewer at the end."""
        gathered = bytearray()
        while len(gathered) < size and self._fill():
            part = self._chunk[self._start : self._start + size - len(gathered)]
            self._start += len(part)
            gathered += part
        self.position += len(gathered)
        return bytes(gathered)

    def skip(self, size: int) -> bool:
        """Pass over *size* bytes; false when there are fewer."""
        while size:
            if not self._fill():
                return False
            taken = min(size, len(self._chunk) - self._start)
            self._start += taken
            self.position += taken
            size -= taken
        return True

    def _fill(self) -> bool:
        while self._start >= len(self._chunk):
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._chunk, self._start = chunk, 0
        return True


def _entries(source: _Counted) -> Iterator[_Entry]:
    """The entries up to the end of the archive, each before its content."""
    number = before = 0
    extended: dict[bytes, bytes] = {}
    while True:
        header = source.read(BLOCK)
        if not header or header == bytes(BLOCK):
            if not number and not header:
                raise TarProblem("the content is not a tar: it is empty")
            return
        number += 1
        where = f"entry {number}"
        if not has_checksum(header):
            raise TarProblem(f"the header of {where} is damaged: its checksum is wrong")
        kind = header[156]
        size = _number(header[124:136], where)
        if kind in b"xgLK":
            if not 0 <= size <= MAX_SPECIAL:
                raise TarProblem(f"the extended header of {where} is too large: {size} bytes")
            before += BLOCK + size
            if before > MAX_BEFORE:
                raise TarProblem(f"the extended headers before {where} are too large together")
            content = source.read(size + -size % BLOCK)
            if len(content) < size:
                raise TarProblem(f"the tar is cut short in the extended header of {where}")
            if kind == ord("x"):
                extended.update(pax_records(content[:size], where))
            elif kind == ord("L"):
                extended.setdefault(b"path", content[:size].partition(b"\0")[0])
            elif kind == ord("K"):
                extended.setdefault(b"linkpath", content[:size].partition(b"\0")[0])
            continue
        if kind == ord("S") or any(key.startswith(_SPARSE) for key in extended):
            raise TarProblem(f"{where} is a sparse file in GNU's form, which is not supported")
        yield _entry(header, kind, size, extended, where)
        before, extended = 0, {}


def _entry(header: bytes, kind: int, size: int, extended: dict[bytes, bytes], where: str) -> _Entry:
    def integer(key: bytes, value: int, limit: int) -> int:
        text = extended.get(key)
        if text is not None:
            if not text.isdigit() or len(text) > 20:
                raise TarProblem(f"the extended header of {where} is damaged: {key.decode()}")
            value = int(text)
        if not 0 <= value <= limit:
            raise TarProblem(f"the header of {where} is damaged: its {key.decode()} is {value}")
        return value

    name = extended.get(b"path") or header_name(header)
    if kind in _REGULAR and name.endswith(b"/"):  # before POSIX, that was a directory
        kind = ord("5")
    size = integer(b"size", size, _MAX_INT64)
    device = 0, 0
    if kind in _DEVICES:
        device = _number(header[329:337], where), _number(header[337:345], where)
        if not all(0 <= part <= _MAX_DEVICE for part in device):
            raise TarProblem(f"the header of {where} is damaged: there is no such device")
    return _Entry(
        name=name,
        kind=kind,
        mode=_number(header[100:108], where) & 0o7777,
        uid=integer(b"uid", _number(header[108:116], where), _MAX_ID),
        gid=integer(b"gid", _number(header[116:124], where), _MAX_ID),
        size=size if kind in _REGULAR else 0,
        mtime_ns=_time(extended, header, where),
        linkname=extended.get(b"linkpath") or header[157:257].partition(b"\0")[0],
        device=device,
        xattrs=_xattrs(extended),
    )


def _time(extended: dict[bytes, bytes], header: bytes, where: str) -> int:
    text = extended.get(b"mtime")
    if text is None:
        seconds = _number(header[136:148], where)
        if abs(seconds) > _MAX_INT64:
            raise TarProblem(f"the header of {where} is damaged: its mtime is {seconds}")
        return seconds * 10**9
    match = _TIME.fullmatch(text)
    if match is None:
        raise TarProblem(f"the extended header of {where} is damaged: mtime")
    value = int(match[2]) * 10**9 + int((match[3] or b"").ljust(9, b"0")[:9])
    return -value if match[1] else value


def _xattrs(extended: dict[bytes, bytes]) -> dict[str, bytes] | None:
    """The extended attributes, without overlayfs' own, which a layer cannot set."""
    found = {
        key[len(_XATTR) :].decode("utf-8", "surrogateescape"): value
        for key, value in extended.items()
        if key.startswith(_XATTR) and b".overlay." not in key
    }
    return found or None


def _number(field: bytes, where: str) -> int:
    """A number in octal digits, or in GNU's base 256, which may be negative."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        return value - (1 << (8 * len(field) - 1)) if field[0] & 0x40 else value
    digits = field.strip(b" \0").partition(b"\0")[0]
    if digits.strip(b"01234567"):
        raise TarProblem(f"the header of {where} is damaged: it has no number where one must be")
    return int(digits or b"0", 8)


class _Builder:
    """The tree as it grows."""

    def __init__(self, limits: Limits, whiteouts: bool) -> None:
        self._limits = limits
        self._whiteouts = whiteouts
        self._count = 0
        self._memory = 0
        self.root = self._new(stat.S_IFDIR | 0o755)

    def add(self, entry: _Entry, offset: int) -> None:
        """Take one entry, whose content begins at *offset*."""
        self._use(len(entry.name) + len(entry.linkname) + _OVERHEAD)
        if b"\0" in entry.linkname:
            raise TarProblem(f"{display_name(entry.name)} is a link to a name with a NUL in it")
        parts = self._parts(entry.name)
        if not parts:
            return  # the root itself, of which a layer says nothing
        *above, name = parts
        if self._whiteouts and name.startswith(WHITEOUT_PREFIX):
            self._whiteout(above, name)
            return
        children = self._directory(above)
        if entry.kind == ord("1"):
            self._link(children, name, entry)
            return
        old = children.get(name)
        mode = stat.S_IFREG if entry.kind in _REGULAR else _TYPES.get(entry.kind)
        if mode is None:
            raise TarProblem(
                f"{display_name(entry.name)} is of a kind that layers do not have: "
                f"{display_name(bytes([entry.kind]))}"
            )
        if old is not None and old.children is not None and stat.S_ISDIR(mode):
            inode = old
            inode.mode = mode | entry.mode
        else:
            inode = self._new(mode | entry.mode)
            self._replace(children, name, inode)
            inode.opaque = old is not None and old.is_whiteout and stat.S_ISDIR(mode)
        inode.uid, inode.gid, inode.mtime_ns = entry.uid, entry.gid, entry.mtime_ns
        inode.size, inode.offset = entry.size, offset
        if mode in (stat.S_IFCHR, stat.S_IFBLK):
            inode.device = entry.device
        if mode == stat.S_IFLNK:
            inode.target = entry.linkname
        if entry.xattrs:
            self._use(sum(len(k) + len(v) + _OVERHEAD for k, v in entry.xattrs.items()))
        inode.xattrs = entry.xattrs

    def _whiteout(self, above: list[bytes], name: bytes) -> None:
        if name == OPAQUE_FILE:
            self._find(above).opaque = True
            return
        if name.startswith(_AUFS_PREFIX):
            return
        hidden = name.removeprefix(WHITEOUT_PREFIX)
        if hidden in (b"", b".", b".."):
            raise TarProblem(f"{display_name(name)} is a whiteout of nothing")
        self._replace(self._directory(above), hidden, self._new(stat.S_IFCHR))

    def _link(self, children: dict[bytes, Inode], name: bytes, entry: _Entry) -> None:
        parts = self._parts(entry.linkname)
        target = None
        if parts:
            target = self._directory(parts[:-1]).get(parts[-1])
        if target is None or target.children is not None or target.is_whiteout:
            raise TarProblem(
                f"{display_name(entry.name)} is a link to {display_name(entry.linkname)}, which "
                "the layer does not hold"
            )
        if children.get(name) is not target:
            self._replace(children, name, target)
            target.links += 1

    @staticmethod
    def _replace(children: dict[bytes, Inode], name: bytes, inode: Inode) -> None:
        old = children.get(name)
        if old is not None:
            old.links -= 1
        children[name] = inode

    def _parts(self, name: bytes) -> list[bytes]:
        """The components of a path as from the root, where ``..`` ends."""
        if len(name) > _MAX_PATH or b"\0" in name:
            raise TarProblem(f"a name of {len(name)} bytes is not supported")
        parts: list[bytes] = []
        for part in name.split(b"/"):
            if part == b"..":
                del parts[-1:]
            elif part not in (b"", b"."):
                if len(part) > _MAX_NAME + len(WHITEOUT_PREFIX):
                    raise TarProblem(f"a name of {len(part)} bytes is longer than any file's")
                parts.append(part)
        return parts

    def _directory(self, parts: list[bytes]) -> dict[bytes, Inode]:
        children = self._find(parts).children
        if children is None:
            raise AssertionError("a directory has children")
        return children

    def _find(self, parts: list[bytes]) -> Inode:
        """The directory *parts*, made where it is only implied."""
        done = [self.root]
        todo = parts[::-1]
        symlinks = 0
        while todo:
            part = todo.pop()
            if part == b"..":
                if len(done) > 1:
                    done.pop()
                continue
            children = done[-1].children
            if children is None:
                raise AssertionError("a directory has children")
            inode = children.get(part)
            if inode is None or inode.is_whiteout:
                made = self._new(stat.S_IFDIR | 0o755)
                made.opaque = inode is not None
                self._use(len(part) + _OVERHEAD)
                children[part] = inode = made
            if inode.children is not None:
                done.append(inode)
            elif stat.S_ISLNK(inode.mode):
                symlinks += 1
                if symlinks > _MAX_SYMLINKS:
                    raise TarProblem(f"there are too many symlinks on the way to {_path(parts)}")
                if inode.target.startswith(b"/"):
                    del done[1:]
                todo += [p for p in reversed(inode.target.split(b"/")) if p not in (b"", b".")]
            else:
                raise TarProblem(f"{_path(parts)} is below a file, not a directory")
        return done[-1]

    def _new(self, mode: int) -> Inode:
        self._count += 1
        if self._count > self._limits.entries:
            raise TarProblem(f"the tar has more than {self._limits.entries:,} entries")
        return Inode(mode, self._count)

    def _use(self, size: int) -> None:
        self._memory += size
        if self._memory > self._limits.memory:
            raise TarProblem(
                f"names and attributes in the tar need more than {self._limits.memory:,} bytes"
            )


def _path(parts: list[bytes]) -> str:
    return display_name(b"/" + b"/".join(parts))
