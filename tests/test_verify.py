"""Verifying blobs: every damage is found and named, and what is sound passes."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whiteout.cancel import CancelToken
from whiteout.compression import open_compressor
from whiteout.contentstore import ContentStore
from whiteout.digests import digest_of
from whiteout.errors import Cancelled, NotFound, UsageError
from whiteout.labels import UNCOMPRESSED
from whiteout.mediatypes import GZIP, MEDIA_TYPES, TAR, ZSTD
from whiteout.tarcheck import TarProblem, read_entries
from whiteout.verify import UNKNOWN, verify_blob

END = bytes(1024)


def entries(names: dict[str, bytes], tar_format: int = tarfile.PAX_FORMAT) -> bytes:
    """The entries of a tar, without its end."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tar_format) as tar:
        for name, content in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.mtime = 1.5
            tar.addfile(info, io.BytesIO(content))
        end = tar.offset
    return out.getvalue()[:end]


BODY = entries({"etc/motd": b"hello\n" * 1000, "x" * 300: b"", "é": b"1"})


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "store")


def add(store: ContentStore, tar: bytes, media_type: str = TAR, label: str | None = None) -> str:
    with store.writer("r") as writer:
        compressor = open_compressor(media_type, None, writer.write)
        compressor.write(tar)
        compressor.close()
        return writer.commit(labels={UNCOMPRESSED: label or digest_of(tar)}).digest


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_a_sound_layer_passes(store: ContentStore, media_type: str) -> None:
    digest = add(store, BODY + END, media_type)
    seen: list[int] = []
    found = verify_blob(store, digest, progress=seen.append)
    assert found.ok, found.problems
    assert (found.digest, found.size) == (digest, store.info(digest).size)
    assert found.diff_id == found.label == digest_of(BODY + END)
    assert (found.entries, found.media_type) == (3, media_type)
    assert seen[-1] == found.size


def test_the_empty_layer_passes(store: ContentStore) -> None:
    found = verify_blob(store, add(store, END, ZSTD))
    assert found.ok
    assert found.entries == 0
    assert found.diff_id is not None
    assert found.diff_id.startswith("sha256:5f70bf18a086007016e948b04aed3b82103a36be")


@pytest.mark.parametrize(
    "tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
)
def test_every_format_of_tar_is_read(store: ContentStore, tar_format: int) -> None:
    names = {f"{'d' * 80}/{'f' * n}": bytes(n) for n in range(1, 60)}
    found = verify_blob(store, add(store, entries(names, tar_format) + END))
    assert found.ok, found.problems
    assert found.entries == 59


@pytest.mark.parametrize(
    ("tar", "words"),
    [
        (BODY, "no end-of-archive blocks"),
        (BODY + bytes(512), "second end-of-archive block after 3 entries is missing"),
        (BODY + bytes(512) + b"x" * 512, "is not zero"),
        (BODY + END + bytes(8192), "8192 zero bytes follow the end"),
        (BODY + END + b"hidden", "6 bytes follow the end"),
        (BODY + END + BODY + END, "bytes follow the end"),
        (BODY[:3000], "cut short in the content of entry 1, "),
        (BODY + b"?" * 512 + END, "header of entry 4 is damaged"),
        (b"not a tar at all" * 64, "not a tar"),
        (b"", "no end-of-archive blocks"),
        (BODY[:100], "not a tar"),
        (entries({"\x1b[31m": b"x" * 600})[:-512], "cut short"),
    ],
)
@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_a_wrong_tar_is_named(store: ContentStore, tar: bytes, words: str, media_type: str) -> None:
    found = verify_blob(store, add(store, tar, media_type))
    assert len(found.problems) == 1
    assert words in found.problems[0]
    assert found.problems[0].isprintable()
    assert found.diff_id == digest_of(tar), "the diffID is of all that is there"
    assert not found.ok


def test_what_is_no_layer_has_no_media_type(store: ContentStore) -> None:
    assert verify_blob(store, add(store, b'{"schemaVersion":2}' * 50)).media_type == UNKNOWN
    assert verify_blob(store, add(store, BODY[:2000])).media_type == TAR


