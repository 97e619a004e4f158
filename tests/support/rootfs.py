"""A small root file system with busybox, and what is done in containers of it."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

_APPLETS = ("sh", "rm", "mkdir", "chmod", "chown", "ln", "mkfifo", "mknod", "mv", "sleep", "touch")

#: Every kind of change that engines and we may see differently.
CHANGES = (
    "echo two > /etc/two; chmod 600 /etc/one; rm /gone;"
    "rm -r /d; mkdir /d; echo y > /d/y;"
    "chmod 600 /same; chmod 644 /same; touch /keep;"
    "ln /bin/busybox /bin/bb; mkfifo /fifo; mknod /device c 1 3; ln -s /nowhere /link;"
    "echo mine > /mine; chown 1000:1001 /mine; rm /tree/deep/a; echo 'new name' > '/tree/a b'"
)
MORE = "echo three > /etc/three; rm /etc/two; rm -r /tree; echo file > /tree; mv /mine /yours"


def make_rootfs(top: Path) -> Path:
    """Make the file system in the new directory *top*."""
    busybox = shutil.which("busybox")
    assert busybox is not None
    for directory in ("bin", "etc", "d/sub", "keep", "tree/deep", "proc", "sys", "dev", "tmp"):
        (top / directory).mkdir(parents=True)
    shutil.copy(busybox, top / "bin/busybox")
    for applet in _APPLETS:
        (top / "bin" / applet).symlink_to("busybox")
    for name in ("etc/one", "gone", "d/x", "d/sub/deep", "same", "keep/kept", "tree/deep/a"):
        (top / name).write_text(f"{name}\n")
    os.link(top / "keep/kept", top / "keep/linked")
    return top


def pack(top: Path, archive: Path) -> Path:
    """The file system as a tar archive."""
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as tar:  # whole seconds
        for name in sorted(os.listdir(top)):
            tar.add(top / name, name)
    return archive
