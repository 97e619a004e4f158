"""Driving the real app without a terminal, and reading its screen as text."""

from __future__ import annotations

import asyncio
import difflib
import os
import stat
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.screen import Screen

from whiteout.cancel import NEVER, CancelToken
from whiteout.demo import build_demo
from whiteout.differ import Finding
from whiteout.display import display_path
from whiteout.entries import Entry
from whiteout.errors import ReadError
from whiteout.layers import Layer
from whiteout.metadata import Inspection, Metadata
from whiteout.opening import open_pair
from whiteout.snapshot import Snapshot
from whiteout.verdicts import ChangeKind, Method, Reason, Verdict
from whiteout.xattrs import Xattr
from whiteout_tui.app import WhiteoutApp
from whiteout_tui.browse_screen import BrowseScreen
from whiteout_tui.detail import DetailPane
from whiteout_tui.entries_screen import EntriesScreen
from whiteout_tui.export_view import ExportView
from whiteout_tui.rowdata import RowFlag, row_of
from whiteout_tui.rows import RowState

GOLDEN = Path(__file__).parent / "golden"
UPDATE = "WHITEOUT_UPDATE_GOLDEN"
_UPDATING = os.environ.get(UPDATE) == "1"


def demo_snapshot(directory: Path) -> Snapshot:
    demo = build_demo(os.fsencode(directory))
    return open_pair(demo.upperdir, demo.lowerdirs, userxattr=demo.userxattr, label="demo")


def screen_text(app: WhiteoutApp) -> str:
    """What is on the screen, line by line."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


def check_golden(name: str, text: str) -> None:
    """Compare with the committed text; WHITEOUT_UPDATE_GOLDEN=1 writes it anew."""
    file = GOLDEN / f"{name}.txt"
    if _UPDATING:
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(text + "\n", encoding="utf-8")
    expected = file.read_text(encoding="utf-8").removesuffix("\n")
    difference = "\n".join(
        difflib.unified_diff(expected.splitlines(), text.splitlines(), "golden", "now", lineterm="")
    )
    assert text == expected, f"{file.name} ({UPDATE}=1 writes it anew)\n{difference}"


def is_settled(screen: Screen[object]) -> bool:
    if isinstance(screen, BrowseScreen):
        tree, detail = screen.entries, screen.query_one(DetailPane)
        if not screen.counts.complete and screen.counts.problem is None:
            return False
        if tree.virtual_size.height != tree.rows.height or not detail.shows(tree.cursor_path):
            return False
        return not any(tree.rows.state(row) & RowState.LOADING for row in range(len(tree.rows)))
    if isinstance(screen, ExportView):
        return screen.export.is_over and not screen.export.verifying
    if isinstance(screen, EntriesScreen):
        return not screen.is_reading
    return True


async def settle(pilot: Pilot[None]) -> None:
    """Wait until nothing is being read, counted, written or verified, and all of it is drawn."""
    await until(pilot, lambda: is_settled(pilot.app.screen))
    await pilot.pause()


async def until(pilot: Pilot[None], true: Callable[[], bool]) -> None:
    await pilot.pause(0)
    deadline = time.monotonic() + 30
    while not true():
        if pilot.app._exception is not None:
            raise pilot.app._exception
        if time.monotonic() > deadline:
            raise TimeoutError(f"it never came to be\n{screen_text(pilot.app)}")  # type: ignore[arg-type]
        await asyncio.sleep(0.02)


async def press(pilot: Pilot[None], *keys: str) -> None:
    await pilot.press(*keys)
    await settle(pilot)


def run(
    snapshot: Snapshot | Fake | None,
    drive: Callable[[Pilot[None]], Awaitable[None]],
    *,
    size: tuple[int, int] = (80, 24),
    store: Path | None = None,
) -> None:
    """Run the app over *snapshot* and let *drive* use it."""

    async def body() -> None:
        app = WhiteoutApp(
            snapshot,  # type: ignore[arg-type]
            store_path=str(store) if store is not None else None,
        )
        async with app.run_test(size=size, notifications=True) as pilot:
            await drive(pilot)

    asyncio.run(body())


@pytest.fixture
def as_root_owns_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything in a layer seems to belong to root, whoever runs the test."""
    from types import SimpleNamespace

    from whiteout import layers

    def owned(*arguments: object, **options: object) -> os.stat_result:
        status = os.stat(*arguments, **options)  # type: ignore[arg-type]
        named = {name: getattr(status, name) for name in dir(status) if name.startswith("st_")}
        values = list(status)
        values[4:6] = 0, 0
        return os.stat_result(values, named)

    monkeypatch.setattr(layers, "os", SimpleNamespace(**{**vars(os), "stat": owned}))


