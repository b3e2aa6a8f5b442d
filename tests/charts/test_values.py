"""Wrong values fail at installation with a message that says what to do, and valid values are documented."""

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import SecretStr

from jobs.registry import JOBS, PIPELINE
from marquee.version import __version__
from tests.charts.rendering import CHARTS, flags, helm_template
from tools.docs_chart import documented

EXAMPLES = {"marquee": "values-staging.yaml", "kiosk": "values-example.yaml"}


def error_of(chart: str, *sets: str, release: str = "r") -> str:
    """Return the error of Helm for an example with other values, which must fail."""
    done = helm_template(chart, release, "--values", str(CHARTS / chart / EXAMPLES[chart]), *flags(sets))
    assert done.returncode != 0
    return done.stderr


@pytest.mark.helm
@pytest.mark.parametrize(
    ("chart", "wrong"),
    [
        ("marquee", "stage.rollup.enabled=false"),
        ("marquee", "stages.rolup.enabled=false"),
        ("marquee", "stages.rollup.shedule=@daily"),
        ("marquee", "stages.mart_load.engine=spark"),
        ("marquee", "defaults.suspended=true"),
        ("marquee", "spark.executor.memoryoverhead=2g"),
        ("marquee", "spark.driver.serviceAccount.annotation.a=b"),
        ("marquee", "alerts.limits.stuckHours=1"),
        ("marquee", "alerts.limits.freshnessHours.rollup.day=1"),
        ("marquee", "grafana.dashboard=audience"),
        ("marquee", "networkPolicy.egress.s3.port=443"),
        ("marquee", "secrets.s3.secret=x"),
        ("marquee", "settings.rollup.bucket=32"),
        ("marquee", "settings.engine.kind=spark"),
        ("marquee", "settings.period=2026-01-05"),
        ("marquee", "image.digest=x"),
        ("marquee", "metrics.podMonitor.enabled=true"),
        ("marquee", "exporter.replicas=2"),
        ("marquee", "settings.metrics.port=9464"),
        ("marquee", "settings.environment=dev"),
        ("marquee", "settings.exporter.parts=[]"),
        ("kiosk", "storage.persist=true"),
        ("kiosk", "networkPolicy.s3Port=443"),
        ("kiosk", "settings.mart.url=mysql://a@b/c"),
    ],
)
def test_misspelt_value_fails(chart: str, wrong: str) -> None:
    """An unknown name of a value is refused at each level."""
    assert "additional properties" in error_of(chart, wrong)


@pytest.mark.helm
@pytest.mark.parametrize(
    ("chart", "wrong"),
    [
        ("marquee", "stages.rollup.engine=flink"),
        ("marquee", "stages.rollup.schedule=hourly"),
        ("marquee", "defaults.backoffLimit=-1"),
        ("marquee", "spark.executor.memory=2Gi"),
        ("marquee", "alerts.limits.rejects.share=2"),
        ("marquee", 'alerts.disabled=["MarqueeDataStail"]'),
        ("marquee", "alerts.runbookUrl=docs/runbooks"),
        ("marquee", 'grafana.dashboards=["pipeline"]'),
        ("marquee", "spark.version=4"),
        ("marquee", 'spark.sparkConf={"driver.cores": "1"}'),
        ("marquee", "settings.rollup.buckets=0"),
        ("marquee", "settings.rollup.buckets=many"),
        ("marquee", "settings.profile.loyal_share=1.5"),
        ("marquee", "settings.log.level=chatty"),
        ("marquee", "image.pullPolicy=Sometimes"),
        ("marquee", "metrics.port=80"),
        ("marquee", "mart.migrate=never"),
        ("marquee", 'image.digests={"rollup": "0123"}'),
        ("marquee", "defaults.dnsPolicy=Sometimes"),
        ("marquee", "metrics.podMonitors.interval=often"),
        ("marquee", "environment=a/b"),
        ("kiosk", "load.schedule=hourly"),
        ("kiosk", "mariadb.user=0"),
        ("kiosk", "mariadb.digest=10.11"),
    ],
)
def test_value_out_of_bounds_fails(chart: str, wrong: str) -> None:
    """A value of another type, form or range is refused."""
    assert "values don't meet the specifications of the schema" in error_of(chart, wrong)


