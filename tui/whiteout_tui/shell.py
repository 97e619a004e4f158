"""Words for a shell, out of bytes that a stranger chose."""

from __future__ import annotations

import shlex
import string

from whiteout.display import display_name

_PLAIN = frozenset((string.ascii_letters + string.digits + " _@+=:,./[]-").encode())


def shell_word(word: bytes) -> str:
    """*word* as one word for any POSIX shell; it stands for the same bytes.

    What is printable is quoted, and so is a sign that zsh alone acts upon. Anything else is written
    in octal for ``printf``, which all of them have: ``$'…'`` is no quoting to ``dash``, where a
    quote in it would end it. Nothing in a name can act when it is pasted. The shells drop newlines
    at the end of what a command prints, so those at the end of *word* alone stand for themselves.
    """
    without = word.replace(b"\\", b"_")  # which is shown escaped, and needs no more than quotes
    if display_name(without).encode() == without:
        text = word.decode()
        return f"'{text}'" if text.startswith("=") else shlex.quote(text)
    body = word.rstrip(b"\n")
    text = "".join(_escape(byte, first=at == 0) for at, byte in enumerate(body))
    ending = "\n" * (len(word) - len(body))
    return (f"\"$(printf '{text}')\"" if body else "") + (f"'{ending}'" if ending else "")


def _escape(byte: int, *, first: bool) -> str:
    if byte not in _PLAIN or (first and byte == ord("-")):
        return f"\\{byte:03o}"
    return chr(byte)
