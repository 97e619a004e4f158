"""Pieces that the tabs are drawn of: headings, paragraphs, labelled values."""

from __future__ import annotations

from textual.content import Content

from whiteout_tui.words import wrap

MUTED = "$foreground-muted"
CHANGED = "$text-warning"
WRONG = "$text-error"


def section(title: str) -> Content:
    """A heading with an empty line before it."""
    return Content.assemble("\n", (title, "bold $text-primary"))


def heading(title: str) -> Content:
    """A heading at the top."""
    return Content.styled(title, "bold $text-primary")


def paragraph(text: str, width: int, style: str = "", indent: int = 0) -> Content:
    """The printable *text* in lines of *width* cells."""
    lines = wrap(text, width - indent)
    return Content.styled("\n".join(" " * indent + line for line in lines), style)


def trouble(sentence: str, width: int) -> Content:
    """What could not be read, and why."""
    return paragraph(f"! {sentence}", width, WRONG)


def labelled(label: str, text: str, width: int, column: int = 12, style: str = "") -> Content:
    """A label, and beside it the printable *text* in as many lines as it takes."""
    return Content("\n").join(
        Content.assemble((f"{label if number == 0 else '':<{column}}", MUTED), (line, style))
        for number, line in enumerate(wrap(text, width - column))
    )


def joined(*parts: Content) -> Content:
    """*parts* below each other."""
    return Content("\n").join(parts)
