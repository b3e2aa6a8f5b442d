"""Charts rendered by Helm, once in a test process for each set of values."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHARTS = ROOT / "charts"
DEV, STAGING, PROD = "values-dev.yaml", "values-staging.yaml", "values-prod.yaml"
EXAMPLES = {
    "marquee": (DEV, STAGING, PROD),
    "kiosk": ("values-example.yaml",),
}
ALL_EXAMPLES = [(chart, name) for chart, names in EXAMPLES.items() for name in names]
SPARK_STAGES = ("rollup", "profile")
STAGES = ("schedule-fetch", "rollup", "profile", "mart-load")
NAMESPACE = "space"
ALERTS_ON = ("alerts.enabled=true", "alerts.runbookUrl=https://git.example.org/runbooks")

Object = dict[str, Any]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of the PATH, or raise FileNotFoundError if it is missing."""
    return subprocess.run(arguments, check=False, capture_output=True, text=True)


def helm_template(chart: str, release: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Render a chart, and return the finished process also after a failure."""
    return run("helm", "template", release, str(CHARTS / chart), "--namespace", NAMESPACE, *arguments)


@cache
def render(chart: str, example: str, *sets: str, release: str = "r") -> tuple[Object, ...]:
    """Return the objects of a chart with the values of an example, overridden by ``sets``."""
    done = helm_template(chart, release, "--values", str(CHARTS / chart / example), *flags(sets))
    assert done.returncode == 0, done.stderr
    return tuple(one for one in yaml.load_all(done.stdout, yaml.CSafeLoader) if one)


@cache
def notes(chart: str, example: str, *sets: str) -> str:
    """Return what an installation of a chart prints."""
    values = ("--values", str(CHARTS / chart / example), *flags(sets))
    done = run("helm", "install", "r", str(CHARTS / chart), "--namespace", NAMESPACE, "--dry-run=client", *values)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("\nNOTES:\n")[2]


def flags(sets: Sequence[str]) -> list[str]:
    """Return the arguments of Helm for values such as ``a.b=value``, in JSON or as text."""
    return [part for one in sets for part in ("--set-json" if is_json(one.partition("=")[2]) else "--set", one)]


def is_json(text: str) -> bool:
    """Return whether a text is JSON."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def of_kind(objects: Sequence[Object], kind: str) -> dict[str, Object]:
    """Return the objects of a kind by name."""
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


def applications(objects: Sequence[Object]) -> dict[str, Object]:
    """Return the SparkApplications that launchers would create, by stage."""
    texts = [one["data"].get("sparkapplication.yaml") for one in of_kind(objects, "ConfigMap").values()]
    found = [yaml.load(text, yaml.CSafeLoader) for text in texts if text]
    return {one["metadata"]["labels"]["app.kubernetes.io/component"]: one for one in found}


def pod_templates(objects: Sequence[Object]) -> Iterator[tuple[str, Object]]:
    """Yield (name, pod template) of each object that makes pods, including the drivers and executors of Spark."""
    for one in objects:
        name = f"{one['kind']} {one['metadata']['name']}"
        if one["kind"] == "CronJob":
            yield name, one["spec"]["jobTemplate"]["spec"]["template"]
        elif one["kind"] in {"Job", "Deployment"}:
            yield name, one["spec"]["template"]
        elif one["kind"] == "Pod":
            yield name, {"metadata": one["metadata"], "spec": one["spec"]}
    for stage, application in applications(objects).items():
        for role in ("driver", "executor"):
            yield f"{role} of {stage}", application["spec"][role]["template"]


def containers(template: Object) -> list[Object]:
    """Return the containers of a pod, including init containers."""
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]


def environment(container: Object) -> dict[str, Any]:
    """Return the variables of a container, each with its text or its source."""
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container.get("env", [])}


def stage_container(objects: Sequence[Object], stage: str, release: str = "r-marquee") -> Object:
    """Return the container of a stage's CronJob."""
    template = of_kind(objects, "CronJob")[f"{release}-{stage}"]["spec"]["jobTemplate"]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    return dict(container)
