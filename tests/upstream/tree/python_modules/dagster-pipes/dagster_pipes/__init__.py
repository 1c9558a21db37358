"""Toolkit for code outside of Dagster: a process finds out for what it runs, and reports what it made.

As upstream, this is one module without requirements, which can be copied next to a script. How the
process is told is upstream's protocol: `DAGSTER_PIPES_CONTEXT` and `DAGSTER_PIPES_MESSAGES` hold
compressed JSON, here always with the `path` of a file.
"""

import base64
import contextlib
import json
import os
import zlib

from dagster_pipes.version import __version__

PIPES_PROTOCOL_VERSION = "0.1"
CONTEXT = "DAGSTER_PIPES_CONTEXT"
MESSAGES = "DAGSTER_PIPES_MESSAGES"


def encode_param(value):
    return base64.b64encode(zlib.compress(json.dumps(value).encode("utf-8"))).decode("utf-8")


def decode_param(text):
    return json.loads(zlib.decompress(base64.b64decode(text)).decode("utf-8"))


class DagsterPipesError(Exception):
    pass


class PipesContext:
    def __init__(self, data, messages):
        self.data = data
        self.messages = messages

    @property
    def asset_key(self):
        (key,) = self.data["asset_keys"]
        return key

    @property
    def run_id(self):
        return self.data["run_id"]

    def write(self, method, params=None):
        line = {"__dagster_pipes_version": PIPES_PROTOCOL_VERSION, "method": method, "params": params}
        with open(self.messages, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def report_asset_materialization(self, metadata=None, data_version=None, asset_key=None):
        params = {
            "asset_key": asset_key or self.asset_key,
            "data_version": data_version,
            "metadata": {
                name: {"raw_value": value, "type": "__infer__"} for name, value in (metadata or {}).items()
            },
        }
        self.write("report_asset_materialization", params)


@contextlib.contextmanager
def open_dagster_pipes():
    if CONTEXT not in os.environ:
        raise DagsterPipesError("This process was not launched by a Dagster orchestration process.")
    with open(decode_param(os.environ[CONTEXT])["path"], encoding="utf-8") as file:
        data = json.load(file)
    pipes = PipesContext(data, decode_param(os.environ[MESSAGES])["path"])
    pipes.write("opened", {"extras": {}})
    try:
        yield pipes
    finally:
        pipes.write("closed")


__all__ = [
    "PIPES_PROTOCOL_VERSION",
    "DagsterPipesError",
    "PipesContext",
    "__version__",
    "decode_param",
    "encode_param",
    "open_dagster_pipes",
]
