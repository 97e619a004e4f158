"""Search and filter: from what a user typed to a question that a verdict answers.

A query is text or a regular expression for names and paths. A filter is a row of terms
``key:value``, all of which must hold. Neither reads anything: a verdict has all the facts.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from dataclasses import dataclass

from whiteout.display import display_name, display_text
from whiteout.entries import EntryType
from whiteout.errors import UsageError
from whiteout.verdicts import Opaque, Reason, Verdict

PathMatcher = Callable[[bytes], bool]
Predicate = Callable[[Verdict], bool]


@dataclass(frozen=True, slots=True)
class Query:
    """Text or an expression that is looked for.

    ``matches`` is to be asked with the whole path when ``in_path``, else with the last component.
    Where ``literal`` is not None, the answer is whether these bytes are in it; with ``folded`` they
    are small letters, and the capital letters of ASCII count as small ones.
    """

    matches: PathMatcher
    in_path: bool
    literal: bytes | None = None
    folded: bool = False


def parse_query(text: str, *, regex: bool = False) -> Query:
    """A question to absolute paths: does the name contain *text*, or match it as expression?

    Text with a slash is looked for in the whole path, other text in the last component. Capital
    letters in it make the difference between capital and small letters matter. Plain text with a
    backslash is compared with names as they are displayed, such as ``a\\x1bb``.

    Raises:
        UsageError: the expression is malformed.
    """
    wanted = _encoded(text)
    in_path = b"/" in wanted
    if regex:
        return Query(_expression(text, wanted), in_path)
    exact = _has_capital(text)
    if "\\" in text:
        shown = text if exact else text.lower()
        if exact:
            return Query(lambda name: shown in display_name(name), in_path)
        return Query(lambda name: shown in display_name(name).lower(), in_path)
    if exact:
        return Query(lambda name: wanted in name, in_path, wanted)
    if text.isascii():
        small = wanted.lower()
        return Query(lambda name: small in name.lower(), in_path, small, folded=True)
    lowered = text.lower()
    return Query(lambda name: lowered in _text(name).lower(), in_path)


def compile_path_query(text: str, *, regex: bool = False) -> PathMatcher:
    """As :func:`parse_query`, as a function of whole paths.

    Raises:
        UsageError: the expression is malformed.
    """
    query = parse_query(text, regex=regex)
    if query.in_path:
        return query.matches
    return lambda path: query.matches(path.rpartition(b"/")[2])


def compile_query(text: str, *, regex: bool = False) -> Predicate:
    """As :func:`parse_query`, as a function of verdicts.

    Raises:
        UsageError: the expression is malformed.
    """
    matches = compile_path_query(text, regex=regex)
    return lambda verdict: matches(verdict.path)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


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
    return lambda name: search_text(_text(name)) is not None


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


TermValue = Query | frozenset[str] | frozenset[EntryType] | tuple[int, int | None] | str | Reason


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a filter: the question as a function, and what it is made of.

    ``value`` is, of ``name`` and ``path`` and of a term without a key a :class:`Query`; of ``kind``
    a set of the words of :func:`whiteout.wording.kind_word`; of ``size`` the least and the most
    number of bytes; of ``flag`` letters; of ``type`` a set of types; of ``reason`` a reason.
    ``negated`` turns ``value`` around; ``holds`` has it in it.
    """

    key: str
    value: TermValue
    holds: Predicate
    negated: bool = False


def parse_filter(text: str) -> tuple[Term, ...]:
    """The terms of the filter *text*, all of which must hold; none for an empty text.

    ``kind:AM`` (any of these letters, or a word such as ``added``), ``size:>10M`` (also ``>=``,
    ``<``, ``<=``, ``=``, ``1K..2M``; of regular files; K, M, G, T are powers of 1024),
    ``name:*.so`` and ``path:/etc/*`` (shell patterns; ``*`` of a path goes over slashes),
    ``flag:Ow`` (all of these letters), ``type:fl`` (any of ``find``'s letters, or a word),
    ``reason:same`` (a :class:`Reason`). A term without a colon is a query as of
    :func:`parse_query`; one that begins with ``<`` or ``>`` is a size. ``-`` before a term turns it
    around; quotes keep blanks.

    Raises:
        UsageError: a term cannot be understood.
    """
    return tuple(_term(term) for term in _split(text))


def compile_filter(text: str) -> Predicate:
    """A question to verdicts: do all the terms of *text* hold? See :func:`parse_filter`.

    Raises:
        UsageError: a term cannot be understood.
    """
    predicates = [term.holds for term in parse_filter(text)]
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


def _term(text: str) -> Term:
    if len(text) > 1 and text[0] == "-":
        term = _term(text[1:])
        holds = term.holds
        return Term(term.key, term.value, lambda verdict: not holds(verdict), not term.negated)
    if text[0] in "<>":
        return _size(text)
    key, colon, value = text.partition(":")
    if not colon:
        query = parse_query(text)
        return Term("query", query, compile_query(text))
    make = _KEYS.get(key.lower())
    if make is None:
        raise UsageError(f"{_shown(key)}: is no term of a filter; {FILTER_HELP}")
    if not value:
        raise UsageError(f"{key}: needs a value; {FILTER_HELP}")
    return make(value)


def _kind(value: str) -> Term:
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
    return Term("kind", frozenset(words), lambda verdict: kind_word(verdict) in words)


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


def _size(value: str) -> Term:
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

    return Term("size", (least, most), holds)


def _is_mark(verdict: Verdict) -> bool:
    return verdict.whiteout and verdict.base is None


def _name(value: str) -> Term:
    matches = _pattern(value)
    return Term("name", Query(matches, in_path=False), lambda verdict: matches(verdict.name))


def _path(value: str) -> Term:
    matches = _pattern(value)
    return Term("path", Query(matches, in_path=True), lambda verdict: matches(verdict.path))


def _pattern(value: str) -> PathMatcher:
    match = re.compile(fnmatch.translate(_encoded(value).decode("latin-1")).encode("latin-1")).match
    return lambda name: match(name) is not None


def _flag(value: str) -> Term:
    unknown = [letter for letter in value if letter not in FLAGS]
    if unknown:
        raise UsageError(f"flag:{_shown(value)} is no flag; use the letters {' '.join(FLAGS)}")
    wanted = [FLAGS[letter] for letter in value]
    return Term("flag", value, lambda verdict: all(holds(verdict) for holds in wanted))


def _type(value: str) -> Term:
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
    return Term(
        "type",
        frozenset(wanted),
        lambda verdict: (
            verdict.entry is not None and not _is_mark(verdict) and verdict.entry.type in wanted
        ),
    )


def _reason(value: str) -> Term:
    try:
        wanted = Reason(value.lower())
    except ValueError as error:
        raise UsageError(
            f"reason:{_shown(value)} is no reason; use one of"
            f" {', '.join(reason.value for reason in Reason)}"
        ) from error
    return Term("reason", wanted, lambda verdict: verdict.reason is wanted)


_KEYS: dict[str, Callable[[str], Term]] = {
    "kind": _kind,
    "size": _size,
    "name": _name,
    "path": _path,
    "flag": _flag,
    "type": _type,
    "reason": _reason,
}
