"""What ``whiteout list`` prints: records and layers as lines of text and as JSON objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from whiteout.display import display_path, display_text
from whiteout.sources.model import Record
from whiteout.sources.stack import Kind, LayerStack, StackLayer

PARENT_WIDTH = 19
"""The cells of the column of parents: those of a short digest."""
_HEX = frozenset("0123456789abcdef")
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_AGES = ((86400 * 365, "y"), (86400, "d"), (3600, "h"), (60, "min"))


def size_text(size: int | None) -> str:
    """*size* bytes in decimal units, empty when unknown."""
    if size is None:
        return ""
    value, unit = float(size), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{size:,} B" if unit == 0 else f"{value:.{1 if value < 99.95 else 0}f} {_UNITS[unit]}"


def age_text(created: float | None, now: float) -> str:
    """How long ago *created* was, in the largest unit that fits; empty when unknown."""
    if created is None:
        return ""
    seconds = max(0.0, now - created)
    for length, unit in _AGES:
        if seconds >= length:
            return f"{int(seconds // length):,} {unit}"
    return f"{int(seconds)} s"


def short_name(name: str) -> str:
    """*name*, printable; of a digest or an id just the twelve digits by which engines show it."""
    algorithm, colon, digits = name.rpartition(":")
    if len(digits) >= 64 and algorithm in ("", "sha256", "sha512") and _HEX.issuperset(digits):
        name = f"{algorithm}{colon}{digits[:12]}"
    return display_text(name)


def parent_text(parent: str) -> str:
    """*parent*, printable and short enough for a column: of a path the end tells more."""
    text = short_name(parent)
    if len(text) <= PARENT_WIDTH:
        return text
    return f"…{text[1 - PARENT_WIDTH :]}" if "/" in text else f"{text[: PARENT_WIDTH - 1]}…"


def record_lines(records: Iterable[Record], now: float, *, trusted: bool = True) -> Iterator[str]:
    """*records* under the headings of their groups, in the order in which they come.

    *trusted* is whether this process may read ``trusted.*`` attributes; where it may not, what is
    doubtful has a question mark.
    """
    group = None
    for record in records:
        if record.group != group:
            if group is not None:
                yield ""
            group = record.group
            yield display_text(group)
        yield from _lines_of(record, now, trusted)


def _lines_of(record: Record, now: float, trusted: bool) -> Iterator[str]:
    if record.kind is not Kind.STORE:
        yield _row(
            record.kind.value,
            "" if record.layers is None else f"{record.layers:,}",
            age_text(record.created, now),
            size_text(record.size),
            f"{_parent(record):<{PARENT_WIDTH}}  {display_text(record.target)}{_words(record)}",
            "?" if record.is_doubtful(trusted) else "",
        )
    if record.problem is not None:
        yield f"    ! {record.problem}"


def _words(record: Record) -> str:
    """What is said of *record* beside its target."""
    words = [] if record.name in record.target else [display_text(record.name)]
    if record.parent is not None and _parent(record) != short_name(record.parent):
        words.append(f"on {short_name(record.parent)}")
    words += [display_text(note) for note in record.notes]
    return f"  ({', '.join(words)})" if words else ""


def _parent(record: Record) -> str:
    return "" if record.parent is None else parent_text(record.parent)


def _row(kind: str, layers: str, age: str, size: str, target: str, mark: str = "") -> str:
    return f"{mark:<1} {kind:<11} {layers:>6} {age:>7} {size:>9}  {target}".rstrip()


HEADER = _row("KIND", "LAYERS", "AGE", "SIZE", f"{'PARENT':<{PARENT_WIDTH}}  TARGET")


def layer_lines(stack: LayerStack, now: float) -> Iterator[str]:
    """The layers of *stack*, topmost first, with the number that ``--layer`` takes."""
    for number, layer in enumerate(stack.layers, 1):
        name = short_name(layer.name)
        path = display_path(layer.path)
        told = path if name == path else f"{path}  ({name})"
        yield _row(
            layer.kind.value,
            f"{number:,}",
            age_text(layer.created, now),
            size_text(layer.size),
            told,
        )


LAYER_HEADER = _row("KIND", "LAYER", "AGE", "SIZE", "DIRECTORY")


def record_object(record: Record, *, trusted: bool = True) -> dict[str, object]:
    """*record* for JSON; what is not known is null. For *trusted* see :func:`record_lines`."""
    return {
        "target": record.target or None,
        "name": record.name,
        "engine": record.engine,
        "group": record.group,
        "kind": record.kind.value,
        "parent": record.parent,
        "layers": record.layers,
        "created": _time(record.created),
        "size": record.size,
        "aliases": list(record.aliases),
        "notes": list(record.notes),
        "problem": record.problem,
        "doubtful": record.is_doubtful(trusted),
    }


def layer_object(number: int, layer: StackLayer) -> dict[str, object]:
    """One layer for JSON; *number* is what ``--layer`` takes."""
    return {
        "layer": number,
        "path": layer.path.decode("utf-8", "surrogateescape"),
        "name": layer.name,
        "kind": layer.kind.value,
        "created": _time(layer.created),
        "size": layer.size,
    }


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    from datetime import UTC, datetime

    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None
