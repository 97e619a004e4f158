"""containerd as a source: the containers, images and snapshots of all namespaces.

Also those who build on it: nerdctl, k3s, RKE2, kind, and Docker with the containerd image store.
The databases are read as they lie on disk, with or without a daemon.
"""

from __future__ import annotations

from collections.abc import Iterator

from whiteout.display import display_text
from whiteout.errors import UsageError
from whiteout.sources.containerdroots import store_roots
from whiteout.sources.model import Record
from whiteout.sources.root import Root
from whiteout.sources.stack import Kind


class ContainerdSource:
    """Everything that containerd keeps, below all its root directories."""

    name = "containerd"
    schemes = ("containerd",)

    def discover(self, root: Root) -> Iterator[Record]:
        """Containers, images and then snapshots, by store and namespace."""
        for place in store_roots(root):
            from whiteout.sources.containerdstore import store_records

            yield from store_records(place)

    def resolve(self, scheme: str, rest: str, root: Root) -> Record:
        """``NAMESPACE/KEY``: the key of a snapshot, a container's id or name, an image's name."""
        from whiteout.sources.naming import choose

        target = f"{scheme}://{rest}"
        namespace, slash, key = rest.partition("/")
        if not slash or not key:
            raise UsageError(
                f"{display_text(target)} is no {scheme}://NAMESPACE/KEY; see 'whiteout list'"
            )
        records = list(self.discover(root))
        prefix = f"{scheme}://{namespace}/"
        inside = [
            each for each in records if each.kind is Kind.STORE or each.target.startswith(prefix)
        ]
        known = sorted({each.target.split("/")[2] for each in records if each.target})
        if known and not any(each.target for each in inside):
            raise UsageError(
                f"containerd has no namespace {display_text(namespace)}; there "
                + ("is " if len(known) == 1 else "are ")
                + ", ".join(map(display_text, known))
            )
        return choose(inside, key, target)


SOURCE = ContainerdSource()
