"""The server: /server_info, /graphql, the files of `webapp/build`, and the UI page for all else.

Files are listed once, at start, as upstream does: a file that is missing then is answered with the
page, status 200 and `text/html`.
"""

import http.server
import json
import os
import socketserver
import urllib.parse
import uuid

from dagster.version import __version__ as dagster_version
from dagster_graphql import execute_query
from dagster_graphql.version import __version__ as graphql_version

from dagster_webserver.version import __version__

BUILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "webapp", "build")
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/vnd.microsoft.icon",
    ".js": "application/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def __init__(self, address, definitions, location, poll_rate):
        self.definitions = definitions
        self.location = location
        self.poll_rate = poll_rate
        self.files = {}
        for folder, _, files in os.walk(BUILD):
            for name in files:
                path = os.path.join(folder, name)
                self.files["/" + os.path.relpath(path, BUILD).replace(os.sep, "/")] = path
        super().__init__(address, Handler)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, kind, data, headers=()):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def answer_json(self, status, value):
        self.answer(status, "application/json", json.dumps(value).encode("utf-8"))

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(url.path)
        if path in ("/server_info", "/dagit_info"):
            self.answer_json(200, {
                "dagster_webserver_version": __version__,
                "dagster_version": dagster_version,
                "dagster_graphql_version": graphql_version,
            })
        elif path == "/graphql":
            query = urllib.parse.parse_qs(url.query).get("query", [None])[0]
            self.answer_graphql(query)
        elif path in self.server.files:
            with open(self.server.files[path], "rb") as file:
                kind = TYPES.get(os.path.splitext(path)[1], "application/octet-stream")
                self.answer(200, kind, file.read())
        else:
            self.answer_page()

    do_HEAD = do_GET

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if urllib.parse.urlsplit(self.path).path != "/graphql":
            self.answer(405, "text/plain; charset=utf-8", b"Method Not Allowed")
            return
        kind = (self.headers.get("Content-Type") or "").partition(";")[0].strip()
        if kind == "application/json":
            try:
                query = json.loads(body.decode("utf-8")).get("query")
            except ValueError:
                self.answer(400, "text/plain; charset=utf-8", b"GraphQL request is not valid JSON")
                return
        elif kind == "application/graphql":
            query = body.decode("utf-8")
        else:
            self.answer(415, "text/plain; charset=utf-8", b"Unsupported Media Type")
            return
        self.answer_graphql(query)

    def answer_graphql(self, query):
        if not query:
            self.answer(400, "text/plain; charset=utf-8", b"No GraphQL query found in the request")
            return
        answer = execute_query(self.server.definitions, query, self.server.location)
        self.answer_json(200 if answer["data"] is not None else 400, answer)

    def answer_page(self):
        try:
            with open(os.path.join(BUILD, "index.html"), encoding="utf-8") as file:
                page = file.read()
            with open(os.path.join(BUILD, "csp-header.txt"), encoding="utf-8") as file:
                policy = file.read().strip()
        except OSError:
            self.log_error("Can't find webapp files.")
            self.answer(500, "text/plain; charset=utf-8", b"Internal Server Error")
            return
        nonce = uuid.uuid4().hex
        page = page.replace("BUILDTIME_ASSETPREFIX_REPLACE_ME", "").replace("__PATH_PREFIX__", "")
        page = page.replace('"__TELEMETRY_ENABLED__"', "false")
        page = page.replace("__LIVE_DATA_POLL_RATE__", self.server.poll_rate)
        headers = [("Content-Security-Policy", policy.replace("NONCE-PLACEHOLDER", nonce))]
        headers.append(("Cache-Control", "no-store"))
        data = page.replace("NONCE-PLACEHOLDER", nonce).encode("utf-8")
        self.answer(200, "text/html; charset=utf-8", data, headers)
