"""Textual's own Tree with as many rows as asked for: f12 opens every directory, q leaves."""

import sys

from textual import events
from textual.app import App, ComposeResult
from textual.widgets import Tree


class TreeApp(App[None]):
    """Directories of *width* files each, *rows* in all."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self._rows = rows
        self._width = width

    def compose(self) -> ComposeResult:
        yield Tree("root")

    def on_mount(self) -> None:
        tree = self.query_one(Tree)
        tree.root.expand()
        for directory in range(max(1, self._rows // self._width)):
            node = tree.root.add(f"d{directory:04}")
            for file in range(self._width):
                node.add_leaf(f"f{file:07}")
        tree.focus()

    def on_key(self, event: events.Key) -> None:
        if event.key == "f12":
            for node in self.query_one(Tree).root.children:
                node.expand()
        if event.key == "q":
            self.exit()


TreeApp(int(sys.argv[1]), int(sys.argv[2])).run()
