"""containerd as a source, against a real one: what is listed, opened, and never touched."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.boltwriter import Tree, bolt
from support.commands import AS_NOBODY, Outcome, Run, whiteout_process
from support.engines import Containerd, containerd
from support.stores import check_links_out, copy_of
from whiteout.errors import SnapshotChanged, WhiteoutError
from whiteout.opening import open_stack, open_target
from whiteout.sources.model import Record
from whiteout.sources.registry import discover, resolve
from whiteout.sources.root import HOST, Root
from whiteout.sources.stack import Kind

pytestmark = [pytest.mark.root, pytest.mark.peer("containerd", "ctr", "umoci")]

TAR = "application/vnd.oci.image.layer.v1.tar"
OVERLAY = "io.containerd.snapshotter.v1.overlayfs"


def write(engine: Containerd, key: str, parent: str | None, change: Callable[[Path], None]) -> None:
    """Prepare the snapshot *key*, mount it, change it, and leave it active."""
    engine.ctr("snapshots", "prepare", key, *([parent] if parent else []))
    with tempfile.TemporaryDirectory() as name:
        mount = engine.ctr("snapshots", "mounts", name, key)
        subprocess.run(["sh", "-c", mount], check=True, timeout=30)
        try:
            change(Path(name))
        finally:
            subprocess.run(["umount", name], check=True, timeout=30)


def commit(
    engine: Containerd, name: str, parent: str | None, change: Callable[[Path], None]
) -> None:
    write(engine, f"{name}-active", parent, change)
    engine.ctr("snapshots", "commit", name, f"{name}-active")


def base(top: Path) -> None:
    (top / "etc").mkdir()
    (top / "etc/conf").write_bytes(b"one")
    (top / "etc/gone").write_bytes(b"gone")
    (top / "d").mkdir(mode=0o700)
    (top / "d/x").write_bytes(b"x" * 70000)
    (top / "link").symlink_to("etc/conf")
    os.link(top / "etc/conf", top / "hard")


def more(top: Path) -> None:
    (top / "etc/conf").write_bytes(b"two!")
    os.chown(top / "d", 1000, 1000)
    (top / "new").mkdir()
    os.mkfifo(top / "new/fifo")


def less(top: Path) -> None:
    (top / "etc/gone").unlink()
    shutil.rmtree(top / "d")
    (top / "d").mkdir()
    (top / "d/y").write_bytes(b"y")


@pytest.fixture(scope="module")
def engine() -> Iterator[Containerd]:
    with containerd() as engine:
        commit(engine, "base", None, base)
        commit(engine, "more", "base", more)
        commit(engine, "less", "more", less)
        write(engine, "active", "less", lambda top: (top / "running").touch())
        engine.ctr("snapshots", "view", "view", "more")
        engine.ctr("leases", "create", "--id", "keep")
        yield engine


@pytest.fixture
def root(engine: Containerd) -> Root:
    return Root(os.fsencode(engine.root))


def listed(root: Root, namespace: str = "default") -> dict[str, Record]:
    records = list(discover(root, ["containerd"]))
    return {each.name: each for each in records if f"namespace {namespace} " in each.group}


def entries(layer: bytes) -> list[tuple[object, ...]]:
    """What a layer says, but the time of whiteouts: Debian's containerd writes that of the diff."""
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        return [
            (
                *(each.name, each.type, each.mode, each.uid, each.gid, each.size, each.linkname),
                0 if os.path.basename(each.name).startswith(".wh.") else each.mtime,
                tar.extractfile(each).read() if each.isreg() else b"",  # type: ignore[union-attr]
            )
            for each in tar
        ]


# what is there


def test_snapshots_of_all_kinds_are_listed(root: Root) -> None:
    found = listed(root)
    told = {name: (each.kind, each.parent, each.layers) for name, each in found.items()}
    assert told.items() >= {
        ("base", (Kind.SNAPSHOT, None, 1)),
        ("more", (Kind.SNAPSHOT, "base", 2)),
        ("less", (Kind.SNAPSHOT, "more", 3)),
        ("active", (Kind.SNAPSHOT, "less", 4)),
        ("view", (Kind.VIEW, "more", 2)),
    }
    assert all(each.problem is None for each in found.values())
    assert all(each.created is not None for each in found.values())
    assert found["base"].size is not None
    assert found["base"].size > 70000
    assert found["active"].size is None


