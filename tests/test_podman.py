"""Podman's and Buildah's stores as a source, against the programs, with root and without."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from support.commands import AS_NOBODY, Run, command, environment, whiteout_process
from support.engines import Podman, podman
from support.peerlayers import (
    Entries,
    archived_layers,
    diff_differences,
    diff_lines,
    differences,
    entries,
)
from support.rootfs import CHANGES, MORE, make_rootfs, pack
from support.rootless import RootlessPodman, rootless_podman
from support.stores import (
    check_links_out,
    check_no_trace,
    check_removed,
    check_stays_inside,
    copy_of,
)
from support.trees import lines
from whiteout.idmap import IdRange
from whiteout.layers import Marks
from whiteout.opening import open_target, stack_of_target
from whiteout.snapshot import Snapshot
from whiteout.sources.model import Record
from whiteout.sources.registry import discover
from whiteout.sources.root import Root
from whiteout.sources.stack import Kind

pytestmark = [pytest.mark.root, pytest.mark.peer("podman", "buildah", "runc", "busybox")]

TAR = "application/vnd.oci.image.layer.v1.tar"
RUNTIME = ("--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "none")
LIMITS = ("--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("rootfs")
    return pack(make_rootfs(top / "fs"), top / "fs.tar")


@pytest.fixture(scope="module")
def engine(rootfs: Path) -> Iterator[Podman]:
    with podman() as engine:
        engine.podman("import", rootfs, "localhost/base:1")

        def container(name: str, image: str, script: str, *options: str) -> None:
            words = ("run", "--name", name, *options, *LIMITS, image, "sh", "-c", script)
            engine.podman(*RUNTIME, *words)

        container("one", "localhost/base:1", CHANGES)
        engine.podman("commit", "--quiet", "one", "localhost/team/img:2")
        container("two", "localhost/team/img:2", MORE)
        engine.podman("commit", "--quiet", "two", "localhost/team/img:latest")
        container("mapped", "localhost/base:1", CHANGES, "--uidmap", "0:200000:65536")
        engine.podman("commit", "--quiet", "mapped", "localhost/mapped:1")
        engine.buildah("from", "--name", "work", "localhost/team/img:2")
        place = Path(engine.buildah("mount", "work").strip())
        (place / "built").write_text("built\n")
        engine.buildah("umount", "work")
        yield engine


def listed(root: Path) -> dict[str, Record]:
    return {each.name: each for each in discover(Root(os.fsencode(root)), ["podman"])}


def opened(engine: Podman | RootlessPodman, name: str) -> Snapshot:
    return open_target(os.fsencode(f"podman:[{engine.root}]{name}"))


# what is listed


def test_everything_is_listed_as_podman_names_it(engine: Podman) -> None:
    records = listed(engine.root)
    for name, parent, layers in (
        ("one", "localhost/base:1", 2),
        ("two", "localhost/team/img:2", 3),
        ("mapped", "localhost/base:1", 2),
        ("work", "localhost/team/img:2", 3),
    ):
        record = records[name]
        assert (record.kind, record.parent, record.layers) == (Kind.CONTAINER, parent, layers)
    assert [records[name].notes for name in ("one", "mapped", "work")] == [
        (),
        ("id-mapped",),
        ("Buildah",),
    ]
    for image in json.loads(engine.podman("images", "--format", "json")):
        record = records[image["Names"][0]]
        assert record.kind is Kind.IMAGE
        assert image["Id"] in record.aliases
        inspected = json.loads(engine.podman("image", "inspect", image["Id"]))[0]
        assert record.layers == len(inspected["RootFS"]["Layers"])
    assert all(each.problem is None for each in records.values())


def test_the_directories_are_those_that_podman_names(engine: Podman, run: Run) -> None:
    for name in ("one", "two", "mapped", "localhost/team/img:latest"):
        data = json.loads(engine.podman("inspect", name))[0]["GraphDriver"]["Data"]
        target = f"podman:[{engine.root}]{name}"
        found = [each["path"] for each in run("list", target, "--json").done().objects()]
        assert found == [data["UpperDir"], *filter(None, data.get("LowerDir", "").split(":"))]


def test_every_way_to_name_it(engine: Podman, run: Run) -> None:
    (container,) = json.loads(engine.podman("inspect", "two"))
    expected = run("changes", f"podman:[{engine.root}]two").done().stdout
    for name in ("two", container["Id"], container["Id"][:12]):
        for scheme in ("podman", "buildah", "crio"):
            assert run("changes", "--root", engine.root, f"{scheme}:{name}").stdout == expected
    image = opened(engine, "localhost/team/img:latest")
    for name in ("team/img", "team/img:latest", "localhost/team/img"):
        assert opened(engine, name).upperdir == image.upperdir


# what changed, and the layer


def test_the_changes_are_those_of_podman_diff(engine: Podman) -> None:
    found, agreed = set[str](), set[tuple[str, bytes]]()
    for name in ("one", "two", "mapped"):
        listing = diff_lines(engine.podman("diff", name))
        names, same = diff_differences(listing, opened(engine, name))
        found |= names
        agreed |= same
    assert found == {
        "opaque directory: deleted and what is new in it added",
        "unchanged directory",
        "unchanged file",
        "what podman makes for its own mounts",
    }
    assert {("D", b"/gone"), ("A", b"/d/y"), ("C", b"/etc/one")} <= agreed


CONVENTIONS = {
    "mode and time of a whiteout",
    "opaque directory: one mark",
    "opaque directory: one whiteout for each name",
    "unchanged directory",
    "unchanged file",
}


def layer_of(run: Run, engine: Podman | RootlessPodman, name: str, place: Path) -> Entries:
    words = ("--media-type", TAR, "-o", place, f"podman:[{engine.root}]{name}")
    run("export", *words).done()
    return entries(place.read_bytes())


def test_the_layer_is_that_of_podman_but_for_its_conventions(
    engine: Podman, run: Run, tmp_path: Path
) -> None:
    archive = tmp_path / "image.tar"
    image = "localhost/team/img:2"
    engine.podman("save", "--quiet", "--format", "docker-archive", "-o", archive, image)
    theirs = entries(archived_layers(archive)[-1])
    for name in (image, "one"):  # the image's layer, and the container that it was made of
        ours = layer_of(run, engine, name, tmp_path / "layer.tar")
        assert differences(theirs, ours, opened(engine, name)) == CONVENTIONS


def test_the_layer_of_a_mapped_container(engine: Podman, run: Run, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    words = ("--quiet", "--format", "docker-archive", "-o", archive)
    engine.podman("save", *words, "localhost/mapped:1")
    theirs = entries(archived_layers(archive)[-1])
    assert theirs[b"mine"].uid == 201000  # podman commits the ids of the host
    inside = {
        name: replace(entry, uid=max(0, entry.uid - 200000), gid=max(0, entry.gid - 200000))
        for name, entry in theirs.items()
    }
    ours = layer_of(run, engine, "mapped", tmp_path / "layer.tar")
    assert differences(inside, ours, opened(engine, "mapped")) == CONVENTIONS


def test_owners_are_those_of_the_container(engine: Podman, run: Run) -> None:
    stack = stack_of_target(os.fsencode(f"podman:[{engine.root}]mapped"))
    upper, *below = stack.layers
    assert upper.idmap is not None and upper.idmap.uids == (IdRange(0, 200000, 65536),)
    assert all(layer.idmap is None for layer in below)
    assert os.lstat(upper.path + b"/mine").st_uid == 201000
    snapshot = opened(engine, "mapped")
    mine = snapshot.explain(b"/mine").upper
    assert mine is not None and (mine.stat.st_uid, mine.stat.st_gid) == (1000, 1001)
    assert snapshot.explain(b"/same").kind is None  # copied up, owners and all


# what is left alone


def test_nothing_is_written_and_nothing_mounted(engine: Podman, run: Run, tmp_path: Path) -> None:
    names = ("one", "mapped", "work", "localhost/team/img:2")
    targets = [f"podman:[{engine.root}]{name}" for name in names]
    check_no_trace(run, engine.root, targets, tmp_path / "blob")


def test_a_container_that_is_removed_meanwhile_is_no_answer(engine: Podman) -> None:
    check_removed(engine.podman, partial(opened, engine), "localhost/team/img:2")


# copies, configurations and damage


@pytest.fixture
def copy(engine: Podman) -> Iterator[Path]:
    """A root with a copy of the store in the usual place."""
    with copy_of(engine.root, "var/lib/containers/storage") as root:
        yield root


def test_a_copy_gives_the_same(engine: Podman, run: Run, copy: Path) -> None:
    live = run("list", "--root", engine.root, "--json", "--engine", "podman").done().objects()
    targets = [each["target"] for each in live]
    for place in (".", "var", "var/lib", "var/lib/containers", "var/lib/containers/storage"):
        found = run("list", "--root", copy / place, "--json", "--engine", "podman").done()
        assert [each["target"] for each in found.objects()] == targets
    for name in ("two", "mapped"):
        expected = run("changes", "--null", f"podman:[{engine.root}]{name}").done().stdout
        assert run("changes", "--null", "--root", copy, f"podman:{name}").stdout == expected


def test_an_image_in_an_additional_store(engine: Podman, run: Run, copy: Path) -> None:
    store = copy / "var/lib/containers/storage"
    extra = copy / "srv/images"
    extra.parent.mkdir()
    subprocess.run(["cp", "-a", store, extra], check=True, timeout=60)
    layers = json.loads((store / "overlay-layers/layers.json").read_text())
    own = [layer for layer in layers if not layer.get("diff-digest")]
    (store / "overlay-layers/layers.json").write_text(json.dumps(own))
    outcome = run("changes", "--root", copy, "podman:two")
    assert outcome.status == 1 and b"additional image store" in outcome.stderr
    (copy / "etc/containers").mkdir(parents=True)
    (copy / "etc/containers/storage.conf").write_text(
        '[storage]\ndriver = "overlay"\n[storage.options]\n'
        'additionalimagestores = ["/srv/images"]\n'
    )
    expected = run("changes", f"podman:[{engine.root}]two").done().stdout
    assert run("changes", "--root", copy, "podman:two").done().stdout == expected


def test_the_graph_root_of_storage_conf(run: Run, copy: Path) -> None:
    (copy / "srv").mkdir()
    (copy / "var/lib/containers/storage").rename(copy / "srv/graph")
    (copy / "usr/share/containers").mkdir(parents=True)
    (copy / "usr/share/containers/storage.conf").write_text('[storage]\ngraphroot = "/srv/graph"\n')
    found = run("list", "--root", copy, "--json", "--engine", "podman").done().objects()
    assert "podman:two" in [each["target"] for each in found]


def test_the_driver_vfs_is_said_plainly(run: Run, tmp_path: Path) -> None:
    storage = tmp_path / "root/var/lib/containers/storage"
    for name in ("vfs-layers", "vfs-images", "vfs-containers", "vfs/dir"):
        (storage / name).mkdir(parents=True)
    (found,) = run("list", "--root", tmp_path / "root", "--engine", "podman", "--json").objects()
    assert found["kind"] == "store"
    assert "driver vfs keeps a whole copy" in found["problem"]


def test_volatile_containers_are_there_too(run: Run, copy: Path) -> None:
    containers = copy / "var/lib/containers/storage/overlay-containers"
    (containers / "containers.json").rename(containers / "volatile-containers.json")
    run("changes", "--root", copy, "podman:two").done()
    (containers / "containers.json").write_text("null")
    run("changes", "--root", copy, "podman:two").done()


def test_containers_of_cri_o_have_their_pod(run: Run, copy: Path) -> None:
    path = copy / "var/lib/containers/storage/overlay-containers/containers.json"
    containers = json.loads(path.read_text())
    metadata = {"pod-name": "k8s_web_default_0", "pod-id": "1", "metadata-name": "web"}
    for container in containers:
        if container["names"] == ["two"]:
            container["metadata"] = json.dumps(metadata)
    path.write_text(json.dumps(containers))
    found = run("list", "--root", copy, "--engine", "podman").done().stdout
    assert b"podman:two  (on localhost/team/img:2, CRI-O, pod k8s_web_default_0)" in found


DAMAGES = (
    ("overlay-layers/layers.json", b"[{"),
    ("overlay-layers/layers.json", b"{}"),
    ("overlay-layers/layers.json", b'[3, null, {"id": 4}, {"id": "../../etc"}]'),
    ("overlay-layers/layers.json", None),
    ("overlay-images/images.json", b"\xff" * 100),
    ("overlay-images/images.json", b"[" * 100_000),
    ("overlay-containers/containers.json", b'[{"id": "a", "names": 3, "layer": [], "uidmap": 1}]'),
    ("overlay-containers/containers.json", b'[{"id": "\\ud800", "metadata": "{"}]'),
)


def test_no_damage_is_a_crash_or_leads_out(run: Run, copy: Path) -> None:
    for name, content in DAMAGES:
        path = copy / "var/lib/containers/storage" / name
        whole = path.read_bytes()
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        listing = check_stays_inside(run, copy, "podman")
        if content is not None and not content.startswith(b'[{"id"') and content[:2] != b"[3":
            assert any(name in (each["problem"] or "") for each in listing), (name, listing)
        path.write_bytes(whole)


def test_what_is_gone_is_said_in_the_list(copy: Path) -> None:
    store = copy / "var/lib/containers/storage"
    (top,) = {
        each["layer"]
        for each in json.loads((store / "overlay-containers/containers.json").read_text())
        if each["names"] == ["two"]
    }
    shutil.rmtree(store / "overlay" / top)
    found = listed(copy)
    assert f"{top} is gone" in (found["two"].problem or "")
    assert [each.name for each in found.values() if each.problem is not None] == ["two"]


def test_a_composefs_layer_is_said_plainly(run: Run, copy: Path) -> None:
    """Podman 4.3 writes none."""
    for layer in (copy / "var/lib/containers/storage/overlay").glob("*/diff"):
        (layer.parent / "composefs-data").mkdir()
    outcome = run("changes", "--root", copy, "podman:two")
    assert outcome.status == 1 and b"is a composefs image" in outcome.stderr


LINKS = [
    *("overlay", "overlay/[0-9a-f]*", "overlay/*/diff", "overlay/*/link", "overlay/l"),
    *("overlay-layers", "overlay-layers/layers.json", "overlay-images", "overlay-images/*/=*"),
    *("overlay-containers", "overlay-containers/containers.json"),
]


def test_no_part_that_is_a_symlink_leads_out(copy: Path, engine: Podman) -> None:
    check_links_out(copy, "var/lib/containers/storage", engine.root, ["podman"], LINKS)


def test_a_layer_that_leads_out_of_its_store(run: Run, copy: Path) -> None:
    """Whoever owns a store does not choose what of the host the administrator reads as a layer."""
    (copy / "outside").mkdir()
    (copy / "outside/SECRET").touch()
    top = Path(run("list", "--json", "podman:two", "--root", copy).objects()[0]["path"])
    top.rename(copy / "aside")
    top.symlink_to("/outside")
    try:
        outcome = run("changes", "--root", copy, "podman:two")
        assert outcome.status == 1
        assert b"leads out of its store" in outcome.stderr
        assert b"SECRET" not in outcome.stdout
    finally:
        top.unlink()
        (copy / "aside").rename(top)


def test_layers_that_are_below_themselves(run: Run, copy: Path) -> None:
    path = copy / "var/lib/containers/storage/overlay-layers/layers.json"
    layers = json.loads(path.read_text())
    for layer in layers:
        layer["parent"] = layer["id"]
    path.write_text(json.dumps(layers))
    outcome = run("changes", "--root", copy, "podman:two")
    assert outcome.status == 1 and b"is below itself" in outcome.stderr


# without root


@pytest.fixture(scope="module")
def rootless(rootfs: Path) -> Iterator[RootlessPodman]:
    with rootless_podman() as engine:
        archive = engine.home / "fs.tar"
        archive.write_bytes(rootfs.read_bytes())
        archive.chmod(0o644)
        engine.podman("import", archive, "localhost/base:1")
        words = (*LIMITS, "localhost/base:1", "sh", "-c", CHANGES)
        engine.podman("run", "--name", "one", *words)
        engine.podman("commit", "--quiet", "one", "localhost/img:2")
        yield engine


def test_a_rootless_store_has_the_owners_of_the_container(rootless: RootlessPodman) -> None:
    stack = stack_of_target(os.fsencode(f"podman:[{rootless.root}]one"))
    assert stack.marks is Marks.USER
    for layer in stack.layers:
        assert layer.idmap is not None
        assert layer.idmap.uids[0] == IdRange(0, rootless.uid, 1)
    snapshot = opened(rootless, "one")
    for path, owner in ((b"/etc/two", (0, 0)), (b"/mine", (1000, 1001))):
        entry = snapshot.explain(path).upper
        assert entry is not None and (entry.stat.st_uid, entry.stat.st_gid) == owner


def test_a_rootless_layer_is_that_of_podman(
    rootless: RootlessPodman, run: Run, tmp_path: Path
) -> None:
    archive = rootless.home / "image.tar"
    words = ("--quiet", "--format", "docker-archive", "-o", archive)
    rootless.podman("save", *words, "localhost/img:2")
    theirs = entries(archived_layers(archive)[-1])
    snapshot = opened(rootless, "one")
    ours = layer_of(run, rootless, "one", tmp_path / "layer.tar")
    assert differences(theirs, ours, snapshot) == CONVENTIONS
    diff_differences(diff_lines(rootless.podman("diff", "one")), snapshot)


def require_python_of(wrapper: list[str]) -> None:
    """Skip, or fail where nothing may be skipped, when other users may not run this Python."""
    if subprocess.run([*wrapper, sys.executable, "-c", ""], check=False).returncode:
        reason = f"other users cannot run {sys.executable}"
        if os.environ.get("WHITEOUT_REQUIRE_ALL") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def test_the_owner_of_a_rootless_store_needs_no_root(rootless: RootlessPodman) -> None:
    def ask(*arguments: str | Path, wrapper: list[str]) -> subprocess.CompletedProcess[bytes]:
        words = {key: environment()[key] for key in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")}
        values = [f"{key}={value}" for key, value in words.items()]
        return subprocess.run(
            [*wrapper, "env", *values, *command(*arguments)],
            capture_output=True,
            timeout=60,
            check=False,
        )

    own = rootless.wrapper()
    require_python_of(own)
    listing = ask("list", "--engine", "podman", wrapper=own)
    assert b"podman:one" in listing.stdout, listing
    inside = [*own, "podman", "unshare"]
    for wrapper in (own, inside):
        changes = ask("changes", "podman:one", wrapper=wrapper)
        assert changes.stderr == b"", changes
        assert b"D /d/x\n" in changes.stdout
        assert b"D /gone\n" in changes.stdout
        blob = rootless.home / "layer.tar"
        words = ("export", "--media-type", TAR, "-o", blob, "podman:one", "--json")
        exported = ask(*words, wrapper=wrapper)
        assert exported.returncode == 0, exported
        found = entries(blob.read_bytes())
        assert (found[b"mine"].uid, found[b"mine"].gid) == (1000, 1001)
        assert (found[b"etc/two"].uid, found[b"etc/two"].gid) == (0, 0)


def test_root_finds_the_stores_of_users(rootless: RootlessPodman, run: Run) -> None:
    found = run("list", "--engine", "podman", "--json").done().objects()
    mine = [each for each in found if str(rootless.root) in each["group"]]
    assert f"podman:[{rootless.root}]one" in [each["target"] for each in mine]
    assert all("rootless" in each["group"] for each in mine)


def test_nobody_else_may_read_a_rootless_store(rootless: RootlessPodman) -> None:
    asked = whiteout_process("changes", f"podman:[{rootless.root}]one", wrapper=AS_NOBODY)
    assert asked.status in (1, 2)
    assert b"cannot be read" in asked.stderr or b"permission denied" in asked.stderr
    assert stat.S_IMODE(rootless.home.stat().st_mode) == 0o700


@pytest.mark.peer("fuse-overlayfs")
def test_a_store_that_fuse_overlayfs_mounts(rootfs: Path) -> None:
    option = ("--storage-opt", f"overlay.mount_program={shutil.which('fuse-overlayfs')}")
    with podman() as engine:
        engine.podman(*option, "import", rootfs, "localhost/base:1")
        engine.podman(*option, "create", "--name", "one", "localhost/base:1", "sh")
        place = Path(engine.podman(*option, "mount", "one").strip())
        (place / "gone").unlink()
        shutil.rmtree(place / "d")
        (place / "d").mkdir()
        (place / "d/y").touch()
        os.chown(place / "d/y", 1000, 1001)
        by_mount = lines(open_target(os.fsencode(place)))
        engine.podman(*option, "umount", "one")
        assert (engine.root / "overlay/.has-mount-program").read_text() == "true"
        snapshot = opened(engine, "one")
        changes = lines(snapshot)
        assert changes == by_mount
        assert {"D /gone", "D /d/x", "A /d/y"} <= set(changes)
        assert not any(".wh." in line for line in changes)
        entry = snapshot.explain(b"/d/y").upper
        assert entry is not None and (entry.stat.st_uid, entry.stat.st_gid) == (1000, 1001)
