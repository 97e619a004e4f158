"""Small directory trees, written down as data."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from whiteout.snapshot import Snapshot


@dataclass(frozen=True)
class File:
    content: bytes = b""
    mode: int = 0o644
    mtime_ns: int = 1_700_000_000_123_456_789
    xattrs: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Dir:
    entries: Mapping[str, object] = field(default_factory=dict)
    mode: int = 0o755
    mtime_ns: int = 1_600_000_000_111_111_111
    xattrs: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Symlink:
    target: bytes


@dataclass(frozen=True)
class Device:
    """A character device; ``0:0`` is a whiteout."""

    major: int = 0
    minor: int = 0


WHITEOUT = Device()


def make(path: Path, node: object) -> Path:
    """Make *node* (a mapping is a plain directory) at *path*."""
    if isinstance(node, Mapping):
        node = Dir(node)
    if isinstance(node, Symlink):
        os.symlink(node.target, os.fsencode(path))
    elif isinstance(node, Device):
        os.mknod(path, 0o020000, os.makedev(node.major, node.minor))
    elif isinstance(node, File):
        path.write_bytes(node.content)
        _finish(path, node)
    elif isinstance(node, Dir):
        path.mkdir(exist_ok=True)
        for name, below in node.entries.items():
            make(path / name, below)
        _finish(path, node)
    else:
        raise TypeError(node)
    return path


def _finish(path: Path, node: File | Dir) -> None:
    for name, value in node.xattrs.items():
        os.setxattr(path, name, value)
    path.chmod(node.mode)
    os.utime(path, ns=(node.mtime_ns, node.mtime_ns))


def lines(snapshot: Snapshot, *, skipped: bool = False) -> list[str]:
    """The changes as ``whiteout changes`` prints them."""
    return [
        f"{verdict.kind.value if verdict.kind else 'S'} {os.fsdecode(verdict.path)}"
        for verdict in snapshot.changes(skipped=skipped)
    ]
