"""The part of containerd's API that writes content and images, over its socket.

The messages are described here by hand, after containerd's ``api/services/*/v1/*.proto``: their
numbers never change, and generated code would tie this to one version of protobuf. gRPC and
protobuf are imported when a client is made; they come with the extra ``containerd``.
"""

from __future__ import annotations

import io
import os
import queue
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

from whiteout.contentstore import Descriptor
from whiteout.display import display_path, display_text
from whiteout.errors import DigestMismatch, NotFound, RefLocked, StoreError, UsageError

if TYPE_CHECKING:
    from typing_extensions import Buffer

DEFAULT_ADDRESS = "/run/containerd/containerd.sock"
#: Bytes of content in one message; the server takes at most 16 MiB.
CHUNK = 1024 * 1024
_LEASE_HOURS = 24
_SECONDS = 30.0
_ABORT_SECONDS = 5.0
_STAT, _WRITE, _COMMIT = 0, 1, 2

_MAP, _STRING, _INT64, _BYTES = "map", "string", "int64", "bytes"
#: Fields of each message: number and type; a type that is no word above is another message, and
#: one in brackets is repeated. Enumerations are numbers.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Empty": {},
    "FieldMask": {"paths": (1, f"[{_STRING}]")},
    "Descriptor": {
        "media_type": (1, _STRING),
        "digest": (2, _STRING),
        "size": (3, _INT64),
        "annotations": (5, _MAP),
    },
    "Info": {"digest": (1, _STRING), "size": (2, _INT64), "labels": (5, _MAP)},
    "InfoRequest": {"digest": (1, _STRING)},
    "InfoResponse": {"info": (1, "Info")},
    "UpdateRequest": {"info": (1, "Info"), "update_mask": (2, "FieldMask")},
    "ReadContentRequest": {"digest": (1, _STRING), "offset": (2, _INT64), "size": (3, _INT64)},
    "ReadContentResponse": {"offset": (1, _INT64), "data": (2, _BYTES)},
    "Status": {
        "ref": (3, _STRING),
        "offset": (4, _INT64),
        "total": (5, _INT64),
        "expected": (6, _STRING),
    },
    "StatusRequest": {"ref": (1, _STRING)},
    "StatusResponse": {"status": (1, "Status")},
    "AbortRequest": {"ref": (1, _STRING)},
    "WriteContentRequest": {
        "action": (1, _INT64),
        "ref": (2, _STRING),
        "total": (3, _INT64),
        "expected": (4, _STRING),
        "offset": (5, _INT64),
        "data": (6, _BYTES),
        "labels": (7, _MAP),
    },
    "WriteContentResponse": {
        "action": (1, _INT64),
        "offset": (4, _INT64),
        "total": (5, _INT64),
        "digest": (6, _STRING),
    },
    "Lease": {"id": (1, _STRING), "labels": (3, _MAP)},
    "CreateRequest": {"id": (1, _STRING), "labels": (3, _MAP)},
    "CreateResponse": {"lease": (1, "Lease")},
    "DeleteRequest": {"id": (1, _STRING)},
    "Image": {"name": (1, _STRING), "labels": (2, _MAP), "target": (3, "Descriptor")},
    "GetImageRequest": {"name": (1, _STRING)},
    "CreateImageRequest": {"image": (1, "Image")},
    "UpdateImageRequest": {"image": (1, "Image"), "update_mask": (2, "FieldMask")},
    "ImageResponse": {"image": (1, "Image")},
}
_METHODS = {
    "content.v1.Content/Info": ("InfoRequest", "InfoResponse"),
    "content.v1.Content/Update": ("UpdateRequest", "InfoResponse"),
    "content.v1.Content/Status": ("StatusRequest", "StatusResponse"),
    "content.v1.Content/Abort": ("AbortRequest", "Empty"),
    "leases.v1.Leases/Create": ("CreateRequest", "CreateResponse"),
    "leases.v1.Leases/Delete": ("DeleteRequest", "Empty"),
    "images.v1.Images/Get": ("GetImageRequest", "ImageResponse"),
    "images.v1.Images/Create": ("CreateImageRequest", "ImageResponse"),
    "images.v1.Images/Update": ("UpdateImageRequest", "ImageResponse"),
}
_WRITE_METHOD = "content.v1.Content/Write"
_READ_METHOD = "content.v1.Content/Read"


@dataclass(frozen=True, slots=True)
class IngestStatus:
    """An ingest that is not committed: bytes written, and how many there will be."""

    ref: str
    offset: int
    total: int


