"""Sinks and images as they are written on the command line, in skopeo's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from whiteout.display import display_text
from whiteout.errors import UsageError
from whiteout.images import Image
from whiteout.ocilayout import check_tag
from whiteout.platforms import Platform
from whiteout.sinks.model import Sink

#: How each sink is written, and what it is; for help and for people.
SPELLINGS = {
    "oci:DIR[:TAG]": "an OCI image layout",
    "docker-archive:FILE[:NAME[:TAG]]": "a tar for docker load",
    "containers-storage:NAME": "the images of Podman, Buildah and CRI-O",
    "containerd://NAMESPACE/NAME": "the images of a containerd",
    "docker://HOST/REPOSITORY[:TAG]": "a registry",
}


def parse_sink(text: str, *, address: str = "", plain_http: bool = False) -> Sink:
    """The sink that *text* writes.

    *address* is the socket of its engine, *plain_http* is for a registry without TLS.

    Raises:
        UsageError: it begins with no known transport, or is malformed.
    """
    transport, _, rest = text.partition(":")
    if rest:
        if transport == "oci":
            from whiteout.sinks.layout import OciLayout

            path, colon, tag = rest.partition(":")
            return OciLayout(path, check_tag(tag)) if colon else OciLayout(path)
        if transport == "docker-archive":
            from whiteout.sinks.dockerarchive import DockerArchive

            path, _, name = rest.partition(":")
            return DockerArchive(path, name)
        if transport == "containers-storage":
            from whiteout.sinks.containersstorage import ContainersStorage

            return ContainersStorage(rest)
        if transport == "containerd":
            from whiteout.sinks.containerd import Containerd

            namespace, _, name = rest.removeprefix("//").partition("/")
            return Containerd(namespace, name, address)
        if transport == "docker" and rest.startswith("//"):
            from whiteout.references import parse_reference
            from whiteout.sinks.registry import Registry

            return Registry(parse_reference(rest.removeprefix("//")), plain_http)
    raise UsageError(
        f"{display_text(text)} is no place for images; give one of {', '.join(SPELLINGS)}"
    )


@contextmanager
def open_image(
    text: str, platform: Platform | None = None, *, plain_http: bool = False
) -> Iterator[Image]:
    """The image that *text* writes, for *platform* or this machine, usable within the block.

    Raises:
        UsageError: it begins with no known transport, or is malformed.
        NotFound: there is no such image.
        StoreError: it cannot be read.
    """
    transport, _, rest = text.partition(":")
    if transport == "oci" and rest:
        from whiteout.images import image_of_layout

        path, _, tag = rest.partition(":")
        yield image_of_layout(path, tag or None, platform)
    elif transport in ("docker-archive", "oci-archive") and rest:
        from whiteout.imagearchives import ImageArchive

        path, _, name = rest.partition(":")
        yield ImageArchive(path).image(name or None, platform)
    elif transport == "docker" and rest.startswith("//"):
        from whiteout.references import parse_reference
        from whiteout.registry import image_of_registry

        reference = parse_reference(rest.removeprefix("//"))
        with image_of_registry(reference, platform, plain_http=plain_http) as image:
            yield image
    else:
        raise UsageError(
            f"{display_text(text)} is no image; give oci:DIR[:TAG], "
            "docker-archive:FILE[:NAME] or docker://HOST/REPOSITORY:TAG"
        )
