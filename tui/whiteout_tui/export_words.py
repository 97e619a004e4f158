"""What is said of an export: how far it is, what came of it, and what can be copied of that."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content

from whiteout.contentstore import Descriptor
from whiteout.display import display_path, display_text
from whiteout.estimate import Estimate
from whiteout.export import ExportResult, swept_sentence
from whiteout.sinks.model import Action, Step
from whiteout_tui.export_plan import Outcome
from whiteout_tui.exports import Export, ExportState
from whiteout_tui.formats import duration_text, entries_text, exact_size, short_size
from whiteout_tui.result_table import Value
from whiteout_tui.shell import shell_word
from whiteout_tui.status import Notice

#: A letter for each state, so that colour is never needed, and a style of the list of lines.
STATES: dict[ExportState, tuple[str, str]] = {
    ExportState.RUNNING: ("…", "accent"),
    ExportState.CANCELLING: ("…", "warning"),
    ExportState.DONE: ("✓", "added"),
    ExportState.FAILED: ("!", "deleted"),
    ExportState.CANCELLED: ("✗", "muted"),
}


def estimate_text(estimates: Sequence[Estimate], count: int, *, complete: bool) -> str:
    """How large *count* layers will be together, as far as they are counted, and by what rule."""
    entries = sum(estimate.entries for estimate in estimates)
    size = sum(estimate.tar_size for estimate in estimates)
    what = f"Estimate of all {count:,} layers" if count > 1 else "Estimate"
    if not complete:
        least = f"at least {entries_text(entries)}, {short_size(size)} of tar"
        return f"{what}, while it is counted: {least}."
    return (
        f"{what}: about {entries_text(entries)}, {exact_size(size)} of tar, from the totals: "
        "a header for each recorded entry, and its content."
    )


def progress_lines(export: Export) -> tuple[str, str]:
    """How far an export is, and at what."""
    step = export.step
    if step is None:
        return "beginning…", ""
    layer = step.layer
    if layer is not None:
        made = export.made_before + layer.uncompressed
        rate = short_size(round(made / max(export.seconds, 1e-3)))
        which = f"{step.number} of {step.count}   " if step.count > 1 else ""
        return (
            f"{which}{entries_text(layer.entries)}   {short_size(layer.uncompressed)} of tar   "
            f"{short_size(layer.written)} written   {rate}/s",
            display_path(layer.path),
        )
    return _step_text(step), display_text(step.item)


def _step_text(step: Step) -> str:
    if step.action is Action.WAIT:
        return f"{step.action.value} {display_text(step.item)}"
    of = f" of {short_size(step.total)}" if step.total is not None else ""
    return f"{step.action.value}   {short_size(step.done)}{of}"


def percent_text(export: Export) -> str:
    """How much of the present step is done; empty while that is not known."""
    fraction = export.fraction
    return f"{round(100 * fraction)}%" if fraction is not None else ""


def running_notices(running: list[Export]) -> list[Notice]:
    """A few words on the exports that run."""
    if not running:
        return []
    percent = percent_text(running[0]) if len(running) == 1 else f"{len(running)} run"
    return [Notice(f"exporting {percent or '…'}, H shows it", f"export {percent or '…'}, H")]


@dataclass(frozen=True, slots=True)
class Told:
    """The lines of a result, and to which layer each belongs; None is the image."""

    values: tuple[Value, ...]
    layers: tuple[ExportResult | None, ...]
    first: int
    """The line that is marked at first."""


def told_of(outcome: Outcome) -> Told:
    """The lines of *outcome*."""
    lines: list[tuple[Value, ExportResult | None]] = []
    image = outcome.image
    if image is not None:
        lines += [
            (value, None)
            for value in (
                Value("image", image.reference, image.reference),
                _plain("manifest", image.manifest.digest),
                _plain("config", image.config.digest),
                Value("time", duration_text(image.seconds), f"{image.seconds:.3f}"),
                _json_value("descriptor", image.manifest),
            )
        ]
    for number, layer in reversed(list(enumerate(outcome.layers, 1))):
        if len(outcome.layers) > 1:
            label = f"layer {number} of {len(outcome.layers)}"
            lines.append((_plain(label, layer.media_type), layer))
        lines += [(value, layer) for value in layer_values(layer, alone=image is None)]
    values = tuple(value for value, _ in lines)
    first = next((n for n, value in enumerate(values) if value.label in ("digest", "manifest")), 0)
    return Told(values, tuple(layer for _, layer in lines), first)


def layer_values(result: ExportResult, *, alone: bool) -> tuple[Value, ...]:
    """The lines of one layer; *alone* in a store or a file, and not in an image elsewhere."""
    ratio = result.uncompressed_size / result.size if result.size else 1.0
    values = [
        _plain("media type", result.media_type),
        _plain("digest", result.digest),
        _plain("diffID", result.diff_id),
        Value("size", exact_size(result.size), str(result.size)),
        Value(
            "tar",
            f"{exact_size(result.uncompressed_size)}, ratio {ratio:.2f}",
            str(result.uncompressed_size),
        ),
        Value("entries", f"{result.entries:,}", str(result.entries)),
    ]
    if alone:
        values.append(Value("time", duration_text(result.seconds), f"{result.seconds:.3f}"))
        if result.tag is not None:
            tag = shell_word(result.tag.encode())
            values.append(Value("tag", display_text(result.tag), tag))
    values.append(_plain("differ", result.differ))
    if alone and result.path is not None:
        path = result.path
        values.append(Value("path", display_path(path), shell_word(path)))
    values.append(_json_value("descriptor", result.descriptor))
    swept = swept_sentence(result)
    if swept is not None:
        values.append(_plain("swept", swept))
    return tuple(values)


def _plain(label: str, text: str) -> Value:
    return Value(label, text, text)


def _json_value(label: str, descriptor: Descriptor) -> Value:
    return Value(label, json.dumps(descriptor.as_dict()), descriptor_json(descriptor))


def descriptor_json(descriptor: Descriptor) -> str:
    """*descriptor* as JSON in several lines, in ASCII."""
    return json.dumps(descriptor.as_dict(), indent=2)


def verification_text(export: Export) -> Content:
    """What reading the blobs again gave."""
    if export.verifying:
        return Content("reading the blob again… c cancels")
    verified = export.verified
    if verified is None or export.outcome is None:
        return Content("")
    if verified.failure is not None:
        return Content.styled(f"! {verified.failure}", "$text-error")
    problems: list[str] = []
    for found, layer in zip(verified.found, export.outcome.layers, strict=True):
        problems += found.problems
        if found.diff_id not in (None, layer.diff_id):
            problems.append(f"its diffID is {found.diff_id}")
    if problems:
        return Content.styled("\n".join(f"✗ {problem}" for problem in problems), "$text-error")
    entries = sum(found.entries for found in verified.found)
    return Content.styled(
        f"✓ verified: digest and diffID recomputed, {entries_text(entries)} read", "$text-success"
    )


def verified_word(export: Export) -> str:
    """The same in a word or two."""
    if export.verifying:
        return "verifying…"
    verified = export.verified
    if verified is None:
        return ""
    text = verification_text(export).plain
    return "✓ verified" if text.startswith("✓") else "✗ damaged" if "✗" in text else "! not read"
