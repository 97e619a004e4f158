"""Plain command lines, read without argparse, which takes as long as reading a small snapshot.

A line is plain when nothing in it can be meant in two ways: options have their whole names, their
values do not begin with a dash, and all of it is right. What is not plain is left to argparse.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from types import SimpleNamespace

from whiteout.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any, Self


class _Option(NamedTuple):
    dest: str
    action: str
    type: Callable[[str], object]
    choices: Collection[str] | None
    group: object
    """What it shares with options of which a line has but one; None where there are none."""


class PlainLine:
    """What a command takes, told as to an ``argparse.ArgumentParser``.

    At most one argument is positional. What is given for the help is not looked at.
    """

    def __init__(self, *_: str) -> None:
        self._options: dict[str, _Option] = {}
        self._place: tuple[str, str | None, Collection[str] | None] | None = None
        self._defaults: dict[str, object] = {}

    def add_argument(
        self,
        *names: str,
        action: str = "store",
        nargs: str | None = None,
        default: object = None,
        type: Callable[[str], object] = str,
        choices: Collection[str] | None = None,
        group: object = None,
        **_: str,
    ) -> None:
        """Take an argument; a line has but one of each *group* that is given."""
        dest = names[-1].lstrip("-").replace("-", "_")
        if not names[0].startswith("-"):
            self._place = (dest, nargs, choices)
        elif action != "version":
            self._defaults[dest] = False if action == "store_true" else default
            option = _Option(dest, action, type, choices, group)
            self._options.update(dict.fromkeys(names, option))

    def add_argument_group(self, _: str) -> Self:
        """Take arguments that stand together in the help."""
        return self

    def add_mutually_exclusive_group(self) -> _Group:
        """Take arguments of which a line has but one."""
        return _Group(self)

    def read(self, words: Sequence[str]) -> SimpleNamespace | None:
        """The options of a line as argparse would give them; None where it is not plain."""
        values: dict[str, Any] = dict(self._defaults)
        found: list[str] = []
        of_groups: dict[object, str] = {}
        rest = iter(words)
        for word in rest:
            if word == "-" or not word.startswith("-"):
                found.append(word)
                continue
            name, equals, value = word.partition("=")
            option = self._options.get(name)
            if option is None or (equals and not name.startswith("--")):
                return None
            if option.group is not None and of_groups.setdefault(option.group, name) != name:
                return None
            if option.action == "store_true":
                if equals:
                    return None
                values[option.dest] = True
                continue
            if not equals:
                value = next(rest, "")
            if not value or (value != "-" and value.startswith("-")):
                return None
            if option.choices is not None and value not in option.choices:
                return None
            try:
                read = option.type(value)
            except ValueError:
                return None
            if option.action == "append":
                values[option.dest] = [*values[option.dest], read]
            else:
                values[option.dest] = read
        return self._with_place(values, found)

    def _with_place(self, values: dict[str, object], found: list[str]) -> SimpleNamespace | None:
        if self._place is None:
            return None if found else SimpleNamespace(**values)
        dest, nargs, choices = self._place
        if choices is not None and not all(word in choices for word in found):
            return None
        if nargs == "*":
            values[dest] = found
        elif len(found) == 1:
            values[dest] = found[0]
        elif nargs == "?" and not found:
            values[dest] = None
        else:
            return None
        return SimpleNamespace(**values)


class _Group:
    """Arguments of which a line has but one."""

    def __init__(self, line: PlainLine) -> None:
        self._line = line

    def add_argument(self, *names: str, action: str = "store", **more: Any) -> None:
        """As for the line."""
        self._line.add_argument(*names, action=action, group=self, **more)
