"""The only road from bytes to a terminal.

File names, link targets and attribute values are bytes that a stranger chose. Nothing of them
reaches a screen, a message or a line of output but through this module. The result is plain
printable text without markup meaning to a terminal: no control characters (C0, C1, DEL), no
bidirectional or zero-width marks, no line separators, no surrogates. What had to be replaced is
written as ``\\n``, ``\\x1b``, ``\\u202e`` …, and a backslash itself as ``\\\\``, so that two
different names never look the same for that reason.
"""

from __future__ import annotations

_SHORT = {"\a": "\\a", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r"}
#: Printable by Unicode's word, yet nothing is to be seen of them.
_INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
    + "".join(map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)


def _escape(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, by surrogateescape
        return f"\\x{code - 0xDC00:02x}"
    if character.isprintable() and character not in _INVISIBLE:
        return character
    if code <= 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _is_plain(text: str) -> bool:
    """Whether all characters of *text* are of ASCII, and none is a control character."""
    return text.isascii() and text.isprintable()


def display_name(name: bytes) -> str:
    """Printable text for *name*, one to one: different names never give the same text."""
    text = name.decode("utf-8", "surrogateescape")
    if _is_plain(text) and "\\" not in text:
        return text
    return "".join(map(_escape, text))


#: A path is shown by the same rule as a name; the slash is printable.
display_path = display_name


def display_text(text: str) -> str:
    """Printable text for a *text* that is not ours, such as a JSON value or a program's message."""
    try:
        name = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte, as JSON may hold
        name = text.encode("utf-8", "surrogatepass")
    return display_name(name)


_TAB = 8


def display_line(line: bytes) -> str:
    """Printable text for a line of a file's content, for reading rather than comparing.

    Unlike :func:`display_name` it leaves a backslash alone, a tab becomes spaces up to the next
    multiple of 8, a control is shown by its picture (``␛``), and what else is not printable as
    ``‹U+202E›`` or, where it is no UTF-8, ``‹ff›``.
    """
    text = line.decode("utf-8", "surrogateescape")
    if _is_plain(text):
        return text
    shown = ""
    for position, part in enumerate(text.split("\t")):
        if position:
            shown += " " * (_TAB - len(shown) % _TAB)
        shown += "".join(map(_picture, part))
    return shown


def _picture(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if 0xDC80 <= code <= 0xDCFF:
        return f"‹{code - 0xDC00:02x}›"
    if character.isprintable() and character not in _INVISIBLE:
        return character
    return f"‹U+{code:04X}›"
