"""Random snapshots made by the kernel: what we say of them agrees with what the kernel shows.

Operations run through real overlay mounts over one to five lower layers. Then the merged view
computed in user space equals the kernel's mount, the exported layer applied to a copy of the base
gives the merged tree, and browsing says the same as the stream of all changes.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import itertools
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from support.apply_layer import BadLayer, apply_layer
from support.listing import Item, Listing, content_of, groups, item_of, list_tree
from support.overlay import mount_points_below, overlay, stack_options
from whiteout.layers import Directories, Layer, Marks
from whiteout.merged import MergedDirectory, MergedView
from whiteout.opening import LayerRange, open_pair
from whiteout.snapshot import Snapshot
from whiteout.verdicts import ChangeKind, Reason, Verdict

pytestmark = pytest.mark.root

NAMES = (b"a", b"b", b"a-b", b"a.b", b"\xc3\xa9", b"n\xff", b"new\nline", b"q" * 101)
_libc = ctypes.CDLL(None, use_errno=True)
WHOLE_SECOND = 1_650_000_000_000_000_000
TARGETS = (b"a", b"/a", b"../b", b"nowhere", b"n\xff", b"t" * 120)
CAPABILITIES = (
    None,
    bytes.fromhex("0100000200200000000000000000000000000000"),
    bytes.fromhex("0100000200040000000000000000000000000000"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One operation. ``pick`` and ``other`` choose among what is there when it is done."""

    action: str
    pick: int
    other: int
    name: bytes
    choice: int
    whole_second: bool


ACTIONS = (
    *("create",) * 4,
    *("mkdir",) * 5,
    *("overwrite",) * 2,
    *("recreate",) * 4,
    *("rename",) * 2,
    *("replace",) * 2,
    *("exchange",) * 2,
    *("link",) * 3,
    "chmod",
    "chown",
    "unlink",
    "rmtree",
    "symlink",
    "fifo",
    "device",
    "socket",
    "setcap",
    "touch",
)
steps = st.builds(
    Step,
    action=st.sampled_from(ACTIONS),
    pick=st.integers(0, 40),
    other=st.integers(0, 40),
    name=st.sampled_from(NAMES),
    choice=st.integers(0, 5),
    whole_second=st.booleans(),
)


@dataclass(frozen=True, slots=True)
class Recipe:
    layers: tuple[tuple[Step, ...], ...]
    options: tuple[bytes, ...]
    rewritten: tuple[bool, ...]
    """Of which layers the whiteouts become attributes, as tools write them that may make no
    devices."""


recipes = st.builds(
    Recipe,
    layers=st.tuples(
        st.lists(steps, min_size=12, max_size=30).map(tuple),
        *(st.lists(steps, min_size=4, max_size=20).map(tuple),) * 5,
    ).flatmap(lambda layers: st.integers(2, 6).map(lambda count: layers[:count])),
    options=st.sampled_from(
        (
            (),
            (b"redirect_dir=on",),
            (b"redirect_dir=on", b"metacopy=on"),
            (b"userxattr",),
        )
    ),
    rewritten=st.tuples(*(st.booleans(),) * 6),
)


