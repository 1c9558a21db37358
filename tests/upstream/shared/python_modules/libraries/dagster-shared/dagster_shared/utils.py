"""What dagster and its tools share; before 1.10.6 this was `dagster._utils`."""

import os


def dagster_home():
    """`$DAGSTER_HOME`, or None when runs keep nothing."""
    home = os.environ.get("DAGSTER_HOME")
    if home and not os.path.isabs(home):
        raise SystemExit("DAGSTER_HOME must be an absolute path: " + home)
    return home or None
