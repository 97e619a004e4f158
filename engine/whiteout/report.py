"""Verdicts and results as JSON and as lines of output."""

from __future__ import annotations

from whiteout.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whiteout.comparison import Fact
    from whiteout.export import ExportResult
    from whiteout.metadata import Inspection
    from whiteout.remarks import Remark
    from whiteout.sinks.run import SinkResult
    from whiteout.totals import Totals
    from whiteout.verdicts import Verdict
    from whiteout.verify import Verification


def letter(verdict: Verdict) -> str:
    """The letter of a line of ``whiteout changes``: A, M, D, U, or S for what is skipped."""
    return verdict.kind.value if verdict.kind is not None else "S"


def text(data: bytes) -> str:
    """Bytes as a JSON string: what is not UTF-8 becomes lone surrogates, as in Python."""
    return data.decode("utf-8", "surrogateescape")


def json_line(value: object) -> str:
    """*value* as one line of ASCII JSON without any control character."""
    import json

    return json.dumps(value).replace("\x7f", "\\u007f")


def inspection_object(inspection: Inspection) -> dict[str, object]:
    """A verdict with its whole reason, and the attributes of the entry in the snapshot.

    The values are in base64, as they may be any bytes.
    """
    import base64

    attributes = inspection.upper.xattrs if inspection.upper is not None else ()
    return {
        **verdict_object(inspection.verdict),
        "attributes": {
            text(each.name): base64.b64encode(each.value).decode() for each in attributes
        },
    }


def verdict_object(verdict: Verdict) -> dict[str, object]:
    """A verdict with its whole reason."""
    from whiteout.steps import effect_of, steps_of

    effect = effect_of(verdict)
    entry = verdict.entry
    result: dict[str, object] = {
        "kind": letter(verdict),
        "path": text(verdict.path),
        "reason": verdict.reason.value,
        "differ": verdict.method.value,
        "type": entry.type.value if entry is not None else None,
        "size": entry.size if entry is not None else None,
        "steps": [
            {
                "question": step.question.value,
                "answer": step.answer,
                **({"facts": [_fact_object(fact) for fact in step.facts]} if step.facts else {}),
            }
            for step in steps_of(verdict)
        ],
        "layer": {
            "effect": effect.effect.value,
            "entry": text(effect.entry) if effect.entry is not None else None,
        },
    }
    if verdict.whiteout:
        result["whiteout"] = True
    if verdict.upper is not None and verdict.upper.is_directory:
        result["opaque"] = verdict.opaque.value
    if verdict.redirect is not None:
        result["redirect"] = text(verdict.redirect)
    if verdict.metacopy:
        result["metacopy"] = True
    if verdict.error is not None:
        result["error"] = verdict.error
    return result


def _fact_object(fact: Fact) -> dict[str, object]:
    return {
        "field": fact.field,
        "base": _fact_value(fact.field, fact.base),
        "upper": _fact_value(fact.field, fact.upper),
        "equal": fact.equal,
    }


def _fact_value(field: str, value: int | bytes | None) -> int | str | None:
    if isinstance(value, bytes):
        return value.hex() if field == "capability" else text(value)
    return value


def export_object(result: ExportResult) -> dict[str, object]:
    """The result of an export; ``path`` is ``-`` for standard output."""
    return {
        "mediaType": result.media_type,
        "digest": result.digest,
        "size": result.size,
        "diffID": result.diff_id,
        "differ": result.differ,
        "path": text(result.path) if result.path is not None else "-",
        "tag": result.tag,
        "entries": result.entries,
        "uncompressedSize": result.uncompressed_size,
        "seconds": round(result.seconds, 3),
        "swept": [{"ref": status.ref, "offset": status.offset} for status in result.swept],
    }


def sink_object(result: SinkResult) -> dict[str, object]:
    """The result of an export to a sink; ``exported`` counts the layers that are new."""
    below = len(result.layers) - len(result.exported)
    return {
        "sink": result.sink,
        "reference": result.reference,
        "manifest": result.manifest.as_dict(),
        "config": result.config.as_dict(),
        "layers": [
            {
                **layer.descriptor.as_dict(),
                "diffID": layer.diff_id,
                "exported": number >= below,
                "reused": layer.descriptor.digest in result.reused,
            }
            for number, layer in enumerate(result.layers)
        ],
        "seconds": round(result.seconds, 3),
    }


def verification_object(found: Verification) -> dict[str, object]:
    """What was found in a blob."""
    return {
        "ok": found.ok,
        "digest": found.digest,
        "size": found.size,
        "diffID": found.diff_id,
        "mediaType": found.media_type,
        "entries": found.entries,
        "label": found.label,
        "problems": list(found.problems),
    }


def totals_object(totals: Totals) -> dict[str, object]:
    """The totals as JSON; sizes are in bytes."""
    return {
        "added": {"entries": totals.added.entries, "bytes": totals.added.size},
        "modified": {
            "entries": totals.modified.entries,
            "bytes": totals.modified.size,
            "bytesBefore": totals.before,
        },
        "deleted": {"entries": totals.deleted},
        "removed": {
            "entries": totals.removed.entries,
            "bytes": totals.removed.size,
            "complete": not totals.unlisted,
        },
        "unmodified": {"entries": totals.unmodified},
        "skipped": {"entries": totals.skipped},
        "unreadable": {"entries": totals.unreadable},
        "directories": [
            {"path": text(item.path), "bytes": item.size, "bytesRemoved": item.removed}
            for item in totals.directories
        ],
        "files": [
            {
                "path": text(item.path),
                "bytes": item.size,
                "kind": item.kind.value if item.kind is not None else None,
            }
            for item in totals.files
        ],
    }


def remark_object(remark: Remark) -> dict[str, object]:
    """A remark as JSON."""
    from whiteout.surveywords import REMARK_WORDS

    return {
        "finding": remark.kind.value,
        "level": remark.kind.level.value,
        "path": text(remark.path),
        "detail": text(remark.detail),
        "bytes": remark.size,
        "meaning": REMARK_WORDS[remark.kind].meaning,
    }
