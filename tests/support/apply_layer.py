"""A small and strict applier of OCI layers, for tests only.

It follows the image spec's layer rules (entries, whiteouts, hard links) and refuses whatever a
well-made layer does not hold: an entry twice, an entry before its directory, a whiteout of nothing,
a link to nothing, and names that lead out of the tree.
"""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from typing import BinaryIO

_WHITEOUT = b".wh."
_CAPABILITY_RECORD = "SCHILY.xattr.security.capability"


class BadLayer(Exception):
    """The layer breaks a rule."""


def apply_layer(layer: BinaryIO, top: bytes) -> set[bytes]:
    """Apply the uncompressed *layer* to the tree at *top*; gives the paths that it recorded.

    Raises:
        BadLayer: the layer breaks a rule.
    """
    seen: set[bytes] = set()
    directories: list[tuple[bytes, int]] = []
    with tarfile.open(fileobj=layer, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
        for member in tar:
            name = os.fsencode(member.name)
            path = _inside(top, name)
            if name in seen:
                raise BadLayer(f"{name!r} is there twice")
            seen.add(name)
            base = os.path.basename(name)
            if base.startswith(_WHITEOUT):
                _remove(os.path.join(os.path.dirname(path), base.removeprefix(_WHITEOUT)))
                continue
            _make(tar, member, path, top)
            _set_metadata(member, path)
            if member.isdir():
                directories.append((path, int(member.mtime)))
    for path, mtime in reversed(directories):
        os.utime(path, (mtime, mtime))
    return {b"/" + name for name in seen}


def _inside(top: bytes, name: bytes) -> bytes:
    """The place of *name* below *top*, when every directory on the way is a real one."""
    parts = name.split(b"/")
    if any(part in (b"", b".", b"..") for part in parts):
        raise BadLayer(f"{name!r} is no clean relative path")
    place = top
    for part in parts[:-1]:
        place = os.path.join(place, part)
        if not os.path.lexists(place) or not stat.S_ISDIR(os.lstat(place).st_mode):
            raise BadLayer(f"{name!r} comes before its directory")
    return os.path.join(place, parts[-1])


def _remove(path: bytes) -> None:
    if not os.path.lexists(path):
        raise BadLayer(f"a whiteout of {path!r}, where there is nothing")
    if stat.S_ISDIR(os.lstat(path).st_mode):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _make(tar: tarfile.TarFile, member: tarfile.TarInfo, path: bytes, top: bytes) -> None:
    exists = os.path.lexists(path)
    if member.isdir():
        if exists and stat.S_ISDIR(os.lstat(path).st_mode):
            return
        if exists:
            os.unlink(path)
        os.mkdir(path)
        return
    if member.islnk():
        target = _inside(top, os.fsencode(member.linkname))
        if not os.path.lexists(target):
            raise BadLayer(f"{member.name!r} is a link to nothing")
        if exists:
            if os.path.samefile(os.path.dirname(target), os.path.dirname(path)) and (
                os.path.basename(target) == os.path.basename(path)
            ):
                raise BadLayer(f"{member.name!r} is a link to itself")
            _remove(path)
        os.link(target, path, follow_symlinks=False)
        return
    if exists:
        _remove(path)
    if member.isreg():
        content = tar.extractfile(member)
        assert content is not None
        with open(path, "xb") as file:
            shutil.copyfileobj(content, file)
    elif member.issym():
        os.symlink(os.fsencode(member.linkname), path)
    elif member.isfifo():
        os.mkfifo(path)
    elif member.ischr() or member.isblk():
        kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
        os.mknod(path, kind | 0o600, os.makedev(member.devmajor, member.devminor))
    else:
        raise BadLayer(f"{member.name!r} is of the unknown type {member.type!r}")


def _set_metadata(member: tarfile.TarInfo, path: bytes) -> None:
    os.chown(path, member.uid, member.gid, follow_symlinks=False)
    if not os.path.islink(path):
        os.chmod(path, member.mode)
    record = member.pax_headers.get(_CAPABILITY_RECORD)
    if record is not None:
        value = record.encode("utf-8", "surrogateescape")
        os.setxattr(path, "security.capability", value, follow_symlinks=False)
    os.utime(path, (int(member.mtime), int(member.mtime)), follow_symlinks=False)
