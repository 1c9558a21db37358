"""The `dagster-graphql` command."""

import json
import os
import sys

from dagster._click import Command
from dagster._core import load_definitions

from dagster_graphql.execution import execute_query
from dagster_graphql.version import __version__

OPTIONS = {
    "text": ["-t=", "--text="],
    "query_file": ["--file="],
    "output": ["-o=", "--output="],
    "python_file": ["-f=", "--python-file="],
    "module_name": ["-m=", "--module-name="],
}


def query(text, query_file, output, python_file, module_name):
    if query_file:
        with open(query_file, encoding="utf-8") as file:
            text = file.read()
    if not text:
        print("Error: Must select one of --text, --file or --predefined.", file=sys.stderr)
        return 2
    location = os.path.basename(python_file) if python_file else module_name or "defs.py"
    answer = execute_query(load_definitions(python_file, module_name), text, location)
    line = json.dumps(answer)
    if output:
        with open(output, "w", encoding="utf-8") as file:
            file.write(line)
    else:
        print(line)
    return 1 if "errors" in answer else 0


def main():
    Command(query, OPTIONS, version=__version__, help="Run a GraphQL query against the dagster interface.").main()
