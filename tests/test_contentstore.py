"""The content store's protocol: locks, crashes, damage, and clear words for a broken store."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from whiteout.contentstore import ContentStore, Descriptor
from whiteout.digests import digest_of
from whiteout.errors import DigestMismatch, NotFound, RefLocked, StoreError, UsageError
from whiteout.labels import UNCOMPRESSED, LabelStore
from whiteout.layoutfiles import put_manifest
from whiteout.mediatypes import GZIP

DIFF_ID = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "store")


def put(store: ContentStore, data: bytes, ref: str = "r", **labels: str) -> str:
    with store.writer(ref) as writer:
        writer.write(data)
        return writer.commit(labels={k.replace("_", "."): v for k, v in labels.items()}).digest


def ingests(store: ContentStore) -> list[str]:
    root = Path(store.path, "ingest")
    return sorted(os.listdir(root)) if root.exists() else []


def blobs(store: ContentStore) -> list[str]:
    return sorted(os.listdir(Path(store.path, "blobs", "sha256")))


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Another process that uses the engine; it starts *code* after the imports."""
    start = (
        "import os, signal, sys\n"
        "from whiteout.contentstore import ContentStore\n"
        "from whiteout.errors import RefLocked\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", start + code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_a_committed_blob_is_whole_read_only_and_described(store: ContentStore) -> None:
    data = b"layer" * 1000
    with store.writer("ref of mine") as writer:
        for start in range(0, len(data), 7):
            assert writer.write(memoryview(data)[start : start + 7]) <= 7
        assert writer.offset == len(data)
        assert writer.digest() == digest_of(data)
        assert blobs_or_none(store) == []
        info = writer.commit(len(data), digest_of(data), {UNCOMPRESSED: DIFF_ID})
    assert (info.digest, info.size) == (digest_of(data), len(data))
    assert info.labels == {UNCOMPRESSED: DIFF_ID}
    assert store.info(info.digest) == info
    assert stat.S_IMODE(os.stat(info.path).st_mode) == 0o444
    with store.open(info.digest) as file:
        assert file.read() == data
    assert ingests(store) == []
    assert store.statuses() == ()


def blobs_or_none(store: ContentStore) -> list[str]:
    directory = Path(store.path, "blobs", "sha256")
    return blobs(store) if directory.exists() else []


def test_big_buffers_are_written_and_hashed(store: ContentStore) -> None:
    data = os.urandom(3_000_001)
    with store.writer("big") as writer:
        writer.write(b"head")
        writer.write(bytearray(data))
        info = writer.commit()
    assert info.digest == digest_of(b"head" + data)
    assert Path(info.path).read_bytes() == b"head" + data


def test_an_ingest_has_containerds_files(store: ContentStore) -> None:
    with store.writer("layer/1") as writer:
        writer.write(bytes(300_000))
        (name,) = ingests(store)
        assert name == hashlib.sha256(b"layer/1").hexdigest()
        directory = Path(store.path, "ingest", name)
        assert sorted(os.listdir(directory)) == ["data", "ref", "startedat", "updatedat"]
        assert (directory / "ref").read_bytes() == b"layer/1"
        (status,) = store.statuses()
        assert (status.ref, status.offset, status.locked) == ("layer/1", 300_000, True)
        assert status.started_at <= status.updated_at


def test_leaving_without_commit_leaves_nothing(store: ContentStore) -> None:
    with pytest.raises(ZeroDivisionError), store.writer("r") as writer:
        writer.write(bytes(200_000))
        raise ZeroDivisionError
    assert ingests(store) == []
    assert blobs_or_none(store) == []
    with pytest.raises(StoreError, match="closed"):
        writer.write(b"x")
    put(store, b"again")


def test_a_ref_is_locked_while_it_is_written(store: ContentStore) -> None:
    with store.writer("mine") as writer:
        with pytest.raises(RefLocked, match="ref mine is locked: "):
            store.writer("mine")
        with pytest.raises(RefLocked):
            ContentStore(store.path).abort("mine")
        with store.writer("other") as other:
            other.write(b"o")
            other.commit()
        writer.write(b"m")
        writer.commit()
    put(store, b"again", "mine")


def test_threads_get_one_writer_per_ref(store: ContentStore) -> None:
    barrier, locked, made = threading.Barrier(8), [], []

    def run(number: int) -> None:
        barrier.wait()
        try:
            with store.writer("one") as writer:
                made.append(number)
                writer.write(b"%d" % number)
                writer.commit()
        except RefLocked:
            locked.append(number)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) + len(locked) == 8
    assert made
    assert len(blobs(store)) == len(made)
    assert ingests(store) == []


