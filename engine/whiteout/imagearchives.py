"""Images in one tar, as ``docker save``, ``podman save`` and skopeo write them.

An archive is an OCI image layout in a tar, or has Docker's ``manifest.json``, or both. It may be
compressed. Nothing is unpacked.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from whiteout.compression import open_decompressor
from whiteout.contentstore import Descriptor
from whiteout.digests import ALGORITHM, digest_of, encoded
from whiteout.display import display_path, display_text
from whiteout.durable import write_all
from whiteout.errors import NotFound, StoreError, UsageError, reason_of
from whiteout.images import (
    CONFIG_TYPE,
    Image,
    LayerRef,
    descriptor_of,
    diff_ids_of,
    image_of,
)
from whiteout.layerarchives import limits_of_environment, unnamed_file
from whiteout.layoutfiles import REF_NAME, Json
from whiteout.mediatypes import TAR
from whiteout.platforms import Platform
from whiteout.references import parse_reference
from whiteout.tarcheck import TarProblem
from whiteout.tarindex import Inode, find, index_tar

if TYPE_CHECKING:
    from typing_extensions import Buffer

_CHUNK = 1 << 20
_MAX_JSON = 8 << 20
_CONTAINERD_NAME = "io.containerd.image.name"


@dataclass(frozen=True, slots=True)
class ArchivedImage:
    """One image of an archive: its names, and where it begins: in an index, or in Docker's list."""

    names: tuple[str, ...]
    entry: Json
    is_docker: bool


