"""Fixtures of the app's tests."""

from app_harness import as_root_owns_it

__all__ = ["as_root_owns_it"]
