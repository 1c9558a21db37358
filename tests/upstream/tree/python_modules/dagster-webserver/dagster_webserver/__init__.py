"""Web UI for dagster. The UI itself, `webapp/build`, comes with the distribution only."""

from dagster_webserver.version import __version__

__all__ = ["__version__"]
