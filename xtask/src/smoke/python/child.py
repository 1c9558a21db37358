"""What a process sees that Dagster starts with a Python of the user's own. Arguments: a file to write
to, then the modules to import. A child of Dagster Pipes reports a materialization, too. Nothing else
of a package is imported, since it may be another Python's.

Written, JSON: `version`, `path`, `environment` (what an interpreter or a dynamic loader reads) and
`modules`, name -> file, or what kept it from being imported."""

import json
import os
import sys

READ = ("PYTHON", "NIX_PYTHON", "__PYVENV", "LD_", "DYLD_")
VERSION = "%d.%d.%d" % sys.version_info[:3]


def where(name):
    try:
        return __import__(name).__file__
    except BaseException as error:
        return "%s: %s" % (type(error).__name__, error)


report = {
    "version": VERSION,
    "path": sys.path,
    "environment": {name: value for name, value in os.environ.items() if name.startswith(READ)},
    "modules": {name: where(name) for name in sys.argv[2:]},
}
with open(sys.argv[1], "w", encoding="utf-8") as file:
    json.dump(report, file)

if "DAGSTER_PIPES_CONTEXT" in os.environ:
    from dagster_pipes import open_dagster_pipes

    with open_dagster_pipes() as pipes:
        pipes.report_asset_materialization(metadata={"python": VERSION})