class Performer:
    """Does steps in a tree. Every content has a time that tells it from others.

    (By BuildKit's rule an edit that keeps size and sub-second time goes unseen, so no step makes
    one. Equal whole seconds make it compare contents.)
    """

    def __init__(self) -> None:
        self._count = itertools.count(1)

    def perform(self, top: bytes, sequence: Sequence[Step]) -> None:
        for step in sequence:
            # What is not possible here, such as a directory rename over layers, is left out.
            with contextlib.suppress(OSError):
                self._perform(top, step)

    def _perform(self, top: bytes, step: Step) -> None:
        directories, others = [top], []
        for current, names, files in os.walk(top):
            names.sort()
            for name in sorted(names + files):
                path = os.path.join(current, name)
                is_directory = stat.S_ISDIR(os.lstat(path).st_mode)
                (directories if is_directory else others).append(path)
        parent = directories[step.pick % len(directories)]
        new = os.path.join(parent, step.name)
        files = [path for path in others if stat.S_ISREG(os.lstat(path).st_mode)]
        inner = directories[1:]
        match step.action:
            case "create":
                self._write(new, "xb", step)
            case "mkdir":
                os.mkdir(new)
            case "symlink":
                os.symlink(
                    (b"a", b"/a", b"../b", b"nowhere", b"n\xff", b"t" * 120)[step.choice], new
                )
                self._touch(new, step)
            case "fifo":
                os.mkfifo(new)
                self._touch(new, step)
            case "device":
                os.mknod(new, stat.S_IFCHR | 0o600, os.makedev(1, 3 + step.choice))
                self._touch(new, step)
            case "socket":
                os.mknod(new, stat.S_IFSOCK | 0o700)
                self._touch(new, step)
            case "overwrite" if files:
                self._write(_chosen(files, step.pick), "r+b", step)
            case "recreate" if inner:
                path = _chosen(inner, step.pick)
                shutil.rmtree(path)
                os.mkdir(path)
            case "rmtree" if inner:
                shutil.rmtree(_chosen(inner, step.pick))
            case "unlink" if others:
                os.unlink(_chosen(others, step.pick))
            case "rename" if inner or others:
                path = _chosen(inner + others, step.other)
                os.rename(path, new)
            case "replace" if others:
                os.rename(_chosen(others, step.other), _chosen(others, step.pick))
            case "exchange" if inner or others:
                every = inner + others
                _exchange(_chosen(every, step.pick), _chosen(every, step.other))
            case "link" if others:
                os.link(_chosen(others, step.other), new, follow_symlinks=False)
            case "chmod" if inner or files:
                mode = (0o600, 0o755, 0o4711, 0o2750, 0o1777, 0o000)[step.choice]
                os.chmod(_chosen(inner + files, step.pick), mode)
            case "chown" if inner or others:
                owner = (0, 1000, 65534, 2_097_152, 3_000_000, 7)[step.choice]
                path = _chosen(inner + others, step.pick)
                os.chown(path, owner, step.other, follow_symlinks=False)
            case "setcap" if files:
                path = _chosen(files, step.pick)
                capability = CAPABILITIES[step.choice % len(CAPABILITIES)]
                if capability is None:
                    os.removexattr(path, "security.capability")
                else:
                    os.setxattr(path, "security.capability", capability)
            case "touch" if others:
                self._touch(_chosen(others, step.pick), step)

    def _write(self, path: bytes, mode: str, step: Step) -> None:
        with open(path, mode) as file:
            file.write((b"", b"one", b"two", b"x" * 511, b"y" * 512, b"z" * 70_000)[step.choice])
        self._touch(path, step)

    def _touch(self, path: bytes, step: Step) -> None:
        time = WHOLE_SECOND
        if not step.whole_second:
            time -= next(self._count) * 1_000_000_001
        os.utime(path, ns=(time, time), follow_symlinks=False)


def _exchange(one: bytes, other: bytes) -> None:
    """Exchange two names, which may be of different types (renameat2(2), RENAME_EXCHANGE)."""
    if _libc.renameat2(-100, one, -100, other, 2) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), one)


def _chosen(paths: list[bytes], pick: int) -> bytes:
    return paths[pick % len(paths)]


@dataclass(frozen=True, slots=True)
class Stack:
    """Layer directories, topmost first, and the options that their mounts need."""

    root: Path
    layers: tuple[bytes, ...]
    options: tuple[bytes, ...]

    @property
    def userxattr(self) -> bool:
        """Whether the marks are in ``user.overlay.*``."""
        return b"userxattr" in self.options

    @contextlib.contextmanager
    def mounted(self, layers: Sequence[bytes], name: str) -> Iterator[bytes]:
        """What the kernel shows of *layers*."""
        if len(layers) == 1:
            yield layers[0]
            return
        place = self.root / name
        with overlay(place, [*stack_options(layers), *self.options]):
            yield os.fsencode(place)


def build(recipe: Recipe, root: Path) -> Stack:
    performer = Performer()
    layers: list[bytes] = []
    for index, sequence in enumerate(recipe.layers):
        layer, work = root / f"l{index}", root / f"w{index}"
        layer.mkdir()
        work.mkdir()
        if not layers:
            performer.perform(os.fsencode(layer), sequence)
        else:
            options = stack_options(layers, os.fsencode(layer), os.fsencode(work))
            with overlay(root / "build", [*options, *recipe.options]) as merged:
                performer.perform(os.fsencode(merged), sequence)
            if recipe.rewritten[index]:
                rewrite_whiteouts(os.fsencode(layer), b"userxattr" in recipe.options)
        layers.insert(0, os.fsencode(layer))
    return Stack(root, tuple(layers), recipe.options)


