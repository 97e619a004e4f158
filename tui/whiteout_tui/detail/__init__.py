"""The detail of the entry under the cursor: a pane of tabs, a module for each."""

from __future__ import annotations

from whiteout_tui.detail.pane import DetailPane as DetailPane
