"""The snapshots that are measured, made from a seed: the same on every machine."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

WHOLE = 1_700_000_000_000_000_000
FRACTION = 1_600_000_000_123_456_789


@dataclass(frozen=True, slots=True)
class Workload:
    """One snapshot: what it is, and how it is made at a scale between 0 and 1."""

    name: str
    description: str
    build: Callable[[Path, float], None]

    def directories(self, root: Path) -> tuple[Path, list[Path]]:
        """The upper directory, and the lower ones topmost first."""
        here = root / self.name
        return here / "upper", sorted(here.glob("lower-*"), reverse=True)

    def make(self, root: Path, scale: float) -> None:
        """Build it below *root*, unless it is there already."""
        here = root / self.name
        if (here / "done").exists():
            return
        here.mkdir(parents=True)
        self.build(here, scale)
        (here / "done").touch()


def _write(path: Path, content: bytes, mtime_ns: int = FRACTION) -> None:
    with path.open("wb") as file:
        file.write(content)
    os.utime(path, ns=(mtime_ns, mtime_ns))


def _directory(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _noise(seed: str, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def _text(seed: str, size: int) -> bytes:
    lines = (hashlib.sha256(f"{seed}{n // 3}".encode()).hexdigest() for n in range(size // 65 + 1))
    return "\n".join(lines).encode()[:size]


def _small_files(here: Path, scale: float) -> None:
    _directory(here / "lower-00")
    for number in range(max(1, round(1000 * scale))):
        directory = _directory(here / "upper" / f"d{number // 32:02}" / f"e{number:04}")
        for file in range(100):
            seed = f"{number}/{file}"
            _write(directory / f"f{file:03}", _noise(seed, 2048) + _text(seed, 2048))


def _large_files(here: Path, scale: float) -> None:
    _directory(here / "lower-00")
    upper = _directory(here / "upper")
    half = round(50 * 2**20 * scale)
    for number in range(20):
        _write(upper / f"f{number:02}", _noise(str(number), half) + _text(str(number), half))


def _large_lower(here: Path, scale: float) -> None:
    lower, upper = _directory(here / "lower-00"), here / "upper"
    directories = max(5, round(2000 * scale))
    for number in range(directories):
        place = Path(f"a{number // 100:02}/b{number // 10:03}/c{number:04}")
        directory = _directory(lower / place)
        for file in range(100):
            _write(directory / f"f{file:03}", b"lower")
        if number % 4 == 0:
            changed = _directory(upper / place)
            _write(changed / "f050", b"upper!")


def _opaque(here: Path, scale: float) -> None:
    lower, upper = here / "lower-00", here / "upper"
    files = max(100, round(50_000 * scale))
    for number in range(files):
        name = f"e{number // 500:03}"
        content = _noise(f"{number}", 1024)
        _write(_directory(lower / "o" / name) / f"f{number % 500:03}", content, WHOLE)
        if number % 100 == 0:
            content = content[::-1]
        _write(_directory(upper / "o" / name) / f"f{number % 500:03}", content, WHOLE)
    os.setxattr(upper / "o", "user.overlay.opaque", b"y")
    if os.geteuid() == 0:  # for those that mount it
        os.setxattr(upper / "o", "trusted.overlay.opaque", b"y")


def _many_layers(here: Path, scale: float) -> None:
    directories = max(20, round(5000 * scale))
    for layer in range(20):
        for number in range(layer, directories, 4):
            directory = _directory(
                here / f"lower-{layer:02}" / f"d{number // 100:02}" / f"e{number:04}"
            )
            _write(directory / f"f{layer:02}", b"lower")
    for number in range(directories):
        directory = _directory(here / "upper" / f"d{number // 100:02}" / f"e{number:04}")
        for file in range(4):
            _write(directory / f"f{file * 5:02}", b"changed")


def _changed_in_lower(here: Path, files: int) -> None:
    """200 directories of the upper, one changed file in each, whatever the size of the lower."""
    for number in range(max(200, files // 100)):
        place = Path(f"d{number // 100:03}/e{number:05}")
        directory = _directory(here / "lower-00" / place)
        for file in range(min(100, files // 200)):
            (directory / f"f{file:03}").touch()
        if number < 200:
            _write(_directory(here / "upper" / place) / "f001", b"changed")


def _added(here: Path, files: int) -> None:
    """Small files, a hundred in a directory."""
    _directory(here / "lower-00")
    for number in range(max(1, files // 100)):
        directory = _directory(here / "upper" / f"d{number // 100:03}" / f"e{number:05}")
        for file in range(min(100, files)):
            _write(directory / f"f{file:03}", b"added")


def scaled(side: str, files: int) -> Workload:
    """A snapshot whose *side* (``lower`` or ``upper``) has that many files."""
    build = {"lower": _changed_in_lower, "upper": _added}[side]
    return Workload(
        f"{side}-{files}", f"{files:,} files in the {side}", lambda here, _: build(here, files)
    )


WORKLOADS = (
    Workload("a", "100,000 added files of 4 KiB in 1,000 directories", _small_files),
    Workload("b", "20 files of 100 MiB, half compressible", _large_files),
    Workload("c", "a lower of 200,000 files, 500 changed deep in it", _large_lower),
    Workload("d", "an opaque directory over 50,000 files, 1 % changed, contents compared", _opaque),
    Workload("e", "20 lower layers, 20,000 changes in 5,000 directories", _many_layers),
)
