"""Names, targets and attributes of any bytes: no control character in any line that is drawn."""

from __future__ import annotations

import unicodedata

from app_harness import Fake, added, press, run, screen_text, settle
from hypothesis import example, given, settings
from hypothesis import strategies as st
from textual.pilot import Pilot

from whiteout.errors import ReadError
from whiteout.verdicts import Verdict
from whiteout.xattrs import Xattr
from whiteout_tui.shell import shell_word
from whiteout_tui.words import wrap

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


@settings(max_examples=10)
@given(name=NAMES)
def test_no_name_harms_any_place_of_the_screen(name: bytes) -> None:
    everywhere(name)


def test_known_hostile_names() -> None:
    for name in HOSTILE:
        everywhere(name)


def everywhere(name: bytes) -> None:
    path = b"/" + name

    class Fails(Fake):
        def inspect(self, path: bytes, **options: object) -> object:  # type: ignore[override]
            if path.endswith(b"-fails"):
                raise ReadError("cannot read it", path)
            return super().inspect(path)

    from app_harness import DIRECTORY

    from whiteout.display import display_name

    unreadable = Verdict(path + b"-fails", None, added(path).reason, error=display_name(name))
    fake = Fails(
        {
            b"/": [added(path, DIRECTORY), added(path + b"2"), unreadable],
            path: [added(path + b"/" + name)],
        },
        label=display_name(name),
        link_target=name,
        xattrs=(Xattr(b"user." + name, name),),
        doubts=(display_name(name),),
    )

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        shown = [screen_text(pilot.app)]  # type: ignore[arg-type]
        for keys in (("down", "space", "down"), ("down",), ("down",), ("e",)):
            await press(pilot, *keys)
            shown.append(screen_text(pilot.app))  # type: ignore[arg-type]
        pilot.app.export_screenshot()
        for text in shown:
            check(text)
            assert len(text.splitlines()) == 24

    run(fake, drive)


@given(name=st.binary(max_size=80).filter(lambda name: b"\0" not in name))
@example(b"'")
@example(b"a b\\c'\n")
@settings(max_examples=25)
def test_what_is_copied_is_one_safe_word_for_a_shell(name: bytes) -> None:
    import subprocess

    word = shell_word(name)
    check(word)
    printed = subprocess.run(
        ["bash", "-c", f"printf %s {word}"], capture_output=True, check=True, timeout=30
    )
    assert printed.stdout == name


@given(
    text=st.text(alphabet=st.characters(exclude_categories=["C", "Z", "M"]) | st.just(" ")),
    width=st.integers(2, 40),
)
def test_wrapping_keeps_every_character(text: str, width: int) -> None:
    from rich.cells import cell_len

    lines = wrap(text, width)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(cell_len(line) <= width for line in lines)
