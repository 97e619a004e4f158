import os
import subprocess
import sys
from pathlib import Path

import pytest

from whiteout.privileges import TRUSTED_HIDDEN, can_read_trusted

ASK = "from whiteout.privileges import can_read_trusted; {}; print(can_read_trusted())"
ENGINE = str(Path(__file__).parent.parent / "engine")


def ask(*prefix: str, become: str = "pass") -> str:
    """What a process answers that is started by the command *prefix* and then runs *become*."""
    environment = {**os.environ, "PYTHONPATH": ENGINE, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*prefix, sys.executable, "-c", ASK.format(become)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return result.stdout.strip()


def test_the_answer_is_what_the_kernel_does(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    try:
        os.setxattr(file, "trusted.whiteout-test", b"x")
        readable = os.getxattr(file, "trusted.whiteout-test") == b"x"
    except PermissionError:
        readable = False
    except OSError:
        pytest.skip("the filesystem of the tests has no trusted attributes")
    assert can_read_trusted() is readable


@pytest.mark.root
def test_only_root_can() -> None:
    assert ask() == "True"
    assert ask(become="import os; os.setuid(65534)") == "False"


@pytest.mark.root
@pytest.mark.peer("unshare")
def test_root_of_a_user_namespace_cannot() -> None:
    assert ask("unshare", "--user", "--map-root-user") == "False"


@pytest.mark.root
@pytest.mark.peer("setpriv")
def test_root_without_the_capability_cannot() -> None:
    assert ask("setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin") == "False"


@pytest.mark.parametrize(
    ("effective", "uid_map", "expected"),
    [
        ("000001ffffffffff", "         0          0 4294967295\n", True),
        ("0000000000200000", "0 0 4294967295", True),
        ("000001ffffdfffff", "0 0 4294967295", False),
        ("000001ffffffffff", "0 1000 1", False),
        ("000001ffffffffff", "", False),
        ("nonsense", "0 0 4294967295", False),
    ],
)
def test_made_up_processes(tmp_path: Path, effective: str, uid_map: str, expected: bool) -> None:
    (tmp_path / "status").write_text(f"Name:\tx\nCapEff:\t{effective}\n")
    (tmp_path / "uid_map").write_text(uid_map)
    assert can_read_trusted(str(tmp_path)) is expected


def test_nobody_knows() -> None:
    assert can_read_trusted("/proc/0") is False


def test_the_sentence_says_what_to_do() -> None:
    assert "run as root" in TRUSTED_HIDDEN
