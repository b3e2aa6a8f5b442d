"""A namespace of a real cluster for tests: its objects and the jobs started in it, all through kubectl."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")
Manifest = dict[str, Any]

JOB_S = 420.0
"""Longest duration of a job on a slow machine: Spark alone needs a minute to start and stop."""
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


def call(*command: str, stdin: str | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a command and return its output; an error fails the test."""
    run = subprocess.run(
        command, check=False, capture_output=True, text=True, input=stdin, env=os.environ | dict(env or {})
    )
    assert run.returncode == 0, f"{' '.join(command)} ended with {run.returncode}:\n{run.stdout}\n{run.stderr}"
    return run.stdout


def until(look: Callable[[], T | None], what: str, patience_s: float = 60.0) -> T:
    """Repeat a check until it returns something, and return that."""
    patience_ends = time.monotonic() + patience_s
    while not (found := look()):
        assert time.monotonic() < patience_ends, f"not seen in {patience_s:.0f} s: {what}"
        time.sleep(0.5)  # between two checks
    return found


def documented(heading: str, page: Path = OPERATIONS, language: str = "sh") -> list[str]:
    """Return the commands below a heading of a page, block by block."""
    below = re.split(rf"^## {re.escape(heading)}$", page.read_text(), flags=re.MULTILINE)
    assert len(below) == 2, f"{page} has no heading {heading!r}"
    section = below[1].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, flags=re.DOTALL)


@dataclass(frozen=True)
class Release:
    """A release of charts/marquee, in a namespace."""

    name: str
    namespace: str
    values: Path

    def beside(self, name: str, *values: str, options: Iterable[str] = ()) -> "Release":
        """Install a second release in this one's namespace, from its file of values with others on top; return it."""
        release = Release(name, self.namespace, self.values)
        release.upgrade("--install", "--values", str(release.values), *options, values=values)
        return release

    def upgrade(self, *options: str, values: Iterable[str]) -> None:
        """Upgrade the release with options of Helm, and additional values such as ``a.b=value``."""
        sets = (part for value in values for part in ("--set", value))
        call("helm", "upgrade", self.name, "charts/marquee", "--namespace", self.namespace, *options, *sets)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace."""
        return call("kubectl", "-n", self.namespace, *arguments, stdin=stdin)

    def run(self, script: str, **env: str) -> str:
        """Run commands of the documentation, which name the release by variables; no timeout here lasts hours."""
        own = {"RELEASE": self.name, "NAMESPACE": self.namespace, "VALUES": str(self.values)}
        impatient = re.sub(r"--timeout=\w+", f"--timeout={JOB_S:.0f}s", script)
        return call("bash", "-euo", "pipefail", "-c", impatient, env=own | env)

    def find(self, kind: str, selector: str = "") -> list[Manifest]:
        """Return the objects of a kind."""
        chosen = ["-l", selector] if selector else []
        return list(json.loads(self.kubectl("get", kind, *chosen, "-o", "json"))["items"])

    def job_of(self, stage: str, job: str) -> Manifest:
        """Return a job from a stage's CronJob, to be changed and applied."""
        source = f"--from=cronjob/{self.name}-marquee-{stage}"
        return dict(json.loads(self.kubectl("create", "job", job, source, "--dry-run=client", "-o", "json")))

    def apply(self, *manifests: Manifest) -> None:
        """Create or change objects."""
        listed = {"apiVersion": "v1", "kind": "List", "items": manifests}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(listed))

    def start(self, stage: str, job: str, **env: str) -> None:
        """Start a job by hand as documented, with additional settings for it alone."""
        manifest = json.dumps(self.job_of(stage, job))
        if env:
            settings = [f"{name}={value}" for name, value in env.items()]
            manifest = call("kubectl", "set", "env", "--local", "-f", "-", *settings, "-o", "json", stdin=manifest)
        self.kubectl("apply", "-f", "-", stdin=manifest)

    def finish(self, job: str, patience_s: float = JOB_S) -> str:
        """Wait for a job to end, and return the log of its pods; a failed job fails the test."""
        ended = until(lambda: self.ended(job), f"the end of job {job}", patience_s)
        log = self.log(job)
        assert ended == "Complete", f"job {job} is {ended}:\n{log}"
        return log

    def do(self, stage: str, job: str, **env: str) -> str:
        """Start a job by hand, wait for its end, and return its log."""
        self.start(stage, job, **env)
        return self.finish(job)

    def log(self, job: str) -> str:
        """Return the log of a job's pods."""
        return self.kubectl("logs", "-l", f"batch.kubernetes.io/job-name={job}", "--tail=-1")

    def applications(self, job: str) -> list[Manifest]:
        """Return the SparkApplications of a job."""
        return [
            one
            for one in self.find("sparkapplications")
            if job in {owner["name"] for owner in one["metadata"]["ownerReferences"]}
        ]

    def pods_of(self, application: str, role: str) -> list[Manifest]:
        """Return the running driver or executors of an application."""
        pods = self.find("pods", f"sparkoperator.k8s.io/app-name={application},spark-role={role}")
        return [pod for pod in pods if pod["status"].get("phase") == "Running"]

    @contextmanager
    def forward(self, service: str, port: int) -> Iterator[int]:
        """Forward a service to a port of loopback."""
        command = ["kubectl", "-n", self.namespace, "port-forward", f"service/{service}", f":{port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                found = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
                assert found is not None, f"{' '.join(command)} names no port"
                # It says a line for each connection, and waits for good once nobody has read 64 KiB of them.
                Thread(target=process.stdout.read, daemon=True).start()
                yield int(found[1])
            finally:
                process.terminate()

    def ended(self, job: str) -> str | None:
        """Return how a job has ended, Complete or Failed; None if it has not."""
        status = json.loads(self.kubectl("get", "job", job, "-o", "json"))["status"]
        held = {one["type"] for one in status.get("conditions", []) if one["status"] == "True"}
        return next((name for name in ("Complete", "Failed") if name in held), None)


def describe(namespace: str) -> str:
    """Return the state of a namespace, to find the cause of a failed test."""
    looks = (
        ("get", "all,sparkapplications", "-o", "wide"),
        ("get", "events", "--sort-by=.lastTimestamp"),
        ("logs", "-l", "app.kubernetes.io/name=marquee", "--tail=40", "--prefix", "--ignore-errors"),
    )
    told = []
    for look in looks:
        run = subprocess.run(["kubectl", "-n", namespace, *look], check=False, capture_output=True, text=True)
        told.append(f"$ kubectl {' '.join(look)}\n{(run.stdout + run.stderr)[-12_000:]}")
    return "\n".join(told)
