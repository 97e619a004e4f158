"""The engine stands alone: no headless command imports the terminal's libraries."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import PROJECT, environment, python

FORBIDDEN = ("textual", "rich")

_RUN = """
import os, sys
from whiteout_tui.main import main
status = main(sys.argv[1:])
modules = sorted({name.partition(".")[0] for name in sys.modules})
import json
os.write(2, json.dumps([status, modules]).encode())
"""


@pytest.fixture
def snapshot(tmp_path: Path) -> list[str]:
    for side in ("upper", "lower"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "file").write_bytes(side.encode())
    return [str(tmp_path / "upper"), "--lower", str(tmp_path / "lower"), "--userxattr"]


def imported_by(arguments: list[str]) -> set[str]:
    told = python(_RUN, *arguments)
    status, modules = json.loads(told.stderr.splitlines()[-1])
    assert status == 0, told
    return set(modules)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["changes", "--help"],
        ["changes", "SNAPSHOT"],
        ["changes", "SNAPSHOT", "--json", "--skipped"],
        ["explain", "SNAPSHOT", "/file"],
        ["explain", "SNAPSHOT", "/file", "--json"],
        ["export", "SNAPSHOT", "-o", "DIRECTORY/blob"],
        ["export", "SNAPSHOT", "--store", "DIRECTORY/store", "--compression", "zstd", "--json"],
        ["demo", "--build-only", "DIRECTORY/demo"],
    ],
    ids=" ".join,
)
def test_headless_commands(arguments: list[str], snapshot: list[str], tmp_path: Path) -> None:
    words: list[str] = []
    for argument in arguments:
        if argument == "SNAPSHOT":
            words += snapshot
        else:
            words.append(argument.replace("DIRECTORY", str(tmp_path)))
    modules = imported_by(words)
    assert "whiteout" in modules
    assert not modules & set(FORBIDDEN)


#: What makes types for values, and is slow to import or to make them.
_OF_TYPES = ("dataclasses", "inspect", "typing")


def test_changes_do_without_what_other_commands_need(snapshot: list[str]) -> None:
    """To start fast: importing these takes longer than reading a small snapshot."""
    others = {"hashlib", "logging", "pathlib", "shutil", "sqlite3", "urllib", "zlib_ng"}
    modules = imported_by(["changes", *snapshot])
    assert "enum" in modules
    assert not modules & {*others, "argparse", "json", "re", "signal", "threading", *_OF_TYPES}


def test_an_export_does_without_what_other_commands_need(
    snapshot: list[str], tmp_path: Path
) -> None:
    others = {"logging", "pathlib", "shutil", "subprocess", "tempfile", "urllib", "zlib_ng"}
    blob = ["-o", str(tmp_path / "blob"), "--compression", "none"]
    modules = imported_by(["export", *snapshot, *blob])
    assert "hashlib" in modules
    assert not modules & {*others, "argparse", "json", "re", "sqlite3", "threading", *_OF_TYPES}
    store = ["--store", str(tmp_path / "store"), "--compression", "none"]
    modules = imported_by(["export", *snapshot, *store])
    assert "sqlite3" in modules
    assert not modules & others


def test_a_list_of_little_does_without_the_readers_of_stores(tmp_path: Path) -> None:
    others = {"base64", "datetime", "difflib", "hashlib", "tomllib"}
    modules = imported_by(["list", "--root", str(tmp_path)])
    assert "dataclasses" in modules
    assert not modules & others


def test_verify(snapshot: list[str], tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    exported = python(_RUN, "export", *snapshot, "--store", store, "--json")
    digest = json.loads(exported.stdout)["digest"]
    assert not imported_by(["verify", digest, "--store", store]) & set(FORBIDDEN)


def test_the_engine_does_not_need_the_app(tmp_path: Path) -> None:
    """With the engine alone on the path, every module of it can be imported."""
    code = """
import importlib, pkgutil, sys
import whiteout
for module in pkgutil.walk_packages(whiteout.__path__, "whiteout."):
    importlib.import_module(module.name)
assert not {"textual", "rich", "whiteout_tui"} & set(sys.modules), sorted(sys.modules)
"""
    alone = {**environment(), "PYTHONPATH": str(PROJECT / "engine")}
    subprocess.run([sys.executable, "-c", code], check=True, env=alone, cwd=tmp_path)


def test_no_engine_module_names_the_app() -> None:
    for file in (PROJECT / "engine").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name.partition(".")[0] not in (*FORBIDDEN, "whiteout_tui"), file


@pytest.mark.peer("lint-imports")
def test_the_import_contract(tmp_path: Path) -> None:
    beside = Path(sys.executable).with_name("lint-imports")
    program = str(beside) if beside.exists() else shutil.which("lint-imports")
    assert program is not None
    arguments = [program, "--config", str(PROJECT / "pyproject.toml"), "--no-cache"]
    ended = subprocess.run(
        arguments, env=environment(), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 kept" in ended.stdout or " kept, 0 broken" in ended.stdout


def test_starting_reads_the_given_checkout() -> None:
    told = python("import whiteout; print(whiteout.__file__)")
    assert os.fsdecode(told.stdout.strip()).startswith(str(PROJECT))
