"""Exporting by keys: the dialog, exports in the background, their results, and every failure."""

from __future__ import annotations

import json
import os
import re
import threading
import time
import unicodedata
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from app_harness import (
    Fake,
    added,
    check_golden,
    demo_snapshot,
    press,
    run,
    screen_text,
    settle,
    until,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st
from textual.pilot import Pilot
from textual.widgets import Input

from whiteout import export
from whiteout.cancel import CancelToken
from whiteout.contentstore import ContentStore
from whiteout.export import Progress
from whiteout.mediatypes import GZIP
from whiteout.opening import open_pair
from whiteout.sinks.model import Action, Step
from whiteout.snapshot import Snapshot
from whiteout.tarheader import TarHeader, TypeFlag
from whiteout.tarlist import listed_entry
from whiteout.verify import verify_blob
from whiteout_tui import export_plan
from whiteout_tui import exports as exports_module
from whiteout_tui.app import WhiteoutApp
from whiteout_tui.browse_screen import BrowseScreen
from whiteout_tui.choice import Choice
from whiteout_tui.entries_screen import EntriesScreen, entry_note, entry_parts
from whiteout_tui.export_plan import FilePlan
from whiteout_tui.export_screen import ExportScreen
from whiteout_tui.export_view import ExportView
from whiteout_tui.export_words import progress_lines
from whiteout_tui.exports import Export, ExportState, stepped
from whiteout_tui.history_screen import HistoryScreen
from whiteout_tui.linelist import LineList
from whiteout_tui.result_table import ResultTable

COMPRESSIONS = {"none": "n", "gzip": "g", "zstd": "z"}


def app_of(pilot: Pilot[None]) -> WhiteoutApp:
    assert isinstance(pilot.app, WhiteoutApp)
    return pilot.app


def text(pilot: Pilot[None]) -> str:
    return screen_text(app_of(pilot))


def dialog(pilot: Pilot[None]) -> str:
    """The text within the dialog, its lines joined."""
    return "".join(line.strip() for line in re.findall("│(.*)│", text(pilot)))


def values(pilot: Pilot[None]) -> dict[str, str]:
    return {value.label: value.copied for value in pilot.app.screen.query_one(ResultTable).values}


def exports(pilot: Pilot[None]) -> list[Export]:
    return app_of(pilot).exports.every


async def fill(pilot: Pilot[None], **fields: str) -> None:
    """Put values into the fields of the dialog."""
    screen = pilot.app.screen
    assert isinstance(screen, ExportScreen)
    for name, value in fields.items():
        field = screen.query_one(f"#{name}")
        if isinstance(field, Choice):
            field.value = field.words.index(value)
        else:
            assert isinstance(field, Input)
            field.value = value
    await pilot.pause()


def files_below(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()}


def endless(directory: Path) -> Snapshot:
    """A snapshot whose export does not end by itself."""
    upper, lower = directory / "upper", directory / "lower"
    upper.mkdir()
    lower.mkdir()
    (upper / "first").write_bytes(b"first")
    with (upper / "large").open("wb") as file:
        file.truncate(64 << 30)
    return open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """An export leaves the processor to others, as there is no end to wait for."""
    real = export_plan.export_to_store

    def export(
        *arguments: object, progress: Callable[[Progress], None], **options: object
    ) -> object:
        def report(progressed: Progress) -> None:
            time.sleep(0.2)
            progress(progressed)

        return real(*arguments, progress=report, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(export_plan, "export_to_store", export)


def nothing_is_left(store: Path) -> None:
    assert not list((store / "blobs" / "sha256").glob("*"))
    assert not list((store / "ingest").glob("*"))
    assert "sha256" not in (store / "index.json").read_text()


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_export_and_verify_by_keys(tmp_path: Path, compression: str) -> None:
    store = tmp_path / "store"

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e", COMPRESSIONS[compression], "enter")
        found = values(pilot)
        suffix = "" if compression == "none" else f"+{compression}"
        assert found["media type"] == f"application/vnd.oci.image.layer.v1.tar{suffix}"
        assert os.path.getsize(found["path"]) == int(found["size"])
        assert found["digest"] in dialog(pilot)
        assert found["diffID"] in dialog(pilot)
        checked = verify_blob(ContentStore(store, create=False), found["digest"])
        assert checked.ok
        assert checked.diff_id == found["diffID"]
        await press(pilot, "v")
        assert "✓ verified" in text(pilot)
        await press(pilot, "escape")
        assert isinstance(pilot.app.screen, BrowseScreen)

    run(demo_snapshot(tmp_path / "demo"), drive, store=store)


def test_a_damaged_blob_is_not_verified(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e", "enter")
        blob = Path(values(pilot)["path"])
        blob.chmod(0o600)
        blob.write_bytes(b"x" + blob.read_bytes()[1:])
        await press(pilot, "v")
        assert "✗" in text(pilot)
        assert "✓ verified" not in text(pilot)
        await press(pilot, "escape", "H")
        assert "✗ damaged" in text(pilot)

    run(demo_snapshot(tmp_path / "demo"), drive, store=tmp_path / "store", size=(120, 36))


def test_a_blob_that_is_gone_is_told(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e", "enter")
        os.unlink(values(pilot)["path"])
        await press(pilot, "v")
        verified = exports(pilot)[0].verified
        assert verified is not None
        assert "has no blob" in (verified.failure or "")
        await until(pilot, lambda: "hasnoblob" in dialog(pilot).replace(" ", ""))
        await press(pilot, "t")
        await until(pilot, lambda: "! not complete: 0 entries" in text(pilot))

    run(demo_snapshot(tmp_path / "demo"), drive, store=tmp_path / "store", size=(120, 36))


def test_copying_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []

    async def drive(pilot: Pilot[None]) -> None:
        monkeypatch.setattr(pilot.app, "copy_to_clipboard", copied.append)
        await settle(pilot)
        await press(pilot, "e", "enter")
        found = values(pilot)
        await press(pilot, "y", "down", "y", "Y", "d")
        assert copied[:2] == [found["digest"], found["diffID"]]
        assert f"digest: {found['digest']}" in copied[2]
        assert json.loads(copied[3]) == {
            "mediaType": found["media type"],
            "digest": found["digest"],
            "size": int(found["size"]),
            "annotations": {"containerd.io/uncompressed": found["diffID"]},
        }
        await until(pilot, lambda: "Copied" in text(pilot))
        await press(pilot, "escape", "H", "y", "d")
        assert copied[4:] == [found["digest"], copied[3]]

    run(demo_snapshot(tmp_path / "demo"), drive, store=tmp_path / "store")


def test_level_store_ref_and_tag_are_used_and_remembered(tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e", "z")
        await fill(pilot, level="19", store=str(elsewhere), tag="v1", ref="mine")
        await press(pilot, "tab", "enter")
        assert values(pilot)["tag"] == "v1"
        small = int(values(pilot)["size"])
        await press(pilot, "e")
        await until(pilot, lambda: isinstance(pilot.app.screen, ExportScreen))
        assert pilot.app.screen.query_one("#tag", Input).value == "v1"
        await fill(pilot, level="1", tag="")
        await press(pilot, "enter")
        assert int(values(pilot)["size"]) >= small
        assert "tag" not in values(pilot)
        assert (elsewhere / "oci-layout").exists()
        assert app_of(pilot).state.store == str(elsewhere)

    run(demo_snapshot(tmp_path / "demo"), drive, store=tmp_path / "store")


PLACES = {
    "file": {"file": "layer.bin"},
    "oci": {"store": "layout", "tag": "app"},
    "docker-archive": {"file": "image.tar", "name": "app:1"},
}


@pytest.mark.parametrize("place", PLACES)
def test_other_places_are_written_verified_and_listed(tmp_path: Path, place: str) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e")
        wanted = {
            name: str(tmp_path / value) if name in ("file", "store") else value
            for name, value in PLACES[place].items()
        }
        await fill(pilot, place=place, **wanted)
        await press(pilot, "enter")
        (export,) = exports(pilot)
        assert export.state is ExportState.DONE, export.failure
        assert export.outcome is not None
        assert (export.outcome.image is None) == (place == "file")
        await press(pilot, "v")
        assert "✓ verified" in text(pilot)
        await press(pilot, "t")
        assert f"✓ {export.outcome.layers[0].entries} entries" in text(pilot)

    run(demo_snapshot(tmp_path / "demo"), drive, size=(120, 36))
    assert (tmp_path / next(iter(PLACES[place].values()))).exists()


def test_the_whole_stack_makes_an_image_of_all_layers(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e")
        await fill(pilot, place="oci", store=str(tmp_path / "layout"), layers="whole stack")
        await press(pilot, "enter")
        (export,) = exports(pilot)
        assert export.outcome is not None
        assert len(export.outcome.layers) == 3
        assert "layer 3 of 3" in [v.label for v in pilot.app.screen.query_one(ResultTable).values]
        await press(pilot, "v")
        assert "✓ verified" in text(pilot)

    layers = [tmp_path / name for name in ("upper", "middle", "lowest")]
    for layer in layers:
        layer.mkdir()
        (layer / layer.name).write_bytes(b"content")
    upper, *lower = map(os.fsencode, layers)
    run(open_pair(upper, lower, userxattr=True), drive, size=(120, 36))


def test_the_estimate_of_the_whole_stack_is_of_all_its_layers(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e")
        await fill(pilot, place="oci", store=str(tmp_path / "layout"))
        await until(pilot, lambda: "Estimate: about 1 entry," in " ".join(text(pilot).split()))
        await fill(pilot, layers="whole stack")
        await until(pilot, lambda: "all 3 layers: about 6 entries" in " ".join(text(pilot).split()))
        await press(pilot, "enter")
        (export,) = exports(pilot)
        assert export.outcome is not None
        made = [layer.uncompressed_size for layer in export.outcome.layers]
        assert len(export.expected) == len(made) == 3
        for expected, size in zip(export.expected, made, strict=True):
            assert abs(expected - size) <= 1024

    layers = [tmp_path / name for name in ("upper", "middle", "lowest")]
    for number, layer in enumerate(layers, 1):
        layer.mkdir()
        for file in range(number):
            (layer / f"{layer.name}-{file}").write_bytes(b"content" * 100)
    upper, *lower = map(os.fsencode, layers)
    run(open_pair(upper, lower, userxattr=True), drive, size=(120, 36))


def test_an_export_is_as_far_as_its_present_layer() -> None:
    export = Export(1, Fake({}), FilePlan(GZIP, None, "file"), (1000, 50))  # type: ignore[arg-type]
    for number, made, fraction in ((1, 100, 0.1), (1, 900, 0.9), (2, 10, 0.2), (2, 99, 0.99)):
        progress = Progress(1, made, made, b"/a")
        stepped(Step(Action.EXPORT, "", 0, None, progress, number, 2))(export)
        assert export.fraction == fraction
    assert export.made_before == 900
    assert progress_lines(export)[0].startswith("2 of 2 ")
    export.expected = (1000,)  # of the topmost alone
    assert export.fraction is None


def test_the_history_is_reached_from_every_screen(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e", "enter")
        for way in ((), ("t",)):
            await press(pilot, *way, "H")
            assert isinstance(pilot.app.screen, HistoryScreen)
            before = len(pilot.app.screen_stack)
            await press(pilot, "H")
            assert len(pilot.app.screen_stack) == before
            await press(pilot, "enter", "t", "H")  # back to the one that is open
            assert len(pilot.app.screen_stack) == before
            while not isinstance(pilot.app.screen, BrowseScreen):
                await press(pilot, "escape")
        await press(pilot, "t", "H", "t", "G", "enter")  # an entry leads to its row
        screen = pilot.app.screen
        assert isinstance(screen, BrowseScreen)
        assert screen.entries.cursor_path not in (b"/", b"/.")

    run(demo_snapshot(tmp_path / "demo"), drive, store=tmp_path / "store")


@pytest.mark.parametrize("size", [(80, 24), (60, 20)], ids=["80x24", "60x20"])
@pytest.mark.parametrize("key", ["e", "x"])
def test_a_long_failure_leaves_the_keys_in_sight(
    tmp_path: Path, size: tuple[int, int], key: str
) -> None:
    target = tmp_path.joinpath(*["a-directory-with-a-long-name"] * 7, "there")
    target.parent.mkdir(parents=True)
    target.touch()

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "down", "down", key)
        screen = pilot.app.screen
        if key == "e":
            await fill(pilot, place="docker-archive", file=str(target), name="app:1")
        else:
            screen.query_one(Input).value = str(target)
        await press(pilot, "enter")
        await until(pilot, lambda: "! " in dialog(pilot))
        await settle(pilot)
        assert pilot.app.screen is screen
        assert "Esc close" in text(pilot)

    run(demo_snapshot(tmp_path / "demo"), drive, size=size)


def test_a_file_that_is_there_is_replaced_only_when_that_is_said_twice(tmp_path: Path) -> None:
    target = tmp_path / "there"
    target.write_bytes(b"precious")

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e")
        await fill(pilot, place="file", file=str(target))
        await press(pilot, "enter")
        assert "istherealready" in dialog(pilot).replace(" ", "")  # it may be wrapped anywhere
        assert target.read_bytes() == b"precious"
        await press(pilot, "enter")
        assert isinstance(pilot.app.screen, ExportView)

    run(demo_snapshot(tmp_path / "demo"), drive, size=(120, 36))
    assert target.read_bytes() != b"precious"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"level": "high"}, "the level is a whole number"),
        ({"level": "99"}, "99"),
        ({"store": " "}, "name the directory"),
        ({"tag": "no tag \x1b[2J"}, "tag"),
        ({"place": "file"}, "name the file"),
        ({"place": "containers-storage"}, "give the image a name"),
        ({"place": "registry", "name": "///"}, "///"),
        ({"place": "containerd", "name": "x", "namespace": "[/]"}, "[/]"),
        ({"place": "oci", "layers": "whole stack", "base": "oci:x"}, "leave out one"),
    ],
)
def test_what_cannot_be_is_said_in_the_dialog(
    tmp_path: Path, fields: dict[str, str], words: str
) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e")
        await fill(pilot, **fields)
        await press(pilot, "enter")
        assert isinstance(pilot.app.screen, ExportScreen)
        assert "! " in text(pilot)
        assert words in text(pilot)
        assert not exports(pilot)
        await press(pilot, "escape")
        assert isinstance(pilot.app.screen, BrowseScreen)

    store = tmp_path / "store"
    run(demo_snapshot(tmp_path / "demo"), drive, store=store, size=(120, 36))
    assert not store.exists()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"store": "/proc/nowhere/[/]"}, "/proc/nowhere/[/]"),
        ({"place": "file", "file": "/nowhere/at/all"}, "no such file or directory"),
        ({"place": "file", "file": "/dev/full"}, "no space left on device"),
        ({"place": "registry", "name": "127.0.0.1:1/app:1", "connection": "http"}, "127.0.0.1:1"),
        ({"place": "oci", "store": "/dev/null", "base": "oci:/nowhere:x"}, "/nowhere"),
    ],
)
def test_failures_are_one_sentence_in_the_history(
    tmp_path: Path, fields: dict[str, str], words: str
) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e")
        await fill(pilot, **fields)
        await press(pilot, "enter")
        (export,) = exports(pilot)
        assert export.state is ExportState.FAILED
        assert export.failure is not None
        assert words in export.failure
        assert "\n" not in export.failure
        assert words in text(pilot)
        await press(pilot, "escape", "H")
        assert "! failed" in text(pilot)
        assert words in text(pilot)
        assert "Traceback" not in text(pilot)

    run(demo_snapshot(tmp_path / "demo"), drive, store=tmp_path / "store", size=(120, 36))


