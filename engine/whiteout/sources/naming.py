"""From a name that a person typed to the record that it means."""

from __future__ import annotations

from collections.abc import Iterable

from whiteout.display import display_text
from whiteout.errors import UsageError
from whiteout.sources.model import Record
from whiteout.sources.stack import Kind

#: An id may be given by its beginning, as engines print it, when it is at least this long.
_SHORTEST = 4
_SHOWN = 5


def choose(records: Iterable[Record], wanted: str, target: str) -> Record:
    """The record among *records* whose name or alias is *wanted*, or begins with it.

    *target* is what was typed. A whole name goes before an alias, and an alias before a beginning.

    Raises:
        UsageError: none of them, or several; the message names some that are near.
    """
    every = list(records)
    known = [record for record in every if record.kind is not Kind.STORE]
    for matches in (
        [record for record in known if wanted in (record.name, record.target)],
        [record for record in known if wanted in record.aliases],
        [record for record in known if _begins(record, wanted)],
    ):
        distinct: dict[tuple[str, str], Record] = {}
        for record in matches:
            distinct.setdefault((record.target, record.group), record)
        if len(distinct) == 1:
            return next(iter(distinct.values()))
        if distinct:
            raise UsageError(_ambiguous(target, list(distinct.values())))
    unread = next((record.problem for record in every if record.kind is Kind.STORE), None)
    raise UsageError(f"there is no {display_text(target)}{_advice(known, wanted, unread)}")


def _begins(record: Record, wanted: str) -> bool:
    if len(wanted) < _SHORTEST:
        return False
    names = (record.name, *record.aliases)
    return any(
        name.removeprefix("sha256:").startswith(wanted) or name.startswith(wanted) for name in names
    )


def _ambiguous(target: str, records: list[Record]) -> str:
    targets = {record.target for record in records}
    if len(targets) == len(records):
        return f"{display_text(target)} may be {_targets(records)}; give one of them"
    groups = " and in ".join(display_text(record.group) for record in records[:_SHOWN])
    return f"{display_text(target)} is in {groups}; name one store with --root DIR"


def _targets(records: list[Record]) -> str:
    shown = ", ".join(display_text(record.target) for record in records[:_SHOWN])
    more = len(records) - _SHOWN
    return f"{shown} or {more:,} more" if more > 0 else shown


def _advice(known: list[Record], wanted: str, unread: str | None) -> str:
    by_name: dict[str, Record] = {}
    for record in known:
        for name in (record.name, *record.aliases):
            by_name.setdefault(name, record)
    import difflib

    near = difflib.get_close_matches(wanted, by_name, n=_SHOWN, cutoff=0.5)
    near += [name for name in by_name if wanted and wanted in name and name not in near]
    if near:
        found = list({by_name[name].target: by_name[name] for name in near}.values())
        return f"; did you mean {_targets(found)}?"
    if unread is not None:
        return f"; {unread}"
    return "; see 'whiteout list'"
