#!/usr/bin/env python3
"""The workflows as their jobs would run, from the files as they are parsed: which job can see what?

    tests/workflows/check.py

Each job of release.yml gets a clone, a home and an environment of its own, the secrets that its steps are
given, and a token that can push only where it has `contents: write`; artifacts are handed over. What the steps
run is this tool, git, and stand-ins for flox, pip and upstream (tests/faults/world.py); jobs for another system
than this machine's are left out, which is said. Meanwhile `/proc` is read all the time: who has which value in
its environment, or anywhere in its arguments, and when does something of upstream's run?

Refused: a value in arguments, outputs, files or artifacts; one that reaches a program that it is not for; a
credential in a job where upstream's code is smoked; what can push where anything of upstream's is built; a token
of FloxHub in a step that runs what was built. ci.yml runs upstream's code and so must be given nothing: its
steps are read, not run.

Exit status 1 with what was seen; the last line counts.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from ruamel.yaml import YAML

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))

from expressions import evaluate, expand  # noqa: E402
from world import ROOT, Template, World, run  # noqa: E402

SYSTEM = "%s-linux" % os.uname().machine
FLOXHUB = "flox_sat_" + os.urandom(12).hex()
# Whom a value is for, besides the shell of the step that was given it, and this tool.
MEANT_FOR = {"floxhub": {"flox"}, "push": {"git"}, "read": set()}
SHELLS = {"bash", "cargo", "xtask", "exe", "base64"}


def load(name):
    return YAML(typ="safe").load((ROOT / ".github/workflows" / name).read_text())


class Watcher:
    """Reads `/proc` in a thread: who holds a value, and which programs are of what was built."""

    def __init__(self, built):
        self.built = [os.fsencode(path) for path in built]
        self.step, self.root, self.values = None, None, {}
        self.seen, self.ran, self.wrong = {}, {}, []
        self.looked = 0
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self):
        while not self.is_over.is_set():
            for entry in os.listdir("/proc"):
                if entry.isdigit():
                    self.look(Path("/proc", entry))
            time.sleep(0.005)

    def look(self, process):
        step, values = self.step, self.values
        if step is None or not self.is_below(process):
            return
        try:
            name = (process / "comm").read_text().strip()
            arguments = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes()
        except OSError:
            return
        self.looked += 1
        for kind, value in values.items():
            if value.encode() in arguments:
                self.wrong.append("%s: %s is in the arguments of %s" % (step, kind, name))
            if value.encode() in environment:
                self.seen.setdefault((step, kind), set()).add((name, arguments))
        if any(path in arguments for path in self.built) and not arguments.startswith(b"git"):
            self.ran.setdefault(step, set()).add(name)

    def is_below(self, process):
        """Is it a process of the step that runs now? What loses its parent is taken in by this tool."""
        pid = process.name
        while pid not in ("0", "1"):
            if pid == str(self.root):
                return True
            try:
                pid = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                return False
        return False

    def close(self):
        self.is_over.set()
        self.thread.join()


class Simulation:
    """One run of release.yml, for a version that was given by hand."""

    def __init__(self, directory, template):
        self.world = World(directory, template)
        self.dir, self.template = directory, template
        status, said = self.world.release()
        if status != 0:
            sys.exit("a release without a workflow: status %s\n%s" % (status, said[-2000:]))
        self.world.reset()
        self.watcher = Watcher(template.built["paths"].values())
        self.outcome, self.rows, self.outputs, self.wrong = {}, [], {}, []
        self.artifacts = directory / "artifacts"
        self.artifacts.mkdir()
        self.flox_calls = directory / "flox-calls"
        tools = directory / "tools"
        tools.mkdir()
        self.script(tools / "cargo", 'case $1 in xtask) shift; exec %s "$@";; esac' % (ROOT / "target/debug/xtask"))
        self.script(tools / "rustup", "")
        self.script(directory / "flox-bin/flox", 'echo "$1" >>%s\nexec %s "$@"' % (
            self.flox_calls, directory / "bin/real-flox"))
        (directory / "bin/flox").unlink()

    @staticmethod
    def script(path, text):
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n%s\n" % text)
        path.chmod(0o755)

    def run(self, workflow, inputs):
        jobs = workflow["jobs"]
        done = {}
        while len(done) < len(jobs):
            for name, job in jobs.items():
                needs = job.get("needs", [])
                needs = [needs] if isinstance(needs, str) else needs
                if name not in done and all(need in done for need in needs):
                    done[name] = self.job(name, job, workflow, {need: done[need] for need in needs}, inputs)
        return done

    def job(self, name, job, workflow, needs, inputs):
        context = {
            "inputs": inputs, "needs": needs, "matrix": {}, "steps": {},
            "functions": {"cancelled": False, "failure": False, "success": True},
            "secrets": {"FLOX_FLOXHUB_TOKEN": FLOXHUB if job.get("environment") == "floxhub" else ""},
            "github": {"ref_name": "main", "server_url": "https://github.com"},
        }
        is_wanted = evaluate(job["if"], context) if "if" in job else all(
            need["result"] == "success" for need in needs.values())
        if not is_wanted:
            self.rows.append((name, "", "not run: its condition says so", "", ""))
            return {"result": "skipped", "outputs": {}}
        result, outputs = "success", {}
        matrix = job.get("strategy", {}).get("matrix", {}).get("include", [{}])
        for entry in matrix:
            system = entry.get("system", SYSTEM)
            if system != SYSTEM:
                self.rows.append((name, "", "not run: there is no machine of %s here" % system, "", ""))
                continue
            context["matrix"] = dict(entry)
            ended = self.steps(name, job, workflow, context)
            result = "failure" if ended == "failure" else result
            outputs.update({key: expand(value, context) for key, value in job.get("outputs", {}).items()})
        return {"result": result, "outputs": outputs}

    def steps(self, name, job, workflow, context):
        home = self.dir / "jobs" / name
        (home / "temp").mkdir(parents=True)
        can_push = job.get("permissions", {}).get("contents") == "write"
        kind = "push" if can_push else "read"
        token = "ghs_%s_%s_0123456789" % (kind, name)
        context["github"]["token"], context["can_push"] = token, can_push
        context["runner"] = {"temp": str(home / "temp")}
        context["functions"].update(failure=False, success=True)
        self.watcher.values = {kind: token, "floxhub": FLOXHUB}
        path = [self.dir / "tools", self.dir / "bin", os.environ["PATH"]]
        result = "success"
        for number, step in enumerate(job["steps"], 1):
            condition = step.get("if", "success()")
            if not evaluate(condition, context):
                continue
            label = "%s, step %d" % (name, number)
            if "uses" in step:
                outcome = self.action(step, context, home, path)
                given = ""
            else:
                outcome, given = self.command(label, step, workflow, context, home, path)
            context["steps"][step.get("id", number)] = {"outcome": outcome, **self.step_outputs(home)}
            may_fail = step.get("continue-on-error", False)
            if outcome == "failure" and not (may_fail and evaluate(str(may_fail), context)):
                result = "failure"
                context["functions"].update(failure=True, success=False)
        return result

    def step_outputs(self, home):
        file = home / "temp/output"
        lines = file.read_text().splitlines() if file.exists() else []
        return {"outputs": dict(line.split("=", 1) for line in lines if "=" in line)}

    def action(self, step, context, home, path):
        uses, options = step["uses"].partition("@")[0], step.get("with", {})
        options = {key: expand(value, context) for key, value in options.items()}
        if uses == "actions/checkout":
            subprocess.run(["git", "clone", "--quiet", "--branch", options.get("ref", "main"),
                            self.world.origin, home / "clone"], check=True)
            if not context["can_push"]:
                subprocess.run(["git", "-C", home / "clone", "config", "remote.origin.pushUrl", "/nowhere"], check=True)
            if options.get("persist-credentials", "True").lower() != "false":
                self.wrong.append("%s: the checkout keeps a credential in .git/config" % home.name)
        elif uses == "flox/install-flox-action":
            path.insert(0, self.dir / "flox-bin")
        elif uses == "actions/upload-artifact":
            source = Path(options["path"])
            if source.exists():
                target = self.artifacts / options["name"]
                target.mkdir()
                shutil.copy(source, target)
        elif uses == "actions/download-artifact":
            for found in self.artifacts.glob(options["pattern"]):
                shutil.copytree(found, options["path"], dirs_exist_ok=True)
        else:
            self.wrong.append("%s: what does %s do? The simulation does not know" % (home.name, uses))
        return "success"

    def command(self, label, step, workflow, context, home, path):
        own = {**workflow.get("env", {}), **step.get("env", {})}
        own = {key: expand(value, context) for key, value in own.items()}
        env = {
            **{key: value for key, value in self.world.env.items() if key != "FLOX_FLOXHUB_TOKEN"},
            # what the small upstream has nothing of
            "XTASK_ALLOW_SKIP": run(self.template.dir / "enter", "printenv", "XTASK_ALLOW_SKIP"),
            "PATH": ":".join(map(str, path)), "HOME": str(home), "CI": "true",
            "GITHUB_OUTPUT": str(home / "temp/output"), "GITHUB_STEP_SUMMARY": str(home / "temp/summary.md"),
            "RUNNER_TEMP": str(home / "temp"), **own,
        }
        given = [kind for kind, value in self.watcher.values.items() if value in own.values()]
        self.flox_calls.write_text("")
        shell = subprocess.Popen(
            ["bash", "-e", "-o", "pipefail", "-c", expand(step["run"], context)], cwd=home / "clone", env=env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
        self.watcher.root, self.watcher.step = shell.pid, label
        said = shell.communicate()[0]
        self.watcher.step = None
        calls = sorted(set(self.flox_calls.read_text().split()))
        smoked = bool(self.watcher.ran.get(label))
        self.judge(label, given, calls, smoked, said, home)
        doing = ["flox " + call for call in calls] + ["runs what was built"] * smoked
        what = re.sub(r"\s+", " ", step.get("name") or step["run"])[:60]
        self.rows.append((label, what, ", ".join(given) or "-", "; ".join(doing) or "-", str(shell.returncode)))
        if shell.returncode:
            print("%s ended with status %d:\n%s" % (label, shell.returncode, said[-3000:]))
        return "failure" if shell.returncode else "success", given

    def judge(self, label, given, calls, smoked, said, home):
        wrong = self.wrong
        if "push" in given and (calls or smoked):
            wrong.append("%s can push, and %s" % (label, "runs what was built" if smoked else "flox builds there"))
        if "floxhub" in given and smoked:
            wrong.append("%s has FloxHub's token beside what was built and runs" % label)
        for kind, value in self.watcher.values.items():
            if value in said:
                wrong.append("%s: %s is in the output" % (label, kind))
            for file in home.rglob("*"):
                if file.is_file() and not file.is_symlink() and value.encode() in file.read_bytes():
                    wrong.append("%s: %s is in %s" % (label, kind, file.relative_to(home)))
            for name, arguments in self.watcher.seen.get((label, kind), ()):
                first = arguments.split(b"\0")
                is_meant = name in SHELLS or any(
                    program in name or any(program.encode() in word for word in first[:4])
                    for program in MEANT_FOR[kind])
                if not is_meant:
                    shown = arguments.replace(b"\0", b" ").decode("utf-8", "replace")[:80]
                    wrong.append("%s: %s is in the environment of `%s`" % (label, kind, shown))


def read_ci(wrong):
    """ci.yml: its steps run upstream's code, and are given nothing but a token that reads."""
    rows = []
    for name, job in load("ci.yml")["jobs"].items():
        permissions = job.get("permissions")
        if permissions != {"contents": "read"} or "environment" in job:
            wrong.append("ci.yml, %s: expected `contents: read` and no environment, found %s" % (name, permissions))
        for number, step in enumerate(job["steps"], 1):
            text = json.dumps(step)
            if "secrets." in text:
                wrong.append("ci.yml, %s, step %d: a secret is given" % (name, number))
            if step.get("uses", "").startswith("actions/checkout") and step["with"].get("persist-credentials") is not False:
                wrong.append("ci.yml, %s, step %d: the checkout keeps a credential" % (name, number))
            if "run" in step:
                given = "read" if "github.token" in text else "-"
                rows.append(("ci.yml, %s, step %d" % (name, number), step["run"].strip()[:60], given, "not run here", ""))
    return rows


