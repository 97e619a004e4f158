"""System calls that fail: an export gives the right layer or a sentence, and a store stays whole.

The faults are the kernel's own answers, injected by strace into a process that exports (``strace
--inject``): the n-th write says "no space left on device", the n-th read "input/output error", and
so on for every n, up to a limit or until an export needs no more calls of that kind.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.commands import python
from support.trees import Dir, File, Symlink, make

#: As many calls of a kind are made to fail, the first ones; WHITEOUT_TEST_EXAMPLES=N for more.
_MOST = int(os.environ.get("WHITEOUT_TEST_EXAMPLES", 20))

#: system call, error, and whether an export can do without its success
_WRITING = [
    ("write", "ENOSPC", False),
    ("pwrite64", "ENOSPC", False),
    ("fsync", "EIO", False),
    ("fdatasync", "EIO", True),  # SQLite does without the one of a directory
    ("renameat", "EIO", False),
    ("mkdirat", "EDQUOT", True),
    ("unlinkat", "EIO", True),
    ("flock", "ENOLCK", True),
]
#: What writes a file instead of a store; a link is made of a file without a name.
_WRITING_FILES = [
    ("write", "ENOSPC", False),
    ("fsync", "EIO", False),
    ("linkat", "EIO", False),
    ("renameat", "EIO", False),
    ("getdents64", "EIO", True),
    ("flock", "ENOLCK", True),
]
_READING = [
    ("read", "EIO", True),
    ("getdents64", "EIO", True),
    ("newfstatat", "EIO", True),
    ("openat", "EMFILE", True),
    ("openat", "EACCES", True),
    ("/listxattr$", "EIO", True),
    ("/getxattr$", "EIO", True),
    ("readlinkat", "EIO", True),
]

#: Exports once for each fault, each time in a child that strace holds; prints a JSON object for
#: each: its number, how many failures were injected, what came of it, and what was broken then.
_RUN = """
import hashlib, json, mmap, os, pathlib, shutil, signal, subprocess, sys
from whiteout.contentstore import ContentStore
from whiteout.errors import WhiteoutError
from whiteout.export import export_to_file, export_to_store
from whiteout.mediatypes import GZIP
from whiteout.opening import open_pair

upper, lower, place, call, error, most, kind = sys.argv[1:]
store, log = place + "/store", place + "/log"
told = mmap.mmap(-1, 4096)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])

def export(store):
    snapshot = open_pair(os.fsencode(upper), [os.fsencode(lower)], userxattr=True)
    if kind == "store":
        return export_to_store(snapshot, ContentStore(store), media_type=GZIP).diff_id
    os.makedirs(store, exist_ok=True)
    return export_to_file(snapshot, os.fsencode(store + "/layer"), media_type=GZIP).digest

def outcome():
    try:
        return "right" if export(store) == right else "WRONG LAYER"
    except WhiteoutError as problem:
        return "sentence: " + str(problem)
    except BaseException as problem:
        return "RAW ERROR: " + repr(problem)

right = export(place + "/reference")
for number in range(1, int(most) + 1):
    told[:] = bytes(4096)
    pid = os.fork()
    if not pid:
        signal.sigwait([signal.SIGUSR1])
        words = outcome().encode()[:4096]
        told[: len(words)] = words
        os._exit(0)
    tracer = subprocess.Popen(
        ["strace", "-f", "-p", str(pid), "-o", log, "-e", "trace=" + call,
         "-e", f"inject={call}:error={error}:when={number}"],
        stderr=subprocess.PIPE)
    assert b"attached" in tracer.stderr.readline()
    os.kill(pid, signal.SIGUSR1)
    assert os.waitpid(pid, 0)[1] == 0
    tracer.communicate()
    injected = pathlib.Path(log).read_bytes().count(b"INJECTED")
    broken = []
    blobs = pathlib.Path(store, "blobs/sha256")
    for blob in blobs.iterdir() if blobs.exists() else ():
        if hashlib.sha256(blob.read_bytes()).hexdigest() != blob.name:
            broken.append(blob.name)
    index = pathlib.Path(store, "index.json")
    if index.exists():
        json.loads(index.read_bytes())
    if kind == "file":
        for left in os.listdir(store):
            content = pathlib.Path(store, left).read_bytes()
            if left != "layer" or "sha256:" + hashlib.sha256(content).hexdigest() != right:
                broken.append(left)
    if export(store) != right or (kind == "store" and os.listdir(store + "/ingest")):
        broken.append("the next export")
    shutil.rmtree(store)
    print(json.dumps([number, injected, told[:].rstrip(bytes(1)).decode(), broken]))
    if not injected:
        break
"""


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("faults")
    upper = make(
        root / "upper",
        {
            "d": Dir({"new": File(b"new" * 1000)}, xattrs={"user.overlay.opaque": b"y"}),
            "same": File(b"same", mtime_ns=10**18),
            "changed": File(b"upper", mtime_ns=10**18),
            "link": Symlink(b"changed"),
            "large": File(os.urandom(700_000)),
        },
    )
    lower = make(
        root / "lower",
        {
            "d": {"gone": File()},
            "same": File(b"same", mtime_ns=10**18),
            "changed": File(b"lower", mtime_ns=10**18),
        },
    )
    return upper, lower


def faults(
    directories: tuple[Path, Path], place: Path, call: str, error: str, kind: str
) -> Iterator[tuple[int, int, str, list[str]]]:
    told = python(_RUN, *directories, place, call, error, str(_MOST), kind)
    assert told.status == 0, told
    for line in told.stdout.splitlines():
        yield tuple(json.loads(line))


@pytest.mark.peer("strace")
@pytest.mark.parametrize(
    ("call", "error", "spare", "kind"),
    [(*fault, "store") for fault in _WRITING + _READING]
    + [(*fault, "file") for fault in _WRITING_FILES],
)
def test_any_system_call_may_fail(
    directories: tuple[Path, Path],
    tmp_path: Path,
    tell: Callable[[str], None],
    call: str,
    error: str,
    spare: bool,
    kind: str,
) -> None:
    ended: Counter[str] = Counter()
    for number, injected, outcome, broken in faults(directories, tmp_path, call, error, kind):
        assert not broken, (number, outcome, broken)
        assert outcome.startswith(("right", "sentence: ")), (number, outcome)
        if injected and not spare:
            assert outcome.startswith("sentence: "), f"the failed {call} {number} was not noticed"
        if injected:
            ended[outcome.partition(":")[0]] += 1
    tell(f"{kind}: {call} {error}: {ended.total()} failures injected, {dict(ended)}")
    assert ended.total() > 0, f"no {call} was made"
