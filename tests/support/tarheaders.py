"""Tar headers decoded field by field, for saying where two layers part."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

from support.snapshot_case import Header

_BLOCK = 512


def decode_headers(data: bytes) -> Iterator[Header]:
    """The entries of a tar stream in the form that the golden cases keep.

    Only what is not empty or zero is kept. ``pax`` holds the records of the extended header before
    the entry; a capability is given in hexadecimal.
    """
    position = 0
    extended: Header = {}
    while position < len(data) and any(block := data[position : position + _BLOCK]):
        position += _BLOCK
        header = _decode(block)
        size = int(extended.get("pax", {}).get("size", header.get("size", 0)))
        body = data[position : position + size]
        position += -(-size // _BLOCK) * _BLOCK
        if header["type"] == "x":
            extended = {"pax": _records(body), "pax_header_name": header["name"]}
            continue
        if body:
            header["sha256"] = hashlib.sha256(body).hexdigest()
        yield header | extended
        extended = {}


def _text(field: bytes) -> str:
    return os.fsdecode(field.split(b"\0", 1)[0])


def _number(field: bytes) -> int:
    text = field.strip(b" \0")
    return int(text, 8) if text else 0


def _decode(block: bytes) -> Header:
    header: Header = {
        "name": _text(block[:100]),
        "type": chr(block[156]),
        "mode": oct(_number(block[100:108])),
        "mtime": _number(block[136:148]),
    }
    rest = {
        "uid": _number(block[108:116]),
        "gid": _number(block[116:124]),
        "size": _number(block[124:136]),
        "link": _text(block[157:257]),
        "magic": "" if block[257:265] == b"ustar\x0000" else block[257:265].hex(),
        "uname": _text(block[265:297]),
        "gname": _text(block[297:329]),
        "major": _number(block[329:337]),
        "minor": _number(block[337:345]),
        "prefix": _text(block[345:500]),
    }
    return header | {name: value for name, value in rest.items() if value}


def _records(body: bytes) -> dict[str, str]:
    records = {}
    while body:
        length = int(body.split(b" ", 1)[0])
        name, _, value = body[:length].partition(b" ")[2].partition(b"=")
        binary = name.startswith(b"SCHILY.xattr.")
        records[os.fsdecode(name)] = value[:-1].hex() if binary else os.fsdecode(value[:-1])
        body = body[length:]
    return records


def first_difference(expected: list[Header], data: bytes) -> str:
    """Words for the first entry in which the layer *data* differs from *expected*."""
    found = list(decode_headers(data))
    for number, (want, have) in enumerate(zip(expected, found, strict=False), 1):
        if want != have:
            fields = sorted(key for key in want | have if want.get(key) != have.get(key))
            return f"entry {number} differs in {', '.join(fields)}\n  want {want}\n  have {have}"
    if len(expected) != len(found):
        longer, who = (expected, "lacks") if len(expected) > len(found) else (found, "adds")
        return f"the layer {who} {longer[min(len(expected), len(found))]}"
    return "every header and content is equal: padding or trailer differ"
