"""Tar headers, byte for byte as Go's ``archive/tar`` writes them.

The writer of Go 1.10 to 1.27 prefers USTAR and adds a PAX header only for what USTAR cannot hold
(``archive/tar/common.go``: ``allowedFormats``; ``writer.go``: ``writePAXHeader``). Python's
``tarfile`` differs in the prefix, the PAX header's name, the device fields and the padding, so it
cannot be used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

BLOCK = 512
#: What ends an archive: exactly two blocks of zeros.
END_OF_ARCHIVE = bytes(2 * BLOCK)

_NAME = 100
_PREFIX = 155
_MAX_7_OCTAL = 0o7777777
_MAX_11_OCTAL = 0o77777777777
_MAGIC = b"ustar\x0000"
_CHECKSUM_OF_REST = sum(_MAGIC) + 8 * 0x20
_NO_DEVICE = b"0000000\x000000000\x00"
_CHECKSUM_OF_NO_DEVICE = sum(_NO_DEVICE)


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


@dataclass(frozen=True, slots=True)
class TarHeader:
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
        return replace(self, name=name, type=TypeFlag.LINK, linkname=target, size=0)

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
        records = self.pax_records()
        if records:
            pax = _pax_blocks(self.name, records)
            return pax + self._block(_legacy(self.name), b"", _legacy(self.linkname))
        if len(self.name) > _NAME:
            prefix, name = split_name(self.name) or (b"", self.name)
            return self._block(name, prefix, self.linkname)
        return self._block(self.name, b"", self.linkname)

    def _block(self, name: bytes, prefix: bytes, linkname: bytes) -> bytes:
        if self.device == (0, 0):
            device, device_sum = _NO_DEVICE, _CHECKSUM_OF_NO_DEVICE
        else:
            device = b"%07o\0%07o\0" % self.device
            device_sum = sum(device)
        return _block(
            name,
            self.mode,
            _fitting(self.uid, _MAX_7_OCTAL),
            _fitting(self.gid, _MAX_7_OCTAL),
            _fitting(self.size, _MAX_11_OCTAL),
            _fitting(self.mtime, _MAX_11_OCTAL),
            self.type.value,
            linkname,
            device,
            device_sum,
            prefix,
        )


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


def _fitting(value: int, maximum: int) -> int:
    return value if 0 <= value <= maximum else 0


def _block(
    name: bytes,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    mtime: int,
    typeflag: bytes,
    linkname: bytes,
    device: bytes,
    device_sum: int,
    prefix: bytes,
) -> bytes:
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, uid, gid, size, mtime)
    checksum = (
        sum(name)
        + sum(numbers)
        + typeflag[0]
        + sum(linkname)
        + device_sum
        + sum(prefix)
        + _CHECKSUM_OF_REST
    )
    return b"%b%b%06o\0 %b%b%b%b%b%b%b" % (
        name.ljust(_NAME, b"\0"),
        numbers,
        checksum,
        typeflag,
        linkname.ljust(_NAME, b"\0"),
        _MAGIC,
        bytes(64),
        device,
        prefix.ljust(_PREFIX, b"\0"),
        bytes(12),
    )


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
    header = _block(pax_name, 0, 0, 0, len(body), 0, b"x", b"", bytes(16), 0, b"")
    return header + body + bytes(-len(body) % BLOCK)


def _pax_record(key: bytes, value: bytes) -> bytes:
    """``LEN KEY=VALUE\\n``, where LEN counts itself, too."""
    length = len(key) + len(value) + 3
    total = length + len(str(length))
    if len(str(total)) != len(str(length)):
        total = length + len(str(total))
    return b"%d %b=%b\n" % (total, key, value)
