"""The alerts of the chart: each fires in its cases only, checked by promtool, and has its runbook.

The cases are in ``alerts/``, a file for each alert, in the format of promtool. Their series are of the release ``r`` in
the namespace ``space``, and one interval is five minutes. Of the annotations only the summary is compared.
"""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.rendering import NAMESPACE, ROOT, Object, of_kind, render, run

pytestmark = [pytest.mark.helm, pytest.mark.prometheus]

CASES = Path(__file__).parent / "alerts"
ALERTS = sorted(path.stem for path in CASES.iterdir())
RUNBOOKS = ROOT / "docs" / "runbooks"
URL = "https://git.example.org/marquee/docs/runbooks"
ON = ("alerts.enabled=true", f"alerts.runbookUrl={URL}")
SILENT: list[Any] = []


def prometheus_rule(*sets: str, example: str = "values-staging.yaml", release: str = "r") -> Object:
    """Return the PrometheusRule of a release with alerts."""
    return of_kind(render("marquee", example, *ON, *sets, release=release), "PrometheusRule")[f"{release}-marquee"]


def rules_of(found: Object) -> list[dict[str, Any]]:
    """Return the rules of a PrometheusRule."""
    return [rule for group in found["spec"]["groups"] for rule in group["rules"]]


def alerts(*sets: str, **more: str) -> dict[str, list[dict[str, Any]]]:
    """Return the alerting rules by the name of their alert."""
    found: dict[str, list[dict[str, Any]]] = {}
    for rule in rules_of(prometheus_rule(*sets, **more)):
        if "alert" in rule:
            found.setdefault(rule["alert"], []).append(rule)
    return found


def cases(alert: str) -> list[dict[str, Any]]:
    """Return the cases of an alert."""
    return list(yaml.safe_load((CASES / f"{alert}.yaml").read_text())["tests"])


def rule_file(folder: Path, found: Object, alerting: Collection[str]) -> Path:
    """Write the recording rules and some alerts for Prometheus, with the summary as the only annotation."""
    rules = [rule for rule in rules_of(found) if rule.get("alert") in {None, *alerting}]
    short = [
        rule | {"annotations": {"summary": rule["annotations"]["summary"]}} if "alert" in rule else rule
        for rule in rules
    ]
    path = folder / "rules.yaml"
    path.write_text(json.dumps({"groups": [{"name": "all", "rules": short}]}))
    return path


