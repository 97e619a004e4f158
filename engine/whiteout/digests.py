"""Digests as the OCI image spec writes them: ``sha256:`` and 64 hexadecimal digits."""

from __future__ import annotations

from collections.abc import Iterable

from whiteout.display import display_text
from whiteout.errors import UsageError

ALGORITHM = "sha256"


def digest_of(data: bytes) -> str:
    """The digest of *data*."""
    import hashlib

    return f"{ALGORITHM}:{hashlib.sha256(data).hexdigest()}"


def check_digest(digest: str) -> str:
    """*digest* itself when it is well formed.

    Raises:
        UsageError: it is not ``sha256:`` followed by 64 lower-case hexadecimal digits.
    """
    import re

    if not re.fullmatch(rf"{ALGORITHM}:[0-9a-f]{{64}}", digest):
        raise UsageError(
            f"{display_text(digest)} is not a digest; give sha256: and 64 hexadecimal digits"
        )
    return digest


def encoded(digest: str) -> str:
    """The part of *digest* after the colon, which names its file in a store."""
    return check_digest(digest).partition(":")[2]


def chain_ids(diff_ids: Iterable[str]) -> list[str]:
    """The chain id of each layer, from the bottom up (OCI image spec, ``config.md``)."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(digest_of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return chain
