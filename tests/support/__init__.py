"""Helpers for tests. Nothing here is part of the product."""
