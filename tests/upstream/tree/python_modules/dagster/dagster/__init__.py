"""A tiny Dagster: the names that a first `defs.py` uses, and nothing behind them but files."""

from dagster._core import (
    AssetExecutionContext,
    AssetKey,
    AssetSelection,
    Config,
    Definitions,
    MaterializeResult,
    OpExecutionContext,
    asset,
    define_asset_job,
    job,
    materialize,
    op,
)
from dagster._pipes import PipesSubprocessClient
from dagster.version import __version__

__all__ = [
    "AssetExecutionContext",
    "AssetKey",
    "AssetSelection",
    "Config",
    "Definitions",
    "MaterializeResult",
    "OpExecutionContext",
    "PipesSubprocessClient",
    "__version__",
    "asset",
    "define_asset_job",
    "job",
    "materialize",
    "op",
]
