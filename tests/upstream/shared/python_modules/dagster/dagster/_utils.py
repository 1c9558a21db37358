"""Kept for those who import it from here; the code lives in dagster-shared since 1.10.6."""

from dagster_shared.utils import dagster_home

__all__ = ["dagster_home"]
