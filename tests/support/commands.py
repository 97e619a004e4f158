"""Run ``whiteout`` in this process or in one of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[2]


def program(name: str) -> str | None:
    """Where the program *name* of this host is, those for administrators included."""
    return shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command printed and how it ended."""

    status: int
    stdout: bytes
    stderr: bytes

    def objects(self) -> list[dict[str, Any]]:
        """The standard output as one JSON object a line."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    def pairs(self) -> tuple[tuple[str, bytes], ...]:
        """The standard output of ``changes --null``."""
        records = self.stdout.split(b"\0")
        assert records.pop() == b"", "every record ends with NUL"
        return tuple((record[:1].decode(), record[2:]) for record in records)

    def done(self) -> Outcome:
        """The outcome itself, when the command succeeded and complained about nothing."""
        assert (self.status, self.stderr) == (0, b""), self
        return self


#: Runs the command with these arguments.
Run = Callable[..., Outcome]

#: What makes a command one of a user who owns nothing.
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def whiteout(capture: pytest.CaptureFixture[bytes], *arguments: str | bytes | Path) -> Outcome:
    """Run the command in this process; *capture* is the fixture ``capfdbinary``."""
    from whiteout_tui.main import main

    capture.readouterr()
    try:
        status = main([os.fsdecode(argument) for argument in arguments])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    printed = capture.readouterr()
    return Outcome(status, printed.out, printed.err)


def environment() -> dict[str, str]:
    """The environment for a process that imports the project from this checkout.

    Its output is buffered, as it is by default.
    """
    paths = [str(PROJECT / "engine"), str(PROJECT / "tui")]
    ours = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **ours, "PYTHONUNBUFFERED": ""}


def command(*arguments: str | bytes | Path) -> list[str | bytes | Path]:
    return [sys.executable, "-m", "whiteout_tui", *arguments]


def whiteout_process(
    *arguments: str | bytes | Path, stdin: bytes = b"", wrapper: Sequence[str] = ()
) -> Outcome:
    """Run the command in a process of its own, under the program *wrapper* if one is given."""
    ended = subprocess.run(
        [*wrapper, *command(*arguments)],
        input=stdin,
        capture_output=True,
        env=environment(),
        timeout=300,
        check=False,
    )
    return Outcome(ended.returncode, ended.stdout, ended.stderr)


_MEASURED = """
import sys
from whiteout_tui.main import main
status = main(sys.argv[1:])
sys.stdout.flush()
with open("/proc/self/status") as file:
    peak = next(line.split()[1] for line in file if line.startswith("VmHWM:"))
with open(3, "w") as out:
    out.write(peak)
sys.exit(status)
"""


def whiteout_measured(*arguments: str | bytes | Path) -> tuple[Outcome, int]:
    """Run the command in a process of its own; the second is its peak of memory in MiB."""
    reading, writing = os.pipe()
    try:
        ended = subprocess.run(
            [sys.executable, "-c", f"import os; os.dup2({writing}, 3)\n{_MEASURED}", *arguments],
            pass_fds=[writing],
            capture_output=True,
            env=environment(),
            timeout=300,
            check=False,
        )
        os.close(writing)
        writing = -1
        peak = int(os.read(reading, 100) or b"0")
    finally:
        for descriptor in (reading, writing):
            if descriptor >= 0:
                os.close(descriptor)
    return Outcome(ended.returncode, ended.stdout, ended.stderr), peak // 1024


def python(code: str, *arguments: str | Path, wrapper: Sequence[str] = ()) -> Outcome:
    """Run *code* in a Python of its own, under the program *wrapper* if one is given."""
    ended = subprocess.run(
        [*wrapper, sys.executable, "-c", code, *arguments],
        capture_output=True,
        env=environment(),
        timeout=300,
        check=False,
    )
    return Outcome(ended.returncode, ended.stdout, ended.stderr)
