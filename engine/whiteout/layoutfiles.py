"""The files that make a directory an OCI image layout: its marker, and its index of images.

Source: OCI image spec, ``image-layout.md``. Content that others put into ``index.json`` is kept.
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from typing import Any

from whiteout.digests import ALGORITHM
from whiteout.display import display_path, display_text
from whiteout.durable import (
    locked,
    open_directory,
    read_small,
    replace_file,
    store_error,
    sweep_replacements,
)
from whiteout.errors import NotFound, StoreError

_MARKER = "oci-layout"
_INDEX = "index.json"
_VERSION = "1.0.0"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"
#: Bytes of an index, enough for 25,000 tags; as objects it may take twenty times as much memory.
_MAX_INDEX = 8 * 1024 * 1024
_OWN_NAMES = frozenset({_MARKER, _INDEX, "blobs", "ingest"})

#: A JSON object as the json module reads it.
Json = dict[str, Any]


def default_store_path() -> str:
    """The store for layers when none is named: ``$XDG_DATA_HOME/whiteout/store``."""
    data = os.environ.get("XDG_DATA_HOME") or ""
    if not os.path.isabs(data):
        data = os.path.join(os.path.expanduser("~"), ".local", "share")
    return os.path.join(data, "whiteout", "store")


def compact_json(value: object) -> bytes:
    """*value* as JSON in one line, the same bytes for the same value."""
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:  # a surrogate of its own, which only an escape can write
        return json.dumps(value, separators=(",", ":")).encode()


def create_layout(path: str) -> None:
    """Make the directory *path* an OCI image layout, where it is not one.

    Raises:
        StoreError: it cannot be made, or is a directory of something else.
    """
    try:
        os.makedirs(path, 0o755, exist_ok=True)
        with open_directory(path) as root:
            names = set(os.listdir(root))
            if _MARKER in names and _INDEX in names:
                return
            with locked(root):
                names = set(os.listdir(root))
                if _MARKER not in names:
                    _refuse_foreign(path, names)
                    replace_file(_MARKER, root, compact_json({"imageLayoutVersion": _VERSION}))
                with (
                    open_directory("blobs", root, create=True) as blobs,
                    open_directory(ALGORITHM, blobs, create=True),
                ):
                    pass
                if _INDEX not in names:
                    replace_file(_INDEX, root, compact_json(_empty_index()))
    except FileExistsError:
        raise StoreError(f"{_shown(path)} is not a directory; choose another store") from None
    except OSError as error:
        raise store_error("make the store", path, error) from None


def _refuse_foreign(path: str, names: set[str]) -> None:
    foreign = {name for name in names - _OWN_NAMES if not name.endswith(".tmp")}
    if foreign:
        raise StoreError(
            f"{_shown(path)} is not empty and not an OCI image layout; choose another store"
        )


def check_layout(path: str) -> None:
    """Make sure that *path* is an OCI image layout of the version known here.

    Raises:
        NotFound: there is nothing at *path*.
        StoreError: it is something else, or cannot be read.
    """
    try:
        with open_directory(path) as root:
            marker = read_small(_MARKER, root, 4096)
    except FileNotFoundError:
        if not os.path.isdir(path):
            raise NotFound(f"there is no store at {_shown(path)}") from None
        raise StoreError(
            f"{_shown(path)} is not an OCI image layout: it has no file {_MARKER}"
        ) from None
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise store_error("read the store", path, error) from None
        marker = b""
    version = _object(marker).get("imageLayoutVersion")
    if version != _VERSION:
        if version is None:
            raise StoreError(f"{_shown(path)} is not an OCI image layout: its {_MARKER} is damaged")
        raise StoreError(
            f"{_shown(path)} is an OCI image layout of version {display_text(str(version))[:40]}; "
            f"only {_VERSION} is supported"
        )


def read_index(path: str) -> Json:
    """The index of the layout at *path*; an empty one when there is none.

    Raises:
        StoreError: it cannot be read, or is no image index.
    """
    try:
        with open_directory(path) as root:
            return _index(root, path)
    except OSError as error:
        raise store_error("read the index of", path, error) from None


def put_manifest(path: str, descriptor: Json, tag: str) -> None:
    """Put *descriptor* into the index of the layout at *path* under *tag*.

    It takes the place of an entry with the same tag. Processes that do this at the same time do
    not lose each other's tags.

    Raises:
        StoreError: the index cannot be read or written.
    """
    annotations = {**descriptor.get("annotations", {}), REF_NAME: tag}
    entry = {**descriptor, "annotations": annotations}
    try:
        with open_directory(path) as root, locked(root):
            sweep_replacements(_INDEX, root)
            index = _index(root, path)
            manifests = index["manifests"]
            places = [n for n, other in enumerate(manifests) if tag_of(other) == tag]
            for place in reversed(places[1:]):
                del manifests[place]
            if places:
                manifests[places[0]] = entry
            else:
                manifests.append(entry)
            replace_file(_INDEX, root, compact_json(index))
    except OSError as error:
        raise store_error("write the index of", path, error) from None


def tag_of(entry: Json) -> str | None:
    """The tag of one *entry* of an index, None when it has none."""
    annotations = entry.get("annotations")
    tag = annotations.get(REF_NAME) if isinstance(annotations, dict) else None
    return tag if isinstance(tag, str) else None


def _empty_index() -> Json:
    return {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []}


def _index(root: int, path: str) -> Json:
    try:
        content = read_small(_INDEX, root, _MAX_INDEX)
    except FileNotFoundError:
        return _empty_index()
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        content = b""
    index = _object(content)
    manifests = index.get("manifests")
    if (
        index.get("schemaVersion") != 2
        or not isinstance(manifests, list)
        or not all(isinstance(entry, dict) for entry in manifests)
    ):
        raise StoreError(
            f"{_shown(os.path.join(path, _INDEX))} is not an OCI image index; "
            "repair it or choose another store"
        )
    return index


def _object(content: bytes) -> Json:
    """*content* as a JSON object, an empty one when it is anything else."""
    with suppress(ValueError, RecursionError):
        value = json.loads(content)
        if isinstance(value, dict):
            return value
    return {}


def _shown(path: str) -> str:
    return display_path(os.fsencode(path))