def test_two_processes_and_one_ref(store: ContentStore) -> None:
    hold = "w = ContentStore(sys.argv[1]).writer('r'); w.write(b'x')\nprint('held', flush=True)\n"
    other = python(hold + "sys.stdin.read(); print(w.commit().digest)\n", store.path)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(RefLocked):
        store.writer("r")
    with store.writer("another ref"):
        assert len(store.statuses()) == 2, "a living writer's ingest is not swept"
    out, _ = other.communicate()
    assert out == f"{digest_of(b'x')}\n"
    put(store, b"y")


RACE = """
store, made = ContentStore(sys.argv[1]), 0
print('ready', flush=True); sys.stdin.read()
for n in range(60):
    ref = sys.argv[2] or f'{os.getpid()}'
    try:
        with store.writer(ref) as writer:
            data = b'%d' % (n % 7)
            for _ in range(3):
                writer.write(data * 70000)
            if n % 5:
                writer.commit(size=len(data) * 210000, labels={'n': 'x'})
                made += 1
    except RefLocked:
        pass
print(made)
"""


@pytest.mark.parametrize("ref", ["the same", ""])
def test_processes_race(store: ContentStore, ref: str) -> None:
    processes = [python(RACE, store.path, ref) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    made = [int(process.communicate()[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    if not ref:
        assert made == [48, 48, 48], "different refs never meet"
    assert ingests(store) == []
    for name in blobs(store):
        content = Path(store.path, "blobs", "sha256", name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == name
        assert len(content) == 210_000


KILLED = {
    "at the start": "pass",
    "before a byte reached the file": "w.write(b'x' * 1000)",
    "in the middle": "w.write(b'x' * 1_000_000)",
    "before fsync": "os.fsync = die; w.write(b'x' * 300_000); w.commit()",
    "before rename": (
        "w.write(b'x' * 300_000); import whiteout.ingest as i; i.Ingest.move_data = die; w.commit()"
    ),
}
KILL = (
    "def die(*a): os.kill(os.getpid(), signal.SIGKILL)\nw = ContentStore(sys.argv[1]).writer('r')\n"
)


@pytest.mark.parametrize("point", KILLED)
def test_a_killed_writer_leaves_no_blob_and_no_lock(store: ContentStore, point: str) -> None:
    process = python(f"{KILL}{KILLED[point]}\ndie()\n", store.path)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert blobs_or_none(store) == []
    (status,) = store.statuses()
    assert (status.ref, status.locked) == ("r", False)
    with store.writer("unrelated") as writer:
        assert [s.ref for s in store.statuses()] == ["unrelated"], "swept"
        assert writer.swept == (status,)
    data = b"y" * 10
    assert put(store, data, "r") == digest_of(data)
    assert Path(store.blob_path(digest_of(data))).read_bytes() == data


def test_killed_between_rename_and_label(store: ContentStore) -> None:
    code = (
        "import whiteout.contentstore as c\nw.write(b'data')\nreal = os.fsync\n"
        "def after(fd):\n  real(fd)\n  if os.path.exists(w._store.blob_path(w.digest())): die()\n"
        "os.fsync = after\nw.commit(labels={'containerd.io/uncompressed': sys.argv[2]})\n"
    )
    process = python(KILL + code, store.path, DIFF_ID)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert store.labels(digest_of(b"data")) == {}
    put(store, b"data", containerd_io=DIFF_ID)
    with store.writer("again") as writer:
        writer.write(b"data")
        writer.commit(labels={UNCOMPRESSED: DIFF_ID})
    assert store.labels(digest_of(b"data")) == {UNCOMPRESSED: DIFF_ID}


def test_an_existing_blob_gets_the_missing_label_only(store: ContentStore) -> None:
    digest = put(store, b"data")

    def commit(diff_id: str) -> None:
        with store.writer("again") as writer:
            writer.write(b"data")
            info = writer.commit(labels={UNCOMPRESSED: diff_id, "other": "label"})
        assert info.labels == store.labels(digest)

    commit(DIFF_ID)
    assert store.labels(digest) == {UNCOMPRESSED: DIFF_ID}
    commit(OTHER)
    assert store.labels(digest) == {UNCOMPRESSED: DIFF_ID}
    assert stat.S_IMODE(os.stat(store.blob_path(digest)).st_mode) == 0o444
    assert ingests(store) == []


@pytest.mark.parametrize("damage", ["cut", "link", "content"])
def test_a_damaged_blob_is_replaced(store: ContentStore, tmp_path: Path, damage: str) -> None:
    digest = put(store, b"data")
    path = Path(store.blob_path(digest))
    path.unlink()
    victim = tmp_path / "victim"
    victim.write_bytes(b"data")
    if damage == "cut":
        path.write_bytes(b"da")
    elif damage == "content":
        path.write_bytes(b"atad")
    else:
        path.symlink_to(victim)
        with pytest.raises(StoreError):
            store.open(digest)
        with pytest.raises(StoreError, match="not a regular file"):
            store.info(digest)
    assert put(store, b"data") == digest
    assert not path.is_symlink()
    assert path.read_bytes() == b"data"
    assert stat.S_IMODE(victim.stat().st_mode) != 0o444


def test_wrong_size_and_digest_are_refused(store: ContentStore) -> None:
    for size, expected, at_open in ((3, None, None), (None, OTHER, None), (None, None, OTHER)):
        with store.writer("r", expected_digest=at_open) as writer:
            writer.write(b"data")
            with pytest.raises(DigestMismatch, match="expected"):
                writer.commit(size, expected)
    assert blobs_or_none(store) == []
    assert ingests(store) == []


def test_what_is_not_there(store: ContentStore) -> None:
    actions: tuple[Callable[[str], object], ...] = (
        store.info,
        store.open,
        store.labels,
        lambda digest: store.update_labels(digest, {}),
    )
    for action in actions:
        with pytest.raises(NotFound):
            action(OTHER)
        with pytest.raises(UsageError):
            action("sha256:../../etc/passwd")
    with pytest.raises(NotFound):
        store.abort("nothing")
    with pytest.raises(NotFound):
        ContentStore(os.path.join(store.path, "nothing"), create=False)
    for ref in ("", "a\0b", "x" * 5000):
        with pytest.raises(UsageError):
            store.writer(ref)


def test_abort_removes_what_a_dead_writer_left(store: ContentStore) -> None:
    process = python(KILL + "die()", store.path)
    process.communicate()
    store.abort("r")
    assert store.statuses() == ()


def test_labels_are_changed_and_limited(store: ContentStore) -> None:
    digest = put(store, b"data", a="1", b="2")
    assert store.update_labels(digest, {"a": "", "c": "é"}) == {"b": "2", "c": "é"}
    assert ContentStore(store.path, create=False).labels(digest) == {"b": "2", "c": "é"}
    store.update_labels(digest, {"k" * 96: "v" * 4000})
    for labels in ({"k" * 97: "v" * 4000}, {"": "x"}, {"a": "\udcff"}):
        with pytest.raises(UsageError, match="label"):
            store.update_labels(digest, labels)
        with store.writer("r") as writer:
            writer.write(b"new")
            with pytest.raises(UsageError, match="label"):
                writer.commit(labels=labels)
    assert blobs(store) == [digest.partition(":")[2]]


def test_labels_of_two_processes_are_all_kept(store: ContentStore) -> None:
    digest = put(store, b"data")
    code = (
        "s = ContentStore(sys.argv[1])\n"
        "for n in range(20): s.update_labels(sys.argv[2], {f'{sys.argv[3]}{n}': 'x'})\n"
    )
    processes = [python(code, store.path, digest, name) for name in "ab"]
    for process in processes:
        process.communicate()
    assert len(store.labels(digest)) == 40


def test_a_reader_undoes_what_a_killed_writer_of_labels_began(store: ContentStore) -> None:
    digest = put(store, b"data", containerd_io=DIFF_ID)
    before = store.labels(digest)
    code = (
        "import sqlite3\ndb = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('PRAGMA cache_size = 1'); db.execute('BEGIN')\n"
        "db.execute('CREATE TABLE begun (x)')\n"
        "for n in range(500): db.execute('INSERT INTO begun VALUES (zeroblob(4000))')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = os.path.join(store.path, "metadata.db")
    python(code, path).communicate()
    assert os.path.getsize(path + "-journal") > 0
    assert os.path.getsize(path) > 500_000
    assert store.labels(digest) == before
    assert os.path.getsize(path) < 500_000


def test_a_locked_label_database_is_an_error_not_a_hang(store: ContentStore) -> None:
    digest = put(store, b"data")
    path = os.path.join(store.path, "metadata.db")
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN EXCLUSIVE")
        labels = LabelStore(path, timeout=0.01)
        with pytest.raises(StoreError, match="locked by another process"), labels.editing(digest):
            pass
    finally:
        other.close()


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_label_database_is_an_error(store: ContentStore, content: bytes) -> None:
    digest = put(store, b"data")
    Path(store.path, "metadata.db").write_bytes(content)
    with pytest.raises(StoreError, match=r"metadata\.db is damaged"):
        store.labels(digest)
    with store.writer("r") as writer, pytest.raises(StoreError, match="damaged"):
        writer.write(b"more")
        writer.commit()
    assert blobs(store) == [digest.partition(":")[2]]


def test_odd_label_databases(store: ContentStore, tmp_path: Path) -> None:
    digest = put(store, b"data")
    path = Path(store.path, "metadata.db")
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 7")
    db.close()
    with pytest.raises(StoreError, match="another version"):
        store.labels(digest)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="not a regular file"):
        store.labels(digest)
    with pytest.raises(StoreError, match="not a regular file"):
        put(store, b"new")
    assert not (tmp_path / "elsewhere").exists()


def test_a_link_that_is_put_there_in_the_last_moment(store: ContentStore, tmp_path: Path) -> None:
    """Between the look at the file and SQLite's opening of it."""
    digest = put(store, b"data", a="b")
    path = Path(store.path, "metadata.db")
    elsewhere = tmp_path / "metadata.db"
    for there in (True, False):
        path.rename(elsewhere) if there else elsewhere.unlink()
        path.unlink(missing_ok=True)
        path.symlink_to(elsewhere)
        labels = LabelStore(os.fspath(path))
        labels._exists = lambda: True  # type: ignore[method-assign]
        before = elsewhere.read_bytes() if there else None
        with pytest.raises(StoreError), labels.editing(digest):
            raise AssertionError("it was opened")
        with pytest.raises(StoreError):
            labels.read(digest)
        assert elsewhere.exists() is there
        assert before is None or elsewhere.read_bytes() == before


def test_a_layout_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "st\nore \udcff"
    store = ContentStore(path)
    digest = put(store, b"data", a="b")
    assert (path / "oci-layout").read_bytes() == b'{"imageLayoutVersion":"1.0.0"}'
    assert ContentStore(path).labels(digest) == {"a": "b"}
    with pytest.raises(NotFound) as caught:
        store.open(OTHER)
    assert str(caught.value).isprintable()


def make_file(path: Path) -> None:
    path.write_bytes(b"")


def make_foreign(path: Path) -> None:
    path.mkdir()
    (path / "thesis.doc").write_bytes(b"")


def make_marker(content: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        ContentStore(path)
        (path / "oci-layout").write_bytes(content)

    return make


def make_fifo(path: Path) -> None:
    ContentStore(path)
    (path / "oci-layout").unlink()
    os.mkfifo(path / "oci-layout")


def make_dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere" / "at all")


@pytest.mark.parametrize(
    "make",
    [
        make_file,
        make_foreign,
        make_fifo,
        make_dangling,
        make_marker(b'{"imageLayoutVersion":"2.0.0"}'),
        make_marker(b"\xff\xfe[[[["),
        make_marker(b"[" * 4000),
        make_marker(b"x" * 10_000),
        make_marker(b"[]"),
    ],
)
def test_what_is_no_layout_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "st\x1bore"
    make(path)
    for create in (True, False):
        with pytest.raises(StoreError) as caught:
            ContentStore(path, create)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["ingest", "blobs", "blobs/sha256"])
@pytest.mark.parametrize("kind", ["link", "file"])
def test_foreign_things_in_the_store_are_refused(tmp_path: Path, name: str, kind: str) -> None:
    store = ContentStore(tmp_path / "store")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place = Path(store.path, name)
    if place.exists():
        shutil.rmtree(place)
    if kind == "link":
        place.symlink_to(elsewhere)
    else:
        place.write_bytes(b"")
    with pytest.raises(StoreError, match="needs a directory"):
        put(store, b"data")
    assert os.listdir(elsewhere) == []


@pytest.mark.parametrize("kind", ["fifo", "directory", "link", "hole"])
@pytest.mark.parametrize("name", ["oci-layout", "index.json", "metadata.db"])
def test_files_of_a_store_that_are_something_else(tmp_path: Path, name: str, kind: str) -> None:
    """Nothing is waited for, followed or read without end; each is one sentence."""
    store = ContentStore(tmp_path / "store")
    put(store, b"data", a="b")
    place = Path(store.path, name)
    place.unlink()
    match kind:
        case "fifo":
            os.mkfifo(place)
        case "directory":
            place.mkdir()
        case "link":
            place.symlink_to("/etc/passwd")
        case "hole":
            with place.open("wb") as file:
                file.write(b"x" * 4096)
                file.truncate(1 << 33)
    with pytest.raises(StoreError) as caught:
        again = ContentStore(store.path)
        put_manifest(again.path, Descriptor("a/b", OTHER, 1).as_dict(), "t")
        put(again, b"more")
    assert "; " in str(caught.value) or "not an OCI image layout" in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_link_for_an_ingest_is_refused_and_not_swept(store: ContentStore, tmp_path: Path) -> None:
    put(store, b"data")
    precious = tmp_path / "elsewhere" / "precious"
    precious.parent.mkdir()
    precious.write_bytes(b"")
    name = hashlib.sha256(b"r").hexdigest()
    Path(store.path, "ingest", name).symlink_to(precious.parent)
    with pytest.raises(StoreError):
        store.writer("r")
    put(store, b"data", "other ref")
    assert precious.exists()


def test_a_store_that_one_may_not_write(store: ContentStore) -> None:
    digest = put(store, b"data", a="b")
    directories = [Path(store.path), *(p for p in Path(store.path).rglob("*") if p.is_dir())]
    for directory in directories:
        directory.chmod(0o555)
    try:
        if os.access(store.path, os.W_OK):
            pytest.skip("needs a user who may not write everywhere (no CAP_DAC_OVERRIDE)")
        again = ContentStore(store.path)
        assert again.labels(digest) == {"a": "b"}
        with pytest.raises(StoreError, match="permission denied; choose"):
            put(again, b"new")
    finally:
        for directory in directories:
            directory.chmod(0o755)


@pytest.fixture
def small_files() -> Iterator[None]:
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_file_that_grows_too_large(store: ContentStore, small_files: None) -> None:
    with (
        pytest.raises(StoreError, match=os.strerror(errno.EFBIG).lower()),
        store.writer("r") as writer,
    ):
        writer.write(bytes(500_000))
    with pytest.raises(StoreError, match="failed or is closed"):
        writer.commit()
    assert ingests(store) == []
    put(store, b"fits")


@pytest.mark.root
def test_a_full_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], check=True)
    try:
        store = ContentStore(disk / "store")
        with (
            pytest.raises(StoreError, match="no space left on device; free some space"),
            store.writer("r") as writer,
        ):
            for _ in range(40):
                writer.write(os.urandom(100_000))
        assert ingests(store) == []
        assert blobs_or_none(store) == []
        put(store, b"fits")
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_descriptor_is_ocis_json() -> None:
    plain = Descriptor(GZIP, DIFF_ID, 5)
    assert plain.as_dict() == {"mediaType": GZIP, "digest": DIFF_ID, "size": 5}
    noted = Descriptor(GZIP, DIFF_ID, 5, {"a": "b"})
    assert noted.as_dict()["annotations"] == {"a": "b"}
    assert len({plain, noted}) == 2
