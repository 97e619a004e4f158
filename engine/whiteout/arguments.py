"""The command line as data: which commands there are and what each of them takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

from whiteout import __version__
from whiteout.plainline import PlainLine
from whiteout.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Protocol, TypeVar

    from whiteout.argumentparser import Parser

    _Parser = TypeVar("_Parser", Parser, PlainLine)
    #: Makes what is told of a command's arguments, of name, description and the end of the help.
    _Make = Callable[..., _Parser]

    class _Command(Protocol):
        def __call__(self, make: _Make[_Parser]) -> _Parser: ...


_TARGET = """\
TARGET is the mount point of an overlay, an upper directory whose lower directories are named with
--lower, what 'whiteout list' shows, such as containerd://default/KEY, or an image in a file:
oci:DIR[:TAG], docker-archive:FILE[:NAME], or just the path. --mounts FILE takes the mounts of a
pair of snapshots as JSON instead, {"lower": [...], "upper": [...]}, each as containerd gives them;
- is standard input."""

_SINK = """\
--to SINK writes a whole image to one of

  oci:DIR[:TAG]                     an OCI image layout, made if missing
  docker-archive:FILE[:NAME[:TAG]]  a tar for docker load, podman load and ctr images import
  containers-storage:NAME           images of Podman, Buildah and CRI-O, by skopeo or one of them
  containerd://NAMESPACE/NAME       content and image of the containerd at --address
  docker://HOST/REPOSITORY[:TAG]    a registry; credentials are those of docker, podman or skopeo

The image has the one layer; with --whole also those below it, each exported, and what an engine
keeps of an image: environment, command, labels, history; with --base the layers of another image,
taken as they are: oci:DIR[:TAG] or docker://HOST/REPOSITORY[:TAG]. Its times are 1970, or
SOURCE_DATE_EPOCH, so that the same snapshot gives the same image."""

_COMMANDS = """\
commands:
  list       print what can be opened on this host
  changes    print what the snapshot changed
  explain    print why one path is recorded or not
  totals     print how much the snapshot added, modified and removed, and the largest of it
  findings   print what deserves attention in the snapshot
  export     write the layer
  verify     check an exported layer again
  demo       build a small instructive snapshot and open it
  completion print the completion of a shell

