"""What the app remembers from one start to the next, in the user's configuration directory.

``$XDG_CONFIG_HOME/whiteout/app.json``, by default ``~/.config/whiteout/app.json`` (XDG Base
Directory Specification). It is a convenience and nothing more: what cannot be read is taken as it
is by default, and what cannot be written is left.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Protocol, runtime_checkable

from textual.app import App

from whiteout_tui.ordering import SortKey

_LARGEST = 1 << 16
#: Percent of the room that the tree may have beside the detail.
SMALLEST_SHARE, LARGEST_SHARE = 20, 80


@dataclass(slots=True)
class State:
    """What is remembered. Shares are the tree's, in percent of both panes."""

    theme: str | None = None
    sort: str = SortKey.NAME.value
    turned: bool = False
    hides_skipped: bool = False
    share_above: int = 60
    share_beside: int = 50
    store: str | None = None
    """The store of the last export."""
    folded: bool = False
    """Whether the detail is folded away."""

    def share(self, beside: bool) -> int:
        """The tree's share, where the panes are side by side or one above the other."""
        return self.share_beside if beside else self.share_above

    def set_share(self, beside: bool, share: int) -> None:
        """Remember the tree's share."""
        share = max(SMALLEST_SHARE, min(LARGEST_SHARE, share))
        if beside:
            self.share_beside = share
        else:
            self.share_above = share


@runtime_checkable
class Remembers(Protocol):
    """An app that has a state."""

    state: State


def state_of(app: App[object]) -> State:
    """The state of *app*; one of its own for an app that remembers nothing."""
    return app.state if isinstance(app, Remembers) else State()


def state_file() -> Path:
    """Where the state is kept."""
    configured = os.environ.get("XDG_CONFIG_HOME") or ""
    base = Path(configured) if os.path.isabs(configured) else Path.home() / ".config"
    return base / "whiteout" / "app.json"


def load_state() -> State:
    """The state as it was saved, and as it is by default where it was not, or is garbage."""
    found: object = None
    with (
        suppress(OSError, ValueError, RuntimeError, RecursionError),
        open(state_file(), "rb") as file,
    ):
        found = json.loads(file.read(_LARGEST))
    state = State()
    if not isinstance(found, dict):
        return state
    for field in fields(State):
        value = found.get(field.name)
        default = getattr(state, field.name)
        if type(value) is type(default) or (default is None and isinstance(value, str)):
            setattr(state, field.name, value)
    if state.sort not in {key.value for key in SortKey}:
        state.sort = SortKey.NAME.value
    state.set_share(False, state.share_above)
    state.set_share(True, state.share_beside)
    return state


def save_state(state: State) -> None:
    """Keep *state*; the file is the old one or the new one, whole."""
    with suppress(OSError, ValueError, RuntimeError):
        path = state_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".app-", dir=path.parent)
        try:
            with open(descriptor, "w", encoding="utf-8", errors="surrogatepass") as file:
                json.dump(asdict(state), file, indent=1)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
