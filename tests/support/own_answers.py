"""The right answers for golden cases in which the real programs fail or answer wrongly.

Each is reasoned from the merged view that the kernel shows of the case, listed by the rules of the
overlay differ. ``docs`` has the same table for users.
"""

from __future__ import annotations

from dataclasses import dataclass

from support.snapshot_case import Change, Header, changes_of

_DIRECTORY = {"type": "5", "mode": "0o755", "mtime": 1650001000}
_WHITEOUT = {"type": "0", "mode": "0o0", "mtime": 0}


@dataclass(frozen=True, slots=True)
class OwnAnswer:
    """Changes and decoded layer of one case, for the overlay and the walking differ alike."""

    changes: tuple[Change, ...]
    headers: tuple[Header, ...]


def _directory(name: str) -> Header:
    return {"name": name, **_DIRECTORY}


def _whiteout(name: str) -> Header:
    return {"name": name, **_WHITEOUT}


OWN_ANSWERS = {
    # The file was only chmodded: its content is that of the layer below, which is what a mount
    # with metacopy=on shows. The real programs mount without it and are refused (EPERM).
    "metacopy_hidden": OwnAnswer(
        changes_of([["M", "/usr/bin/a"]]),
        (
            _directory("usr/"),
            _directory("usr/bin/"),
            {
                "name": "usr/bin/a",
                "type": "0",
                "mode": "0o700",
                "mtime": 1600000000,
                "size": 5000,
                "sha256": "8a052c9840a07ab177d8aa7886dda25bfeafced3a105898f87378f35a65f624f",
            },
        ),
    ),
    # /a, /a/b and /a/b/c are opaque: the view holds a/3 (equal), a/b, a/b/c and a/b/c/new, and no
    # whiteout shows in it. What the base has beyond that is deleted: a/b/2 and a/b/c/1.
    "opaque_3deep_raw": OwnAnswer(
        changes_of([["D", "/a/b/2"], ["D", "/a/b/c/1"], ["A", "/a/b/c/new"]]),
        (
            _directory("a/"),
            _directory("a/b/"),
            _whiteout("a/b/.wh.2"),
            _directory("a/b/c/"),
            _whiteout("a/b/c/.wh.1"),
            {
                "name": "a/b/c/new",
                "type": "0",
                "mode": "0o644",
                "mtime": 1700000000,
                "size": 2,
                "sha256": "73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac",
            },
        ),
    ),
    # /o is opaque: the view holds o/b (equal content) and an empty o/s. The whiteouts delete
    # nothing that the opaque directory does not hide already; o/nothere was never there.
    "opaque_whiteouts_inside": OwnAnswer(
        changes_of(
            [
                ["D", "/o/a"],
                ["D", "/o/c"],
                ["D", "/o/del"],
                ["D", "/o/s/t"],
                ["D", "/o/s/x"],
                ["D", "/o/s/y"],
            ]
        ),
        (
            _directory("o/"),
            _whiteout("o/.wh.a"),
            _whiteout("o/.wh.c"),
            _whiteout("o/.wh.del"),
            _directory("o/s/"),
            _whiteout("o/s/.wh.t"),
            _whiteout("o/s/.wh.x"),
            _whiteout("o/s/.wh.y"),
        ),
    ),
    # A directory replaces the file top.txt; the whiteout in it hides nothing, since the base has
    # nothing below a file.
    "whiteout_under_file": OwnAnswer(changes_of([["M", "/top.txt"]]), (_directory("top.txt/"),)),
}

#: Only the walking differ fails: the kernel lists the whiteout ``newdir/x`` and does not find it.
#: It shows nothing there, so the answer is that of the overlay differ.
WALKING_AS_OVERLAY = frozenset({"whiteout_absent"})
