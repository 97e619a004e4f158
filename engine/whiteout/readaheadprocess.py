"""The second process of an export as the first one sees it: started, asked, heard and ended.

It runs :mod:`whiteout.readaheadmain`. One pipe takes the snapshot, and then the rows of directories
that are wanted; another one gives an answer for each of them, in their order. When the first
process dies, by whatever signal, the pipes end, and with them the second process.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import select
import signal
import sys
from contextlib import ExitStack, suppress
from struct import Struct

from whiteout import __version__
from whiteout.differ import Standing
from whiteout.readahead import ENOUGH
from whiteout.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whiteout.snapshot import Snapshot

#: What comes before the snapshot and before a row: its length.
LENGTH = Struct("<I")
#: An answer: how many of the directories it holds, how many entries, and how many bytes follow.
ANSWER = Struct("<III")
#: How many tar bytes a directory has at most.
LARGEST = 1 << 20
#: What the process says when it has opened the snapshot.
READY = f"whiteout {__version__} is ready\n".encode()

#: Neither the environment nor the working directory has a say in what is imported.
_ALONE = ("-I", "-S")
_START = "import sys; sys.path.append(sys.argv[1]); from whiteout.readaheadmain import main; main()"
_PACKAGES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PIPE_SIZE = 1 << 20
#: How often the token is asked while nothing comes, in milliseconds, and how often until the
#: process is given up.
_INTERVAL, _PATIENCE = 50, 200


def roots_of(root: Standing) -> list[tuple[int, int]]:
    """Which directories the layers are, so that both processes surely mean the same ones."""
    views = root.trees.merged, root.trees.base
    statuses = (part.directory.own_status() for view in views for part in view.root.parts)
    return [(status.st_dev, status.st_ino) for status in statuses]


class ReaderProcess:
    """A process that reads *snapshot*, whose *root* is open here.

    Raises:
        OSError: it cannot be started; from the methods, that anything is wrong with it.
    """

    def __init__(self, snapshot: Snapshot, root: Standing) -> None:
        self._cancel = root.trees.cancel
        self._ready = False
        described = snapshot._replace(check=None, image_config=None)
        message = pickle.dumps((described, roots_of(root)))
        self._pid, self._requests, self._answers = _start()
        self._poll = select.poll()
        self._poll.register(self._answers, select.POLLIN)
        try:
            self._send(message)
        except OSError:
            self.close()
            raise

    def is_ready(self) -> bool:
        """Whether it has started and can be asked."""
        if not self._ready and self.has_answer():
            if self._read(len(READY)) != READY:
                raise ConnectionError("something else has started")
            self._ready = True
        return self._ready

    def ask(self, path: bytes, names: list[bytes]) -> None:
        """Let it write the directories *names* in the directory *path*."""
        self._send(b"\0".join((path, *names)))

    def has_answer(self) -> bool:
        """Whether something has come."""
        return bool(self._poll.poll(0))

    def answer(self) -> tuple[int, bytes, int]:
        """The answer to the first row that has none yet; waits for it.

        How many of its directories were written, their tar bytes, and the number of entries.

        Raises:
            Cancelled: the token of the walk was cancelled.
        """
        count, entries, size = ANSWER.unpack(self._read(ANSWER.size))
        if size > LARGEST + ENOUGH:
            raise ConnectionError("this is no answer")
        return count, self._read(size), entries

    def close(self) -> None:
        """End it."""
        os.close(self._requests)
        os.close(self._answers)
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def _send(self, message: bytes) -> None:
        message = LENGTH.pack(len(message)) + message
        if os.write(self._requests, message) != len(message):
            raise BlockingIOError("the pipe is full")

    def _read(self, size: int) -> bytes:
        pieces: list[bytes] = []
        patience = _PATIENCE
        while size:
            self._cancel.check()
            if self._poll.poll(_INTERVAL):
                piece = os.read(self._answers, size)
                if not piece:
                    raise ConnectionError("it has ended")
                pieces.append(piece)
                size -= len(piece)
            elif not (patience := patience - 1):
                raise TimeoutError("nothing comes")
        return b"".join(pieces)


def _start() -> tuple[int, int, int]:
    """The id of a new process, and the descriptors to write to it and to read from it."""
    if not sys.executable or getattr(sys, "frozen", False):
        raise FileNotFoundError("there is no interpreter")
    with ExitStack() as theirs, ExitStack() as ours:
        requests, to_it = os.pipe()
        theirs.callback(os.close, requests)
        ours.callback(os.close, to_it)
        from_it, answers = os.pipe()
        theirs.callback(os.close, answers)
        ours.callback(os.close, from_it)
        if min(requests, to_it, from_it, answers) <= 2:
            raise OSError("a standard stream is closed")
        os.set_blocking(to_it, False)
        with suppress(OSError):  # a small pipe is only slower
            fcntl.fcntl(from_it, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, *_ALONE, "-c", _START, _PACKAGES],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, requests, 0),
                (os.POSIX_SPAWN_DUP2, answers, 1),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
            setsigmask=[signal.SIGINT],  # ^C is for the first process
        )
        ours.pop_all()
    return pid, to_it, from_it