# A snapshot in memory, for what no filesystem gives quickly


def status_of(mode: int, size: int = 0, links: int = 1) -> os.stat_result:
    values = [mode, 1, 1, links, 0, 0, size, 0, 0, 0]
    return os.stat_result(values, {"st_mtime_ns": 0, "st_rdev": 0})


FILE = Entry(status_of(stat.S_IFREG | 0o644, 5))
DIRECTORY = Entry(status_of(stat.S_IFDIR | 0o755))


@dataclass
class Fake:
    """Obeys the contract of :class:`whiteout.snapshot.Snapshot` over a dictionary of listings."""

    listings: dict[bytes, list[Verdict]]
    label: str = "fake"
    lowerdirs: tuple[bytes, ...] = (b"/lower",)
    doubts: tuple[str, ...] = ()
    differ: str = "overlay"
    fallback: str | None = None
    base: tuple[Layer, ...] = ()
    merged: tuple[Layer, ...] = ()
    data_layers: tuple[Layer, ...] = ()
    upperdir: bytes | None = None
    link_target: bytes | None = None
    xattrs: tuple[Xattr, ...] = ()
    listed: list[bytes] = field(default_factory=list)
    walked: list[bytes] = field(default_factory=list)
    gate: threading.Event | None = None
    gate_at: bytes | None = None
    stuck: threading.Event = field(default_factory=threading.Event)

    def children(self, path: bytes = b"/", *, cancel: CancelToken = NEVER) -> Iterator[Verdict]:
        self.listed.append(path)
        yield from self._verdicts(path, cancel)

    def _verdicts(self, path: bytes, cancel: CancelToken) -> Iterator[Verdict]:
        if path not in self.listings:
            raise ReadError(f"cannot list {display_path(path)}: permission denied", path)
        for verdict in list(self.listings[path]):
            here = self.gate_at is None or self.gate_at == path
            if self.gate is not None and here and not self.gate.is_set():
                self.stuck.set()
                while not self.gate.wait(0.01):
                    cancel.check()
            cancel.check()
            yield verdict

    def directories(
        self, path: bytes = b"/", *, cancel: CancelToken = NEVER
    ) -> Iterator[tuple[bytes, Iterator[Verdict]]]:
        waiting = [path]
        while waiting:
            here = waiting.pop()
            self.walked.append(here)
            yield here, self._verdicts(here, cancel)
            below = [v for v in self.listings.get(here, []) if v.upper and v.upper.is_directory]
            waiting += [verdict.path for verdict in reversed(below)]

    def statuses(
        self, paths: Iterable[bytes], *, cancel: CancelToken = NEVER
    ) -> Iterator[os.stat_result | None]:
        known = {verdict.path: verdict for found in self.listings.values() for verdict in found}
        for path in paths:
            verdict = known.get(path)
            if path == b"/":
                yield DIRECTORY.stat
            elif verdict is None or row_of(verdict).flags & RowFlag.WHITEOUT:
                yield None
            else:
                yield verdict.entry.stat if verdict.entry is not None else None

    def changes(self, *, skipped: bool = False, cancel: CancelToken = NEVER) -> Iterator[Verdict]:
        for listing in list(self.listings.values()):
            for verdict in listing:
                cancel.check()
                yield verdict

    @contextmanager
    def findings(
        self, cancel: CancelToken = NEVER, *, removed: bool = False
    ) -> Iterator[Iterator[Finding]]:
        verdicts = self.changes(skipped=True, cancel=cancel)
        yield (Finding(verdict, None, None) for verdict in verdicts)

    def explain(self, path: bytes, *, cancel: CancelToken = NEVER) -> Verdict:
        if path == b"/":
            return Verdict(b"/", None, Reason.ROOT, method=Method.OVERLAY)
        for verdict in self.listings[path.rpartition(b"/")[0] or b"/"]:
            if verdict.path == path:
                return verdict
        raise ReadError(f"cannot read {display_path(path)}: gone", path)

    def inspect(self, path: bytes, *, cancel: CancelToken = NEVER) -> Inspection:
        verdict = self.explain(path)
        if path == b"/":
            return Inspection(verdict, None, None)
        side = Metadata(FILE, b"/upper" + path, self.link_target, self.xattrs)
        return Inspection(verdict, None, side)


def added(path: bytes, entry: Entry = FILE) -> Verdict:
    return Verdict(path, ChangeKind.ADD, Reason.ADDED, upper=entry)


def same(path: bytes, entry: Entry = FILE) -> Verdict:
    return Verdict(path, None, Reason.WHITEOUT_OF_NOTHING, upper=entry, whiteout=True)
