"""Where the cursor has been: back and forward, as in a browser."""

from __future__ import annotations

_LONGEST = 200


class Trail:
    """The paths that were left by a jump."""

    def __init__(self) -> None:
        self._back: list[bytes] = []
        self._forward: list[bytes] = []

    def leave(self, path: bytes) -> None:
        """Remember *path*, which is left for somewhere else."""
        if not self._back or self._back[-1] != path:
            self._back.append(path)
            del self._back[:-_LONGEST]
        self._forward.clear()

    def back(self, path: bytes) -> bytes | None:
        """Where to go back to from *path*, if there is anything."""
        return _turn(path, self._back, self._forward)

    def forward(self, path: bytes) -> bytes | None:
        """Where to go forward to from *path*, if one went back before."""
        return _turn(path, self._forward, self._back)


def _turn(path: bytes, source: list[bytes], target: list[bytes]) -> bytes | None:
    while source:
        found = source.pop()
        if found != path:
            target.append(path)
            return found
    return None
