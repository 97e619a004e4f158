"""The rows against a simple model of them: whatever is done to them, the same is in sight."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from whiteout.search import parse_filter, parse_query
from whiteout_tui.matches import Matches
from whiteout_tui.ordering import Order, SortKey
from whiteout_tui.rowdata import Batch, RowData, RowFlag, RowKind, RowType
from whiteout_tui.rows import ROOT, Rows, RowState
from whiteout_tui.selecting import rows_of_filter, rows_of_query


@dataclass(eq=False)
class Thing:
    """A row of the model."""

    data: RowData
    row: int
    above: Thing | None
    below: list[Thing] = field(default_factory=list)
    open: bool = False
    loaded: bool = False

    @property
    def is_directory(self) -> bool:
        return bool(self.data.flags & RowFlag.EXPANDABLE)

    @property
    def path(self) -> tuple[bytes, ...]:
        return (*self.above.path, self.data.name) if self.above else ()


def sort_key(order: Order):  # type: ignore[no-untyped-def]
    def key(thing: Thing) -> tuple[int, int]:
        data = thing.data
        if order.key is SortKey.SIZE:
            size = data.size if data.type == RowType.FILE else 0
            return (-size if order.falls else size, thing.row)
        if order.key is SortKey.KIND:
            return (-data.kind if order.turned else data.kind, thing.row)
        return (0, -thing.row if order.turned else thing.row)

    return key


names = st.sampled_from([b"a", b"b", b"Ab", b"ba", b"x", b"xy", b"\xff", b"\n", b"b b"])
kinds = st.sampled_from([RowKind.ADD, RowKind.MODIFY, RowKind.DELETE, RowKind.SKIPPED])


@st.composite
def row(draw: st.DrawFn) -> RowData:
    kind = draw(kinds)
    if draw(st.booleans()):
        return RowData(draw(names), kind, RowType.DIRECTORY, RowFlag.EXPANDABLE, 0)
    flags = RowFlag.HIDEABLE if kind is RowKind.SKIPPED else 0
    return RowData(draw(names), kind, RowType.FILE, flags, draw(st.integers(0, 3)))


class RowsMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.rows = Rows()
        self.root = Thing(RowData(b"", 4, 1, RowFlag.EXPANDABLE, 0), ROOT, None)
        self.rows.open(0)
        self.root.open = True
        self.hiding = False
        self.filter: str | None = None
        self.order = Order()

    # The model

    def everything(self) -> list[Thing]:
        found = [self.root]
        for thing in found:
            found.extend(thing.below)
        return found

    def matches_filter(self, thing: Thing) -> bool:
        if self.filter == "kind:A":
            return thing.data.kind == RowKind.ADD
        if self.filter == "size:>1":
            return thing.data.type == RowType.FILE and thing.data.size > 1
        return self.filter is None or b"b" in thing.data.name.lower()

    def is_hidden(self, thing: Thing) -> bool:
        return self.hiding and bool(thing.data.flags & RowFlag.HIDEABLE)

    def wanted(self, thing: Thing) -> bool:
        return not self.is_hidden(thing) and self.matches_filter(thing)

    def ordered(self, thing: Thing) -> list[Thing]:
        if not thing.loaded:
            return thing.below
        return sorted(thing.below, key=sort_key(self.order))

    def in_sight(self, thing: Thing) -> list[Thing]:
        found = [thing]
        if thing.open:
            for below in self.ordered(thing):
                if self.wanted(below):
                    found += self.in_sight(below)
        return found

    # What is done

    def directories(self) -> list[Thing]:
        return [thing for thing in self.everything() if thing.is_directory]

    @rule(data=st.data(), batch=st.lists(row(), min_size=1, max_size=4))
    def append(self, data: st.DataObject, batch: list[RowData]) -> None:
        growing = [thing for thing in self.directories() if not thing.loaded]
        if not growing:
            return
        thing = data.draw(st.sampled_from(growing))
        first = len(self.rows)
        self.rows.append(thing.row, Batch(batch))
        thing.below += [Thing(one, first + n, thing) for n, one in enumerate(batch)]

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        thing = data.draw(st.sampled_from(self.directories()))
        self.rows.finish_loading(thing.row)
        thing.loaded = True

    @rule(data=st.data())
    def open_or_close(self, data: st.DataObject) -> None:
        shown = [thing for thing in self.in_sight(self.root) if thing.is_directory]
        thing = data.draw(st.sampled_from(shown))
        place = self.rows.place(thing.row)
        assert place is not None
        if thing.open:
            self.rows.close(place)
        else:
            self.rows.open(place)
        thing.open = not thing.open

    @rule(order=st.builds(Order, st.sampled_from(SortKey), st.booleans()))
    def sort(self, order: Order) -> None:
        self.rows.sort(order)
        self.order = order

    @rule(hiding=st.booleans())
    def hide(self, hiding: bool) -> None:
        self.rows.hide_skipped(hiding)
        self.hiding = hiding

    @rule(text=st.sampled_from([None, "kind:A", "size:>1", "b"]))
    def select(self, text: str | None) -> None:
        self.filter = text
        if text is None:
            self.rows.select(None)
            return
        selection = rows_of_filter(parse_filter(text))
        self.rows.select(lambda start, end: selection(self.rows, start, end))

    @rule()
    def close_all(self) -> None:
        self.rows.close_all()
        for thing in self.everything():
            thing.open = thing is self.root and self.root.open

    @rule(data=st.data())
    def open_these(self, data: st.DataObject) -> None:
        chosen = data.draw(st.lists(st.sampled_from(self.directories()), max_size=5))
        self.rows.open_these(thing.row for thing in chosen)
        for thing in chosen:
            thing.open = True

    @precondition(lambda self: len(self.everything()) > 3)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        shown = [thing for thing in self.in_sight(self.root) if thing.is_directory]
        thing = data.draw(st.sampled_from(shown))
        place = self.rows.place(thing.row)
        assert place is not None
        self.rows.forget_below(place)
        thing.below = []
        thing.loaded = False

    # What has to be

    @invariant()
    def the_same_is_in_sight(self) -> None:
        shown = self.in_sight(self.root)
        assert [self.rows[place] for place in range(self.rows.height)] == [t.row for t in shown]
        for place, thing in enumerate(shown):
            assert self.rows.place(thing.row) == place
            assert self.rows.data(thing.row) == thing.data

    @invariant()
    def the_tally_is_that_of_the_rows(self) -> None:
        kinds = [thing.data.kind for thing in self.everything()[1:]]
        assert self.rows.tally() == tuple(kinds.count(kind) for kind in RowKind)
        hideable = [t for t in self.everything() if t.data.flags & RowFlag.HIDEABLE]
        assert self.rows.hideable == len(hideable)

    @invariant()
    def matches_are_numbered_in_the_order_of_the_tree(self) -> None:
        query = rows_of_query(parse_query("b"))
        matches = Matches(self.rows)
        found = bytearray()
        for start in range(0, len(self.rows), 3):
            end = min(start + 3, len(self.rows))
            part = query(self.rows, start, end)
            alive = self.rows.entries(start, end)
            found += bytes(one & other for one, other in zip(part, alive, strict=True))
            matches.add(bytes(found[start:end]))
        expected = [
            thing
            for thing in self.tree_order(self.root)
            if b"b" in thing.data.name.lower() and not self.is_hidden(thing)
        ]
        assert matches.total == len(expected)
        for number, thing in enumerate(expected):
            assert matches.at(number) == thing.row
            assert matches.before(thing.row) == number
            following = expected[(number + 1) % len(expected)]
            assert matches.after(thing.row) == following.row
            assert matches.ahead_of(following.row) == thing.row
        assert matches.at(len(expected)) is None

    def tree_order(self, thing: Thing) -> list[Thing]:
        # Directories that are not in sight keep the order that they had, so ask the rows.
        by_row = {below.row: below for below in thing.below}
        found = [thing]
        for child in self.rows.children(thing.row):
            found += self.tree_order(by_row[child])
        return found

    @invariant()
    def every_open_state_is_kept(self) -> None:
        opened = {thing.row for thing in self.everything() if thing.open}
        known = {thing.row for thing in self.everything()}
        assert {row for row in self.rows.opened() if row in known} == opened
        for thing in self.everything():
            assert not self.rows.state(thing.row) & RowState.GONE


TestRows = RowsMachine.TestCase
TestRows.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
