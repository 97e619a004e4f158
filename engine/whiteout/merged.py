"""The merged view of a stack of layers, computed in user space: nothing is mounted.

A name is looked up in the layers from the top down as the kernel's ``ovl_lookup`` does
(``fs/overlayfs/namei.c``): a whiteout ends the search, an opaque directory ends it below, a
redirect changes the name to look for, and a metacopy takes its data from further down. Each
:class:`MergedDirectory` keeps the list of the layers that take part in it, so that a lookup costs
one ``lstat`` a layer.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Collection, Iterator, Sequence

from whiteout import xattrs
from whiteout.comparison import told_apart
from whiteout.display import display_path
from whiteout.entries import OVERFLOW_ID, Entry, is_whiteout_device
from whiteout.errors import ReadError
from whiteout.following import FOLLOW_ALL, Following
from whiteout.layers import Directories, Directory, Layer, Marks, PlainFile
from whiteout.marks import UNMARKED, EntryMarks, has_whiteout, read_marks, redirected
from whiteout.names import keep_names, lookup_in
from whiteout.typed import NamedTuple
from whiteout.verity import problem_of

_PLAIN = Marks.PLAIN
#: From how many look-ups on it pays to list the directory of each layer first.
_MANY_LOOKUPS = 4
#: Up to how many it pays to remember which part has which name.
_FEW_LOOKUPS = 1 << 10


class Part(NamedTuple):
    """A directory of one layer that takes part in a merged directory."""

    layer: int
    marks: Marks
    directory: Directory


class PlainChild(NamedTuple):
    """A directory that is made of plain ones, and its status; None where no part has it."""

    directory: MergedDirectory
    status: os.stat_result | None


class MergedView:
    """A read-only view of layers, given topmost first, and of data-only layers below them.

    Layers are numbered from the bottom, beginning at 0; data-only layers have no number.
    *following* tells what the mount follows; what it does not is an error, as it is to the kernel.

    With *opens_files* a file of a directory that was listed is opened when it is looked up, and not
    a second time for its attributes and its content. The pool closes it with the files that it
    holds, unless :meth:`Node.open_file` took it. With *guarded* the topmost layer is opened so that
    nothing but reading is possible (:mod:`whiteout.layerroots`).

    Raises:
        ReadError: a layer cannot be opened.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        pool: Directories,
        data_layers: Sequence[Layer] = (),
        following: Following = FOLLOW_ALL,
        *,
        opens_files: bool = False,
        guarded: bool = False,
    ) -> None:
        top = len(layers) - 1
        parts = tuple(
            Part(top - position, layer.marks, pool.root(layer, guarded=guarded and not position))
            for position, layer in enumerate(layers)
        )
        self.root = MergedDirectory(self, parts)
        self.data_roots = tuple(pool.root(layer) for layer in data_layers)
        self.pool = pool
        self.opens_files = opens_files
        self.following = following
        self.upper = top if following.top_is_upper else None
        self.goes_elsewhere = following.redirects or bool(data_layers)

    def check_followed(self, node: Node, *, redirect: bool, metacopy: bool) -> None:
        """Refuse *node* where the kernel does: it has a mark that the mount does not follow.

        Raises:
            ReadError: the mark is not followed.
        """
        if redirect and not self.following.redirects:
            what, option = "was renamed, and its redirect", "redirect_dir"
        elif metacopy and not self.following.metacopy:
            what, option = "holds metadata only, and its metacopy mark", "metacopy"
        else:
            return
        raise ReadError(
            f"{display_path(node.path)} {what} is not followed by this mount, so the kernel refuses"
            f" to show it; mount the layers with {option}=on to see it",
            node.path,
        )

    def find(self, path: bytes) -> Node | None:
        """The entry at the absolute *path*, or None; the root has no entry.

        Raises:
            OSError: a layer cannot be read on the way.
        """
        directory: MergedDirectory | None = self.root
        node: Node | None = None
        for name in filter(None, path.split(b"/")):
            if directory is None or (node := directory.lookup(name)) is None:
                return None
            directory = node.open_directory() if node.is_directory else None
        return node


