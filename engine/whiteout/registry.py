"""A registry of images: blobs and manifests, pulled by digest and pushed in chunks.

Source: OCI distribution spec 1.1, which Docker's registry speaks, too.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Protocol, Self

from whiteout.cancel import NEVER, CancelToken
from whiteout.contentstore import Descriptor
from whiteout.digests import digest_of
from whiteout.display import display_text
from whiteout.errors import DigestMismatch, NotFound, StoreError, reason_of
from whiteout.images import Image, image_of
from whiteout.layoutfiles import INDEX_TYPE
from whiteout.platforms import Platform
from whiteout.references import Reference
from whiteout.registryhttp import Answer, ConnectionBroke, RegistryHttp

#: Bytes of one chunk of an upload; what is lost at most when the connection breaks.
CHUNK = 8 * 1024 * 1024
_PIECE = 256 * 1024
_BROKEN_LIMIT = 5
_DOCKER = "application/vnd.docker.distribution.manifest."
_MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    INDEX_TYPE,
    _DOCKER + "v2+json",
    _DOCKER + "list.v2+json",
)
_OCTETS = {"Content-Type": "application/octet-stream"}


class Watcher(Protocol):
    """Is told how many bytes of a blob the registry has."""

    def __call__(self, offset: int, /) -> object: ...


@dataclass(frozen=True, slots=True)
class _Upload:
    """An upload under way: where the next chunk goes, how many bytes the registry has."""

    url: str
    offset: int
    least: int
    """Bytes that a chunk must have at least, but for the last."""


class Repository:
    """One repository of a registry; use it in a ``with`` block and from one thread.

    *others* are repositories of the same registry that blobs may be mounted from. *push* asks for
    the right to write.
    """

    def __init__(
        self,
        host: str,
        name: str,
        *,
        push: bool = False,
        others: tuple[str, ...] = (),
        plain_http: bool = False,
        cancel: CancelToken = NEVER,
    ) -> None:
        self.host = host
        self.name = name
        self._cancel = cancel
        scopes = [f"repository:{name}:pull{',push' if push else ''}"]
        scopes += [f"repository:{other}:pull" for other in others]
        self._http = RegistryHttp(host, name, scopes=scopes, plain_http=plain_http, cancel=cancel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def has(self, digest: str) -> bool:
        """Whether the repository has the blob *digest*."""
        return self._http.request("HEAD", f"blobs/{digest}", expected=(200, 404)).status == 200

    def open(self, digest: str, /) -> BinaryIO:
        """The blob or manifest *digest* as a stream.

        Raises:
            NotFound: the repository does not have it.
            StoreError: it cannot be read.
        """
        try:
            answer = self._http.request("GET", f"blobs/{digest}", expected=(200,), stream=True)
        except NotFound:
            accept = {"Accept": ", ".join(_MANIFEST_TYPES)}
            answer = self._http.request(
                "GET", f"manifests/{digest}", headers=accept, expected=(200,), stream=True
            )
        if answer.stream is None:
            raise StoreError(f"the registry gave no content for {digest}")
        return answer.stream

    def manifest(self, tag: str) -> tuple[Descriptor, bytes]:
        """The manifest or index that *tag*, or a digest, names."""
        accept = {"Accept": ", ".join(_MANIFEST_TYPES)}
        answer = self._http.request("GET", f"manifests/{tag}", headers=accept, expected=(200,))
        media_type = answer.headers.get("content-type", "").partition(";")[0].strip()
        return Descriptor(media_type, digest_of(answer.body), len(answer.body)), answer.body

    def put_manifest(self, tag: str, descriptor: Descriptor, content: bytes) -> None:
        """Let *tag* name the manifest *content*.

        Raises:
            DigestMismatch: the registry says that it has stored something else.
        """
        answer = self._http.request(
            "PUT",
            f"manifests/{tag}",
            headers={"Content-Type": descriptor.media_type},
            body=lambda: content,
            length=len(content),
            expected=(200, 201),
        )
        self._check_digest(answer, descriptor.digest)

    def mount(self, digest: str, other: str) -> bool:
        """Take the blob from the repository *other* of the same registry, where it can be done."""
        query = urllib.parse.urlencode({"mount": digest, "from": other})
        answer = self._http.request("POST", f"blobs/uploads/?{query}", expected=(201, 202))
        if answer.status == 201:
            self._check_digest(answer, digest)
            return True
        self._give_up(self._begun(answer).url)
        return False

    def push(self, descriptor: Descriptor, file: BinaryIO, watch: Watcher) -> None:
        """Upload a blob from *file*, which can be sought in, chunk by chunk.

        When the connection breaks, the registry is asked what it has, and the upload goes on there.
        Docker's registry forgets an upload that broke within a chunk; then it begins anew.

        Raises:
            DigestMismatch: the content does not have the digest of *descriptor*.
            StoreError: the registry refuses, or cannot be reached any more.
            Cancelled: the token was cancelled; the upload is given up.
        """
        upload = self._begin()
        broken = 0
        try:
            while upload.offset < descriptor.size:
                before = upload.offset
                try:
                    upload = self._send_chunk(upload, descriptor.size, file, watch)
                except ConnectionBroke:
                    broken += 1
                    if broken >= _BROKEN_LIMIT:
                        raise
                    self._http.pause(broken)
                    upload = self._resumed(upload)
                if upload.offset > before:
                    broken = 0
            self._finish(upload, descriptor)
        except BaseException:
            self._give_up(upload.url)
            raise

    def _begin(self) -> _Upload:
        return self._begun(self._http.request("POST", "blobs/uploads/", expected=(202,)))

    def _begun(self, answer: Answer) -> _Upload:
        least = answer.headers.get("oci-chunk-min-length", "")
        return _Upload(_location(answer), 0, int(least) if least.isdigit() else 0)

    def _send_chunk(self, upload: _Upload, size: int, file: BinaryIO, watch: Watcher) -> _Upload:
        length = min(max(CHUNK, upload.least), size - upload.offset)

        def pieces() -> Iterator[bytes]:
            file.seek(upload.offset)
            left = length
            while left:
                self._cancel.check()
                try:
                    piece = file.read(min(_PIECE, left))
                except OSError as error:
                    raise StoreError(f"cannot read the blob: {reason_of(error)}") from None
                if not piece:
                    raise DigestMismatch("the blob became shorter while it was sent; export again")
                yield piece
                left -= len(piece)
                watch(upload.offset + length - left)

        try:
            answer = self._http.request(
                "PATCH",
                upload.url,
                headers={
                    **_OCTETS,
                    "Content-Range": f"{upload.offset}-{upload.offset + length - 1}",
                },
                body=pieces,
                length=length,
                expected=(202, 416),
                once=True,
            )
        except NotFound:  # the registry has forgotten the upload
            return self._begin()
        if answer.status == 416:
            raise ConnectionBroke("the registry has another part of the blob; try again")
        return _Upload(_location(answer), upload.offset + length, upload.least)

    def _resumed(self, upload: _Upload) -> _Upload:
        """The upload as far as the registry has it; a new one where it has forgotten it."""
        answer = self._http.request("GET", upload.url, expected=(204, 404))
        if answer.status == 404:
            return self._begin()
        end = answer.headers.get("range", "").rpartition("-")[2]
        # An upload without a byte is 0-0 too; then the first byte is sent again or refused by 416.
        offset = int(end) + 1 if end.isdigit() and int(end) else 0
        url = _location(answer) if "location" in answer.headers else upload.url
        return _Upload(url, offset, upload.least)

    def _finish(self, upload: _Upload, descriptor: Descriptor) -> None:
        joint = "&" if "?" in upload.url else "?"
        url = f"{upload.url}{joint}{urllib.parse.urlencode({'digest': descriptor.digest})}"
        answer = self._http.request("PUT", url, headers=_OCTETS, expected=(200, 201, 400, 404))
        if answer.status == 400:
            raise DigestMismatch(
                f"the registry {display_text(self.host)} has not got the content of "
                f"{descriptor.digest}; export again"
            )
        if answer.status == 404 and not self.has(descriptor.digest):  # else the answer was lost
            raise StoreError(f"the registry {display_text(self.host)} lost the upload; try again")
        self._check_digest(answer, descriptor.digest)

    def _give_up(self, url: str) -> None:
        """Tell the registry that nothing more will come."""
        self._http.say("DELETE", url)

    @staticmethod
    def _check_digest(answer: Answer, digest: str) -> None:
        said = answer.headers.get("docker-content-digest", digest)
        if said != digest:
            raise DigestMismatch(
                f"the registry says that it has stored {display_text(said)[:80]}, not {digest}"
            )


def _location(answer: Answer) -> str:
    location = answer.headers.get("location", "")
    if not location:
        raise StoreError("the registry does not say where the upload goes")
    return urllib.parse.urljoin(answer.url, location)


@contextmanager
def image_of_registry(
    reference: Reference,
    platform: Platform | None = None,
    *,
    plain_http: bool = False,
    cancel: CancelToken = NEVER,
) -> Iterator[Image]:
    """The image *reference*; its layers are read when they are needed, within the block.

    Raises:
        NotFound: there is no such image, or none for *platform*.
        StoreError: the registry refuses, cannot be reached, or gives something malformed.
    """
    with Repository(
        reference.host, reference.repository, plain_http=plain_http, cancel=cancel
    ) as repository:
        descriptor, _ = repository.manifest(reference.digest or reference.tag)
        if reference.digest and descriptor.digest != reference.digest:
            raise DigestMismatch(f"docker://{reference} is not what the registry gave for it")
        yield image_of(repository, descriptor, f"docker://{reference}", platform)
