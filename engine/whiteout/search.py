"""Search and filter: from what a user typed to a question that a verdict answers.

A query is text or a regular expression for names and paths. A filter is a row of terms
``key:value``, all of which must hold. Neither reads anything: a verdict has all the facts.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable

from whiteout.display import display_name, display_text
from whiteout.entries import EntryType
from whiteout.errors import UsageError
from whiteout.verdicts import Opaque, Reason, Verdict

PathMatcher = Callable[[bytes], bool]
Predicate = Callable[[Verdict], bool]


def compile_path_query(text: str, *, regex: bool = False) -> PathMatcher:
    """A question to absolute paths: does the name contain *text*, or match it as expression?

    Text with a slash is looked for in the whole path, other text in the last component. Capital
    letters in it make the difference between capital and small letters matter. Plain text with a
    backslash is compared with names as they are displayed, such as ``a\\x1bb``.

    Raises:
        UsageError: the expression is malformed.
    """
    wanted = _encoded(text)
    matches = _expression(text, wanted) if regex else _containing(text, wanted)
    if b"/" in wanted:
        return matches
    return lambda path: matches(path.rpartition(b"/")[2])


def compile_query(text: str, *, regex: bool = False) -> Predicate:
    """As :func:`compile_path_query`, for verdicts.

    Raises:
        UsageError: the expression is malformed.
    """
    matches = compile_path_query(text, regex=regex)
    return lambda verdict: matches(verdict.path)


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise UsageError(f"{_shown(text)} is not text that a name can hold") from error


def _shown(text: str) -> str:
    """Printable text for any *text*, even one with surrogates that stand for no byte."""
    return display_text(text.encode("utf-8", "replace").decode("utf-8"))


def _expression(text: str, wanted: bytes) -> PathMatcher:
    flags = 0 if _has_capital(text, regex=True) else re.IGNORECASE
    try:
        if text.isascii():
            search = re.compile(wanted, flags | re.DOTALL).search
            return lambda name: search(name) is not None
        search_text = re.compile(text, flags | re.DOTALL).search
    except (re.error, OverflowError, RecursionError) as error:
        reason = error.msg if isinstance(error, re.error) else "it is too large"
        raise UsageError(
            f"{display_text(text)} is no regular expression: {display_text(reason)}"
        ) from error
    return lambda name: search_text(name.decode("utf-8", "surrogateescape")) is not None


def _containing(text: str, wanted: bytes) -> PathMatcher:
    exact = _has_capital(text)
    if "\\" in text:
        if exact:
            return lambda name: text in display_name(name)
        lowered = text.lower()
        return lambda name: lowered in display_name(name).lower()
    if exact:
        return lambda name: wanted in name
    if text.isascii():
        small = wanted.lower()
        return lambda name: small in name.lower()
    folded = text.lower()
    return lambda name: folded in name.decode("utf-8", "surrogateescape").lower()


def _has_capital(text: str, *, regex: bool = False) -> bool:
    if regex:
        text = re.sub(r"\\.", "", text)  # \S and \W are no capital letters
    return any(character.isupper() for character in text)


#: What ``kind:`` takes: the letters of the tree and of ``whiteout changes``, and the words.
KINDS = {
    "A": "added",
    "M": "modified",
    "D": "deleted",
    "U": "unmodified",
    "S": "skipped",
    "!": "unreadable",
}
#: What ``type:`` takes: the letters of ``find -type``.
TYPES = {
    "f": EntryType.FILE,
    "d": EntryType.DIRECTORY,
    "l": EntryType.SYMLINK,
    "c": EntryType.CHARACTER,
    "b": EntryType.BLOCK,
    "p": EntryType.FIFO,
    "s": EntryType.SOCKET,
}
#: What ``flag:`` takes: the letters of the tree.
FLAGS: dict[str, Predicate] = {
    "O": lambda verdict: verdict.opaque is Opaque.YES,
    "o": lambda verdict: verdict.opaque is Opaque.WITHOUT_BASE,
    "w": lambda verdict: verdict.whiteout,
    "H": lambda verdict: (
        verdict.entry is not None and verdict.entry.is_hard_linked and not _is_mark(verdict)
    ),
    "!": lambda verdict: verdict.reason is Reason.UNREADABLE or verdict.error is not None,
    "~": lambda verdict: verdict.reason is Reason.REMOVED_WITH_PARENT,
    "r": lambda verdict: verdict.redirect is not None,
    "m": lambda verdict: verdict.metacopy,
}
FILTER_HELP = (
    "terms: kind:AMDUS! size:>10M size:1K..2M name:*.so path:/etc/* flag:OowH!~rm type:fdlcbps"
    " reason:same text; - before a term turns it around"
)


def compile_filter(text: str) -> Predicate:
    """A question to verdicts: do all the terms of *text* hold? An empty text holds always.

    ``kind:AM`` (any of these letters, or a word such as ``added``), ``size:>10M`` (also ``>=``,
    ``<``, ``<=``, ``=``, ``1K..2M``; of regular files; K, M, G, T are powers of 1024),
    ``name:*.so`` and ``path:/etc/*`` (shell patterns; ``*`` of a path goes over slashes),
    ``flag:Ow`` (all of these letters), ``type:fl`` (any of ``find``'s letters, or a word),
    ``reason:same`` (a :class:`Reason`). A term without a colon is a query as of
    :func:`compile_query`. ``-`` before a term turns it around; quotes keep blanks.

    Raises:
        UsageError: a term cannot be understood.
    """
    predicates = [_term(term) for term in _split(text)]
    if len(predicates) == 1:
        return predicates[0]
    return lambda verdict: all(holds(verdict) for holds in predicates)


def _split(text: str) -> list[str]:
    import shlex

    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.escape = ""
    try:
        return [term for term in lexer if term]
    except ValueError as error:
        raise UsageError("a quotation mark is left open; close it") from error


def _term(term: str) -> Predicate:
    if len(term) > 1 and term[0] == "-":
        holds = _term(term[1:])
        return lambda verdict: not holds(verdict)
    key, colon, value = term.partition(":")
    if not colon:
        return compile_query(term)
    make = _KEYS.get(key.lower())
    if make is None:
        raise UsageError(f"{_shown(key)}: is no term of a filter; {FILTER_HELP}")
    if not value:
        raise UsageError(f"{key}: needs a value; {FILTER_HELP}")
    return make(value)


def _kind(value: str) -> Predicate:
    from whiteout.wording import kind_word

    words: set[str] = set()
    for part in value.split(","):
        if part.lower() in (*KINDS.values(), "removed"):
            words.add(part.lower())
            continue
        for letter in part.upper():
            if letter == "·":
                letter = "S"
            if letter not in KINDS:
                raise UsageError(
                    f"kind:{_shown(value)} is no kind; use the letters A, M, D, U, S,"
                    " ! or words such as added"
                )
            words.add(KINDS[letter])
            if letter == "S":
                words.add("removed")
    return lambda verdict: kind_word(verdict) in words


_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)([kmgtp]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def parse_size(text: str) -> int:
    """A size in bytes from ``10M`` or ``1.5GiB``; K, M, G, T and P are powers of 1024.

    Raises:
        UsageError: it is none.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UsageError(f"{_shown(text)} is no size; write it as 512, 10M or 1.5G")
    whole, _, fraction = match[1].partition(".")
    unit: int = 1 << 10 * _POWERS[match[2].lower()]
    return int(whole) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)


def _size(value: str) -> Predicate:
    low, dots, high = value.partition("..")
    if dots:
        least = parse_size(low) if low else 0
        most = parse_size(high) if high else None
    else:
        number = value.lstrip("<>=")
        sign = value[: len(value) - len(number)]
        size = parse_size(number)
        bounds = {
            ">": (size + 1, None),
            ">=": (size, None),
            "<": (0, size - 1),
            "<=": (0, size),
            "=": (size, size),
            "": (size, size),
        }
        if sign not in bounds:
            raise UsageError(f"size:{sign} is no comparison; use >, >=, <, <=, = or 1K..2M")
        least, most = bounds[sign]

    def holds(verdict: Verdict) -> bool:
        entry = verdict.entry
        if entry is None or entry.type is not EntryType.FILE or _is_mark(verdict):
            return False
        return least <= entry.size and (most is None or entry.size <= most)

    return holds


def _is_mark(verdict: Verdict) -> bool:
    return verdict.whiteout and verdict.base is None


def _name(value: str) -> Predicate:
    matches = _pattern(value)
    return lambda verdict: matches(verdict.name)


def _path(value: str) -> Predicate:
    matches = _pattern(value)
    return lambda verdict: matches(verdict.path)


def _pattern(value: str) -> PathMatcher:
    match = re.compile(fnmatch.translate(_encoded(value).decode("latin-1")).encode("latin-1")).match
    return lambda name: match(name) is not None


def _flag(value: str) -> Predicate:
    unknown = [letter for letter in value if letter not in FLAGS]
    if unknown:
        raise UsageError(f"flag:{_shown(value)} is no flag; use the letters {' '.join(FLAGS)}")
    wanted = [FLAGS[letter] for letter in value]
    return lambda verdict: all(holds(verdict) for holds in wanted)


def _type(value: str) -> Predicate:
    words = {entry_type.value: entry_type for entry_type in EntryType}
    wanted: set[EntryType] = set()
    for part in value.lower().split(","):
        if part in words:
            wanted.add(words[part])
            continue
        if not part or any(letter not in TYPES for letter in part):
            raise UsageError(
                f"type:{_shown(value)} is no type; use the letters {' '.join(TYPES)}"
                " or words such as symlink"
            )
        wanted.update(TYPES[letter] for letter in part)
    return lambda verdict: (
        verdict.entry is not None and not _is_mark(verdict) and verdict.entry.type in wanted
    )


def _reason(value: str) -> Predicate:
    try:
        wanted = Reason(value.lower())
    except ValueError as error:
        raise UsageError(
            f"reason:{_shown(value)} is no reason; use one of"
            f" {', '.join(reason.value for reason in Reason)}"
        ) from error
    return lambda verdict: verdict.reason is wanted


_KEYS: dict[str, Callable[[str], Predicate]] = {
    "kind": _kind,
    "size": _size,
    "name": _name,
    "path": _path,
    "flag": _flag,
    "type": _type,
    "reason": _reason,
}
