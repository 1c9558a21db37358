"""Answers queries: parses selections (fields, aliases, inline fragments; arguments are skipped)
and picks from a tree of dicts, in which `__typename` decides whether a fragment applies."""

import re

from dagster._core import ASSET_JOB
from dagster._daemon import DAEMONS, is_alive
from dagster.version import __version__

TOKEN = re.compile(r'[\s,]+|#[^\n]*|(\.\.\.|[{}()\[\]:!$=@]|"(?:\\.|[^"\\])*"|[\w.+-]+)')


class QueryError(Exception):
    pass


class Query:
    """A parsed query: `fields` is a list of (alias, name, selections) and fragments (None, type, …)."""

    def __init__(self, text):
        self.tokens = []
        position = 0
        while position < len(text):
            match = TOKEN.match(text, position)
            if not match:
                raise QueryError("Syntax Error: Unexpected character: %r." % text[position])
            if match.group(1):
                self.tokens.append(match.group(1))
            position = match.end()
        if self.peek() in ("query", "mutation", "subscription"):
            if self.next() != "query":
                raise QueryError("this small schema has queries only")
            if self.peek() not in ("{", "("):
                self.next()
            self.skip_arguments()
        self.fields = self.selections()
        if self.tokens:
            raise QueryError("Syntax Error: Unexpected %s." % self.tokens[0])

    def peek(self):
        return self.tokens[0] if self.tokens else "<EOF>"

    def next(self, expected=None):
        if not self.tokens or expected not in (None, self.tokens[0]):
            raise QueryError("Syntax Error: Expected %s, found %s." % (expected or "Name", self.peek()))
        return self.tokens.pop(0)

    def skip_arguments(self):
        if self.peek() == "(":
            depth = 0
            while True:
                token = self.next()
                depth += {"(": 1, ")": -1}.get(token, 0)
                if depth == 0:
                    return

    def selections(self):
        self.next("{")
        found = []
        while self.peek() != "}":
            name = self.next()
            if name == "...":
                self.next("on")
                found.append((None, self.next(), self.selections()))
                continue
            alias = name
            if self.peek() == ":":
                self.next()
                name = self.next()
            self.skip_arguments()
            found.append((alias, name, self.selections() if self.peek() == "{" else None))
        self.next("}")
        return found


def pick(value, selections):
    if isinstance(value, list):
        return [pick(item, selections) for item in value]
    if selections is None or not isinstance(value, dict):
        if isinstance(value, dict) or selections is not None:
            raise QueryError("Field selections do not fit the type of the field.")
        return value
    answer = {}
    for alias, name, inner in selections:
        if alias is None:
            if name in (value["__typename"], value.get("__interface")):
                answer.update(pick(value, inner))
        elif name not in value:
            text = "Cannot query field '%s' on type '%s'."
            raise QueryError(text % (name, value["__typename"]))
        else:
            answer[alias] = pick(value[name], inner)
    return answer


def schema(definitions, location):
    assets = [
        {
            "__typename": "AssetNode",
            "id": "%s.%s.%s" % (location, "__repository__", item.key.path),
            "assetKey": {"__typename": "AssetKey", "path": item.key.path},
            "opNames": [item.name],
        }
        for item in definitions.assets.values()
    ]
    names = ([ASSET_JOB] if assets else []) + list(definitions.jobs)
    jobs = [{"__typename": "Job", "id": name, "name": name, "isJob": True} for name in names]
    pipelines = [dict(item, __typename="Pipeline") for item in jobs]
    place = {"__typename": "RepositoryLocation", "id": location, "name": location}
    repository = {
        "__typename": "Repository",
        "id": "__repository__@" + location,
        "name": "__repository__",
        "location": place,
        "assetNodes": assets,
        "pipelines": pipelines,
        "jobs": jobs,
    }
    entry = {
        "__typename": "WorkspaceLocationEntry",
        "id": location,
        "name": location,
        "loadStatus": "LOADED",
        "locationOrLoadError": dict(place, repositories=[repository]),
    }
    statuses = [
        {"__typename": "DaemonStatus", "daemonType": item, "required": True, "healthy": is_alive()}
        for item in DAEMONS
    ]
    return {
        "__typename": "Query",
        "version": __version__,
        "assetNodes": assets,
        "repositoriesOrError": {"__typename": "RepositoryConnection", "nodes": [repository]},
        "workspaceOrError": {"__typename": "Workspace", "id": "Workspace", "locationEntries": [entry]},
        "instance": {
            "__typename": "Instance",
            "daemonHealth": {"__typename": "DaemonHealth", "allDaemonStatuses": statuses},
        },
    }


def execute_query(definitions, query, location="defs.py"):
    """The response to `query` as GraphQL over HTTP has it: `{"data": …}`, with `errors` if any."""
    try:
        return {"data": pick(schema(definitions, location), Query(query).fields)}
    except QueryError as error:
        return {"errors": [{"message": str(error)}], "data": None}
