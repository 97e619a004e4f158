"""Commands for a shell that do what the app does, with every path quoted."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from whiteout.differ import Rules
from whiteout.entries import EntryType
from whiteout.idmap import IdRange
from whiteout.layers import Marks
from whiteout.metadata import Inspection
from whiteout.snapshot import Snapshot
from whiteout.steps import Effect, effect_of
from whiteout.verdicts import ChangeKind, Method
from whiteout.verity import Verity
from whiteout_tui.shell import shell_word

_SPECIAL_IN_OPTIONS = re.compile(rb"[\\:,]")
_PACKED = (Effect.ENTRY, Effect.ENTRY_OR_LINK)


@dataclass(frozen=True, slots=True)
class Command:
    """A command, and what it does."""

    label: str
    text: str


def commands_for(snapshot: Snapshot, inspection: Inspection) -> tuple[Command, ...]:
    """What does the same in a shell for a snapshot, and for one entry of it.

    There is nothing for layers in an archive, whose paths lead nowhere.
    """
    return () if snapshot.in_archive else tuple(_commands(snapshot, inspection))


def _commands(snapshot: Snapshot, inspection: Inspection) -> Iterator[Command]:
    verdict = inspection.verdict
    words = snapshot_words(snapshot)
    if words is not None:
        yield Command("explain", f"whiteout explain {words} {shell_word(verdict.path)}")
        yield Command("export", f"whiteout export {words}")
    mount = mount_command(snapshot)
    if mount is not None:
        yield Command("mount", mount)
    upper, base = inspection.upper, inspection.base
    if upper is not None and effect_of(verdict).effect in _PACKED:
        path = upper.host_path
        top = path[: -len(verdict.path)] if path.endswith(verdict.path) else os.path.dirname(path)
        inside = path[len(top) :].lstrip(b"/")
        yield Command(
            "tar",
            f"tar --create --no-recursion --numeric-owner --file entry.tar --directory"
            f" {shell_word(top)} -- {shell_word(b'./' + inside)}",
        )
    if upper is None or base is None or verdict.kind is not ChangeKind.MODIFY:
        return
    if upper.entry.type is base.entry.type is EntryType.FILE:
        sides = f"{shell_word(base.host_path)} {shell_word(upper.host_path)}"
        yield Command("diff", f"diff --unified -- {sides}")


def snapshot_words(snapshot: Snapshot) -> str | None:
    """The arguments that name *snapshot* to the program; None where it is no plain pair."""
    upperdir = snapshot.upperdir
    below = tuple(layer.path for layer in snapshot.base)
    if (
        upperdir is None
        or not below
        or snapshot.data_layers
        or tuple(layer.path for layer in snapshot.merged) != (upperdir, *below)
    ):
        return None
    words = [shell_word(_absolute(upperdir))]
    for path in below:
        words += ["--lower", shell_word(_absolute(path))]
    if _has_user_marks(snapshot):
        words.append("--userxattr")
    if snapshot.method is Method.WALKING:
        words += ["--differ", "walking"]
    if snapshot.rules is Rules.ORIGINAL:
        words += ["--rules", "original"]
    idmap = snapshot.merged[0].idmap
    if idmap is not None:
        if not (idmap.uids and idmap.gids):
            return None
        words += [f"--uidmap {_range(part)}" for part in idmap.uids]
        words += [f"--gidmap {_range(part)}" for part in idmap.gids]
        if snapshot.base[0].idmap is None:
            words.append("--mapped upper")
    return " ".join(words)


def mount_command(snapshot: Snapshot) -> str | None:
    """How the kernel shows what *snapshot* shows, read-only; None where no overlay does."""
    layers = [_absolute(layer.path) for layer in snapshot.merged]
    mapped = any(layer.idmap is not None for layer in snapshot.merged)
    if len(layers) < 2 or snapshot.data_layers or mapped:
        return None
    escaped = b":".join(_SPECIAL_IN_OPTIONS.sub(rb"\\\g<0>", path) for path in layers)
    options = b"ro,lowerdir=" + escaped + _following_options(snapshot)
    return f"mount -t overlay overlay -o {shell_word(options)} /mnt"


def _following_options(snapshot: Snapshot) -> bytes:
    """What makes the kernel follow what the snapshot follows; with userxattr it takes neither."""
    following = snapshot.following
    if _has_user_marks(snapshot):
        return b",userxattr"
    options = b""
    if not following.redirects:
        options += b",redirect_dir=nofollow"
    if following.metacopy:
        options += b",metacopy=on"
    if following.verity is not Verity.OFF:
        options += b",verity=" + following.verity.value.encode()
    return options


def _has_user_marks(snapshot: Snapshot) -> bool:
    return any(layer.marks is Marks.USER for layer in (*snapshot.base, *snapshot.merged))


def _range(part: IdRange) -> str:
    return f"{part.inside}:{part.outside}:{part.count}"


def _absolute(path: bytes) -> bytes:
    return os.path.abspath(path)