def rewrite_whiteouts(layer: bytes, userxattr: bool) -> None:
    """Turn the whiteouts in *layer* into empty files with an attribute."""
    prefix = "user.overlay." if userxattr else "trusted.overlay."
    for directory, _, names in os.walk(layer):
        whiteouts = [name for name in names if _is_whiteout(os.path.join(directory, name))]
        if not whiteouts or prefix + "opaque" in os.listxattr(directory):
            continue
        os.setxattr(directory, prefix + "opaque", b"x")
        for name in whiteouts:
            path = os.path.join(directory, name)
            os.unlink(path)
            with open(path, "xb"):
                os.setxattr(path, prefix + "whiteout", b"")


def _is_whiteout(path: bytes) -> bool:
    status = os.lstat(path)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def list_view(
    layers: Sequence[bytes], userxattr: bool
) -> tuple[Listing, dict[bytes, tuple[int, int]]]:
    """What our merged view shows of *layers*, and the inodes of the links in the top layer."""
    found: Listing = {}
    linked: dict[bytes, tuple[int, int]] = {}
    marks = Marks.USER if userxattr else Marks.TRUSTED
    if len(layers) == 1:
        marks = Marks.PLAIN

    def visit(directory: MergedDirectory, above: bytes) -> None:
        for name in directory.names():
            node = directory.lookup(name)
            if node is None:
                continue
            path = above + b"/" + name
            item = replace(item_of(node.status), capability=node.capability())
            if node.is_file:
                item = replace(item, content=content_of(node.open_file()))
            elif stat.S_ISLNK(item.type):
                item = replace(item, target=node.readlink())
            found[path] = item
            if node.entry.layer == len(layers) - 1 and node.entry.is_hard_linked:
                linked[path] = node.status.st_dev, node.status.st_ino
            if node.is_directory:
                visit(node.open_directory(), path)

    with Directories() as pool:
        visit(MergedView([Layer(path, marks) for path in layers], pool).root, b"")
    return found, linked


def browse(snapshot: Snapshot, path: bytes = b"/") -> Iterator[Verdict]:
    """Everything that browsing shows, directory by directory, without what is only implied."""
    for verdict in snapshot.children(path):
        if verdict.reason in (Reason.REMOVED_WITH_PARENT, Reason.UNTOUCHED):
            continue
        yield verdict
        if verdict.expandable:
            yield from browse(snapshot, verdict.path)


def essence(verdict: Verdict) -> tuple[object, ...]:
    return (
        verdict.path,
        verdict.kind,
        verdict.reason,
        verdict.method,
        verdict.opaque,
        verdict.whiteout,
        verdict.redirect,
        verdict.metacopy,
        verdict.error,
    )


@pytest.fixture(scope="module")
def in_memory() -> Iterator[Path | None]:
    """A directory in memory, where the many small layers cost no disk; None without one."""
    if not os.access("/dev/shm", os.W_OK):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="whiteout-random-", dir="/dev/shm") as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, in_memory: Path | None) -> Iterator[Path]:
    """A directory for the examples; the temporary directory of the process is watched meanwhile."""
    directory = in_memory or tmp_path_factory.mktemp("differential")
    temporary = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary))
        patch.setattr(tempfile, "tempdir", str(temporary))
        yield directory
    assert not list(temporary.iterdir())


@pytest.mark.long
@settings(
    max_examples=int(os.environ.get("WHITEOUT_TEST_EXAMPLES", "150")),
    suppress_health_check=list(HealthCheck),
)
@given(recipe=recipes)
def test_the_kernel_agrees(recipe: Recipe, workspace: Path) -> None:
    root = Path(tempfile.mkdtemp(dir=workspace))
    mask = os.umask(0o022)
    try:
        check(build(recipe, root))
        assert not mount_points_below(root)
    finally:
        os.umask(mask)
        shutil.rmtree(root)


@settings(
    max_examples=int(os.environ.get("WHITEOUT_TEST_EXAMPLES", "40")),
    suppress_health_check=list(HealthCheck),
)
@given(recipe=recipes, data=st.data())
def test_several_layers_are_one_diff(recipe: Recipe, data: st.DataObject, workspace: Path) -> None:
    count = len(recipe.layers)
    first = data.draw(st.integers(0, count - 2), "first")
    last = data.draw(st.integers(first + 1, count - 1), "last")
    root = Path(tempfile.mkdtemp(dir=workspace))
    mask = os.umask(0o022)
    try:
        check_range(build(recipe, root), LayerRange(first, last))
        assert not mount_points_below(root)
    finally:
        os.umask(mask)
        shutil.rmtree(root)


