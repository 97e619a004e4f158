"""The golden cases: snapshots as data, built again with real overlay mounts, and their answers.

``tests/golden/README.md`` documents the format.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.overlay import mount_overlay, unmount

CASES = Path(__file__).parent.parent / "golden" / "cases"

#: One recorded operation, and one decoded tar header: both are plain JSON objects.
Operation = Mapping[str, Any]
Header = dict[str, Any]
Change = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Layer:
    """How one layer directory is made."""

    via: str
    options: tuple[str, ...]
    directory_mtime_ns: int
    operations: tuple[Operation, ...]
    raw_operations: tuple[Operation, ...]
    pins: Mapping[bytes, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a real program said. ``changes`` and ``diff_id`` are None where it failed."""

    changes: tuple[Change, ...] | None
    diff_id: str | None
    size: int


@dataclass(frozen=True, slots=True)
class SnapshotCase:
    """One golden case. Mount sources hold ``{root}`` for the directory it is built in."""

    name: str
    description: str
    layers: tuple[Layer, ...]
    lower: tuple[Mapping[str, Any], ...]
    upper: tuple[Mapping[str, Any], ...]
    buildkit: Answer
    walking: Answer
    original: Answer
    headers: tuple[Header, ...]

    def mounts(self, root: Path) -> dict[str, Any]:
        """The document for ``--mounts`` of this case built in *root*."""
        text = json.dumps({"lower": self.lower, "upper": self.upper})
        document: dict[str, Any] = json.loads(text.replace("{root}", json.dumps(str(root))[1:-1]))
        return document

    def layer_directories(self, root: Path) -> list[Path]:
        """The layers in *root*, bottommost first."""
        return [root / f"l{index}" / "fs" for index in range(len(self.layers))]

    def build(self, root: Path) -> None:
        """Build every layer in *root*, a new directory.

        Raises:
            OSError: this process may not do what it takes, such as mounting.
        """
        (root / "m").mkdir(parents=True)
        directory = Path.cwd()
        mask = os.umask(0)
        os.chdir(root)  # short relative options: a mount takes no more than a page of them
        try:
            for index, layer in enumerate(self.layers):
                _build_layer(index, layer)
        finally:
            os.chdir(directory)
            os.umask(mask)


def case_names() -> list[str]:
    return sorted(path.stem for path in CASES.glob("*.json"))


def load_case(name: str) -> SnapshotCase:
    data = json.loads((CASES / f"{name}.json").read_text())
    return SnapshotCase(
        name=data["name"],
        description=data["description"],
        layers=tuple(map(_layer, data["layers"])),
        lower=tuple(data["lower"]),
        upper=tuple(data["upper"]),
        buildkit=_answer(data["buildkit"]),
        walking=_answer(data["walking"]),
        original=_answer(data["original"]),
        headers=tuple(data["headers"]),
    )


def _layer(data: Mapping[str, Any]) -> Layer:
    return Layer(
        via=data["via"],
        options=tuple(data.get("options", ())),
        directory_mtime_ns=data["dir_mtime_ns"],
        operations=tuple(data["ops"]),
        raw_operations=tuple(data.get("raw_ops", ())),
        pins={os.fsencode(path): time for path, time in data.get("pins", {}).items()},
    )


def _answer(data: Mapping[str, Any]) -> Answer:
    changes = data.get("changes")
    return Answer(
        changes=None if changes is None else changes_of(changes),
        diff_id=data.get("diffID"),
        size=data.get("size", 0),
    )


def changes_of(changes: Sequence[Sequence[str]]) -> tuple[Change, ...]:
    return tuple((kind, os.fsencode(path)) for kind, path in changes)


def _build_layer(index: int, layer: Layer) -> None:
    """Build one layer in the current directory, where the layers below are built."""
    base, upper, work = b"l%d" % index, b"l%d/fs" % index, b"l%d/work" % index
    for directory in (base, upper, work):
        os.mkdir(directory, 0o755)
    times: dict[bytes, int] = {}
    if layer.via == "overlay":
        lower = b":".join(b"l%d/fs" % below for below in reversed(range(index)))
        places = (b"lowerdir=" + lower, b"upperdir=" + upper, b"workdir=" + work)
        mount_overlay(b"m", [*map(os.fsencode, layer.options), *places])
        try:
            _apply(b"m", layer.operations, times)
        finally:
            unmount(b"m")
    else:
        _apply(upper, layer.operations, times)
    _apply(upper, layer.raw_operations, times)
    _set_times(upper, layer, times)


