"""The words for a verdict: every sentence that explains one, in one place.

All text given here is printable; see :mod:`whiteout.display`.
"""

from __future__ import annotations

import stat

from whiteout.comparison import Fact
from whiteout.display import display_name, display_path
from whiteout.entries import Entry, EntryType
from whiteout.steps import Effect, Question, Step, effect_of, steps_of
from whiteout.verdicts import ChangeKind, Method, Reason, Verdict

_HEADLINES = {
    Reason.ROOT: "The root directory is never recorded.",
    Reason.ADDED: "Added: the base has nothing of this name.",
    Reason.ADDED_IN_NEW: "Added: it is in a directory that the base does not have.",
    Reason.ADDED_UNDER_FILE: "Added: where its parent is, the base has no directory.",
    Reason.MODIFIED: "Modified: it differs from what the base has.",
    Reason.DELETED: "Deleted: a whiteout stands in for it.",
    Reason.WHITEOUT_OF_NOTHING: "Skipped: a whiteout, but the base has nothing to delete here.",
    Reason.MISSING: "Deleted: the base has it, the snapshot does not show it.",
    Reason.LINKED: "Unmodified, but one of several names of the same file.",
    Reason.REMOVED_WITH_PARENT: "Gone, because a directory above it is gone.",
    Reason.UNTOUCHED: "Untouched: only the base has it.",
    Reason.UNREADABLE: "Unreadable: nothing can be said about it.",
}


def headline(verdict: Verdict) -> str:
    """The verdict in one sentence."""
    if verdict.reason is Reason.SAME:
        if verdict.upper is not None and verdict.upper.is_directory:
            return "Skipped: the directory itself is unchanged; it only carries what is below it."
        return "Skipped: it was copied up, but it is the same as in the base."
    return _HEADLINES[verdict.reason]


def kind_word(verdict: Verdict) -> str:
    """One word for the kind: added, modified, deleted, unmodified, skipped, removed, unreadable."""
    if verdict.reason is Reason.UNREADABLE:
        return "unreadable"
    if verdict.reason is Reason.REMOVED_WITH_PARENT:
        return "removed"
    return _KINDS[verdict.kind]


_KINDS = {
    ChangeKind.ADD: "added",
    ChangeKind.MODIFY: "modified",
    ChangeKind.DELETE: "deleted",
    ChangeKind.UNMODIFIED: "unmodified",
    None: "skipped",
}


_STEPS = {
    (Question.ROOT, "yes"): "This is the root. Neither BuildKit nor containerd records it, so a"
    " change of its mode or owner is not in any layer.",
    (Question.READABLE, "no"): "It could not be read, so it is neither called changed nor"
    " unchanged.",
    (Question.PARENT, "removed"): "A directory above it was removed or replaced; the whiteout up"
    " there takes this along.",
    (Question.PARENT, "compared-by-name"): "Its directory is compared name by name: what the base"
    " lists there against what the snapshot shows.",
    (Question.UPPER, "yes"): "The upper directory has an entry for it.",
    (Question.UPPER, "no"): "The snapshot has no entry for it.",
    (Question.WHITEOUT, "no"): "It is no whiteout.",
    (Question.WHITEOUT, "device"): "It is a whiteout: a character device with the numbers 0:0,"
    " which overlayfs leaves where a name was deleted.",
    (
        Question.WHITEOUT,
        "file",
    ): "It is a whiteout: a file .wh.NAME, which fuse-overlayfs leaves"
    " where it may make no device.",
    (Question.WHITEOUT, "attribute"): "It is a whiteout: an empty file with the attribute"
    " overlay.whiteout.",
    (Question.BASE, "yes"): "The base has it.",
    (Question.BASE, "no"): "The base has nothing of this name.",
    (Question.BASE, "no-directory"): "The base does not even have its directory, so there is"
    " nothing to look up.",
    (Question.BASE, "under-file"): "Where its directory is, the base has something that is no"
    " directory; there can be nothing below it.",
    (Question.SAME, "yes"): "Compared with the base, it is the same",
    (Question.SAME, "no"): "Compared with the base, it differs",
    (Question.SAME, "not-compared"): "The original rules compare directories only, so an entry that"
    " both sides have counts as modified.",
    (Question.REDIRECT, "yes"): "It was renamed: what is below comes from another place of the"
    " base, and is compared name by name.",
    (Question.METACOPY, "yes"): "The upper directory holds its metadata only (metacopy); the data"
    " comes from a lower layer.",
    (Question.OPAQUE, "no"): "It is not opaque: what the base has in it still shows through.",
    (Question.OPAQUE, "yes"): "It is opaque: everything that the base has in it is hidden, so both"
    " sides are compared name by name.",
    (Question.OPAQUE, "without-base"): "It is marked opaque, but the base has nothing that it could"
    " hide; the kernel marks new directories so to save look-ups.",
    (Question.NAMES, "several"): "The file has several names (hard links).",
}

