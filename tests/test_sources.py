"""What all sources share: the root that they look below, names, and ``whiteout list``."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.commands import Run
from support.overlay import overlay
from whiteout.errors import UsageError
from whiteout.listing import HEADER, age_text, record_lines, short_name, size_text
from whiteout.sources.model import Record
from whiteout.sources.naming import choose
from whiteout.sources.registry import sources
from whiteout.sources.root import Root
from whiteout.sources.stack import Kind

# the root


def test_no_symlink_leads_out_of_the_root(tmp_path: Path) -> None:
    top = tmp_path / "root"
    (top / "var/lib/engine").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (top / "absolute").symlink_to("/var/lib")
    (top / "dots").symlink_to("../../../../var/lib/engine")
    (top / "out").symlink_to(tmp_path / "outside")
    (top / "loop").symlink_to("loop")
    root = Root(os.fsencode(top))
    engine = os.fsencode(top / "var/lib/engine")
    assert root.resolve(b"/absolute/engine") == engine
    assert root.resolve(b"dots") == engine
    assert root.resolve(b"/absolute/../../../..") == os.fsencode(top)
    assert root.resolve(b"/out/x") == os.fsencode(f"{top}{tmp_path}/outside/x")
    with pytest.raises(OSError, match="symbolic links"):
        root.resolve(b"/loop")
    assert root.inside(engine) == b"/var/lib/engine"


@given(st.lists(st.sampled_from([b"a", b"b", b"..", b".", b"", b"up", b"abs"]), max_size=12))
def test_every_path_stays_inside(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]
) -> None:
    top = tmp_path_factory.getbasetemp() / "stays"
    (top / "a/b").mkdir(parents=True, exist_ok=True)
    for name, target in (("a/up", "../../../.."), ("abs", "/a/../..")):
        if not (top / name).is_symlink():
            (top / name).symlink_to(target)
    resolved = Root(os.fsencode(top)).resolve(b"/".join(parts))
    assert (resolved + b"/").startswith(os.fsencode(top) + b"/")


def test_places_know_a_copied_directory(tmp_path: Path) -> None:
    root = Root(os.fsencode(tmp_path))
    assert list(root.places(b"/var/lib/engine")) == [root.path]
    (tmp_path / "engine").mkdir()
    (tmp_path / "var/lib/engine").mkdir(parents=True)
    below = [root.inside(place) for place in root.places(b"/var/lib/engine")]
    assert below == [b"/var/lib/engine", b"/engine", b"/"]


# names


def record(target: str, name: str, *aliases: str, problem: str | None = None) -> Record:
    kind = Kind.STORE if problem else Kind.CONTAINER
    return Record(target, name, "engine", kind, "engine", aliases=aliases, problem=problem)


RECORDS = [
    record("engine:web", "web", "0123456789ab"),
    record("engine:a/db", "db", "sha256:aaaa1111"),
    record("engine:b/db", "db", "sha256:aaaa2222"),
]


@pytest.mark.parametrize("wanted", ["web", "engine:web", "0123", "0123456789ab"])
def test_a_record_by_name_id_or_its_beginning(wanted: str) -> None:
    assert choose(RECORDS, wanted, f"engine:{wanted}") is RECORDS[0]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("db", "engine:db may be engine:a/db, engine:b/db; give one of them"),
        ("aaaa", "engine:aaaa may be engine:a/db, engine:b/db; give one of them"),
        ("wbe", "there is no engine:wbe; did you mean engine:web?"),
        ("012", "there is no engine:012; did you mean engine:web?"),
        ("\x1b[2J", "there is no engine:\\x1b[2J; see 'whiteout list'"),
    ],
)
def test_what_is_said_of_names_that_do_not_fit(wanted: str, said: str) -> None:
    with pytest.raises(UsageError) as told:
        choose(RECORDS, wanted, f"engine:{wanted}")
    assert str(told.value) == said


def test_a_store_that_cannot_be_read_is_the_reason() -> None:
    with pytest.raises(UsageError, match="there is no x:y; may not read"):
        choose([record("", "store", problem="may not read")], "y", "x:y")


# the list


def test_figures() -> None:
    assert [size_text(n) for n in (None, 0, 999, 1000, 99_949, 123_456_789)] == [
        *("", "0 B", "999 B", "1.0 kB", "99.9 kB", "123 MB")
    ]
    ages = [age_text(at, 1e9) for at in (None, 1e9 + 5, 1e9 - 59, 1e9 - 7200, 1e9 - 86400 * 400)]
    assert ages == ["", "0 s", "59 s", "2 h", "1 y"]
    assert short_name("sha256:" + "ab" * 32) == "sha256:abababababab"
    assert short_name("name:\n") == "name:\\n"
    assert short_name("ab" * 32) == "abababababab"
    assert short_name("xy" * 32) == "xy" * 32


def test_the_parent_has_a_column() -> None:
    """Shortened where it is long; then the whole of it is behind the target."""
    parents = ("", "base", "ab" * 32, "docker.io/library/debian:12", "a-name-that-is-too-long")
    records = [
        replace(record("engine:web", "web"), parent=parent or None, layers=2) for parent in parents
    ]
    heading, *lines = list(record_lines(records, 0.0))
    assert heading == "engine"
    start, end = HEADER.index("PARENT"), HEADER.index("TARGET")
    columns = [line[start:end].strip() for line in lines]
    assert columns == ["", "base", "abababababab", "…/library/debian:12", "a-name-that-is-too…"]
    assert [line[end:] for line in lines[:3]] == ["engine:web"] * 3
    assert lines[3].endswith("engine:web  (on docker.io/library/debian:12)")


def test_every_source_can_be_chosen_alone(run: Run) -> None:
    for source in sources():
        assert run("list", "--engine", source.name, "--json").status == 0
    outcome = run("list", "--engine", "no\x1b")
    assert outcome.status == 2
    assert b"there is no engine no\\x1b; give one of mount" in outcome.stderr


def test_nothing_below_an_empty_root(run: Run, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    assert run("list", "--root", tmp_path / "root", "--json").stdout == b""
    outcome = run("list", "--root", tmp_path / "none")
    assert outcome.status == 2
    assert b"is not a directory" in outcome.stderr


@pytest.mark.root
def test_a_mount_is_listed_and_its_layers_opened(run: Run, tmp_path: Path) -> None:
    for name in ("u", "w", "l1", "l2"):
        (tmp_path / name).mkdir()
    (tmp_path / "u/top").touch()
    (tmp_path / "l1/middle").touch()
    (tmp_path / "l2/bottom").touch()
    options = [
        os.fsencode(f"lowerdir={tmp_path}/l1:{tmp_path}/l2"),
        os.fsencode(f"upperdir={tmp_path}/u"),
        os.fsencode(f"workdir={tmp_path}/w"),
    ]
    with overlay(tmp_path / "m", options) as merged:
        listed = run("list", "--json", "--engine", "mount").done().objects()
        (mine,) = [each for each in listed if each["target"] == str(merged)]
        assert (mine["kind"], mine["layers"], mine["problem"]) == ("mount", 3, None)
        layers = run("list", "--json", merged).done().objects()
        assert [each["path"] for each in layers] == [f"{tmp_path}/{n}" for n in ("u", "l1", "l2")]
        for layer, name in (("1", "top"), ("2", "middle"), ("3", "bottom")):
            changes = run("changes", merged, "--layer", layer).done().stdout
            assert changes == f"A /{name}\n".encode()
        for wrong in ("0", "4", "x", "-1"):
            assert run("changes", merged, f"--layer={wrong}").status == 2
        assert f"{merged}".encode() in run("list", "--engine", "mount").done().stdout
        assert run("changes", f"mount:{merged}").done().stdout == b"A /top\n"
