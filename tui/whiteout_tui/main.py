"""The program ``whiteout``: headless commands run in the engine, everything else opens the app."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from whiteout.cli import run
from whiteout.errors import UsageError

if TYPE_CHECKING:
    from whiteout.snapshot import Snapshot
    from whiteout.sources.root import Root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line *arguments*, by default those of the process; gives the exit status."""
    return run(sys.argv[1:] if arguments is None else arguments, _open_app)


def _open_app(snapshot: Snapshot | None, store_path: str | None, root: Root, tour: bool) -> int:
    """Open the app; only here is Textual imported.

    Raises:
        UsageError: there is no terminal to read keys from and to draw on.
    """
    if not (os.isatty(0) and os.isatty(2)):  # Textual draws on standard error
        raise UsageError(
            "the app needs a terminal; without one use a command, such as: whiteout changes TARGET"
        )
    from whiteout_tui.app import run_app

    return run_app(snapshot, store_path=store_path, root=root, tour=tour)
