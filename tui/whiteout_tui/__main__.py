"""``python -m whiteout_tui``: the same program as ``whiteout``."""

from __future__ import annotations

import sys

from whiteout_tui.main import main

if __name__ == "__main__":
    sys.exit(main())
