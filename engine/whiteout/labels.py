"""What a content store knows of its blobs beside their bytes: recorded size and labels.

An SQLite database, ``metadata.db`` in the store, in the default rollback-journal mode: it
survives a crash, serves several processes, and can be read from a store that one may not write.
Connections live for one operation, so a store may be used from any thread.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from whiteout.display import display_path, display_text
from whiteout.durable import store_error
from whiteout.errors import StoreError, UsageError
from whiteout.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

#: The label that holds the diffID of a layer blob (containerd, ``core/labels``).
UNCOMPRESSED = "containerd.io/uncompressed"
#: Bytes of a key and its value together (containerd, ``core/labels/validate.go``).
MAX_LABEL = 4096

_VERSION = 1
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS blobs (
        digest TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS labels (
        digest TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
        PRIMARY KEY (digest, key)) WITHOUT ROWID""",
    f"PRAGMA user_version = {_VERSION}",
)


@dataclass(slots=True)
class Record:
    """What is recorded of one blob; to be changed within :meth:`LabelStore.editing`."""

    size: int | None = None
    """Bytes of the blob when it was committed, None when it came by other ways."""
    labels: dict[str, str] = field(default_factory=dict)


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuse labels that containerd would refuse.

    Raises:
        UsageError: a key is empty, a label is not UTF-8 text or longer than :data:`MAX_LABEL`.
    """
    for key, value in labels.items():
        try:
            size = len(key.encode()) + len(value.encode())
        except UnicodeEncodeError:
            raise UsageError(f"the label {display_text(key)} is not UTF-8 text") from None
        if not key:
            raise UsageError("a label needs a key")
        if size > MAX_LABEL:
            raise UsageError(
                f"the label {display_text(key[:64])} has {size} bytes with its value; "
                f"at most {MAX_LABEL} are allowed"
            )


class LabelStore:
    """The records of one content store."""

    def __init__(self, path: str, timeout: float = 30.0) -> None:
        self._path = path
        self._timeout = timeout

    def read(self, digest: str) -> Record:
        """What is recorded of *digest*; an empty record when nothing is.

        Raises:
            StoreError: the database cannot be read.
        """
        if not self._exists():
            return Record()
        with self._connected() as db:  # for writing, too: what a killed writer left is undone first
            return _load(db, digest) if _version(db) else Record()

    @contextmanager
    def editing(self, digest: str) -> Iterator[Record]:
        """The record of *digest*, to be changed; saved when the block ends without an exception.

        Other writers wait meanwhile.

        Raises:
            StoreError: the database cannot be read or written.
            UsageError: see :func:`check_labels`.
        """
        self._make()
        with self._connected() as db:
            db.execute("BEGIN IMMEDIATE")
            if not _version(db):
                for statement in _SCHEMA:
                    db.execute(statement)
            record = _load(db, digest)
            yield record
            check_labels(record.labels)
            _save(db, digest, record)
            db.execute("COMMIT")

    def _exists(self) -> bool:
        """Whether the database is there, and nothing else in its place."""
        try:
            status = os.lstat(self._path)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise store_error("read the labels in", self._path, error) from None
        if not stat.S_ISREG(status.st_mode):
            raise self._irregular()
        return True

    def _irregular(self) -> StoreError:
        return StoreError(f"{self._shown} is not a regular file; move it away")

    def _make(self) -> None:
        """An empty file where there is none: SQLite's own way would follow a symlink to make it."""
        if not self._exists():
            try:
                flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
                os.close(os.open(self._path, flags, 0o644))
            except FileExistsError:
                pass
            except OSError as error:
                raise store_error("write the labels in", self._path, error) from None

    @property
    def _shown(self) -> str:
        return display_path(os.fsencode(self._path))

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        import sqlite3

        path = os.fsencode(os.path.abspath(self._path))
        address = f"file:{''.join(f'%{byte:02x}' for byte in path)}?mode=rw"
        try:
            connection = sqlite3.connect(
                address, uri=True, timeout=self._timeout, isolation_level=None
            )
            with closing(connection) as db:
                if not self._is_own(db):
                    raise self._irregular()
                db.execute("PRAGMA trusted_schema = OFF")
                db.execute("PRAGMA synchronous = EXTRA")
                if _version(db) not in (0, _VERSION):
                    raise StoreError(
                        f"{self._shown} was written by another version of whiteout; "
                        "use that version, or another store"
                    )
                yield db
        except sqlite3.Error as error:
            raise self._error(error) from None

    def _is_own(self, db: sqlite3.Connection) -> bool:
        """Whether the file that SQLite opened is the one in the store.

        SQLite resolves symlinks first, and then follows none. So one that somebody put in place of
        the file a moment ago shows in the name of what was opened.
        """
        db.text_factory = bytes
        opened: bytes = db.execute("PRAGMA database_list").fetchone()[2]
        db.text_factory = str
        directory, name = os.path.split(os.path.abspath(os.fsencode(self._path)))
        found, opened_name = os.path.split(opened)
        return name == opened_name and os.path.samefile(directory, found)

    def _error(self, error: sqlite3.Error) -> StoreError:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return StoreError(f"{self._shown} is locked by another process; try again later")
        if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            return StoreError(
                f"cannot write {self._shown}: {display_text(str(error))}; "
                "free some space or choose another store"
            )
        if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
            return StoreError(
                f"cannot open {self._shown}: {display_text(str(error))}; "
                "choose a store that you may write"
            )
        return StoreError(
            f"the label database {self._shown} is damaged ({display_text(str(error))}); "
            "remove it to go on without the labels that it held"
        )


def _version(db: sqlite3.Connection) -> object:
    return db.execute("PRAGMA user_version").fetchone()[0]


def _load(db: sqlite3.Connection, digest: str) -> Record:
    sizes = db.execute("SELECT CAST(size AS INTEGER) FROM blobs WHERE digest = ?", (digest,))
    size = sizes.fetchone()
    labels = db.execute(
        "SELECT CAST(key AS TEXT), CAST(value AS TEXT) FROM labels WHERE digest = ? ORDER BY key",
        (digest,),
    )
    return Record(None if size is None else size[0], dict(labels))


def _save(db: sqlite3.Connection, digest: str, record: Record) -> None:
    if record.size is not None:
        db.execute("INSERT OR REPLACE INTO blobs VALUES (?, ?)", (digest, record.size))
    db.execute("DELETE FROM labels WHERE digest = ?", (digest,))
    db.executemany(
        "INSERT INTO labels VALUES (?, ?, ?)",
        [(digest, key, value) for key, value in record.labels.items()],
    )