def _set_times(upper: bytes, layer: Layer, times: Mapping[bytes, int]) -> None:
    for directory, _, _ in os.walk(upper, topdown=False):
        path = os.path.relpath(directory, upper)
        _set_mtime(directory, layer.pins.get(path, times.get(path, layer.directory_mtime_ns)))
    for path, time in layer.pins.items():
        target = os.path.join(upper, path)
        if os.path.lexists(target) and not stat.S_ISDIR(os.lstat(target).st_mode):
            _set_mtime(target, time)


def _set_mtime(path: bytes, time: int) -> None:
    os.utime(path, ns=(time, time), follow_symlinks=False)


def _apply(top: bytes, operations: Sequence[Operation], times: dict[bytes, int]) -> None:
    for operation in operations:
        _apply_one(top, operation)
        if operation["op"] == "mkdir":
            path = os.fsencode(operation["path"])
            times.pop(path, None)
            if "mtime_ns" in operation:
                times[path] = operation["mtime_ns"]


def _apply_one(top: bytes, operation: Operation) -> None:
    path = os.path.join(top, os.fsencode(operation["path"]))
    match operation["op"]:
        case "mkdir":
            os.mkdir(path)
            _set_metadata(path, {"mode": 0o755, **operation})
        case "file":
            new = not os.path.lexists(path)
            _write_file(path, operation["content"])
            _set_metadata(path, {"mode": 0o644, **operation} if new else operation)
        case "write":
            with open(path, "r+b", buffering=0) as file:
                file.seek(operation.get("offset", 0))
                for chunk in content(operation["content"]):
                    file.write(chunk)
            _set_metadata(path, operation)
        case "truncate":
            os.truncate(path, operation["size"])
            _set_metadata(path, operation)
        case "symlink":
            os.symlink(os.fsencode(operation["target"]), path)
            _set_metadata(path, operation)
        case "link":
            target = os.path.join(top, os.fsencode(operation["target"]))
            os.link(target, path, follow_symlinks=False)
        case "fifo":
            os.mkfifo(path)
            _set_metadata(path, {"mode": 0o644, **operation})
        case "socket":
            os.mknod(path, stat.S_IFSOCK | 0o755)
            _set_metadata(path, {"mode": 0o755, **operation})
        case "mknod":
            kind = {"c": stat.S_IFCHR, "b": stat.S_IFBLK}[operation["type"]]
            os.mknod(path, kind | 0o600, os.makedev(operation["major"], operation["minor"]))
            _set_metadata(path, {"mode": 0o600, **operation})
        case "chmod" | "chown" | "utime":
            _set_metadata(path, operation)
        case "setxattr":
            value = bytes.fromhex(operation["value_hex"])
            os.setxattr(path, operation["name"], value, follow_symlinks=False)
        case "removexattr":
            os.removexattr(path, operation["name"], follow_symlinks=False)
        case "rm":
            if stat.S_ISDIR(os.lstat(path).st_mode):
                os.rmdir(path)
            else:
                os.unlink(path)
        case "rmtree":
            shutil.rmtree(path)
        case "rename":
            os.rename(path, os.path.join(top, os.fsencode(operation["to"])))
        case unknown:
            raise ValueError(f"unknown operation {unknown}")


def _set_metadata(path: bytes, operation: Operation) -> None:
    if "uid" in operation or "gid" in operation:
        owner = operation.get("uid", -1), operation.get("gid", -1)
        os.chown(path, *owner, follow_symlinks=False)
    if "mode" in operation and not os.path.islink(path):
        os.chmod(path, operation["mode"])
    for name, value in operation.get("xattrs", {}).items():
        os.setxattr(path, name, bytes.fromhex(value), follow_symlinks=False)
    if "mtime_ns" in operation:
        _set_mtime(path, operation["mtime_ns"])


def _write_file(path: bytes, what: Mapping[str, Any]) -> None:
    with open(path, "wb", buffering=0) as file:
        if what["kind"] == "zero":
            file.truncate(what["size"])
        else:
            for chunk in content(what):
                file.write(chunk)


def content(what: Mapping[str, Any], chunk: int = 1 << 20) -> Iterator[bytes]:
    """The bytes that a content description stands for."""
    if what["kind"] == "lit":
        yield what["data"].encode("latin-1")
        return
    seed, left = what["seed"].encode(), what["size"]
    lines = what["kind"] == "text"
    pending = bytearray()
    index = 0
    while left > 0:
        digest = hashlib.sha256(seed + b":%d" % index).digest()
        index += 1
        pending += digest.hex().encode() + b"\n" if lines else digest
        if len(pending) >= min(chunk, left):
            out = bytes(pending[:left])
            left -= len(out)
            pending.clear()
            yield out
