"""Looking at one entry: the tabs of the detail, the pager, extraction, and the copy menu."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Callable
from pathlib import Path

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
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from textual.content import Content
from textual.pilot import Pilot
from textual.style import Style
from textual.widgets import Input, Static

from support.overlay import overlay
from whiteout.cancel import NEVER, CancelToken
from whiteout.display import display_path
from whiteout.layerindex import LayerIndex, index_layer
from whiteout.opening import open_pair
from whiteout.removal import Removal
from whiteout.snapshot import Snapshot
from whiteout.totals import Amount
from whiteout_tui.browse_screen import BrowseScreen
from whiteout_tui.commands import commands_for, mount_command, snapshot_words
from whiteout_tui.copy_screen import CopyScreen
from whiteout_tui.detail import pane, why
from whiteout_tui.detail.tabs import TABS, TabBar
from whiteout_tui.detail.terms import TERM, main_term, mark_terms
from whiteout_tui.detail.why import removal_text
from whiteout_tui.extract_screen import ExtractScreen, default_name
from whiteout_tui.glossary import TERMS, term_named
from whiteout_tui.glossary_screen import GlossaryScreen
from whiteout_tui.pager import pager_command, printable
from whiteout_tui.result_table import ResultTable

SIZES = [(80, 24), (120, 36)]
#: Rows of the demo that show what a tab can show.
ROWS = {
    "why": (b"/etc/modified-content.conf", b"/hard-links/second-name.txt"),
    "sides": (b"/etc/modified-content.conf", b"/opaque-directory", b"/symlink-changed"),
    "tar": (b"/deleted-directory", b"/socket", b"/touched-directory", b"/etc"),
    "content": (b"/etc/modified-content.conf", b"/deleted-file.txt", b"/symlink-changed"),
    "layers": (b"/deleted-file.txt", b"/opaque-directory", b"/back-to-the-oldest-version.txt"),
}
CASES = [(tab, row) for tab, rows in ROWS.items() for row in rows]


def browse(pilot: Pilot[None]) -> BrowseScreen:
    screen = pilot.app.screen
    assert isinstance(screen, BrowseScreen)
    return screen


def shown(pilot: Pilot[None]) -> str:
    return screen_text(pilot.app)  # type: ignore[arg-type]


def detail_text(pilot: Pilot[None]) -> str:
    """The whole text of the detail, however much of it is in sight."""
    detail = browse(pilot).detail
    text = str(detail.query_one("#detail-text", Static).content)
    bar = str(detail.query_one(TabBar).render())
    return "\n".join(line.rstrip() for line in (bar + "\n" + text).splitlines())


async def look_at(pilot: Pilot[None], path: bytes) -> None:
    browse(pilot).detail.look_at(path)
    await until(pilot, lambda: browse(pilot).detail.shows(path))
    await pilot.pause()


@pytest.mark.root  # the goldens tell owners and devices
@pytest.mark.usefixtures("as_root_owns_it")
@pytest.mark.parametrize("size", SIZES, ids=lambda size: "{}x{}".format(*size))
def test_every_tab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    monkeypatch.chdir(tmp_path)

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        for tab, row in CASES:
            browse(pilot).detail.choose(list(ROWS).index(tab))
            await look_at(pilot, row)
            name = row.rpartition(b"/")[2].decode().partition(".")[0]
            text = (
                detail_text(pilot).partition("\nOn this host")[0].partition("\nWhere they are")[0]
            )
            check_golden(f"tab-{tab}-{name}-{size[0]}x{size[1]}", text)

    run(demo_snapshot(Path("demo")), drive, size=size)


def test_the_tabs_by_key_and_by_mouse() -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        detail = browse(pilot).detail
        for key, tab in [("2", 1), ("5", 4), ("]", 0), ("[", 4), ("4", 3), ("3", 2), ("1", 0)]:
            await pilot.press(
                {"]": "right_square_bracket", "[": "left_square_bracket"}.get(key, key)
            )
            assert detail.tab == tab
            assert f"[{tab + 1} " in str(detail.query_one(TabBar).render())
        bar = detail.query_one(TabBar)
        left = 1
        for number, name in enumerate(bar.names):
            await pilot.click(TabBar, offset=(left + 2, 0))
            await pilot.pause()
            assert detail.tab == number
            left += len(name) + 2
        await press(pilot, "1", "w")
        assert not detail.display
        await pilot.press("2")
        await pilot.pause()
        assert detail.display
        assert detail.tab == 1
        await press(pilot, "w")  # why is not in sight
        assert detail.display
        assert detail.tab == 0

    run(Fake({b"/": [added(b"/a")]}), drive)


@pytest.mark.parametrize("width", [200, 80, 60, 40, 24])
def test_the_names_of_the_tabs_fit(width: int) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        bar = browse(pilot).query_one(TabBar)
        assert len(str(bar.render())) <= bar.size.width
        for number in range(1, len(TABS) + 1):
            assert str(number) in str(bar.render())

    run(Fake({b"/": [added(b"/a")]}), drive, size=(width, 24))


def test_an_answer_that_nobody_waits_for_any_more_is_dropped() -> None:
    gate = threading.Event()
    reached = threading.Event()

    class Slow(Fake):
        def inspect(self, path: bytes, *, cancel: CancelToken = NEVER) -> object:  # type: ignore[override]
            if path == b"/slow":
                reached.set()
                gate.wait(30)
            return super().inspect(path)

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        detail = browse(pilot).detail
        detail.look_at(b"/slow")
        await until(pilot, reached.is_set)
        await look_at(pilot, b"/quick")
        gate.set()
        await pilot.pause(0.1)
        assert detail.path == b"/quick"
        assert "opaque" not in detail_text(pilot)

    slow = added(b"/slow")
    run(Slow({b"/": [slow, added(b"/quick")]}), drive)


def test_the_offset_is_computed_in_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    asked: list[CancelToken] = []

    def slow(snapshot: Snapshot, cancel: CancelToken = NEVER) -> LayerIndex:
        asked.append(cancel)
        while not gate.wait(0.01):
            cancel.check()
        return index_layer(snapshot, cancel)

    monkeypatch.setattr(pane, "index_layer", slow)

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        detail = browse(pilot).detail
        await pilot.press("3")
        detail.look_at(b"/symlink-changed")
        await until(pilot, lambda: "being computed…" in detail_text(pilot))
        assert "linkname" in detail_text(pilot), "the header is known before its place is"
        detail.look_at(b"/etc")
        await until(pilot, lambda: "depends on other entries" in detail_text(pilot))
        detail.forget()
        detail.look_at(b"/symlink-changed")
        await until(pilot, lambda: len(asked) == 2)
        assert asked[0].cancelled
        gate.set()
        await until(pilot, lambda: detail.shows(b"/symlink-changed"))
        assert "being computed" not in detail_text(pilot)
        await look_at(pilot, b"/etc")
        assert len(asked) == 2, "the index is kept"

    run(demo_snapshot(tmp_path / "demo"), drive)


def test_what_cannot_be_read_is_told_with_the_reason(tmp_path: Path) -> None:
    class Broken(Fake):
        def inspect(self, path: bytes, **_: object) -> object:  # type: ignore[override]
            raise OSError(5, "x")

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        for tab in "124":
            await press(pilot, tab)
            assert "! input/output error" in detail_text(pilot)
        await press(pilot, "x")
        assert "input/output error" in shown(pilot)

    run(Broken({b"/": [added(b"/a")]}), drive)


# The pager


def pager_script(directory: Path) -> str:
    """A pager that keeps what it was given."""
    script = directory / "pager"
    script.write_text(
        f"#!{sys.executable}\nimport sys\n"
        f"open({str(directory / 'given')!r}, 'wb').write(sys.stdin.buffer.read())\n"
        f"open({str(directory / 'words')!r}, 'w').write(repr(sys.argv[1:]))\n"
    )
    script.chmod(0o755)
    return str(script)


def small(tmp_path: Path, content: bytes, name: str = "file") -> Snapshot:
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    upper.mkdir(exist_ok=True)
    lower.mkdir(exist_ok=True)
    (upper / name).write_bytes(content)
    return open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True)


def test_the_pager_is_given_printable_lines_and_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAGER", f"{shlex.quote(pager_script(tmp_path))} -R 'two words'")

    async def drive(pilot: Pilot[None]) -> None:
        monkeypatch.setattr(pilot.app, "suspend", contextlib.nullcontext)
        await settle(pilot)
        await pilot.press("down", "v")
        await until(pilot, (tmp_path / "words").exists)

    run(small(tmp_path, b"one\n\x1b[2Jtwo", "; touch injected; $(id)"), drive)
    assert (tmp_path / "given").read_text() == "one\n␛[2Jtwo\n"
    assert (tmp_path / "words").read_text() == "['-R', 'two words']"
    assert not (tmp_path / "injected").exists()


def test_without_a_pager_or_a_terminal_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        monkeypatch.setenv("PAGER", "no-such-pager\x1b")
        await pilot.press("down", "v")
        await until(pilot, lambda: "$PAGER names no-such-pager" in shown(pilot))
        monkeypatch.setenv("PAGER", "cat")
        await pilot.press("v")
        await until(pilot, lambda: "cannot be given to a pager" in shown(pilot))
        await pilot.press("up", "v")
        await until(pilot, lambda: "only a file can be shown" in shown(pilot))

    run(small(tmp_path, b"x"), drive, size=(120, 36))


def test_which_pager() -> None:
    assert pager_command({"PAGER": "cat -A 'b c'", "PATH": os.environ["PATH"]}) == [
        "cat",
        "-A",
        "b c",
    ]
    with pytest.raises(Exception, match="install less"):
        pager_command({"PATH": "/nowhere"})
    with pytest.raises(Exception, match="no command"):
        pager_command({"PAGER": "'", "PATH": os.environ["PATH"]})


@given(content=st.binary(max_size=300) | st.text().map(str.encode))
def test_any_content_is_paged_as_printable_lines(content: bytes) -> None:
    import io

    text = b"".join(printable(io.BytesIO(content))).decode()
    for line in text.splitlines():
        check(line)
    assert text.count("\n") == len(text.splitlines())


def test_a_long_line_is_not_held_in_memory_and_no_character_is_cut() -> None:
    import io

    line = "äö€😀".encode() * 40_000
    text = b"".join(printable(io.BytesIO(line + b"\nend"))).decode()
    assert text == line.decode() + "\nend\n"
    parts = list(printable(io.BytesIO(b"a" * 1_000_000)))
    assert max(map(len, parts)) < 200_000


# Extracting


def test_a_file_is_extracted_and_the_digest_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "own-home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    content = os.urandom(5000)
    digest = hashlib.sha256(content).hexdigest()

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await pilot.press("down", "x")
        await until(pilot, lambda: isinstance(pilot.app.screen, ExtractScreen))
        assert pilot.app.screen.query_one(Input).value == "file"
        pilot.app.screen.query_one(Input).value = "~"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, BrowseScreen))
        await until(pilot, lambda: "Extracted" in shown(pilot))
        told = "".join(shown(pilot).split())
        assert digest[:20] in told
        assert "5,000bytes" in told
        await pilot.press("x")
        await until(pilot, lambda: isinstance(pilot.app.screen, ExtractScreen))
        pilot.app.screen.query_one(Input).value = "~/file"
        await pilot.press("enter")
        await until(pilot, lambda: "give another path" in shown(pilot))
        assert isinstance(pilot.app.screen, ExtractScreen)
        pilot.app.screen.query_one(Input).value = " "
        await pilot.press("enter")
        await until(pilot, lambda: "name the file" in shown(pilot))
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, BrowseScreen)

    run(small(tmp_path, content), drive, size=(120, 36))
    assert (home / "file").read_bytes() == content
    assert sorted(os.listdir(home)) == ["file"]


def test_either_side_of_a_modified_file_can_be_extracted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await pilot.press("down", "x")
        await until(pilot, lambda: isinstance(pilot.app.screen, ExtractScreen))
        await pilot.press("shift+tab", "right", "tab", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, BrowseScreen))

    snapshot = small(tmp_path, b"new")
    (tmp_path / "lower" / "file").write_bytes(b"older")
    run(snapshot, drive)
    assert (tmp_path / "file").read_bytes() == b"older"


@given(name=st.binary(min_size=1, max_size=300).filter(lambda name: b"/" not in name))
def test_a_default_name_is_harmless(name: bytes) -> None:
    shown = default_name(b"/" + name)
    check(shown)
    assert shown not in ("", ".", "..")
    assert not shown.startswith(("-", "~", "."))
    assert not set("/$`'\"\\;&|<>*?[](){}!#\n") & set(shown)


# Copying


def test_the_copy_menu_copies_what_is_marked(tmp_path: Path) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await pilot.press("down", "Y")
        await until(pilot, lambda: isinstance(pilot.app.screen, CopyScreen))
        await pilot.pause()
        labels = [value.label for value in pilot.app.screen.query_one(ResultTable).values]
        assert labels == [
            "path",
            "path in the layer",
            "path on this host",
            "explain",
            "export",
            "mount",
            "tar",
        ]
        await pilot.press("down", "enter")
        assert isinstance(pilot.app.screen, BrowseScreen)
        assert pilot.app.clipboard == "file"
        await pilot.press("Y")
        await until(pilot, lambda: isinstance(pilot.app.screen, CopyScreen))
        await pilot.pause()
        await pilot.click(ResultTable, offset=(4, 2))
        await pilot.press("y")
        assert pilot.app.clipboard == str(tmp_path / "upper" / "file")
        await pilot.press("Y")
        await until(pilot, lambda: isinstance(pilot.app.screen, CopyScreen))
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, BrowseScreen)

    run(small(tmp_path, b"x"), drive, size=(120, 36))


def test_the_copy_menu_has_the_digests_of_the_exports(tmp_path: Path) -> None:
    async def menu(pilot: Pilot[None]) -> dict[str, str]:
        await pilot.press("Y")
        await until(pilot, lambda: isinstance(pilot.app.screen, CopyScreen))
        await pilot.pause()
        values = pilot.app.screen.query_one(ResultTable).values
        await press(pilot, "escape")
        return {value.copied: value.label for value in values}

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        told = []
        for key in "ngg":
            await press(pilot, "e", key, "enter")
            values = pilot.app.screen.query_one(ResultTable).values
            told.append({value.label: value.copied for value in values})
            await press(pilot, "escape")
        plain, zipped, again = told
        assert zipped["digest"] == again["digest"] != plain["digest"] == plain["diffID"]
        found = await menu(pilot)
        digests = [text for text in found if text.startswith("sha256:")]
        assert digests == [zipped["digest"], plain["digest"]]
        assert found[zipped["digest"]] == "digest, gzip"
        assert found[plain["digest"]] == "digest, none"

    run(small(tmp_path, b"x"), drive, store=tmp_path / "store")


HOSTILE = [
    "it's; touch injected",
    "-rf",
    "$(touch injected)",
    "a\nb\\",
    "a:b,c",
    "é\udcff",
    "~",
    "#",
]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_the_commands_do_in_a_shell_what_they_say(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name
    directory.mkdir()
    snapshot = small(directory, b"new\n", name)
    (directory / "lower" / name).write_bytes(b"old\n")
    path = b"/" + os.fsencode(name)
    words = snapshot_words(snapshot)
    assert words is not None
    program = f"{shlex.quote(sys.executable)} -m whiteout_tui"
    commands = {c.label: c.text for c in commands_for(snapshot, snapshot.inspect(path))}
    for text in commands.values():
        check(text)

    def sh(text: str) -> str:
        done = subprocess.run(
            ["sh", "-c", text], cwd=tmp_path, capture_output=True, timeout=60, check=False
        )
        assert done.returncode in (0, 1), done.stderr
        return done.stdout.decode("utf-8", "surrogateescape")

    explained = sh(commands["explain"].replace("whiteout", program, 1))
    assert "Modified: it differs" in explained
    assert "+new" in sh(commands["diff"])
    sh(commands["tar"])
    listed = subprocess.run(
        ["tar", "-tf", tmp_path / "entry.tar"], capture_output=True, check=True, timeout=30
    )
    assert listed.stdout.count(b"\n") == 1
    assert "injected" not in os.listdir(tmp_path)


@pytest.mark.root
@pytest.mark.parametrize("name", ["plain", "a:b,c\\d e", "$(touch injected)'"], ids=range(3))
def test_the_mount_command_shows_what_the_snapshot_shows(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name
    directory.mkdir()
    snapshot = small(directory, b"new")
    (directory / "lower" / "old").write_bytes(b"old")
    target = tmp_path / "target"
    target.mkdir()
    command = mount_command(snapshot)
    assert command is not None
    check(command)
    command = command.replace("mount ", "mount -i ", 1).removesuffix("/mnt") + shlex.quote(
        str(target)
    )
    script = f"{command} && ls {shlex.quote(str(target))}; umount {shlex.quote(str(target))}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, timeout=60, check=True, cwd=tmp_path
    )
    assert done.stdout == b"file\nold\n"
    assert "injected" not in os.listdir(tmp_path)


def test_a_layer_that_is_the_root_of_the_host_has_plain_paths(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    snapshot = open_pair(os.fsencode(tmp_path), [b"/"], userxattr=True)
    base = snapshot.inspect(b"/etc").base
    assert base is not None
    assert base.host_path == b"/etc"


@pytest.mark.root
def test_the_mount_command_follows_what_the_snapshot_follows(tmp_path: Path) -> None:
    lower, upper, work, merged = (tmp_path / name for name in ("lower", "upper", "work", "merged"))
    for directory in (lower / "was", upper, work, merged):
        directory.mkdir(parents=True)
    (lower / "was" / "file").write_bytes(b"data below")
    options = f"lowerdir={lower},upperdir={upper},workdir={work},redirect_dir=on,metacopy=on"
    with overlay(merged, [part.encode() for part in options.split(",")]):
        (merged / "was" / "file").chmod(0o600)
        (merged / "was").rename(merged / "now")
    snapshot = open_pair(os.fsencode(upper), [os.fsencode(lower)])
    command = mount_command(snapshot)
    assert command is not None
    assert command.endswith(",metacopy=on /mnt")
    target = shlex.quote(str(merged))
    command = command.replace("mount ", "mount -i ", 1).removesuffix("/mnt") + target
    script = f"{command} && cat {target}/now/file; umount {target}"
    done = subprocess.run(["sh", "-c", script], capture_output=True, timeout=60, check=True)
    assert done.stdout == b"data below"


# Hostile bytes


def check(text: str) -> None:
    for character in text:
        category = unicodedata.category(character)
        assert character == "\n" or category not in ("Cc", "Cf", "Cs", "Zl", "Zp"), repr(character)


NAMES = st.binary(min_size=1, max_size=60).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)
BYTES = st.binary(min_size=1, max_size=200).filter(lambda text: b"\0" not in text)


@example(
    name=b"[@click=app.quit]\x1b[2J\n",
    content=b"\x1b]52;c;aGk=\x07\r\n\xff",
    old=b"[red]\x9b2J\n",
    target=b"\x1b[2J\xff\n",
    value=b"\x07\xff\n",
)
@example(
    name="\u0300\u200b\u202egnp.exe".encode(),
    content="a\u0301\u2028\u200d\U0001f468\u0085\u202e".encode(),
    old="\u0300".encode() * 60,
    target="\u0300\u2066".encode() * 30,
    value="\U000e0001".encode(),
)
@settings(max_examples=1, phases=[Phase.explicit, Phase.generate])
@given(name=NAMES, content=BYTES, old=BYTES, target=BYTES, value=BYTES)
def test_no_bytes_harm_any_tab_or_dialog(
    tmp_path_factory: pytest.TempPathFactory,
    name: bytes,
    content: bytes,
    old: bytes,
    target: bytes,
    value: bytes,
) -> None:
    top = os.fsencode(tmp_path_factory.mktemp("hostile"))
    upper, lower = top + b"/upper", top + b"/lower"
    for side, text in ((upper, content), (lower, old)):
        os.makedirs(side + b"/d")
        with open(side + b"/d/" + name, "wb") as file:
            file.write(text)
        with contextlib.suppress(OSError):  # not every filesystem has user attributes
            os.setxattr(side + b"/d/" + name, b"user." + name, value + side[-5:])
        os.symlink(target[:100] + side[-1:], side + b"/link")

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        for path in (b"/d/" + name, b"/link"):
            for number in range(len(TABS)):
                browse(pilot).detail.choose(number)
                await look_at(pilot, path)
                check(detail_text(pilot))
                check(shown(pilot))
        await press(pilot, "down", "l", "down")
        assert browse(pilot).entries.cursor_path == b"/d/" + name
        for key, leave in (("x", "escape"), ("Y", "enter")):
            await pilot.press(key)
            await until(pilot, lambda: not isinstance(pilot.app.screen, BrowseScreen))
            await pilot.pause()
            check(shown(pilot))
            await press(pilot, leave)
            check(shown(pilot))
        check(pilot.app.clipboard)

    run(open_pair(upper, [lower], userxattr=True), drive)


def test_a_changed_line_without_an_end_is_compared(tmp_path: Path) -> None:
    snapshot = small(tmp_path, b"new")
    (tmp_path / "lower" / "file").write_bytes(b"older")

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await pilot.press("4")
        await look_at(pilot, b"/file")
        assert "-older\n\\No newline at end of file\n+new" in detail_text(pilot)

    run(snapshot, drive)


# Words that the glossary explains


@pytest.mark.parametrize(
    ("row", "term"),
    [
        (b"/opaque-directory", "opaque"),
        (b"/deleted-directory", "whiteout"),
        (b"/hard-links/second-name.txt", "hard link"),
        (b"/etc/modified-content.conf", "copy-up"),
        (b"/etc", "merged directory"),
        (b"/etc/added.conf", "upperdir"),
        (b"/deleted-directory/file.txt", "ghost"),
    ],
)
def test_the_main_term_of_an_explanation(tmp_path: Path, row: bytes, term: str) -> None:
    assert main_term(demo_snapshot(tmp_path / "demo").explain(row)) == term
    assert term_named(term) is not None


def test_a_marked_word_leads_to_the_glossary(tmp_path: Path) -> None:
    def term(pilot: Pilot[None]) -> str:
        screen = pilot.app.screen
        return screen.term.name if isinstance(screen, GlossaryScreen) else ""

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await look_at(pilot, b"/opaque-directory")
        text = browse(pilot).detail.query_one("#detail-text", Static)
        lines = str(text.content).splitlines()
        row = next(number for number, line in enumerate(lines) if "upper directory" in line)
        column = lines[row].index("upper directory")
        await pilot.click(text, offset=(column - 2, row))
        await pilot.pause()
        assert isinstance(pilot.app.screen, BrowseScreen), "a click beside a word does nothing"
        await pilot.pause(0.6)  # or else the next one makes it a double click
        await pilot.click(text, offset=(column + 3, row))
        await until(pilot, lambda: term(pilot) == "upperdir")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, BrowseScreen))
        browse(pilot).set_focus(browse(pilot).detail.text)
        await pilot.press("i")
        await until(pilot, lambda: term(pilot) == "opaque")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, BrowseScreen))
        browse(pilot).set_focus(browse(pilot).entries)
        await pilot.press("i")
        await until(pilot, lambda: isinstance(pilot.app.screen, GlossaryScreen))
        assert term(pilot) == TERMS[0].name

    run(demo_snapshot(tmp_path / "demo"), drive, size=(120, 36))


@given(st.binary(min_size=1, max_size=60), st.sampled_from([b"whiteout", b"opaque", b"[@click=x]"]))
def test_no_text_makes_a_mark_of_its_own(other: bytes, word: bytes) -> None:
    text = Content(display_path(b"/" + other + word + b"/" + word + b".txt " + other + b" base"))
    marked = mark_terms(text)
    assert marked.plain == text.plain
    for span in marked.spans:
        assert isinstance(span.style, Style)
        assert set(span.style.meta) == {TERM}
        assert term_named(span.style.meta[TERM]) in TERMS


# What a directory takes along


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (b"/deleted-directory", "3 entries, 15 bytes of content"),
        (b"/deleted-directory/subdirectory", "1 entry, 10 bytes of content"),
        (b"/opaque-directory", "3 entries, 14 bytes of content"),
    ],
)
def test_what_goes_with_a_directory_is_told(tmp_path: Path, row: bytes, told: str) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        await look_at(pilot, row)
        told_now = detail_text(pilot).partition("→ Gone below it: ")[2].partition("\n")[0]
        assert told in told_now

    run(demo_snapshot(tmp_path / "demo"), drive, size=(120, 36))


def test_the_counting_is_told_and_can_be_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    asked: list[CancelToken] = []

    def slow(
        snapshot: Snapshot,
        path: bytes,
        *,
        cancel: CancelToken,
        report: Callable[[Removal], object],
    ) -> Removal:
        asked.append(cancel)
        report(Removal(Amount(1234, 5)))
        while not gate.wait(0.01):
            cancel.check()
        if path == b"/deleted-directory/subdirectory":
            raise OSError(5, "x")
        return Removal(Amount(2, 5), 1, complete=True)

    monkeypatch.setattr(why, "removal", slow)

    async def drive(pilot: Pilot[None]) -> None:
        await settle(pilot)
        browse(pilot).detail.look_at(b"/deleted-directory")
        await until(pilot, lambda: "counting… 1,234 entries, 5 bytes" in detail_text(pilot))
        assert "Deleted" in detail_text(pilot), "the verdict is known before"
        await look_at(pilot, b"/etc")
        assert asked[0].cancelled
        gate.set()
        await look_at(pilot, b"/deleted-directory")
        assert "at least 2 entries, 5 bytes; what 1" in detail_text(pilot)
        await look_at(pilot, b"/deleted-directory/subdirectory")
        assert "! What is gone below it is not known:" in detail_text(pilot)
        assert "1 A directory above it" in detail_text(pilot)

    run(demo_snapshot(tmp_path / "demo"), drive, size=(120, 36))


def test_how_much_is_gone_in_words() -> None:
    assert removal_text(Removal()) == "counting…"
    assert removal_text(Removal(complete=True)) == "nothing"
