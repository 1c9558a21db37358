#!/usr/bin/env python3
"""A stand-in for upstream: GitHub's REST paths and archives, and a package index, on 127.0.0.1.

    upstream.py prepare --work DIR [--real VERSION | --plant FILE]
    upstream.py serve --work DIR --log FILE [--port 0] [--until-eof] [--fault NAME]…

`prepare` makes a real git repository with tags and a folder of real wheels: of the small upstream in
tests/upstream, or rebuilt from the distributions of one real version that pip downloads; what is planted
is run by every `setup.py` and every package of the small one. `serve` only reads them, so that many servers
can share one directory. It says `listening on URL` and, with `--until-eof`, ends with its stdin.

Faults: github-403-rate-limit  github-500  index-500  archive-404  archive-truncated
archive-corrupt  archive-hangs  log-headers (each request's, too)  moved-tag=TAG (the archive is of another
commit than the API says)
"""

import argparse
import functools
import hashlib
import html
import http.server
import json
import os
import re
import shutil
import socketserver
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.parse
import zipfile

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
UPSTREAM = os.path.join(TESTS, "upstream")
sys.path[:0] = [UPSTREAM, os.path.join(UPSTREAM, "backend")]

import releases  # noqa: E402

REPOSITORY = "dagster-io/dagster"


def git(directory, *arguments, **options):
    # no configuration of the machine's, and the same commits everywhere
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment.update(
        GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL=os.devnull,
        GIT_AUTHOR_NAME="Dagster", GIT_AUTHOR_EMAIL="upstream@example.invalid",
        GIT_COMMITTER_NAME="Dagster", GIT_COMMITTER_EMAIL="upstream@example.invalid",
        GIT_AUTHOR_DATE="1700000000 +0000", GIT_COMMITTER_DATE="1700000000 +0000",
    )
    command = ["git", "--git-dir", os.path.join(directory, "upstream.git"), *arguments]
    return subprocess.run(
        command, check=True, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, encoding="utf-8", **options,
    ).stdout.strip()


# prepare


def prepare(work, real, planted):
    os.makedirs(os.path.join(work, "index"))
    git(work, "init", "--quiet", "--bare", "--initial-branch=master")
    if real:
        prepare_real(work, real)
    else:
        prepare_small(work, planted)


def commit(work, tree, release):
    version = release["version"]
    git(work, "--work-tree", tree, "add", "--all", "--force")
    git(work, "--work-tree", tree, "commit", "--quiet", "--allow-empty", "--message", version)
    annotate = ["--annotate", "--message", version] if release.get("annotated") else []
    git(work, "tag", *annotate, version)


def prepare_small(work, planted):
    yanked = []
    for release in releases.RELEASES:
        with tempfile.TemporaryDirectory() as tree:
            releases.write_tree(release, tree)
            if planted:
                plant(planted, tree, release["version"])
            commit(work, tree, release)
            releases.write_ui(tree)
            names = release.get("index", releases.packages(release["version"]))
            for name in names:
                wheel = build_wheel(work, tree, name, release)
                if name in release.get("yanked", []):
                    yanked.append(wheel)
    for tag in releases.OTHER_TAGS:
        git(work, "tag", tag)
    with open(os.path.join(work, "yanked.json"), "w", encoding="utf-8") as file:
        json.dump(yanked, file)


def plant(planted, tree, version):
    with open(planted, encoding="utf-8") as file:
        text = file.read()
    for name in releases.packages(version):
        for where in ("setup.py", releases.module(name) + "/__init__.py"):
            with open(os.path.join(tree, releases.PATHS[name], where), "a", encoding="utf-8") as file:
                file.write("\n\n" + text)


