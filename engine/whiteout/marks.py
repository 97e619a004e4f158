"""overlayfs' marks: what the attributes ``trusted.overlay.*`` and ``user.overlay.*`` say.

The rules are those of the kernel's ``Documentation/filesystems/overlayfs.rst`` and of
``fs/overlayfs/namei.c``. With ``userxattr`` the kernel follows neither redirects nor metacopy, as
anybody could set those attributes; see :mod:`whiteout.following`.
"""

from __future__ import annotations

import os
import stat

from whiteout.display import display_name, display_path
from whiteout.entries import is_whiteout_device
from whiteout.errors import ReadError
from whiteout.layers import Directory, Marks
from whiteout.typed import NamedTuple
from whiteout.verity import is_malformed

TRUSTED_PREFIX = "trusted.overlay."
USER_PREFIX = "user.overlay."


class EntryMarks(NamedTuple):
    """The marks on one entry. ``opaque`` is ``b"y"``, ``b"x"`` or empty.

    ``digest`` is the value of the metacopy mark, empty or with what :mod:`whiteout.verity` reads.
    """

    opaque: bytes = b""
    redirect: bytes | None = None
    metacopy: bool = False
    whiteout: bool = False
    digest: bytes = b""


UNMARKED = EntryMarks()


def _prefixes(marks: Marks) -> tuple[str, ...]:
    if marks is Marks.BOTH:
        return TRUSTED_PREFIX, USER_PREFIX
    return (TRUSTED_PREFIX,) if marks is Marks.TRUSTED else (USER_PREFIX,)


def read_marks(directory: Directory, name: bytes, marks: Marks, present: list[str]) -> EntryMarks:
    """The marks on *name*, whose attribute names are *present*.

    Of directories where either namespace may count, only ``trusted.*`` redirects and metacopies do.

    Raises:
        OSError: an attribute cannot be read.
        ReadError: the metacopy mark is malformed, and the kernel refuses to show the entry.
    """
    if (
        not present
        or marks is Marks.PLAIN
        or not any(".overlay." in attribute for attribute in present)
    ):
        return UNMARKED
    opaque = b""
    redirect: bytes | None = None
    metacopy = whiteout = False
    digest: bytes | None = None
    for prefix in _prefixes(marks):
        if not opaque and prefix + "opaque" in present:
            value = directory.attribute(name, prefix + "opaque")
            opaque = value if value in (b"y", b"x") else b""
        whiteout = whiteout or prefix + "whiteout" in present
        if prefix == USER_PREFIX and marks is not Marks.USER:
            continue
        if prefix + "redirect" in present:
            redirect = directory.attribute(name, prefix + "redirect")
        metacopy = prefix + "metacopy" in present
        if metacopy:
            digest = directory.attribute(name, prefix + "metacopy")
            if digest and is_malformed(digest):
                path = directory.path + b"/" + name
                raise ReadError(f"{display_path(path)} has a malformed metacopy mark", path)
    return EntryMarks(opaque, redirect, metacopy, whiteout, digest or b"")


def is_whiteout(directory: Directory, name: bytes, status: os.stat_result, marks: Marks) -> bool:
    """Whether *name* is a whiteout: a device 0:0, or an empty file with the attribute.

    Raises:
        OSError: the attributes cannot be read.
    """
    if marks is Marks.PLAIN:
        return False
    if not stat.S_ISREG(status.st_mode):
        return is_whiteout_device(status)
    return not status.st_size and has_whiteout(directory.attribute_names(name), marks)


def has_whiteout(present: list[str], marks: Marks) -> bool:
    """Whether the attributes of an empty file, of which these are *present*, make it a whiteout."""
    return bool(present) and any(prefix + "whiteout" in present for prefix in _prefixes(marks))


def redirected(components: tuple[bytes, ...], position: int, redirect: bytes) -> tuple[bytes, ...]:
    """The path to look for in the layers below, after a redirect at ``components[position]``.

    The first component is empty when the result counts from the root of the layers.

    Raises:
        ReadError: the redirect is malformed.
    """
    target = tuple(redirect.split(b"/"))
    absolute = redirect.startswith(b"/")
    if any(part in (b"", b".", b"..") for part in target[absolute:]) or (
        not absolute and len(target) > 1
    ):
        raise ReadError(f"malformed overlay redirect {display_name(redirect)}")
    if absolute:
        return target + components[position + 1 :]
    return components[:position] + target + components[position + 1 :]