@pytest.mark.usefixtures("unhurried")
def test_cancelling_leaves_nothing(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await pilot.press("e", "g", "enter")
        await until(pilot, lambda: "of tar" in text(pilot) and "/s" in text(pilot))
        await press(pilot, "c")
        assert "cancelled; nothing was left behind" in text(pilot)
        assert exports(pilot)[0].state is ExportState.CANCELLED

    run(endless(tmp_path), drive, store=tmp_path / "store")
    nothing_is_left(tmp_path / "store")


@pytest.mark.usefixtures("unhurried")
def test_several_exports_run_while_the_tree_is_used(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        for key in ("g", "z", "n"):
            await pilot.press("e", key, "enter")
            await until(pilot, lambda: "of tar" in text(pilot))
            await pilot.press("escape")
        await pilot.press("e", "n", "enter", "escape")  # the same once more: with a ref of its own
        assert isinstance(pilot.app.screen, BrowseScreen)
        await until(pilot, lambda: "exporting 4 run, H shows it" in text(pilot))
        await pilot.press("down")
        assert pilot.app.screen.entries.cursor_path == b"/first"
        await pilot.press("H")
        await until(pilot, lambda: text(pilot).count("… running") == 4)
        assert [export.number for export in app_of(pilot).exports.running] == [1, 2, 3, 4]
        await pilot.press("down", "c")  # the third, as the last one comes first
        await until(pilot, lambda: exports(pilot)[2].state is ExportState.CANCELLED)
        await until(pilot, lambda: "✗ cancelled" in text(pilot))
        assert len(app_of(pilot).exports.running) == 3
        await pilot.press("ctrl+q")

    run(endless(tmp_path), drive, store=tmp_path / "store")
    from whiteout_tui.jobs import wait_for_jobs

    wait_for_jobs(20)
    nothing_is_left(tmp_path / "store")


def test_the_end_of_an_export_is_told_over_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, gate = export_plan.export_to_store, threading.Event()

    def late(*arguments: object, **options: object) -> object:
        gate.wait(30)
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(export_plan, "export_to_store", late)

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await pilot.press("e", "enter", "escape")
        gate.set()
        await until(pilot, lambda: not app_of(pilot).exports.running)
        await until(pilot, lambda: "Export 1: done" in text(pilot))

    run(demo_snapshot(tmp_path / "demo"), drive, store=tmp_path / "store", size=(120, 36))


@pytest.mark.usefixtures("unhurried")
def test_quitting_during_an_export_cancels_it(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await pilot.press("e", "enter")
        await until(pilot, lambda: "of tar" in text(pilot))
        await pilot.press("ctrl+q")
        assert [export.number for export in app_of(pilot).cancelled] == [1]

    run(endless(tmp_path), drive, store=tmp_path / "store")
    from whiteout_tui.jobs import wait_for_jobs

    wait_for_jobs(20)
    nothing_is_left(tmp_path / "store")


def test_a_doubtful_snapshot_is_not_exported(tmp_path: Path) -> None:
    fake = Fake({b"/": [added(b"/a")]}, doubts=("The marks cannot be read.",))

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e", "enter")
        assert "The marks cannot be read." in text(pilot)
        assert isinstance(pilot.app.screen, ExportScreen)

    run(fake, drive, store=tmp_path / "store", size=(120, 36))


def test_an_unexpected_failure_does_not_end_the_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(export_plan, "export_to_store", broken)

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e", "enter")
        assert "internal error (RuntimeError)" in text(pilot)
        assert "secret" not in text(pilot)

    run(demo_snapshot(tmp_path / "demo"), drive, store=tmp_path / "store")


def test_the_estimate_comes_from_the_totals(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e")
        await until(pilot, lambda: "Estimate: about" in text(pilot))
        screen = pilot.app.screen
        assert isinstance(screen, ExportScreen)
        (estimate,) = screen.estimates
        assert f"{estimate.tar_size:,} bytes" in text(pilot)
        await press(pilot, "enter")
        result = exports(pilot)[0].layer
        assert result is not None
        assert 0.8 < estimate.tar_size / result.uncompressed_size < 1.2

    run(demo_snapshot(tmp_path / "demo"), drive, store=tmp_path / "store", size=(120, 36))


def test_an_entry_of_the_tar_leads_to_its_row(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e", "enter")
        await press(pilot, "escape", "H", "t")
        screen = pilot.app.screen
        assert isinstance(screen, EntriesScreen)
        names = [screen.entries[number].name for number in range(len(screen.entries))]
        screen.query_one(LineList).move_to(names.index(b".wh.deleted-file.txt"))
        await pilot.pause()
        assert "whiteout: deletes /deleted-file.txt" in text(pilot)
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, BrowseScreen))
        tree = pilot.app.screen
        assert isinstance(tree, BrowseScreen)
        await until(pilot, lambda: tree.entries.cursor_path == b"/deleted-file.txt")

    run(demo_snapshot(tmp_path / "demo"), drive, store=tmp_path / "store")


def test_only_what_is_looked_at_is_read_of_a_large_tar(tmp_path: Path) -> None:
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    lower.mkdir()
    upper.mkdir()
    for number in range(4000):
        (upper / f"file-{number:04}").symlink_to("x")

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e", "n", "enter")
        await press(pilot, "t")
        screen = pilot.app.screen
        assert isinstance(screen, EntriesScreen)
        assert 1000 <= len(screen.entries) < 2000
        assert "of 4,000 entries read" in text(pilot)
        await press(pilot, "G")
        await until(pilot, lambda: "✓ 4,000 entries" in text(pilot))
        assert "file-3999 -> x" in text(pilot)

    snapshot = open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True)
    run(snapshot, drive, store=tmp_path / "store")


def test_without_an_export_the_history_says_so(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "H")
        assert isinstance(pilot.app.screen, HistoryScreen)
        assert "Nothing was exported" in text(pilot)
        await press(pilot, "enter", "v", "y", "d", "t", "c", "escape")
        assert isinstance(pilot.app.screen, BrowseScreen)

    run(Fake({b"/": [added(b"/a")]}), drive)


def test_places_are_chosen_by_the_mouse(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e")
        screen = pilot.app.screen
        lines = text(pilot).splitlines()
        y = next(n for n, line in enumerate(lines) if "containerd" in line)
        await pilot.click(offset=(lines[y].index("containerd ") + 2, y))
        await pilot.pause()
        assert isinstance(screen, ExportScreen)
        assert screen.place.value == "containerd"
        assert "Namespace" in text(pilot)

    run(demo_snapshot(tmp_path / "demo"), drive, store=tmp_path / "store")


SIZES = [(80, 24), (120, 36)]


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x36"])
@pytest.mark.root  # the layer tells owners and devices
@pytest.mark.usefixtures("as_root_owns_it")
def test_golden(size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beats = count()
    clock = SimpleNamespace(monotonic=lambda: float(next(beats)), strftime=lambda form: "12:00:00")
    still = SimpleNamespace(monotonic=lambda: 0.0)
    monkeypatch.setattr(exports_module, "time", clock)
    monkeypatch.setattr(export, "time", still)
    monkeypatch.chdir(tmp_path)
    real = export_plan.export_to_store

    def stopped(
        *_: object, progress: Callable[[Progress], None], cancel: CancelToken, **__: object
    ) -> None:
        progress(Progress(21, 180_000, 60_000, b"/etc/added.conf"))
        while True:
            cancel.check()
            time.sleep(0.01)

    async def drive(pilot: Pilot[None]) -> None:
        def golden(name: str) -> None:
            check_golden(f"export-{name}-{size[0]}x{size[1]}", text(pilot))

        await settle(pilot)
        await press(pilot, "e")
        await until(pilot, lambda: "Estimate: about" in text(pilot))
        golden("dialog")
        await fill(pilot, place="containerd")
        await pilot.pause()
        golden("dialog-containerd")
        await fill(pilot, place="store", compression="none")
        await press(pilot, "enter")
        golden("result")
        await press(pilot, "v", "t")
        golden("entries")
        await press(pilot, "escape", "escape")
        monkeypatch.setattr(export_plan, "export_to_store", stopped)
        await press(pilot, "e")
        await pilot.press("enter")
        await until(pilot, lambda: "of tar" in text(pilot))
        golden("running")
        await pilot.press("escape", "H")
        await until(pilot, lambda: "1 running" in text(pilot))
        golden("history")
        await pilot.press("c")
        await until(pilot, lambda: not app_of(pilot).exports.running)
        await pilot.pause()
        golden("history-cancelled")
        monkeypatch.setattr(export_plan, "export_to_store", real)

    run(demo_snapshot(tmp_path / "demo"), drive, store=Path("layers"), size=size)


def is_safe(shown: str) -> bool:
    return all(unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in shown)


@given(
    name=st.binary(min_size=1, max_size=300),
    target=st.binary(max_size=200),
    noise=st.binary(min_size=512, max_size=2048),
)
@example(name=b"[/]\x1b]52;c;aGk=\x07", target=b"\xff\n", noise=bytes(512))
@settings(max_examples=100)
def test_no_entry_of_a_tar_harms_the_screen(name: bytes, target: bytes, noise: bytes) -> None:
    header = TarHeader(name, TypeFlag.SYMLINK, 0o7777, linkname=target, capability=name)
    for headers in (header.encode(), noise[: len(noise) // 512 * 512]):
        entry = listed_entry(headers)
        assert is_safe("".join(part for part, _ in entry_parts(entry)))
        assert is_safe(entry_note(entry))


def test_the_arrows_go_from_field_to_field(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e")
        passed = []
        for key in ("down", "down", "down", "up", "tab"):
            await press(pilot, key)
            focused = pilot.app.focused
            passed.append(focused.id if focused is not None else None)
        assert passed == ["level", "store", "ref", "store", "ref"]

    run(demo_snapshot(tmp_path / "demo"), drive)