def build_wheel(work, tree, name, release):
    """Builds the wheel that is on the index, with the build backend that the source brings."""
    from setuptools import build_meta  # the double beside the small upstream

    folder = os.path.join(tree, releases.PATHS[name])
    version = releases.package_version(name, release["version"])
    # what upstream uploads says what it is, also where the tag does not
    path = os.path.join(folder, releases.module(name), "version.py")
    releases.write(path, '__version__ = "%s"\n' % version)
    index = os.path.join(work, "index", name)
    os.makedirs(index, exist_ok=True)
    here = os.getcwd()
    os.chdir(folder)
    try:
        return build_meta.build_wheel(index)
    finally:
        os.chdir(here)


def prepare_real(work, version):
    names = releases.packages(version)
    wanted = [releases.pinned(name, version) for name in names]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]
    pip += ["--disable-pip-version-check"]
    with tempfile.TemporaryDirectory() as scratch:
        sdists, wheels, tree = (os.path.join(scratch, name) for name in ("sdists", "wheels", "tree"))
        subprocess.run([*pip, "--no-binary", ":all:", "--dest", sdists, *wanted], check=True)
        subprocess.run([*pip, "--only-binary", ":all:", "--dest", wheels, *wanted], check=True)
        for file in os.listdir(sdists):
            name = releases_name(re.match(r"(.+)-[^-]+\.tar\.gz$", file).group(1))
            unpack_sdist(os.path.join(sdists, file), os.path.join(tree, releases.PATHS[name]))
        # GitHub's archive has no built UI
        webserver = os.path.join(tree, releases.PATHS["dagster-webserver"])
        shutil.rmtree(os.path.join(webserver, "dagster_webserver/webapp/build"))
        commit(work, tree, {"version": version})
        for file in os.listdir(wheels):
            folder = os.path.join(work, "index", releases_name(file.split("-")[0]))
            os.makedirs(folder)
            shutil.copy(os.path.join(wheels, file), folder)
    with open(os.path.join(work, "yanked.json"), "w", encoding="utf-8") as file:
        file.write("[]")


def releases_name(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def unpack_sdist(path, target):
    """Regular files of an sdist, without its top directory and what only an sdist has."""
    with tarfile.open(path) as archive:
        for member in archive:
            parts = member.name.split("/")[1:]
            made = parts == ["PKG-INFO"] or any(part.endswith(".egg-info") for part in parts)
            if not member.isreg() or made or not parts or ".." in parts:
                continue
            file = os.path.join(target, *parts)
            os.makedirs(os.path.dirname(file), exist_ok=True)
            with archive.extractfile(member) as source, open(file, "wb") as to:
                shutil.copyfileobj(source, to)
            os.chmod(file, 0o755 if member.mode & 0o100 else 0o644)


# serve


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address, options):
        super().__init__(address, Handler)
        self.work, self.log_file = os.path.abspath(options.work), options.log
        self.faults = dict(fault.partition("=")[::2] for fault in options.fault)
        self.lock = threading.Lock()

    def url(self):
        return "http://127.0.0.1:%d" % self.server_address[1]

    def refs(self):
        """Tags: name -> (object, commit). What was moved since they were read last is read again."""
        git_dir = os.path.join(self.work, "upstream.git")
        return self.refs_at(changed(os.path.join(git_dir, "refs/tags"), os.path.join(git_dir, "packed-refs")))

    @functools.lru_cache(maxsize=4)
    def refs_at(self, _):
        form = "%(refname:strip=2) %(objectname) %(*objectname)"
        found = {}
        for line in git(self.work, "for-each-ref", "--format", form, "refs/tags").splitlines():
            name, obj, *peeled = line.split()
            found[name] = (obj, peeled[0] if peeled else obj)
        return found

    def page(self, name):
        """The simple index page of a project; nothing when there is no such project."""
        folder, yanked = os.path.join(self.work, "index", name), os.path.join(self.work, "yanked.json")
        return self.page_at(name, changed(folder, yanked)) if os.path.isdir(folder) else None

    @functools.lru_cache(maxsize=64)
    def page_at(self, name, _):
        folder = os.path.join(self.work, "index", name)
        with open(os.path.join(self.work, "yanked.json"), encoding="utf-8") as file:
            yanked = set(json.load(file))
        lines = ["<!DOCTYPE html>", "<html><body>"]
        for file in sorted(os.listdir(folder)):
            path = os.path.join(folder, file)
            with open(path, "rb") as data:
                digest = hashlib.sha256(data.read()).hexdigest()
            attributes = ' data-requires-python="%s"' % html.escape(requires_python(path))
            if file in yanked:
                attributes += ' data-yanked="taken back"'
            lines.append('<a href="/files/%s/%s#sha256=%s"%s>%s</a>' % (name, file, digest, attributes, file))
        return "\n".join([*lines, "</body></html>", ""]).encode()


