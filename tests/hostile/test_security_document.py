"""Every test that docs/security.md names is there."""

from __future__ import annotations

import re

from support.commands import PROJECT


def test_the_tests_that_are_named_exist() -> None:
    text = (PROJECT / "docs" / "security.md").read_text()
    promises = text.split("## What is promised")[1].split("## What is not promised")[0]
    rows = [row for row in promises.splitlines() if row.startswith("| ") and "| How |" not in row]
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`((?:tests/[\w/]+|test_\w+)(?:\.py)?)`", row.split("|")[3])
        assert named, f"no test holds: {row}"
        for name in named:
            path = PROJECT / (name if name.startswith("tests/") else f"tests/hostile/{name}")
            assert path.exists(), name