_EFFECTS = {
    Effect.ENTRY: "In the layer: the entry {entry}.",
    Effect.ENTRY_OR_LINK: "In the layer: the entry {entry}. The first name of the file that is"
    " recorded holds the content, the others are links to it.",
    Effect.LINK: "In the layer: {entry} as a link, but only if another name of the file is"
    " recorded.",
    Effect.WHITEOUT: "In the layer: {entry}, an empty file of mode 0, which deletes it.",
    Effect.PARENT: "In the layer: {entry} is written only if something below it is recorded, right"
    " before the first of it.",
    Effect.SOCKET: "In the layer: nothing. A tar archive cannot hold a socket.",
    Effect.NOTHING: "In the layer: nothing.",
    Effect.UNKNOWN: "In the layer: no layer is exported while this cannot be read.",
}

_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}

_FIELDS = {
    "inode": "inode",
    "type": "type",
    "mode": "mode",
    "owner": "owner",
    "group": "group",
    "device": "device number",
    "capability": "capability",
    "size": "size",
    "seconds": "time, seconds",
    "nanoseconds": "time, nanoseconds",
    "target": "link target",
    "content": "content",
    "redirect": "redirect",
    "names": "number of names",
}


def step_sentence(step: Step, *, facts_follow: bool = False) -> str:
    """One step in words, with the fact that decided it, unless all *facts_follow* on their own."""
    text = _STEPS[step.question, step.answer]
    if step.question is Question.SAME and step.facts:
        last = step.facts[-1]
        if step.answer == "no":
            return f"{text}:" if facts_follow else f"{text}: {fact_text(last)}."
        return f"{text}: {_same_because(last)}"
    if step.question in (Question.REDIRECT, Question.NAMES) and step.facts:
        return f"{text.removesuffix('.')} ({fact_value(step.facts[0], 'upper')})."
    return text


def _same_because(fact: Fact) -> str:
    if fact.field == "inode":
        return "both are the very same inode."
    if fact.field == "type":
        return "mode, owner and capability are equal, and of a directory nothing else counts."
    if fact.field == "nanoseconds" and fact.upper:
        return "size and time are equal to the nanosecond, so the content is not even read."
    if fact.field == "nanoseconds":
        return "size and time are equal, and there is no content to compare."
    return f"down to the {_FIELDS[fact.field]}, which whole-second times make necessary to compare."


def fact_text(fact: Fact) -> str:
    """A fact as ``mode 0644 in the base, 0755 here``, or ``size 10 on both sides``."""
    name = _FIELDS[fact.field]
    if fact.field == "content":
        return "the content is the same" if fact.equal else "the content differs"
    if fact.field == "inode" and not fact.equal:
        return "the inodes differ, which says nothing yet"
    if fact.equal:
        return f"{name} {fact_value(fact, 'upper')} on both sides"
    return f"{name} {fact_value(fact, 'base')} in the base, {fact_value(fact, 'upper')} here"


def fact_value(fact: Fact, side: str) -> str:
    """One side (``base`` or ``upper``) of a fact."""
    value = fact.base if side == "base" else fact.upper
    if fact.field == "capability":
        return value.hex() if isinstance(value, bytes) and value else "none"
    if isinstance(value, bytes):
        return display_path(value)
    if value is None:
        return "-"
    if fact.field == "mode":
        return f"{stat.S_IMODE(value):04o} ({stat.filemode(value)})"
    if fact.field == "type":
        return _TYPES.get(value, "?")
    if fact.field == "nanoseconds":
        return f".{value:09d}"
    if fact.field == "seconds":
        return time_text(value * 1_000_000_000, nanoseconds=False)
    return str(value)


def effect_sentence(verdict: Verdict) -> str:
    """What the verdict means for the layer."""
    effect = effect_of(verdict)
    entry = display_name(effect.entry) if effect.entry is not None else ""
    return _EFFECTS[effect.effect].format(entry=entry)


def explanation(verdict: Verdict) -> list[str]:
    """The whole explanation, line by line: path, headline, steps, effect."""
    letter = verdict.kind.value if verdict.kind is not None else "S"
    lines = [f"{letter} {display_path(verdict.path)}", headline(verdict), ""]
    if verdict.error is not None:
        lines += [verdict.error, ""]
    for number, step in enumerate(steps_of(verdict), 1):
        lines.append(f"{number}. {step_sentence(step)}")
        if step.question is Question.SAME:
            lines += [f"     {'=' if fact.equal else '≠'} {fact_text(fact)}" for fact in step.facts]
    lines += ["", effect_sentence(verdict)]
    return lines


def method_sentence(method: Method, fallback: str | None) -> str:
    """Which differ answers, and why."""
    if method is Method.OVERLAY:
        return "The overlay differ reads the upper directory and looks its entries up in the base."
    why = f" ({fallback})" if fallback else ""
    return f"The walking differ compares both whole trees name by name{why}."


def time_text(mtime_ns: int, *, nanoseconds: bool = True) -> str:
    """A time in UTC, to the nanosecond: ``2023-11-14 22:13:20.123456789``."""
    from datetime import UTC, datetime

    seconds, rest = divmod(mtime_ns, 1_000_000_000)
    try:
        text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        text = f"@{seconds}"
    return f"{text}.{rest:09d}" if nanoseconds else text


def type_text(entry: Entry) -> str:
    """The type of an entry, with the numbers of a device."""
    if entry.type in (EntryType.CHARACTER, EntryType.BLOCK):
        return f"{entry.type.value} {entry.device[0]}:{entry.device[1]}"
    return str(entry.type.value)
