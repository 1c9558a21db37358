"""Helpers; upstream moved them to dagster-shared in 1.10.6."""

import os


def dagster_home():
    """`$DAGSTER_HOME`, or None when runs keep nothing."""
    home = os.environ.get("DAGSTER_HOME")
    if home and not os.path.isabs(home):
        raise SystemExit("DAGSTER_HOME must be an absolute path: " + home)
    return home or None