def check_range(stack: Stack, layers: LayerRange) -> None:
    upper, *lower = stack.layers
    snapshot = open_pair(upper, lower, layer=layers, userxattr=stack.userxattr)
    copy = os.fsencode(stack.root / "copy")
    below = stack.layers[layers.last + 1 :]
    if below:
        with stack.mounted(below, "base") as base:
            subprocess.run(["cp", "-a", base, copy], check=True)
    else:
        os.mkdir(copy)
    with stack.mounted(stack.layers[layers.first :], "merged") as merged:
        check_layer(snapshot, copy, list_tree(merged)[0])
    whole = open_pair(upper, lower, layer=layers, differ="walking", userxattr=stack.userxattr)
    streamed = [essence(verdict) for verdict in snapshot.changes(skipped=True)]
    assert [essence(verdict) for verdict in browse(snapshot)] == streamed
    assert _recorded(snapshot) == _recorded(whole)
    for path, _ in _recorded(snapshot):
        assert snapshot.explain(path).path == path


def _recorded(snapshot: Snapshot) -> list[tuple[bytes, ChangeKind]]:
    """The changes but for unchanged names, which are only listed where links may need them."""
    kinds = ((verdict.path, verdict.kind) for verdict in snapshot.changes())
    return [(p, kind) for p, kind in kinds if kind not in (None, ChangeKind.UNMODIFIED)]


def check(stack: Stack) -> None:
    upper, *lower = stack.layers
    snapshot = open_pair(upper, lower, userxattr=stack.userxattr)
    copy = os.fsencode(stack.root / "copy")
    with stack.mounted(lower, "base") as base, stack.mounted(stack.layers, "merged") as merged:
        shown, kernel_links = list_tree(merged)
        check_views(stack, shown, kernel_links)
        base_shown, _ = list_tree(base)
        assert list_view(lower, stack.userxattr)[0] == base_shown
        subprocess.run(["cp", "-a", base, copy], check=True)
    check_layer(snapshot, copy, shown)
    streamed = [essence(verdict) for verdict in snapshot.changes(skipped=True)]
    assert [essence(verdict) for verdict in browse(snapshot)] == streamed
    for verdict in streamed:
        event(f"{verdict[1]} {verdict[2]}")


def check_views(stack: Stack, shown: Listing, kernel_links: dict[bytes, tuple[int, int]]) -> None:
    viewed, links = list_view(stack.layers, stack.userxattr)
    assert viewed == shown
    in_upper = {path: inode for path, inode in kernel_links.items() if path in links}
    assert groups(links) == groups(in_upper)


def check_layer(snapshot: Snapshot, copy: bytes, merged: Listing) -> None:
    """The layer turns the copy of the base into the merged tree, as far as a layer can say it."""
    from whiteout.export import export_to_file

    layer = os.fsencode(Path(os.fsdecode(copy)).with_name("layer.tar"))
    export_to_file(snapshot, layer, media_type="application/vnd.oci.image.layer.v1.tar")
    with open(layer, "rb") as stream:
        recorded = apply_layer(stream, copy)
    applied, _ = list_tree(copy)
    sockets = [path for path, item in merged.items() if stat.S_ISSOCK(item.type)]

    def expressible(listing: Listing) -> Listing:
        return {
            path: _as_recorded(item, path in recorded)
            for path, item in listing.items()
            if not any(path == socket or path.startswith(socket + b"/") for socket in sockets)
        }

    assert expressible(applied) == expressible(merged)


def _as_recorded(item: Item, recorded: bool) -> Item:
    """Whole seconds; and of a directory that the layer does not record, no time at all."""
    if stat.S_ISDIR(item.type) and not recorded:
        return replace(item, mtime_ns=0)
    return replace(item, mtime_ns=item.mtime_ns // 1_000_000_000)


def test_the_applier_refuses_a_whiteout_of_nothing(tmp_path: Path) -> None:
    import tarfile

    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(".wh.nothing"))
    stream.seek(0)
    with pytest.raises(BadLayer, match="nothing"):
        apply_layer(stream, os.fsencode(tmp_path))
