"""Extended attributes in words: capabilities, access control lists, overlayfs' own."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.commands import program
from support.overlay import overlay
from whiteout.attributes import attribute_meaning, attribute_text, capability_text
from whiteout.capabilities import parse_capability


@pytest.mark.root
@pytest.mark.peer("setcap", "getcap")
@pytest.mark.parametrize(
    "text",
    ["cap_net_raw=ep", "cap_chown,cap_checkpoint_restore=i", "cap_bpf=eip", "cap_kill=p", "="],
)
def test_capabilities_read_as_getcap_prints_them(tmp_path: Path, text: str) -> None:
    setcap, getcap = program("setcap"), program("getcap")
    assert setcap is not None and getcap is not None
    file = tmp_path / "file"
    file.touch()
    for options in ([], ["-n", "1000"]):
        subprocess.run([setcap, *options, text, file], check=True, timeout=30)
        value = os.getxattr(file, "security.capability")
        printed = subprocess.run([getcap, "-n", file], check=True, timeout=30, capture_output=True)
        shown = printed.stdout.decode().removeprefix(f"{file} ").strip()
        found = parse_capability(value)
        root = f" [rootid={found.root_id}]" if found.root_id is not None else ""
        assert found.text + root == shown
        assert (found.root_id or 0) == (1000 if options else 0)


def test_the_three_revisions() -> None:
    one = struct.pack("<III", 0x01000001, 1 << 13, 0)
    two = struct.pack("<IIIII", 0x02000000, 1, 1, 1 << 8, 0)
    three = struct.pack("<IIIIII", 0x03000001, 0, 0, 1 << 31, 0, 7)
    assert capability_text(one) == "cap_net_raw=ep (revision 1)"
    assert capability_text(two) == "cap_chown=ip cap_checkpoint_restore=p (revision 2)"
    assert capability_text(three) == "63=ep (revision 3, root is user 7)"


@given(name=st.binary(min_size=1, max_size=40), value=st.binary(max_size=600))
def test_any_attribute_gives_bounded_printable_text(name: bytes, value: bytes) -> None:
    known = (
        b"security.capability",
        b"system.posix_acl_access",
        b"trusted.overlay.origin",
        b"user.overlay.metacopy",
        b"trusted.overlay.uuid",
        b"user." + name,
    )
    for attribute in known:
        text = attribute_text(attribute, value)
        assert text
        assert text.isprintable()
        assert len(text) < 4200
        assert attribute_meaning(attribute).isprintable()


def test_an_access_control_list_reads_as_getfacl_prints_it() -> None:
    entries = [
        (1, 7, 0xFFFFFFFF),
        (2, 5, 1000),
        (4, 5, 0xFFFFFFFF),
        (8, 4, 33),
        (16, 7, 0xFFFFFFFF),
        (32, 0, 0xFFFFFFFF),
    ]
    value = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    expected = "user::rwx,user:1000:r-x,group::r-x,group:33:r--,mask::rwx,other::---"
    assert attribute_text(b"system.posix_acl_access", value) == expected
    assert attribute_text(b"system.posix_acl_access", value[:-1]).endswith("(malformed)")


@pytest.mark.root
def test_what_the_kernel_left_on_a_copied_up_file_is_decoded(tmp_path: Path) -> None:
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    (tmp_path / "lower" / "file").write_text("text")
    (tmp_path / "lower" / "renamed").mkdir()
    options = {"lowerdir": "lower", "upperdir": "upper", "workdir": "work"}
    with overlay(
        tmp_path / "merged",
        [f"{key}={tmp_path / value}".encode() for key, value in options.items()]
        + [b"metacopy=on", b"redirect_dir=on"],
    ):
        (tmp_path / "merged" / "file").chmod(0o600)
        (tmp_path / "merged" / "renamed").rename(tmp_path / "merged" / "new")
    upper = tmp_path / "upper"
    for path, attribute, expected in [
        (upper / "file", "trusted.overlay.origin", "file handle "),
        (upper / "file", "trusted.overlay.metacopy", "(empty)"),
        (upper / "new", "trusted.overlay.redirect", "renamed"),
        (upper, "trusted.overlay.impure", "y"),
    ]:
        value = os.getxattr(path, attribute)
        text = attribute_text(attribute.encode(), value)
        assert text.startswith(expected), text
        assert "malformed" not in text
        assert attribute_meaning(attribute.encode()).startswith("overlayfs: ")
