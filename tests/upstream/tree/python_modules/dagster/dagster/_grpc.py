"""Code servers: a location's definitions are loaded by a process of their own, with the Python that
the location asks for, and whoever needs them asks that process."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

from dagster._core import DagsterError, load_definitions

ANSWER_SECONDS = 60
INHERITED_SECONDS = 2


def target_of(python_file, module_name):
    return ["-f", python_file] if python_file else ["-m", module_name] if module_name else []


class CodeServer:
    """A running code server, until the end of a `with`. `names` are what it has loaded."""

    def __init__(self, python_file=None, module_name=None, executable=None):
        self.target = target_of(python_file, module_name)
        self.executable = executable or sys.executable

    def __enter__(self):
        self.work = tempfile.TemporaryDirectory()
        path = os.path.join(self.work.name, "socket")
        command = [self.executable, "-m", "dagster", "api", "grpc", "--socket", path, *self.target]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE)
        try:
            self.names = self.ask(path)
        except BaseException:
            self.__exit__()
            raise
        return self

    def ask(self, path):
        until = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < until:
            if self.process.poll() is not None:
                text = "gRPC server exited with return code %d while starting up with the command: %r"
                raise DagsterError(text % (self.process.returncode, self.process.args))
            with socket.socket(socket.AF_UNIX) as client:
                try:
                    client.connect(path)
                except OSError:
                    time.sleep(0.02)
                    continue
                with client.makefile() as file:
                    answer = json.load(file)
            if "error" in answer:
                raise DagsterError(answer["error"])
            return answer
        raise DagsterError("timed out waiting for the server to start")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.stdin.close()
        self.process.wait()
        self.work.cleanup()


def serve(path, python_file, module_name):
    """Answers with what was loaded, or why nothing was. It outlives its parent, who holds its stdin,
    by a moment."""
    try:
        definitions = load_definitions(python_file, module_name)
        answer = {"assets": list(definitions.assets), "jobs": list(definitions.jobs)}
    except Exception as error:
        answer = {"error": "%s: %s" % (type(error).__name__, error)}
    if path:
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        server.listen()
        threading.Thread(target=answer_all, args=(server, answer), daemon=True).start()
    sys.stdin.read()
    time.sleep(INHERITED_SECONDS)
    return 0


def answer_all(server, answer):
    while True:
        client, _ = server.accept()
        with client:
            client.sendall(json.dumps(answer).encode("utf-8"))
