"""Toolkit for code outside of Dagster; here only what dagster itself asks of it."""

from dagster_pipes.version import __version__

PIPES_PROTOCOL_VERSION = "0.1"

__all__ = ["PIPES_PROTOCOL_VERSION", "__version__"]
