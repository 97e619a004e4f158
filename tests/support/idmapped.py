"""An id-mapped mount, as the kernel makes it, for tests."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from support.overlay import syscall, unmount
from whiteout.idmap import IdMap

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_AT_EMPTY_PATH = 0x1000
_MOUNT_ATTR_IDMAP = 0x00100000
_CLONE_NEWUSER = 0x10000000

_HOLD_A_NAMESPACE = """
import ctypes, sys
assert ctypes.CDLL(None).unshare(0x10000000) == 0
print(flush=True)
sys.stdin.read()
"""


class _MountAttr(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


@contextlib.contextmanager
def idmapped(source: Path, target: Path, idmap: IdMap) -> Iterator[Path]:
    """*source* mounted at *target*, a new directory, with its owners as *idmap* has them."""
    target.mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD_A_NAMESPACE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdin is not None and holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"\n"
        process = Path(f"/proc/{holder.pid}")
        for name, ranges in (("uid_map", idmap.uids), ("gid_map", idmap.gids)):
            # On disk is what the namespace calls its own, and the mount shows what is outside.
            lines = [f"{one.outside} {one.inside} {one.count}\n" for one in ranges]
            (process / name).write_text("".join(lines))
        namespace = os.open(process / "ns/user", os.O_RDONLY | os.O_CLOEXEC)
        tree = syscall(_OPEN_TREE, -100, os.fsencode(source), _OPEN_TREE_CLONE | os.O_CLOEXEC)
        try:
            attributes = _MountAttr(set=_MOUNT_ATTR_IDMAP, userns=namespace)
            size = ctypes.sizeof(attributes)
            syscall(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, ctypes.byref(attributes), size)
            syscall(_MOVE_MOUNT, tree, b"", -100, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)
        finally:
            os.close(tree)
            os.close(namespace)
    finally:
        holder.stdin.close()
        holder.wait(10)
        holder.stdout.close()
    try:
        yield target
    finally:
        unmount(os.fsencode(target))
