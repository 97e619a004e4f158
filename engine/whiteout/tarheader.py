"""Tar headers, byte for byte as Go's ``archive/tar`` writes them.

The writer of Go 1.10 to 1.27 prefers USTAR and adds a PAX header only for what USTAR cannot hold
(``archive/tar/common.go``: ``allowedFormats``; ``writer.go``: ``writePAXHeader``). Python's
``tarfile`` differs in the prefix, the PAX header's name, the device fields and the padding, so it
cannot be used.
"""

from __future__ import annotations

import os
import zlib
from enum import Enum

from whiteout.typed import NamedTuple

BLOCK = 512
#: What ends an archive: exactly two blocks of zeros.
END_OF_ARCHIVE = bytes(2 * BLOCK)

_NAME = 100
_PREFIX = 155
_MAX_7_OCTAL = 0o7777777
_MAX_11_OCTAL = 0o77777777777
_MAGIC = b"ustar\x0000"
_SUM_OF_BLANK_CHECKSUM = 8 * 0x20
_NO_DEVICE = b"0000000\x000000000\x00"
_PAX = b"x"
#: Mode, owner, group, size and time.
_NUMBERS = b"%07o\0%07o\0%07o\0%011o\0%011o\0"


def padded(size: int) -> int:
    """*size* bytes in whole blocks."""
    return size + -size % BLOCK


class TypeFlag(Enum):
    """The type of a tar entry (POSIX pax)."""

    FILE = b"0"
    LINK = b"1"
    SYMLINK = b"2"
    CHARACTER = b"3"
    BLOCK = b"4"
    DIRECTORY = b"5"
    FIFO = b"6"


class TarHeader(NamedTuple):
    """One entry of a layer. ``mtime`` is in whole seconds since the epoch, ``size`` in bytes.

    ``name`` is relative, and ends with a slash for a directory. ``capability`` is the raw
    ``security.capability``, empty for none.
    """

    name: bytes
    type: TypeFlag
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    linkname: bytes = b""
    device: tuple[int, int] = (0, 0)
    capability: bytes = b""

    def as_link(self, name: bytes, target: bytes) -> TarHeader:
        """The header of a further *name* of the file that was stored as *target*."""
        return self._replace(name=name, type=TypeFlag.LINK, linkname=target, size=0)

    def pax_records(self) -> dict[bytes, bytes]:
        """The PAX records that the entry needs, in the order they are written; often none."""
        records: dict[bytes, bytes] = {}
        if self.capability:
            records[b"SCHILY.xattr.security.capability"] = self.capability
        if self.gid > _MAX_7_OCTAL:
            records[b"gid"] = b"%d" % self.gid
        if len(self.linkname) > _NAME or not self.linkname.isascii():
            records[b"linkpath"] = self.linkname
        if not 0 <= self.mtime <= _MAX_11_OCTAL:
            records[b"mtime"] = b"%d" % self.mtime
        if self.size > _MAX_11_OCTAL:
            records[b"size"] = b"%d" % self.size
        if self.uid > _MAX_7_OCTAL:
            records[b"uid"] = b"%d" % self.uid
        long = len(self.name) > _NAME
        if not self.name.isascii() or (long and (records or split_name(self.name) is None)):
            records[b"path"] = self.name
        return dict(sorted(records.items())) if len(records) > 1 else records

    def encoded_size(self) -> int:
        """How many bytes :meth:`encode` gives."""
        records = self.pax_records()
        if not records:
            return BLOCK
        body = sum(len(_pax_record(key, value)) for key, value in records.items())
        return 2 * BLOCK + padded(body)

    def encode(self) -> bytes:
        """The header as bytes: one block, or more where PAX records are needed."""
        name, linkname = self.name, self.linkname
        if (
            len(name) <= _NAME
            and len(linkname) <= _NAME
            and not self.capability
            and self.uid <= _MAX_7_OCTAL
            and self.gid <= _MAX_7_OCTAL
            and self.size <= _MAX_11_OCTAL
            and 0 <= self.mtime <= _MAX_11_OCTAL
            and name.isascii()
            and linkname.isascii()
        ):
            return self._block(name, b"", linkname)
        records = self.pax_records()
        if records:
            pax = _pax_blocks(name, records)
            return pax + self._block(_legacy(name), b"", _legacy(linkname))
        prefix, name = split_name(name) or (b"", name)
        return self._block(name, prefix, linkname)

    def _block(self, name: bytes, prefix: bytes, linkname: bytes) -> bytes:
        return _block(
            name,
            _NUMBERS
            % (
                self.mode,
                self.uid if self.uid <= _MAX_7_OCTAL else 0,
                self.gid if self.gid <= _MAX_7_OCTAL else 0,
                self.size if self.size <= _MAX_11_OCTAL else 0,
                self.mtime if 0 <= self.mtime <= _MAX_11_OCTAL else 0,
            ),
            self.type._value_,
            linkname,
            b"%07o\0%07o\0" % self.device if self.device != (0, 0) else _NO_DEVICE,
            prefix,
        )


