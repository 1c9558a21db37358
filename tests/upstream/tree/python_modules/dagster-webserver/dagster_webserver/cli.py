"""The `dagster-webserver` command."""

import os
import signal
import subprocess
import sys
import threading

from dagster._click import Command
from dagster._core import load_definitions

from dagster_webserver.version import __version__
from dagster_webserver.webserver import Server

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 3000

OPTIONS = {
    "host": ["-h=", "--host="],
    "port": ["-p=", "--port="],
    "python_file": ["-f=", "--python-file="],
    "module_name": ["-m=", "--module-name="],
    "read_only": ["--read-only"],
    "suppress_warnings": ["--suppress-warnings"],
    "log_level": ["--log-level=", "--uvicorn-log-level="],
    "dagster_log_level": ["--dagster-log-level="],
    "log_format": ["--log-format="],
    "code_server_log_level": ["--code-server-log-level="],
    "live_data_poll_rate": ["--live-data-poll-rate="],
}


def serve(host, port, python_file, module_name, live_data_poll_rate, **_):
    host = host or DEFAULT_HOST
    # as upstream: 0 does not mean "any free port"
    port = int(port or 0) or DEFAULT_PORT
    location = os.path.basename(python_file) if python_file else module_name or "defs.py"
    definitions = load_definitions(python_file, module_name)
    try:
        server = Server((host, port), definitions, location, live_data_poll_rate or "2000")
    except OSError as error:
        print("Exception: %s:%d: %s" % (host, port, error), file=sys.stderr)
        return 1
    target = ["-f", python_file] if python_file else ["-m", module_name] if module_name else []
    code_server = subprocess.Popen(
        [sys.executable, "-m", "dagster", "api", "grpc", *target], stdin=subprocess.PIPE
    )
    received = []

    def stop(number, _):
        received.append(number)
        threading.Thread(target=server.shutdown).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    text = "dagster-webserver - INFO - Serving dagster-webserver on http://%s:%d in process %d"
    print(text % (host, port, os.getpid()), file=sys.stderr, flush=True)
    server.serve_forever(poll_interval=0.05)
    server.server_close()
    if signal.SIGTERM in received and __version__.startswith(("1.9.", "1.10.", "1.11.")):
        # older releases end by the signal itself, newer ones return
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
    del code_server  # not waited for: it notices that its parent is gone
    return 0


def main():
    Command(serve, OPTIONS, version=__version__, help="Run dagster-webserver.").main()