def show(rows):
    heads = ("job and step", "what", "is given", "does", "status")
    widths = [max(len(str(row[at])) for row in [heads, *rows]) for at in range(len(heads))]
    for row in [heads, *rows]:
        print("  ".join(str(value).ljust(width) for value, width in zip(row, widths)).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rehearsal", metavar="DIR", help="one that was kept, instead of a new one")
    options = parser.parse_args()
    subprocess.run(["cargo", "build", "--quiet", "--package", "xtask", "--locked"], cwd=ROOT, check=True)
    subprocess.run(["cargo", "build", "--quiet", "--package", "xtask", "--locked", "--features", "one-probe",
                    "--bin", "xtask-faults"], cwd=ROOT, check=True)
    template = Template("1.9.12", "release/1.9", options.rehearsal)
    try:
        with tempfile.TemporaryDirectory(prefix="workflows-") as directory:
            simulation = Simulation(Path(directory), template)
            try:
                done = simulation.run(load("release.yml"), {
                    "version": template.version, "variant": "all", "accept_drift": False, "dry_run": False})
            finally:
                simulation.watcher.close()
            wrong = simulation.wrong + simulation.watcher.wrong
            for name, job in done.items():
                # The report says in red that other systems lack it: there are no machines of them here.
                expected = "failure" if name == "report" else "success"
                if job["result"] != expected:
                    wrong.append("%s: expected %s, found %s" % (name, expected, job["result"]))
            wrong += simulation.world.published()
            if not any("runs what was built" in row[3] for row in simulation.rows):
                wrong.append("nothing of upstream's was seen to run: the watcher is blind")
            if not simulation.watcher.seen:
                wrong.append("no value was seen in any environment: the watcher is blind")
            looked = simulation.watcher.looked
    finally:
        template.close()
    rows = simulation.rows + read_ci(wrong)
    show(rows)
    for line in wrong:
        print("WRONG " + line)
    print("workflows: %d steps, %d looks at processes, %d problems" % (len(rows), looked, len(wrong)))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
