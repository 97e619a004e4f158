"""What every test shares: a clean environment, skips by name, and tidy temporary directories."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

from support.commands import Run, program, whiteout
from support.overlay import mount_points_below, unmount, why_no_overlay
from support.terminal import Start, terminals

REQUIRE_ALL = "WHITEOUT_REQUIRE_ALL"
EXAMPLES = "WHITEOUT_TEST_EXAMPLES"
_TOLD = "told"

_COMMON = settings(
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),  # real mounts are slow, and fixtures are shared
)
settings.register_profile("whiteout", _COMMON, derandomize=True)
settings.register_profile("whiteout-random", _COMMON, derandomize=False)
# The same examples in every run; with WHITEOUT_TEST_EXAMPLES=N, N new ones for each property.
if not os.access(Path.cwd(), os.W_OK):  # what hypothesis keeps must not go to the checkout then
    set_hypothesis_home_dir(tempfile.gettempdir() + f"/whiteout-hypothesis-{os.geteuid()}")
settings.load_profile("whiteout-random" if EXAMPLES in os.environ else "whiteout")

# A shell lets what it starts in the background ignore ^C, and so would the programs under test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

#: Variables that change what the program says or where it writes.
_UNWANTED = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "COLUMNS", "LINES", "SOURCE_DATE_EPOCH")
_UNWANTED_PREFIXES = ("TEXTUAL", "WHITEOUT_", "XDG_")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests begin first: no worker is left alone with one of them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def _missing(item: pytest.Item) -> str | None:
    """Why *item* cannot run here, or None."""
    if item.get_closest_marker("root") is not None and (reason := why_no_overlay()) is not None:
        return reason
    for marker in item.iter_markers("peer"):
        for name in marker.args:
            beside = Path(sys.executable).with_name(name)  # what a virtual environment brought
            if program(name) is None and not beside.exists():
                return f"needs the program {name}"
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    reason = _missing(item)
    if reason is None:
        return
    if os.environ.get(REQUIRE_ALL) == "1":
        pytest.fail(f"{item.nodeid} {reason}, and {REQUIRE_ALL}=1 allows no skips", pytrace=False)
    pytest.skip(f"{item.name} {reason}")


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says a line in the summary of the run: how often something was tried.

    It goes with the report of the test, which may run in another process than the summary.
    """
    return lambda line: request.node.user_properties.append((_TOLD, line))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = [
        line
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, line in report.user_properties
        if name == _TOLD
    ]
    if lines:
        terminalreporter.section("how often it was tried")
        terminalreporter.write_line("\n".join(lines))


def pytest_report_header() -> list[str]:
    examples = os.environ.get(EXAMPLES)
    return [
        f"whiteout: tests marked root: {why_no_overlay() or 'run'}",
        f"whiteout: hypothesis: {f'{examples} new examples' if examples else 'fixed examples'};"
        f" {EXAMPLES}=N runs N new ones, --hypothesis-seed repeats a run",
    ]


@pytest.fixture(scope="session", autouse=True)
def _unlocked_afterwards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Lets pytest delete its directories: no mounts left below them and no mode that forbids it.

    A mount that is left is the fault of a test, and named.
    """
    base = tmp_path_factory.getbasetemp()
    yield
    left = mount_points_below(base)
    for point in left:
        unmount(point, lazily=True)
    unlock(base)
    assert not left, f"tests left mounts: {left}"


def unlock(directory: Path) -> None:
    """Make every directory below *directory* searchable and writable for its owner."""
    for current, names, _ in os.walk(os.fsencode(directory)):
        for name in names:
            path = os.path.join(current, name)
            status = os.lstat(path)
            if stat.S_ISDIR(status.st_mode) and status.st_mode & 0o700 != 0o700:
                with contextlib.suppress(PermissionError):
                    os.chmod(path, 0o700)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home of its own for each test, and nothing in the environment that changes an answer."""
    for name in list(os.environ):
        if name in _UNWANTED or name.startswith(_UNWANTED_PREFIXES):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("CONFIG", "DATA", "CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / f".{name.lower()}"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("TERM", "xterm-256color")
    return home


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Runs the command in this process."""
    return lambda *arguments: whiteout(capfdbinary, *arguments)


@pytest.fixture
def terminal() -> Iterator[Start]:
    """Starts the program in a real terminal."""
    with terminals() as start:
        yield start