class ContainerdClient:
    """A connection to the containerd at *address* in one *namespace*; use it in a ``with`` block.

    Raises:
        UsageError: gRPC for Python is not installed.
        StoreError: containerd cannot be reached; raised by every method, too.
    """

    def __init__(self, namespace: str, address: str | None = None) -> None:
        self.address = address or os.environ.get("CONTAINERD_ADDRESS") or DEFAULT_ADDRESS
        try:
            import grpc
        except ImportError:
            raise UsageError(_MISSING) from None
        self._grpc = grpc
        self._types = _message_types()
        self._metadata = [("containerd-namespace", namespace)]
        path = os.path.abspath(self.address.removeprefix("unix://"))
        self._channel = grpc.insecure_channel(f"unix:{path}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Keep everything that is written within the block from garbage collection.

        The lease is deleted afterwards; if this process dies, it ends after a day.
        """
        expire = datetime.now(UTC) + timedelta(hours=_LEASE_HOURS)
        lease = f"whiteout-{os.urandom(8).hex()}"
        labels = {"containerd.io/gc.expire": expire.strftime("%Y-%m-%dT%H:%M:%SZ")}
        self._call("leases.v1.Leases/Create", id=lease, labels=labels)
        self._metadata.append(("containerd-lease", lease))
        try:
            yield
        finally:
            self._metadata.pop()
            with suppress(StoreError):
                self._call("leases.v1.Leases/Delete", id=lease)

    def open(self, digest: str, /) -> BinaryIO:
        """The blob *digest* as a stream; reading it raises :class:`StoreError`, too.

        Raises:
            NotFound: it is not in the namespace.
        """
        self._call("content.v1.Content/Info", digest=digest)
        request = self._types["ReadContentRequest"]
        call = self._channel.unary_stream(
            f"/containerd.services.{_READ_METHOD}",
            request_serializer=request.SerializeToString,
            response_deserializer=self._types["ReadContentResponse"].FromString,
        )
        stream = _Stream(self, call(request(digest=digest), metadata=self._metadata))
        return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, stream), CHUNK))

    def labels(self, digest: str) -> dict[str, str]:
        """The labels of the blob *digest*.

        Raises:
            NotFound: it is not in the namespace.
        """
        return dict(self._call("content.v1.Content/Info", digest=digest).info.labels)

    def add_labels(self, digest: str, labels: Mapping[str, str]) -> None:
        """Set *labels* of the blob *digest* where it has no such labels yet."""
        new = {key: text for key, text in labels.items() if key not in self.labels(digest)}
        if new:
            self._call(
                "content.v1.Content/Update",
                info=self._types["Info"](digest=digest, labels=new),
                update_mask=self._types["FieldMask"](paths=[f"labels.{key}" for key in new]),
            )

    def status(self, ref: str) -> IngestStatus | None:
        """How far the ingest of *ref* is, None when there is none."""
        try:
            status = self._call("content.v1.Content/Status", ref=ref).status
        except NotFound:
            return None
        return IngestStatus(status.ref, status.offset, status.total)

    def abort(self, ref: str) -> None:
        """Remove the ingest of *ref*, if there is one.

        The server may still be closing the write that was broken off, and fails to remove what it
        writes to at that moment; so it is asked again.
        """
        end = time.monotonic() + _ABORT_SECONDS
        with suppress(NotFound):
            while True:
                try:
                    self._call("content.v1.Content/Abort", ref=ref)
                    return
                except NotFound:
                    raise
                except StoreError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.05)

    def write(
        self,
        ref: str,
        descriptor: Descriptor,
        labels: Mapping[str, str],
        read: Callable[[int], Iterator[bytes]],
        report: Callable[[int], object],
    ) -> bool:
        """Write a blob, going on where an interrupted write of *ref* stopped.

        *read* gives the content from an offset on, *report* is called with the bytes written. The
        result says whether the blob is new. It has *labels* afterwards.

        Raises:
            DigestMismatch: the content has another digest or size; its ingest is removed.
            RefLocked: another client writes to *ref*.
        """
        try:
            self._write(ref, descriptor, labels, read, report)
        except _AlreadyExists:
            self.add_labels(descriptor.digest, labels)
            return False
        except DigestMismatch:
            self.abort(ref)
            raise
        return True

    def write_small(
        self, ref: str, descriptor: Descriptor, labels: Mapping[str, str], content: bytes
    ) -> bool:
        """As :meth:`write`, for content in memory."""

        def read(offset: int) -> Iterator[bytes]:
            for start in range(offset, len(content), CHUNK):
                yield content[start : start + CHUNK]

        return self.write(ref, descriptor, labels, read, lambda offset: None)

    def put_image(self, name: str, target: Descriptor) -> None:
        """Let *name* name the image whose manifest is *target*, whatever it named before."""
        image = self._types["Image"](
            name=name,
            target=self._types["Descriptor"](
                media_type=target.media_type, digest=target.digest, size=target.size
            ),
        )
        try:
            self._call("images.v1.Images/Create", image=image)
        except _AlreadyExists:
            mask = self._types["FieldMask"](paths=["target"])
            self._call("images.v1.Images/Update", image=image, update_mask=mask)

    def _call(self, method: str, **fields: Any) -> Any:
        request, response = (self._types[name] for name in _METHODS[method])
        call = self._channel.unary_unary(
            f"/containerd.services.{method}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        try:
            return call(request(**fields), metadata=self._metadata, timeout=_SECONDS)
        except self._grpc.RpcError as error:
            raise self._error(error) from None

    def _write(
        self,
        ref: str,
        descriptor: Descriptor,
        labels: Mapping[str, str],
        read: Callable[[int], Iterator[bytes]],
        report: Callable[[int], object],
    ) -> None:
        request = self._types["WriteContentRequest"]
        requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        call = self._channel.stream_stream(
            f"/containerd.services.{_WRITE_METHOD}",
            request_serializer=request.SerializeToString,
            response_deserializer=self._types["WriteContentResponse"].FromString,
        )
        responses = call(iter(requests.get, None), metadata=self._metadata)

        def ask(**fields: Any) -> int:
            """Send one message, and give the offset that the answer to it says."""
            requests.put(request(**fields))
            try:
                return int(next(responses).offset)
            except StopIteration:
                raise StoreError("containerd ended the write without an answer") from None
            except self._grpc.RpcError as error:
                raise self._error(error) from None

        whole = {"ref": ref, "total": descriptor.size, "expected": descriptor.digest}
        try:
            offset = ask(action=_STAT, **whole)
            if offset > descriptor.size:
                offset = 0
            for chunk in read(offset):
                ask(action=_WRITE, offset=offset, data=chunk, **whole)
                offset += len(chunk)
                report(offset)
            ask(action=_COMMIT, offset=offset, labels=dict(labels), **whole)
        finally:
            requests.put(None)
            responses.cancel()

    def _error(self, error: Any) -> StoreError:
        code, said = error.code(), display_text(str(error.details() or ""))
        status = self._grpc.StatusCode
        shown = display_path(os.fsencode(self.address))
        if code is status.UNAVAILABLE and "locked" in said:
            return RefLocked(f"containerd says: {said}; wait for the other writer")
        if code is status.UNAVAILABLE:
            advice = (
                "run as root" if "denied" in said else "is it running? name its socket by --address"
            )
            return StoreError(f"cannot reach containerd at {shown}: {_last(said)}; {advice}")
        if code is status.ALREADY_EXISTS:
            return _AlreadyExists(said)
        if code is status.NOT_FOUND:
            return NotFound(f"containerd says: {said}")
        if code is status.FAILED_PRECONDITION and "commit" in said:
            return DigestMismatch(f"containerd says: {said}")
        if code is status.DEADLINE_EXCEEDED:
            return StoreError(f"containerd at {shown} has not answered for {_SECONDS:.0f} s")
        return StoreError(f"containerd at {shown} refused: {said}")


class _Stream(io.RawIOBase):
    """The bytes of a blob as the server sends them."""

    def __init__(self, client: ContainerdClient, responses: Any) -> None:
        self._client = client
        self._responses = responses
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        while not self._rest:
            try:
                self._rest = memoryview(next(self._responses).data)
            except StopIteration:
                return 0
            except self._client._grpc.RpcError as error:
                raise self._client._error(error) from None
        size = min(len(view), len(self._rest))
        view[:size], self._rest = self._rest[:size], self._rest[size:]
        return size

    def close(self) -> None:
        self._responses.cancel()
        super().close()


class _AlreadyExists(StoreError):
    """The blob or image is there already."""


_MISSING = (
    "writing to containerd needs gRPC for Python; install it with:"
    " pip install 'whiteout[containerd]'"
)


def _last(said: str) -> str:
    """The part of gRPC's message that says what the system said."""
    return said.rpartition(": ")[2] or said


def _message_types() -> dict[str, Any]:
    """The classes of all messages, made of their descriptions."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError:
        raise UsageError(_MISSING) from None
    file = descriptor_pb2.FileDescriptorProto(
        name="whiteout/containerd.proto", package="whiteout.containerd", syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add_field(message, field, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{name}"))
        for name in _MESSAGES
    }


def _add_field(message: Any, name: str, number: int, kind: str) -> None:
    """Describe one field of the DescriptorProto *message*."""
    field = message.field.add(name=name, number=number, label=1)
    if kind.startswith("["):
        field.label, kind = 3, kind[1:-1]
    types = {_STRING: 9, _INT64: 3, _BYTES: 12}
    if kind in types:
        field.type = types[kind]
        return
    field.type = 11
    if kind != _MAP:
        field.type_name = f".whiteout.containerd.{kind}"
        return
    field.label = 3
    entry = message.nested_type.add(name=f"{name.title()}Entry")
    entry.options.map_entry = True
    for key, position in (("key", 1), ("value", 2)):
        entry.field.add(name=key, number=position, label=1, type=9)
    field.type_name = f".whiteout.containerd.{message.name}.{entry.name}"
