"""Platforms of images: operating system, architecture and variant, in Go's words.

Source: OCI image spec, ``image-index.md``; containerd's ``platforms`` for what is left out.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from whiteout.display import display_text
from whiteout.errors import UsageError

_WORD = re.compile(r"[a-z0-9_][a-z0-9_.-]*")
#: Names of machines as Go, and so OCI, writes them.
_ARCHITECTURES = {
    "x86_64": "amd64",
    "i686": "386",
    "aarch64": "arm64",
    "armv7l": "arm",
    "armv6l": "arm",
    "loongarch64": "loong64",
}
#: The variant that is meant where none is said.
_USUAL_VARIANTS = {"arm64": "v8", "arm": "v7"}


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image runs on, such as ``linux/arm/v7``; the variant is empty where none is said."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    def matches(self, wanted: Platform) -> bool:
        """Whether this is the platform *wanted*; the usual variant may be left out."""
        usual = _USUAL_VARIANTS.get(wanted.architecture, "")
        return (self.os, self.architecture, self.variant or usual) == (
            wanted.os,
            wanted.architecture,
            wanted.variant or usual,
        )


def parse_platform(text: str) -> Platform:
    """The platform written as ``OS/ARCHITECTURE[/VARIANT]``.

    Raises:
        UsageError: *text* is not of that form.
    """
    words = text.split("/")
    if len(words) not in (2, 3) or not all(_WORD.fullmatch(word) for word in words):
        raise UsageError(
            f"{display_text(text)} is not a platform; give one such as linux/amd64 or linux/arm/v7"
        )
    return Platform(*words)


def host_platform() -> Platform:
    """The platform of this machine."""
    machine = os.uname().machine
    variant = {"armv6l": "v6", "armv7l": "v7"}.get(machine, "")
    return Platform("linux", _ARCHITECTURES.get(machine, machine), variant)
