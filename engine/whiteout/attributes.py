"""What well-known extended attributes say, in words: overlayfs' own, capabilities, ACLs.

Sources: the kernel's ``fs/overlayfs/overlayfs.h`` (``struct ovl_fb``, ``struct ovl_metacopy``),
``Documentation/filesystems/overlayfs.rst`` and ``include/uapi/linux/posix_acl_xattr.h``. All text
given here is printable.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

from whiteout.capabilities import parse_capability
from whiteout.display import display_name
from whiteout.marks import TRUSTED_PREFIX, USER_PREFIX
from whiteout.xattrs import CAPABILITY, Xattr

#: How many bytes of a value are shown as they are, and how much text of a decoded one.
LONGEST = 256
_LONGEST_TEXT = 1024

_OVERLAY = {
    "opaque": "overlayfs: y hides everything that the lower layers have in this directory;"
    " x says that attributes in it stand for whiteouts",
    "redirect": "overlayfs: the directory was renamed; its entries below are found under this name",
    "metacopy": "overlayfs: only the metadata was copied up, the content is still in a lower layer",
    "origin": "overlayfs: the file handle of what this was copied up from",
    "impure": "overlayfs: the directory may hold entries that were copied up (y)",
    "nlink": "overlayfs: how the number of hard links differs from that of the copy",
    "upper": "overlayfs: the file handle of the upper directory that an index entry stands for",
    "whiteout": "overlayfs: an empty file with this attribute is a whiteout",
    "uuid": "overlayfs: the identity of the mount, kept for a stable fsid",
    "protattr": "overlayfs: flags such as immutable, which the lower file had",
    "index": "overlayfs: marks the directory of the index",
}
#: What nested overlays write is escaped by the one around them.
_NESTED = "overlay."
#: BuildKit's ``checkOpaque`` (``util/overlay/overlay_linux.go``) reads either namespace.
_USER_OPAQUE = (
    "; BuildKit takes it in every upper directory, the kernel only with the option userxattr"
)
_OTHERS = {
    CAPABILITY: "what the file may do beyond its user's rights; the one attribute that a layer"
    " keeps",
    "system.posix_acl_access": "the access control list; a layer does not keep it",
    "system.posix_acl_default": "the access control list of new entries; a layer does not keep it",
    "security.selinux": "the SELinux label; a layer does not keep it",
}
_ACL_TAGS = {1: "user", 2: "user", 4: "group", 8: "group", 16: "mask", 32: "other"}
_HANDLE_MAGIC = 0xFB


def attribute_meaning(name: bytes) -> str:
    """What the attribute *name* is for, and whether a layer keeps it."""
    text = name.decode("utf-8", "replace")
    mark = overlay_mark(name)
    if mark is not None:
        if mark.startswith(_NESTED):
            return "overlayfs: a mark of an overlay inside of this one, and none here"
        meaning = _OVERLAY.get(mark, "overlayfs: a mark of its own")
        return meaning + _USER_OPAQUE if text == USER_PREFIX + "opaque" else meaning
    return _OTHERS.get(text, "a layer does not keep it")


def mark_lines(attributes: Iterable[Xattr]) -> list[str]:
    """What overlayfs wrote beside an entry, a line for each of its *attributes*; none where there
    are none of its own."""
    lines = [
        f"  {display_name(each.name)} = {attribute_text(each.name, each.value)}"
        f" ({attribute_meaning(each.name).removeprefix('overlayfs: ')})"
        for each in attributes
        if overlay_mark(each.name) is not None
    ]
    if lines:
        lines.insert(0, "Attributes of overlayfs on the entry, none of which is in the layer:")
    return lines


def overlay_mark(name: bytes) -> str | None:
    """The mark that overlayfs keeps in the attribute *name*, None when it is not overlayfs'."""
    for prefix in (TRUSTED_PREFIX, USER_PREFIX):
        if name.startswith(prefix.encode()):
            return name[len(prefix) :].decode("utf-8", "replace")
    return None


def attribute_text(name: bytes, value: bytes) -> str:
    """The *value* of the attribute *name*, decoded where its form is known; of bounded length."""
    mark = overlay_mark(name)
    key = f"overlay.{mark}" if mark is not None else name.decode("utf-8", "replace")
    decode = _DECODERS.get(key)
    if decode is None:
        return _plain(value)
    try:
        text = decode(value)
    except (ValueError, struct.error):
        return f"{_plain(value)} (malformed)"
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def capability_text(value: bytes) -> str:
    """A raw ``security.capability`` in words: ``cap_net_raw=ep (revision 2)``.

    Raises:
        ValueError: it is none.
    """
    found = parse_capability(value)
    root = "" if found.root_id is None else f", root is user {found.root_id}"
    return f"{found.text} (revision {found.revision}{root})"


def acl_text(value: bytes) -> str:
    """A POSIX access control list as ``getfacl`` writes it, in one line.

    Raises:
        ValueError: it is none.
    """
    if len(value) < 4 or (len(value) - 4) % 8 or value[:4] != b"\2\0\0\0":
        raise ValueError("no access control list of version 2")
    entries = []
    for tag, rights, number in struct.iter_unpack("<HHI", value[4:]):
        if tag not in _ACL_TAGS:
            raise ValueError(f"tag {tag}")
        who = str(number) if tag in (2, 8) else ""
        letters = "".join(
            letter if rights & bit else "-" for bit, letter in ((4, "r"), (2, "w"), (1, "x"))
        )
        entries.append(f"{_ACL_TAGS[tag]}:{who}:{letters}")
    return ",".join(entries)


def _handle_text(value: bytes) -> str:
    """``struct ovl_fb``: a file handle, and the filesystem that it belongs to."""
    if not value:
        return "(empty: no file handle could be made)"
    _, magic, length, _, kind, filesystem = struct.unpack("<BBBBB16s", value[:21])
    if magic != _HANDLE_MAGIC or length != len(value):
        raise ValueError("no file handle")
    return f"file handle {value[21:].hex()} of type {kind}, filesystem {_uuid_text(filesystem)}"


def _metacopy_text(value: bytes) -> str:
    if not value:
        return "(empty)"
    _, length, _, algorithm = struct.unpack("<BBBB", value[:4])
    if length != len(value):
        raise ValueError("no fs-verity digest")
    if not algorithm:
        return "(without a digest)"
    return f"fs-verity digest {value[4:].hex()}, algorithm {algorithm}"


def _uuid_text(value: bytes) -> str:
    from uuid import UUID

    return str(UUID(bytes=value))


def _plain(value: bytes) -> str:
    shown = display_name(value[:LONGEST]) or "(empty)"
    return shown if len(value) <= LONGEST else f"{shown}… ({len(value):,} bytes)"


_DECODERS: dict[str, Callable[[bytes], str]] = {
    CAPABILITY: capability_text,
    "system.posix_acl_access": acl_text,
    "system.posix_acl_default": acl_text,
    "overlay.origin": _handle_text,
    "overlay.upper": _handle_text,
    "overlay.metacopy": _metacopy_text,
    "overlay.uuid": _uuid_text,
}
