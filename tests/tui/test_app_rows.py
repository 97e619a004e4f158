"""The model of the tree, as text."""

from __future__ import annotations

import sys

from whiteout_tui.rowdata import Batch, RowData, RowFlag, RowKind, RowType
from whiteout_tui.rows import ROOT, Inserted, Rows, RowState


def file(name: str, *, skipped: bool = False) -> RowData:
    if skipped:
        return RowData(name.encode(), RowKind.SKIPPED, RowType.FILE, RowFlag.HIDEABLE, 0)
    return RowData(name.encode(), RowKind.ADD, RowType.FILE, 0, 0)


def directory(name: str) -> RowData:
    return RowData(name.encode(), RowKind.ADD, RowType.DIRECTORY, RowFlag.EXPANDABLE, 0)


def picture(rows: Rows) -> str:
    return "\n".join(
        "  " * rows.depth(rows[place]) + (rows.name(rows[place]).decode() or "/")
        for place in range(rows.height)
    )


def append(rows: Rows, parent: int, batch: list[RowData]) -> Inserted | None:
    return rows.append(parent, Batch(batch))


def small() -> Rows:
    rows = Rows()
    rows.open(0)
    append(rows, ROOT, [directory("a"), file("b", skipped=True), directory("c")])
    return rows


def test_rows_come_into_sight_below_what_is_open() -> None:
    rows = small()
    a, c = rows[1], rows[3]
    assert append(rows, a, [file("a1")]) is None
    assert rows.open(1) == 1
    assert append(rows, c, [file("c1")]) is None
    assert append(rows, a, [file("a2"), file("a3")]) == Inserted(3, 2)
    assert picture(rows) == "/\n  a\n    a1\n    a2\n    a3\n  b\n  c"
    assert rows.path(rows[4]) == b"/a/a3"


def test_batches_of_two_directories_may_alternate() -> None:
    rows = small()
    a, c = rows[1], rows[3]
    rows.open(3)
    rows.open(1)
    for number in range(3):
        append(rows, a, [file(f"a{number}")])
        append(rows, c, [file(f"c{number}")])
    assert picture(rows) == ("/\n  a\n    a0\n    a1\n    a2\n  b\n  c\n    c0\n    c1\n    c2")


def test_rows_are_found_by_their_names() -> None:
    rows = small()
    a, c = rows[1], rows[3]
    assert rows.rows_named(ROOT, [b"c", b"", b"aa", b"a", b"d"]) == [c, None, None, a, None]
    assert rows.rows_named(a, [b"a"]) == [None]
    for number in range(3):  # those of one directory are no range then
        append(rows, a, [file(f"n{number}")])
        append(rows, c, [file(f"n{number}")])
    names = [b"n0", b"n1", b"n2", b"n3"]
    for parent in (a, c):
        *found, missing = rows.rows_named(parent, names)
        assert missing is None
        assert [rows.name(row or 0) for row in found] == names[:3]
        assert {rows.parent(row or 0) for row in found} == {parent}


def test_closing_takes_everything_below_along_and_opening_brings_it_back() -> None:
    rows = small()
    rows.open(1)
    append(rows, rows[1], [directory("deep")])
    rows.open(2)
    append(rows, rows[2], [file("deepest")])
    before = picture(rows)
    assert rows.close(1) == 2
    assert picture(rows) == "/\n  a\n  b\n  c"
    assert rows.open(1) == 2
    assert picture(rows) == before
    rows.close(0)
    assert picture(rows) == "/"
    rows.open(0)
    assert picture(rows) == before


def test_rows_that_come_while_a_directory_above_is_closed_are_there_later() -> None:
    rows = small()
    a = rows[1]
    rows.open(1)
    append(rows, a, [directory("deep")])
    deep = rows[2]
    rows.open(2)
    rows.close(1)
    assert append(rows, deep, [file("late")]) is None
    rows.open(1)
    assert picture(rows) == "/\n  a\n    deep\n      late\n  b\n  c"
    assert rows.close(0) == 5


def test_skipped_rows_can_be_hidden_and_are_counted() -> None:
    rows = small()
    assert rows.hidden == 0
    rows.hide_skipped(True)
    assert (picture(rows), rows.hidden) == ("/\n  a\n  c", 1)
    append(rows, ROOT, [file("d", skipped=True), file("e")])
    assert (picture(rows), rows.hidden) == ("/\n  a\n  c\n  e", 2)
    rows.hide_skipped(False)
    assert picture(rows) == "/\n  a\n  b\n  c\n  d\n  e"


def test_a_row_out_of_sight_has_a_shown_one_above_it() -> None:
    rows = small()
    b = rows[2]
    a = rows[1]
    append(rows, a, [file("inside")])
    inside = rows.child_named(a, b"inside")
    assert inside is not None
    assert rows.place(inside) is None
    assert rows.nearest_shown(inside) == a
    rows.hide_skipped(True)
    assert rows.nearest_shown(b) == ROOT
    assert rows.place(b) is None


def test_reading_anew_forgets_what_was_there() -> None:
    rows = small()
    rows.open(1)
    a = rows[1]
    append(rows, a, [directory("deep"), file("x", skipped=True)])
    deep = rows[2]
    rows.open(2)
    rows.start_loading(deep)
    assert rows.forget_below(1) == [deep]
    assert picture(rows) == "/\n  a\n  b\n  c"
    assert append(rows, deep, [file("stale")]) is None
    append(rows, a, [file("new")])
    assert picture(rows) == "/\n  a\n    new\n  b\n  c"
    rows.hide_skipped(True)
    rows.hide_skipped(False)
    assert picture(rows) == "/\n  a\n    new\n  b\n  c"
    assert rows.hideable == 1
    assert rows.state(deep) & RowState.GONE


def test_a_path_may_be_deeper_than_python_recurses() -> None:
    rows = Rows()
    rows.open(0)
    row = ROOT
    for place in range(1, 1200):
        append(rows, row, [directory("d")])
        rows.open(place)
        row = rows[place]
    rows.hide_skipped(True)
    assert rows.path(row).count(b"d") == rows.depth(row) == rows.height - 1
    assert rows.close(1) == rows.depth(row) - 1
    assert rows.place(row) is None
    assert rows.open(1) == rows.depth(row) - 1
    assert rows.place(row) == rows.depth(row)


def test_a_million_rows() -> None:
    rows = Rows()
    rows.open(0)
    for start in range(0, 1_000_000, 1000):
        append(rows, ROOT, [file(f"entry-{number:07}") for number in range(start, start + 1000)])
    assert rows.height == len(rows) == 1_000_001
    assert rows.path(rows[777_778]) == b"/entry-0777777"
    assert rows.place(rows[1_000_000]) == 1_000_000
    assert rows.close(0) == 1_000_000
    assert rows.open(0) == 1_000_000
    assert bytes_of(rows) / len(rows) < 100


def bytes_of(rows: Rows) -> int:
    return sum(sys.getsizeof(getattr(rows, column)) for column in Rows.__slots__)
