"""The sink ``containers-storage:NAME``: the images of Podman, Buildah and CRI-O.

Their files are written by their own programs alone: by skopeo, or else by Podman or Buildah.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from whiteout.cancel import CancelToken
from whiteout.contentstore import ContentStore
from whiteout.display import display_text
from whiteout.errors import StoreError, UsageError
from whiteout.images import Blobs
from whiteout.mediatypes import ZSTD
from whiteout.ocilayout import add_image
from whiteout.references import parse_reference
from whiteout.sinks.dockerarchive import DockerArchive
from whiteout.sinks.model import (
    Action,
    PreparedImage,
    Report,
    Step,
    Written,
    copy_layers,
    temporary_store,
)

_STAGED = "staged"
#: ``[DRIVER@GRAPHROOT+RUNROOT:OPTIONS]`` before the name, each part but the root optional.
_STORE = re.compile(r"\[(?:([a-z0-9]+)@)?([^\]+:]+)(?:\+([^\]:]+))?(?::([^\]]*))?\]")
_POLL_SECONDS = 0.1
_END_SECONDS = 10


@dataclass(frozen=True, slots=True)
class ContainersStorage:
    """The image *name*, such as ``localhost/app:1``, in the storage of this user.

    *name* may begin with another storage, as ``containers-transports(5)`` writes it.
    """

    name: str

    def describe(self) -> str:
        return f"containers-storage:{display_text(self.name)}"

    def check(self, media_types: frozenset[str]) -> None:
        store, name = self._parts()
        if parse_reference(name, "localhost").digest:
            raise UsageError(f"{self.describe()} names a digest; give a tag")
        program = _program()
        if program == "skopeo":
            return
        if store is not None and store[3]:
            raise UsageError("options of a storage need skopeo, which is not installed")
        if ZSTD in media_types:
            raise UsageError(
                f"without skopeo, {program} takes no layers compressed by zstd; install skopeo, "
                "or use --compression gzip or none"
            )

    def staging(self) -> AbstractContextManager[ContentStore]:
        return temporary_store()

    def write(self, image: PreparedImage, report: Report, cancel: CancelToken) -> Written:
        program = _program()
        store, name = self._parts()
        full = str(parse_reference(name, "localhost"))
        if program == "skopeo":
            copy_layers(image, image.store, report, cancel)
            add_image(image.store, image.built, _STAGED)
            source = f"oci:{image.store.path}:{_STAGED}"
            target = f"containers-storage:{self.name.removesuffix(name)}{full}"
            # The image is of this machine, as if it had just been committed: no policy applies.
            command = ["skopeo", "copy", "--quiet", "--insecure-policy", source, target]
            _run(command, report, cancel)
        else:
            with tempfile.TemporaryDirectory(prefix="whiteout-export-") as directory:
                archive = os.path.join(directory, "image.tar")
                DockerArchive(archive, full).write(image, report, cancel)
                verb = ["load", "--input", archive]
                if program == "buildah":
                    verb = ["pull", f"docker-archive:{archive}"]
                _run([program, *_places(store), *verb], report, cancel)
        return Written(f"containers-storage:{display_text(self.name.removesuffix(name) + full)}")

    def reading(self, cancel: CancelToken) -> AbstractContextManager[Blobs]:
        raise UsageError(
            f"{self.describe()} keeps layers unpacked, and no blobs that could be read again"
        )

    def _parts(self) -> tuple[tuple[str, str, str, str] | None, str]:
        """The storage before the name, in its parts, and the name."""
        if not self.name.startswith("["):
            return None, self.name
        found = _STORE.match(self.name)
        if found is None:
            raise UsageError(
                f"{display_text(self.name)} is not a name in a storage; give one such as "
                "[overlay@/graphroot+/runroot]localhost/app:1"
            )
        driver, root, runroot, options = (part or "" for part in found.groups())
        return (driver, root, runroot, options), self.name[found.end() :]


def _program() -> str:
    """The program that writes to the storage.

    Raises:
        UsageError: none is installed.
    """
    for program in ("skopeo", "podman", "buildah"):
        if shutil.which(program) is not None:
            return program
    raise UsageError("writing to containers-storage needs skopeo, podman or buildah; install one")


def _places(store: tuple[str, str, str, str] | None) -> list[str]:
    """The options of Podman and Buildah that name *store*."""
    if store is None:
        return []
    driver, root, runroot, _ = store
    options = ["--root", root]
    if runroot:
        options += ["--runroot", runroot]
    if driver:
        options += ["--storage-driver", driver]
    return options


def _run(command: Sequence[str], report: Report, cancel: CancelToken) -> None:
    """Run a program to its end, or end it when nobody wants its result any more.

    Raises:
        StoreError: it failed; what it said last is told.
    """
    report(Step(Action.WAIT, command[0]))
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said
            )
        except OSError:
            raise StoreError(f"cannot start {command[0]}; install it again") from None
        try:
            while process.poll() is None:
                cancel.check()
                try:
                    process.wait(_POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    report(Step(Action.WAIT, command[0]))
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(_END_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        if process.returncode == 0:
            return
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()
    last = display_text(lines[-1])[:300] if lines else f"it ended with status {process.returncode}"
    raise StoreError(f"{command[0]} failed: {last}")
