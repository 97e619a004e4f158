"""How large a layer will be, told from the totals of its snapshot before anything is written."""

from __future__ import annotations

from dataclasses import dataclass

from whiteout.tarheader import BLOCK, END_OF_ARCHIVE
from whiteout.totals import Totals


@dataclass(frozen=True, slots=True)
class Estimate:
    """Entries, and bytes of the uncompressed tar."""

    entries: int
    tar_size: int


def estimate_layer(totals: Totals) -> Estimate:
    """What *totals* lead one to expect of the layer.

    A recorded entry counts as one header of 512 bytes, its content with half a block of padding,
    and the end of the archive as two blocks. Left out is what the totals do not tell: unchanged
    directories above an entry, which get a header too, and PAX records; and sockets, which get
    none, are counted.
    """
    content = totals.added.size + totals.modified.size
    files = totals.added.entries + totals.modified.entries
    padding = files * (BLOCK // 2) if content else 0
    size = totals.recorded * BLOCK + content + min(padding, content) + len(END_OF_ARCHIVE)
    return Estimate(totals.recorded, size)
