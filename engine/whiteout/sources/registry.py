"""All sources, what each of them lists, and the target that a person types."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from importlib import import_module

from whiteout.display import display_text
from whiteout.errors import UsageError, WhiteoutError, reason_of
from whiteout.sources.model import Record, Source
from whiteout.sources.root import Root
from whiteout.sources.stack import Kind

#: The module of each source, by the schemes of its targets; a module is imported when it is used.
_MODULES: dict[str, str] = {
    "mount": "mounts",
    "containerd": "containerd",
    "buildkit": "buildkit",
    "docker": "docker",
    "podman": "podman",
    "buildah": "podman",
    "crio": "podman",
    "oci": "images",
    "docker-archive": "images",
    "oci-archive": "images",
}


def source_names() -> tuple[str, ...]:
    """What ``--engine`` takes, in the order in which sources are listed."""
    return tuple(dict.fromkeys(source.name for source in sources()))


def schemes() -> dict[str, str]:
    """The name of the source of each scheme that a target may begin with."""
    return {scheme: _load(module).name for scheme, module in _MODULES.items()}


def sources(names: Iterable[str] = ()) -> tuple[Source, ...]:
    """The sources called *names*, or all of them.

    Raises:
        UsageError: there is no source of one of the names.
    """
    modules = dict.fromkeys(_MODULES.values())
    every: list[Source] = [_load(module) for module in modules]
    known = {source.name: source for source in every}
    wanted = list(names)
    for name in wanted:
        if name not in known:
            raise UsageError(
                f"there is no engine {display_text(name)}; give one of {', '.join(known)}"
            )
    return tuple(known[name] for name in wanted) if wanted else tuple(every)


def _load(module: str) -> Source:
    source: Source = import_module(f"whiteout.sources.{module}").SOURCE
    return source


def discover(root: Root, engines: Iterable[str] = ()) -> Iterator[Record]:
    """Everything that the sources list, one source after the other.

    The failure of one source is a record of its own and hides no other.

    Raises:
        UsageError: there is no source of one of the names in *engines*.
    """
    for source in sources(engines):
        yield from discover_one(source, root)


def discover_one(source: Source, root: Root) -> Iterator[Record]:
    """What *source* lists; its failure is the last record."""
    try:
        yield from source.discover(root)
    except WhiteoutError as error:
        yield _failure(source, str(error))
    except OSError as error:
        yield _failure(source, f"the system refused: {reason_of(error)}")


def _failure(source: Source, problem: str) -> Record:
    return Record(
        target="",
        name=source.name,
        engine=source.name,
        kind=Kind.STORE,
        group=source.name,
        problem=problem,
    )


def scheme_of(target: str) -> str | None:
    """The scheme of *target*, or None where it is a path."""
    scheme, colon, _ = target.partition(":")
    return scheme if colon and scheme in _MODULES else None


def resolve(target: str, root: Root) -> Record:
    """The record that *target* names, a target with one of the schemes.

    Raises:
        UsageError: there is no such thing, or more than one; the message suggests others.
    """
    scheme, _, rest = target.partition(":")
    if scheme not in _MODULES:
        raise UsageError(
            f"{display_text(target)} begins with no known scheme; give one of "
            + ", ".join(f"{name}:" for name in _MODULES)
        )
    return _load(_MODULES[scheme]).resolve(scheme, rest.removeprefix("//"), root)


def resolve_path(path: bytes, root: Root) -> Record | None:
    """The record of the image that lies at *path*, an image layout or an archive, or None.

    Raises:
        UsageError: *path* cannot be one.
    """
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return None
    if is_file:
        scheme = "docker-archive"
    elif os.path.isfile(os.path.join(path, b"oci-layout")):
        scheme = "oci"
    else:
        return None
    return resolve(f"{scheme}:{os.fsdecode(path)}", root)
