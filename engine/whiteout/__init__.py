"""Whiteout's engine: what an overlayfs snapshot changed, why, and the layer that it becomes.

Open a snapshot, ask it, export it::

    import whiteout

    snapshot = whiteout.open_target(b"/var/lib/snapshots/2/fs", [b"/var/lib/snapshots/1/fs"])
    for verdict in snapshot.changes():
        print(verdict.kind, verdict.path, verdict.reason)
    store = whiteout.ContentStore("layers")
    result = whiteout.export_to_store(snapshot, store, media_type=whiteout.GZIP)

The names below are loaded when they are first used.
"""

from __future__ import annotations

from whiteout.typed import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from whiteout.cancel import CancelToken as CancelToken
    from whiteout.contentstore import ContentStore as ContentStore
    from whiteout.contentstore import Descriptor as Descriptor
    from whiteout.differ import Rules as Rules
    from whiteout.errors import WhiteoutError as WhiteoutError
    from whiteout.export import ExportResult as ExportResult
    from whiteout.export import Progress as Progress
    from whiteout.export import export_to_file as export_to_file
    from whiteout.export import export_to_store as export_to_store
    from whiteout.mediatypes import GZIP as GZIP
    from whiteout.mediatypes import TAR as TAR
    from whiteout.mediatypes import ZSTD as ZSTD
    from whiteout.mountinfo import overlay_mounts as overlay_mounts
    from whiteout.opening import DifferChoice as DifferChoice
    from whiteout.opening import open_mount as open_mount
    from whiteout.opening import open_mounts as open_mounts
    from whiteout.opening import open_pair as open_pair
    from whiteout.opening import open_target as open_target
    from whiteout.snapshot import Snapshot as Snapshot
    from whiteout.verdicts import ChangeKind as ChangeKind
    from whiteout.verdicts import Reason as Reason
    from whiteout.verdicts import Verdict as Verdict
    from whiteout.verify import verify_blob as verify_blob

_MODULES = {
    "CancelToken": "cancel",
    "ChangeKind": "verdicts",
    "ContentStore": "contentstore",
    "Descriptor": "contentstore",
    "DifferChoice": "opening",
    "ExportResult": "export",
    "GZIP": "mediatypes",
    "Progress": "export",
    "Reason": "verdicts",
    "Rules": "differ",
    "Snapshot": "snapshot",
    "TAR": "mediatypes",
    "Verdict": "verdicts",
    "WhiteoutError": "errors",
    "ZSTD": "mediatypes",
    "export_to_file": "export",
    "export_to_store": "export",
    "open_mount": "opening",
    "open_mounts": "opening",
    "open_pair": "opening",
    "open_target": "opening",
    "overlay_mounts": "mountinfo",
    "verify_blob": "verify",
}

__all__ = sorted([*_MODULES, "__version__"])


def __getattr__(name: str) -> object:
    if name in _MODULES:
        from importlib import import_module

        return getattr(import_module(f"whiteout.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
