"""Layers: what every layer holds for the path, and who shadows whom."""

from __future__ import annotations

from collections.abc import Callable

from textual.content import Content

from whiteout.display import display_path
from whiteout.provenance import OPAQUE, UNREADABLE, WHITEOUT, Holding, provenance
from whiteout_tui.detail.lines import (
    MUTED,
    WRONG,
    joined,
    labelled,
    paragraph,
    section,
    trouble,
)
from whiteout_tui.detail.question import Drawing, Question
from whiteout_tui.formats import exact_size


def load_layers(question: Question, show: Callable[[Drawing], None]) -> None:
    """Ask each layer.

    Raises:
        NotFound: the path is none.
        ReadError: a layer cannot be read.
    """
    holdings = provenance(question.snapshot, question.path)
    show(lambda width: draw_layers(holdings, width))


def draw_layers(holdings: tuple[Holding, ...], width: int) -> Content:
    """The layers from the top down, in lines of *width* cells."""
    parts = [paragraph(summary(holdings), width, "bold"), section("Layer by layer, from the top")]
    for holding in holdings:
        parts.append(_holding(holding, holdings, width))
        if holding.error is not None:
            parts.append(trouble(holding.error, width))
    parts.append(section("Where they are"))
    parts.extend(
        labelled(name_of(holding.layer, holdings), display_path(holding.layer_path), width)
        for holding in holdings
    )
    return joined(*parts)


def name_of(layer: int, holdings: tuple[Holding, ...]) -> str:
    """The layers are numbered from the top, as ``--layer`` has them; 1 is the upper directory."""
    number = len(holdings) - layer
    return "1 upper" if number == 1 else f"{number} lower"


def summary(holdings: tuple[Holding, ...]) -> str:
    """Which layer provides the path, in a sentence."""
    if any(holding.what == UNREADABLE for holding in holdings):
        return "A layer could not be read, so what is below it cannot be told."
    shown = [name_of(holding.layer, holdings) for holding in holdings if holding.shown]
    if len(shown) > 1:
        return f"Merged of what these layers hold: {', '.join(shown)}."
    if shown:
        return f"It comes from layer {shown[0]} alone."
    for holding in holdings:
        if holding.what == WHITEOUT:
            name = name_of(holding.layer, holdings)
            return f"It is gone: a whiteout in layer {name} hides the rest."
    return "No layer shows anything here."


def _holding(holding: Holding, holdings: tuple[Holding, ...], width: int) -> Content:
    what = holding.what
    if holding.size is not None:
        what += f", {exact_size(holding.size)}"
    style = MUTED
    if holding.shown:
        state, style = "shown", "$text-success"
    elif holding.shadowed_by is not None:
        state = f"hidden by layer {name_of(holding.shadowed_by, holdings)}"
    elif holding.what == WHITEOUT:
        state, style = "hides what is below", "$text-error"
    else:
        state, style = "", WRONG if holding.what == UNREADABLE else MUTED
    if holding.what == OPAQUE:
        state = f"{state}, hides what is below".removeprefix(", ")
    sign = "▸" if holding.shown else " "
    label = f"{sign} {name_of(holding.layer, holdings)}"
    return labelled(label, f"{what} — {state}" if state else what, width, 12, style)
