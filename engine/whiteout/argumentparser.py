"""The parser of argparse: for help, for errors, and for what may be meant in two ways."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, NoReturn

from whiteout.display import display_text
from whiteout.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

_EXIT = "Exit status: 0 done, 1 failed, 2 wrong usage."


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal. Asked of shutil, the width would cost a slower start."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size().columns or 80
    except OSError:
        return 80


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, and whose help is not lost without a word."""

    def __init__(self, name: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=f"whiteout {name}".strip(),
            description=description,
            epilog="\n\n".join(filter(None, (epilog, _EXIT))),
            formatter_class=_Formatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{display_text(message)}; see '{self.prog} --help'")

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        print(self.format_help(), end="", file=file)
