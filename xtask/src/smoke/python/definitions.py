"""What the probes have Dagster load and run."""

from dagster import Definitions, asset, define_asset_job


@asset
def answer():
    return 42


defs = Definitions(assets=[answer], jobs=[define_asset_job("answer_job")])
