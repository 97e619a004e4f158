"""``python -m whiteout_tui``: the same program as ``whiteout``."""

from __future__ import annotations

from whiteout_tui.main import program

if __name__ == "__main__":
    program()
