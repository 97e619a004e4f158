"""Exports of, to and with any bytes: the dialog, the result, the history, every error and copy."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from app_harness import press, run, screen_text, settle, until
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from textual.pilot import Pilot
from textual.widgets import Input

from hostile import NAMES, TEXTS, build, check
from whiteout.cancel import CancelToken
from whiteout.images import Blobs
from whiteout.mediatypes import GZIP
from whiteout.sinks.containerd import Containerd
from whiteout.sinks.containersstorage import ContainersStorage
from whiteout.sinks.dockerarchive import DockerArchive
from whiteout.sinks.layout import OciLayout
from whiteout.sinks.model import Report
from whiteout.snapshot import Snapshot
from whiteout_tui.app import WhiteoutApp
from whiteout_tui.choice import Choice
from whiteout_tui.entries_screen import EntriesScreen
from whiteout_tui.export_plan import FilePlan, ImagePlan, Outcome, Place, Plan, StorePlan, plan_of
from whiteout_tui.export_screen import ExportScreen
from whiteout_tui.export_view import ExportView
from whiteout_tui.exports import Export
from whiteout_tui.history_screen import HistoryScreen

FIELDS = ("level", "store", "file", "ref", "tag", "namespace", "name", "address", "base")
ESCAPES = "\x1b]52;c;aGk=\x07[red]\udcff\u202e"


@dataclass(frozen=True, slots=True)
class Failing:
    """An export that ends with *error*, whatever that says."""

    error: Exception
    media_type: str = GZIP
    level: int | None = None

    def describe(self) -> str:
        return "nowhere"

    def replaces(self) -> str | None:
        return None

    def run(self, snapshot: Snapshot, report: Report, cancel: CancelToken) -> Outcome:
        raise self.error

    def reading(self, cancel: CancelToken) -> AbstractContextManager[Blobs]:
        raise self.error


def look(pilot: Pilot[None]) -> None:
    check(screen_text(pilot.app))  # type: ignore[arg-type]


def plans(directory: bytes, name: bytes, words: str) -> list[Plan]:
    """Exports that come to their end and others that fail, with *name* and *words* everywhere."""
    strange = os.fsdecode(directory + b"/" + name[:200])
    absent = os.fsdecode(directory + b"/absent-" + name[:200] + b"/file")
    file = os.fsdecode(directory + b"/file-" + name[:200])
    Path(file).write_bytes(b"no store")
    return [
        StorePlan(GZIP, None, strange),
        StorePlan(GZIP, None, strange + "2", ref=words, tag=words),
        StorePlan(GZIP, 3, file),
        FilePlan(GZIP, None, strange + "-blob"),
        FilePlan(GZIP, None, absent),
        ImagePlan(GZIP, None, OciLayout(strange + "-layout", "latest"), base=words),
        ImagePlan(GZIP, None, OciLayout(strange + "-layout", words)),
        ImagePlan(GZIP, None, DockerArchive(strange + "-archive", "")),
        ImagePlan(GZIP, None, DockerArchive(absent, words)),
        Failing(OSError(errno.EIO, words, name)),
        Failing(RuntimeError(words)),
    ]


@settings(max_examples=1, phases=(Phase.explicit, Phase.generate))
@given(name=NAMES, words=TEXTS)
@example(b"\x1b]52;c;aGk=\x07'[red]$(x)`x`", ESCAPES)
def test_every_export_in_the_history(name: bytes, words: str) -> None:
    directory = os.fsencode(tempfile.mkdtemp())
    try:
        snapshot = build(directory, name, b"content", name)

        async def drive(pilot: Pilot[None]) -> None:
            app = pilot.app
            assert isinstance(app, WhiteoutApp)
            await settle(pilot)
            every = [
                app.exports.start(snapshot, plan, ()) for plan in plans(directory, name, words)
            ]
            await until(pilot, lambda: all(export.is_over for export in every))
            look(pilot)  # what is told of them while they are not in sight
            assert any(export.outcome is not None for export in every)
            await press(pilot, "H")
            screen = app.screen
            assert isinstance(screen, HistoryScreen)
            looked: list[Export] = []
            for number in range(len(every)):
                export = screen.chosen
                assert export is every[-1 - number]
                assert export.failure or export.outcome
                check(export.failure or "")
                look(pilot)
                if number == 0 or (export.outcome is not None and len(looked) < 2):
                    looked.append(export)
                    await look_at_one(pilot)
                await pilot.press("down")
                await pilot.pause()

        run(snapshot, drive)
    finally:
        shutil.rmtree(directory)


async def look_at_one(pilot: Pilot[None]) -> None:
    """The export under the cursor: by itself, verified, its entries and copies."""
    app = pilot.app
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, ExportView))
    await settle(pilot)
    look(pilot)
    export = app.screen.export  # type: ignore[attr-defined]
    if export.outcome is not None:
        await press(pilot, "Y", "d", "v")
        check(app.clipboard)
        look(pilot)
        if export.outcome.layers:
            await pilot.press("t")
            await until(pilot, lambda: isinstance(app.screen, EntriesScreen))
            await settle(pilot)
            await press(pilot, "G")
            look(pilot)
            await press(pilot, "escape")
    await pilot.press("escape")
    await until(pilot, lambda: isinstance(app.screen, HistoryScreen))


@settings(max_examples=1, phases=(Phase.explicit, Phase.generate))
@given(words=TEXTS)
@example(ESCAPES)
def test_whatever_is_typed_into_the_dialog(words: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        snapshot = build(os.fsencode(directory), b"name", b"content", b"target")

        async def drive(pilot: Pilot[None]) -> None:
            await settle(pilot)
            await pilot.press("e")
            await until(pilot, lambda: isinstance(pilot.app.screen, ExportScreen))
            dialog = pilot.app.screen
            assert {field.id for field in dialog.query(Input)} == set(FIELDS)
            for field in dialog.query(Input):
                field.value = f"{directory}/{words}" if field.id in ("store", "file") else words
            for place in Place:
                dialog.query_one("#place", Choice).value = list(Place).index(place)
                await pilot.pause()
                look(pilot)
                if place in (Place.STORE, Place.FILE, Place.LAYOUT, Place.ARCHIVE):
                    dialog.query_one("#level", Input).value = words
                    await pilot.press("enter")
                    await pilot.pause(0.02)
                    look(pilot)
                    if pilot.app.screen is not dialog:
                        return

        run(snapshot, drive, size=(80, 36))


@given(words=TEXTS)
@example(ESCAPES)
def test_every_place_is_told_in_printable_words(words: str) -> None:
    sinks = [
        Containerd(words, words, words),
        ContainersStorage(words),
        DockerArchive(words, words),
        OciLayout(words, words),
    ]
    for plan in (
        *(ImagePlan(GZIP, None, sink) for sink in sinks),
        StorePlan(GZIP, None, words, words, words),
        FilePlan(GZIP, None, words),
    ):
        check(plan.describe())


@settings(max_examples=25)
@given(
    values=st.fixed_dictionaries(
        {"level": st.just("") | TEXTS, **{name: TEXTS for name in FIELDS if name != "level"}}
    )
)
def test_what_is_refused_is_told_in_printable_words(values: dict[str, str]) -> None:
    for place in Place:
        words = {"place": place.value, "compression": "gzip", "layers": "this one"}
        try:
            plan = plan_of({**values, **words, "connection": "https"})
        except Exception as error:
            check(str(error))
        else:
            check(plan.describe())