def test_the_running_engine_is_found_without_naming_it(engine: Containerd) -> None:
    shown = os.fsdecode(engine.root)
    mine = [each for each in discover(HOST, ["containerd"]) if each.group.endswith(shown)]
    assert {each.name for each in mine} >= {"base", "more", "less", "active", "view"}


def test_a_stopped_or_copied_store_tells_the_same(
    engine: Containerd, root: Root, tmp_path: Path, run: Run
) -> None:
    copy = tmp_path / "image/var/lib/containerd"
    copy.parent.mkdir(parents=True)
    subprocess.run(["cp", "-a", engine.root, copy], check=True)
    target = "containerd://default/less"
    expected = run("changes", target, "--root", engine.root, "--null").done().stdout
    for named in (tmp_path / "image", tmp_path / "image/var/lib", copy):
        assert run("changes", target, "--root", named, "--null").done().stdout == expected
        stack = resolve(target, Root(os.fsencode(named))).stack()
        assert all(layer.path.startswith(os.fsencode(copy)) for layer in stack.layers)


def test_layers_of_a_stack_are_named_as_their_owner_does(root: Root) -> None:
    stack = resolve("containerd://default/active", root).stack()
    assert [layer.name for layer in stack.layers] == ["active", "less", "more", "base"]
    view = resolve("containerd://default/view", root).stack()
    assert [layer.name for layer in view.layers] == ["more", "base"]


@pytest.mark.parametrize(
    "place",
    [
        "var/lib/rancher/k3s/agent/containerd",  # k3s
        "var/lib/docker/volumes/0123abcd/_data/lib/containerd",  # a node of kind
    ],
)
def test_a_containerd_of_others_is_found(place: str, run: Run) -> None:
    with containerd(place) as engine:
        top = Path(str(engine.root).removesuffix(place))
        commit(engine, "base", None, base)
        write(engine, "pod", "base", more)
        words = ("--root", top)
        assert listed(Root(os.fsencode(top)))["pod"].problem is None
        changes = run("changes", "containerd://default/pod", *words).done().stdout
        assert b"M /etc/conf\n" in changes
        assert f"/{place}".encode() in run("list", *words).done().stdout


def test_the_snapshotter_of_fuse_overlayfs(tmp_path: Path, run: Run) -> None:
    """In a process of its own; its databases are those of the overlay snapshotter."""
    lib = tmp_path / "var/lib"
    name = b"default/1/active"
    snapshot: Tree = {b"id": b"\x01", b"kind": b"\x02"}
    meta: Tree = {b"fuse-overlayfs": {b"active": {b"name": name}}}
    meta = {b"v1": {b"default": {b"snapshots": meta}}}
    (lib / "containerd/io.containerd.metadata.v1.bolt").mkdir(parents=True)
    (lib / "containerd/io.containerd.metadata.v1.bolt/meta.db").write_bytes(bolt(meta))
    layer = lib / "containerd-fuse-overlayfs/snapshots/1/fs"
    layer.mkdir(parents=True)
    database = bolt({b"v1": {b"snapshots": {name: snapshot}}})
    (lib / "containerd-fuse-overlayfs/metadata.db").write_bytes(database)
    (layer / ".wh.nothing").touch()
    (layer / "file").touch()
    words = ("containerd://default/active", "--root", tmp_path)
    assert run("changes", *words).done().stdout == b"A /file\n"
    stack = resolve(words[0], Root(os.fsencode(tmp_path))).stack()
    assert stack.fuse


# our layer and its own


def layers_of(engine: Containerd, run: Run, *keys: str) -> tuple[bytes, bytes]:
    """The layer of the last of *keys* as containerd makes it, and as we do."""
    command = ["ctr", "--address", engine.address, "snapshots", "diff", "--media-type", TAR, *keys]
    theirs = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    words = (f"containerd://default/{keys[-1]}", "--root", engine.root, "--compression=none")
    return theirs, run("export", *words, "-o", "-").done().stdout


