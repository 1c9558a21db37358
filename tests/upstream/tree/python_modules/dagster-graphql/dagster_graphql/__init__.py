"""The GraphQL frontend: a schema small enough to be a tree of plain values."""

from dagster_graphql.execution import execute_query
from dagster_graphql.version import __version__

__all__ = ["__version__", "execute_query"]
