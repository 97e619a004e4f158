"""A whole image of what an engine has says of itself what the engine's image says."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.commands import whiteout
from support.engines import Docker, containerd, dockerd, podman, run
from whiteout.contentstore import Descriptor
from whiteout.errors import ReadError
from whiteout.imagebuild import ImageOptions, build_image
from whiteout.images import LayerRef
from whiteout.mediatypes import TAR
from whiteout.sources.registry import resolve
from whiteout.sources.root import Root

pytestmark = pytest.mark.root

CHANGES = ("ENV A=b", 'ENTRYPOINT ["/bin/box"]', 'CMD ["sh"]', "LABEL l=m", "USER 7", "WORKDIR /w")


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of a tree."""
    directory = tmp_path_factory.mktemp("rootfs")
    (directory / "tree/bin").mkdir(parents=True)
    (directory / "tree/bin/box").write_bytes(b"box")
    archive = directory / "rootfs.tar"
    subprocess.run(["tar", "-C", directory / "tree", "-cf", archive, "."], check=True, timeout=60)
    return archive


def imported(archive: Path, name: str) -> list[str]:
    words = ["import"]
    for change in CHANGES:
        words += ["--change", change]
    return [*words, str(archive), name]


@pytest.fixture(scope="module")
def docker(rootfs: Path) -> Iterator[Docker]:
    with dockerd() as engine:
        engine.docker(*imported(rootfs, "base:1"))
        engine.docker("create", "--name", "box", "--env", "C=d", "--label", "n=o", "base:1")
        yield engine


def exported(
    target: str, root: Path, sink: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> dict[str, Any]:
    """The config of the image, which skopeo reads, too."""
    words = ("export", target, "--root", root, "--whole", "--to", f"oci:{sink}:t")
    whiteout(capfdbinary, *words).done()
    config: dict[str, Any] = json.loads(run("skopeo", "inspect", "--config", f"oci:{sink}:t"))
    assert json.loads(run("skopeo", "inspect", f"oci:{sink}:t"))["Architecture"]
    return config


def check(config: dict[str, Any]) -> None:
    settings = config["config"]
    assert "A=b" in settings["Env"]
    assert (settings["Entrypoint"], settings["Cmd"]) == (["/bin/box"], ["sh"])
    assert settings["Labels"]["l"] == "m"
    assert (settings["User"], settings["WorkingDir"]) == ("7", "/w")


@pytest.mark.peer("dockerd", "docker", "skopeo")
def test_images_and_containers_of_docker(
    docker: Docker, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    image = exported("docker:base:1", docker.root, tmp_path / "image", capfdbinary)
    check(image)
    theirs = docker.inspect("base:1")
    assert (image["architecture"], image["os"]) == (theirs["Architecture"], theirs["Os"])
    told = json.loads(docker.docker("history", "--format", "{{json .}}", "--no-trunc", "base:1"))
    assert [each.get("comment") for each in image["history"]] == [told["Comment"]]
    container = exported("docker:box", docker.root, tmp_path / "box", capfdbinary)
    check(container)
    assert container["config"]["Env"] == docker.inspect("box")["Config"]["Env"]
    assert container["config"]["Labels"] == {"l": "m", "n": "o"}
    assert "Hostname" not in container["config"]
    made_by = [each.get("created_by") for each in container["history"]]
    assert made_by[1:] == ["whiteout export"] * 2  # the init layer and the container's own
    assert len(container["rootfs"]["diff_ids"]) == 3


@pytest.mark.peer("podman", "skopeo", "runc")
def test_images_and_containers_of_podman(
    rootfs: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with podman() as engine:
        engine.podman(*imported(rootfs, "base:1"))
        engine.podman("create", "--name", "box", "base:1")
        for number, target in enumerate(("podman:base:1", "podman:box")):
            sink = tmp_path / str(number)
            config = exported(target, engine.root, sink, capfdbinary)
            check(config)
            assert len(config["history"]) == len(config["rootfs"]["diff_ids"]) == 1 + number


@pytest.mark.peer("dockerd", "docker", "containerd", "ctr", "skopeo")
def test_images_and_containers_of_containerd_and_layouts(
    docker: Docker, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    exported("docker:base:1", docker.root, tmp_path / "image", capfdbinary)
    again = exported(f"oci:{tmp_path}/image:t", Path("/"), tmp_path / "again", capfdbinary)
    check(again)
    archive = tmp_path / "image.tar"
    subprocess.run(["tar", "-C", tmp_path / "image", "-cf", archive, "."], check=True, timeout=60)
    with containerd() as engine:
        engine.ctr("images", "import", "--base-name", "example.org/base", archive)
        engine.ctr("containers", "create", "example.org/base:t", "box")
        for target in ("example.org/base:t", "box"):
            config = exported(
                f"containerd://default/{target}", engine.root, tmp_path / target[:3], capfdbinary
            )
            check(config)
        # A blob that somebody changed is not believed.
        stack = resolve("containerd://default/box", Root(os.fsencode(engine.root))).stack()
        assert stack.image_config is not None
        for blob in (engine.root / "io.containerd.content.v1.content/blobs/sha256").iterdir():
            blob.chmod(0o600)
            with blob.open("ab") as file:
                file.write(b" ")
        with pytest.raises(ReadError, match="is damaged"):
            stack.image_config()


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"config": [], "history": {}, "rootfs": []},
        {"history": [{}, {}], "rootfs": {"diff_ids": ["x"]}},
        {"history": ["x"], "rootfs": {"diff_ids": ["x"]}, "architecture": 1, "os": "linux"},
        {"config": {"Env": "\ud800"}, "history": None, "author": 3, "created": []},
    ],
)
def test_what_is_malformed_is_not_taken(config: dict[str, object]) -> None:
    digest = "sha256:" + "0" * 64
    layer = LayerRef(Descriptor(TAR, digest, 1), digest)
    built = json.loads(build_image([layer], ImageOptions(config=config)).config)
    assert [each["created_by"] for each in built["history"]] == ["whiteout export"]
    assert built["os"] == "linux"
    assert isinstance(built["architecture"], str)
    assert "author" not in built
    assert isinstance(built["config"], dict)
