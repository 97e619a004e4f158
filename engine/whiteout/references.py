"""References to images, such as ``localhost:5000/team/app:1``.

Source: ``github.com/distribution/reference``, whose grammar Docker, containerd and Podman share.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from whiteout.display import display_text
from whiteout.errors import UsageError

DOCKER_HUB = "docker.io"
_MAX_REPOSITORY = 255
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?")
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository on a registry, and a tag or digest in it."""

    host: str
    """With its port, where one is said."""
    repository: str
    tag: str = "latest"
    digest: str = ""

    def __str__(self) -> str:
        end = f"@{self.digest}" if self.digest else f":{self.tag}"
        return f"{self.host}/{self.repository}{end}"


def parse_reference(text: str, default_host: str = DOCKER_HUB) -> Reference:
    """The reference that *text* writes; what it leaves out is filled in as Docker does.

    Raises:
        UsageError: *text* does not follow the grammar.
    """
    name, at, digest = text.partition("@")
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        host = first
    else:
        host, rest = default_host, name
    repository, colon, tag = rest.partition(":")
    if host == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    if (
        not _HOST.fullmatch(host)
        or not _REPOSITORY.fullmatch(repository)
        or len(repository) > _MAX_REPOSITORY
        or (colon and not _TAG.fullmatch(tag))
        or (at and not re.fullmatch(r"sha256:[0-9a-f]{64}", digest))
    ):
        raise UsageError(
            f"{display_text(text)} is not a reference to an image; give one such as "
            "localhost:5000/team/app:1, in small letters"
        )
    return Reference(host, repository, tag or "latest", digest)
