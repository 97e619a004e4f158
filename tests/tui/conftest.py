"""Fixtures of the app's tests."""

from app_harness import as_root_owns_it
from idle import idle_when_nothing_is_left_to_do

__all__ = ["as_root_owns_it", "idle_when_nothing_is_left_to_do"]
