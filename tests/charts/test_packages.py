"""What the charts say about themselves, and what Helm says about them."""

import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.charts.rendering import ALL_EXAMPLES, CHARTS, ROOT, run

KINDS = {"added", "changed", "deprecated", "removed", "fixed", "security"}
"""Of Artifact Hub."""

both = pytest.mark.parametrize("chart", ["marquee", "kiosk"])


def about(chart: str) -> dict[str, Any]:
    """Return Chart.yaml."""
    return dict(yaml.safe_load((CHARTS / chart / "Chart.yaml").read_text()))


@pytest.mark.helm
@pytest.mark.parametrize(("chart", "example"), ALL_EXAMPLES)
def test_helm_finds_no_fault_with_an_example(chart: str, example: str) -> None:
    """Helm's strict lint passes with each example."""
    done = run("helm", "lint", "--strict", str(CHARTS / chart), "--values", str(CHARTS / chart / example))
    assert done.returncode == 0, done.stdout


@pytest.mark.helm
@both
def test_helm_finds_no_fault_without_values(chart: str) -> None:
    """Helm's strict lint passes for a chart by itself, too, where required values are missing."""
    done = run("helm", "lint", "--strict", str(CHARTS / chart))
    assert done.returncode == 0, done.stdout


@both
def test_changes_are_as_artifact_hub_reads_them(chart: str) -> None:
    """Each change has a kind that Artifact Hub knows and a description."""
    changes = yaml.safe_load(about(chart)["annotations"]["artifacthub.io/changes"])
    assert changes
    assert all(set(one) == {"kind", "description"} and one["kind"] in KINDS for one in changes)


@both
def test_project_is_named_as_the_package_names_it(chart: str) -> None:
    """Maintainers, licence and addresses are those of the Python package, which names no address."""
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = about(chart)
    assert [one["name"] for one in found["maintainers"]] == [one["name"] for one in package["authors"]]
    assert found["annotations"]["artifacthub.io/license"] == package["license"]
    urls = package.get("urls", {})
    assert (found.get("home"), found.get("sources")) == (urls.get("Homepage"), urls.get("Source"))


@both
def test_version_has_upgrade_notes(chart: str) -> None:
    """The notes have a heading for the version of the chart, and a row for the chart below it."""
    notes = (ROOT / "docs" / "upgrade-notes.md").read_text()
    _, *sections = re.split(r"^## ", notes, flags=re.MULTILINE)
    (section,) = [one for one in sections if one.startswith(about(chart)["version"] + "\n")]
    assert f"| `{chart}` |" in section
