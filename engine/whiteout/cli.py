"""Every command that needs no app, and the way into the app.

What goes wrong is one sentence on standard error. Modules that only one command needs are imported
by that command, to start fast.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from itertools import chain
from types import FrameType, SimpleNamespace

from whiteout.arguments import parse
from whiteout.display import display_path, display_text
from whiteout.errors import UsageError, WhiteoutError, read_error, reason_of
from whiteout.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

    from whiteout.export import ExportResult, Progress
    from whiteout.idmap import IdMap
    from whiteout.sinks.model import Step
    from whiteout.sinks.run import SinkResult
    from whiteout.snapshot import Snapshot
    from whiteout.sources.root import Root
    from whiteout.verdicts import Verdict

#: Bytes of a document with mounts; of 500 layers it has about 100,000.
_MAX_DOCUMENT = 16 << 20

#: Opens the app on a snapshot, or on the picker when there is none, with the store to export to and
#: the root below which the picker looks; gives the exit status.
OpenApp = Callable[["Snapshot | None", str | None, "Root", bool], int]
"""Opens the app over a snapshot, with a store, below a root, and with the tour or without."""


def run(arguments: Sequence[str], open_app: OpenApp) -> int:
    """Run one command line and give its exit status. *open_app* is called to open the app.

    What was printed is flushed then.
    """
    _open_standard_streams()
    try:
        status = _run(arguments, open_app)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        _silence(sys.stdout)
        return 1
    except WhiteoutError as error:
        return _complain(str(error), error.exit_status)
    except KeyboardInterrupt:
        return _complain("interrupted; nothing was left behind", 1)
    except OSError as error:
        return _complain(f"the system refused: {reason_of(error)}", 1)


def _run(arguments: Sequence[str], open_app: OpenApp) -> int:
    if arguments[:1] == ["__complete"]:
        return _complete(arguments[1:])
    try:
        options = parse(arguments)
    except SystemExit:  # argparse, after printing help or the version
        return 0
    if options.command in _COMMANDS:
        return _COMMANDS[options.command](options)
    return (_demo if options.command == "demo" else _open)(options, open_app)


def _open_standard_streams() -> None:
    """Put something in place of standard streams that are closed, whose use then is an error.

    Else the next file that is opened has the number of one, and would be written to as such.
    """
    for number, (name, mode, other) in enumerate(_STREAMS):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, other)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


#: How each standard stream is opened, and how what stands for a closed one.
_STREAMS = (
    ("stdin", "r", os.O_WRONLY),
    ("stdout", "w", os.O_RDONLY),
    ("stderr", "w", os.O_RDONLY),
)


def _complain(message: str, status: int) -> int:
    try:
        sys.stdout.flush()
    except OSError:
        _silence(sys.stdout)
    try:
        print(f"whiteout: {message}", file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)
    return status


def _silence(stream: TextIO) -> None:
    """Keep the interpreter from complaining when it closes a broken standard stream."""
    with suppress(OSError, ValueError):
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, stream.fileno())
        os.close(devnull)


def _open(options: SimpleNamespace, open_app: OpenApp) -> int:
    root = _root(options)
    if not options.words and options.mounts is None and not options.lower:
        if options.layer is not None:
            raise UsageError("--layer is of a TARGET; give one")
        return open_app(None, options.store, root, False)
    return open_app(_snapshot(options), options.store, root, False)


def _root(options: SimpleNamespace) -> Root:
    """The root directory below which sources look."""
    from whiteout.sources.root import HOST, Root

    if options.root is None:
        return HOST
    path = os.path.realpath(os.fsencode(options.root))
    if not os.path.isdir(path):
        raise UsageError(f"{display_path(path)} is not a directory; --root takes one")
    return Root(path)


def _snapshot(options: SimpleNamespace, extra: Sequence[str] = ()) -> Snapshot:
    """The snapshot that the command line names; *extra* are the words that must follow TARGET."""
    from whiteout.opening import LayerRange, open_mounts, open_target

    words = list(options.words)
    if options.mounts is None:
        if not words:
            raise UsageError("no snapshot; give TARGET, TARGET --lower DIR, or --mounts FILE")
        target = os.fsencode(words.pop(0))
    if len(words) != len(extra):
        if len(words) < len(extra):
            raise UsageError(f"{extra[len(words)]} is missing")
        raise UsageError(f"there is no use for {display_text(words[len(extra)])}")
    options.words = words
    if options.mounts is not None:
        if options.fuse_overlayfs:
            raise UsageError("--fuse-overlayfs does not go with --mounts; name the directories")
        if options.lower or options.userxattr or options.layer or options.root:
            raise UsageError(
                "--mounts names everything; leave out --lower, --userxattr, --layer and --root"
            )
        if options.uidmap or options.gidmap:
            raise UsageError("--uidmap and --gidmap do not go with --mounts; name the directories")
        document = _read_document(options.mounts)
        return open_mounts(document, differ=options.differ, rules=options.rules)
    return open_target(
        target,
        [os.fsencode(directory) for directory in options.lower],
        layer=LayerRange() if options.layer is None else LayerRange.parse(options.layer),
        root=_root(options),
        userxattr=options.userxattr,
        fuse=options.fuse_overlayfs,
        differ=options.differ,
        rules=options.rules,
        idmap=_idmap(options),
        map_lower=options.mapped == "all",
    )


def _idmap(options: SimpleNamespace) -> IdMap | None:
    if not options.uidmap and not options.gidmap:
        return None
    from whiteout.idmap import IdMap

    return IdMap.parse(options.uidmap, options.gidmap)


def _read_document(name: str) -> bytes:
    try:
        if name == "-":
            document = sys.stdin.buffer.read(_MAX_DOCUMENT + 1)
        else:
            with open(name, "rb") as file:
                document = file.read(_MAX_DOCUMENT + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError):
            raise UsageError(f"{display_text(name)} is not a file name") from None
        raise read_error("read the mounts from", os.fsencode(name), error) from error
    if len(document) > _MAX_DOCUMENT:
        raise UsageError(
            f"{display_text(name)} has more than {_MAX_DOCUMENT:,} bytes; give the mounts in JSON"
        )
    return document


def _complete(words: Sequence[str]) -> int:
    from whiteout.completion import answer

    for line in answer(words):
        print(line)
    return 0


def _completion(options: SimpleNamespace) -> int:
    from whiteout.completion import SCRIPTS

    print(SCRIPTS[options.shell], end="")
    return 0


def _list(options: SimpleNamespace) -> int:
    from whiteout.listing import (
        HEADER,
        LAYER_HEADER,
        layer_lines,
        layer_object,
        record_lines,
        record_object,
    )
    from whiteout.privileges import TRUSTED_HIDDEN, can_read_trusted
    from whiteout.sources.registry import discover

    root = _root(options)
    lines: Iterable[str]
    if options.target is not None:
        if options.engine:
            raise UsageError("TARGET names its engine; leave out --engine")
        from whiteout.opening import stack_of_target

        stack = stack_of_target(os.fsencode(options.target), root)
        if options.json:
            from whiteout.report import json_line

            layers = enumerate(stack.layers, 1)
            lines = (json_line(layer_object(number, layer)) for number, layer in layers)
        else:
            lines = chain((LAYER_HEADER,), layer_lines(stack, time.time()))
    else:
        trusted = can_read_trusted()
        if not trusted:
            print(f"whiteout: beware: {TRUSTED_HIDDEN}; rows with ? are doubtful", file=sys.stderr)
        records = discover(root, options.engine)
        if options.json:
            from whiteout.report import json_line

            lines = (json_line(record_object(record, trusted=trusted)) for record in records)
        else:
            lines = chain((HEADER,), record_lines(records, time.time(), trusted=trusted))
    for line in lines:
        print(line)
    return 0


def _changes(options: SimpleNamespace) -> int:
    from whiteout.report import json_line, letter, verdict_object
    from whiteout.verdicts import Reason

    snapshot = _snapshot(options)
    _tell_doubts(snapshot)
    out = sys.stdout.buffer
    eager = sys.stdout.isatty()
    status = 0

    def line(verdict: Verdict) -> bytes:
        if options.json:
            return json_line(verdict_object(verdict)).encode() + b"\n"
        if options.null:
            return letter(verdict).encode() + b" " + verdict.path + b"\0"
        return f"{letter(verdict)} {display_path(verdict.path)}\n".encode()

    for verdict in snapshot.changes(skipped=options.skipped):
        if verdict.reason is Reason.UNREADABLE:
            status = 1
            _complain(verdict.error or "", status)
            if not options.skipped:
                continue
        out.write(line(verdict))
        if eager:
            out.flush()
    out.flush()
    return status


def _tell_doubts(snapshot: Snapshot) -> None:
    for doubt in snapshot.doubts:
        print(f"whiteout: beware: {doubt}", file=sys.stderr)


def _explain(options: SimpleNamespace) -> int:
    from whiteout.attributes import mark_lines
    from whiteout.report import inspection_object, json_line
    from whiteout.wording import explanation, method_sentence

    snapshot = _snapshot(options, ["PATH"])
    _tell_doubts(snapshot)
    inspection = snapshot.inspect(os.fsencode(options.words[0]))
    if options.json:
        print(json_line(inspection_object(inspection)))
    else:
        attributes = inspection.upper.xattrs if inspection.upper is not None else ()
        print("\n".join([*explanation(inspection.verdict), *mark_lines(attributes)]))
        print(method_sentence(snapshot.method, snapshot.fallback))
    return 0


def _totals(options: SimpleNamespace) -> int:
    from whiteout.report import json_line, totals_object
    from whiteout.survey import survey
    from whiteout.surveywords import totals_lines

    if not 0 <= options.largest <= 100:
        raise UsageError(f"--largest takes a number from 0 to 100, not {options.largest}")
    snapshot = _snapshot(options)
    _tell_doubts(snapshot)
    totals = survey(snapshot, files=0).totals
    if options.json:
        print(json_line(totals_object(totals)))
    else:
        print("\n".join(totals_lines(totals, options.largest)))
    return 1 if totals.unreadable else 0


def _findings(options: SimpleNamespace) -> int:
    from whiteout.report import json_line, remark_object
    from whiteout.survey import survey
    from whiteout.surveywords import finding_lines

    snapshot = _snapshot(options)
    found = survey(snapshot, size=sys.maxsize)
    if options.json:
        for remark in found.remarks.kept:
            print(json_line(remark_object(remark)))
    else:
        print("\n".join(finding_lines(found.remarks)) or "nothing that deserves attention")
    return 1 if found.totals.unreadable else 0


def _export(options: SimpleNamespace) -> int:
    import signal

    from whiteout.export import DEFAULT_TAG, export_to_file, export_to_store
    from whiteout.mediatypes import check_level, check_media_type, media_type_of

    media_type = (
        check_media_type(options.media_type)
        if options.media_type is not None
        else media_type_of(options.compression or "gzip")
    )
    check_level(media_type, options.level)
    if options.to is not None:
        return _export_image(options, media_type)
    for name in _OF_IMAGES:
        if getattr(options, name):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} is of images; say where the image shall go with --to")
    to_store = {"--store": options.store, "--ref": options.ref, "--tag": options.tag}
    if options.output is not None:
        for name, value in to_store.items():
            if value is not None:
                raise UsageError(f"-o writes just the blob; leave out {name}")
    if options.output == "-" and sys.stdout.isatty():
        raise UsageError("a layer is not for the terminal; give -o FILE, or redirect the output")
    snapshot = _snapshot(options)
    signal.signal(signal.SIGTERM, _interrupt)
    with _ProgressLine() as progress:
        if options.output is not None:
            target = 1 if options.output == "-" else os.fsencode(options.output)
            sys.stdout.flush()
            result = export_to_file(
                snapshot, target, media_type=media_type, level=options.level, progress=progress
            )
        else:
            from whiteout.contentstore import ContentStore
            from whiteout.layoutfiles import default_store_path

            result = export_to_store(
                snapshot,
                ContentStore(options.store or default_store_path()),
                media_type=media_type,
                level=options.level,
                ref=options.ref,
                tag=options.tag or DEFAULT_TAG,
                progress=progress,
            )
    if options.json:
        from whiteout.report import export_object, json_line

        report = json_line(export_object(result))
    else:
        report = _export_text(result)
    if options.output != "-":
        print(report)
    elif options.json or sys.stderr.isatty():
        print(report, file=sys.stderr)
    return 0


_OF_IMAGES = (
    *("whole", "base", "platform", "created", "author", "comment", "annotation"),
    *("address", "plain_http"),
)


def _export_image(options: SimpleNamespace, media_type: str) -> int:
    import signal
    from dataclasses import replace

    from whiteout.imagebuild import ImageOptions, parse_created, source_date_epoch
    from whiteout.platforms import parse_platform
    from whiteout.report import json_line, sink_object
    from whiteout.sinks.run import export_to, whole_stack
    from whiteout.sinks.spelling import open_image, parse_sink

    for name in ("output", "store", "ref", "tag"):
        if getattr(options, name) is not None:
            raise UsageError(f"--to says where the image goes; leave out --{name}")
    if options.whole and options.base:
        raise UsageError("--whole and --base both say what is below the layer; leave out one")
    annotations = {}
    for text in options.annotation:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f"{display_text(text)} is not an annotation; give KEY=VALUE")
        annotations[key] = value
    sink = parse_sink(options.to, address=options.address or "", plain_http=options.plain_http)
    platform = parse_platform(options.platform) if options.platform else None
    created = parse_created(options.created) if options.created else source_date_epoch()
    image_options = ImageOptions(
        created=created,
        author=options.author or "",
        comment=options.comment or "",
        platform=platform,
        annotations=annotations,
    )
    snapshot = _snapshot(options)
    snapshots = whole_stack(snapshot) if options.whole else (snapshot,)
    if options.whole and snapshot.image_config is not None:
        image_options = replace(image_options, config=snapshot.image_config())
    signal.signal(signal.SIGTERM, _interrupt)
    with ExitStack() as stack:
        base = None
        if options.base:
            image = open_image(options.base, platform, plain_http=options.plain_http)
            base = stack.enter_context(image)
        line = stack.enter_context(_ProgressLine())
        result = export_to(
            sink,
            snapshots,
            base=base,
            media_type=media_type,
            level=options.level,
            options=image_options,
            progress=line.show_step if line is not None else None,
        )
    print(json_line(sink_object(result)) if options.json else _image_text(result))
    return 0


def _image_text(result: SinkResult) -> str:
    from whiteout.export import swept_sentence

    lines = [
        ("image", result.reference),
        ("manifest", result.manifest.digest),
        ("config", result.config.digest),
    ]
    new = len(result.layers) - len(result.exported)
    for number, layer in enumerate(result.layers):
        origin = "" if number >= new else ", of the base"
        there = ", was there" if layer.descriptor.digest in result.reused else ""
        size = f"{layer.descriptor.size:,} bytes"
        lines.append((f"layer {number + 1}", f"{layer.descriptor.digest} ({size}{origin}{there})"))
        lines.append(("  diffID", layer.diff_id))
    lines.append(("time", f"{result.seconds:.2f} s"))
    lines += [("swept", said) for each in result.exported if (said := swept_sentence(each))]
    return "\n".join(f"{name:<11} {value}" for name, value in lines)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _export_text(result: ExportResult) -> str:
    from whiteout.export import swept_sentence

    ratio = result.uncompressed_size / result.size if result.size else 1.0
    lines = [
        ("media type", result.media_type),
        ("digest", result.digest),
        ("diffID", result.diff_id),
        ("size", f"{result.size:,} bytes of {result.uncompressed_size:,} ({ratio:.2f} : 1)"),
        ("entries", f"{result.entries:,}"),
        ("differ", result.differ),
        ("time", f"{result.seconds:.2f} s"),
    ]
    if result.path is not None:
        lines.append(("path", display_path(result.path)))
    if result.tag is not None:
        lines.append(("tag", display_text(result.tag)))
    swept = swept_sentence(result)
    if swept is not None:
        lines.append(("swept", swept))
    return "\n".join(f"{name:<11} {value}" for name, value in lines)


class _ProgressLine:
    """One line on standard error that is written again and again, when that is a terminal."""

    _INTERVAL = 0.1

    def __init__(self) -> None:
        self._shown = False
        self._next = 0.0
        self._started = time.monotonic()
        self._wanted = sys.stderr.isatty()

    def __enter__(self) -> _ProgressLine | None:
        return self if self._wanted else None

    def __exit__(self, *_: object) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def __call__(self, progress: Progress) -> None:
        """Show how far the export of a layer is."""
        if self._is_time():
            self._show(self._text(progress))

    def show_step(self, step: Step) -> None:
        """Show how far the export of an image is."""
        if not self._is_time():
            return
        text = f"{step.action.value} {step.item}"
        if step.layer is not None:
            text += f": {self._text(step.layer)}"
        elif step.total is not None:
            text += f": {step.done / 1e6:,.1f} of {step.total / 1e6:,.1f} MB"
        self._show(text)

    def _is_time(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._INTERVAL
        return True

    def _text(self, progress: Progress) -> str:
        now = time.monotonic()
        rate = progress.uncompressed / max(now - self._started, 0.001) / 1e6
        return (
            f"{progress.entries:,} entries, {progress.uncompressed / 1e6:,.1f} MB of tar,"
            f" {progress.written / 1e6:,.1f} MB written, {rate:,.1f} MB/s"
        )

    def _show(self, text: str) -> None:
        self._shown = True
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _verify(options: SimpleNamespace) -> int:
    from whiteout.contentstore import ContentStore
    from whiteout.digests import check_digest
    from whiteout.layoutfiles import default_store_path
    from whiteout.report import json_line, verification_object
    from whiteout.verify import verify_blob

    check_digest(options.digest)
    store = ContentStore(options.store or default_store_path(), create=False)
    found = verify_blob(store, options.digest)
    if options.json:
        print(json_line(verification_object(found)))
    elif found.ok:
        print(f"{'digest':<11} {found.digest}")
        print(f"{'diffID':<11} {found.diff_id}")
        print(f"{'media type':<11} {found.media_type}")
        print(f"{'size':<11} {found.size:,} bytes")
        print(f"{'entries':<11} {found.entries:,}, all readable")
    if not found.ok:
        return _complain("; ".join(found.problems), 1)
    return 0


def _demo(options: SimpleNamespace, open_app: OpenApp) -> int:
    import signal
    from tempfile import mkdtemp

    from whiteout.demo import build_demo, remove_demo
    from whiteout.opening import open_mounts
    from whiteout.sources.root import HOST

    if options.build_only is not None:
        demo = build_demo(os.fsencode(options.build_only), unreadable=options.unreadable)
        print(f"built; open it with: whiteout --mounts {display_path(demo.mounts_file)}")
        if demo.left_out:
            print("left out, as they need root: " + ", ".join(map(display_path, demo.left_out)))
        return 0
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _interrupt)
    directory = mkdtemp(prefix="whiteout-demo-")
    try:
        demo = build_demo(directory, unreadable=options.unreadable)
        return open_app(open_mounts(demo.mounts)._replace(label="demo"), None, HOST, options.tour)
    finally:
        remove_demo(directory)


_COMMANDS: dict[str, Callable[[SimpleNamespace], int]] = {
    "list": _list,
    "changes": _changes,
    "explain": _explain,
    "totals": _totals,
    "findings": _findings,
    "export": _export,
    "verify": _verify,
    "completion": _completion,
}
