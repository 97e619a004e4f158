"""Where an image may go: an OCI image layout, an archive, the store of an engine, a registry.

Each sink is a frozen dataclass in a module of its own. :func:`whiteout.sinks.spelling.parse_sink`
reads one from text, and :func:`whiteout.sinks.run.export_to` writes an image to any of them.
"""
