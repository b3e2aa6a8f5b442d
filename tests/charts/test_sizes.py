"""The sizes of examples/, upon the values of a release: accepted by Helm, valid, and as docs/sizing.md has them."""

import re
from functools import cache

import kubernetes_validate
import pytest
import yaml

from tests.charts.rendering import (
    CHARTS,
    PROD,
    ROOT,
    STAGING,
    Object,
    applications,
    helm_template,
    of_kind,
    run,
    stage_container,
)

pytestmark = pytest.mark.helm

SIZES = sorted((ROOT / "examples").glob("values-*.yaml"))
ENGINES = {f"values-{size}.yaml": "local" for size in ("100k", "10m", "100m")} | {"values-1g.yaml": "auto"}

every_size = pytest.mark.parametrize("size", [path.name for path in SIZES])


def values_of(size: str, under: str) -> tuple[str, ...]:
    """Return Helm's arguments for a size upon the values of a release."""
    return ("--values", str(CHARTS / "marquee" / under), "--values", str(ROOT / "examples" / size))


@cache
def sized(size: str, under: str = STAGING) -> tuple[Object, ...]:
    """Return the objects of a release of a size."""
    done = helm_template("marquee", "r", *values_of(size, under))
    assert done.returncode == 0, done.stderr
    return tuple(one for one in yaml.load_all(done.stdout, yaml.CSafeLoader) if one)


@every_size
@pytest.mark.parametrize("under", [STAGING, PROD])
def test_size_is_accepted_upon_the_values_of_a_release(size: str, under: str) -> None:
    """Helm lints and renders each size, and each object is valid for the oldest and the newest Kubernetes."""
    linted = run("helm", "lint", "--strict", str(CHARTS / "marquee"), *values_of(size, under))
    assert linted.returncode == 0, linted.stdout
    for one in sized(size, under):
        if not one["apiVersion"].startswith("monitoring.coreos.com/"):
            for version in ("1.30", "1.34"):
                kubernetes_validate.validate(one, version, strict=True)


@every_size
def test_size_is_that_of_the_page(size: str) -> None:
    """Engine, CPU and memory of the rollup are those of the page's table, and only auto has a SparkApplication."""
    page = (ROOT / "docs" / "sizing.md").read_text()
    (row,) = re.findall(rf"^\|.*\[`{size}`\].*$", page, re.MULTILINE)
    _, engine, pod = [cell.strip() for cell in row.split("|")][3:6]
    cpu, amount, unit = re.match(r"([\d.]+), (\d+) (MiB|GiB)", pod).groups()  # type: ignore[union-attr]
    objects = sized(size)
    resources = stage_container(objects, "rollup")["resources"]
    asked = str(resources["requests"]["cpu"])
    assert (float(asked.removesuffix("m")) / 1000 if asked.endswith("m") else float(asked)) == float(cpu)
    assert resources["limits"]["memory"] == f"{amount}{unit.removesuffix('B')}"
    assert engine == ENGINES[size]
    assert set(applications(objects)) == ({"rollup", "profile"} if engine == "auto" else set())


def test_sizes_change_nothing_but_sizes() -> None:
    """A size names no image, lake, Secret or schedule, so that it can be put after any values."""
    assert [path.name for path in SIZES] == sorted(ENGINES)
    for path in SIZES:
        values = yaml.safe_load(path.read_text())
        assert set(values) <= {"stages", "settings", "spark", "exporter"}, path.name
        assert set(values.get("settings", {})) <= {"engine"}, path.name
    before = of_kind(sized("values-100k.yaml"), "CronJob")
    after = of_kind(sized("values-1g.yaml"), "CronJob")
    assert {name: one["spec"]["schedule"] for name, one in before.items()} == {
        name: one["spec"]["schedule"] for name, one in after.items()
    }