class MergedDirectory:
    """One directory of the view: the parts of it, topmost first."""

    __slots__ = ("_parts_with", "parts", "view")

    def __init__(self, view: MergedView, parts: tuple[Part, ...]) -> None:
        self.view = view
        self.parts = parts
        self._parts_with: dict[bytes, list[int]] | None = None

    def top(self) -> MergedDirectory:
        """The directory as its topmost layer alone holds it."""
        return MergedDirectory(self.view, self.parts[:1])

    def has_parts_of(self, other: MergedDirectory) -> bool:
        """Whether *other* is made of the same directories of the same layers, and shows the same.

        Layers are numbered alike in two views when one is the lower part of the other.
        """
        return len(self.parts) == len(other.parts) and all(
            (mine.layer, mine.marks) == (its.layer, its.marks)
            and mine.directory.path == its.directory.path
            for mine, its in zip(self.parts, other.parts, strict=True)
        )

    def expect(self, lookups: int) -> bool:
        """Prepare for that many calls of :meth:`lookup`, and tell whether all is known by now that
        is not there (:meth:`surely_lacks`).

        Raises:
            OSError: a layer cannot be listed.
        """
        if lookups < _MANY_LOOKUPS:
            return not self.parts
        known = [part.directory.expect(lookups) for part in self.parts]
        if None in known:
            return False
        if len(known) > 1 and lookups <= _FEW_LOOKUPS:
            holders: dict[bytes, list[int]] = {}
            for position, names in enumerate(known):
                for name in names or ():
                    holders.setdefault(name, []).append(position)
            self._parts_with = holders
        return True

    def holds_directory(self, name: bytes) -> bool:
        """Whether *name* was listed as a directory in the topmost part."""
        return self.parts[0].directory.holds_directory(name)

    def count_directories(self) -> int:
        """How many directories were listed in the topmost part; not every one is remembered."""
        return self.parts[0].directory.count_directories()

    def plain_child(self, name: bytes) -> PlainChild | None:
        """The directory *name*, where each part that has the name has a plain directory; else None.

        What :meth:`lookup` and :meth:`Node.open_directory` give, in fewer steps. None also where
        one of them cannot be read.
        """
        parts: list[Part] = []
        shown: os.stat_result | None = None
        for position in self._positions_of(name):
            layer, marks, directory = self.parts[position]
            try:
                child = directory.plain_child(name)
                if child is None:
                    break
                parts.append(Part(layer, marks, child))
                if shown is None and (shown := child.mapped_status()) is None:
                    break
            except FileNotFoundError:
                continue
            except (OSError, ReadError):
                break
        else:
            return PlainChild(MergedDirectory(self.view, tuple(parts)), shown)
        for part in parts:
            part.directory.close()
        return None

    def read_plain_files(self, names: Sequence[bytes], *, content: bool = True) -> list[PlainFile]:
        """The first of *names* in the topmost part, where they are plain files.

        See :meth:`whiteout.layers.Directory.read_plain_files`.
        """
        return self.parts[0].directory.read_plain_files(names, content=content)

    def surely_lacks(self, name: bytes) -> bool:
        """Whether it is known without a look that no part has *name* (:meth:`expect`)."""
        if self._parts_with is not None:
            return name not in self._parts_with
        return all(part.directory.surely_lacks(name) for part in self.parts)

    def count_same_files(self, base: MergedDirectory, names: Sequence[bytes]) -> int:
        """How many of *names*, from the first on, surely are the same plain files in *base*.

        Asked are the topmost parts, see :meth:`whiteout.layers.Directory.count_same_files`.
        """
        if not (self.parts and base.parts):
            return 0
        upper, lower = self.parts[0].directory, base.parts[0].directory
        return upper.count_same_files(lower, names) if type(upper) is type(lower) else 0

    def surely_differs(self, name: bytes, status: os.stat_result) -> bool:
        """Whether *name* is not there, or told apart from the plain file that *status* is of.

        Raises:
            OSError: a layer cannot be read.
        """
        for position in self._positions_of(name):
            found = self.parts[position].directory.lstat(name)
            if found is not None:
                return told_apart(found, status)
        return True

    def _positions_of(self, name: bytes) -> Sequence[int]:
        """The positions of the parts that may have *name*."""
        if self._parts_with is None:
            return range(len(self.parts))
        return self._parts_with.get(name, ())

    def lookup(self, name: bytes) -> Node | None:
        """What the view shows as *name*, or None where there is nothing or a whiteout."""
        for position in self._positions_of(name):
            node = self._node(position, name)
            if node is not None:
                return None if node.is_whiteout(node.part.marks) else node
        return None

    def lookup_raw(self, name: bytes) -> Node | None:
        """What the topmost part holds as *name*, whiteouts included."""
        return self._node(0, name)

    def has_anywhere(self, name: bytes) -> bool:
        """Whether any part holds *name*, be it hidden or a whiteout."""
        return any(part.directory.lstat(name) is not None for part in self.parts)

    def _node(self, position: int, name: bytes) -> Node | None:
        """What one part holds as *name*."""
        directory = self.parts[position].directory
        if self.view.opens_files:
            opened = directory.open_listed_file(name)
            if opened is not None:
                node = Node(self, position, name, opened[1], opened[0])
                self.view.pool.hold_file(node)
                return node
        status = directory.lstat(name)
        return None if status is None else Node(self, position, name, status)

    def names(self) -> Collection[bytes]:
        """The names that the view shows, in byte order.

        :meth:`lookup` may still give None for one: a whiteout in the form of an attribute is not
        told from an empty file before it is looked up.
        """
        if len(self.parts) == 1 and self.parts[0].marks is _PLAIN:
            return self.names_raw()
        return keep_names(name for name, _, whiteout in self._topmost() if not whiteout)

    def names_and_whiteouts(self) -> Collection[bytes]:
        """The names that the view shows and the whiteouts of the topmost part, in byte order."""
        if len(self.parts) == 1:
            return self.names_raw()
        return keep_names(
            name for name, position, whiteout in self._topmost() if not (whiteout and position)
        )

    def names_raw(self) -> Collection[bytes]:
        """The names in the topmost part, in byte order, whiteouts included."""
        return self.parts[0].directory.names()

    def _topmost(self) -> Iterator[tuple[bytes, int, bool]]:
        """Each name of any part, in byte order: the topmost part that has it, and whether it is a
        whiteout there.
        """
        from heapq import merge

        last = None
        for found in merge(*map(self._listing, range(len(self.parts)))):
            if found[0] != last:
                yield found
                last = found[0]

    def _listing(self, position: int) -> Iterator[tuple[bytes, int, bool]]:
        part = self.parts[position]
        whiteouts: Collection[bytes] = ()
        if part.marks is _PLAIN:
            names = part.directory.names()
        else:
            names, whiteouts = part.directory.names_and_whiteouts()
        if len(self.parts) > 1:
            part.directory.expect_only(names)
        hidden = lookup_in(whiteouts)
        return ((name, position, name in hidden) for name in names)

    def close(self) -> None:
        """Give back the descriptors of the parts."""
        for part in self.parts:
            part.directory.close()

    def below(self, node: Node) -> tuple[list[Node], tuple[bytes, ...] | None]:
        """Where the search for *node* goes on in the parts further down.

        Gives the entries found there (directories below a directory, files below a metacopy, down
        to the one with the data), and the path within the data-only layers where the data is, None
        where it is not there. The order of the decisions is that of the kernel's ``ovl_lookup``.

        Raises:
            OSError: a layer cannot be read.
            ReadError: a redirect is malformed, or a mark is one that the mount does not follow.
        """
        found: list[Node] = []
        part = self.parts[node.position]
        if part.layer == 0 and not self.view.data_roots:
            return found, None
        search = _Search((node.name,))
        marks = UNMARKED if part.marks is _PLAIN else node.marks
        if marks.opaque == b"y" or not (node.is_directory or marks.metacopy):
            return found, None
        candidates = deque(self.parts[node.position + 1 :])
        search.metacopy = marks.metacopy and node.is_file
        if candidates or self.view.goes_elsewhere:
            search.follow(0, marks.redirect)
        absolute = False
        while not search.ended:
            if search.is_absolute and not absolute:
                absolute = True
                candidates = deque(p for p in self.view.root.parts if p.layer < part.layer)
            if not candidates:
                break
            search.check(self.view, node)
            part = candidates.popleft()
            if part.directory.surely_lacks(search.components[0]) and len(search.components) == 1:
                continue
            last = part.layer == 0 if self.view.goes_elsewhere else not candidates
            if last and self.view.data_roots and not node.is_directory:
                last = False
            hit = self._below_in(part, search, node.is_directory, last)
            if hit is not None:
                found.append(hit)
        from_lower = bool(found) or node.part.layer != self.view.upper
        if search.metacopy and search.to_data and from_lower and self.view.data_roots:
            return found, search.components
        search.check(self.view, node)
        return found, None

    def _below_in(self, part: Part, search: _Search, is_directory: bool, last: bool) -> Node | None:
        """Walk the components of *search* within one layer, and give what is there.

        Marks in the *last* layer lead nowhere.
        """
        components = search.components
        steps = components if components[0] else components[1:]
        directory = part.directory
        for index, name in enumerate(steps):
            rest = len(steps) - 1 - index
            status = directory.lstat(name)
            if status is None:
                return None
            holder = MergedDirectory(self.view, (Part(part.layer, part.marks, directory),))
            node = Node(holder, 0, name, status)
            wanted = node.is_directory if rest or is_directory else node.is_file
            if not wanted or node.is_whiteout(part.marks):
                search.ended = True
                return None
            marks = UNMARKED if last else node.marks
            if node.is_directory:
                stop = marks.opaque == b"y"
                search.ended |= stop
            else:
                stop = search.ended = not marks.metacopy
                search.metacopy = not stop
            if not (last or stop):
                search.follow(len(search.components) - 1 - rest, marks.redirect)
            if not rest:
                return node
            directory = node.child
        raise AssertionError("a path has at least one component")


