"""Names, targets and attributes of any bytes: no control character in any line that is drawn."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from app_harness import DIRECTORY, Fake, added, press, run, screen_text, settle, until
from fake_sources import FakeSource, record, three_layers
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from textual.content import Content, Span
from textual.pilot import Pilot

from hostile import HOSTILE, NAMES, TEXTS, build, check
from whiteout.display import display_name, display_path, display_text
from whiteout.errors import ReadError
from whiteout.sources.stack import Kind
from whiteout.verdicts import Verdict
from whiteout.xattrs import Xattr
from whiteout_tui import picker_screen
from whiteout_tui.browse_screen import BrowseScreen
from whiteout_tui.copy_screen import CopyScreen
from whiteout_tui.layers_screen import LayersScreen
from whiteout_tui.picker_screen import PickerScreen
from whiteout_tui.prompt import PromptInput
from whiteout_tui.result_table import ResultTable
from whiteout_tui.shell import shell_word
from whiteout_tui.words import wrap, wrapped


@settings(max_examples=4)
@given(name=NAMES)
def test_no_name_harms_any_place_of_the_screen(name: bytes) -> None:
    everywhere(name)


@pytest.mark.long
def test_known_hostile_names() -> None:
    for name in HOSTILE:
        everywhere(name)


def everywhere(name: bytes) -> None:
    path = b"/" + name

    class Fails(Fake):
        def inspect(self, path: bytes, **options: object) -> object:  # type: ignore[override]
            if path.endswith(b"-fails"):
                raise ReadError("cannot read it", path)
            return super().inspect(path)

    unreadable = Verdict(path + b"-fails", None, added(path).reason, error=display_name(name))
    fake = Fails(
        {
            b"/": [added(path, DIRECTORY), added(path + b"2"), unreadable],
            path: [added(path + b"/" + name)],
        },
        label=display_name(name),
        link_target=name,
        xattrs=(Xattr(b"user." + name, name),),
        doubts=(display_name(name),),
    )

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        shown = [screen_text(pilot.app)]  # type: ignore[arg-type]
        for keys in (("down", "space", "down"), ("down",), ("down",), ("e",)):
            await press(pilot, *keys)
            shown.append(screen_text(pilot.app))  # type: ignore[arg-type]
        pilot.app.export_screenshot()
        for text in shown:
            check(text)
            assert len(text.splitlines()) == 24

    run(fake, drive)


TARGETS = st.binary(min_size=1, max_size=200).filter(lambda target: b"\0" not in target)
TABS = "12345"
#: Copied values that stand for one path; the others are commands.
PATHS = ("path", "path in the layer", "path on this host", "base's path")


@pytest.mark.long
@settings(max_examples=1, phases=(Phase.explicit, Phase.generate))
@given(name=NAMES, content=st.binary(max_size=300), target=TARGETS)
@example(b"\x1b]52;c;aGk=\x07'[red]$(x)`x`", b"\x1b[2J\x1b]0;x\x07\n\xff\xfe\n" * 9, b"\x1b[31m\n")
@example("\u202e\u200b\u4e2d\n\udcff".encode("utf-8", "surrogatepass"), b"[/]\r\n", b"\xff[/]")
@example(b"n" * 255, b"x" * 5000, b"t" * 4000)
def test_every_screen_tab_toast_and_copy(name: bytes, content: bytes, target: bytes) -> None:
    directory = os.fsencode(tempfile.mkdtemp())
    copied: list[tuple[str, bytes]] = []
    try:
        snapshot = build(directory, name, content, target)
        paths = (b"/" + name, b"/" + name + b"/" + name, b"/file-" + name[:240])

        async def drive(pilot: Pilot[None]) -> None:
            await settle(pilot)
            for path in paths:
                await look_at_everything(pilot, path, copied)
            for keys in (["t"], ["F"], ["e"], ["question_mark"], ["ctrl+p"], ["f", "x"]):
                await press(pilot, *keys)
                await pilot.pause(0.05)
                check(screen_text(pilot.app))  # type: ignore[arg-type]
                await press(pilot, "escape")
            for key in ("slash", "colon"):
                await press(pilot, key)
                field = pilot.app.screen.query_one(PromptInput)
                field.value = display_path(paths[1])[:80]
                if key == "colon":
                    await pilot.press("tab")
                await pilot.pause(0.05)
                check(screen_text(pilot.app))  # type: ignore[arg-type]
                await press(pilot, "escape")
            await export_it(pilot)

        run(snapshot, drive, store=Path(os.fsdecode(directory)) / os.fsdecode(name[:200]))
        given_back = words_of_a_shell([text for text, _ in copied])
        for words, (text, wanted) in zip(given_back, copied, strict=True):
            check(text)
            assert any(word.rstrip(b"/").endswith(wanted) for word in words), text
    finally:
        shutil.rmtree(directory)


async def look_at_everything(
    pilot: Pilot[None], path: bytes, copied: list[tuple[str, bytes]]
) -> None:
    app = pilot.app
    screen = app.screen
    assert isinstance(screen, BrowseScreen)
    screen.reveal(path)
    await until(pilot, lambda: screen.entries.cursor_path == path)
    for tab in TABS:
        await press(pilot, tab)
        check(screen_text(app))  # type: ignore[arg-type]
    await press(pilot, "y")
    copied.append((app.clipboard, path))
    await press(pilot, "x")
    await pilot.pause()
    check(screen_text(app))  # type: ignore[arg-type]
    if app.screen is not screen:
        await press(pilot, "escape")
    await pilot.press("Y")
    await until(pilot, lambda: isinstance(app.screen, CopyScreen))
    await pilot.pause()
    menu = app.screen
    for value in menu.query_one(ResultTable).values:
        check(value.shown)
        if value.label in PATHS:
            copied.append((value.copied, path.lstrip(b"/")))
        elif value.label == "explain":
            copied.append((value.copied, path))
        else:
            copied.append((value.copied, b""))
    check(screen_text(app))  # type: ignore[arg-type]
    await press(pilot, "enter")
    check(app.clipboard)
    check(screen_text(app))  # type: ignore[arg-type]


async def export_it(pilot: Pilot[None]) -> None:
    await press(pilot, "e")
    await pilot.press("enter")
    await until(pilot, lambda: "diffID" in screen_text(pilot.app))  # type: ignore[arg-type]
    await settle(pilot)
    check(screen_text(pilot.app))  # type: ignore[arg-type]
    await press(pilot, "Y")
    check(pilot.app.clipboard)
    check(screen_text(pilot.app))  # type: ignore[arg-type]


def words_of_a_shell(lines: list[str]) -> list[list[bytes]]:
    """The words that a real shell makes of each of *lines*."""
    program = "".join(f"set -- {line}; printf '%s\\0' $# \"$@\"\n" for line in lines)
    printed = subprocess.run(
        ["sh", "-s"], input=program.encode(), capture_output=True, check=True, timeout=60
    )
    assert not printed.stderr
    found = iter(printed.stdout.split(b"\0")[:-1])
    return [[next(found) for _ in range(int(next(found)))] for _ in lines]


@settings(max_examples=2)
@given(text=TEXTS)
@example("\x1b]52;c;aGk=\x07[red]\udcff\ud800\u202e\n")
def test_references_and_names_of_containers(text: str) -> None:
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        stack = three_layers(Path(directory))
        layers = tuple(layer._replace(name=text) for layer in stack.layers)
        stack = stack._replace(layers=layers, label=display_text(text))
        many = record(text, Kind.CONTAINER, layers=3, notes=(text,), parent=text, group=text)
        many = replace(many, target=text, aliases=(text,), opener=lambda: stack)
        lost = replace(many, opener=None, problem=display_text(text))
        source = FakeSource("containerd", [many, lost], error=ReadError(display_text(text)))
        patch.setattr(picker_screen, "sources", lambda: (source,))

        async def drive(pilot: Pilot[None]) -> None:
            screen = pilot.app.screen
            assert isinstance(screen, PickerScreen)
            await until(pilot, lambda: not screen.is_reading)
            for keys in (["down"], ["down"], ["slash", "x"], ["escape"], ["g", "enter"]):
                await pilot.press(*keys)
                await pilot.pause()
                check(screen_text(pilot.app))  # type: ignore[arg-type]
            await until(pilot, lambda: isinstance(pilot.app.screen, LayersScreen))
            await pilot.press("space", "down")
            await pilot.pause()
            check(screen_text(pilot.app))  # type: ignore[arg-type]
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(pilot.app.screen, BrowseScreen))
            await settle(pilot)
            check(screen_text(pilot.app))  # type: ignore[arg-type]

        run(None, drive)


def test_the_measure_itself() -> None:
    for bad in ("\x1b", "\u202e", "\x9b", "\u200b", "\u2028", "\ud800"):
        with pytest.raises(AssertionError):
            check(bad)
    assert words_of_a_shell(["a 'b c'", "\"$(printf '\\001')\""]) == [[b"a", b"b c"], [b"\1"]]


@given(name=st.binary(max_size=80).filter(lambda name: b"\0" not in name))
@example(b"'")
@example(b"a b\\c'\n")
@settings(max_examples=25)
def test_what_is_copied_is_one_safe_word_for_a_shell(name: bytes) -> None:
    word = shell_word(name)
    check(word)
    printed = subprocess.run(
        ["sh", "-c", f"printf %s {word}"], capture_output=True, check=True, timeout=30
    )
    assert printed.stdout == name


@given(
    text=st.text(alphabet=st.characters(exclude_categories=["C", "Z", "M"]) | st.just(" ")),
    width=st.integers(2, 40),
)
def test_wrapping_keeps_every_character(text: str, width: int) -> None:
    from rich.cells import cell_len

    lines = wrap(text, width)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(cell_len(line) <= width for line in lines)


@pytest.mark.parametrize("mark", "!✗→")
def test_a_mark_stays_with_its_text(mark: str) -> None:
    path = "/" + "long" * 30
    first, *rest = wrap(f"{mark} {path} is gone", 40)
    assert first == f"{mark} {path[:38]}"
    assert "".join(rest).replace(" ", "") == path[38:] + "isgone"
    styled = wrapped(Content.assemble((f"{mark} ", "bold"), f"{path} is gone"), 40)
    assert styled.plain.splitlines() == [first, *rest]
    assert styled.spans[0] == Span(0, 2, "bold")
