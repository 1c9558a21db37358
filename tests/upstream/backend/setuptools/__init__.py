"""A double of setuptools, just enough for the `setup.py` files of this fixture.

`setup()` keeps what it was called with; `setuptools.build_meta` beside this file turns that into
a wheel. Stands in a `backend-path` because the real one cannot be had without a network.
"""

import os

CALLS = []


def setup(**keywords):
    CALLS.append(keywords)


def find_packages(where=".", exclude=()):
    """Top-level packages only: the double packs whole trees."""
    patterns = [item.rstrip("*") for item in exclude]
    return sorted(
        item
        for item in os.listdir(where)
        if os.path.exists(os.path.join(where, item, "__init__.py"))
        and not any(item.startswith(prefix) for prefix in patterns)
    )
