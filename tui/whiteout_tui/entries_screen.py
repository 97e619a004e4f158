"""The entries of an exported layer's tar, read from its blob as far as somebody looks."""

from __future__ import annotations

import stat
import threading
import time

from textual.content import Content
from textual.message import Message

from whiteout.cancel import CancelToken
from whiteout.display import display_name
from whiteout.export import ExportResult
from whiteout.tarlist import EntryList, ListedEntry, blob_entries
from whiteout.wording import time_text
from whiteout_tui.exports import Export
from whiteout_tui.formats import short_size
from whiteout_tui.jobs import Jobs, send
from whiteout_tui.linelist import LineList, Lines, Part
from whiteout_tui.list_screen import ListScreen
from whiteout_tui.words import words_of

_AHEAD = 1000
_PAUSE = 0.1
_WAIT = 0.05
_JOB = "entries"
_LINK, _DIRECTORY = b"15"
_DEVICES = b"34"
#: The letters of ``tar --list --verbose`` for the type flags.
_LETTERS = dict(zip(b"0123456", "-hlcbdp", strict=True))


class Wanted:
    """How far somebody looks, told from one thread to another."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.count = _AHEAD

    def ask(self, count: int) -> None:
        """Ask for *count* entries, and some more."""
        if count + _AHEAD // 2 > self.count:
            self.count = count + _AHEAD
            self._event.set()

    def wait(self, have: int, cancel: CancelToken) -> None:
        """Wait until more than *have* are asked for."""
        while have >= self.count:
            self._event.clear()
            if have >= self.count:
                self._event.wait(_WAIT)
            cancel.check()


class EntryLines(Lines):
    """The entries that were read, and dots for those that will be."""

    def __init__(self, entries: EntryList, total: int, wanted: Wanted) -> None:
        self.entries = entries
        self.total = total
        self.wanted = wanted

    def __len__(self) -> int:
        return self.total

    def parts(self, number: int, width: int) -> list[Part]:
        """One entry, as ``tar --list --verbose`` has it."""
        self.wanted.ask(number + 1)
        if number >= len(self.entries):
            return [("…", "muted")]
        return entry_parts(self.entries[number])


def entry_parts(entry: ListedEntry) -> list[Part]:
    """One line for *entry*."""
    letters = _LETTERS.get(entry.type, "?") + stat.filemode(entry.mode or 0)[1:]
    owner = f"{_told(entry.uid)}:{_told(entry.gid)}"
    size = f"{entry.size:,}" if entry.size is not None else "?"
    if entry.type in _DEVICES:
        size = ",".join(map(_told, entry.device))
    style = "deleted" if entry.is_whiteout else "heading" if entry.type == _DIRECTORY else ""
    parts = [
        (f"{letters} {owner:<9} {size:>12}  ", "muted"),
        (display_name(entry.name), style),
    ]
    if entry.linkname:
        word = " link to " if entry.type == _LINK else " -> "
        parts.append((word + display_name(entry.linkname), "accent"))
    return parts


def entry_note(entry: ListedEntry) -> str:
    """All that the headers of *entry* say."""
    words = [display_name(entry.name)]
    if entry.linkname:
        words.append(f"→ {display_name(entry.linkname)}")
    if entry.is_whiteout:
        words.append(f"whiteout: deletes {display_name(entry.path)}")
    words.append(f"mode {entry.mode:04o}" if entry.mode is not None else "mode ?")
    if entry.mtime is not None:
        words.append(time_text(entry.mtime * 1_000_000_000, nanoseconds=False))
    for key, value in entry.records:
        shown = display_name(value if len(value) <= 64 else value[:64]) + "…" * (len(value) > 64)
        words.append(f"PAX {display_name(key)}={shown}")
    return "  ".join(words)


def _told(number: int | None) -> str:
    return "?" if number is None else str(number)


class EntriesScreen(ListScreen):
    """Lists the tar entries of one layer."""

    class Read(Message):
        """More was read."""

    class Ended(Message):
        """Nothing more comes; ``problem`` says why too early."""

        def __init__(self, problem: str | None) -> None:
            super().__init__()
            self.problem = problem

    def __init__(self, export: Export, layer: ExportResult, *, leads_to_rows: bool) -> None:
        super().__init__()
        self._export = export
        self._layer = layer
        self._leads = leads_to_rows
        self._jobs = Jobs(self)
        self._ended: EntriesScreen.Ended | None = None
        self._lines = EntryLines(EntryList(), layer.entries, Wanted())

    @property
    def entries(self) -> EntryList:
        """What was read by now."""
        return self._lines.entries

    @property
    def is_reading(self) -> bool:
        """Whether something that is asked for is not there yet."""
        return self._ended is None and len(self.entries) < min(
            self._lines.total, self._lines.wanted.count
        )

    def on_mount(self) -> None:
        """Begin to read."""
        self._show_title()
        self.query_one(LineList).show(self._lines, 0)
        entries, wanted = self._lines.entries, self._lines.wanted

        def read(token: CancelToken) -> None:
            told = 0.0
            with (
                self._export.plan.reading(token) as blobs,
                blobs.open(self._layer.digest) as file,
            ):
                for number, entry in enumerate(blob_entries(file, token), 1):
                    entries.add(entry)
                    now = time.monotonic()
                    if number >= wanted.count or now - told > _PAUSE:
                        told = now
                        send(self, self.Read(), token)
                        wanted.wait(number, token)
            send(self, self.Ended(None), token)

        def failed(error: BaseException, token: CancelToken) -> Message:
            return self.Ended(words_of(error))

        self._jobs.start(_JOB, read, failed)

    def on_unmount(self) -> None:
        """Leave no thread behind."""
        self.stop()

    def stop(self) -> None:
        """Stop reading, without waiting for it."""
        self._jobs.cancel_all()

    def on_entries_screen_read(self) -> None:
        """Draw what is new."""
        self._refresh()

    def on_entries_screen_ended(self, ended: Ended) -> None:
        """Now it is known how many there are."""
        self._ended = ended
        if self._lines.total != len(self.entries):
            self._lines.total = len(self.entries)
            self.query_one(LineList).show(self._lines)
        self._refresh()

    def _refresh(self) -> None:
        self._show_title()
        self.query_one(LineList).refresh()
        self.on_line_list_moved()

    def _show_title(self) -> None:
        read, total = len(self.entries), self._lines.total
        if self._ended is not None and self._ended.problem is not None:
            state = Content.styled(f"! not complete: {read:,} entries", "$text-error")
        elif self._ended is not None:
            state = Content.styled(f"✓ {read:,} entries", "$text-success")
        else:
            state = Content.styled(f"… {read:,} of {total:,} entries read", "$foreground-muted")
        self.show_title(
            f"tar of export {self._export.number}  ",
            (f"{self._layer.diff_id[7:19]}…", "bold"),
            f"  {short_size(self._layer.uncompressed_size)}  ",
            state,
        )

    def on_line_list_moved(self) -> None:
        """Say what the entry under the cursor is, whole."""
        entry = self._entry()
        texts = [entry_note(entry)] if entry is not None else []
        if self._ended is not None and self._ended.problem is not None:
            texts.insert(0, f"! {self._ended.problem}")
        self.show_note(*texts)

    def _entry(self) -> ListedEntry | None:
        cursor = self.query_one(LineList).cursor
        if cursor is None:
            return None
        self._lines.wanted.ask(cursor + 1)
        return self.entries[cursor] if cursor < len(self.entries) else None

    def on_line_list_chosen(self) -> None:
        """Go to the row."""
        entry = self._entry()
        if entry is None:
            return
        if self._leads:
            self.dismiss(entry.path)
        else:
            label = self._export.snapshot.label
            self.notify(f"this layer is of another snapshot: {label}", markup=False)
