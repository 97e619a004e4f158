"""docs/architecture.md names every module, so that a newcomer finds each by its subject."""

from __future__ import annotations

import pytest

from support.commands import PROJECT


@pytest.mark.parametrize("package", ["engine/whiteout", "tui/whiteout_tui"])
def test_every_module_is_named(package: str) -> None:
    text = (PROJECT / "docs" / "architecture.md").read_text()
    named = [
        path.stem if path.is_file() else f"{path.name}/"
        for path in (PROJECT / package).iterdir()
        if (path.suffix == ".py" and not path.stem.startswith("__"))
        or (path / "__init__.py").exists()
    ]
    assert len(named) > 10
    assert not [name for name in named if f"`{name}`" not in text]
