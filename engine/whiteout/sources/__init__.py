"""Where snapshots come from: the mounts of this host and the stores of container engines.

Each engine is a module with a ``SOURCE``; :mod:`whiteout.sources.registry` knows them all. A source
reads what an engine wrote on disk, needs no daemon, and never writes.
"""