def plain_file_header(name: bytes, status: os.stat_result) -> bytes:
    """The encoded header of a regular file without attributes: what :class:`TarHeader` gives.

    Most entries of a layer are such files, so the common case is written out.
    """
    mode, _, _, _, uid, gid, size, _, _, _ = status
    mode &= 0o7777
    mtime = status.st_mtime_ns // 1_000_000_000
    if (
        len(name) > _NAME
        or not name.isascii()
        or uid > _MAX_7_OCTAL
        or gid > _MAX_7_OCTAL
        or size > _MAX_11_OCTAL
        or not 0 <= mtime <= _MAX_11_OCTAL
    ):
        return TarHeader(name, TypeFlag.FILE, mode, uid, gid, size, mtime).encode()
    before = name.ljust(_NAME, b"\0") + _NUMBERS % (mode, uid, gid, size, mtime)
    total = (zlib.adler32(before) & 0xFFFF) + _SUM_AFTER_FILE
    return b"%b%06o\0 %b" % (before, total, _AFTER_FILE)


def split_name(name: bytes) -> tuple[bytes, bytes] | None:
    """The USTAR prefix and name of a *name* of over 100 bytes, or None where it does not split."""
    limit = len(name)
    if limit > _PREFIX + 1:
        limit = _PREFIX + 1
    elif name.endswith(b"/"):
        limit -= 1
    slash = name.rfind(b"/", 0, limit)
    rest = len(name) - slash - 1
    if slash <= 0 or slash > _PREFIX or not 0 < rest <= _NAME or not name.isascii():
        return None
    return name[:slash], name[slash + 1 :]


def _block(
    name: bytes, numbers: bytes, typeflag: bytes, linkname: bytes, device: bytes, prefix: bytes
) -> bytes:
    """One block. Every field is ASCII, which :func:`_sum` relies on."""
    before = name.ljust(_NAME, b"\0") + numbers
    if linkname or prefix or device is not _NO_DEVICE:
        after = _after_checksum(typeflag, linkname, device, prefix)
        rest = _sum(after)
    else:
        after, rest = _PLAIN[typeflag]
    return b"%b%06o\0 %b" % (before, _sum(before) + rest + _SUM_OF_BLANK_CHECKSUM, after)


def _after_checksum(typeflag: bytes, linkname: bytes, device: bytes, prefix: bytes) -> bytes:
    return b"%b%b%b%b%b%b%b" % (
        typeflag,
        linkname.ljust(_NAME, b"\0"),
        _MAGIC,
        bytes(64),
        device,
        prefix.ljust(_PREFIX, b"\0"),
        bytes(12),
    )


def _sum(field: bytes) -> int:
    """The sum of the bytes: the low half of an Adler-32, which counts from 1.

    It counts modulo 65521, which the 512 ASCII bytes of a block cannot reach.
    """
    return (zlib.adler32(field) & 0xFFFF) - 1


#: What follows the checksum of an entry without link name, device and prefix, and its sum.
_PLAIN = {
    flag: (after, _sum(after))
    for flag in (member.value for member in TypeFlag)
    for after in (_after_checksum(flag, b"", _NO_DEVICE, b""),)
}
_AFTER_FILE = _PLAIN[TypeFlag.FILE.value][0]
#: Everything but the Adler-32 of what is before the checksum, which counts from 1.
_SUM_AFTER_FILE = _PLAIN[TypeFlag.FILE.value][1] + _SUM_OF_BLANK_CHECKSUM - 1


def _ascii(text: bytes) -> bytes:
    return text if text.isascii() else bytes(byte for byte in text if byte < 0x80)


def _legacy(text: bytes) -> bytes:
    """The name or link name beside PAX records: Go's ``toASCII`` and ``formatString``."""
    kept = _ascii(text)
    if len(kept) <= _NAME:
        return kept
    field = kept[:_NAME]
    if field.endswith(b"/"):
        end = len(field[:-1].rstrip(b"/"))
        field = field[:end] + b"\0" + field[end + 1 :]
    return field


def _pax_blocks(name: bytes, records: dict[bytes, bytes]) -> bytes:
    body = b"".join(_pax_record(key, value) for key, value in records.items())
    directory, _, file = name.rpartition(b"/")
    pax_name = b"/".join(part for part in (directory, b"PaxHeaders.0", file) if part)
    pax_name = _ascii(pax_name)[:_NAME].rstrip(b"/")
    header = _block(pax_name, _NUMBERS % (0, 0, 0, len(body), 0), _PAX, b"", bytes(16), b"")
    return header + body + bytes(-len(body) % BLOCK)


def _pax_record(key: bytes, value: bytes) -> bytes:
    """``LEN KEY=VALUE\\n``, where LEN counts itself, too."""
    length = len(key) + len(value) + 3
    total = length + len(str(length))
    if len(str(total)) != len(str(length)):
        total = length + len(str(total))
    return b"%d %b=%b\n" % (total, key, value)
