"""`workspace.yaml`: which code locations there are, and which Python each of them asks for.

Read here is the part of YAML that is JSON, so that no library for it is needed."""

import json
import os

from dagster._core import DagsterError


def read_workspace(path):
    """Locations as keywords of a code server. Paths are relative to the file."""
    folder = os.path.dirname(os.path.abspath(path))
    try:
        with open(path, encoding="utf-8") as file:
            entries = json.load(file)["load_from"]
    except (OSError, KeyError, ValueError) as error:
        raise DagsterError("Errors while loading workspace config from %s: %s" % (path, error))
    locations = []
    for entry in entries:
        ((kind, value),) = entry.items()
        value = {"relative_path": value} if isinstance(value, str) else value
        location = {"executable": value.get("executable_path"), "python_file": None, "module_name": None}
        if kind == "python_file":
            location["python_file"] = os.path.join(folder, value["relative_path"])
        elif kind == "python_module":
            location["module_name"] = value.get("module_name") or value["relative_path"]
        else:
            raise DagsterError("Errors while loading workspace config from %s: %s" % (path, kind))
        locations.append(location)
    return locations
