"""The words of overlayfs and of OCI images that the app uses, each explained once.

A term says what the kernel or OCI call the thing, what it is, where the demo shows it, and where
to read on. :func:`term_named` finds the term that a word stands for.
"""

from __future__ import annotations

from dataclasses import dataclass

_OVERLAYFS = "Linux, Documentation/filesystems/overlayfs.rst"
_LAYER = "OCI image-spec, layer.md"
_CONFIG = "OCI image-spec, config.md"
_DESCRIPTOR = "OCI image-spec, descriptor.md"
_CONTAINERD = "containerd, docs/content-flow.md"


@dataclass(frozen=True, slots=True)
class Term:
    """One word of the glossary.

    ``own`` is what the kernel or OCI call it, ``example`` a path of the demo that shows it,
    ``reading`` the document to read on in. ``words`` are further words that mean the same, ``see``
    the names of related terms.
    """

    name: str
    own: str
    meaning: str
    reading: str
    example: bytes | None = None
    example_note: str = ""
    words: tuple[str, ...] = ()
    see: tuple[str, ...] = ()


TERMS: tuple[Term, ...] = (
    Term(
        "overlayfs",
        "mount -t overlay -o lowerdir=…,upperdir=…,workdir=…",
        "A filesystem of the kernel that lays directories over each other: a writable upper one "
        "over read-only lower ones. What is written goes to the upper directory; the lower ones "
        "never change. Containers and image builds keep their layers this way.",
        _OVERLAYFS,
        b"/etc",
        "etc/untouched.conf comes from a lower layer, etc/added.conf from the upper directory.",
        words=("overlay", "union mount"),
        see=("upperdir", "lowerdir", "merged directory"),
    ),
    Term(
        "upperdir",
        "mount option upperdir=",
        "The directory on top, which takes everything that is written: new files, copies of "
        "changed ones, whiteouts. To read it is to know what the snapshot changed, and so "
        "BuildKit's overlay differ reads nothing else in full.",
        f"{_OVERLAYFS}, “Upper and Lower”",
        b"/etc/added.conf",
        words=("upper", "upper directory"),
        see=("lowerdir", "copy-up", "differ"),
    ),
    Term(
        "lowerdir",
        "mount option lowerdir=TOP:…:BOTTOM",
        "The directories below the upper one, read-only, the topmost first. Where several hold a "
        "file of the same name, the topmost is seen.",
        f"{_OVERLAYFS}, “Multiple lower layers”",
        b"/back-to-the-oldest-version.txt",
        "The demo has two lower layers, and each holds another version of this file.",
        words=("lower", "lower layer", "lower directory"),
        see=("upperdir", "base"),
    ),
    Term(
        "workdir",
        "mount option workdir=",
        "An empty directory on the upper directory's filesystem, in which the kernel prepares "
        "what then appears in the upper directory at once. Nothing in it belongs to the snapshot.",
        f"{_OVERLAYFS}, “Directories”",
        see=("upperdir",),
    ),
    Term(
        "base",
        "the lower mounts of a snapshot: what the overlay showed before anything was written",
        "All lower layers together, merged. Changes are what differs from the base. It is not a "
        "word of the kernel; BuildKit calls it the lower side.",
        "BuildKit, util/overlay/overlay_linux.go",
        b"/etc/modified-content.conf",
        see=("lowerdir", "differ"),
    ),
    Term(
        "merged directory",
        "merged directory",
        "A directory that both the upper and a lower layer have. Its names are those of all of "
        "them; its mode, owner and attributes are those of the topmost. In the upper directory "
        "it is often unchanged itself, and is there only for what changed below it.",
        f"{_OVERLAYFS}, “Directories”",
        b"/unchanged-directory",
        words=("merged", "merge"),
        see=("opaque", "copy-up"),
    ),
    Term(
        "whiteout",
        "a character device with the numbers 0/0, or an empty file with the attribute "
        "overlay.whiteout",
        "The mark that a name was deleted. Lower layers cannot be changed, so the upper directory "
        "holds this in place of the name, and the name is not seen any more. In a layer it is an "
        "empty file with .wh. before its name.",
        f"{_OVERLAYFS}, “whiteouts and opaque directories”; {_LAYER}, “Whiteouts”",
        b"/deleted-file.txt",
        words=("whiteouts", ".wh.", "overlay.whiteout"),
        see=("opaque", "layer"),
    ),
    Term(
        "opaque",
        'trusted.overlay.opaque (or user.overlay.opaque) = "y"',
        "An opaque directory hides everything that lower layers have under its name: it was "
        "deleted and made again, or it replaces something that was no directory. A layer could "
        "say so by an entry .wh..wh..opq; BuildKit and Whiteout write a whiteout for each hidden "
        "name instead. The value “x” means something else: the directory holds whiteouts that "
        "are files with an attribute.",
        f"{_OVERLAYFS}, “whiteouts and opaque directories”; {_LAYER}, “Opaque Whiteout”",
        b"/opaque-directory",
        words=("opaque directory", ".wh..wh..opq", "overlay.opaque"),
        see=("whiteout", "ghost"),
    ),
    Term(
        "copy-up",
        "copy_up",
        "Before a file of a lower layer is written to, or its mode or owner changes, the kernel "
        "copies it whole into the upper directory, with its directories. It does so even when "
        "nothing is written in the end, so a copy may be the same as the original.",
        f"{_OVERLAYFS}, “Non-directories”",
        b"/copied-up-but-the-same.txt",
        words=("copy_up", "copied up", "copy up"),
        see=("upperdir", "metacopy", "origin"),
    ),
    Term(
        "redirect",
        "trusted.overlay.redirect; mount option redirect_dir=on",
        "A renamed directory. Instead of copying all that is in it, the kernel notes where it was: "
        "a name beside it, or a path from the root of the overlay. What is below comes from there. "
        "It is read from trusted.* only, so only root can make one.",
        f"{_OVERLAYFS}, “renaming directories”",
        b"/redirect-new-name",
        "Its came-along.txt is still below redirect-old-name in a lower layer.",
        words=("redirect_dir", "overlay.redirect", "renamed directory"),
        see=("merged directory", "trusted attributes"),
    ),
    Term(
        "metacopy",
        "trusted.overlay.metacopy; mount option metacopy=on",
        "A copy-up of metadata alone: after chmod or chown the upper directory holds a file "
        "without its data, which still comes from a lower layer. The layer holds the whole file. "
        "It is read from trusted.* only, so only root can make one.",
        f"{_OVERLAYFS}, “Metadata only copy up”",
        b"/metacopy-only-mode-changed.txt",
        words=("overlay.metacopy", "metadata only copy up"),
        see=("copy-up", "redirect", "data-only layer"),
    ),
    Term(
        "data-only layer",
        "data-only lower layer: lowerdir=…::DIR",
        "A lower layer whose names are never seen; it only holds the data of files that are "
        "metacopies in the layers above it.",
        f"{_OVERLAYFS}, “Data-only lower layers”",
        see=("metacopy", "lowerdir"),
    ),
    Term(
        "origin",
        "trusted.overlay.origin",
        "An attribute on what was copied up: the file handle of the original in the lower layer. "
        "The kernel uses it to keep inode numbers constant. It says nothing of what changed and "
        "is in no layer.",
        f"{_OVERLAYFS}; Linux, fs/overlayfs/overlayfs.h, OVL_XATTR_ORIGIN",
        words=("overlay.origin",),
        see=("copy-up", "impure"),
    ),
    Term(
        "impure",
        "trusted.overlay.impure",
        "An attribute on a directory of the upper directory that holds entries which came from a "
        "lower layer (with an origin). The kernel uses it for the inode numbers in its listings. "
        "It says nothing of what changed and is in no layer.",
        "Linux, fs/overlayfs/overlayfs.h, OVL_XATTR_IMPURE",
        words=("overlay.impure",),
        see=("origin",),
    ),
    Term(
        "trusted attributes",
        "extended attributes trusted.* and, on a mount with the option userxattr, user.*",
        "overlayfs keeps its marks in extended attributes named overlay.…. Those in trusted.* are "
        "seen only with CAP_SYS_ADMIN in the initial user namespace: to everybody else they are "
        "absent, and deleted files seem to be there. Mounts without root use user.overlay.*.",
        f"xattr(7), “Trusted extended attributes”; {_OVERLAYFS}",
        b"/opaque-directory",
        "The demo uses trusted.overlay.* where root builds it, and user.overlay.* for others.",
        words=("xattr", "extended attribute", "userxattr", "trusted", "overlay attribute"),
        see=("opaque", "whiteout"),
    ),
    Term(
        "hard link",
        "link(2); st_nlink > 1",
        "A file with more than one name. A layer holds the content under the first name; the "
        "others are links to it. A copy-up breaks the link to names that stay in a lower layer, "
        "unless the overlay was mounted with index=on.",
        f"{_LAYER}, “Hardlinks”",
        b"/hard-links/second-name.txt",
        words=("hardlink", "hard-linked", "linked", "nlink", "st_nlink"),
        see=("copy-up", "kind", "index"),
    ),
    Term(
        "kind",
        "ChangeKind of continuity: add, modify, delete, unmodified",
        "What becomes of an entry: A added, M modified, D deleted, U unmodified but another name "
        "of a file that is recorded, · skipped: not recorded at all.",
        "containerd/continuity, fs/diff.go",
        b"/etc",
        words=("change kind", "added", "modified", "deleted", "unmodified"),
        see=("skipped", "differ"),
    ),
    Term(
        "skipped",
        "not recorded",
        "It is in the upper directory, yet it is no change: the same as in the base, or a "
        "whiteout with nothing to delete. A skipped directory still gets an entry in the layer, "
        "if something below it is recorded.",
        "BuildKit, util/overlay/overlay_linux.go, sameDirent",
        b"/touched-directory",
        words=("unchanged", "same"),
        see=("kind", "copy-up", "merged directory"),
    ),
    Term(
        "ghost",
        "not a word of the kernel",
        "What a whiteout or an opaque directory took away: it is still in a lower layer and may "
        "be looked at, but it is gone from the snapshot. The layer needs no entry for it.",
        _OVERLAYFS,
        b"/deleted-directory/file.txt",
        words=("ghosts", "removed"),
        see=("whiteout", "opaque"),
    ),
    Term(
        "differ",
        "overlay differ; double walk (continuity's fs.Changes)",
        "What finds the changes. The overlay differ reads the upper directory and looks each "
        "entry up in the base. The walking differ lists both whole trees and compares them name "
        "by name, which is slower and needs no upper directory.",
        "BuildKit, util/overlay/overlay_linux.go; containerd/continuity, fs/diff.go",
        see=("base", "upperdir", "snapshot"),
    ),
    Term(
        "snapshot",
        "containerd snapshot: a list of mounts",
        "The state of a filesystem over a parent: of a running container, of a step of a build. "
        "For the overlay snapshotter it is an upper directory and the lower ones it stands on.",
        "containerd, docs/snapshotters/README.md",
        words=("snapshotter",),
        see=("upperdir", "layer"),
    ),
    Term(
        "layer",
        "layer filesystem changeset",
        "A tar archive of changes: entries for what was added or modified, whiteouts for what "
        "was deleted. Unpacked over its base it gives the snapshot again. Stored, it is mostly "
        "compressed.",
        _LAYER,
        words=("layers", "changeset"),
        see=("whiteout", "diffID", "digest", "media type"),
    ),
    Term(
        "diffID",
        "diff_id: the digest of the uncompressed layer",
        "sha256 over the layer's tar before compression. However a layer is compressed, its "
        "diffID stays the same; Whiteout's is the one that BuildKit computes.",
        f"{_CONFIG}, “Layer DiffID”",
        words=("diff_id", "diff id"),
        see=("digest", "layer"),
    ),
    Term(
        "digest",
        "digest: algorithm “:” encoded",
        "sha256 over the bytes of a blob as it is stored, compressed. It is the blob's name in a "
        "store and in a registry. Another compression gives another digest.",
        f"{_DESCRIPTOR}, “Digests”",
        words=("sha256",),
        see=("diffID", "blob", "descriptor"),
    ),
    Term(
        "blob",
        "blob: blobs/<algorithm>/<encoded>",
        "Bytes in a content store, found by their digest: a compressed layer, a manifest, the "
        "configuration of an image.",
        "OCI image-spec, image-layout.md",
        see=("digest", "store"),
    ),
    Term(
        "descriptor",
        "content descriptor: mediaType, digest, size, annotations",
        "The small JSON object by which a manifest refers to a blob: what it is, its digest, how "
        "many bytes. With these three a client can fetch and check it.",
        _DESCRIPTOR,
        words=("content descriptor",),
        see=("media type", "digest", "manifest"),
    ),
    Term(
        "media type",
        "application/vnd.oci.image.layer.v1.tar, …+gzip, …+zstd",
        "The name of a format. That of a layer says how the tar is compressed.",
        "OCI image-spec, media-types.md",
        words=("mediatype", "media_type"),
        see=("descriptor", "layer"),
    ),
    Term(
        "manifest",
        "image manifest",
        "The JSON document that makes an image: a descriptor of its configuration and one of "
        "each layer, the base first. A tag names a manifest.",
        "OCI image-spec, manifest.md",
        words=("image manifest", "image"),
        see=("descriptor", "tag"),
    ),
    Term(
        "tag",
        "annotation org.opencontainers.image.ref.name",
        "A name that leads to a manifest, such as “latest”. In an OCI image layout it is an "
        "annotation in index.json.",
        "OCI image-spec, image-layout.md and annotations.md",
        see=("manifest", "ref", "store"),
    ),
    Term(
        "store",
        "content store; OCI image layout",
        "A directory that holds blobs by their digest. Whiteout's is an OCI image layout "
        "(oci-layout, index.json, blobs/), which skopeo, umoci and others read.",
        "OCI image-spec, image-layout.md; containerd, docs/content-flow.md",
        words=("content store", "layout", "oci layout"),
        see=("blob", "ingest", "label"),
    ),
    Term(
        "ingest",
        "ingest: a write to the content store that is not committed yet",
        "Bytes on their way into a store. They become a blob only by the commit, which checks "
        "size and digest; until then nobody can take them for whole.",
        _CONTAINERD,
        see=("ref", "store"),
    ),
    Term(
        "ref",
        "ref: the key of an ingest",
        "The name under which a write to the store is known and locked: two writers with the same "
        "ref exclude each other. The default is made from the snapshot and the media type. It is "
        "not the tag of an image.",
        _CONTAINERD,
        words=("reference",),
        see=("ingest", "tag"),
    ),
    Term(
        "label",
        "label: a key and a value on a blob, kept beside it",
        "What a content store notes about a blob without changing it. containerd.io/uncompressed "
        "holds the diffID of a compressed layer.",
        _CONTAINERD,
        words=("labels", "containerd.io/uncompressed"),
        see=("diffID", "store"),
    ),
    Term(
        "xattr whiteout",
        "an empty file with the attribute overlay.whiteout, in a directory with overlay.opaque=x",
        "A whiteout where no device 0:0 can be: in a layer that lies on an overlay itself. Linux "
        "6.7 and later take it for one. BuildKit's overlay differ does not and fails; here it "
        "deletes, as the kernel has it.",
        f"{_OVERLAYFS}, “Nesting overlayfs mounts”",
        b"/whiteout-attributes/deleted-by-attribute.txt",
        words=("whiteout attribute", "opaque=x", "xwhiteout"),
        see=("whiteout", "escaped attribute"),
    ),
    Term(
        "escaped attribute",
        "trusted.overlay.overlay.* (or user.overlay.overlay.*)",
        "A mark of overlayfs in a layer that lies on another overlay. The outer mount keeps it "
        "under a longer name, so that it is not taken for a mark of its own, and shows it under "
        "the short one. Each nesting adds one more “overlay.”.",
        f"{_OVERLAYFS}, “Nesting overlayfs mounts”",
        words=("escaped", "overlay.overlay", "trusted.overlay.overlay"),
        see=("trusted attributes", "xattr whiteout"),
    ),
    Term(
        "index",
        "mount option index=on; directory index in the workdir",
        "A directory in the workdir, where the kernel notes which file of a lower layer was copied "
        "up, so that its other hard links stay links. BuildKit and containerd mount with "
        "index=off, so a copy-up breaks them.",
        f"{_OVERLAYFS}, “Index”",
        words=("index=on", "index=off", "inode index"),
        see=("hard link", "workdir", "origin"),
    ),
    Term(
        "volatile",
        "mount option volatile",
        "A mount that never waits for the disk. Builds use it for speed. After a crash the upper "
        "directory may be damaged, so the kernel refuses to mount it again while the workdir holds "
        "the mark incompat/volatile.",
        f"{_OVERLAYFS}, “Volatile mount”",
        words=("incompat",),
        see=("workdir", "upperdir"),
    ),
    Term(
        "id map",
        "id-mapped mount; uid_map and gid_map of a user namespace",
        "How the ids of owners on disk become those that the container sees: with rootless engines "
        "root of the container owns its files as another user of the host. A layer holds the ids "
        "that the container sees.",
        "user_namespaces(7), “User and group ID mappings”; mount_setattr(2), “ID-mapped mounts”",
        words=("idmap", "id mapping", "uid map", "--uidmap", "--gidmap"),
        see=("layer", "snapshot"),
    ),
    Term(
        "PAX",
        "pax extended header (POSIX.1-2001), type flag x",
        "Records before a tar entry for what its header cannot hold: long names, names that are "
        "not ASCII, large numbers, the file capability (SCHILY.xattr.security.capability).",
        "POSIX, pax, “pax Extended Header”",
        b"/odd-names/not-utf-8-\xff\xfe",
        words=("pax record", "pax records", "pax header"),
        see=("layer", "capability"),
    ),
    Term(
        "capability",
        "extended attribute security.capability",
        "What a program may do without being root, kept with the file. It is the one extended "
        "attribute that BuildKit's differ compares and writes to the layer; all others are lost.",
        "capabilities(7), “File capabilities”",
        b"/capability-gained",
        words=("capabilities", "security.capability", "setcap"),
        see=("PAX", "trusted attributes"),
    ),
)

_BY_WORD = {word.lower(): term for term in TERMS for word in (term.name, *term.words)}


def term_named(word: str) -> Term | None:
    """The term whose name, or one of whose other words, *word* is; None where there is none."""
    return _BY_WORD.get(word.strip().lower())
