"""The words for what is told of a snapshot as a whole: its totals and its findings.

All text given here is printable; see :mod:`whiteout.display`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from whiteout.display import display_name, display_path
from whiteout.remarks import Remark, RemarkKind, Remarks
from whiteout.totals import Sized, Totals


@dataclass(frozen=True, slots=True)
class RemarkWords:
    """How a kind of remark is called, and what it means."""

    title: str
    meaning: str


REMARK_WORDS: dict[RemarkKind, RemarkWords] = {
    RemarkKind.PRIVILEGES: RemarkWords(
        "missing privileges",
        "This process cannot see everything that it should, so what is shown may be wrong, and no "
        "layer is exported.",
    ),
    RemarkKind.UNREADABLE: RemarkWords(
        "unreadable",
        "It could not be read. It is called neither changed nor unchanged, and no layer is "
        "exported while it is so.",
    ),
    RemarkKind.OTHER_CONTENT: RemarkWords(
        "same size and time, other content",
        "Size and time are the same to the nanosecond, but the content differs. BuildKit's rules "
        "do not look at the content then, so the change is not in the layer. Set its time (touch) "
        "before the export to have it recorded.",
    ),
    RemarkKind.NOT_COMPARED: RemarkWords(
        "content not compared",
        "Only size and time say that these files are the same; their contents were not compared "
        "with the base, or could not be read.",
    ),
    RemarkKind.WHITEOUT_NAME: RemarkWords(
        "name like a whiteout",
        "The name of a real entry begins with .wh.: whoever unpacks the layer takes it for a "
        "whiteout, and deletes what it names.",
    ),
    RemarkKind.WHITEOUT_IN_OPAQUE: RemarkWords(
        "whiteout in an opaque directory",
        "The directory hides everything already. The kernel lists such a name and then denies it, "
        "on which BuildKit's overlay differ fails; the layer here deletes what the base has.",
    ),
    RemarkKind.ATTRIBUTES_LOST: RemarkWords(
        "attributes that the layer loses",
        "Of extended attributes only security.capability goes into a layer, as in BuildKit; these "
        "are lost.",
    ),
    RemarkKind.SETUID: RemarkWords(
        "setuid gained",
        "A program that runs with the rights of its owner, which the base does not have so.",
    ),
    RemarkKind.SETGID: RemarkWords(
        "setgid gained",
        "A program that runs with the rights of its group, which the base does not have so.",
    ),
    RemarkKind.CAPABILITY: RemarkWords(
        "capability gained",
        "A program with rights of root (security.capability), which the base does not have so.",
    ),
    RemarkKind.SOCKET: RemarkWords(
        "socket", "A tar archive cannot hold a socket, so the layer lacks it."
    ),
    RemarkKind.ROOT_CHANGED: RemarkWords(
        "root directory changed",
        "The root of the snapshot differs from the base's, but no layer records the root.",
    ),
    RemarkKind.COPIED_UP: RemarkWords(
        "copied up but unchanged",
        "The upper directory holds a copy that is the same as in the base: it takes space there, "
        "and the layer does not hold it.",
    ),
    RemarkKind.WHITEOUT_OF_NOTHING: RemarkWords(
        "whiteout of nothing",
        "It deletes a name that the base does not have, so it is not recorded.",
    ),
    RemarkKind.OPAQUE_WITHOUT_BASE: RemarkWords(
        "opaque without a base",
        "The directory is marked as opaque, but the base has nothing here that it could hide.",
    ),
    RemarkKind.OPAQUE: RemarkWords(
        "opaque directory",
        "It hides everything that the base has here; the layer gets a whiteout for each name.",
    ),
    RemarkKind.OPAQUE_X: RemarkWords(
        "opaque=x",
        "The directory holds whiteouts in the form of attributes, as Linux 6.7 and later make them "
        "in a layer of layers.",
    ),
    RemarkKind.WHITEOUT_ATTRIBUTE: RemarkWords(
        "whiteout as an attribute",
        "An empty file with the attribute overlay.whiteout, which Linux 6.7 and later take for a "
        "whiteout. BuildKit's overlay differ fails on it; here it deletes.",
    ),
    RemarkKind.REDIRECT: RemarkWords(
        "renamed directory (redirect)",
        "What is below comes from another place of the base and is compared name by name. "
        "BuildKit's overlay differ refuses it, and its walking differ answers.",
    ),
    RemarkKind.METACOPY: RemarkWords(
        "metadata only (metacopy)",
        "The upper directory holds its metadata, a lower layer its data; the layer holds both.",
    ),
    RemarkKind.DATA_LAYERS: RemarkWords(
        "data-only layer", "A lower layer that is seen only through metacopies above it."
    ),
    RemarkKind.WALKING: RemarkWords(
        "walking differ",
        "The overlay differ cannot answer here, so both trees are walked and compared.",
    ),
}

#: How each number of the totals is made.
TOTALS_RULES: tuple[tuple[str, str], ...] = (
    (
        "totals",
        "sizes are bytes of content of regular files, not blocks on disk and no tar headers; a "
        "file with several names counts once, under the first recorded of them; a metacopy counts "
        "with the size of its data",
    ),
    ("bytes added", "content of the entries under A"),
    ("bytes modified", "content of the entries under M as they are now; “before” as in the base"),
    (
        "bytes removed",
        "content that the base has and the snapshot shows no more: under D, with all that was "
        "below; and what was replaced by something of another type. “at least” where a removed "
        "directory cannot be listed",
    ),
    (
        "of a directory",
        "bytes under A and M below it, and bytes removed below it; “…” while it is still being "
        "read. The 100 largest are listed",
    ),
)


def remark_title(remark: Remark) -> str:
    """The kind of *remark* in a few words, with what is special about it."""
    title = REMARK_WORDS[remark.kind].title
    detail = remark_detail(remark)
    return f"{title}: {detail}" if detail else title


def remark_detail(remark: Remark) -> str:
    """What is special about *remark*; empty where nothing is."""
    kind, detail = remark.kind, display_name(remark.detail)
    if kind is RemarkKind.NOT_COMPARED and remark.path == b"/":
        return f"{detail} files"
    if kind is RemarkKind.SETUID:
        return f"owner {detail}"
    if kind is RemarkKind.SETGID:
        return f"group {detail}"
    if kind is RemarkKind.REDIRECT:
        return f"was {detail}"
    if remark.size and not detail:
        return f"{remark.size:,} byte" if remark.size == 1 else f"{remark.size:,} bytes"
    return detail


def totals_lines(totals: Totals, largest: int) -> Iterator[str]:
    """The totals as lines of text, with the *largest* directories and files."""
    yield from _sums(totals)
    for title, items in (("directories", totals.directories), ("files", totals.files)):
        if items[:largest]:
            yield f"\nlargest {title}"
        yield from map(_sized_line, items[:largest])


def _sized_line(item: Sized) -> str:
    removed = f"  ({item.removed:,} removed)" if item.removed else ""
    kind = f"{item.kind.value} " if item.kind is not None else ""
    return f"{item.size:>17,}  {kind}{display_path(item.path)}{removed}"


def _sums(totals: Totals) -> Iterator[str]:
    rows = [
        ("added", totals.added.entries, totals.added.size, ""),
        ("modified", totals.modified.entries, totals.modified.size, f"before {totals.before:,}"),
        ("deleted", totals.deleted, None, ""),
        ("unmodified", totals.unmodified, None, ""),
        ("skipped", totals.skipped, None, ""),
    ]
    if totals.unreadable:
        rows.append(("unreadable", totals.unreadable, None, ""))
    removed = totals.removed
    at_least = "at least, a directory cannot be listed" if totals.unlisted else ""
    rows.append(("removed", removed.entries, removed.size, at_least))
    for name, entries, size, note in rows:
        line = f"{name:<11} {entries:>11,} {'entry' if entries == 1 else 'entries'}"
        if size is not None:
            line = f"{line:<32} {size:>17,} bytes"
        yield f"{line}  ({note})" if note else line


def finding_lines(remarks: Remarks) -> Iterator[str]:
    """The findings as lines of text, each kind under its title and meaning."""
    counts = dict(remarks.counts)
    last: RemarkKind | None = None
    for remark in remarks.kept:
        if remark.kind is not last:
            if last is not None:
                yield from _more(counts[last], remarks.kept, last)
                yield ""
            last = remark.kind
            words = REMARK_WORDS[last]
            yield f"{last.level.value}: {words.title} ({counts[last]:,})"
            yield f"  {words.meaning}"
        detail = remark_detail(remark)
        yield f"  {display_path(remark.path)}" + (f"  ({detail})" if detail else "")
    if last is not None:
        yield from _more(counts[last], remarks.kept, last)


def _more(count: int, kept: tuple[Remark, ...], kind: RemarkKind) -> Iterator[str]:
    shown = sum(remark.kind is kind for remark in kept)
    if count > shown:
        yield f"  and {count - shown:,} more"