@pytest.mark.parametrize("keys", [("base", "more"), ("base",)])
def test_a_layer_without_deletes_has_containerds_diffid(
    engine: Containerd, run: Run, keys: tuple[str, ...]
) -> None:
    theirs, ours = layers_of(engine, run, *keys)
    assert entries(ours) == entries(theirs)
    assert hashlib.sha256(ours).digest() == hashlib.sha256(theirs).digest()


@pytest.mark.parametrize(("key", "parent"), [("less", "more"), ("active", "less")])
def test_other_layers_have_containerds_entries(
    engine: Containerd, run: Run, key: str, parent: str
) -> None:
    theirs, ours = layers_of(engine, run, parent, key)
    assert entries(ours) == entries(theirs)


# images and containers


@pytest.fixture(scope="module")
def image(engine: Containerd, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of an image with two layers, and a container ``box`` of it."""
    directory = tmp_path_factory.mktemp("image")
    layout = directory / "layout"
    target = "containerd://default/less"
    words = (target, "--root", engine.root, "--store", layout, "--tag", "one")
    whiteout_process("export", *words).done()
    subprocess.run(
        ["umoci", "new", "--image", f"{layout}:two"], check=True, timeout=60, capture_output=True
    )
    for key in ("base", "more"):
        layer = directory / key
        with layer.open("wb") as file:
            diff = {"base": ["base"], "more": ["base", "more"]}[key]
            subprocess.run(
                ["ctr", "-a", engine.address, "snapshots", "diff", "--media-type", TAR, *diff],
                stdout=file,
                check=True,
                timeout=60,
            )
        subprocess.run(
            ["umoci", "raw", "add-layer", "--image", f"{layout}:two", layer],
            check=True,
            timeout=60,
            capture_output=True,
        )
    archive = directory / "image.tar"
    subprocess.run(["tar", "-C", layout, "-cf", archive, "."], check=True, timeout=60)
    name = "example.org/app:two"
    engine.ctr("images", "import", "--index-name", "x", "--base-name", "example.org/app", archive)
    engine.ctr("images", "tag", "example.org/app:two", "example.org/app:same")
    engine.ctr("snapshots", "prepare", "box-snapshot", _top(engine, name))
    engine.ctr(
        *("containers", "create", "--snapshotter", "overlayfs"),
        *("--label", "nerdctl/name=box", "--label", "x=y", name, "0123456789abcdef", "true"),
    )
    return name


def _top(engine: Containerd, name: str) -> str:
    for line in engine.ctr("snapshots", "ls").splitlines():
        key, *rest = line.split()
        if key.startswith("sha256:") and rest and rest[0].startswith("sha256:"):
            return key
    raise AssertionError(f"{name} is not unpacked")


def test_images_by_name_and_by_digest(root: Root, image: str, run: Run) -> None:
    found = listed(root)
    mine = found[image]
    assert (mine.kind, mine.layers, mine.problem) == (Kind.IMAGE, 2, None)
    assert mine.size is not None
    stack = resolve(f"containerd://default/{image}", root).stack()
    assert [layer.kind for layer in stack.layers] == [Kind.IMAGE_LAYER] * 2
    assert stack.layers[0].name.startswith("sha256:")
    by_layer = resolve(f"containerd://default/{stack.layers[1].name[:20]}", root)
    assert by_layer.kind is Kind.IMAGE_LAYER
    assert by_layer.stack().layers == stack.layers[1:]
    snapshot = open_stack(stack)
    assert {verdict.path for verdict in snapshot.changes()} >= {b"/new/fifo", b"/etc/conf"}


def test_a_container_by_name_and_by_id(root: Root, image: str) -> None:
    box = listed(root)["box"]
    assert (box.kind, box.problem, box.layers) == (Kind.CONTAINER, None, 3)
    assert box.notes == (image,)
    for name in ("box", "0123456789abcdef", "01234567"):
        assert resolve(f"containerd://default/{name}", root) == box


def test_an_image_that_is_not_unpacked_says_so(
    engine: Containerd, root: Root, image: str, tmp_path: Path
) -> None:
    archive = tmp_path / "image.tar"
    engine.ctr("images", "export", archive, image)
    engine.ctr("images", "import", "--no-unpack", archive, namespace="other")
    other = listed(root, "other")[image]
    assert other.problem == "it is not unpacked, so there is no snapshot of it here"
    with pytest.raises(WhiteoutError, match="not unpacked"):
        other.stack()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("containerd://default/actve", "did you mean containerd://default/active?"),
        ("containerd://defualt/active", "containerd has no namespace defualt; there "),
        ("containerd://default", "is no containerd://NAMESPACE/KEY"),
        ("containerd:default/\x1b", "there is no containerd://default/\\x1b"),
    ],
)
def test_wrong_targets(engine: Containerd, run: Run, target: str, said: str) -> None:
    outcome = run("changes", target, "--root", engine.root)
    assert outcome.status == 2
    assert said in outcome.stderr.decode()


LINKS = [
    *("io.containerd.metadata.v1.bolt", "io.containerd.metadata.v1.bolt/meta.db"),
    *("io.containerd.content.v1.content", OVERLAY, f"{OVERLAY}/metadata.db"),
    *(f"{OVERLAY}/snapshots", f"{OVERLAY}/snapshots/*", f"{OVERLAY}/snapshots/*/fs"),
]


def test_no_part_that_is_a_symlink_leads_out(engine: Containerd) -> None:
    with copy_of(engine.root, "var/lib/containerd") as copy:
        check_links_out(copy, "var/lib/containerd", engine.root, ["containerd"], LINKS)


def test_what_is_gone_is_said_in_the_list(engine: Containerd) -> None:
    with copy_of(engine.root, "var/lib/containerd") as copy:
        root = Root(os.fsencode(copy))
        lowest = listed(root)["active"].stack().layers[-1].path
        shutil.rmtree(os.path.dirname(lowest))
        for name in ("base", "active"):
            assert f"{os.fsdecode(lowest)} is gone" in (listed(root)[name].problem or "")


# nothing is written, and nothing is believed that is half gone


def fingerprint(directory: Path) -> dict[str, tuple[object, ...]]:
    """Everything that a write would change."""
    found: dict[str, tuple[object, ...]] = {}
    for current, names, files in os.walk(directory):
        for name in (*names, *files):
            path = os.path.join(current, name)
            status = os.lstat(path)
            content = b""
            if name.endswith(".db"):
                content = hashlib.sha256(Path(path).read_bytes()).digest()
            times = (status.st_mtime_ns, status.st_ctime_ns)
            found[path] = (status.st_ino, status.st_mode, status.st_size, *times, content)
    return found


def test_nothing_is_written_and_nothing_mounted(
    engine: Containerd, tmp_path: Path, run: Run
) -> None:
    """On a copy, where no daemon writes either."""
    copy = tmp_path / "containerd"
    subprocess.run(["cp", "-a", engine.root, copy], check=True)
    before = fingerprint(copy)
    for target in listed(Root(os.fsencode(copy))).values():
        if target.problem is None:
            run("changes", target.target, "--root", copy).done()
            run("export", target.target, "--root", copy, "-o", os.devnull).done()
    run("list", "--root", copy).done()
    assert fingerprint(copy) == before
    assert os.fsencode(copy) not in Path("/proc/self/mountinfo").read_bytes()


def test_a_snapshot_that_is_removed_is_never_half_read(engine: Containerd, root: Root) -> None:
    write(engine, "doomed", "base", lambda top: (top / "doomed").touch())
    snapshot = open_target(b"containerd://default/doomed", root=root)
    changes = snapshot.changes()
    assert next(changes).path == b"/doomed"
    layer = Path(os.fsdecode(snapshot.upperdir or b""))
    engine.ctr("snapshots", "rm", "doomed")
    end = time.monotonic() + 30
    while layer.exists() and time.monotonic() < end:  # it goes with the next collection of garbage
        time.sleep(0.02)
    assert not layer.exists()
    with pytest.raises(SnapshotChanged, match="doomed was removed or committed while"):
        list(changes)
    with pytest.raises(SnapshotChanged):
        list(snapshot.children())
    with pytest.raises(WhiteoutError, match="there is no containerd://default/doomed"):
        resolve("containerd://default/doomed", root).stack()


def test_a_busy_containerd_gives_no_wrong_answer(engine: Containerd, root: Root) -> None:
    """Snapshots come and go; each that is opened shows all of its files, or an error."""
    stop = threading.Event()
    counted = {"made": 0, "whole": 0, "refused": 0}

    def work() -> None:
        snapshots = engine.root / OVERLAY / "snapshots"
        while not stop.is_set():
            key = f"busy-{counted['made'] % 3}"
            engine.ctr("snapshots", "prepare", f"{key}-active", "base")
            newest = max(int(each.name) for each in snapshots.iterdir() if each.name.isdigit())
            for number in range(40):
                (snapshots / str(newest) / "fs" / f"f{number:02}").touch()
            engine.ctr("snapshots", "commit", key, f"{key}-active")
            counted["made"] += 1
            engine.ctr("snapshots", "rm", key)

    thread = threading.Thread(target=work)
    thread.start()
    whole = [b"/f%02d" % number for number in range(40)]
    try:
        while counted["made"] < 12 and thread.is_alive():
            for record in discover(root, ["containerd"]):
                if not record.name.startswith("busy-") or record.name.endswith("-active"):
                    continue
                try:
                    seen = [each.path for each in open_stack(record.stack()).changes()]
                except WhiteoutError:
                    counted["refused"] += 1
                else:
                    assert seen == whole
                    counted["whole"] += 1
            assert listed(root)["base"].problem is None
    finally:
        stop.set()
        thread.join()
    assert counted["whole"], counted


# without privileges


def nobody(*words: str | Path, home: Path) -> Outcome:
    own = ("env", f"HOME={home}", f"XDG_DATA_HOME={home}")
    return whiteout_process(*words, wrapper=(*own, *AS_NOBODY))


@pytest.mark.peer("setpriv")
def test_an_ordinary_user_is_told_what_cannot_be_seen(
    engine: Containerd, clean_environment: Path
) -> None:
    home = clean_environment
    os.chmod(engine.root.parent, 0o755)
    outcome = nobody("list", "--root", engine.root, "--engine", "containerd", home=home)
    assert outcome.status == 0, outcome
    assert b"permission denied; run as" in outcome.stdout
    assert b"trusted.overlay.* marks" in outcome.stderr
    outcome = nobody("changes", "containerd://default/less", "--root", engine.root, home=home)
    assert outcome.status == 2
    assert b"permission denied" in outcome.stderr


@pytest.mark.peer("setpriv")
def test_an_ordinary_user_exports_nothing_doubtful(engine: Containerd) -> None:
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "containerd"
        os.chmod(name, 0o755)
        subprocess.run(["cp", "-a", engine.root, copy], check=True)
        subprocess.run(["chmod", "-R", "a+rX", copy], check=True)
        (Path(name) / "home").mkdir()
        os.chmod(Path(name) / "home", 0o777)
        words = ("containerd://default/less", "--root", copy)
        told = nobody("list", "--json", "--root", copy, home=Path(name) / "home").objects()
        less = next(each for each in told if each["name"] == "less")
        assert less["problem"] is None
        assert less["doubtful"]
        changes = nobody("changes", *words, home=Path(name) / "home")
        assert b"beware: the trusted.overlay.* marks" in changes.stderr
        export = nobody("export", *words, home=Path(name) / "home")
        assert (export.status, export.stdout) == (1, b"")
        assert b"no layer is exported, as it could be wrong" in export.stderr


def test_json_is_one_object_a_line(engine: Containerd, run: Run) -> None:
    lines = run("list", "--json", "--root", engine.root).done().stdout.splitlines()
    for line in lines:
        assert json.loads(line)["engine"] == "containerd"
