"""Whether what is on the screen can be read: WCAG's contrast of every text with its background."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.color import Color as RichColor
from rich.color_triplet import ColorTriplet
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from textual.color import Color
from textual.filter import dim_color

from whiteout_tui.app import WhiteoutApp
from whiteout_tui.browse_screen import BrowseScreen
from whiteout_tui.colours import DIM_CONTRAST, TEXT_CONTRAST, contrast

_NORMAL = [
    (0, 0, 0),
    (205, 0, 0),
    (0, 205, 0),
    (205, 205, 0),
    (0, 0, 238),
    (205, 0, 205),
    (0, 205, 205),
    (229, 229, 229),
]
_BRIGHT = [
    (127, 127, 127),
    (255, 0, 0),
    (0, 255, 0),
    (255, 255, 0),
    (92, 92, 255),
    (255, 0, 255),
    (0, 255, 255),
    (255, 255, 255),
]
#: The colours of xterm, on black and on white.
XTERM = {
    True: TerminalTheme((0, 0, 0), (229, 229, 229), _NORMAL, _BRIGHT),
    False: TerminalTheme((255, 255, 255), (0, 0, 0), _NORMAL, _BRIGHT),
}
#: Lines, bars and a picture, which say nothing that is not said otherwise.
_ORNAMENT = re.compile(r"[\s\u2500-\u25a1\u2800-\u28ff\U0001f50e]*")
_GONE = re.compile(r"^ (D|. \w*~)")


def _rgb(color: RichColor | None, theme: TerminalTheme, *, foreground: bool) -> ColorTriplet:
    return (color or RichColor.default()).get_truecolor(theme, foreground=foreground)


def colours_of(style: Style, theme: TerminalTheme) -> tuple[Color, Color]:
    """Text and background as they are drawn."""
    front = _rgb(style.color, theme, foreground=True)
    back = _rgb(style.bgcolor, theme, foreground=False)
    if style.reverse:
        front, back = back, front
    if style.dim:
        dimmed = dim_color(RichColor.from_triplet(back), RichColor.from_triplet(front))
        assert dimmed.triplet is not None
        front = dimmed.triplet
    return Color(*front), Color(*back)


def _is_behind(app: WhiteoutApp, x: int, y: int) -> bool:
    """Whether it belongs to the screen below a dialog."""
    return app.screen.is_modal and app.screen.get_widget_at(x, y)[0] is app.screen


def illegible(app: WhiteoutApp) -> Iterator[str]:
    """Every text on the screen with less contrast than it needs."""
    theme = XTERM[app.current_theme.dark]
    screen = app.screen
    tree = screen.entries.region if isinstance(screen, BrowseScreen) else None
    for y, strip in enumerate(screen._compositor.render_strips()):
        x = 0
        gone = tree is not None and _GONE.match(strip.text) is not None
        for text, style, _ in strip:
            least = TEXT_CONTRAST
            if gone and tree is not None and tree.contains(x, y):
                least = DIM_CONTRAST
            x += len(text)
            if _ORNAMENT.fullmatch(text) or _is_behind(app, x - 1, y):
                continue
            front, back = colours_of(style or Style(), theme)
            found = contrast(front, back)
            if found < least - 0.05:  # colours are rounded to whole bytes
                yield f"{text.strip()!r} in line {y} has {found:.1f}: {front.hex} on {back.hex}"
