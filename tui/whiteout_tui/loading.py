"""Reading one directory for the tree, in batches."""

from __future__ import annotations

import time
from collections.abc import Callable

from whiteout.cancel import CancelToken
from whiteout.snapshot import Snapshot
from whiteout_tui.rowdata import RowData, row_of

BATCH = 1000
_PATIENCE = 0.05


def read_directory(
    snapshot: Snapshot, path: bytes, token: CancelToken, send: Callable[[list[RowData]], None]
) -> None:
    """Give the rows of the directory *path* to *send*, in order, in batches of at most 1,000.

    A slow directory is sent in smaller batches, so that what is known is shown soon.

    Raises:
        ReadError: the directory cannot be listed.
        Cancelled: the token was cancelled.
    """
    batch: list[RowData] = []
    sent = time.monotonic()
    for verdict in snapshot.children(path, cancel=token):
        batch.append(row_of(verdict))
        if len(batch) >= BATCH or time.monotonic() - sent > _PATIENCE:
            token.check()
            send(batch)
            batch = []
            sent = time.monotonic()
    token.check()
    if batch:
        send(batch)
