"""Random layers with marks made by hand: what we say of them agrees with what the kernel shows.

Two to six layers and up to two data-only layers hold few names, so that they meet, and every mark
that overlayfs knows: whiteouts in both forms, ``opaque`` with ``y`` and ``x``, redirects, metacopy,
in ``trusted.*`` or ``user.*``. They are mounted with random options; nobody made them by writing to
an overlay, so much of it the kernel refuses to show, and then so must we.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from support.apply_layer import apply_layer
from support.copying import copy_tree
from support.detached import detached_overlay
from support.listing import Item, list_tree
from support.views import ALIASED, UNSHOWN, Seen, View, comparable, kernel_view, our_view
from whiteout.errors import ReadError
from whiteout.export import export_to_file
from whiteout.following import Following
from whiteout.layers import Marks
from whiteout.mediatypes import TAR
from whiteout.opening import open_stack
from whiteout.snapshot import Snapshot
from whiteout.sources.stack import LayerStack, StackLayer
from whiteout.verdicts import Reason, Verdict

pytestmark = pytest.mark.root

NAMES = (b"a", b"b", b"c")
SIZE = 5  # of every file that is not empty, so that a metacopy has the size of its data
CONTENTS = (b"one..", b"two..", b"three")
NOTHING = hashlib.sha256().hexdigest()
EXAMPLES = int(os.environ.get("WHITEOUT_TEST_EXAMPLES", "120"))


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a layer: ``kind`` is a type, or a mark that is an entry of its own."""

    kind: str
    content: bytes = b""
    opaque: bytes = b""
    redirect: bytes = b""
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Directory(Entry):
    entries: tuple[tuple[bytes, Entry], ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    layers: tuple[Directory, ...]
    data: tuple[Directory, ...]
    has_upper: bool
    userxattr: bool
    redirect_dir: str
    metacopy: str


names = st.sampled_from(NAMES)
absolute = st.lists(names, min_size=1, max_size=3).map(lambda parts: b"/" + b"/".join(parts))
redirects = st.one_of(st.just(b""), names, absolute)
modes = st.sampled_from((0o644, 0o600))
plain = st.one_of(
    st.builds(Entry, st.just("file"), st.sampled_from(CONTENTS), mode=modes),
    st.sampled_from((Entry("empty"), Entry("symlink"), Entry("fifo"))),
)
marked = st.one_of(
    plain,
    st.just(Entry("whiteout")),
    st.just(Entry("xattr whiteout")),
    st.builds(Entry, st.just("metacopy"), redirect=redirects, mode=modes),
)


def directories(leaves: st.SearchStrategy[Entry], *, marks: bool) -> st.SearchStrategy[Directory]:
    def directory(below: st.SearchStrategy[Entry], *, root: bool = False) -> st.SearchStrategy:  # type: ignore[type-arg]
        opaque = st.sampled_from((b"", b"", b"", b"y", b"x"))
        own = marks and not root
        return st.builds(
            Directory,
            kind=st.just("directory"),
            opaque=opaque if own else st.just(b""),
            redirect=st.one_of(st.just(b""), redirects) if own else st.just(b""),
            mode=st.sampled_from((0o755, 0o700)),
            entries=st.dictionaries(names, below, max_size=3).map(
                lambda entries: tuple(sorted(entries.items()))
            ),
        )

    third = directory(leaves)
    second = directory(st.one_of(leaves, third))
    return directory(st.one_of(leaves, second, second), root=True)


upper_layers = directories(marked, marks=True)
lowest_layers = directories(plain, marks=True)
#: What the kernel takes together: metacopy=on needs redirect_dir=on, at least with an upperdir.
options = st.sampled_from(
    (("on", "on"), ("on", "on"), ("on", "off"), ("follow", "off"), ("nofollow", "off"))
)


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    layers = draw(st.lists(upper_layers, min_size=1, max_size=5))
    redirect_dir, metacopy = draw(options)
    return Recipe(
        layers=(*layers, draw(lowest_layers)),
        data=tuple(draw(st.lists(directories(plain, marks=False), max_size=2))),
        has_upper=draw(st.booleans()),
        userxattr=draw(st.sampled_from((False, False, False, True))),
        redirect_dir=redirect_dir,
        metacopy=metacopy,
    )


class Maker:
    """Makes layers on disk. No two files have the same time: BuildKit's rule would equate them."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._count = itertools.count(1)

    def make(self, path: bytes, entry: Entry) -> None:
        marks: dict[str, bytes] = {}
        match entry.kind:
            case "directory":
                assert isinstance(entry, Directory)
                os.mkdir(path)
                for name, below in entry.entries:
                    self.make(path + b"/" + name, below)
                os.chmod(path, entry.mode)
            case "file" | "empty" | "metacopy" | "xattr whiteout":
                with open(path, "xb") as file:
                    file.write(entry.content)
                    if entry.kind == "metacopy":
                        file.truncate(SIZE)
                os.chmod(path, entry.mode)
                if entry.kind == "metacopy":
                    marks["metacopy"] = b""
                elif entry.kind == "xattr whiteout":
                    marks["whiteout"] = b""
            case "symlink":
                os.symlink(b"../b", path)
            case "fifo":
                os.mkfifo(path)
            case "whiteout":
                os.mknod(path, stat.S_IFCHR, 0)
            case _:
                raise AssertionError(entry)
        if entry.opaque:
            marks["opaque"] = entry.opaque
        if entry.redirect:
            marks["redirect"] = entry.redirect
        for name, value in marks.items():
            os.setxattr(path, self._prefix + name, value)
        time = 1_650_000_000_000_000_000 - next(self._count) * 1_000_000_001
        os.utime(path, ns=(time, time), follow_symlinks=False)


@dataclass(frozen=True, slots=True)
class Made:
    """Layers on disk, topmost first, and how they are mounted."""

    root: Path
    layers: tuple[bytes, ...]
    data: tuple[bytes, ...]
    recipe: Recipe

    @property
    def following(self) -> Following:
        recipe = self.recipe
        if recipe.userxattr:
            return Following(False, False, recipe.has_upper)
        return Following(
            recipe.redirect_dir != "nofollow", recipe.metacopy == "on", recipe.has_upper
        )

    @property
    def stack(self) -> LayerStack:
        return LayerStack(
            "layers",
            tuple(StackLayer(path) for path in self.layers),
            self.data,
            Marks.USER if self.recipe.userxattr else Marks.TRUSTED,
            self.following,
        )

    @contextmanager
    def mounted(self, *, base: bool = False) -> Iterator[bytes]:
        """The kernel's mount, of everything or of what is below the topmost layer."""
        recipe = self.recipe
        flags: list[tuple[bytes, bytes | None]] = [
            (b"redirect_dir", recipe.redirect_dir.encode()),
            (b"metacopy", recipe.metacopy.encode()),
        ]
        if recipe.userxattr:
            flags = [(b"userxattr", None)]
        lower = self.layers[1:] if base or recipe.has_upper else self.layers
        upper = None
        if recipe.has_upper and not base:
            upper = self.layers[0], os.fsencode(self.root / "work")
        elif len(lower) == 1 and not self.data:
            yield lower[0]
            return
        with detached_overlay(lower, data=self.data, upper=upper, options=flags) as top:
            yield top


def made(recipe: Recipe, root: Path) -> Made:
    maker = Maker("user.overlay." if recipe.userxattr else "trusted.overlay.")
    (root / "work").mkdir()

    def make(kind: str, trees: tuple[Directory, ...]) -> tuple[bytes, ...]:
        paths = []
        for number, tree in enumerate(trees):
            paths.append(os.fsencode(root / f"{kind}{number}"))
            maker.make(paths[-1], tree)
        return tuple(paths)

    return Made(root, make("layer", recipe.layers), make("data", recipe.data), recipe)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """In memory where there is such a filesystem, as the layers are many and small."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path_factory.mktemp("marks")
        return
    with tempfile.TemporaryDirectory(prefix="whiteout-marks-", dir="/dev/shm") as directory:
        yield Path(directory)


@settings(max_examples=EXAMPLES)
@given(recipe=recipes())
def test_the_kernel_agrees_on_marks_made_by_hand(recipe: Recipe, workspace: Path) -> None:
    root = Path(tempfile.mkdtemp(dir=workspace))
    mask = os.umask(0o022)
    try:
        check(made(recipe, root))
    finally:
        os.umask(mask)
        shutil.rmtree(root)


def check(layers: Made) -> None:
    snapshot = open_stack(layers.stack)
    prefix = b"user.overlay." if layers.recipe.userxattr else b"trusted.overlay."
    ours = our_view(
        snapshot.merged, data=snapshot.data_layers, following=snapshot.following, prefix=prefix
    )
    with layers.mounted() as merged:
        shown = kernel_view(merged, ours)
    event(f"kernel shows all: {not {UNSHOWN, ALIASED} & {*map(str, shown.values())}}")
    expected, found = comparable(shown, ours)
    assert found == expected
    browsed = list(browse(snapshot))
    streamed = list(snapshot.changes(skipped=True))
    assert [essence(verdict) for verdict in browsed] == [essence(verdict) for verdict in streamed]
    check_layer(layers, snapshot, shown)


def check_layer(layers: Made, snapshot: Snapshot, shown: View) -> None:
    """The layer turns a copy of the base into what the kernel shows of everything."""
    target = layers.root / "layer.tar"
    # A metacopy above a file of another size: the kernel shows a size that is not there, which no
    # copy of the base can have.
    cut = any(
        isinstance(seen, Seen) and seen.item.size and seen.item.content == NOTHING
        for seen in shown.values()
    )
    try:
        export_to_file(snapshot, os.fsencode(target), media_type=TAR)
    except ReadError:
        assert cut or UNSHOWN in shown.values() or ALIASED in shown.values()
        assert not target.exists()
        return
    with tarfile.open(target) as archive:
        records = {record for member in archive for record in member.pax_headers}
    assert not [record for record in records if "overlay" in record]
    if cut:
        return
    with layers.mounted(base=True) as base:
        if any(
            isinstance(seen, str) for view in (shown, kernel_view(base)) for seen in view.values()
        ):
            return
        event("applied")
        copy = os.fsencode(layers.root / "copy")
        copy_tree(base, copy)
    with open(target, "rb") as stream:
        recorded = apply_layer(stream, copy)
    applied, _ = list_tree(copy)
    merged = {path: seen.item for path, seen in shown.items() if isinstance(seen, Seen)}
    assert _recorded(applied, recorded) == _recorded(merged, recorded)


def _recorded(listing: Mapping[bytes, Item], recorded: set[bytes]) -> dict[bytes, Item]:
    """Whole seconds; and of a directory that the layer does not record, no time at all."""
    return {
        path: replace(
            item,
            mtime_ns=0
            if stat.S_ISDIR(item.type) and path not in recorded
            else item.mtime_ns // 1_000_000_000,
        )
        for path, item in listing.items()
    }


def browse(snapshot: Snapshot, path: bytes = b"/") -> Iterator[Verdict]:
    """Everything that browsing shows, without what is only implied."""
    try:
        for verdict in snapshot.children(path):
            if verdict.reason is Reason.REMOVED_WITH_PARENT:
                continue
            yield verdict
            if verdict.upper is not None and verdict.upper.is_directory:
                yield from browse(snapshot, verdict.path)
    except ReadError as error:
        yield Verdict(path, None, Reason.UNREADABLE, error=str(error))


def essence(verdict: Verdict) -> tuple[object, ...]:
    return (
        verdict.path,
        verdict.kind,
        verdict.reason,
        verdict.opaque,
        verdict.whiteout,
        verdict.redirect,
        verdict.metacopy,
        verdict.error,
    )
