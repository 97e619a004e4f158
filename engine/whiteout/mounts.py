"""Mounts as containerd hands them over, and BuildKit's strict reading of them.

The rules are those of ``GetUpperdir`` and ``GetOverlayLayers`` in BuildKit's
``util/overlay/overlay_linux.go``: options are compared as they stand, nothing is unescaped, and an
option that is not known is refused. How the kernel reads options is another subject, see
:mod:`whiteout.mountoptions`.
"""

from __future__ import annotations

from dataclasses import dataclass

from whiteout.display import display_text
from whiteout.errors import NotOverlay, UsageError


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount: containerd's ``mount.Mount``."""

    type: str
    source: bytes
    options: tuple[bytes, ...] = ()
    target: bytes = b""


@dataclass(frozen=True, slots=True)
class MountPair:
    """The mounts of a snapshot's parent (``lower``) and of the snapshot itself (``upper``)."""

    lower: tuple[Mount, ...]
    upper: tuple[Mount, ...]


def _quoted(text: str | bytes) -> str:
    """*text* as Go's ``%q`` writes it."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    escaped = display_text(text).replace('"', '\\"')
    return f'"{escaped}"'


def overlay_layers(mount: Mount, *, original: bool = False) -> tuple[bytes, ...]:
    """The layers of an overlay mount, bottommost first.

    With *original* by the rules of BuildKit's first version, which does not know ``redirect_dir=``.

    Raises:
        NotOverlay: there is an option that BuildKit does not know.
    """
    lowerdirs: tuple[bytes, ...] = ()
    upperdir: bytes | None = None
    for option in mount.options:
        key, equals, value = option.partition(b"=")
        if equals and key == b"upperdir":
            upperdir = value
        elif equals and key == b"lowerdir":
            lowerdirs = tuple(reversed(value.split(b":")))
        elif equals and (key == b"workdir" or (key == b"redirect_dir" and not original)):
            continue
        elif option not in (b"index=off", b"userxattr"):
            raise NotOverlay(f"unknown option {_quoted(option)} specified by snapshotter")
    return lowerdirs if upperdir is None else (*lowerdirs, upperdir)


def find_upperdir(
    lower: tuple[Mount, ...], upper: tuple[Mount, ...], *, original: bool = False
) -> bytes:
    """The directory that holds what *upper* changed on top of *lower*.

    With *original* by the rules of BuildKit's first version, see :func:`overlay_layers`.

    Raises:
        NotOverlay: the pair is not one that the overlay differ understands, in BuildKit's words.
    """
    if not lower and len(upper) == 1:
        if upper[0].type != "bind":
            raise NotOverlay(f"bottommost upper must be bind mount but {_quoted(upper[0].type)}")
        upperdir = upper[0].source
    elif len(lower) == 1 and len(upper) == 1:
        upperdir = _topmost(lower[0], upper[0], original)
    else:
        raise NotOverlay("multiple mount configurations are not supported")
    if not upperdir:
        raise NotOverlay("cannot determine upperdir from mount option")
    return upperdir


def _topmost(lower: Mount, upper: Mount, original: bool) -> bytes:
    if lower.type == "bind":
        lower_layers: tuple[bytes, ...] = (lower.source,)
    elif lower.type == "overlay":
        lower_layers = overlay_layers(lower, original=original)
    else:
        raise NotOverlay(
            f"cannot get layer information from mount option (type = {_quoted(lower.type)})"
        )
    if upper.type != "overlay":
        raise NotOverlay(f"upper snapshot isn't overlay mounted (type = {_quoted(upper.type)})")
    upper_layers = overlay_layers(upper, original=original)
    if len(upper_layers) != len(lower_layers) + 1:
        raise NotOverlay("cannot determine diff of more than one upper directories")
    for number, (below, above) in enumerate(zip(lower_layers, upper_layers, strict=False)):
        if below != above:
            raise NotOverlay(f"layer {number} must be common between upper and lower snapshots")
    return upper_layers[-1]


def mounts_from_json(document: str | bytes) -> MountPair:
    """Read ``{"lower": [...], "upper": [...]}``, each a list of containerd mounts or null.

    A mount is ``{"Type", "Source", "Options", "Target"}``; all but the type may be missing or null,
    and other keys are ignored. Strings are in Python's surrogateescape form, so that a path may
    hold any bytes but NUL.

    Raises:
        UsageError: the document is malformed.
    """
    import json

    if isinstance(document, bytes):
        document = document.decode("utf-8", "surrogateescape")
    try:
        data = json.loads(document)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"the mounts are not JSON (line {error.lineno}, column {error.colno}); "
            'give {"lower": [...], "upper": [...]}'
        ) from None
    except (ValueError, RecursionError):  # a number of thousands of digits, endless nesting
        raise UsageError("the mounts are not JSON that could be read") from None
    if not isinstance(data, dict):
        raise UsageError('the mounts must be an object {"lower": [...], "upper": [...]}')
    return MountPair(_mounts(data, "lower"), _mounts(data, "upper"))


def mounts_to_json(pair: MountPair) -> str:
    """The document that :func:`mounts_from_json` reads back as *pair*, ASCII on one line."""
    import json

    return json.dumps(
        {
            side: [
                {
                    "Type": mount.type,
                    "Source": _text(mount.source),
                    "Options": [_text(option) for option in mount.options],
                    "Target": _text(mount.target),
                }
                for mount in mounts
            ]
            for side, mounts in (("lower", pair.lower), ("upper", pair.upper))
        }
    )


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _mounts(data: dict[str, object], side: str) -> tuple[Mount, ...]:
    if side not in data:
        raise UsageError(f'the mounts have no "{side}"; give a list of mounts, or null for none')
    mounts = data[side]
    if mounts is None:
        return ()
    if not isinstance(mounts, list):
        raise UsageError(f'"{side}" of the mounts must be a list of mounts')
    return tuple(_mount(mount, f"{side}[{number}]") for number, mount in enumerate(mounts))


def _mount(data: object, where: str) -> Mount:
    if not isinstance(data, dict):
        raise UsageError(f"{where} of the mounts must be an object with Type, Source and Options")
    options = data.get("Options")
    if options is None:
        options = []
    if not isinstance(options, list):
        raise UsageError(f"{where}.Options of the mounts must be a list of strings")
    if "Type" not in data:
        raise UsageError(f'{where} of the mounts has no Type, such as "overlay" or "bind"')
    return Mount(
        type=_text(_bytes(data["Type"], f"{where}.Type")),
        source=_bytes(data.get("Source") or "", f"{where}.Source"),
        options=tuple(
            _bytes(option, f"{where}.Options[{number}]") for number, option in enumerate(options)
        ),
        target=_bytes(data.get("Target") or "", f"{where}.Target"),
    )


def _bytes(value: object, where: str) -> bytes:
    if not isinstance(value, str):
        raise UsageError(f"{where} of the mounts must be a string")
    try:
        data = value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise UsageError(
            f"{where} of the mounts holds a lone surrogate; write a byte that is not UTF-8 as "
            "\\udc80 to \\udcff"
        ) from None
    if b"\0" in data:
        raise UsageError(f"{where} of the mounts holds a NUL, which no path can have")
    return data