@pytest.mark.helm
@pytest.mark.parametrize(
    ("chart", "sets", "words"),
    [
        ("marquee", ["settings.lake="], "settings.lake is not set: expected s3://bucket/prefix"),
        ("marquee", ["settings.lake=/data"], 'settings.lake="/data": expected s3://bucket/prefix'),
        ("marquee", ["settings.raw=file:///raw"], "on a volume of defaults.extraVolumes"),
        ("marquee", ["settings.raw="], "settings.raw is not set, but the stage rollup requires it"),
        ("marquee", ["secrets.viewerKey.name="], "secrets.viewerKey.name is not set"),
        ("marquee", ["settings.mart.url="], "settings.mart.url is not set"),
        ("marquee", ["secrets.mart.name="], "secrets.mart.name is not set"),
        ("marquee", ["settings.mart.tls_ca="], "the connection to settings.mart.url is not encrypted"),
        ("marquee", ["settings.mart.url=mysql://u:secret@h/d"], "settings.mart.url contains a password"),
        (
            "marquee",
            ["defaults.activeDeadlineSeconds=600", "stages.profile.activeDeadlineSeconds=600"],
            "leaves no time",
        ),
        ("marquee", ["spark.executor.cores=8"], "8 tasks of 400 MiB"),
        (
            "marquee",
            ["spark.dynamicAllocation.enabled=true", "spark.dynamicAllocation.minExecutors=5"],
            "expected minExecutors ≤ initialExecutors ≤ maxExecutors",
        ),
        (
            "marquee",
            ["stages.rollup.engine=local", "stages.rollup.resources.limits.memory=400Mi"],
            "do not fit into resources.limits.memory 400Mi: the pod would be killed. Raise the limit to 456Mi",
        ),
        (
            "marquee",
            ["stages.profile.engine=local", "settings.engine.memory_mb=900"],
            "stages.profile: an engine of 900 MiB (settings.engine.memory_mb) and 200 MiB of its process do not fit",
        ),
        ("marquee", ["image.repository="], "image.repository is not set: expected the registry and folder"),
        (
            "marquee",
            ["image.repository=", *(f"stages.{job.name}.image=own/{job.name}:1" for job in PIPELINE)],
            "image.repository is not set: expected the registry and folder",
        ),
        ("marquee", [f'image.digests={{"rolup": "sha256:{"0" * 64}"}}'], "image.digests.rolup: there is no such image"),
        (
            "marquee",
            ['stages.rollup.extraEnv=[{"name": "PROXY_PASSWORD", "value": "u:secret"}]'],
            "stages.rollup: extraEnv PROXY_PASSWORD looks like a secret: put it into a Secret",
        ),
        (
            "marquee",
            ['spark.executor.extraEnv=[{"name": "GITHUB_TOKEN", "value": "u:secret"}]'],
            "spark.executor: extraEnv GITHUB_TOKEN looks like a secret",
        ),
        (
            "marquee",
            ['spark.sparkConf={"spark.hadoop.fs.s3a.secret.key": "u:secret"}'],
            '"spark.hadoop.fs.s3a.secret.key" of the stage',
        ),
        (
            "marquee",
            ["networkPolicy.egress.mart.anywhere=false"],
            'networkPolicy.egress.mart: settings.mart.url names "mart.staging.example.org", whose addresses',
        ),
        (
            "marquee",
            ["networkPolicy.egress.s3.anywhere=false"],
            "networkPolicy.egress.s3: its addresses are not in the settings. Set `to` to peers",
        ),
        ("marquee", ["alerts.enabled=true"], "alerts.runbookUrl is not set, but alerts link to it"),
        (
            "marquee",
            ["alerts.enabled=true", "alerts.runbookUrl=https://a/b", "exporter.enabled=false"],
            "alerts need the metrics of the exporter",
        ),
        (
            "marquee",
            ["stages.retain.enabled=true"],
            "settings.retention is empty, so the stage retain would end nothing",
        ),
        (
            "marquee",
            ["stages.retain.enabled=true", "settings.retention.raw_days=30", "secrets.s3.name=keys"],
            "secrets.s3Retain.name is not set: the stage retain requires S3 keys of its own",
        ),
        ("marquee", ["mart.migrate=job"], "secrets.martAdmin.name is not set, but mart.migrate=job requires a Secret"),
        (
            "marquee",
            ["mart.migrate=job", "secrets.martAdmin.name=a", "settings.mart.url=duckdb:///tmp/m"],
            "mart.migrate=job is for a mart in MySQL or MariaDB",
        ),
        ("kiosk", ["period="], "expected a period such as 2026-Q1"),
        ("kiosk", ["image.repository="], "image.repository is not set: expected the registry and folder"),
        (
            "kiosk",
            ["networkPolicy.egress.s3.anywhere=false"],
            "networkPolicy.egress.s3: its addresses are not in the settings. Set `to` to peers",
        ),
        (
            "kiosk",
            ["networkPolicy.egress.s3.anywhere=false", "settings.s3.endpoint_url=https://s3.example.org"],
            'networkPolicy.egress.s3: settings.s3.endpoint_url names "s3.example.org", whose addresses',
        ),
        (
            "kiosk",
            ['load.extraEnv=[{"name": "PROXY_PASSWORD", "value": "u:secret"}]'],
            "load.extraEnv PROXY_PASSWORD looks like a secret: put it into a Secret",
        ),
        (
            "kiosk",
            ['mariadb.extraEnv=[{"name": "MYSQL_ROOT_PASSWORD", "value": "u:secret"}]'],
            "mariadb.extraEnv MYSQL_ROOT_PASSWORD looks like a secret",
        ),
        ("kiosk", ["settings.s3.endpoint_url=http://u:secret@s3"], "settings.s3.endpoint_url contains a password"),
        ("kiosk", ["period=Q1"], 'period="Q1": expected a period'),
        ("kiosk", ["settings.lake=file:///lake"], "expected s3://bucket/prefix"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_values_that_do_not_work_fail_with_words(chart: str, sets: list[str], words: str) -> None:
    """Values that cannot work together are refused with a message that names them and shows no secret."""
    said = error_of(chart, *sets)
    assert words in said
    assert "u:secret" not in said


@pytest.mark.helm
@pytest.mark.parametrize(
    ("limit", "fits"),
    [("456Mi", True), ("455Mi", False), ("0.5Gi", True), ("479M", True), ("478M", False), ("478150656", True)],
)
def test_limit_of_memory_is_read_as_kubernetes_reads_it(limit: str, fits: bool) -> None:
    """The least limit of a local engine, 256 + 200 = 456 MiB = 478,150,656 bytes, is found in every unit."""
    values = ("--values", str(CHARTS / "marquee" / EXAMPLES["marquee"]), "--set", "stages.rollup.engine=local")
    done = helm_template("marquee", "r", *values, "--set-string", f"stages.rollup.resources.limits.memory={limit}")
    assert (done.returncode == 0) == fits, done.stderr


SECRETS = sorted(
    {
        f"{section}.{name}"
        for kind in [job.settings for job in JOBS]
        for section, field in kind.model_fields.items()
        for name, one in getattr(field.annotation, "model_fields", {}).items()
        if SecretStr in (one.annotation, *get_args(one.annotation))
    }
)


@pytest.mark.helm
@pytest.mark.parametrize("secret", SECRETS)
def test_secrets_among_the_settings_are_refused(secret: str) -> None:
    """Each secret setting is refused among the settings, with a message that names its place and not its value."""
    said = error_of("marquee", f"settings.{secret}=0123456789abcdef")
    assert f"settings.{secret} is a secret: put it into a Secret" in said
    assert "0123456789abcdef" not in said


@pytest.mark.helm
@pytest.mark.parametrize(("chart", "release"), [("marquee", "a" * 19), ("kiosk", "a" * 35)])
def test_names_that_kubernetes_would_cut_are_refused(chart: str, release: str) -> None:
    """A name one character longer than the limit is refused."""
    assert "choose a shorter release or fullnameOverride" in error_of(chart, release=release)


@pytest.mark.helm
def test_name_of_a_spark_application_begins_with_a_letter() -> None:
    """A release whose name begins with a digit is refused, because names of SparkApplications begin with a letter."""
    assert "does not begin with a letter" in error_of("marquee", release="2026")


@pytest.mark.parametrize("chart", sorted(EXAMPLES))
def test_every_value_is_documented(chart: str) -> None:
    """Each leaf of values.yaml has a comment, or its map has one."""
    told = {path for path, _, _ in documented(chart)}
    values = yaml.safe_load((CHARTS / chart / "values.yaml").read_text())
    leaves = list(leaves_of(values))
    assert [path for path in leaves if not any(path[:depth] in told for depth in range(1, len(path) + 1))] == []
    assert len(told) > 30


def leaves_of(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the path of each value that is not a map."""
    if isinstance(value, dict) and value:
        return [leaf for name, below in value.items() for leaf in leaves_of(below, (*path, name))]
    return [path]


@pytest.mark.parametrize("chart", sorted(EXAMPLES))
def test_chart_carries_the_version_of_the_code(chart: str) -> None:
    """The version of the chart's images is the version of the code."""
    about = yaml.safe_load(Path(CHARTS / chart / "Chart.yaml").read_text())
    assert about["appVersion"] == __version__
