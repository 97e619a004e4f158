"""Layers: what every layer holds for the path, and who shadows whom."""

from __future__ import annotations

from collections.abc import Callable

from textual.content import Content

from whiteout.display import display_path
from whiteout.provenance import NOTHING, OPAQUE, UNREADABLE, WHITEOUT, Holding, provenance
from whiteout_tui.detail.lines import MUTED, WRONG, joined, paragraph, section, trouble
from whiteout_tui.detail.question import Drawing, Question
from whiteout_tui.formats import exact_size

_SUMMARIES = {
    WHITEOUT: "Layer {} holds a whiteout, so the path is gone, whatever the layers below hold.",
    NOTHING: "No layer shows anything here.",
}


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
    parts = [paragraph(summary(holdings), width, "bold"), section("Layer by layer, top first")]
    top = len(holdings) - 1
    for holding in holdings:
        parts.append(_holding(holding, top, width))
        if holding.error is not None:
            parts.append(trouble(holding.error, width))
    parts.append(section("Where they are"))
    for holding in holdings:
        parts.append(
            Content.assemble(
                (f"{holding.layer:>3} ", MUTED),
                paragraph(display_path(holding.layer_path), width - 4),
            )
            if width > 40
            else paragraph(f"{holding.layer} {display_path(holding.layer_path)}", width)
        )
    return joined(*parts)


def summary(holdings: tuple[Holding, ...]) -> str:
    """Which layer provides the path, in a sentence."""
    if any(holding.what == UNREADABLE for holding in holdings):
        return "A layer could not be read, so what is below it cannot be told."
    shown = [holding for holding in holdings if holding.shown]
    if not shown:
        for holding in holdings:
            if holding.what == WHITEOUT:
                return _SUMMARIES[WHITEOUT].format(holding.layer)
        return _SUMMARIES[NOTHING]
    if len(shown) == 1:
        place = "the upper directory" if shown[0] is holdings[0] else f"layer {shown[0].layer}"
        return f"It comes from {place} alone."
    numbers = ", ".join(str(holding.layer) for holding in shown)
    return f"It is merged from layers {numbers}."


def _holding(holding: Holding, top: int, width: int) -> Content:
    sign = "▸" if holding.shown else " "
    what = holding.what
    if holding.size is not None:
        what += f", {exact_size(holding.size)}"
    if holding.shown:
        state, style = "shown", "$text-success"
    elif holding.shadowed_by is not None:
        state, style = f"hidden by layer {holding.shadowed_by}", MUTED
    elif what == WHITEOUT:
        state, style = "hides what is below", "$text-error"
    else:
        state, style = "", WRONG if what == UNREADABLE else MUTED
    if holding.what == OPAQUE:
        what += ", hides what is below"
    name = "upper" if holding.layer == top else f"lower {holding.layer}"
    text = f"{what} — {state}" if state else what
    return Content.assemble(
        (f"{sign} {name:<9}", "bold" if holding.shown else MUTED),
        paragraph(text, max(10, width - 11), style),
    )
