"""The guided tour: rows of the demo in the order in which they are best understood."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One stop: a row, where to look, and what is to be seen there.

    ``tab`` is the position of a tab of the detail, None where the tree itself is to be looked at.
    """

    path: bytes
    title: str
    text: str
    tab: int | None = 0


_WHY, _SIDES, _TAR, _CONTENT, _LAYERS = range(5)

STEPS: tuple[Step, ...] = (
    Step(
        b"/",
        "what changed",
        "The tree is what the snapshot changed: A added, M modified, D deleted, · skipped. The top "
        "line counts them. Right goes on, left back.",
        tab=None,
    ),
    Step(
        b"/deleted-file.txt",
        "whiteout",
        "Lower layers never change, so a deletion leaves a mark in the upper directory: a whiteout "
        "(w). The layer says it by an empty file .wh.NAME.",
    ),
    Step(
        b"/etc",
        "merged directory",
        "It is in the upper directory only because entries in it changed. It is skipped itself "
        "(·); what it did not touch comes from below.",
    ),
    Step(
        b"/copied-up-but-the-same.txt",
        "copy-up, skipped",
        "Opened for writing, so copied up whole; nothing changed. Both sides are equal, so the "
        "layer does not hold it: it only takes space.",
        _SIDES,
    ),
    Step(
        b"/same-size-and-time-but-other-content.txt",
        "same size and time",
        "The trap: where size and time are equal to the nanosecond, BuildKit reads no content. This"
        " one did change, and no layer will hold it.",
        _CONTENT,
    ),
    Step(
        b"/opaque-directory",
        "opaque",
        "Deleted and made again (O): it hides all that the base has here. So both sides are "
        "compared name by name, and each hidden name gets a whiteout.",
    ),
    Step(
        b"/hard-links/second-name.txt",
        "hard links",
        "One file, two names (H). The first name in the layer carries the content; the tar entry of"
        " this one is a link to it, of no size.",
        _TAR,
    ),
    Step(
        b"/redirect-new-name",
        "redirect",
        "A renamed directory (r). The upper holds only where it was; what is in it is still in a "
        "lower layer. The layer holds it all under the new name.",
    ),
    Step(
        b"/metacopy-only-mode-changed.txt",
        "metacopy",
        "After chmod only the metadata was copied up (m); the data is still in a lower layer. The "
        "layer nevertheless holds the whole file.",
        _SIDES,
    ),
    Step(
        b"/odd-names/not-utf-8-\xff\xfe",
        "tar entry",
        "These are the exact headers that the layer gets, and where in the tar they are. What a "
        "plain header cannot say, a PAX record does.",
        _TAR,
    ),
    Step(
        b"/back-to-the-oldest-version.txt",
        "layers",
        "What each layer holds for this path, the topmost first, and who hides whom. The snapshot "
        "has the oldest content again, and yet it is a change.",
        _LAYERS,
    ),
    Step(
        b"/odd-names/.wh.not-a-whiteout",
        "findings",
        "A real file with the name of a whiteout: unpacked, it deletes. F lists all that deserves "
        "attention so, Enter there goes to its row.",
    ),
    Step(
        b"/big-added-file.txt",
        "export and digests",
        "e writes the layer to a store: diffID is the digest of the tar, digest that of the blob "
        "as compressed. That was all: i explains the words, ? the keys.",
        _TAR,
    ),
)


def steps_in(paths: Collection[bytes]) -> tuple[Step, ...]:
    """The steps whose rows are among *paths*: those of the demo that is open."""
    return tuple(step for step in STEPS if step.path in paths)
