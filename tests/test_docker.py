"""Docker as a source, against a real dockerd: what is listed, opened, and never touched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from support.commands import AS_NOBODY, Run, whiteout_process
from support.engines import Docker, containerd, dockerd
from support.peerlayers import archived_layers, diff_differences, diff_lines, differences, entries
from support.rootfs import CHANGES, MORE, make_rootfs, pack
from support.stores import (
    check_links_out,
    check_no_trace,
    check_removed,
    check_stays_inside,
    copy_of,
)
from support.trees import File, make
from whiteout.errors import UsageError
from whiteout.opening import open_target
from whiteout.snapshot import Snapshot
from whiteout.sources.model import Record
from whiteout.sources.registry import discover, resolve
from whiteout.sources.root import Root
from whiteout.sources.stack import Kind

pytestmark = [pytest.mark.root, pytest.mark.peer("dockerd", "docker", "busybox")]

TAR = "application/vnd.oci.image.layer.v1.tar"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    top = tmp_path_factory.mktemp("rootfs")
    archive = pack(make_rootfs(top / "fs"), top / "fs.tar")
    with dockerd() as engine:

        def container(name: str, image: str, *words: str) -> None:
            limits = ("--network", "none", "--ulimit", "nofile=1024:1024")
            engine.docker("run", "--name", name, *limits, image, *words)

        engine.docker("import", archive, "base:1")
        container("one", "base:1", "sh", "-c", CHANGES)
        engine.docker("commit", "one", "team/img:2")
        container("two", "team/img:2", "sh", "-c", MORE)
        engine.docker("commit", "two", "team/img:3")
        engine.docker("tag", "team/img:3", "team/img:latest")
        engine.docker("create", "--name", "never", "base:1", "sh")
        yield engine


@pytest.fixture
def root(engine: Docker) -> Root:
    return Root(os.fsencode(engine.root))


def listed(root: Root) -> dict[str, Record]:
    return {each.name: each for each in discover(root, ["docker"])}


def opened(engine: Docker, name: str) -> Snapshot:
    return open_target(os.fsencode(f"docker:[{engine.root}]{name}"))


# what is listed


def test_everything_is_listed_as_docker_names_it(engine: Docker, root: Root) -> None:
    records = listed(root)
    assert [(records[n].kind, records[n].layers) for n in ("one", "two", "never")] == [
        (Kind.CONTAINER, 3),
        (Kind.CONTAINER, 4),
        (Kind.CONTAINER, 3),
    ]
    assert [records[n].notes for n in ("one", "never")] == [("exited",), ("created",)]
    assert records["two"].parent == "team/img:2"
    for name in ("base:1", "team/img:2", "team/img:3"):
        inspected = engine.inspect(name)
        record = records[name]
        assert record.kind is Kind.IMAGE
        assert inspected["Id"] in record.aliases
        assert record.layers == len(inspected["RootFS"]["Layers"])
        assert record.size == inspected["Size"]
    layers = [each for each in records.values() if each.kind is Kind.IMAGE_LAYER]
    assert len(layers) == 3
    assert {each.layers for each in layers} == {1, 2, 3}
    assert all(each.problem is None for each in records.values())


def test_the_directories_are_those_that_docker_names(engine: Docker, run: Run, root: Root) -> None:
    for name in ("one", "two", "never", "base:1", "team/img:3"):
        data = engine.inspect(name)["GraphDriver"]["Data"]
        lower = data.get("LowerDir", "")
        found = run("list", "--root", engine.root, f"docker:{name}", "--json").done().objects()
        upper, *below = [each["path"] for each in found]
        assert upper == data["UpperDir"]
        assert below == [os.path.realpath(path) for path in filter(None, lower.split(":"))]
    kinds = [each["kind"] for each in run("list", f"docker:[{engine.root}]two", "--json").objects()]
    assert kinds == ["container", "init layer", "image layer", "image layer"]


def test_every_way_to_name_it(engine: Docker, root: Root) -> None:
    identity = engine.inspect("two")["Id"]
    image = engine.inspect("team/img:3")["Id"].removeprefix("sha256:")
    for name, same in (
        (identity, "two"),
        (identity[:12], "two"),
        (image[:12], "team/img:3"),
        (f"sha256:{image}", "team/img:3"),
        ("team/img", "team/img:3"),
        ("team/img:latest", "team/img:3"),
    ):
        wanted, expected = opened(engine, name), opened(engine, same)
        assert (wanted.upperdir, wanted.lowerdirs) == (expected.upperdir, expected.lowerdirs)


def test_a_running_container_is_the_mount_that_it_has(engine: Docker, run: Run) -> None:
    limits = ("--network", "none", "--ulimit", "nofile=1024:1024")
    engine.docker("run", "-d", "--name", "alive", *limits, "team/img:2", "sleep", "1000")
    try:
        engine.docker("exec", "alive", "sh", "-c", "echo now > /now")
        merged = engine.inspect("alive")["GraphDriver"]["Data"]["MergedDir"]
        by_name = run("changes", f"docker:[{engine.root}]alive", "--json").done().stdout
        assert by_name == run("changes", merged, "--json").done().stdout
        assert b"/now" in by_name
        (record,) = [
            each for each in listed(Root(os.fsencode(engine.root))).values() if each.name == "alive"
        ]
        assert record.notes == ("running",)
    finally:
        engine.docker("rm", "--force", "alive")


def test_a_running_daemon_is_found_wherever_its_data_is(engine: Docker, run: Run) -> None:
    listing = run("list", "--engine", "docker", "--json").done().objects()
    targets = [each["target"] for each in listing]
    assert f"docker:[{engine.root}]two" in targets
    assert run("changes", "docker:team/img:3").stdout  # in the only store that has it
    outcome = run("changes", "docker:team/image")
    assert outcome.status == 2
    assert b"did you mean docker:[" in outcome.stderr


def test_layers_in_containerd_are_found_there(run: Run, tmp_path: Path) -> None:
    with containerd() as engine:
        identity = "0123abcd" * 8
        for key, parent in (("base", ""), (f"{identity}-init", "base"), (identity, "")):
            active = key if key == identity else f"{key}-key"
            words = ["snapshots", "prepare", active]
            below = parent or (f"{identity}-init" if key == identity else "")
            engine.ctr(*words, *filter(None, (below,)), namespace="moby")
            if key != identity:
                engine.ctr("snapshots", "commit", key, active, namespace="moby")
        upper = engine.root / "io.containerd.snapshotter.v1.overlayfs/snapshots/3/fs"
        (upper / "new").touch()
        root = tmp_path / "root"
        container = root / "var/lib/docker/containers" / identity
        container.mkdir(parents=True)
        (root / "var/lib/docker/buildkit").mkdir()
        config = {"ID": identity, "Name": "/web", "Driver": "overlayfs", "State": {}}
        (container / "config.v2.json").write_text(json.dumps(config))
        subprocess.run(
            ["cp", "-a", engine.root, root / "var/lib/containerd"], check=True, timeout=60
        )
        assert b"docker:web" in run("list", "--root", root, "--engine", "docker").done().stdout
        assert run("changes", "--root", root, "docker:web").done().stdout == b"A /new\n"
        stack = resolve("docker:web", Root(os.fsencode(root))).stack()
        assert [layer.kind for layer in stack.layers][1] is Kind.INIT_LAYER


def test_images_in_containerd_by_the_names_that_docker_gives_them(run: Run, tmp_path: Path) -> None:
    layout, archive = tmp_path / "layout", tmp_path / "image.tar"
    tree = make(tmp_path / "tree", {"f": File(b"f")})
    empty = make(tmp_path / "empty", {})
    words = ("export", tree, "--lower", empty, "--to", f"oci:{layout}:latest")
    run(*words).done()
    subprocess.run(["tar", "-C", layout, "-cf", archive, "."], check=True, timeout=60)
    with containerd() as engine:
        name = "docker.io/library/web"
        engine.ctr("images", "import", "--base-name", name, archive, namespace="moby")
        root = Root(os.fsencode(engine.root))
        image = resolve("docker:web", root)
        (digest,) = [alias for alias in image.aliases if alias.startswith("sha256:")]
        for way in ("web:latest", "library/web", name, digest, digest[7:], digest[7:19]):
            assert resolve(f"docker:{way}", root).target == image.target
        assert run("changes", "--root", engine.root, "docker:web").done().stdout == b"A /f\n"
        with pytest.raises(UsageError, match="there is no docker:wab"):
            resolve("docker:wab", root)


# what changed, and the layer


def test_the_changes_are_those_of_docker_diff(engine: Docker) -> None:
    found, agreed = set[str](), set[tuple[str, bytes]]()
    for name in ("one", "two", "never"):
        lines = diff_lines(engine.docker("diff", name))
        names, same = diff_differences(lines, opened(engine, name))
        found |= names
        agreed |= same
    assert found == {"unchanged directory"}
    assert {("D", b"/gone"), ("D", b"/d/x"), ("A", b"/d/y"), ("C", b"/etc/one")} <= agreed


def test_the_layer_is_that_of_docker_but_for_its_conventions(
    engine: Docker, run: Run, tmp_path: Path
) -> None:
    found = set()
    for name in ("team/img:2", "team/img:3"):
        engine.docker("save", "--output", tmp_path / "image.tar", name)
        target = f"docker:[{engine.root}]{name}"
        run("export", "--media-type", TAR, "-o", tmp_path / "layer.tar", target).done()
        theirs = entries(archived_layers(tmp_path / "image.tar")[-1])
        ours = entries((tmp_path / "layer.tar").read_bytes())
        found |= differences(theirs, ours, opened(engine, name))
    assert found == {
        "mode and time of a whiteout",
        "opaque directory: one mark",
        "opaque directory: one whiteout for each name",
        "unchanged directory",
        "unchanged file",
    }


def test_several_layers_are_what_docker_has_no_command_for(engine: Docker, run: Run) -> None:
    target = f"docker:[{engine.root}]team/img:3"
    whole = run("changes", target, "--layer", "1..2").done().stdout.splitlines()
    for line in (b"A /etc/three", b"M /tree", b"A /yours", b"D /gone", b"A /d/y"):
        assert line in whole
    assert not any(b"/etc/two" in line or b"/mine" in line for line in whole)


# what is left alone


def test_nothing_is_written_and_nothing_mounted(engine: Docker, run: Run, tmp_path: Path) -> None:
    names = ("one", "two", "base:1", "team/img:3")
    targets = [f"docker:[{engine.root}]{name}" for name in names]
    check_no_trace(run, engine.root, targets, tmp_path / "blob")


def test_a_container_that_is_removed_meanwhile_is_no_answer(engine: Docker) -> None:
    check_removed(engine.docker, partial(opened, engine), "team/img:2")


# a copy of the data root


@pytest.fixture
def copy(engine: Docker) -> Iterator[Path]:
    """A root with a copy of the data root in the usual place."""
    with copy_of(engine.root, "var/lib/docker") as root:
        yield root


def test_a_copy_gives_the_same(engine: Docker, run: Run, copy: Path) -> None:
    records = run("list", "--root", copy, "--json", "--engine", "docker").done().objects()
    live = run("list", "--root", engine.root, "--json", "--engine", "docker").done().objects()
    for each in records + live:
        del each["group"]
    assert records == live
    for name in ("two", "team/img:3"):
        theirs = run("changes", "--null", f"docker:[{engine.root}]{name}").done().stdout
        assert run("changes", "--null", "--root", copy, f"docker:{name}").done().stdout == theirs
    for place in ("var", "var/lib", "var/lib/docker"):
        moved = run("list", "--root", copy / place, "--json", "--engine", "docker").done().objects()
        assert [each["target"] for each in moved] == [each["target"] for each in live]


def test_links_of_a_copy_stay_inside(run: Run, copy: Path) -> None:
    data = copy / "var/lib/docker"
    expected = run("changes", "--root", copy, "docker:two").done().stdout
    for link in (data / "overlay2/l").iterdir():
        place = os.path.normpath(link.parent / link.readlink())
        link.unlink()
        link.symlink_to(place.removeprefix(str(copy)))  # absolute, as seen from inside
    assert run("changes", "--root", copy, "docker:two").done().stdout == expected
    layers = run("list", "--root", copy, "docker:two", "--json").done().objects()
    assert all(each["path"].startswith(f"{copy}/") for each in layers)


def test_the_data_root_of_daemon_json(run: Run, copy: Path) -> None:
    (copy / "etc/docker").mkdir(parents=True)
    (copy / "etc/docker/daemon.json").write_text(json.dumps({"data-root": "/srv/docker"}))
    (copy / "srv").mkdir()
    (copy / "var/lib/docker").rename(copy / "srv/docker")
    found = run("list", "--root", copy, "--json", "--engine", "docker").done().objects()
    assert "docker:two" in [each["target"] for each in found]
    assert all("/srv/docker" in each["group"] for each in found)


def test_owners_of_a_remapped_daemon(run: Run, copy: Path) -> None:
    (copy / "etc").mkdir()
    (copy / "etc/subuid").write_text("dockremap:200000:2000\n")
    (copy / "etc/subgid").write_text("dockremap:300000:2000\n")
    data = copy / "var/lib/docker"
    data.rename(copy / "var/lib/inner")
    data.mkdir()
    (copy / "var/lib/inner").rename(data / "200000.300000")
    inner = data / "200000.300000/overlay2"
    for directory, names, files in os.walk(inner):
        for name in (*names, *files):
            path = os.path.join(directory, name)
            status = os.lstat(path)
            if status.st_uid < 200000:  # a name of a file that was not seen yet
                os.lchown(path, status.st_uid + 200000, status.st_gid + 300000)
    target = "docker:[/var/lib/docker/200000.300000]one"
    verdicts = run("changes", "--root", copy, target, "--json").done().objects()
    assert {each["path"] for each in verdicts} >= {"/mine", "/etc/two"}
    run("export", "--root", copy, "--media-type", TAR, "-o", copy / "layer.tar", target).done()
    ours = entries((copy / "layer.tar").read_bytes())
    assert {(ours[name].uid, ours[name].gid) for name in (b"etc/two", b"d")} == {(0, 0)}
    assert (ours[b"mine"].uid, ours[b"mine"].gid) == (1000, 1001)


# what is damaged


def test_what_is_damaged_spoils_its_own_row_alone(run: Run, copy: Path, engine: Docker) -> None:
    data = copy / "var/lib/docker"
    identity = engine.inspect("one")["Id"]
    (data / f"containers/{identity}/config.v2.json").write_bytes(b'{"Name": "/one", "Driv')
    image = engine.inspect("team/img:2")["Id"].removeprefix("sha256:")
    (data / f"image/overlay2/imagedb/content/sha256/{image}").write_bytes(b"[" * 100_000)
    records = {each.name: each for each in discover(Root(os.fsencode(copy)), ["docker"])}
    assert "is damaged" in (records[identity].problem or "")
    assert "is damaged" in (records["team/img:2"].problem or "")
    assert records["two"].problem is None and records["team/img:3"].problem is None
    run("changes", "--root", copy, "docker:two").done()
    outcome = run("changes", "--root", copy, "docker:team/img:2")
    assert outcome.status == 1 and b"is damaged" in outcome.stderr


def test_what_is_gone_is_said_in_the_list(run: Run, copy: Path, engine: Docker) -> None:
    data = copy / "var/lib/docker"
    upper = Path(engine.inspect("team/img:3")["GraphDriver"]["Data"]["UpperDir"])
    shutil.rmtree(data / "overlay2" / upper.parent.name)
    shutil.rmtree(data / "image/overlay2/layerdb/mounts" / engine.inspect("one")["Id"])
    own = Path(engine.inspect("never")["GraphDriver"]["Data"]["UpperDir"])
    shutil.rmtree(data / "overlay2" / own.parent.name)
    records = {each.name: each for each in discover(Root(os.fsencode(copy)), ["docker"])}
    assert f"{upper.parent.name} is gone" in (records["team/img:3"].problem or "")
    assert "its mount-id cannot be read" in (records["one"].problem or "")
    assert f"{own.parent.name} is gone" in (records["never"].problem or "")
    assert records["team/img:2"].problem is None and records["two"].problem is None
    for name in ("team/img:3", "one", "never"):
        assert run("changes", "--root", copy, f"docker:{name}").status == 1


DAMAGES = (
    ("repositories.json", b"\xff\xfe"),
    ("repositories.json", b'{"Repositories": {"x": 3, "y": {"z": []}}}'),
    ("layerdb/sha256/*/cache-id", b"../../../../etc"),
    ("layerdb/sha256/*/cache-id", None),
    ("layerdb/sha256/*/parent", b"sha256:nothing"),
    ("layerdb/sha256/*/size", b"many"),
    ("layerdb/mounts/*/mount-id", b"/etc"),
    ("layerdb/mounts/*/mount-id", None),
    ("imagedb/content/sha256/*", b"3"),
    ("../../overlay2/*/lower", b"l/../../../../../etc:l/gone"),
    ("../../overlay2/*/lower", b"/etc"),
    ("../../overlay2/*/link", None),
    ("../../containers/*/config.v2.json", b'{"Name": {"a": 1}, "Driver": 7, "State": []}'),
    ("../../containers/*/config.v2.json", None),
)


def test_no_damage_is_a_crash_or_leads_out(run: Run, copy: Path) -> None:
    (copy / "etc").mkdir()  # what leads out of the store ends here at most
    for pattern, content in DAMAGES:
        paths = list((copy / "var/lib/docker/image/overlay2").glob(pattern))
        assert paths, pattern
        whole = {path: path.read_bytes() for path in paths}
        for path in paths:
            path.unlink()
            if content is not None:
                path.write_bytes(content)
        assert check_stays_inside(run, copy, "docker"), pattern
        for path, before in whole.items():
            path.write_bytes(before)


LINKS = [
    *("image", "image/overlay2", "image/overlay2/repositories.json", "image/overlay2/layerdb"),
    *("image/overlay2/layerdb/sha256", "image/overlay2/layerdb/sha256/*"),
    *("image/overlay2/layerdb/mounts", "image/overlay2/layerdb/mounts/*"),
    *("image/overlay2/imagedb", "image/overlay2/imagedb/content/sha256/*"),
    *("containers", "containers/*"),
    *("containers/*/config.v2.json", "overlay2", "overlay2/[0-9a-f][0-9a-f]*", "overlay2/*/diff"),
    *("overlay2/*/lower", "buildkit", "buildkit/snapshots.db", "buildkit/metadata_v2.db"),
]


def test_no_part_that_is_a_symlink_leads_out(copy: Path, engine: Docker) -> None:
    check_links_out(copy, "var/lib/docker", engine.root, ["docker", "buildkit"], LINKS)


# without privileges


def test_who_may_not_see_the_marks_is_told_and_cannot_export(copy: Path) -> None:
    subprocess.run(["chmod", "-R", "a+rX", copy], check=True, timeout=60)
    listing = whiteout_process("list", "--root", copy, wrapper=AS_NOBODY)
    assert b"docker:two" in listing.stdout
    assert b"trusted.overlay" in listing.stderr
    changes = whiteout_process("changes", "--root", copy, "docker:one", wrapper=AS_NOBODY)
    assert b"beware: the trusted.overlay.* marks" in changes.stderr
    words = ("export", "--root", copy, "docker:one", "-o", copy / "x")
    refused = whiteout_process(*words, wrapper=AS_NOBODY)
    assert refused.status == 1
    assert not (copy / "x").exists()
