"""Layers of other engines beside ours, entry by entry: each difference has a name or is a fault.

``docs/engines.md`` has the names as a table.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from whiteout.snapshot import Snapshot
from whiteout.verdicts import ChangeKind, Reason, Verdict

_OPAQUE = b".wh..wh..opq"
#: What podman makes in a container for what it mounts there, and leaves out of ``podman diff``
#: (``initInodes`` in its ``libpod/diff.go``).
_OF_PODMAN = frozenset(
    b"/dev /etc/hostname /etc/hosts /etc/mtab /etc/resolv.conf /proc /run /run/.containerenv"
    b" /run/notify /run/secrets /sys".split()
)
_WHITEOUT = b".wh."


@dataclass(frozen=True, slots=True)
class Recorded:
    """What matters of one entry of a layer."""

    type: bytes
    permissions: int
    uid: int
    gid: int
    size: int
    mtime: int
    target: str
    device: tuple[int, int]
    content: str
    capability: str

    @property
    def is_directory(self) -> bool:
        return self.type == tarfile.DIRTYPE


Entries = dict[bytes, Recorded]


def entries(layer: bytes) -> Entries:
    """The entries of an uncompressed layer by their names, without a slash at the end."""
    found: Entries = {}
    with tarfile.open(fileobj=io.BytesIO(layer), encoding="utf-8", errors="surrogateescape") as tar:
        for member in tar:
            name = os.fsencode(member.name)
            assert name not in found, name
            content = tar.extractfile(member) if member.isreg() else None
            found[name] = Recorded(
                type=member.type,
                permissions=stat.S_IMODE(member.mode),
                uid=member.uid,
                gid=member.gid,
                size=member.size,
                mtime=int(member.mtime),
                target=member.linkname if member.islnk() or member.issym() else "",
                device=(member.devmajor, member.devminor) if member.isdev() else (0, 0),
                content="" if content is None else hashlib.sha256(content.read()).hexdigest(),
                capability=member.pax_headers.get("SCHILY.xattr.security.capability", ""),
            )
    return found


def archived_layers(archive: Path) -> list[bytes]:
    """The layers of a docker-archive, the lowest first."""
    with tarfile.open(archive) as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest is not None
        found = []
        for name in json.load(manifest)[0]["Layers"]:
            layer = tar.extractfile(name)
            assert layer is not None
            found.append(layer.read())
        return found


def differences(theirs: Entries, ours: Entries, snapshot: Snapshot) -> set[str]:
    """The names of all differences between the two layers of *snapshot*.

    Raises:
        AssertionError: there is a difference without a name.
    """
    found = set()
    for name in {**theirs, **ours}:
        if theirs.get(name) != ours.get(name):
            found.add(_named(name, theirs, ours, snapshot))
    return found


def _named(name: bytes, theirs: Entries, ours: Entries, snapshot: Snapshot) -> str:
    directory, _, last = name.rpartition(b"/")
    inside = directory + b"/" if directory else b""
    their, our = theirs.get(name), ours.get(name)
    if last == _OPAQUE:
        assert our is None
        return "opaque directory: one mark"
    if last.startswith(_WHITEOUT):
        hidden = b"/" + inside + last.removeprefix(_WHITEOUT)
        if their is None:
            assert inside + _OPAQUE in theirs, name
            return "opaque directory: one whiteout for each name"
        if our is None:
            assert snapshot.explain(hidden).reason is Reason.WHITEOUT_OF_NOTHING, name
            return "whiteout of nothing"
        assert replace(their, permissions=0, mtime=0) == our, (their, our)
        return "mode and time of a whiteout"
    if our is None:
        verdict = snapshot.explain(b"/" + name)
        assert verdict.reason is Reason.SAME, (name, verdict)
        assert verdict.upper is not None
        return "unchanged directory" if verdict.upper.is_directory else "unchanged file"
    raise AssertionError((name, their, our))


def diff_differences(
    theirs: Iterable[tuple[str, bytes]], snapshot: Snapshot
) -> tuple[set[str], set[tuple[str, bytes]]]:
    """Names of the differences between ``docker diff`` or ``podman diff`` and our change list.

    *theirs* are lines such as ``("C", b"/etc")``. Gives the names, and the lines that agree.

    Raises:
        AssertionError: there is a difference without a name.
    """
    letters = {ChangeKind.ADD: "A", ChangeKind.MODIFY: "C", ChangeKind.DELETE: "D"}
    verdicts = {verdict.path: verdict for verdict in snapshot.changes(skipped=True)}
    ours = {
        (letters[verdict.kind], path)
        for path, verdict in verdicts.items()
        if verdict.kind in letters
    }
    listed = set(theirs)
    found = {_named_line(*line, verdicts.get(line[1])) for line in listed - ours}
    for letter, path in ours - listed:
        found.add(_missing_line(letter, path, listed))
    return found, ours & listed


def _named_line(letter: str, path: bytes, verdict: Verdict | None) -> str:
    assert verdict is not None, (letter, path)
    if letter == "D" and verdict.upper is not None and verdict.opaque.value == "yes":
        return "opaque directory: deleted and what is new in it added"
    if letter == "D":
        assert verdict.reason is Reason.WHITEOUT_OF_NOTHING, (letter, path, verdict)
        return "whiteout of nothing"
    assert letter == "C" and verdict.reason is Reason.SAME, (letter, path, verdict)
    assert verdict.upper is not None
    return "unchanged directory" if verdict.upper.is_directory else "unchanged file"


def _missing_line(letter: str, path: bytes, listed: set[tuple[str, bytes]]) -> str:
    if path in _OF_PODMAN:
        return "what podman makes for its own mounts"
    above = path
    while above != b"/":
        above = os.path.dirname(above)
        if ("D", above) in listed:
            return "opaque directory: deleted and what is new in it added"
    raise AssertionError((letter, path))


def diff_lines(output: str) -> list[tuple[str, bytes]]:
    """The lines that ``docker diff`` and ``podman diff`` print."""
    return [(line[0], os.fsencode(line[2:])) for line in output.splitlines()]
