"""The program ``whiteout``: headless commands run in the engine, everything else opens the app."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whiteout.snapshot import Snapshot
    from whiteout.sources.root import Root

_USUAL = gc.get_threshold()
#: More objects than are made while a command is imported, none of which is garbage.
_SELDOM = 100_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line *arguments*, by default those of the process; gives the exit status.

    Garbage is seldom looked for, and not at the end of the process: that takes a tenth of the time
    of a short command, and ten times as long as all else when the app is left.
    """
    gc.set_threshold(_SELDOM)
    atexit.register(gc.freeze)
    from whiteout.cli import run

    return run(sys.argv[1:] if arguments is None else arguments, _open_app)


def _open_app(snapshot: Snapshot | None, store_path: str | None, root: Root, tour: bool) -> int:
    """Open the app; only here is Textual imported.

    Raises:
        UsageError: there is no terminal to read keys from and to draw on.
    """
    if not (os.isatty(0) and os.isatty(2)):  # Textual draws on standard error
        from whiteout.errors import UsageError

        raise UsageError(
            "the app needs a terminal; without one use a command, such as: whiteout changes TARGET"
        )
    from whiteout_tui.app import run_app

    gc.set_threshold(*_USUAL)
    return run_app(snapshot, store_path=store_path, root=root, tour=tour)
