"""Well-formed beginnings for each target, from which the fuzzers set out."""

from __future__ import annotations

import io
import struct
import tarfile

_MOUNT = (
    rb"45 27 0:39 / /m\0401 rw,relatime shared:1 - overlay overlay rw,lowerdir=/l\0401:l\134:2::d,"
    rb"upperdir=/u,workdir=/w,redirect_dir=on,metacopy=on,uuid=on,userxattr,fsync=volatile"
)
_APPENDED = rb"84 1 0:9 /sub /m rw - overlay none ro,lowerdir+=/a:b,lowerdir+=/c\054d,datadir+=/e"
_PAIR = (
    b'{"lower":[{"Type":"bind","Source":"/l","Options":["ro","rbind"]}],"upper":[{"Type":"overlay",'
    b'"Source":"overlay","Options":["workdir=/w","upperdir=/u","lowerdir=/l","index=off"]}]}'
)
_INDEX = (
    b'{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",'
    b'"digest":"sha256:' + b"0" * 64 + b'","size":7,"annotations":'
    b'{"org.opencontainers.image.ref.name":"latest"}}]}'
)


def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind in (("d", tarfile.DIRTYPE), ("d/f", tarfile.REGTYPE), ("é" * 99, b"2")):
            member = tarfile.TarInfo(name)
            member.type = kind
            member.mtime = 1.5
            member.pax_headers = {"SCHILY.xattr.security.capability": "v"}
            if kind == tarfile.REGTYPE:
                member.size = 3
                archive.addfile(member, io.BytesIO(b"abc"))
            else:
                archive.addfile(member)
    return out.getvalue().rstrip(b"\0").ljust(8192, b"\0")


def _image() -> bytes:
    """An archive as ``docker save`` writes it, of an image without layers."""
    manifest = b'[{"Config":"config.json","RepoTags":["a:1"],"Layers":[]}]'
    config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in (("manifest.json", manifest), ("config.json", config)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _database() -> bytes:
    """Two meta pages, a leaf as root with an inline bucket, a value, and a branch."""
    pages = bytearray(5 * 4096)
    for number in (0, 1):
        at = 4096 * number
        struct.pack_into("<QHHI", pages, at, number, 4, 0, 0)
        struct.pack_into("<IIIIQQQQQ", pages, at + 16, 0, 0, 0, 0, 3, 0, 2, 5, 7 + number)
    inline = struct.pack("<QQ", 0, 0) + struct.pack("<QHHI", 0, 2, 1, 0)
    inline += struct.pack("<IIII", 0, 16, 2, 3) + b"idabc"
    struct.pack_into("<QHHI", pages, 3 * 4096, 3, 2, 2, 0)
    keys = b"v1" + inline + b"x" + b"value"
    struct.pack_into("<IIII", pages, 3 * 4096 + 16, 1, 32, 2, len(inline))
    struct.pack_into("<IIII", pages, 3 * 4096 + 32, 0, 16 + 2 + len(inline), 1, 5)
    pages[3 * 4096 + 48 : 3 * 4096 + 48 + len(keys)] = keys
    struct.pack_into("<QHHI", pages, 4 * 4096, 4, 1, 1, 0)
    struct.pack_into("<IIQ", pages, 4 * 4096 + 16, 16, 1, 3)
    return bytes(pages)


SEEDS: dict[str, tuple[bytes, ...]] = {
    "mountinfo": (_MOUNT + b"\n" + _APPENDED + b"\n",),
    "mount_options": (rb"lowerdir=/a\:b:/c\,d::/e,upperdir=/u,userxattr,redirect_dir=on", _MOUNT),
    "mounts_json": (_PAIR,),
    "database": (_database(),),
    "tar": (_tar(),),
    "layer_archive": (_tar(),),
    "image_archive": (_image(),),
    "documents": (
        b'{"ID":"a","Name":"/web","State":{"Pid":7},"Repositories":{"a":{"a:1":"sha256:0"}}}',
        b'[{"id":"a","names":["web"],"uidmap":[{"container_id":0,"host_id":1,"size":2}]}]',
    ),
    "index_json": (_INDEX,),
    "attributes": (b"/a/b", b"0:100000:65536", struct.pack("<IIIIII", 0x03000001, 1, 2, 3, 4, 5)),
    "names": (b"a\x1b[31mb\n\xff\xe2\x80\xae", "é日本".encode()),
    "questions": (b"kind:A,M size:>10M name:*.py flag:opaque -type:dir", b"(a|b)+\\.c$"),
}
