"""Words for a shell, out of bytes that a stranger chose."""

from __future__ import annotations

import shlex

from whiteout.display import display_name


def shell_word(word: bytes) -> str:
    """*word* as one word for bash, zsh and ksh, in printable text; it stands for the same bytes.

    What is printable is quoted as POSIX has it. Anything else, and a backslash, is written in
    ``$'…'``, so that nothing in a name can act when it is pasted.
    """
    shown = display_name(word)
    if shown.encode() == word:
        return shlex.quote(shown)
    return "$'" + "".join(map(_escape, word)) + "'"


def _escape(byte: int) -> str:
    character = chr(byte)
    if character in "'\\":
        return "\\" + character
    return character if 0x20 <= byte < 0x7F else f"\\x{byte:02x}"
