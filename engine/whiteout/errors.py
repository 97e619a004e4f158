"""Every error that the engine raises on purpose.

Each message is one clear sentence that names the path and says what to do.
Paths inside a message have already passed :func:`whiteout.display.display_path`,
so a message may be printed as it is.
"""

from __future__ import annotations

import errno
import os

from whiteout.display import display_path


class WhiteoutError(Exception):
    """Base of all errors of the engine; the command ends with :attr:`exit_status`."""

    exit_status = 1


class UsageError(WhiteoutError):
    """The command line or a parameter is wrong; nothing was tried."""

    exit_status = 2


class Cancelled(WhiteoutError):
    """The operation was cancelled; nothing of it was left behind."""


class MountError(WhiteoutError):
    """A mount cannot be read as what was asked for."""


class NotOverlay(MountError):
    """The mounts are not a pair that the overlay differ understands.

    BuildKit calls this "not ok": it is no failure of the snapshot, and the walking differ
    answers instead (``GetUpperdir`` in BuildKit's ``util/overlay/overlay_linux.go``).
    """


class ReadError(WhiteoutError):
    """Something of the snapshot could not be read."""

    def __init__(self, message: str, path: bytes = b"") -> None:
        super().__init__(message)
        self.path = path


class SnapshotChanged(ReadError):
    """The snapshot changed while it was read."""


class RefusedError(WhiteoutError):
    """The answer would be wrong or incomplete, so it is not given."""


class MediaTypeError(UsageError):
    """A media type or compression that no layer can have."""


class StoreError(WhiteoutError):
    """The content store cannot do what was asked."""


class RefLocked(StoreError):
    """Another writer holds the ref (containerd's class "unavailable")."""


class NotFound(StoreError):
    """The store holds no such blob, ref or tag."""


class DigestMismatch(StoreError):
    """Content does not have the digest or size that it should have."""


def changed_size(path: bytes, expected: int, found: int) -> SnapshotChanged:
    """The file at *path*, on the host, has *found* bytes where its status said *expected*."""
    return SnapshotChanged(
        f"{display_path(path)} {'grew' if found > expected else 'shrank'} while it was read; "
        "stop what writes to the snapshot and try again",
        path,
    )


def reason_of(error: OSError) -> str:
    """The system's words for *error*, without the file name that it may carry."""
    if error.errno is None:
        return type(error).__name__
    if error.errno == errno.EACCES:
        return "permission denied"
    return os.strerror(error.errno).lower()


def read_error(action: str, path: bytes, error: OSError) -> ReadError:
    """A :class:`ReadError` such as ``cannot list /etc: permission denied``."""
    return ReadError(f"cannot {action} {display_path(path)}: {reason_of(error)}", path)
