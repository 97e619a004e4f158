"""Reading every entry of a tar to its end, without mercy.

Tar readers forgive a lot: the standard library's ends quietly at a damaged header and never
looks behind the end of the archive. Here a tar is a sequence of well-formed entries, exactly two
blocks of zeros, and nothing else. Source: POSIX pax, GNU tar's manual, Go's ``archive/tar``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from whiteout.display import display_name
from whiteout.errors import WhiteoutError

BLOCK = 512
_ZEROS = bytes(BLOCK)
#: Bytes of an extended header or of GNU's long name; the same limit as in Go's reader.
MAX_SPECIAL = 1024 * 1024
#: Bytes of all of them that stand before one entry.
MAX_BEFORE = 4 * MAX_SPECIAL
_HEADER_ONLY = frozenset(b"123456")
_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK, _SPARSE = b"xgLKS"


class TarProblem(WhiteoutError):
    """The bytes are not a well-formed tar."""


class NotTar(TarProblem):
    """Not even the first block is a tar header."""


@dataclass(frozen=True, slots=True)
class TarEntry:
    """One entry as its headers give it."""

    name: bytes
    type: int
    """The type flag, a byte of the header."""
    size: int
    """Bytes of content in the archive."""
    headers: bytes = field(default=b"", repr=False, compare=False)
    """Its header blocks: those of its PAX records or long names, and the last one its own."""


class _Source:
    """Exact reads from an iterator of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._chunk = b""
        self._start = 0

    def some(self, limit: int) -> bytes:
        """The next bytes, at most *limit*; none at the end."""
        while self._start >= len(self._chunk):
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._chunk, self._start = chunk, 0
        part = self._chunk[self._start : self._start + limit]
        self._start += len(part)
        return part

    def read(self, size: int) -> bytes:
        """The next *size* bytes, fewer at the end."""
        part = self.some(size)
        if len(part) == size:
            return part
        gathered = bytearray(part)
        while len(gathered) < size and (part := self.some(size - len(gathered))):
            gathered += part
        return bytes(gathered)

    def skip(self, size: int) -> bool:
        """Pass over *size* bytes; false when there are fewer."""
        while size:
            part = self.some(size)
            if not part:
                return False
            size -= len(part)
        return True


def read_entries(chunks: Iterator[bytes]) -> Iterator[TarEntry]:
    """Every entry of the tar in *chunks*, each after its content has been read.

    Raises:
        NotTar: the very first block is no header.
        TarProblem: something is damaged, missing or too much. After that, and after the last
            entry, *chunks* may still hold bytes.
    """
    source = _Source(chunks)
    number, first, pending = 0, True, False
    before = bytearray()
    extended: dict[bytes, bytes] = {}
    while True:
        header = source.read(BLOCK)
        if header == _ZEROS:
            break
        where = f"entry {number + 1}"
        if first and header and not has_checksum(header):
            raise NotTar("the content is not a tar: its first block is no header")
        first = False
        if len(header) < BLOCK:
            raise TarProblem(
                f"the tar is cut short in the header of {where}"
                if header
                else f"the tar has no end-of-archive blocks after {number} entries"
            )
        if not has_checksum(header):
            raise TarProblem(f"the header of {where} is damaged: its checksum is wrong")
        kind = header[156]
        size = _number(header[124:136], where)
        if kind in (_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK):
            content = _special(source, size, where)
            pending = pending or kind != _PAX_GLOBAL
            if kind != _PAX_GLOBAL:
                before += header + content + bytes(-size % BLOCK)
                if len(before) > MAX_BEFORE:
                    raise TarProblem(f"the extended headers of {where} are too large together")
            if kind == _PAX:
                extended.update(pax_records(content, where))
            elif kind == _LONG_NAME:
                extended[b"path"] = content.rstrip(b"\0")
            continue
        name = extended.get(b"path") or header_name(header)
        where = f"{where}, {display_name(name)}"
        if b"size" in extended:
            size = _decimal(extended[b"size"], where)
        if kind in _HEADER_ONLY:
            size = 0
        if kind == _SPARSE:
            _skip_sparse_map(source, header, where)
        if not source.skip(size + -size % BLOCK):
            raise TarProblem(f"the tar is cut short in the content of {where}")
        number += 1
        extended, pending = {}, False
        yield TarEntry(name, kind, size, bytes(before + header) if before else header)
        before.clear()
    _check_end(source, number, pending)


def _skip_sparse_map(source: _Source, header: bytes, where: str) -> None:
    """Pass over the blocks in which GNU tar continues the map of a sparse file."""
    more = header[482]
    while more:
        block = source.read(BLOCK)
        if len(block) < BLOCK:
            raise TarProblem(f"the tar is cut short in {where}")
        more = block[504]


def _check_end(source: _Source, number: int, pending: bool) -> None:
    if pending:
        raise TarProblem(f"an extended header follows entry {number}, but no entry follows it")
    second = source.read(BLOCK)
    if second != _ZEROS:
        raise TarProblem(
            f"the second end-of-archive block after {number} entries is "
            + ("not zero" if len(second) == BLOCK else "missing")
        )
    extra, zeros = 0, True
    while part := source.some(1024 * 1024):
        extra += len(part)
        zeros = zeros and not part.strip(b"\0")
    if extra:
        raise TarProblem(
            f"{extra} {'zero bytes' if zeros else 'bytes'} follow the end of the archive"
        )


def has_checksum(header: bytes) -> bool:
    """Whether *header* is a whole block with the checksum of its bytes, unsigned or signed."""
    if len(header) < BLOCK:
        return False
    total = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    signed = total - 256 * sum(byte > 127 for byte in header[:148] + header[156:])
    try:
        recorded = int(header[148:156].strip(b" \0"), 8)
    except ValueError:
        return False
    return recorded in (total, signed)


def _number(field: bytes, where: str) -> int:
    """A number in octal digits, or in GNU's base 256."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise TarProblem(f"the header of {where} is damaged: its size is no number")
    return int(digits or b"0", 8)


def _decimal(text: bytes, where: str) -> int:
    if not text.isdigit() or len(text) > 20:
        raise TarProblem(f"the extended header of {where} is damaged: its size is no number")
    return int(text)


def _special(source: _Source, size: int, where: str) -> bytes:
    if size > MAX_SPECIAL:
        raise TarProblem(f"the extended header of {where} is too large: {size} bytes")
    content = source.read(size + -size % BLOCK)
    if len(content) < size + -size % BLOCK:
        raise TarProblem(f"the tar is cut short in the extended header of {where}")
    return content[:size]


def pax_records(content: bytes, where: str) -> Iterator[tuple[bytes, bytes]]:
    """The ``LENGTH KEY=VALUE`` lines of a PAX extended header."""
    start = 0
    while start < len(content):
        length, space, _ = content[start : start + 12].partition(b" ")
        if not space or not length.isdigit():
            raise TarProblem(f"the extended header of {where} is damaged")
        record = content[start : start + int(length)]
        key, equals, value = record[len(length) + 1 : -1].partition(b"=")
        if len(record) != int(length) or not equals or record[-1:] != b"\n":
            raise TarProblem(f"the extended header of {where} is damaged")
        yield key, value
        start += int(length)


def header_name(header: bytes) -> bytes:
    """The name in a *header* block, its prefix before it."""
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name