'whiteout COMMAND --help' tells more. A directory named like a command is given as ./NAME."""


def parse(arguments: Sequence[str]) -> SimpleNamespace:
    """Read a command line; ``command`` of the result is empty for opening the app.

    Raises:
        UsageError: the command line is wrong.
        SystemExit: help or version was asked for and printed.
    """
    words = list(arguments)
    command = words.pop(0) if words and words[0] in _PARSERS else ""
    options = _PARSERS[command](PlainLine).read(words)
    if options is None:
        from whiteout.argumentparser import Parser

        options = SimpleNamespace(**vars(_PARSERS[command](Parser).parse_intermixed_args(words)))
    options.command = command
    return options


def _add_snapshot(parser: Parser | PlainLine, words: str = "TARGET") -> None:
    parser.add_argument("words", nargs="*", metavar=words, help="the snapshot; see below")
    parser.add_argument(
        "--lower",
        action="append",
        default=[],
        metavar="DIR",
        help="a lower directory; again for each, topmost first",
    )
    parser.add_argument("--mounts", metavar="FILE", help="a pair of mounts as JSON; - is stdin")
    parser.add_argument(
        "--userxattr",
        action="store_true",
        help="the directories carry user.overlay.* marks (a mount with userxattr), no trusted.*",
    )
    parser.add_argument(
        "--layer",
        metavar="N[..M]",
        help="of TARGET the Nth layer against what is below it, or the Nth to the Mth as one diff;"
        " 1 is the topmost ('whiteout list TARGET' numbers them)",
    )
    _add_root(parser)
    parser.add_argument(
        "--fuse-overlayfs",
        action="store_true",
        help="fuse-overlayfs wrote the directories: its own marks count, too (files .wh.NAME, owner"
        " and mode in attributes)",
    )
    parser.add_argument(
        "--uidmap",
        action="append",
        default=[],
        metavar="C:H:N",
        help="N user ids: from C on in the container, from H on here; again for each range",
    )
    parser.add_argument(
        "--gidmap",
        action="append",
        default=[],
        metavar="C:H:N",
        help="the same for groups; one of the two alone counts for both",
    )
    parser.add_argument(
        "--mapped",
        choices=("all", "upper"),
        default="all",
        help="whose owners are mapped: of all layers (a rootless store), or of the topmost alone"
        " (podman run --uidmap as root)",
    )
    parser.add_argument(
        "--differ",
        choices=("auto", "overlay", "walking"),
        default="auto",
        help="how to find the changes: from the upper directory, or by walking both trees",
    )
    parser.add_argument(
        "--rules",
        choices=("current", "original"),
        default="current",
        help="BuildKit's rules of today, or those of its first overlay differ",
    )


def _add_root(parser: Parser | PlainLine) -> None:
    parser.add_argument(
        "--root",
        metavar="DIR",
        help="look for engines below DIR, a mounted disk image or a copied /var/lib, not below /",
    )


def _app(make: _Make[_Parser]) -> _Parser:
    parser = make(
        "",
        "Look into an overlayfs snapshot: what changed, why, and the layer that it becomes.\n"
        "Without TARGET, pick from what is on this host.",
        f"{_TARGET}\n\n{_COMMANDS}",
    )
    _add_snapshot(parser)
    parser.add_argument("--store", metavar="DIR", help="where the app exports layers to")
    parser.add_argument("--version", action="version", version=f"whiteout {__version__}")
    return parser


def _list(make: _Make[_Parser]) -> _Parser:
    parser = make(
        "list",
        "Print what can be opened on this host: overlay mounts, containers, images, snapshots and\n"
        "build steps, as their engines name them. With TARGET, print its layers, topmost first.",
    )
    parser.add_argument("target", nargs="?", metavar="TARGET", help="what to print the layers of")
    _add_root(parser)
    parser.add_argument(
        "--engine",
        action="append",
        default=[],
        metavar="NAME",
        help="only what this engine has; again for each",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser


def _changes(make: _Make[_Parser]) -> _Parser:
    parser = make(
        "changes",
        "Print what the snapshot changed, in the order of the layer: a line 'A /path' (added),\n"
        "'M /path' (modified), 'D /path' (deleted), 'U /path' (unchanged name of a hard-linked\n"
        "file, where names are compared). Names are escaped to be printable; --null gives the\n"
        "raw bytes.",
        _TARGET,
    )
    _add_snapshot(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object a line, with the reason")
    form.add_argument("--null", action="store_true", help="raw names, each record ended by NUL")
    parser.add_argument("--skipped", action="store_true", help="'S /path' for what is not recorded")
    return parser


def _explain(make: _Make[_Parser]) -> _Parser:
    parser = make(
        "explain",
        "Print the steps that led to the verdict on PATH, a path within the snapshot.",
        _TARGET,
    )
    _add_snapshot(parser, "TARGET PATH")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    return parser


def _totals(make: _Make[_Parser]) -> _Parser:
    parser = make(
        "totals",
        "Print the entries of each kind, the bytes of content added, modified and removed, and\n"
        "the largest directories and files. Sizes are of regular files; a file with several\n"
        "names counts once.",
        _TARGET,
    )
    _add_snapshot(parser)
    parser.add_argument(
        "--largest", type=int, default=10, metavar="N", help="how many to list, at most 100 (10)"
    )
    parser.add_argument("--json", action="store_true", help="as one JSON object, with 100 largest")
    return parser


def _findings(make: _Make[_Parser]) -> _Parser:
    parser = make(
        "findings",
        "Print what deserves attention: changes that the rules miss, what the layer will lose,\n"
        "rights gained, useless copies and whiteouts, marks of overlayfs that others fail on.\n"
        "At most 1,000 of each kind are listed; all are counted.",
        _TARGET,
    )
    _add_snapshot(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    return parser


def _export(make: _Make[_Parser]) -> _Parser:
    parser = make(
        "export",
        "Write the layer into an OCI image layout, or just its blob with -o, and print its\n"
        "digests. --to writes an image to another place.",
        f"{_TARGET}\n\n{_SINK}",
    )
    _add_snapshot(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--media-type", metavar="MT", help="the OCI media type of the layer")
    form.add_argument("--compression", metavar="NAME", help="none, gzip (default) or zstd")
    parser.add_argument("--level", type=int, metavar="N", help="of the compression")
    parser.add_argument("--store", metavar="DIR", help="an OCI image layout; made if missing")
    parser.add_argument("--ref", help="the name under which the store locks the export")
    parser.add_argument("--tag", help="the image of this layer in the store (default: latest)")
    parser.add_argument("-o", "--output", metavar="FILE", help="write just the blob; - is stdout")
    _add_sink(parser)
    parser.add_argument(
        "--json", action="store_true", help="print the result as JSON; on stderr with -o -"
    )
    return parser


def _add_sink(parser: Parser | PlainLine) -> None:
    group = parser.add_argument_group("images")
    group.add_argument("--to", metavar="SINK", help="write an image there; see below")
    group.add_argument("--whole", action="store_true", help="export the layers below, too")
    group.add_argument("--base", metavar="IMAGE", help="put the layer on top of it; see below")
    group.add_argument("--platform", metavar="OS/ARCH", help="of the image; of the base to take")
    group.add_argument("--created", metavar="TIME", help="of the image: RFC 3339, seconds, or now")
    group.add_argument("--author", help="of the image")
    group.add_argument("--comment", help="on the new layers, in the history")
    group.add_argument(
        "--annotation",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="of the image's manifest; again for each",
    )
    group.add_argument(
        "--address", metavar="SOCKET", help="of containerd (default: $CONTAINERD_ADDRESS)"
    )
    group.add_argument("--plain-http", action="store_true", help="do without TLS to the registry")


def _verify(make: _Make[_Parser]) -> _Parser:
    parser = make(
        "verify", "Read a blob of a store again, recompute its digests, read every tar entry."
    )
    parser.add_argument("digest", metavar="DIGEST")
    parser.add_argument("--store", metavar="DIR", help="the OCI image layout that has it")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _demo(make: _Make[_Parser]) -> _Parser:
    parser = make(
        "demo",
        "Build a small instructive snapshot in a temporary directory, as any user, and open it.",
    )
    parser.add_argument("--build-only", metavar="DIR", help="build it in DIR and open nothing")
    parser.add_argument("--tour", action="store_true", help="begin with the guided tour")
    parser.add_argument(
        "--unreadable",
        action="store_true",
        help="with an entry that cannot be read, so that no layer is exported",
    )
    return parser


def _completion(make: _Make[_Parser]) -> _Parser:
    parser = make(
        "completion",
        "Print the script that completes commands, options and targets in a shell:\n"
        '  bash   eval "$(whiteout completion bash)"          in ~/.bashrc\n'
        '  zsh    eval "$(whiteout completion zsh)"           in ~/.zshrc, after compinit\n'
        "  fish   whiteout completion fish | source           in ~/.config/fish/config.fish",
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))
    return parser


def parsers() -> dict[str, Parser]:
    """The parser of every command, by its name; that of the app is without one."""
    from whiteout.argumentparser import Parser

    return {name: define(Parser) for name, define in _PARSERS.items()}


_PARSERS: dict[str, _Command] = {
    "": _app,
    "list": _list,
    "changes": _changes,
    "explain": _explain,
    "totals": _totals,
    "findings": _findings,
    "export": _export,
    "verify": _verify,
    "demo": _demo,
    "completion": _completion,
}