def changed(*paths):
    """When these were changed last: directories, in which something is put or taken away, and files."""
    return tuple(os.stat(path).st_mtime_ns if os.path.exists(path) else None for path in paths)


def requires_python(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        found = re.search(r"^Requires-Python: (.*)$", archive.read(name).decode(), re.MULTILINE)
    return found.group(1).strip() if found else ""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def log_request(self, code="-", size="-"):
        with self.server.lock, open(self.server.log_file, "a", encoding="utf-8") as file:
            file.write("%s %s %s\n" % (self.command, self.path, int(code)))
            if "log-headers" in self.server.faults:
                file.writelines("    %s: %s\n" % header for header in self.headers.items())

    def answer(self, status, data, kind="application/json", **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def answer_json(self, status, value, **headers):
        self.answer(status, json.dumps(value).encode(), **headers)

    def not_found(self):
        url = "https://docs.github.com/rest"
        self.answer_json(404, {"message": "Not Found", "documentation_url": url, "status": "404"})

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(url.path)
        query = urllib.parse.parse_qs(url.query)
        if path.startswith("/repos/"):
            return self.api(path, query)
        found = re.fullmatch("/" + REPOSITORY + r"/archive/(?:refs/tags/)?([^/]+)\.tar\.gz", path)
        if found:
            return self.archive(found.group(1))
        if path.startswith("/simple/"):
            return self.simple(path)
        found = re.fullmatch(r"/files/([^/]+)/([^/]+\.whl)", path)
        # the address that fetchPypi makes of a wheel's name
        other = re.fullmatch(r"/packages/[^/]+/[^/]/([^/]+)/([^/]+\.whl)", path)
        found = found or other
        if found:
            return self.file(releases_name(found.group(1)), found.group(2))
        return self.not_found()

    do_HEAD = do_GET

    def api(self, path, query):
        if "github-500" in self.server.faults:
            return self.answer_json(500, {"message": "Server Error"})
        if "github-403-rate-limit" in self.server.faults:
            message = "API rate limit exceeded for 192.0.2.1."
            url = "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api"
            return self.answer_json(403, {"message": message, "documentation_url": url})
        prefix = "/repos/%s/" % REPOSITORY
        if not path.startswith(prefix):
            return self.not_found()
        rest = path[len(prefix):]
        refs = self.server.refs()
        if rest == "tags":
            return self.tags(int(query.get("page", ["1"])[0]), int(query.get("per_page", ["30"])[0]))
        if rest.startswith("git/ref/tags/") and rest[13:] in refs:
            name = rest[13:]
            obj, target = refs[name]
            kind = "commit" if obj == target else "tag"
            url = "%s%sgit/%ss/%s" % (self.server.url(), prefix, kind, obj)
            return self.answer_json(200, {
                "ref": "refs/tags/" + name, "node_id": "x", "url": self.server.url() + path,
                "object": {"type": kind, "sha": obj, "url": url}})
        for name, (obj, target) in refs.items():
            if rest == "git/tags/" + obj and obj != target:
                return self.answer_json(200, {
                    "tag": name, "sha": obj, "node_id": "x", "message": name,
                    "url": self.server.url() + path,
                    "object": {"type": "commit", "sha": target, "url": self.server.url()}})
        return self.not_found()

    def tags(self, page, per_page):
        """A page of tags in GitHub's order: by name, the last first."""
        per_page = min(per_page, 3)  # so that the small upstream has several pages
        names = sorted(self.server.refs(), reverse=True)
        shown = names[(page - 1) * per_page : page * per_page]
        base = "%s/repos/%s" % (self.server.url(), REPOSITORY)
        headers = {}
        if page * per_page < len(names):
            last = -(-len(names) // per_page)
            headers["Link"] = '<%s/tags?page=%d&per_page=%d>; rel="next", <%s/tags?page=%d&per_page=%d>; rel="last"' % (
                base, page + 1, per_page, base, last, per_page)
        self.answer_json(200, [{
            "name": name, "node_id": "x", "zipball_url": "%s/zipball/refs/tags/%s" % (base, name),
            "tarball_url": "%s/tarball/refs/tags/%s" % (base, name),
            "commit": {"sha": self.server.refs()[name][1], "url": base + "/commits/x"},
        } for name in shown], **headers)

    def archive(self, ref):
        refs = self.server.refs()
        if "archive-404" in self.server.faults or not (ref in refs or re.fullmatch("[0-9a-f]{40}", ref)):
            return self.answer(404, b"404: Not Found", "text/plain; charset=utf-8")
        target = refs[ref][1] if ref in refs else ref
        moved = refs.get(self.server.faults.get("moved-tag"))
        if moved and moved[1] == target:
            target += "^"
        command = ["git", "--git-dir", os.path.join(self.server.work, "upstream.git"), "archive",
                   "--format=tar.gz", "--prefix=dagster-%s/" % ref, target]
        data = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        if "archive-truncated" in self.server.faults:
            data = data[: len(data) // 2]
        if "archive-hangs" in self.server.faults:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            time.sleep(3600)
        if "archive-corrupt" in self.server.faults:
            middle = len(data) // 2
            data = data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]
        self.answer(200, data, "application/x-gzip")

    def simple(self, path):
        if "index-portal" in self.server.faults:
            return self.answer(200, b"<html><a href='/login'>Log in</a></html>", "text/html")
        if "index-500" in self.server.faults:
            return self.answer(500, b"Internal Server Error", "text/plain")
        data = self.server.page(releases_name(path[len("/simple/"):].strip("/")))
        if data is None:
            return self.answer(404, b"404 Not Found", "text/plain")
        self.answer(200, data, "text/html; charset=utf-8")

    def file(self, name, file):
        path = os.path.join(self.server.work, "index", name, file)
        if not os.path.isfile(path):
            return self.answer(404, b"404 Not Found", "text/plain")
        with open(path, "rb") as data:
            self.answer(200, data.read(), "application/octet-stream")


def serve(options):
    server = Server(("127.0.0.1", options.port), options)
    print("listening on " + server.url(), flush=True)
    if options.until_eof:
        threading.Thread(target=end_with_stdin, args=(server,), daemon=True).start()
    server.serve_forever(poll_interval=0.1)


def end_with_stdin(server):
    sys.stdin.buffer.read()
    server.shutdown()


def main():
    parser = argparse.ArgumentParser(description="A stand-in for upstream.")
    commands = parser.add_subparsers(dest="command", required=True)
    preparing = commands.add_parser("prepare")
    preparing.add_argument("--work", required=True)
    source = preparing.add_mutually_exclusive_group()
    source.add_argument("--real", metavar="VERSION")
    source.add_argument("--plant", metavar="FILE")
    serving = commands.add_parser("serve")
    serving.add_argument("--work", required=True)
    serving.add_argument("--log", required=True)
    serving.add_argument("--port", type=int, default=0)
    serving.add_argument("--until-eof", action="store_true")
    serving.add_argument("--fault", action="append", default=[])
    options = parser.parse_args()
    if options.command == "prepare":
        prepare(options.work, options.real, options.plant)
    else:
        try:
            serve(options)
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
