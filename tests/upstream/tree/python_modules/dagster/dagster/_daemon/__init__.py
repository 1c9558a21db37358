"""The `dagster-daemon` command: a heartbeat in `$DAGSTER_HOME` and whether it is fresh."""

import json
import os
import signal
import sys
import tempfile
import threading
import time

from dagster._click import Command
from dagster._utils import dagster_home
from dagster.version import __version__

INTERVAL_SECONDS = 1
TOLERANCE_SECONDS = 30
DAEMONS = ["ASSET", "BACKFILL", "QUEUED_RUN_COORDINATOR", "SCHEDULER", "SENSOR"]


def heartbeat_path():
    home = dagster_home()
    return os.path.join(home, "history", "heartbeats.json") if home else None


def is_alive():
    try:
        with open(heartbeat_path() or "", encoding="utf-8") as file:
            beats = json.load(file)
    except (OSError, ValueError):
        return False
    return all(time.time() - beats.get(item, 0) < TOLERANCE_SECONDS for item in DAEMONS)


def beat():
    path = heartbeat_path()
    if path:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({item: time.time() for item in DAEMONS}, file)
        os.replace(temporary, path)


def run(**_):
    if heartbeat_path() is None:
        print("dagster.daemon - ERROR - DAGSTER_HOME is not set", file=sys.stderr)
        return 1
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    print("dagster.daemon - INFO - Instance is configured with the following daemons: %s" % DAEMONS,
          file=sys.stderr, flush=True)
    while True:
        beat()
        if stop.wait(INTERVAL_SECONDS):
            print("dagster.daemon - INFO - Daemon threads shut down.", file=sys.stderr)
            return 0


def liveness_check():
    if is_alive():
        print("Daemon live")
        return 0
    print("Daemon(s) not running")
    return 1


def wipe():
    path = heartbeat_path()
    if path and os.path.exists(path):
        os.remove(path)
    print("Daemon heartbeats wiped")
    return 0


TARGET = {
    "python_file": ["-f=", "--python-file="],
    "module_name": ["-m=", "--module-name="],
    "log_level": ["--log-level="],
}

group = Command(
    version=__version__,
    help="CLI tools for working with the dagster daemon process.",
    commands={
        "run": Command(run, TARGET, help="Run any daemons configured on the DagsterInstance."),
        "liveness-check": Command(
            liveness_check, help="Check for recent heartbeats from the daemon."
        ),
        "wipe": Command(wipe, help="Wipe all heartbeats from storage."),
    },
)


def main():
    group.main()
