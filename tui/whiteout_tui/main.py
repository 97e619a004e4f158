"""The program ``whiteout``: headless commands run in the engine, everything else opens the app."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

from whiteout.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn

    from whiteout.snapshot import Snapshot
    from whiteout.sources.root import Root

_USUAL = gc.get_threshold()
#: More objects than are made while a command is imported, none of which is garbage.
_SELDOM = 100_000


def program() -> NoReturn:
    """The process ``whiteout``: run its command line, and end.

    A command leaves nothing to the end of the process: its files are closed, its threads have
    ended, and what it printed is flushed. So the interpreter is not taken apart first, which takes
    a tenth of the time of a short command.
    """
    status = main(sys.argv[1:])
    if "textual" in sys.modules:
        sys.exit(status)
    os._exit(status)


def main(arguments: Sequence[str]) -> int:
    """Run the command line *arguments*; gives the exit status.

    Garbage is seldom looked for: that takes a tenth of the time of a short command.
    """
    gc.set_threshold(_SELDOM)
    from whiteout.cli import run

    return run(arguments, _open_app)


def _open_app(snapshot: Snapshot | None, store_path: str | None, root: Root, tour: bool) -> int:
    """Open the app; only here is Textual imported.

    Garbage is not looked for at the end of the process: that takes ten times as long as all else
    when the app is left.

    Raises:
        UsageError: there is no terminal to read keys from and to draw on.
    """
    if not (os.isatty(0) and os.isatty(2)):  # Textual draws on standard error
        from whiteout.errors import UsageError

        raise UsageError(
            "the app needs a terminal; without one use a command, such as: whiteout changes TARGET"
        )
    import atexit

    from whiteout_tui.app import run_app

    gc.set_threshold(*_USUAL)
    atexit.register(gc.freeze)
    return run_app(snapshot, store_path=store_path, root=root, tour=tour)
