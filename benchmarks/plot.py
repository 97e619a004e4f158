"""The figures as SVG, by hand: two kinds of plot need no library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

_STYLE = """\
<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.axis { stroke: #8c959f; fill: none }
.even { stroke: #8c959f; stroke-dasharray: 4 3 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }
</style>"""
_COLOURS = ("#2f81f7", "#d29922", "#3fb950", "#db61a2", "#8957e5", "#f0883e")


def _svg(width: int, height: int, parts: list[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">'
    )
    return "\n".join([head, _STYLE, *parts, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{escape(text)}</text>'


def bars(title: str, rows: Sequence[tuple[str, float]]) -> str:
    """Horizontal bars of ratios on a logarithmic scale, with a line at 1."""
    left, right, width, line = 250, 60, 760, 22
    low = min(0.5, *(value for _, value in rows))
    high = max(2.0, *(value for _, value in rows))
    span = width - left - right

    def place(value: float) -> float:
        return left + span * math.log(value / low) / math.log(high / low)

    parts = [_text(8, 20, title, kind="title")]
    for number, (label, value) in enumerate(rows):
        y = 40 + number * line
        start, end = sorted((place(1.0), place(value)))
        colour = _COLOURS[2] if value >= 1 else _COLOURS[1]
        parts += [
            _text(left - 8, y + 12, label, "end"),
            f'<rect x="{start:.1f}" y="{y}" width="{max(1.0, end - start):.1f}" '
            f'height="{line - 6}" fill="{colour}"/>',
            _text(max(end, place(1.0)) + 6, y + 12, f"{value:.2f}"),
        ]
    bottom = 40 + len(rows) * line
    even = place(1.0)
    parts.append(f'<line class="even" x1="{even:.1f}" y1="32" x2="{even:.1f}" y2="{bottom}"/>')
    return _svg(width, bottom + 10, parts)


def lines(
    title: str, series: dict[str, list[tuple[float, float]]], across: str, upwards: str
) -> str:
    """Lines over two logarithmic axes."""
    left, top, width, height = 60, 34, 760, 340
    right, bottom = width - 190, height - 44
    points = [point for line in series.values() for point in line]
    x_low, x_high = (f(x for x, _ in points) for f in (min, max))
    y_low = 10 ** math.floor(math.log10(min(y for _, y in points)))
    y_high = 10 ** math.ceil(math.log10(max(y for _, y in points)))

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            left + (right - left) * math.log(x / x_low) / math.log(max(2.0, x_high / x_low)),
            bottom - (bottom - top) * math.log(y / y_low) / math.log(max(2.0, y_high / y_low)),
        )

    parts = [
        _text(8, 20, title, kind="title"),
        f'<path class="axis" d="M{left},{top} L{left},{bottom} L{right},{bottom}"/>',
        _text((left + right) / 2, height - 8, across, "middle"),
        _text(left + 4, top - 2, upwards),
    ]
    for x in sorted({x for x, _ in points}):
        parts.append(_text(place(x, y_low)[0], bottom + 18, f"{x:,.0f}", "middle"))
    value = y_low
    while value <= y_high * 1.001:
        parts.append(_text(left - 6, place(x_low, value)[1] + 4, f"{value:g}", "end"))
        value *= 10
    for number, (name, line) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        key = top + 14 + number * 18
        parts += [
            f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>',
            f'<rect x="{right + 16}" y="{key - 9}" width="12" height="10" fill="{colour}"/>',
            _text(right + 34, key, name),
        ]
    return _svg(width, height, parts)