def promtool_says(folder: Path, tests: Sequence[dict[str, Any]]) -> str:
    """Return what promtool reports about the cases, or an empty text if all of them hold."""
    alerting = {look["alertname"] for case in tests for look in case["alert_rule_test"]}
    rules = rule_file(folder, prometheus_rule(), alerting)
    path = folder / "cases.yaml"
    text = {"rule_files": [str(rules)], "evaluation_interval": "5m", "tests": tests}
    path.write_text(json.dumps(text))
    done = run("promtool", "test", "rules", str(path))
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_rules_are_valid(tmp_path: Path) -> None:
    """The tool promtool accepts the rules of every example of values."""
    for example in ("values-dev.yaml", "values-staging.yaml", "values-prod.yaml"):
        done = run(
            "promtool",
            "check",
            "rules",
            "--lint-fatal",
            str(rule_file(tmp_path, prometheus_rule(example=example), ALERTS)),
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_alert_fires_when_it_should_and_only_then(alert: str, tmp_path: Path) -> None:
    """Each case of the alert holds in promtool: when it fires, with its labels and summary, and when not."""
    assert promtool_says(tmp_path, cases(alert)) == ""


@pytest.mark.parametrize("alert", ALERTS)
def test_alert_has_a_case_of_firing_and_one_of_silence(alert: str) -> None:
    """The cases of each alert name that alert only, and include one in which it fires and one in which it does not."""
    looks = [look for case in cases(alert) for look in case["alert_rule_test"]]
    assert {look["alertname"] for look in looks} == {alert}
    assert {bool(look["exp_alerts"]) for look in looks} == {True, False}


@pytest.mark.parametrize("alert", sorted(set(ALERTS) - {"MarqueeExporterAbsent"}))
def test_alert_is_silent_when_another_environment_is_ill(alert: str, tmp_path: Path) -> None:
    """The same series of another environment in another namespace fire no alert."""
    text = json.dumps(cases(alert)).replace(r"environment=\"r\"", r"environment=\"s\"")
    elsewhere = json.loads(text.replace(f'namespace=\\"{NAMESPACE}\\"', r"namespace=\"other\""))
    assert elsewhere != cases(alert)
    for case in elsewhere:
        for look in case["alert_rule_test"]:
            look["exp_alerts"] = SILENT
    assert promtool_says(tmp_path, elsewhere) == ""


def test_nothing_fires_on_a_fresh_install(tmp_path: Path) -> None:
    """No alert fires on a fresh install, where the exporter knows no period and no CronJob has run."""
    series = [
        {
            "series": f'marquee_exporter_last_refresh_timestamp_seconds{{environment="r", part="{part}"}}',
            "values": "0+300x300",
        }
        for part in ("schedule", "rollup", "profile", "mart", "garbage")
    ] + [
        {"series": f'kube_cronjob_spec_suspend{{namespace="space", cronjob="r-marquee-{stage}"}}', "values": "0+0x300"}
        for stage in ("schedule-fetch", "rollup", "profile", "mart-load")
    ]
    looks = [
        {"alertname": alert, "eval_time": time, "exp_alerts": SILENT}
        for alert in ALERTS
        for time in ("20m", "5h", "24h")
    ]
    assert promtool_says(tmp_path, [{"interval": "5m", "input_series": series, "alert_rule_test": looks}]) == ""


# Properties of all alerts.


def test_alerts_are_those_that_are_described() -> None:
    """Each alert has its cases and its runbook, and each can be disabled."""
    assert sorted(alerts()) == ALERTS
    assert sorted(path.stem for path in RUNBOOKS.glob("Marquee*.md")) == ALERTS
    left = alerts(f"alerts.disabled={json.dumps(ALERTS[1:])}")
    assert sorted(left) == ALERTS[:1]


def test_alerts_carry_what_a_person_on_call_needs() -> None:
    """Each alert has a severity, a waiting time, labels, a summary, a description and the URL of its runbook."""
    for name, rules in alerts("alerts.ruleLabels.team=data").items():
        assert re.fullmatch("Marquee([A-Z][a-z]+)+", name)
        for rule in rules:
            assert rule["labels"]["severity"] in {"critical", "warning"}
            assert (rule["labels"]["environment"], rule["labels"]["team"]) == ("r", "data")
            assert re.fullmatch(r"\d+[mh]", rule["for"])
            assert rule["annotations"]["runbook_url"] == f"{URL}/{name}.md"
            assert rule["annotations"]["description"].endswith(".")
            summary = rule["annotations"]["summary"]
            assert summary.startswith("r: ")
            assert "$labels." in summary or rule["labels"]["stage"] in summary
            assert name == "MarqueeExporterAbsent" or "humanizeTimestamp" in summary


def test_only_what_users_read_wakes_somebody() -> None:
    """Only the data that users read, and an absent exporter, have the critical severity."""
    assert pages(alerts()) == {("MarqueeDataStale", "mart_load"), ("MarqueeExporterAbsent", "")}
    without_mart = alerts("stages.mart_load.enabled=false")
    assert pages(without_mart) == {("MarqueeDataStale", "rollup|profile|audience"), ("MarqueeExporterAbsent", "")}


def pages(found: dict[str, list[dict[str, Any]]]) -> set[tuple[str, str]]:
    """Return (alert, stages in its expression) of each critical rule."""
    return {
        (name, match[1] if (match := re.search('stage=~"([^"]+)"', rule["expr"])) else "")
        for name, rules in found.items()
        for rule in rules
        if rule["labels"]["severity"] == "critical"
    }


def test_severities_and_labels_are_yours() -> None:
    """The labels of the object and the severities are values of the chart."""
    found = prometheus_rule("alerts.labels.release=stack", "alerts.severities.page=p1")
    assert found["metadata"]["labels"]["release"] == "stack"
    assert {rule["labels"]["severity"] for rule in rules_of(found) if "alert" in rule} == {"p1", "warning"}


def test_limits_are_values() -> None:
    """Each limit is a value of the chart, and a changed one is found in the rules."""
    found = json.dumps(
        rules_of(prometheus_rule(*(f"alerts.limits.{path}={value}" for path, (value, _) in LIMITS.items())))
    )
    assert {path: said for path, (_, said) in LIMITS.items() if said not in found} == {}
    limits = yaml.safe_load((ROOT / "charts/marquee/values.yaml").read_text())["alerts"]["limits"]
    assert sorted(LIMITS) == sorted(
        path for path in leaves(limits) if not path.endswith((".week", ".month", ".quarter"))
    )


LIMITS = {
    "freshnessHours.schedule_fetch.day": (31, "vector(111600)"),
    "freshnessHours.rollup.hour": (1.5, "vector(5400)"),
    "freshnessHours.profile.day": (32, "vector(115200)"),
    "freshnessHours.audience.day": (33, "vector(118800)"),
    "freshnessHours.mart_load.hour": (5, "vector(18000)"),
    "freshnessHours.mart_load.day": (34, "vector(122400)"),
    "watermarkHours": (7, "[1h:5m] offset 7h"),
    "startMinutes": (12, '"for": "12m"'),
    "stuckMinutes": (11, "time() - 660"),
    "martBehindMinutes": (13, '"for": "13m"'),
    "refreshMinutes": (17, "time() - 1020"),
    "garbageRefreshHours": (9, "time() - 32400"),
    "blindHours": (6, '"for": "6h"'),
    "rejects.atLeast": (19, ">= 19)"),
    "rejects.share": (0.25, "> 0.25)"),
    "rejects.timesUsual": (8, "> 8 * ("),
    "rowCount.atLeast": (23, ">= 23)"),
    "rowCount.low": (0.125, "< 0.125 *"),
    "rowCount.high": (16, "> 16 *"),
}
"""Limits by their place in the values: another value, and its text in the rules."""


def leaves(value: dict[str, Any], above: str = "") -> Iterator[str]:
    """Yield the path of each value that is not a map."""
    for name, below in value.items():
        if isinstance(below, dict):
            yield from leaves(below, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def test_a_stage_that_is_left_out_has_no_alerts() -> None:
    """A disabled stage has no alerts and no targets, and a suspended stage is not reported as suspended."""
    rules = rules_of(prometheus_rule("stages.profile.enabled=false", "stages.rollup.suspend=true"))
    stages = {(rule.get("alert", "target"), rule["labels"].get("stage")) for rule in rules}
    assert [stage for _, stage in stages if stage in {"profile", "audience"}] == []
    assert ("MarqueeCronJobSuspended", "rollup") not in stages
    assert ("MarqueeJobFailing", "rollup") in stages


def test_jobs_of_a_person_raise_no_alert() -> None:
    """What a person runs by hand, that person watches; a weekly gc that fails is reported."""
    rules = rules_of(prometheus_rule("stages.admin.enabled=true", "stages.gc.enabled=true"))
    stages = {rule["labels"].get("stage") for rule in rules if rule.get("alert") == "MarqueeJobFailing"}
    assert stages == {"schedule_fetch", "rollup", "profile", "mart_load", "gc"}


def test_there_are_none_unless_wanted() -> None:
    """The chart renders no PrometheusRule by default, since a cluster may lack its resource definition."""
    assert of_kind(render("marquee", "values-staging.yaml"), "PrometheusRule") == {}
