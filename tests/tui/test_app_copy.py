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


def test_a_shell_reads_the_same_bytes() -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    words = [
        *(bytes([byte]) for byte in BYTES),
        *(bytes([byte]) + b"41" for byte in BYTES),
        BYTES,
        "/été $(id) `id` 'a' \u202e".encode(),
        b"",
    ]
    script = "printf '%s\\0' " + " ".join(map(shell_word, words))
    given_back = subprocess.run([bash, "-c", script], check=True, stdout=subprocess.PIPE).stdout
    assert given_back == b"".join(word + b"\0" for word in words)


@given(st.binary())
def test_a_word_is_printable(word: bytes) -> None:
    assert shell_word(word).isprintable()


def test_the_path_under_the_cursor_is_copied_and_told() -> None:
    fake = Fake({b"/": [added(b"/[red] \x1b]52;c;x\xff")]})

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "down", "y")
        assert pilot.app.clipboard == r"$'/[red] \x1b]52;c;x\xff'"
        assert "Copied" in screen_text(pilot.app)  # type: ignore[arg-type]

    run(fake, drive)
