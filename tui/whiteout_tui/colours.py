"""Colours that can be read: every theme's texts against the backgrounds that they stand on.

A theme names its colours for beauty. Here they are moved towards white or black, as little as it
takes, until each text has the contrast that WCAG 2.2 (1.4.3) asks for on each background of the
app. The colours of an ANSI theme are the terminal's own and cannot be moved; of those the ones
are chosen that are legible in common palettes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from textual.color import Color

#: The least contrast of text and background: what WCAG asks for text of usual size.
TEXT_CONTRAST = 4.5
#: The same for what is dimmed on purpose: lines of the tree, and names that are gone.
DIM_CONTRAST = 3.0

_TEXTS = (
    "foreground",
    "foreground-muted",
    "text-primary",
    "text-success",
    "text-warning",
    "text-error",
    "text-accent",
    "footer-foreground",
    "footer-key-foreground",
    "footer-description-foreground",
)
_PLAIN = ("background", "surface", "panel")
#: What is laid over one of those: the field, and the line of the cursor.
_RAISED = ("boost", "primary-muted")
#: Backgrounds that have a colour of their own.
_TINTED = ("primary-muted", "warning-muted")
#: The part of the contrast with the background that a text keeps on a tinted one, at the least.
_SHARE = 1.25
_STEPS = 40

_ANSI_DARK = {
    "text-primary": "ansi_bright_cyan",
    "text-error": "ansi_bright_red",
    "text-success": "ansi_bright_green",
    "text-warning": "ansi_bright_yellow",
    "text-accent": "ansi_bright_magenta",
    "footer-key-foreground": "ansi_bright_cyan",
    "input-selection-background": "ansi_bright_cyan",
    "input-selection-foreground": "ansi_black",
}
_ANSI_LIGHT = {  # green, yellow and cyan are hardly seen on white
    "text-primary": "ansi_blue",
    "text-error": "ansi_red",
    "text-success": "ansi_blue",
    "text-warning": "ansi_magenta",
    "text-accent": "ansi_magenta",
    "footer-key-foreground": "ansi_blue",
    "input-selection-background": "ansi_blue",
    "input-selection-foreground": "ansi_bright_white",
}
#: For both: what Textual would blend with a background that is not known.
_ANSI = {
    "foreground-muted": "ansi_default",
    "text-muted": "ansi_default",
    "text-disabled": "ansi_default",
    "primary-muted": "transparent",
    "warning-muted": "transparent",
    "error-muted": "transparent",
    "success-muted": "transparent",
}


def luminance(color: Color) -> float:
    """The relative luminance of *color*, from 0 to 1 (WCAG 2.2)."""

    def linear(part: float) -> float:
        return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4

    red, green, blue = map(linear, color.normalized)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Color, other: Color) -> float:
    """The contrast ratio of two colours, from 1 to 21 (WCAG 2.2)."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def legible(variables: Mapping[str, str], *, ansi: bool, dark: bool) -> dict[str, str]:
    """*variables* of a theme with every text legible on every background of the app."""
    made = dict(variables)
    if ansi:
        return made | _ANSI | (_ANSI_DARK if dark else _ANSI_LIGHT)
    made["footer-background"] = made["panel"]
    base = Color.parse(made["background"])
    end = Color.parse("white" if dark else "black")
    plain = [base + Color.parse(made[name]) for name in _PLAIN]
    texts = {name: base + Color.parse(made[name]) for name in _TEXTS}
    for name in _TINTED:
        made[name] = _softened(base + Color.parse(made[name]), base, texts["foreground"]).hex
    raised = [under + Color.parse(made[name]) for name in _RAISED for under in plain]
    backgrounds = [*plain, *raised, Color.parse(made["warning-muted"])]
    for name, text in texts.items():
        made[name] = _moved(text, end, backgrounds).hex
    made["text"] = made["foreground"]
    made["text-muted"] = made["text-disabled"] = made["foreground-muted"]
    return made


def _softened(tint: Color, base: Color, text: Color) -> Color:
    """The field *tint*, as far towards *base* as it takes to tell it from *text*; half at most."""
    wanted = min(contrast(base, text) / _SHARE, 2 * TEXT_CONTRAST)
    for step in range(_STEPS // 2 + 1):
        softened = tint.blend(base, step / _STEPS, alpha=1.0)
        if contrast(softened, text) >= wanted:
            return softened
    return softened


def _moved(color: Color, end: Color, others: list[Color]) -> Color:
    """*color*, as far towards *end* as it takes to tell it from all *others*."""
    for step in range(_STEPS + 1):
        moved = color.blend(end, step / _STEPS, alpha=1.0)
        if all(contrast(moved, other) >= TEXT_CONTRAST for other in others):
            return moved
    return end


def has_colours() -> bool:
    """Whether colours are wanted and the terminal has any: ``NO_COLOR``, and the terminfo entry."""
    if os.environ.get("NO_COLOR"):  # https://no-color.org: present and not empty
        return False
    if os.environ.get("COLORTERM"):
        return True
    term = os.environ.get("TERM")
    if not term:
        return True
    import curses

    try:
        curses.setupterm(term, 1)
    except curses.error:
        return True
    return curses.tigetnum("colors") > 0


def is_light() -> bool:
    """Whether the terminal says that its background is light, in ``COLORFGBG`` as rxvt has it."""
    return os.environ.get("COLORFGBG", "").rpartition(";")[2] in ("7", "15")
