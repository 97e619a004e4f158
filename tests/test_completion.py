"""Completion: what is offered, and that the shells take it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.commands import environment, whiteout_process
from support.trees import File, make
from whiteout import completion
from whiteout.layoutfiles import REF_NAME, create_layout
from whiteout.sources.model import Record
from whiteout.sources.root import Root
from whiteout.sources.stack import Kind

NAMES = ("web", "web two", "$(touch pwned)", "\x1b[2J", "a\nb")


@pytest.fixture(autouse=True)
def _records(monkeypatch: pytest.MonkeyPatch) -> None:
    def discover(root: Root, engines: list[str]) -> Iterator[Record]:
        for name in NAMES:
            target = f"{engines[0]}://default/{name}"
            yield Record(target, name, engines[0], Kind.CONTAINER, "group")

    monkeypatch.setattr(completion, "discover", discover)


def offered(*arguments: str) -> list[str]:
    return [line.partition("\t")[0] for line in list(completion.answer(arguments))[1:]]


def test_commands_options_and_values() -> None:
    assert offered("bash", "whiteout li") == ["list"]
    assert "--layer" in offered("fish", "changes", "--")
    assert offered("zsh", "changes", "--differ", "w") == ["walking"]
    assert offered("zsh", "list", "--engine", "buildk") == ["buildkit"]
    assert offered("zsh", "completion", "") == ["bash", "zsh", "fish"]
    assert next(iter(completion.answer(["zsh", "list", "--root", ""]))) == "directories"
    assert "containerd:" in offered("fish", "export", "contai")


def test_targets_that_can_be_typed() -> None:
    known = [f"containerd://default/{name}" for name in NAMES[:3]]
    assert offered("fish", "changes", "containerd:") == known
    assert offered("zsh", "changes", "containerd://default/web t") == known[1:2]
    assert offered("zsh", "changes", "nothing://") == []


def test_places_for_images() -> None:
    assert offered("zsh", "export", "x", "--to", "docker") == ["docker-archive:", "docker:"]
    assert "oci:" in offered("fish", "export", "x", "--base", "")


def test_paths_and_tags_of_images(tmp_path: Path) -> None:
    layout = tmp_path / "images/app"
    create_layout(str(layout))
    index = {"schemaVersion": 2, "manifests": [{"annotations": {REF_NAME: "v1"}}, {}]}
    (layout / "index.json").write_text(json.dumps(index))
    (tmp_path / "images/saved.tar").touch()
    (tmp_path / "images/.hidden").mkdir()
    assert offered("fish", "list", f"oci:{tmp_path}/im") == [f"oci:{tmp_path}/images/"]
    assert offered("zsh", "list", f"oci:{tmp_path}/images/") == [f"oci:{layout}:"]
    assert offered("zsh", "list", f"oci:{layout}:") == [f"oci:{layout}:v1"]
    archives = [f"docker-archive:{tmp_path}/images/{name}" for name in ("app/", "saved.tar")]
    assert offered("zsh", "list", f"docker-archive:{tmp_path}/images/") == archives
    assert offered("bash", f"whiteout list oci:{tmp_path}/images/a") == [f"{layout}:"]
    root = ("list", "--root", str(tmp_path))
    assert offered("zsh", *root, "oci:/images/a") == ["oci:/images/app:"]
    assert offered("zsh", "list", f"oci:{tmp_path}/nothing/") == []


def test_bash_gets_words_that_cannot_act() -> None:
    line = "whiteout changes containerd://default/"
    assert offered("bash", line) == [
        "//default/web",
        "'//default/web two'",
        "'//default/$(touch pwned)'",
    ]
    assert "list" in offered("bash", "")
    assert offered("bash", 'whiteout changes "containerd://default/web t') == [
        "'//default/web two'"
    ]


SHELLS = [pytest.param(shell, marks=pytest.mark.peer(shell)) for shell in completion.SCRIPTS]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_scripts_are_well_formed(shell: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(completion.SCRIPTS[shell])
    subprocess.run([shell, "-n", script], check=True, capture_output=True, timeout=30)


@pytest.fixture
def program(tmp_path: Path) -> dict[str, str]:
    """The environment in which ``whiteout`` is a program."""
    file = tmp_path / "whiteout"
    file.write_text(f'#!/bin/sh\nexec {sys.executable} -m whiteout_tui "$@"\n')
    file.chmod(0o755)
    return {**environment(), "PATH": f"{tmp_path}:{os.environ['PATH']}"}


@pytest.mark.peer("fish")
def test_fish_completes(program: dict[str, str], tmp_path: Path) -> None:
    script = 'whiteout completion fish | source; complete -C "whiteout changes --uidm"'
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        env=program,
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith(b"--uidmap\t")


@pytest.mark.peer("bash")
def test_bash_completes(program: dict[str, str], tmp_path: Path) -> None:
    script = (
        'eval "$(whiteout completion bash)"; compopt() { :; }; COMP_LINE="whiteout exp";'
        "COMP_POINT=${#COMP_LINE}; COMP_WORDS=(whiteout exp); COMP_CWORD=1; _whiteout;"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env=program,
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == [b"explain", b"export"]


STARTS = {
    "bash": ("bash --norc --noprofile -i", "source <(whiteout completion bash)"),
    "zsh": (
        "zsh -f -i",
        "autoload -Uz compinit; compinit -u -D; source <(whiteout completion zsh)",
    ),
    "fish": ("fish --no-config -i", "whiteout completion fish | source"),
}


@pytest.mark.peer("script")
@pytest.mark.parametrize("shell", SHELLS)
def test_keys_in_a_shell(shell: str, program: dict[str, str], tmp_path: Path) -> None:
    """A command, a path and a tag are completed by the tab key, and what comes of it runs."""
    upper = make(tmp_path / "upper", {"file": File(b"")})
    empty = make(tmp_path / "empty", {})
    words = ("export", upper, "--lower", empty, "--userxattr")
    whiteout_process(*words, "--to", f"oci:{tmp_path}/image:v1").done()
    start, load = STARTS[shell]
    surroundings = {**program, "HOME": str(tmp_path), "TERM": "xterm"}
    command = ["script", "--quiet", "--flush", "--return", "--command", start, "/dev/null"]
    with subprocess.Popen(
        command, env=surroundings, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            typed(process, f"{load}; echo re''ady\r", b"ready")
            typed(process, "whiteout lis\toci:im\t\t\r", b"DIRECTORY")
        finally:
            process.kill()


def typed(process: subprocess.Popen[bytes], keys: str, sign: bytes) -> None:
    """Type *keys* and wait until *sign* is shown."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(keys.encode())
    process.stdin.flush()
    shown = b""
    end = time.monotonic() + 30
    while sign not in shown:
        ready, _, _ = select.select([process.stdout], [], [], end - time.monotonic())
        assert ready, shown
        shown += os.read(process.stdout.fileno(), 65536)
