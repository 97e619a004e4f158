"""An image in a file, in the app: the tree as of any snapshot, and no paths that lead nowhere."""

from __future__ import annotations

import os
from pathlib import Path

from support.trees import File, make
from whiteout.opening import open_pair, open_target
from whiteout.sinks.dockerarchive import DockerArchive
from whiteout.sinks.run import export_to, whole_stack
from whiteout_tui.commands import commands_for
from whiteout_tui.copy_screen import copy_values


def test_nothing_to_copy_names_a_path_that_is_not_there(tmp_path: Path) -> None:
    lower = make(tmp_path / "lower", {"file": File(b"old")})
    upper = make(tmp_path / "upper", {"file": File(b"newer")})
    snapshot = open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True)
    export_to(DockerArchive(f"{tmp_path}/a.tar"), whole_stack(snapshot))
    image = open_target(os.fsencode(tmp_path / "a.tar"))
    assert [value.label for value in copy_values(image, image.inspect(b"/file"))] == [
        "path",
        "path in the layer",
    ]
    assert commands_for(image, image.inspect(b"/")) == ()
    assert commands_for(snapshot, snapshot.inspect(b"/file"))
