"""Searching, filtering and going to a path: between the prompt and the tree.

A search and a filter are over the whole snapshot, so far as it is read: they follow the reading.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from textual.screen import Screen
from textual.timer import Timer

from whiteout.display import display_name, display_text
from whiteout.errors import UsageError
from whiteout_tui.prompt import Prompt, PromptMode
from whiteout_tui.rows import ROOT
from whiteout_tui.search import Filter, Search
from whiteout_tui.status import Notice
from whiteout_tui.tree import SnapshotTree

_FOLLOW = 0.25
_MOST_NAMES = 8


class Finder:
    """What is searched and filtered now.

    *changed* is called when there is something to tell; *complete* tells whether the snapshot is
    read to its end.
    """

    def __init__(
        self,
        screen: Screen[None],
        tree: SnapshotTree,
        prompt: Prompt,
        changed: Callable[[], None],
        complete: Callable[[], bool],
    ) -> None:
        self._screen = screen
        self._tree = tree
        self._prompt = prompt
        self._changed = changed
        self._complete = complete
        self._jumping = False
        self._pending_filter: Filter | None = None
        self._origin: bytes | None = None
        self._opened_before: list[int] | None = None
        self._before_filter: list[int] | None = None
        self._accepted: Search | None = None
        self._accepted_filter = ""
        self._looking = False
        self._following: Timer | None = None
        self._last_text = {PromptMode.SEARCH: "", PromptMode.EXPRESSION: "", PromptMode.PATH: ""}
        self._failure: str | None = None

    @property
    def search(self) -> Search | None:
        """The search, if there is one."""
        return self._tree.search

    @property
    def filter(self) -> Filter | None:
        """The filter, if there is one."""
        return self._tree.filter

    # The prompt

    def ask(self, mode: PromptMode) -> None:
        """Ask for a search, a filter or a path."""
        tree = self._tree
        self._origin = tree.cursor_path
        self._opened_before = tree.rows.opened()
        self._accepted = tree.search
        self._accepted_filter = tree.filter.text if tree.filter is not None else ""
        self._failure = None
        text = self._accepted_filter if mode is PromptMode.FILTER else ""
        self._prompt.ask(mode, text)
        self.tell()

    def type(self, mode: PromptMode, text: str) -> None:
        """Take in what is typed."""
        self._failure = None
        if mode is PromptMode.FILTER:
            self.set_filter(text)
        elif mode is not PromptMode.PATH:
            self.set_search(text, regex=mode is PromptMode.EXPRESSION, jump=True)
        self.tell()

    def accept(self, mode: PromptMode, text: str) -> None:
        """Keep what was typed, if it can be understood."""
        if self._failure is not None:
            return
        if mode is PromptMode.PATH:
            self._tree.go_to(text, self._tell_no_path)
            return
        self._close()

    def _tell_no_path(self, failure: str | None) -> None:
        if failure is None:
            if self._prompt.is_open and self._prompt.mode is PromptMode.PATH:
                self._close()
            return
        if self._prompt.is_open:
            self._prompt.tell("", error=failure)
        else:
            self._screen.notify(failure, severity="warning", markup=False)

    def leave(self, mode: PromptMode) -> None:
        """Put everything back as it was before something was asked for."""
        self._failure = None
        if mode is PromptMode.FILTER:
            self.set_filter(self._accepted_filter)
        elif mode is not PromptMode.PATH:
            self._tree.search = self._accepted
            if self._opened_before is not None:
                self._tree.restore(self._opened_before, self._origin)
            self.follow()
        self._close()

    def _close(self) -> None:
        self._prompt.close()
        self._screen.set_focus(self._tree)
        self._tree.refresh()
        self._changed()

    # Searching

    def set_search(self, text: str, *, regex: bool, jump: bool = False) -> None:
        """Search for *text*; with *jump* the cursor goes to the first match."""
        try:
            search = Search(self._tree.rows, text, regex=regex) if text else None
        except UsageError as error:
            search = None
            self._failure = str(error)
        self._tree.search = search
        self._tree.refresh()
        self._jumping = jump
        self.follow()

    def _jump(self) -> None:
        search = self.search
        if not self._jumping or search is None or not search.matches.total:
            return
        self._jumping = False
        row = self._tree.row_at(self._origin)
        found = row if row in search.matches else search.matches.after(row)
        if found is not None:
            self._tree.jump_to(found, remember=False)

    def step_match(self, by: int) -> None:
        """To the next match, or with a negative *by* to the one before."""
        search = self.search
        if search is None:
            self._screen.notify("Nothing is searched for; / searches.", markup=False)
            return
        matches = search.matches
        row = self._tree.cursor_row
        found = matches.after(row) if by > 0 else matches.ahead_of(row)
        if found is None:
            still = " so far" if self._incomplete() else ""
            self._screen.notify(f"No match{still}.", markup=False)
            return
        self._tree.jump_to(found)
        self._changed()

    # Filtering

    def set_filter(self, text: str) -> None:
        """Show only what passes the filter *text*; an empty one shows everything again."""
        try:
            wanted = Filter(self._tree.rows, text) if text.strip() else None
        except UsageError as error:
            self._failure = str(error)
            return
        self._failure = None
        self._pending_filter = wanted
        if wanted is None:
            self._apply(None)
        self.follow()

    def restart(self) -> None:
        """Look at all rows anew, as others are hidden or were read anew."""
        if self.filter is not None:
            self.set_filter(self.filter.text)
        if self.search is not None:
            self.search.restart()
        self.follow()

    def clear(self) -> bool:
        """Undo the search, or else the filter; tells whether there was anything to undo."""
        if self.search is not None:
            self._tree.search = None
        elif self.filter is not None:
            self.set_filter("")
        else:
            return False
        self._tree.refresh()
        self._changed()
        return True

    def _apply(self, wanted: Filter | None) -> None:
        tree = self._tree
        if self._before_filter is None:
            self._before_filter = tree.rows.opened()
        if wanted is None:
            tree.show_only(None, self._before_filter)
            self._before_filter = None
        else:
            wanted.stale = False
            tree.show_only(wanted, list(wanted.leading))
        if self.search is not None:
            self.search.restart()

    # Following the reading

    def follow(self) -> None:
        """Look at the rows that were not looked at yet, in steps, between keys."""
        if not self._looking:
            self._looking = True
            self._screen.run_worker(self._look(), group="finder", exclusive=True)

    def follow_soon(self) -> None:
        """As :meth:`follow`, a little later: more rows have come."""
        if (self.search or self.filter or self._pending_filter) and self._following is None:
            self._following = self._screen.set_timer(_FOLLOW, self._follow_now)

    def _follow_now(self) -> None:
        self._following = None
        shown = self.filter
        if shown is not None and shown.stale:
            shown.stale = False
            self._tree.show_more(list(shown.leading))
            if self.search is not None:
                self.search.restart()
        self.follow()

    async def _look(self) -> None:
        try:
            while self._step():  # with no pause after the last: what came then would be waited for
                await asyncio.sleep(0)
        finally:
            self._looking = False
        self.tell()
        self._changed()

    def _step(self) -> bool:
        pending = self._pending_filter
        if pending is not None:
            if pending.step():
                return True
            self._pending_filter = None
            self._apply(pending)
            return True
        search = self.search
        if search is None:
            return False
        more = search.step()
        if not more or search.matches.total:
            self._jump()
        return more

    # What is told

    def _incomplete(self) -> bool:
        return self._looking or not self._complete()

    def tell(self) -> None:
        """Show in the prompt what was found."""
        if not self._prompt.is_open:
            return
        if self._prompt.mode is PromptMode.PATH:
            self._prompt.tell("")
            return
        filtering = self._prompt.mode is PromptMode.FILTER
        text = self.filter_state() if filtering else self.search_state()
        self._prompt.tell(text, error=self._failure)

    def search_state(self) -> str:
        """How many matches there are, and which one the cursor is on: ``3 of 128``."""
        search = self.search
        if search is None:
            return ""
        total = f"{search.matches.total:,}" + ("…" if self._incomplete() else "")
        row = self._tree.cursor_row
        if row not in search.matches:
            return "no match" if total == "0" else f"{total} match" + "es" * (total != "1")
        return f"{search.matches.before(row) + 1:,} of {total}"

    def filter_state(self) -> str:
        """How many rows pass."""
        shown = self.filter
        if shown is None:
            return ""
        total = f"{shown.total:,}" + ("…" if self._incomplete() else "")
        return f"{total} row" + "s" * (total != "1")

    def told(self) -> list[Notice]:
        """What the status line says of the search and the filter."""
        notices = []
        if self.search is not None and not self._prompt.is_open:
            state = self.search_state()
            notices.append(Notice(f"“{_as_typed(self.search.text)}” {state}", f"/ {state}"))
        if self.filter is not None:
            state = self.filter_state()
            text = f"filter {_as_typed(self.filter.text)}: {state}"
            notices.append(Notice(text, f"f {state}"))
        return notices

    # Paths

    def complete_path(self, text: str) -> None:
        """Complete *text* with what the known directories hold."""
        head, slash, start = text.rpartition("/")
        row = self._tree.find_row(head) if slash else ROOT
        if row is None:
            self._prompt.tell("", error=f"{display_text(head)} is not known yet")
            return
        names = self._tree.names_below(row, start)
        if not names:
            self._prompt.tell("", error="nothing begins with that")
            return
        common = _common_start([display_name(name) for name, _ in names])
        ending = "/" if len(names) == 1 and names[0][1] else ""
        self._prompt.type(f"{head}/{common}{ending}")
        shown = [display_name(name) + "/" * directory for name, directory in names[:_MOST_NAMES]]
        more = f"  and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
        self._prompt.tell("", hint="" if len(names) == 1 else "  ".join(shown) + more)


def _common_start(names: list[str]) -> str:
    first, last = min(names), max(names)
    for position, letter in enumerate(first):
        if position >= len(last) or last[position] != letter:
            return first[:position]
    return first


def _as_typed(text: str) -> str:
    """*text* for the screen; a backslash stays one, as what was typed has no bytes to tell from."""
    return display_text(text).replace("\\\\", "\\")
