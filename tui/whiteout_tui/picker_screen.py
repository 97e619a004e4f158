"""The picker: the overlay mounts of this machine."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from whiteout.cancel import CancelToken
from whiteout.display import display_path
from whiteout.mountinfo import OverlayMount, overlay_mounts
from whiteout.opening import open_mount
from whiteout.snapshot import Snapshot
from whiteout.sources.root import HOST, Root
from whiteout_tui.actions import Scope, bindings
from whiteout_tui.browse_screen import BrowseScreen
from whiteout_tui.footer import ActionFooter
from whiteout_tui.jobs import Jobs, send
from whiteout_tui.status import StatusLine, TitleLine
from whiteout_tui.words import words_of

NO_MOUNTS = (
    "No overlay is mounted here that this process can see.\n\n"
    "Open an upper directory with    whiteout UPPERDIR --lower LOWERDIR\n"
    "or try the built-in example     whiteout demo"
)


class PickerScreen(Screen[None]):
    """Lists the overlay mounts, and opens one."""

    BINDINGS = bindings(Scope.PICKER)
    AUTO_FOCUS = "OptionList"

    class Listed(Message):
        """The mounts were read."""

        def __init__(self, mounts: tuple[OverlayMount, ...]) -> None:
            super().__init__()
            self.mounts = mounts

    class Opened(Message):
        """A mount is ready to be browsed."""

        def __init__(self, snapshot: Snapshot) -> None:
            super().__init__()
            self.snapshot = snapshot

    class Failed(Message):
        """Something failed; the sentence is printable."""

        def __init__(self, sentence: str) -> None:
            super().__init__()
            self.sentence = sentence

    def __init__(self, store_path: str | None, root: Root = HOST) -> None:
        super().__init__()
        self._root = root
        self._store_path = store_path
        self._jobs = Jobs(self)
        self._mounts: tuple[OverlayMount, ...] = ()

    def compose(self) -> ComposeResult:
        """Title, mounts, status, footer."""
        yield TitleLine("overlay mounts")
        yield OptionList(id="mounts", markup=False)
        yield Static("", id="no-mounts", classes="-empty", markup=False)
        yield StatusLine()
        yield ActionFooter()

    def on_mount(self) -> None:
        """Read the mounts."""
        self.action_reload()

    def on_unmount(self) -> None:
        """Leave no thread behind."""
        self.stop()

    def stop(self) -> None:
        """Stop what runs, without waiting for it."""
        self._jobs.cancel_all()

    def _failed(self, error: BaseException, token: CancelToken) -> Message:
        return self.Failed(words_of(error))

    def action_reload(self) -> None:
        """Read the list of mounts again."""

        def read(token: CancelToken) -> None:
            send(self, self.Listed(overlay_mounts()), token)

        self.query_one(StatusLine).show_state("reading the mounts…")
        self._jobs.start("list", read, self._failed)

    def on_picker_screen_listed(self, listed: Listed) -> None:
        """Show the mounts, those that can be opened first."""
        self._mounts = tuple(sorted(listed.mounts, key=lambda mount: mount.problem is not None))
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(Option(_prompt(mount)) for mount in self._mounts)
        options.set_class(not self._mounts, "-empty")
        message = self.query_one("#no-mounts", Static)
        message.update(Content("" if self._mounts else NO_MOUNTS))
        message.set_class(bool(self._mounts), "-empty")
        if self._mounts:
            options.highlighted = 0
            options.focus()
        count = len(self._mounts)
        self.query_one(StatusLine).show_state(
            f"{count:,} mount" if count == 1 else f"{count:,} mounts"
        )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Open the mount that was clicked."""
        self._open(event.option_index)

    def action_pick(self) -> None:
        """Open the mount that is marked."""
        marked = self.query_one(OptionList).highlighted
        if marked is not None:
            self._open(marked)

    def _open(self, position: int) -> None:
        mount = self._mounts[position]

        def read(token: CancelToken) -> None:
            send(self, self.Opened(open_mount(mount)), token)

        self._jobs.start("open", read, self._failed)

    def on_picker_screen_opened(self, opened: Opened) -> None:
        """Browse it."""
        self.app.push_screen(
            BrowseScreen(opened.snapshot, store_path=self._store_path, picked=True)
        )

    def on_picker_screen_failed(self, failed: Failed) -> None:
        """Say why it cannot be opened."""
        self.notify(failed.sentence, severity="error", markup=False)


def _prompt(mount: OverlayMount) -> Content:
    point = display_path(mount.mount_point)
    if mount.problem is not None:
        return Content.assemble(
            ("! ", "$text-error"),
            (point, "$foreground-muted"),
            ("\n  " + mount.problem, "$text-error"),
        )
    lowers = len(mount.layers) - 1
    told = f"{lowers} lower layer" if lowers == 1 else f"{lowers} lower layers"
    if mount.options.upperdir is None:
        told = f"read-only, {len(mount.layers)} layers; shows the topmost over the rest"
    proved = "" if mount.verified else ", layers not proved by inode numbers"
    return Content.assemble("  ", (point, "bold"), (f"\n  {told}{proved}", "$foreground-muted"))
