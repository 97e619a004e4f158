"""Every test that docs/security.md names is there, and every promise names one."""

from __future__ import annotations

import re

from support.commands import PROJECT

_NAMED = re.compile(r"`((?:tests/)?[\w/]+\.py)::(test_\w+)`")


def test_every_promise_has_a_test_that_exists() -> None:
    text = (PROJECT / "docs" / "security.md").read_text()
    promises = text.split("## What is promised")[1].split("## What is not promised")[0]
    rows = [row for row in promises.splitlines() if row.startswith("| ") and "| How |" not in row]
    assert len(rows) > 20
    for row in rows:
        tests = row.split("|")[3]
        named = _NAMED.findall(tests)
        assert named, f"no test holds: {row}"
        assert len(named) == tests.count(".py"), f"not by file and name: {row}"
        for file, function in named:
            path = PROJECT / (file if file.startswith("tests/") else f"tests/hostile/{file}")
            assert f"\ndef {function}(" in path.read_text("utf-8"), (file, function)
