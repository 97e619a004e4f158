"""The terminal app over :mod:`whiteout`."""
