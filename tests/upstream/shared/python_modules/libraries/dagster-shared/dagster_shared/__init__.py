"""Shared code between dagster and its tools."""

from dagster_shared.version import __version__

__all__ = ["__version__"]
