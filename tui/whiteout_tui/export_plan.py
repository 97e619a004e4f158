"""What the export dialog asks for: which place, in what form, and how it is carried out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from enum import Enum
from typing import BinaryIO, Protocol

from whiteout.cancel import CancelToken
from whiteout.contentstore import ContentStore
from whiteout.display import display_path, display_text
from whiteout.durable import open_regular
from whiteout.errors import StoreError, UsageError, reason_of
from whiteout.export import ExportResult, Progress, default_ref, export_to_file, export_to_store
from whiteout.images import Blobs
from whiteout.mediatypes import check_level, media_type_of
from whiteout.ocilayout import check_tag
from whiteout.references import parse_reference
from whiteout.sinks.containerd import Containerd
from whiteout.sinks.containersstorage import ContainersStorage
from whiteout.sinks.dockerarchive import DockerArchive
from whiteout.sinks.layout import OciLayout
from whiteout.sinks.model import Action, Report, Sink, Step
from whiteout.sinks.registry import Registry
from whiteout.sinks.run import SinkResult, export_to, whole_stack
from whiteout.sinks.spelling import open_image
from whiteout.snapshot import Snapshot


class Place(Enum):
    """Where an export may go. The values are the words of the dialog."""

    STORE = "store"
    FILE = "file"
    LAYOUT = "oci"
    ARCHIVE = "docker-archive"
    STORAGE = "containers-storage"
    CONTAINERD = "containerd"
    REGISTRY = "registry"


#: What each place is.
PLACES: dict[Place, str] = {
    Place.STORE: "The layer in a content store that is an OCI image layout, with an image of it "
    "where a tag is given.",
    Place.FILE: "Just the blob of the layer.",
    Place.LAYOUT: "An image in an OCI image layout.",
    Place.ARCHIVE: "An image in a tar for docker load; zstd is not for it.",
    Place.STORAGE: "An image of Podman, Buildah and CRI-O.",
    Place.CONTAINERD: "An image of a containerd.",
    Place.REGISTRY: "An image on a registry.",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an export made: the new layers from bottom to top, and the image they went into."""

    layers: tuple[ExportResult, ...]
    image: SinkResult | None = None


class Plan(Protocol):
    """An export that can be carried out, and its blobs be read again."""

    @property
    def media_type(self) -> str:
        """Of the new layers."""

    @property
    def level(self) -> int | None:
        """Of the compression; None is its default."""

    def describe(self) -> str:
        """Where it goes, ready to be shown."""

    def replaces(self) -> str | None:
        """The file that is there already and that it puts another one in place of."""

    def run(self, snapshot: Snapshot, report: Report, cancel: CancelToken) -> Outcome:
        """Carry it out; raises as the functions of :mod:`whiteout.export`."""

    def reading(self, cancel: CancelToken) -> AbstractContextManager[Blobs]:
        """The blobs that it wrote; raises as :meth:`whiteout.sinks.model.Sink.reading`."""


@dataclass(frozen=True, slots=True)
class StorePlan:
    """A layer into the content store at *store*."""

    media_type: str
    level: int | None
    store: str
    ref: str | None = None
    tag: str | None = None

    def describe(self) -> str:
        return display_text(self.store)

    def replaces(self) -> str | None:
        return None

    def lock(self, snapshot: Snapshot) -> tuple[str, str]:
        """The store and the ref that the export holds while it runs."""
        return os.path.realpath(self.store), self.ref or default_ref(snapshot, self.media_type)

    def run(self, snapshot: Snapshot, report: Report, cancel: CancelToken) -> Outcome:
        result = export_to_store(
            snapshot,
            ContentStore(self.store),
            media_type=self.media_type,
            level=self.level,
            ref=self.ref,
            tag=self.tag,
            progress=_Layer(report),
            cancel=cancel,
        )
        return Outcome((result,))

    def reading(self, cancel: CancelToken) -> AbstractContextManager[Blobs]:
        return nullcontext(ContentStore(self.store, create=False))


