"""The orchestrating end of Dagster Pipes: starts a process and takes in what it reports."""

import json
import os
import subprocess
import tempfile

import dagster_pipes

from dagster._core import DagsterError, MaterializeResult, TextMetadataValue


class DagsterPipesExecutionError(DagsterError):
    pass


class PipesClientCompletedInvocation:
    def __init__(self, results):
        self.results = results

    def get_results(self):
        return self.results

    def get_materialize_result(self):
        if len(self.results) != 1:
            raise DagsterError(
                "Multiple materialize results returned. Use `get_results` instead." if self.results
                else "No materialization results received. Use `get_results` instead."
            )
        return self.results[0]


class PipesSubprocessClient:
    def __init__(self, env=None, cwd=None):
        self.env = env or {}
        self.cwd = cwd

    def run(self, *, context, command, env=None, cwd=None):
        with tempfile.TemporaryDirectory() as work:
            bootstrap = {}
            for name, file in (dagster_pipes.CONTEXT, "context"), (dagster_pipes.MESSAGES, "messages"):
                path = os.path.join(work, file)
                open(path, "w").close()
                bootstrap[name] = dagster_pipes.encode_param({"path": path})
            with open(os.path.join(work, "context"), "w", encoding="utf-8") as file:
                keys = [context.asset_key.to_user_string()]
                json.dump({"asset_keys": keys, "run_id": context.run_id, "extras": {}}, file)
            ended = subprocess.run(
                command, cwd=cwd or self.cwd, env={**os.environ, **bootstrap, **self.env, **(env or {})}
            )
            if ended.returncode != 0:
                text = "External execution process failed with code %d"
                raise DagsterPipesExecutionError(text % ended.returncode)
            with open(os.path.join(work, "messages"), encoding="utf-8") as file:
                messages = [json.loads(line) for line in file]
        return PipesClientCompletedInvocation([
            MaterializeResult(metadata={
                name: TextMetadataValue(item["raw_value"])
                for name, item in message["params"]["metadata"].items()
            })
            for message in messages if message["method"] == "report_asset_materialization"
        ])
