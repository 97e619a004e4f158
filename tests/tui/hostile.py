"""Names, contents and words of strangers, and the measure of what may be on the screen of them."""

from __future__ import annotations

import os
import unicodedata
from contextlib import suppress

from hypothesis import strategies as st

from whiteout.display import display_name
from whiteout.opening import open_pair
from whiteout.snapshot import Snapshot

NAMES = st.binary(min_size=1, max_size=60).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)
HOSTILE = (
    b"[/]",
    b"[red]x[/red]",
    b"[@click=app.quit]x[/]",
    b"\x1b]52;c;aGk=\x07",
    b"\x1b[2J",
    b"\x9b2J",
    b"a\nb\tc\rd",
    b"\xff\xfe",
    "\u202egnp.exe".encode(),
    "e\u0301\u200b\u2028x".encode(),
    "\u4e2d\u6587\U0001f600".encode(),
    b"a" * 60,
    b"\\x1b",
    b"%s{0}$primary",
)


def check(text: str) -> None:
    for character in text:
        category = unicodedata.category(character)
        assert character == "\n" or category not in ("Cc", "Cf", "Cs", "Zl", "Zp"), repr(character)


#: What somebody may type, or what a program may say.
TEXTS = st.text(alphabet=st.characters(), max_size=50)


def build(directory: bytes, name: bytes, content: bytes, target: bytes) -> Snapshot:
    """A snapshot whose every name, content, link target and attribute is a stranger's."""
    upper, lower = directory + b"/upper", directory + b"/lower"
    os.makedirs(upper + b"/" + name)
    os.makedirs(lower)
    for top, data in ((upper, content), (lower, b"before\n" + content)):
        with open(top + b"/file-" + name[:240], "wb") as file:
            file.write(data)
    os.symlink(target, upper + b"/" + name + b"/" + name)
    with suppress(OSError):  # not every filesystem has them
        os.setxattr(upper + b"/file-" + name[:240], b"user." + name[:200], content[:200])
    return open_pair(upper, [lower], userxattr=True, label=display_name(name))
