"""Copying out of the app: what is pasted into a shell is one word, and the same bytes."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from app_harness import Fake, added, press, run, screen_text, settle
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from whiteout_tui.shell import shell_word

BYTES = bytes(range(1, 256))


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh"])
def test_a_shell_reads_the_same_bytes(shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"needs {shell}")
    words = [
        *(bytes([byte]) for byte in BYTES),
        *(bytes([byte]) + b"41" for byte in BYTES),
        *(b"a" + bytes([byte]) * 2 for byte in BYTES),
        BYTES,
        b"-n\xff%s!",
        b"a\\b\\\\c\\",
        b"\xc3\\\xa9",
        b"\n'; touch injected; '\n\n",
        "/été $(id) `id` 'a' \u202e".encode(),
        b"",
    ]
    script = "printf '%s\\0' " + " ".join(map(shell_word, words))
    given_back = subprocess.run([program, "-c", script], check=True, stdout=subprocess.PIPE).stdout
    assert given_back == b"".join(word + b"\0" for word in words)


@given(st.binary().filter(lambda word: b"\0" not in word))
def test_a_word_is_printable_but_for_newlines_at_its_end(word: bytes) -> None:
    ending = len(word) - len(word.rstrip(b"\n"))
    shown = shell_word(word)
    assert shown.count("\n") == ending
    assert shown.replace("\n", "").isprintable()


def test_the_path_under_the_cursor_is_copied_and_told() -> None:
    fake = Fake({b"/": [added(b"/[red] \x1b]52;c;x\xff")]})

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "down", "y")
        assert pilot.app.clipboard == "\"$(printf '/[red] \\033]52\\073c\\073x\\377')\""
        assert "Copied" in screen_text(pilot.app)  # type: ignore[arg-type]

    run(fake, drive)
