import pytest
from hypothesis import given
from hypothesis import strategies as st

from whiteout.errors import MountError
from whiteout.mountoptions import (
    OverlayOptions,
    escape_path,
    options_of_mount,
    options_of_mountinfo,
    options_of_string,
    unescape_path,
)
from whiteout.mounts import Mount

paths = st.binary(min_size=1, max_size=20).map(lambda data: b"/" + data.replace(b"\0", b""))
option_text = st.lists(
    st.sampled_from(
        [b"lowerdir", b"lowerdir+", b"datadir+", b"upperdir", b"=", b",", b":", b"\\", b"a", b"\n"]
    )
).map(b"".join)


def octal(data: bytes) -> bytes:
    """As the kernel's seq_show_option writes a value."""
    return b"".join(b"\\%03o" % byte if byte in b",\\ \t\n=" else bytes([byte]) for byte in data)


@given(paths, st.lists(paths, min_size=1, max_size=4), st.lists(paths, max_size=2))
def test_escape_and_read_round_trip(upper: bytes, lowers: list[bytes], data: list[bytes]) -> None:
    lower = b"::".join([b":".join(map(escape_path, lowers)), *map(escape_path, data)])
    read = options_of_string(b"rw,lowerdir=" + lower + b",upperdir=" + escape_path(upper))
    assert read == OverlayOptions(tuple(lowers), tuple(data), upper, others=(b"rw",))
    shown = b"rw,lowerdir=" + octal(lower) + b",upperdir=" + octal(escape_path(upper))
    assert options_of_mountinfo(shown) == read


@given(st.lists(paths, min_size=1, max_size=4), st.lists(paths, max_size=2))
def test_added_layers_are_literal(lowers: list[bytes], data: list[bytes]) -> None:
    shown = [b"lowerdir+=" + octal(path) for path in lowers]
    shown += [b"datadir+=" + octal(path) for path in data]
    read = options_of_mountinfo(b",".join([b"ro", *shown]))
    assert (read.lowerdirs, read.data_lowerdirs) == (tuple(lowers), tuple(data))


@given(st.binary())
def test_unescape_undoes_escape(path: bytes) -> None:
    assert unescape_path(escape_path(path)) == path


@given(option_text | st.binary())
def test_anything_is_read_or_refused(options: bytes) -> None:
    for read in (options_of_string, options_of_mountinfo):
        try:
            assert b"" not in read(options).lowerdirs
        except MountError as error:
            assert str(error).isprintable()


def test_all_options_of_a_string() -> None:
    read = options_of_string(
        b"rw,,userxattr,lowerdir=/a\\:b:c::/d\\\\e,upperdir=/u:1\\,2,workdir=/w,redirect_dir=off,"
        b"metacopy=on,volatile,index=off"
    )
    assert read == OverlayOptions(
        lowerdirs=(b"/a:b", b"c"),
        data_lowerdirs=(b"/d\\e",),
        upperdir=b"/u:1,2",
        workdir=b"/w",
        userxattr=True,
        redirect_dir="off",
        metacopy=True,
        volatile=True,
        others=(b"rw", b"index=off"),
    )


def test_mountinfo_of_a_recent_kernel() -> None:
    read = options_of_mountinfo(
        b"rw,lowerdir=/T/a\\040b:/T/c\\134:d:/T/e\\134\\054f:/T/g\\134\\134h,upperdir=u,"
        b"workdir=w,redirect_dir=nofollow,metacopy=off,fsync=volatile,userxattr"
    )
    assert read.lowerdirs == (b"/T/a b", b"/T/c:d", b"/T/e,f", b"/T/g\\h")
    assert read.volatile and read.userxattr and read.metacopy is False
    assert read.redirect_dir == "nofollow"


def test_the_last_lowerdir_wins() -> None:
    assert options_of_string(b"lowerdir=/a,lowerdir=/b:/c").lowerdirs == (b"/b", b"/c")
    assert options_of_string(b"lowerdir+=/a,lowerdir=/b").lowerdirs == (b"/b",)


@pytest.mark.parametrize(
    "options",
    [
        b"lowerdir=:/a",
        b"lowerdir=\\",
        b"lowerdir=/a:",
        b"lowerdir=/a::",
        b"lowerdir=/a:::/b",
        b"lowerdir=/a::/b:/c",
        b"lowerdir=/a,lowerdir+=/b",
        b"datadir+=/a,lowerdir+=/b",
        b"lowerdir+=",
    ],
)
def test_what_the_kernel_refuses(options: bytes) -> None:
    with pytest.raises(MountError):
        options_of_string(options)


def test_a_containerd_mount_is_read_as_when_it_is_mounted() -> None:
    mount = Mount("overlay", b"overlay", (b"index=off", b"lowerdir=/a\\:b:/c", b"upperdir=/u\\,v"))
    read = options_of_mount(mount)
    assert (read.lowerdirs, read.upperdir) == ((b"/a:b", b"/c"), b"/u,v")
    with pytest.raises(MountError, match="type bind"):
        options_of_mount(Mount("bind", b"/a"))
