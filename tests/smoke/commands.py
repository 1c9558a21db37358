"""Breaks of what the commands leave and do, beside serving: each leaves a Dagster that starts, serves its
pages and answers queries. Made on a copy of a virtual environment; check.py runs them.

What is changed is recorded anew, as if upstream had released it like that.
"""

from users import insert

# As in check.py: how, the probe that must find it, and a word of the cause that it must say.
BREAKS = {
    "code servers are left running": (
        insert("dagster/_core/workspace/context.py", "WorkspaceProcessContext.__exit__",
               'if __import__("sys").argv[0].endswith("/dagster-webserver"): return'),
        "webserver end", [" -m dagster api grpc", "killed"]),
}

# With these nothing else may be red.
ALONE = {name: {probe} for name, (_, probe, _) in BREAKS.items()}