@dataclass(frozen=True, slots=True)
class FilePlan:
    """The blob of a layer into the file *path*."""

    media_type: str
    level: int | None
    path: str

    def describe(self) -> str:
        return display_text(self.path)

    def replaces(self) -> str | None:
        return self.path if os.path.isfile(self.path) else None

    def run(self, snapshot: Snapshot, report: Report, cancel: CancelToken) -> Outcome:
        result = export_to_file(
            snapshot,
            os.fsencode(self.path),
            media_type=self.media_type,
            level=self.level,
            progress=_Layer(report),
            cancel=cancel,
        )
        return Outcome((result,))

    def reading(self, cancel: CancelToken) -> AbstractContextManager[Blobs]:
        return nullcontext(_OneFile(self.path))


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """An image into *sink*: of the layer or with *whole* of all layers, on top of *base*."""

    media_type: str
    level: int | None
    sink: Sink
    whole: bool = False
    base: str = ""
    plain_http: bool = False

    def describe(self) -> str:
        return self.sink.describe()

    def replaces(self) -> str | None:
        path = self.sink.path if isinstance(self.sink, DockerArchive) else None
        return path if path is not None and os.path.isfile(path) else None

    def run(self, snapshot: Snapshot, report: Report, cancel: CancelToken) -> Outcome:
        snapshots = whole_stack(snapshot) if self.whole else (snapshot,)
        with open_image(self.base, plain_http=self.plain_http) if self.base else _nothing() as base:
            result = export_to(
                self.sink,
                snapshots,
                base=base,
                media_type=self.media_type,
                level=self.level,
                progress=report,
                cancel=cancel,
            )
        return Outcome(result.exported, result)

    def reading(self, cancel: CancelToken) -> AbstractContextManager[Blobs]:
        return self.sink.reading(cancel)


@contextmanager
def _nothing() -> Iterator[None]:
    yield None


@dataclass(frozen=True, slots=True)
class _Layer:
    """Turns the progress of one layer into steps."""

    report: Report

    def __call__(self, progress: Progress) -> None:
        self.report(Step(Action.EXPORT, "the layer", progress.written, None, progress))


@dataclass(frozen=True, slots=True)
class _OneFile:
    """A file that is a blob."""

    path: str

    def open(self, digest: str, /) -> BinaryIO:
        directory, name = os.path.split(self.path)
        try:
            parent = os.open(directory or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                return os.fdopen(open_regular(name, parent), "rb")
            finally:
                os.close(parent)
        except OSError as error:
            shown = display_path(os.fsencode(self.path))
            raise StoreError(f"cannot read {shown}: {reason_of(error)}") from None


def plan_of(values: Mapping[str, str]) -> Plan:
    """The plan that the fields of the dialog make; their names are the keys.

    Raises:
        UsageError: a value is missing, or cannot be.
    """
    place = Place(values["place"])
    media_type = media_type_of(values["compression"])
    level = _level(values["level"]) if values["compression"] != "none" else None
    check_level(media_type, level)
    if place is Place.STORE:
        tag = values["tag"].strip() or None
        if tag is not None:
            check_tag(tag)
        store = _path(values["store"], "name the directory of the store to write to")
        return StorePlan(media_type, level, store, values["ref"].strip() or None, tag)
    if place is Place.FILE:
        return FilePlan(media_type, level, _path(values["file"], "name the file to write to"))
    sink = _sink(place, values)
    if not isinstance(sink, Registry):  # which would ask over the network
        _check(sink, media_type)
    whole, base = values["layers"] != "this one", values["base"].strip()
    if whole and base:
        raise UsageError(
            "the whole stack and a base both say what is below the layer; leave out one"
        )
    return ImagePlan(media_type, level, sink, whole, base, values["connection"] == "http")


def _check(sink: Sink, media_type: str) -> None:
    try:
        sink.check(frozenset({media_type}))
    except StoreError:  # what cannot be reached is told by the export itself
        return


def _sink(place: Place, values: Mapping[str, str]) -> Sink:
    name = values["name"].strip()
    if place is Place.LAYOUT:
        path = _path(values["store"], "name the directory of the layout to write to")
        return OciLayout(path, check_tag(values["tag"].strip() or "latest"))
    if place is Place.ARCHIVE:
        return DockerArchive(_path(values["file"], "name the file to write to"), name)
    if not name:
        raise UsageError("give the image a name")
    if place is Place.STORAGE:
        return ContainersStorage(name)
    if place is Place.CONTAINERD:
        return Containerd(values["namespace"].strip(), name, values["address"].strip())
    return Registry(parse_reference(name.removeprefix("docker://")), values["connection"] == "http")


def _level(text: str) -> int | None:
    if not text.strip():
        return None
    try:
        return int(text)
    except ValueError:
        raise UsageError("the level is a whole number, or empty for the default") from None


def _path(text: str, missing: str) -> str:
    if not text.strip() or "\0" in text:
        raise UsageError(missing)
    return os.path.expanduser(text)