def rewrite(store: ContentStore, digest: str, content: bytes) -> None:
    path = Path(store.blob_path(digest))
    path.chmod(0o644)
    path.write_bytes(content)


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_a_changed_blob_is_noticed(store: ContentStore, media_type: str) -> None:
    digest = add(store, BODY + END, media_type)
    content = bytearray(Path(store.blob_path(digest)).read_bytes())
    content[len(content) // 2] ^= 1
    rewrite(store, digest, bytes(content))
    found = verify_blob(store, digest)
    assert found.digest == digest_of(bytes(content))
    assert f"named {digest}" in found.problems[0]
    assert len(found.problems) > 1, "the diffID or the stream is wrong too"


@pytest.mark.parametrize("media_type", [GZIP, ZSTD])
def test_a_cut_or_longer_blob_is_noticed(store: ContentStore, media_type: str) -> None:
    digest = add(store, BODY + END, media_type)
    content = Path(store.blob_path(digest)).read_bytes()
    for changed in (content[:-1], content[: len(content) // 2], content + b"garbage"):
        rewrite(store, digest, changed)
        found = verify_blob(store, digest)
        assert found.size == len(changed)
        assert found.diff_id is None
        assert f"{len(changed)} bytes, but {len(content)} were committed" in found.problems[0]
        assert any("zstd data" in p or "gzip data" in p or "cut" in p for p in found.problems)
        assert found.digest == digest_of(changed), "read to the end all the same"


def test_a_wrong_label_is_noticed(store: ContentStore) -> None:
    wrong = "sha256:" + "0" * 64
    digest = add(store, BODY + END, GZIP, wrong)
    found = verify_blob(store, digest)
    assert found.label == wrong
    (problem,) = found.problems
    assert wrong in problem
    assert digest_of(BODY + END) in problem
    store.update_labels(digest, {UNCOMPRESSED: "\x1b[31m"})
    assert verify_blob(store, digest).problems[0].isprintable()
    store.update_labels(digest, {UNCOMPRESSED: ""})
    assert verify_blob(store, digest).ok, "no label claims nothing"


def test_a_blob_put_there_by_others_is_verified(store: ContentStore) -> None:
    content = BODY + END
    digest = digest_of(content)
    Path(store.blob_path(digest)).write_bytes(content)
    assert verify_blob(store, digest).ok


def test_missing_malformed_and_cancelled(store: ContentStore) -> None:
    with pytest.raises(NotFound):
        verify_blob(store, "sha256:" + "0" * 64)
    with pytest.raises(UsageError):
        verify_blob(store, "sha256:zz")
    digest = add(store, entries({"f": os.urandom(2_000_000)}) + END, GZIP)
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        verify_blob(store, digest, cancel, lambda read: cancel.cancel())


@given(st.binary(max_size=600), st.integers(0, len(BODY)), st.integers(0, 600))
def test_damage_anywhere_gives_one_error_or_a_whole_tar(new: bytes, at: int, cut: int) -> None:
    data = BODY[:at] + new + BODY[at + cut :] + END
    try:
        found = list(read_entries(iter([data[:1000], b"", data[1000:]])))
    except TarProblem as problem:
        assert str(problem).isprintable()
    else:
        assert all(entry.size <= len(data) for entry in found)


def test_forged_headers_do_not_exhaust_anything() -> None:
    def header(kind: bytes, size: bytes) -> bytes:
        block = bytearray(512)
        block[0:1], block[124:136], block[156:157] = b"n", size.ljust(12, b"\0"), kind
        block[148:156] = b" " * 8
        block[148:155] = b"%06o\0" % sum(block)
        return bytes(block)

    records = b"30 size=99999999999999999999\n".ljust(512, b"\0")
    for data in (
        header(b"x", b"77777777777"),
        header(b"0", b"\x80" + b"\xff" * 11),
        header(b"0", b"\xff" * 12),
        header(b"0", b"12z"),
        header(b"x", b"35") + records + header(b"0", b"0"),
        header(b"x", b"1000"),
        header(b"x", b"0") * 2000 + END,
        header(b"L", b"1") + b"a" + bytes(511) + END,
    ):
        with pytest.raises(TarProblem) as caught:
            list(read_entries(iter([data])))
        assert str(caught.value).isprintable()
