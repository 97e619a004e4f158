"""Colours: legible in every theme that the app offers, and not needed to tell anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from textual.color import Color
from textual.theme import BUILTIN_THEMES

from support.terminal import Start
from whiteout_tui.colours import TEXT_CONTRAST, contrast, is_light, legible

FIELDS = ("background", "surface", "panel", "primary-muted", "warning-muted", "footer-background")
TEXTS = (
    *("foreground", "foreground-muted", "text", "text-muted", "text-disabled"),
    *("text-primary", "text-success", "text-warning", "text-error", "text-accent"),
    *("footer-foreground", "footer-key-foreground", "footer-description-foreground"),
)


def test_contrast_is_that_of_wcag() -> None:
    black, white = Color.parse("black"), Color.parse("white")
    assert contrast(black, white) == pytest.approx(21)
    assert contrast(white, white) == pytest.approx(1)
    assert contrast(Color.parse("#777777"), white) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("name", [name for name, t in BUILTIN_THEMES.items() if not t.ansi])
def test_every_text_of_every_theme_is_legible_on_every_background(name: str) -> None:
    theme = BUILTIN_THEMES[name]
    variables = {**theme.to_color_system().generate(), **theme.variables}
    made = legible(variables, ansi=False, dark=theme.dark)
    plain = [Color.parse(made["background"]) + Color.parse(made[field]) for field in FIELDS]
    backgrounds = [*plain, *(under + Color.parse(made["boost"]) for under in plain[:3])]
    for text in TEXTS:
        for background in backgrounds:
            found = contrast(Color.parse(made[text]), background)
            assert found >= TEXT_CONTRAST - 0.05, (text, background.hex)
    assert made["primary-muted"] != made["background"]


@pytest.mark.parametrize(
    ("words", "colours"),
    [
        (["NO_COLOR=1", "TERM=xterm"], False),
        (["NO_COLOR=", "TERM=xterm"], True),
        (["TERM=dumb"], False),
        (["TERM=vt100"], False),
        (["TERM=vt100", "COLORTERM=truecolor"], True),
        (["TERM=no-such-terminal"], True),
        ([], True),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else "",
)
def test_where_there_are_no_colours(words: list[str], colours: bool) -> None:
    program = "from whiteout_tui.colours import has_colours; print(has_colours())"
    cleared = ["env", "-u", "NO_COLOR", "-u", "COLORTERM", "-u", "TERM", *words]
    found = subprocess.run(
        [*cleared, sys.executable, "-c", program],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    assert found.stdout == f"{colours}\n"


def test_a_light_background_is_known_where_the_terminal_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for value, light in [("0;15", True), ("0;default;7", True), ("15;0", False), ("", False)]:
        monkeypatch.setenv("COLORFGBG", value)
        assert is_light() is light


_SGR = re.compile(r"\x1b\[([0-9;]*)m")


def reversed_lines(shown: str) -> list[str]:
    """The lines with most of their text in reverse, of what tmux shows with its escapes."""
    found, on = [], False
    for line in shown.splitlines():
        place, reverse, plain = 0, 0, 0
        for sgr in [*_SGR.finditer(line), None]:
            part = line[place : sgr.start() if sgr else len(line)]
            reverse, plain = reverse + len(part) * on, plain + len(part) * (not on)
            if sgr is not None:
                place = sgr.end()
                for code in sgr[1].split(";"):
                    on = {"": False, "0": False, "27": False, "7": True}.get(code, on)
        if reverse > plain:
            found.append(_SGR.sub("", line))
    return found


@pytest.mark.peer("tmux")
@pytest.mark.parametrize("variable", ["NO_COLOR=1", "TERM=vt100", "TERM=dumb"])
def test_without_colour_the_meaning_stays(variable: str, tmp_path: Path, terminal: Start) -> None:
    shown = terminal("demo", wrapper=("env", "-u", "COLORTERM", "-C", str(tmp_path), variable))
    shown.wait("✓")
    shown.press("Down")
    shown.wait("M Modified")
    escaped = shown.text(escapes=True)
    codes = {code for sgr in _SGR.findall(escaped) for code in sgr.split(";")}
    assert codes <= {"", "0", "1", "2", "3", "4", "7", "9", "39", "49"}, "attributes and no colour"
    assert [line.split()[:2] for line in reversed_lines(escaped)] == [["M", "10"]], "the cursor"
    plain = shown.text()
    assert re.search(r"^ D w .*deleted-directory/", plain, re.MULTILINE)
    assert "[1 Why]" in plain
    shown.press("e")
    text = shown.wait("[gzip]")
    assert "Export the layer" in text
