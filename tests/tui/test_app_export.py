"""Exporting by keys: the dialog, the result, its verification, and every way it may fail."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from app_harness import Fake, added, demo_snapshot, press, run, screen_text, settle, until
from textual.pilot import Pilot
from textual.widgets import Input

from whiteout.cancel import CancelToken
from whiteout.contentstore import ContentStore
from whiteout.verify import verify_blob
from whiteout_tui import export_screen
from whiteout_tui.browse_screen import BrowseScreen
from whiteout_tui.export_screen import ExportScreen
from whiteout_tui.result_table import ResultTable

COMPRESSIONS = {"none": "n", "gzip": "g", "zstd": "z"}


def text(pilot: Pilot[None]) -> str:
    return screen_text(pilot.app)  # type: ignore[arg-type]


def dialog(pilot: Pilot[None]) -> str:
    """The text within the dialog, its lines joined."""
    return "".join(line.strip() for line in re.findall("│(.*)│", text(pilot)))


def values(pilot: Pilot[None]) -> dict[str, str]:
    return {value.label: value.copied for value in pilot.app.screen.query_one(ResultTable).values}


def files_below(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_export_and_verify_by_keys(tmp_path: Path, compression: str) -> None:
    store = tmp_path / "store"

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e", COMPRESSIONS[compression], "enter")
        found = values(pilot)
        suffix = "" if compression == "none" else f"+{compression}"
        assert found["media type"] == f"application/vnd.oci.image.layer.v1.tar{suffix}"
        assert Path(found["path"]).read_bytes()
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

    run(demo_snapshot(tmp_path / "demo"), drive, store=tmp_path / "store", size=(120, 36))


def test_copying_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []

    async def drive(pilot: Pilot[None]) -> None:
        monkeypatch.setattr(pilot.app, "copy_to_clipboard", copied.append)
        await settle(pilot)
        await press(pilot, "e", "enter")
        found = values(pilot)
        await press(pilot, "y", "down", "y", "Y")
        assert copied[:2] == [found["digest"], found["diffID"]]
        assert f"digest: {found['digest']}" in copied[2]
        await until(pilot, lambda: "Copied" in text(pilot))

    run(demo_snapshot(tmp_path / "demo"), drive, store=tmp_path / "store")


def test_level_store_and_tag_are_used(tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e", "z")
        screen = pilot.app.screen
        screen.query_one("#level", Input).value = "19"
        screen.query_one("#store", Input).value = str(elsewhere)
        screen.query_one("#tag", Input).value = "v1"
        await press(pilot, "tab", "enter")
        assert values(pilot)["tag"] == "v1"
        small = int(values(pilot)["size"])
        await press(pilot, "e")
        screen.query_one("#level", Input).value = "1"
        await press(pilot, "enter")
        assert int(values(pilot)["size"]) >= small
        assert (elsewhere / "oci-layout").exists()

    run(demo_snapshot(tmp_path / "demo"), drive, store=tmp_path / "store")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("level", "high", "the level is a whole number"),
        ("level", "99", "99"),
        ("store", " ", "name the directory"),
        ("store", "/proc/nowhere/[/]", "/proc/nowhere/[/]"),
        ("tag", "no tag \x1b[2J", "tag"),
    ],
)
def test_failures_come_in_words_and_lead_back(
    tmp_path: Path, field: str, value: str, words: str
) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e")
        pilot.app.screen.query_one(f"#{field}", Input).value = value
        await press(pilot, "enter")
        screen = pilot.app.screen
        assert isinstance(screen, ExportScreen)
        assert screen.step == "form"
        assert "! " in text(pilot)
        assert words in text(pilot)
        await press(pilot, "escape")
        assert isinstance(pilot.app.screen, BrowseScreen)

    store = tmp_path / "store"
    run(demo_snapshot(tmp_path / "demo"), drive, store=store, size=(120, 36))
    assert not store.exists() or not any("sha256" in name for name in files_below(store))


def test_cancelling_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upper, lower, store = tmp_path / "upper", tmp_path / "lower", tmp_path / "store"
    upper.mkdir()
    lower.mkdir()
    (upper / "first").write_bytes(b"first")
    with (upper / "large").open("wb") as file:
        file.truncate(64 << 30)
    from whiteout.opening import open_pair

    snapshot = open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True)

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await pilot.press("e", "g", "enter")
        await until(pilot, lambda: "of tar" in text(pilot))
        assert "/s" in text(pilot)
        await pilot.press("escape")
        await settle(pilot)
        assert "cancelled; nothing was left behind" in text(pilot)

    run(snapshot, drive, store=store)
    assert not list((store / "blobs" / "sha256").glob("*")) if (store / "blobs").exists() else True
    assert not list((store / "ingest").glob("*/data"))
    assert not (store / "index.json").exists() or "sha256" not in (store / "index.json").read_text()


def test_quitting_during_an_export_cancels_it(tmp_path: Path) -> None:
    upper, lower, store = tmp_path / "upper", tmp_path / "lower", tmp_path / "store"
    upper.mkdir()
    lower.mkdir()
    with (upper / "large").open("wb") as file:
        file.truncate(64 << 30)
    from whiteout.opening import open_pair

    snapshot = open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True)

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await pilot.press("e", "enter")
        await until(pilot, lambda: "of tar" in text(pilot))
        await pilot.press("ctrl+q")

    run(snapshot, drive, store=store)
    assert not list((store / "ingest").glob("*/data"))


def test_a_doubtful_snapshot_is_not_exported(tmp_path: Path) -> None:
    fake = Fake({b"/": [added(b"/a")]}, doubts=("The marks cannot be read.",))

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e", "enter")
        assert "The marks cannot be read." in text(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, ExportScreen)
        assert screen.step == "form"

    run(fake, drive, store=tmp_path / "store")


def test_an_unexpected_failure_does_not_end_the_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, cancel: CancelToken, **__: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(export_screen, "export_to_store", broken)

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await press(pilot, "e", "enter")
        assert "internal error (RuntimeError)" in text(pilot)
        assert "secret" not in text(pilot)

    run(demo_snapshot(tmp_path / "demo"), drive, store=tmp_path / "store")
