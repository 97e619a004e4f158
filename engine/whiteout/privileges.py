"""What this process may see of overlayfs' marks.

Attributes in ``trusted.*`` are shown only to a process with CAP_SYS_ADMIN in the initial user
namespace (xattr(7)). To everybody else they are not an error but absent, so an opaque directory
looks like a merged one and deleted files seem to be there.
"""

from __future__ import annotations

import os

_CAP_SYS_ADMIN = 21
#: ``PROC_USER_INIT_INO`` of the kernel's ``include/linux/proc_ns.h``.
_INITIAL_USER_NAMESPACE = 0xEFFFFFFD

TRUSTED_HIDDEN = (
    "the trusted.overlay.* marks (opaque, redirect, metacopy) are hidden from this process, so "
    "deleted files may seem to be there; run as root with CAP_SYS_ADMIN, outside of any user "
    "namespace"
)


def can_read_trusted(process: str = "/proc/self") -> bool:
    """Whether *process*, a directory of procfs, may read ``trusted.*`` attributes.

    False when it cannot be found out.
    """
    try:
        with open(f"{process}/status", "rb") as file:
            status = file.read()
        return _has_capability(status) and _in_initial_user_namespace(process)
    except (OSError, ValueError):
        return False


def in_initial_user_namespace(process: str = "/proc/self") -> bool:
    """Whether *process*, a directory of procfs, is in no user namespace but the first one.

    False when it cannot be found out.
    """
    try:
        return _in_initial_user_namespace(process)
    except (OSError, ValueError):
        return False


def _has_capability(status: bytes) -> bool:
    for line in status.splitlines():
        if line.startswith(b"CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_ADMIN & 1)
    return False


def _in_initial_user_namespace(process: str) -> bool:
    with open(f"{process}/uid_map", "rb") as file:
        identity = file.read().split() == [b"0", b"0", b"%d" % (2**32 - 1)]
    try:
        return identity and os.stat(f"{process}/ns/user").st_ino == _INITIAL_USER_NAMESPACE
    except FileNotFoundError:  # a kernel without user namespaces has one only
        return identity
