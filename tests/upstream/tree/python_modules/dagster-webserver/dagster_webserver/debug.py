"""The `dagster-webserver-debug` command. It has no `--version`, in any release."""

import sys

from dagster._click import Command


def load(**_):
    print("Error: Must provide at least one debug file", file=sys.stderr)
    return 1


def main():
    Command(
        load,
        {"port": ["-p=", "--port="], "host": ["-h=", "--host="]},
        help="Load the UI with a read-only instance created from debug files.",
    ).main()
