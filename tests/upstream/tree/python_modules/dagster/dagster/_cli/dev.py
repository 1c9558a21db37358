"""`dagster dev`: a webserver and a daemon as children, until one of them or the user ends it."""

import signal
import subprocess
import sys
import time


def run(python_file, module_name, host, port, live_data_poll_rate, **_):
    target = ["-f", python_file] if python_file else ["-m", module_name] if module_name else []
    web = [sys.executable, "-m", "dagster_webserver", *target]
    web += ["--host", host] if host else []
    web += ["--port", port] if port else []
    web += ["--live-data-poll-rate", live_data_poll_rate] if live_data_poll_rate else []
    # upstream imports it here too: without dagster-webserver there is no `dagster dev`
    probe = subprocess.run([sys.executable, "-c", "import dagster_webserver"], stderr=subprocess.PIPE)
    if probe.returncode != 0:
        print("Error: The dagster-webserver Python package must be installed in order to use the "
              "dagster dev command.", file=sys.stderr)
        return 2
    stop = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.append(True))
    print("dagster - INFO - Launching Dagster services...", file=sys.stderr, flush=True)
    children = [
        subprocess.Popen(web),
        subprocess.Popen([sys.executable, "-m", "dagster._daemon", "run", *target]),
    ]
    try:
        while not stop:
            for child in children:
                if child.poll() is not None:
                    print("dagster - ERROR - A service has shut down", file=sys.stderr)
                    return 1
            time.sleep(0.1)
        print("dagster - INFO - Shutting down Dagster services...", file=sys.stderr)
        return 0
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait()
