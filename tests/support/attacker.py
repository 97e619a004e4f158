"""A process that swaps the parts of a snapshot for something else, as fast as it can.

``python attacker.py PLAYGROUND`` works until it is killed, and prints how many swaps it made each
time that it gets a signal USR1. The playground is made by :func:`playground`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

SECRET = b"SECRET-BYTES-FROM-OUTSIDE-THE-LAYERS"
PLACES = 8
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_libc = ctypes.CDLL(None, use_errno=True)


def playground(root: Path) -> None:
    """``upper`` and ``lower`` to be read, ``aside`` to swap with, ``outside`` with the secrets."""
    outside = root / "outside"
    _tree(outside, SECRET)
    (outside / "deeper" / "secret-name").write_bytes(SECRET)
    aside = root / "aside"
    aside.mkdir()
    for number, (victim, replacement) in enumerate(_swaps(root)):
        content = victim.relative_to(root).parts[0].encode() * 50
        victim.parent.mkdir(parents=True, exist_ok=True)
        if victim.name == "file":
            _file(victim, content)
        else:
            _tree(victim, content)
        if victim.name == "file" and number % 2:
            os.mkfifo(replacement)
        else:
            os.symlink(outside / _KINDS[victim.name], replacement)


#: What is swapped, and what of the outside a symlink in its place leads to.
_KINDS = {"directory": ".", "deeper": "deeper", "file": "file"}


def _swaps(root: Path) -> list[tuple[Path, Path]]:
    return [
        (
            root / layer / f"{kind}{place}" / kind,
            root / "aside" / f"{layer}-{kind}{place}",
        )
        for layer in ("upper", "lower")
        for place in range(PLACES)
        for kind in _KINDS
    ]


def _tree(directory: Path, content: bytes) -> None:
    (directory / "deeper").mkdir(parents=True)
    _file(directory / "file", content)
    _file(directory / "deeper" / "file", content)


def _file(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    os.utime(path, (1_700_000_000, 1_700_000_000))  # whole seconds, so that contents are compared


def attack(root: Path) -> None:
    """Swap until killed."""
    pairs = [(os.fsencode(one), os.fsencode(other)) for one, other in _swaps(root)]
    done = 0

    def tell(*_: object) -> None:
        print(done, flush=True)

    signal.signal(signal.SIGUSR1, tell)
    print("ready", flush=True)
    while True:
        for one, other in pairs:
            if not _libc.renameat2(_AT_FDCWD, one, _AT_FDCWD, other, _RENAME_EXCHANGE):
                done += 1


if __name__ == "__main__":
    attack(Path(sys.argv[1]))
