"""Where each entry of a layer is, and what its headers say: against the bytes of the export."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import tarfile
import tempfile
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.snapshot_case import load_case
from whiteout.cancel import CancelToken
from whiteout.demo import build_demo
from whiteout.errors import Cancelled, ReadError, RefusedError
from whiteout.export import export_to_file
from whiteout.layerindex import LayerIndex, NoEntry, PlacedEntry, index_layer, tar_entry
from whiteout.mediatypes import TAR
from whiteout.opening import open_mounts, open_pair
from whiteout.snapshot import Snapshot
from whiteout.tarfields import decode_header
from whiteout.tarheader import TarHeader, TypeFlag, padded

CASES = (
    "add",
    "delete_deep_only",
    "hardlink_cap",
    "hardlink_long",
    "hardlink_opaque_unmodified",
    "hardlink_upper",
    "long_paths",
    "lowers_20",
    "medium_tree",
    "names_nonutf8",
    "opaque_3deep_layers",
    "owners",
    "post2038",
    "pre1970",
    "rename_dir_redirect",
    "specials",
    "whiteout_chain",
)


def layer_of(snapshot: Snapshot) -> bytes:
    with tempfile.TemporaryFile() as file:
        export_to_file(snapshot, file.fileno(), media_type=TAR)
        file.seek(0)
        return file.read()


def demo(directory: Path) -> Snapshot:
    built = build_demo(os.fsencode(directory))
    return open_pair(built.upperdir, built.lowerdirs, userxattr=built.userxattr)


def rows_of(snapshot: Snapshot) -> list[bytes]:
    """Every path that the app has a row for, ghosts included."""
    found = [b"/"]
    pending = [b"/"]
    while pending:
        try:
            verdicts = list(snapshot.children(pending.pop()))
        except ReadError:
            continue
        for verdict in verdicts:
            found.append(verdict.path)
            if verdict.expandable:
                pending.append(verdict.path)
    return found


def check(snapshot: Snapshot) -> None:
    layer = layer_of(snapshot)
    index = index_layer(snapshot)
    assert index.size == len(layer)
    ends = []
    for path in rows_of(snapshot):
        answer = tar_entry(snapshot, path, index)
        early = tar_entry(snapshot, path, None)
        if answer.entry is None:
            assert answer.no_entry is not None
            assert answer.parents == ()
            assert early.no_entry in (answer.no_entry, None)
            assert early.entry is None
            continue
        if early.entry is not None:
            assert early.entry == dataclasses.replace(answer.entry, offset=None)
        check_entry(answer.entry, layer)
        place = answer.entry.offset
        for parent in reversed(answer.parents):
            check_entry(parent, layer)
            assert parent.offset is not None
            assert parent.offset + parent.padded_size == place
            place = parent.offset
        ends.append((answer.entry.offset, answer.entry.padded_size))
    assert len(ends) == index.entries
    position = 0
    for offset, size in sorted(ends, key=lambda end: end[0] or 0):
        assert offset == position
        position += size
    assert position + 1024 == len(layer)


def check_entry(entry: PlacedEntry, layer: bytes) -> None:
    assert entry.offset is not None
    encoded = entry.header.encode()
    assert layer[entry.offset :].startswith(encoded)
    assert entry.header_size == len(encoded)
    member = tarfile.TarInfo.frombuf(encoded[-512:], "utf-8", "surrogateescape")
    assert member.isdir() == (entry.header.type is TypeFlag.DIRECTORY)


@pytest.mark.root
@pytest.mark.parametrize("name", CASES)
def test_every_row_of_a_golden_case_is_where_the_export_has_it(tmp_path: Path, name: str) -> None:
    case = load_case(name)
    case.build(tmp_path / "case")
    check(open_mounts(json.dumps(case.mounts(tmp_path / "case"))))


def test_every_row_of_the_demo_is_where_the_export_has_it(tmp_path: Path) -> None:
    check(demo(tmp_path / "demo"))


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    root.mkdir(exist_ok=True)
    return root


def pair(tmp_path: Path, lower: dict[str, str], upper: dict[str, str]) -> Snapshot:
    low, up = tree(tmp_path / "lower", lower), tree(tmp_path / "upper", upper)
    return open_pair(os.fsencode(up), [os.fsencode(low)], userxattr=True)


def test_the_unchanged_directories_before_the_first_entry_below_them(tmp_path: Path) -> None:
    snapshot = pair(tmp_path, {"a/b/old": ""}, {"a/b/1": "x", "a/b/2": "y", "z": "z"})
    for place in (tmp_path / "lower", tmp_path / "upper"):
        for name in ("a", "a/b"):
            (place / name).chmod(0o755)
    index = index_layer(snapshot)
    first = tar_entry(snapshot, b"/a/b/1", index)
    assert [parent.path for parent in first.parents] == [b"/a", b"/a/b"]
    assert tar_entry(snapshot, b"/a/b/2", index).parents == ()
    assert tar_entry(snapshot, b"/z", index).parents == ()
    directory = tar_entry(snapshot, b"/a/b", index)
    assert directory.entry == first.parents[1]
    assert tar_entry(snapshot, b"/a/b", None) == type(directory)()


def test_why_there_is_no_entry(tmp_path: Path) -> None:
    snapshot = pair(tmp_path, {"d/old": "", "kept": ""}, {"d/skipped/.keep": ""})
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    (upper / "d" / "skipped" / ".keep").unlink()
    (lower / "d" / "skipped").mkdir()
    for place in (lower, upper):
        for name in ("d", "d/skipped"):
            (place / name).chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        directory = os.open(upper, os.O_RDONLY)
        try:
            listener.bind(f"/proc/self/fd/{directory}/socket")
        finally:
            os.close(directory)
    index = index_layer(snapshot)
    for path, reason in [
        (b"/", NoEntry.NOT_RECORDED),
        (b"/kept", NoEntry.NOT_RECORDED),
        (b"/socket", NoEntry.SOCKET),
        (b"/d", NoEntry.NOTHING_BELOW),
    ]:
        assert tar_entry(snapshot, path, index).no_entry is reason, path


def test_a_layer_that_is_not_exported_has_no_index(tmp_path: Path) -> None:
    snapshot = pair(tmp_path, {}, {"a": ""})
    with pytest.raises(RefusedError):
        index_layer(snapshot._replace(doubts=("Marks are hidden.",)))
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        index_layer(snapshot, token)


def test_two_paths_with_the_same_key_are_noticed() -> None:
    one = LayerIndex(b"0", array("Q", [7, 7]), array("Q", [0, 512]), {}, 2048)
    assert not one.is_unique
    two = LayerIndex(b"0", array("Q", [7, 8]), array("Q", [0, 512]), {}, 2048)
    assert two.is_unique


TEXTS = st.binary(min_size=1, max_size=300).filter(lambda name: b"\0" not in name)


@given(
    header=st.builds(
        TarHeader,
        TEXTS,
        st.sampled_from(list(TypeFlag)),
        st.integers(0, 0o7777),
        st.integers(0, 1 << 32),
        st.integers(0, 1 << 32),
        st.integers(0, 1 << 40),
        st.integers(-(1 << 40), 1 << 40),
        TEXTS,
        st.tuples(st.integers(0, 4095), st.integers(0, 1 << 20)),
        st.binary(max_size=24),
    )
)
def test_any_header_is_taken_apart_into_printable_fields(header: TarHeader) -> None:
    encoded = header.encode()
    assert header.encoded_size() == len(encoded) == padded(len(encoded))
    blocks = decode_header(encoded)
    assert len(blocks) == (2 if header.pax_records() else 1)
    assert [block.fields[7].raw for block in blocks][-1] == header.type.value
    for block in blocks:
        assert len(block.raw) == 512
        for field in block.fields:
            assert block.raw[field.start : field.start + len(field.raw)] == field.raw
            assert field.text.isprintable()
        for key, value in block.records:
            assert key.isprintable()
            assert value.isprintable()
    assert len(blocks[0].records) == len(header.pax_records())


def test_the_fields_read_as_people_write_them() -> None:
    header = TarHeader(b"etc/hosts", TypeFlag.FILE, 0o4755, 1000, 0, 12345, 1_700_000_000)
    fields = {field.name: field.text for field in decode_header(header.encode())[0].fields}
    assert fields["name"] == "etc/hosts"
    assert fields["mode"] == "0004755 (rwsr-xr-x)"
    assert fields["uid"] == "0001750 (1,000)"
    assert fields["size"] == "00000030071 (12,345)"
    assert fields["mtime"] == "14524770400 (2023-11-14 22:13:20)"
    assert fields["typeflag"] == "0 (file)"
    assert fields["magic"] == "ustar"
    long = TarHeader(b"d/" * 150 + b"f", TypeFlag.FILE, uid=3_000_000)
    assert dict(decode_header(long.encode())[0].records) == {
        "path": "d/" * 150 + "f",
        "uid": "3000000",
    }
