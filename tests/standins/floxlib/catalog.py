"""A FloxHub catalog on disk: one JSON file per package, and how `flox show` prints it."""

import json
import os
import re

# The systems that flox itself knows, not those of release.toml: a version that is there for all of them
# is listed without a suffix.
ALL_SYSTEMS = ["aarch64-darwin", "aarch64-linux", "x86_64-darwin", "x86_64-linux"]


class Catalog:
    def __init__(self, directory):
        self.directory = os.path.join(directory, "catalog")

    def file(self, org, package):
        return os.path.join(self.directory, org, package + ".json")

    def read(self, org, package):
        """The record of a package; nothing when it was never published."""
        try:
            with open(self.file(org, package), encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            return None

    def find(self, org, package, key):
        """An earlier publication of the same package from the same source."""
        record = self.read(org, package) or {"publications": []}
        return next((item for item in record["publications"] if item["key"] == key), None)

    def add(self, org, package, publication):
        record = self.read(org, package) or {"publications": []}
        record["publications"].append(publication)
        path = self.file(org, package)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(record, file, indent=2)
        os.replace(path + ".new", path)

    def show(self, org, package):
        """What `flox show` prints; nothing when there is no such package."""
        record = self.read(org, package)
        if record is None:
            return None
        name = "%s/%s" % (org, package)
        systems = {}
        for item in record["publications"]:
            systems.setdefault(item["version"], set()).add(item["system"])
        ordered = sorted(systems, key=order, reverse=True)
        latest = ordered[0]
        newest = [item for item in record["publications"] if item["version"] == latest][-1]
        lines = ["%s - %s" % (name, newest["description"] or "<no description provided>")]
        lines += ["Catalog: " + org, "Latest:  %s@%s" % (name, latest)]
        if newest["license"]:
            lines.append("License: " + newest["license"])
        outputs = [o + "*" if o in newest["installed"] else o for o in newest["outputs"]]
        lines.append("Outputs: %s (* installed by default)" % ", ".join(outputs))
        lines += ["Systems: " + ", ".join(sorted(systems[latest])), "", "Other versions:"]
        width = max(len(version) for version in ordered)
        for version in ordered:
            line = "    %s@%s" % (name, version)
            if sorted(systems[version]) != ALL_SYSTEMS:
                line += " " * (width - len(version)) + " (%s only)" % ", ".join(sorted(systems[version]))
            lines.append(line)
        return "\n".join(lines) + "\n"


def order(version):
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.split(r"[.-]", version)]