class _Search:
    """A search from layer to layer: ``struct ovl_lookup_data`` of ``fs/overlayfs/namei.c``.

    The first of ``components`` is empty when they count from the root of the layers. ``to_data``
    tells that the entry looked at last has an absolute redirect: only then the kernel goes on to
    the data-only layers.
    """

    __slots__ = ("components", "ended", "metacopy", "redirected", "to_data")

    def __init__(self, components: tuple[bytes, ...]) -> None:
        self.components = components
        self.ended = False
        self.metacopy = False
        self.redirected = False
        self.to_data = False

    @property
    def is_absolute(self) -> bool:
        """Whether the components count from the root of the layers."""
        return not self.components[0]

    def follow(self, position: int, redirect: bytes | None) -> None:
        """Go on where *redirect* leads; an absolute one goes on below an opaque directory, too."""
        self.to_data = False
        if redirect is None:
            return
        self.components = redirected(self.components, position, redirect)
        self.redirected = True
        if redirect.startswith(b"/"):
            self.to_data = True
            self.ended = False

    def check(self, view: MergedView, node: Node) -> None:
        """Refuse to go on where the mount does not follow."""
        view.check_followed(node, redirect=self.redirected, metacopy=self.metacopy)


class Node:
    """One entry that a view shows, and the way to its content.

    ``part`` is the part of the directory that provides it. A node is valid as long as the pool of
    its directories. Its methods raise ``OSError``.
    """

    __slots__ = (
        "_child",
        "_file",
        "_marks",
        "_present",
        "directory",
        "is_directory",
        "is_file",
        "name",
        "part",
        "position",
        "status",
    )

    def __init__(
        self,
        directory: MergedDirectory,
        position: int,
        name: bytes,
        status: os.stat_result,
        file: int = -1,
    ) -> None:
        self.directory = directory
        self.position = position
        self.name = name
        self.status = status
        self.part = directory.parts[position]
        self.is_directory = stat.S_ISDIR(status.st_mode)
        self.is_file = stat.S_ISREG(status.st_mode)
        self._file = file
        self._child: Directory | None = None
        self._present: list[str] | None = None
        self._marks: EntryMarks | None = None

    @property
    def entry(self) -> Entry:
        """The entry as data."""
        return Entry(self.status, self.part.layer)

    @property
    def child(self) -> Directory:
        """The directory itself, where it is one, as its own layer holds it."""
        if self._child is None:
            self._child = self.part.directory.child(self.name)
        return self._child

    @property
    def name_on_disk(self) -> bytes:
        """The name that the entry has on disk: another one for a whiteout of fuse-overlayfs."""
        return self.part.directory.name_on_disk(self.name)

    @property
    def path(self) -> bytes:
        """The path on the host, for messages and for people."""
        return os.path.join(self.part.directory.path, self.name_on_disk)

    @property
    def attribute_names(self) -> list[str]:
        """The names of the extended attributes, read once."""
        if self._present is None:
            self._present = self._attribute_names()
        return self._present

    def _attribute_names(self) -> list[str]:
        """Through a descriptor where there is one: a path through ``/proc`` costs eight times."""
        if self._file >= 0:
            return xattrs.names(self._file)
        if self.is_directory:
            try:
                return self.child.own_attribute_names()
            except PermissionError:  # it may not be opened, and yet it can be asked
                pass
        return self.part.directory.attribute_names(self.name)

    @property
    def marks(self) -> EntryMarks:
        """The overlay marks that the layer's namespace gives it, read once."""
        if self._marks is None:
            part = self.part
            self._marks = (
                read_marks(part.directory, self.name, part.marks, self.attribute_names)
                if part.marks is not _PLAIN
                else UNMARKED
            )
        return self._marks

    def is_whiteout(self, marks: Marks) -> bool:
        """Whether it is a whiteout, where *marks* count (:func:`whiteout.marks.is_whiteout`)."""
        if marks is _PLAIN:
            return False
        if self.is_file:
            return not self.status.st_size and has_whiteout(self.attribute_names, marks)
        return is_whiteout_device(self.status)

    def capability(self) -> bytes:
        """The raw ``security.capability``, empty where there is none."""
        present = self.attribute_names
        if xattrs.CAPABILITY not in present:
            return b""
        value = self.part.directory.capability(self.name, present)
        idmap = self.part.directory.idmap
        return value if idmap is None else idmap.capability_to_container(value)

    def owner_on_disk(self) -> tuple[int, int] | None:
        """The user and group id on disk where the container sees other ones, else None."""
        status = self.part.directory.lstat_on_disk(self.name)
        if status is None:
            return None
        on_disk = status.st_uid, status.st_gid
        return None if on_disk == (self.status.st_uid, self.status.st_gid) else on_disk

    def has_unmapped_owner(self) -> bool:
        """Whether the container has no id for the owner or the group."""
        if OVERFLOW_ID not in (self.status.st_uid, self.status.st_gid):
            return False
        return not self.part.directory.has_owner(self.name)

    def readlink(self) -> bytes:
        """The target of the symlink."""
        return self.part.directory.readlink(self.name)

    def open_directory(self) -> MergedDirectory:
        """The directory, merged with those below it."""
        part = self.part
        own = Part(part.layer, part.marks, self.child)
        lower, _ = self.directory.below(self)
        parts = [Part(n.part.layer, n.part.marks, n.child) for n in lower]
        return MergedDirectory(self.directory.view, (own, *parts))

    def open_top(self) -> MergedDirectory:
        """The directory as its own layer alone holds it."""
        part = self.part
        own = Part(part.layer, part.marks, self.child)
        return MergedDirectory(self.directory.view, (own,))

    def open_file(self) -> int:
        """A descriptor for reading the content; that of a metacopy comes from the layers below.

        Raises:
            SnapshotChanged: something else is there by now.
            ReadError: it is a metacopy and no layer has the data, or not those of its digest.
        """
        if self.status.st_size and self.part.marks is not _PLAIN and self.marks.metacopy:
            return self._open_checked_data()
        if self._file >= 0:
            descriptor, self._file = self._file, -1
            return descriptor
        return self.part.directory.open_file(self.name, self.status)

    def close_file(self) -> None:
        """Close the file that was opened at the look-up, unless :meth:`open_file` took it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open_checked_data(self) -> int:
        descriptor = self._open_data()
        try:
            verity = self.directory.view.following.verity
            problem = problem_of(self.marks.digest, descriptor, verity)
            if problem is not None:
                raise ReadError(
                    f"{display_path(self.path)} {problem}, so this mount does not open it"
                    f" (verity={verity.value})",
                    self.path,
                )
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _open_data(self) -> int:
        lower, components = self.directory.below(self)
        if lower and not lower[-1].marks.metacopy:
            return lower[-1].part.directory.open_file(lower[-1].name, lower[-1].status)
        if components is not None:
            for directory in self.directory.view.data_roots:
                for name in components[1:-1]:
                    directory = directory.child(name)
                status = directory.lstat(components[-1])
                if status is not None and stat.S_ISREG(status.st_mode):
                    return directory.open_file(components[-1], status)
        raise ReadError(
            f"{display_path(self.path)} holds metadata only (metacopy) and no lower layer has its"
            " data; give every lower layer",
            self.path,
        )
