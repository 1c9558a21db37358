"""Who talks to a running web server beside a browser: Dagster's own Python client, scripts over HTTP, and
what listens over a WebSocket. Each function is one subject; `each.py` runs them.

Input, `clients.json`: `url`; `run`, one that succeeded, and `log_key`, of what a step of it wrote;
`subscriptions`, those of the web UI, each with `name`, `field`, `query` and `variables`."""

import gzip
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request

sys.path.append(os.path.dirname(__file__))
import each  # noqa: E402

with open("clients.json", encoding="utf-8") as file:
    task = json.load(file)
URL = task["url"]
REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "users.py"}
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(path, data=None):
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(URL + path, body, {"Content-Type": "application/json"})
    try:
        with opener.open(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        raise AssertionError("%s for `%s`: %s" % (error.code, path, error.read()[:200].decode("utf-8", "replace"))) from None


def graphql(query, **variables):
    answer = json.loads(fetch("/graphql", {"query": query, "variables": variables})[1])
    assert "errors" not in answer, answer["errors"]
    return answer["data"]


def python_client():
    from dagster import DagsterRunStatus
    from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError

    client = DagsterGraphQLClient("127.0.0.1", port_number=int(URL.rpartition(":")[2]))
    assert client.get_run_status(task["run"]) == DagsterRunStatus.SUCCESS
    try:
        client.submit_job_execution("everything", run_config={"ops": {"configured": {"config": {"wrong": 1}}}})
    except DagsterGraphQLClientError as error:
        assert "wrong" in str(error), error
    else:
        raise AssertionError("a wrong configuration is taken")
    run = client.submit_job_execution("nested", tags={"sent by": "the client"})
    while True:
        status = client.get_run_status(run)
        if status in (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED):
            break
        time.sleep(0.3)
    assert status == DagsterRunStatus.SUCCESS, status


def queries_of_scripts():
    """What scripts ask for that the web UI does not."""
    data = graphql("""
        query ($repository: RepositorySelector!, $job: PipelineSelector!, $run: ID!) {
            schedulesOrError(repositorySelector: $repository) { ... on Schedules { results { name } } }
            sensorsOrError(repositorySelector: $repository) { ... on Sensors { results { name } } }
            runIdsOrError(filter: {statuses: [SUCCESS]}) { ... on RunIds { results } }
            runsOrError(filter: {statuses: [SUCCESS]}, limit: 1) { ... on Runs { count results { runId runConfig
                eventConnection { events { __typename } } } } }
            allTopLevelResourceDetailsOrError(repositorySelector: $repository) {
                ... on ResourceDetailsList { results { name } } }
            utilizedEnvVarsOrError(repositorySelector: $repository) {
                ... on EnvVarWithConsumersList { results { envVarName envVarConsumers { name } } } }
            executionPlanOrError(pipeline: $job, mode: "default") {
                ... on ExecutionPlan { steps { key outputs { name } metadata { key } } } }
            runConfigSchemaOrError(selector: $job) { ... on RunConfigSchema { rootConfigType { key }
                allConfigTypes { key } rootDefaultYaml isRunConfigValid(runConfigData: "{}") { __typename } } }
            canBulkTerminate
            assetNodes { assetKey { path } dependencies { asset { assetKey { path } } }
                dependedBy { asset { assetKey { path } } } jobs { name } }
            runOrError(runId: $run) { ... on Run { assetMaterializations { runId } } }
        }""", repository=REPOSITORY, job={**REPOSITORY, "pipelineName": "nested"}, run=task["run"])
    names = {field: str(value) for field, value in data.items()}
    for field, expected in [
            ("schedulesOrError", "every_minute"), ("sensorsOrError", "once"), ("runIdsOrError", task["run"]),
            ("runsOrError", "RunSuccessEvent"), ("allTopLevelResourceDetailsOrError", "note"),
            ("utilizedEnvVarsOrError", "NOTE"), ("executionPlanOrError", "speak"),
            ("runConfigSchemaOrError", "PipelineConfigValidationValid"), ("canBulkTerminate", "True"),
            ("assetNodes", "'dependencies': [{'asset': {'assetKey': {'path': ['answer']}}}]")]:
        assert expected in names[field], "`%s` is %s" % (field, names[field][:200])


def refusals():
    """What is wrong is said by the type that it has, and nothing is launched."""
    launch = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename
        ... on RunConfigValidationInvalid { errors { __typename message path reason stack { entries { __typename } } } }
        ... on Error { message } } }"""

    def launched(job, config="{}"):
        params = {"selector": {**REPOSITORY, "pipelineName": job}, "runConfigData": config, "mode": "default"}
        return graphql(launch, params=params)["launchRun"]

    wrong = launched("everything", '{"ops": {"configured": {"config": {"text": 1, "many": ["a"], "of": {"x": "y"}}}}}')
    assert wrong["__typename"] == "RunConfigValidationInvalid", wrong
    assert {error["__typename"] for error in wrong["errors"]} == {"RuntimeMismatchConfigError"}, wrong
    assert launched("no_such_job")["__typename"] == "PipelineNotFoundError"
    lost = graphql("""{ runOrError(runId: "no") { __typename }
        assetNodeOrError(assetKey: {path: ["no"]}) { __typename } }""")
    assert [value["__typename"] for value in lost.values()] == ["RunNotFoundError", "AssetNotFoundError"], lost


def reported_over_http():
    read = "query ($key: AssetKeyInput!) { assetOrError(assetKey: $key) { ... on Asset { " \
        "assetMaterializations(limit: 1) { description } assetObservations(limit: 1) { description } } } }"
    for kind, field in [("materialization", "assetMaterializations"), ("observation", "assetObservations")]:
        fetch("/report_asset_%s/told/over/http" % kind, {"description": "a " + kind})
        found = graphql(read, key={"path": ["told", "over", "http"]})["assetOrError"]
        assert found[field] == [{"description": "a " + kind}], found
    fetch("/report_asset_check/answer", {"check_name": "even", "passed": True})


def downloads():
    assert b"this is stdout\n" in fetch("/logs/%s/out" % "/".join(task["log_key"]))[1]
    assert b"this is stderr\n" in fetch("/logs/%s/err" % "/".join(task["log_key"]))[1]
    debug = gzip.decompress(fetch("/download_debug/" + task["run"])[1]).decode()
    assert task["run"] in debug and "PIPELINE_SUCCESS" in debug, debug[:200]


def addresses_of_pages():
    def page(path):
        # each answer has a nonce of its own, in hexadecimal digits
        return re.sub(rb"\b[0-9a-f]{32}\b", b"", fetch(path)[1])

    start = page("/")
    assert b"<html" in start, start[:200]
    for path in ["/runs/" + task["run"], "/assets/answer", "/locations/__repository__@users.py/jobs/nested"]:
        assert page(path) == start, "`%s` is another page" % path
    schema = graphql("{ __schema { queryType { name } mutationType { name } subscriptionType { name } } }")
    assert schema["__schema"]["subscriptionType"], schema


def path_prefix():
    import asyncio

    from dagster import DagsterInstance
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import EmptyWorkspaceTarget
    from dagster_webserver.app import create_app_from_workspace_process_context

    async def get(app, path):
        sent = []

        async def send(message):
            sent.append(message)

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        await app({
            "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": path,
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": [(b"host", b"localhost")],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 1), "state": {},
        }, receive, send)
        body = b"".join(message.get("body", b"") for message in sent)
        return sent[0]["status"], dict(sent[0]["headers"]), body

    with DagsterInstance.get() as instance:
        with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as context:
            app = create_app_from_workspace_process_context(context, "/behind")
            status, headers, _ = asyncio.run(get(app, "/"))
            assert (status, headers.get(b"location")) == (307, b"/behind"), (status, headers)
            status, _, body = asyncio.run(get(app, "/behind/server_info"))
            assert status == 200 and b"dagster_webserver_version" in body, (status, body[:200])
            status, _, body = asyncio.run(get(app, "/behind/runs"))
            assert status == 200 and b"/behind/_next/" in body, (status, body[:200])


def heard(subscription, is_enough):
    """What a subscription says until that is enough."""
    import asyncio

    import websockets

    async def listen():
        address = URL.replace("http", "ws", 1) + "/graphql"
        async with websockets.connect(address, subprotocols=["graphql-ws"], max_size=None) as socket:
            await socket.send(json.dumps({"type": "connection_init", "payload": {}}))
            await socket.send(json.dumps({"type": "start", "id": "1", "payload": subscription}))
            said = []
            async for message in socket:
                message = json.loads(message)
                if message["type"] in ("error", "connection_error", "complete"):
                    raise AssertionError("`%s` after %d messages: %s" % (message["type"], len(said), message.get("payload")))
                if message["type"] != "data":
                    continue
                assert not message["payload"].get("errors"), message["payload"]["errors"]
                said.append(message["payload"]["data"])
                if is_enough(said):
                    return

    asyncio.run(listen())


def subscriptions():
    for own in task["subscriptions"]:
        subscription = {"operationName": own["name"], "query": own["query"], "variables": own["variables"]}
        expected = "this is stdout" if own["field"] == "capturedLogs" else "RunSuccessEvent"
        heard(subscription, lambda said: expected in json.dumps(said))


each.run([python_client, queries_of_scripts, refusals, reported_over_http, downloads, addresses_of_pages, path_prefix, subscriptions])
