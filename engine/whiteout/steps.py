"""A verdict unfolded: the ordered steps of the decision, and what follows for the layer, as data.

The order is that of BuildKit's ``overlayChanges`` (``util/overlay/overlay_linux.go``) and, for what
is compared name by name, of continuity's ``doubleWalkDiff`` (``fs/diff.go``).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from whiteout.comparison import Fact
from whiteout.entries import is_whiteout_file
from whiteout.layerentries import WHITEOUT_PREFIX
from whiteout.typed import NamedTuple
from whiteout.verdicts import ChangeKind, Method, Reason, Verdict


class Question(Enum):
    """What one step asks. The values are stable and appear in ``--json``."""

    READABLE = "readable"
    ROOT = "root"
    PARENT = "parent"
    UPPER = "upper"
    WHITEOUT = "whiteout"
    BASE = "base"
    SAME = "same"
    REDIRECT = "redirect"
    METACOPY = "metacopy"
    OPAQUE = "opaque"
    NAMES = "names"


class Step(NamedTuple):
    """One question, its answer (a stable word), and the facts that it was answered from."""

    question: Question
    answer: str
    facts: tuple[Fact, ...] = ()


class Effect(Enum):
    """What a verdict means for the layer."""

    ENTRY = "entry"
    """An entry of its own."""
    ENTRY_OR_LINK = "entry-or-link"
    """The first recorded name of the file holds the content, the others are links to it."""
    LINK = "link"
    """A link, but only if another name of the file is recorded."""
    WHITEOUT = "whiteout"
    """An empty entry whose name begins with ``.wh.``."""
    PARENT = "parent"
    """An entry, but only if something below the directory is recorded."""
    SOCKET = "socket"
    """Nothing: tar has no sockets."""
    NOTHING = "nothing"
    """Nothing."""
    UNKNOWN = "unknown"
    """It could not be read, so no layer is exported."""


class LayerEffect(NamedTuple):
    """What follows for the layer; ``entry`` is the name in the tar, None where there is none."""

    effect: Effect
    entry: bytes | None = None


def effect_of(verdict: Verdict) -> LayerEffect:
    """What *verdict* means for the layer."""
    name = verdict.path.lstrip(b"/")
    if verdict.reason is Reason.UNREADABLE:
        return LayerEffect(Effect.UNKNOWN)
    if verdict.kind is ChangeKind.DELETE:
        directory, slash, last = name.rpartition(b"/")
        return LayerEffect(Effect.WHITEOUT, directory + slash + WHITEOUT_PREFIX + last)
    upper = verdict.upper
    if upper is None or verdict.whiteout:
        return LayerEffect(Effect.NOTHING)
    if upper.is_directory:
        effect = Effect.PARENT if verdict.kind is None else Effect.ENTRY
        return LayerEffect(effect, name + b"/")
    if verdict.kind is None:
        return LayerEffect(Effect.NOTHING)
    if verdict.is_socket:
        return LayerEffect(Effect.SOCKET)
    if verdict.kind is ChangeKind.UNMODIFIED:
        return LayerEffect(Effect.LINK, name)
    return LayerEffect(Effect.ENTRY_OR_LINK if upper.is_hard_linked else Effect.ENTRY, name)


def steps_of(verdict: Verdict) -> tuple[Step, ...]:
    """The steps that led to *verdict*, in order."""
    return tuple(_steps(verdict))


def _steps(verdict: Verdict) -> Iterator[Step]:
    reason = verdict.reason
    if reason is Reason.ROOT:
        yield Step(Question.ROOT, "yes")
        return
    if reason is Reason.UNREADABLE:
        yield Step(Question.READABLE, "no")
        return
    if reason is Reason.REMOVED_WITH_PARENT:
        yield Step(Question.PARENT, "removed")
        return
    if verdict.method is Method.WALKING:
        yield Step(Question.PARENT, "compared-by-name")
    if reason is Reason.UNTOUCHED:
        yield Step(Question.UPPER, "no")
        yield Step(Question.BASE, "yes")
        return
    if verdict.method is Method.OVERLAY:
        yield Step(Question.UPPER, "yes")
    if verdict.whiteout:
        yield Step(Question.WHITEOUT, _whiteout_form(verdict))
    elif verdict.upper is not None and not verdict.upper.is_directory:
        yield Step(Question.WHITEOUT, "no")
    if verdict.upper is None:
        yield Step(Question.UPPER, "no")
    yield Step(Question.BASE, _base_answer(verdict))
    if verdict.whiteout or verdict.upper is None:
        return
    if verdict.base is not None:
        if verdict.comparison is None:
            yield Step(Question.SAME, "not-compared")
        else:
            answer = "yes" if verdict.comparison.same else "no"
            yield Step(Question.SAME, answer, verdict.facts)
    if verdict.metacopy:
        yield Step(Question.METACOPY, "yes")
    if verdict.upper.is_directory:
        if verdict.redirect is not None:
            fact = Fact("redirect", None, verdict.redirect, False)
            yield Step(Question.REDIRECT, "yes", (fact,))
        elif verdict.method is Method.OVERLAY:
            yield Step(Question.OPAQUE, verdict.opaque.value)
    elif verdict.upper.is_hard_linked:
        fact = Fact("names", None, verdict.upper.stat.st_nlink, False)
        yield Step(Question.NAMES, "several", (fact,))


def _whiteout_form(verdict: Verdict) -> str:
    if verdict.upper is not None and is_whiteout_file(verdict.upper.stat):
        return "file"
    return "device" if verdict.is_whiteout_device else "attribute"


def _base_answer(verdict: Verdict) -> str:
    if verdict.base is not None:
        return "yes"
    if verdict.reason is Reason.ADDED_IN_NEW:
        return "no-directory"
    if verdict.reason is Reason.ADDED_UNDER_FILE:
        return "under-file"
    return "no"