class ImageArchive:
    """The archive at *path*, an absolute path. Any thread may read it.

    Raises:
        StoreError: it cannot be read, or is no archive of images.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._shown = display_path(os.fsencode(path))
        self._digests: dict[str, bytes] = {}
        self._blobs: dict[bytes, tuple[str, int]] = {}
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            weakref.finalize(self, os.close, self._descriptor)
            if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                raise StoreError(f"{self._shown} is no regular file; give an archive of images")
            self._root = self._index()
        except OSError as error:
            raise StoreError(f"cannot read {self._shown}: {reason_of(error)}") from None
        except TarProblem as error:
            raise StoreError(
                f"{self._shown} is not a directory, and no archive of images: {error}"
            ) from None

    def images(self) -> list[ArchivedImage]:
        """The images, in the order of the archive.

        Raises:
            StoreError: the archive is malformed.
        """
        if find(self._root, b"oci-layout") is not None:
            index = self._json(b"index.json")
            entries = index.get("manifests") if isinstance(index, dict) else None
            if isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries):
                return [ArchivedImage(_names(entry), entry, False) for entry in entries]
        else:
            entries = self._json(b"manifest.json")
            if isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries):
                return [
                    ArchivedImage(tuple(_texts(entry.get("RepoTags") or [])), entry, True)
                    for entry in entries
                ]
        raise StoreError(f"{self._shown} is malformed: its list of images is damaged")

    def image(self, name: str | None = None, platform: Platform | None = None) -> Image:
        """The image *name*; without a name, the only one.

        Raises:
            NotFound: there is no such image, or none for *platform*.
            UsageError: there are several, and no name is given.
            StoreError: it is malformed.
        """
        chosen = self._chosen(name)
        shown = f"{self._shown}:{display_text(name)}" if name else self._shown
        if not chosen.is_docker:
            return image_of(self, descriptor_of(chosen.entry), shown, platform)
        return self._docker_image(chosen.entry, shown)

    def open(self, digest: str, /) -> BinaryIO:
        """The blob *digest* for reading; raises :class:`NotFound`."""
        path = self._digests.get(digest) or f"blobs/{ALGORITHM}/{encoded(digest)}".encode()
        return self._open(path)

    def _index(self) -> Inode:
        limits = limits_of_environment()
        with open(os.dup(self._descriptor), "rb", buffering=0) as file:
            decompressed = open_decompressor(file)
            chunks: Iterator[bytes] = decompressed.chunks
            if decompressed.media_type != TAR:
                self._descriptor = unnamed_file()
                weakref.finalize(self, os.close, self._descriptor)
                chunks = _spooled(chunks, self._descriptor, limits.size)
            return index_tar(chunks, limits, whiteouts=False)

    def _open(self, path: bytes) -> BinaryIO:
        inode = find(self._root, path)
        if inode is None or not stat.S_ISREG(inode.mode):
            raise NotFound(f"{self._shown} has no {display_path(path)}")
        window = _Window(self, self._descriptor, inode.offset, inode.size)
        return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, window), _CHUNK))

    def _json(self, path: bytes) -> object:
        with self._open(path) as file:
            content = file.read(_MAX_JSON + 1)
        if len(content) <= _MAX_JSON:
            try:
                return json.loads(content)
            except (ValueError, RecursionError):
                pass
        raise StoreError(f"{self._shown} is malformed: {display_path(path)} is damaged")

    def _chosen(self, name: str | None) -> ArchivedImage:
        every = self.images()
        known = ", ".join(display_text(image.names[0]) for image in every if image.names) or "none"
        if name is None:
            if len(every) == 1:
                return every[0]
            if not every:
                raise NotFound(f"{self._shown} holds no image")
            raise UsageError(f"{self._shown} holds several images; name one of them: {known}")
        for image in every:
            if any(_is_named(given, name) for given in image.names):
                return image
        raise NotFound(f"{self._shown} has no image {display_text(name)}; it has {known}")

    def _docker_image(self, entry: Json, shown: str) -> Image:
        """The image of an entry of Docker's list, which tells of its layers the diffIDs alone."""
        path, layers = entry.get("Config"), entry.get("Layers")
        if not isinstance(path, str) or not isinstance(layers, list):
            raise StoreError(f"{shown} is malformed: its list of images is damaged")
        with self._open(_encoded(path)) as file:
            content = file.read(_MAX_JSON)
        config = self._json(_encoded(path))
        if not isinstance(config, dict):
            raise StoreError(f"{shown} is malformed: its config is damaged")
        diff_ids = diff_ids_of(config, shown)
        if len(diff_ids) != len(layers) or not all(isinstance(name, str) for name in layers):
            raise StoreError(
                f"{shown} is malformed: it has {len(layers)} layers and {len(diff_ids)} diffIDs"
            )
        found = [
            LayerRef(self._descriptor_of(_encoded(name), diff_id), diff_id)
            for name, diff_id in zip(layers, diff_ids, strict=True)
        ]
        descriptor = Descriptor(CONFIG_TYPE, digest_of(content), len(content))
        return Image(shown, descriptor, config, tuple(found), self)

    def _descriptor_of(self, path: bytes, diff_id: str) -> Descriptor:
        """The descriptor of the layer at *path*; uncompressed, its digest is the diffID."""
        with self._open(path) as file:
            media_type = open_decompressor(file).media_type
        if media_type == TAR:
            with self._open(path) as file:
                digest, size = diff_id, file.seek(0, os.SEEK_END)
        else:
            if path not in self._blobs:  # the list may name one blob very often
                self._blobs[path] = self._hashed(path)
            digest, size = self._blobs[path]
        self._digests[digest] = path
        return Descriptor(media_type, digest, size)

    def _hashed(self, path: bytes) -> tuple[str, int]:
        """The digest and the size of the file at *path*."""
        found, size = hashlib.sha256(), 0
        with self._open(path) as file:
            while chunk := file.read(_CHUNK):
                found.update(chunk)
                size += len(chunk)
        return f"{ALGORITHM}:{found.hexdigest()}", size


def _spooled(chunks: Iterator[bytes], spool: int, limit: int) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise TarProblem(f"it has more than {limit:,} bytes when it is decompressed")
        write_all(spool, chunk)
        yield chunk


def _encoded(path: str) -> bytes:
    """A path that JSON gives, in bytes; a surrogate of its own is in no file's name."""
    return path.encode("utf-8", "surrogatepass")


def _names(entry: Json) -> tuple[str, ...]:
    annotations = entry.get("annotations")
    if not isinstance(annotations, dict):
        return ()
    return tuple(_texts([annotations.get(key) for key in (_CONTAINERD_NAME, REF_NAME)]))


def _texts(values: object) -> list[str]:
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


def _is_named(given: str, wanted: str) -> bool:
    if given == wanted:
        return True
    try:
        return parse_reference(given) == parse_reference(wanted)
    except UsageError:
        return False


class _Window(io.RawIOBase):
    """A part of an open file. It keeps the archive open."""

    def __init__(self, archive: ImageArchive, descriptor: int, start: int, size: int) -> None:
        self._archive = archive
        self._descriptor = descriptor
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")[: max(0, self._size - self._at)]
        count = os.preadv(self._descriptor, [view], self._start + self._at) if view else 0
        self._at += count
        return count
