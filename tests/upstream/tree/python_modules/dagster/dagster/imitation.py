"""Says that this is not Dagster: the smoke test leaves out, by name, what only Dagster can answer."""
