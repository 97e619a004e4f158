"""The JSON documents of a store: they may be missing, cut off, or written by a stranger."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from whiteout.digests import check_digest, digest_of
from whiteout.display import display_path
from whiteout.errors import ReadError, UsageError, reason_of
from whiteout.sources.root import read_file

Document = Mapping[str, Any]

#: Bytes of a document; as objects it may take twenty times as much memory.
_LARGEST = 32 << 20
_LARGEST_BLOB = 4 << 20


def read_object(path: bytes) -> Document:
    """The JSON object in the file at the resolved *path*.

    Raises:
        FileNotFoundError: there is no such file.
        ReadError: it cannot be read, or holds no JSON object.
    """
    value = _read(path)
    if not isinstance(value, dict):
        raise _damaged(path)
    return value


def read_objects(path: bytes) -> list[Document]:
    """The JSON objects of the array in the file at the resolved *path*; other elements are skipped.

    Raises:
        FileNotFoundError: there is no such file.
        ReadError: it cannot be read, or holds no JSON array.
    """
    value = _read(path)
    if value is None:  # what Go writes for no elements
        return []
    if not isinstance(value, list):
        raise _damaged(path)
    return [element for element in value if isinstance(element, dict)]


def read_blob(path: bytes, digest: str) -> Document:
    """The JSON object in the blob with the *digest*, in the file at the resolved *path*.

    Raises:
        ReadError: it cannot be read, has another digest, or holds no JSON object.
    """
    try:
        check_digest(digest)
        content = read_file(path, _LARGEST_BLOB)
    except UsageError as error:
        raise ReadError(str(error), path) from None
    except OSError as error:
        raise ReadError(f"cannot read {display_path(path)}: {reason_of(error)}", path) from None
    value = None
    if digest_of(content) == digest:
        with suppress(ValueError, RecursionError):
            value = json.loads(content)
    if not isinstance(value, dict):
        raise _damaged(path)
    return value


def _read(path: bytes) -> Any:
    try:
        return json.loads(read_file(path, _LARGEST))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ReadError(f"cannot read {display_path(path)}: {reason_of(error)}", path) from None
    except (ValueError, RecursionError):
        raise _damaged(path) from None


def _damaged(path: bytes) -> ReadError:
    return ReadError(f"{display_path(path)} is damaged: it is not the JSON that it should be", path)


def read_line(path: bytes) -> str:
    """The content of a small text file, without white space around it.

    Raises:
        OSError: it cannot be read.
    """
    return read_file(path, 1 << 20).decode("utf-8", "surrogateescape").strip()


def text(document: Document, *keys: str) -> str:
    """The string at *keys*, one inside the other; empty where there is none."""
    value = _at(document, keys)
    return value if isinstance(value, str) else ""


def number(document: Document, *keys: str) -> int | None:
    """The integer at *keys*, None where there is none."""
    value = _at(document, keys)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def texts(document: Document, *keys: str) -> list[str]:
    """The strings in the array at *keys*."""
    value = _at(document, keys)
    return [element for element in value if isinstance(element, str)] if _is_list(value) else []


def objects(document: Document, *keys: str) -> list[Document]:
    """The objects in the array at *keys*."""
    value = _at(document, keys)
    return [element for element in value if isinstance(element, dict)] if _is_list(value) else []


def members(document: Document, *keys: str) -> Iterator[tuple[str, Any]]:
    """The names and values of the object at *keys*."""
    value = _at(document, keys)
    if isinstance(value, dict):
        yield from value.items()


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _at(document: Document, keys: tuple[str, ...]) -> Any:
    value: Any = document
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def seconds(moment: str) -> float | None:
    """A time of RFC 3339 in seconds since the epoch; None where it is none, or Go's zero time."""
    from datetime import datetime

    try:
        stamp = datetime.fromisoformat(moment)
        value = stamp.timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return value if stamp.tzinfo is not None and value > 0 else None
