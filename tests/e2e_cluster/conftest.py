"""A cluster for tests, named by KUBECONFIG: images, a namespace with everything that Marquee needs, and a release.

E2E_LOAD is the command that loads images into the cluster, such as ``kind load docker-image``; without it, the images
must be there already. E2E_KEEP=true leaves everything in place at the end.
"""

import os
import secrets
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest

from jobs.registry import PIPELINE
from jobs.simulate.settings import SimulateSettings
from jobs.simulate.write import add_late_files, simulate
from marquee.lake import keys
from marquee.lake.manifest import Marker
from marquee.lake.markers import Markers
from marquee.mart.admin import init_mart
from marquee.mart.questions import QUESTIONS, ask
from marquee.mart.settings import MartSettings
from marquee.storage.base import S3Options
from marquee.storage.s3 import S3Store
from marquee.telemetry.metrics import LAST_REFRESH
from tests.e2e_cluster.cluster import Manifest, Release, call, describe, documented
from tests.e2e_cluster.watching import (
    api_at_loopback,
    kept_up_with,
    kube_state_metrics,
    scrape_configs,
    state_metrics_log,
)
from tests.helpers_images import DOCKER, STAGES
from tests.prometheus_server import Prometheus, prometheus_server
from tests.s3_server import ACCESS_KEY, REGION, SECRET_KEY, find_server
from tests.small_world import digests
from tests.sped_up import sped_up

LOAD = shlex.split(os.environ.get("E2E_LOAD", ""))
BUILD_ARGS = shlex.split(os.environ.get("BUILD_ARGS", ""))
KEEP = os.environ.get("E2E_KEEP") == "true"
HERE = Path(__file__).parent
BUCKET = "marquee"
COMMANDS = [job.command for job in PIPELINE]
ROOT_PASSWORD, MART_PASSWORD, ANALYST_PASSWORD = "test-root", "test-loader", "test-analyst"
WORLD = SimulateSettings(days=2, events_per_day=20_000)
"""The days of schedule that services.yaml serves."""


@dataclass(frozen=True)
class Environment:
    """A release and the services of its namespace, forwarded to this machine."""

    release: Release
    installed: str
    """Output of the documented installation, which ends with the chart's test."""
    s3: S3Options
    mart_port: int

    def store(self, prefix: str) -> S3Store:
        """Return a store in the bucket."""
        return S3Store(BUCKET, prefix, self.s3)

    def markers(self, prefix: str = "lake") -> dict[str, Marker]:
        """Return all markers of a lake, by stage and period."""
        markers = Markers(self.store(prefix))
        return {f"{stage}/{period}": one for stage in keys.STAGES for period, one in markers.of(stage).items()}

    def digests(self, prefix: str = "lake") -> dict[str, dict[str, str]]:
        """Return the SHA-256 of each object that the markers of a lake list."""
        return digests(self.markers(prefix))

    def copy(self, prefix: str, stages: Iterable[str]) -> None:
        """Copy what stages have published to another lake."""
        lake, client = self.store("lake"), self.store("lake")._client
        found = [
            info.key for stage in stages for folder in ("markers", "data") for info in lake.list(f"{folder}/{stage}/")
        ]
        with ThreadPoolExecutor(8) as pool:
            copied = pool.map(
                lambda key: client.copy_object(Bucket=BUCKET, Key=f"{prefix}/{key}", CopySource=f"{BUCKET}/lake/{key}"),
                found,
            )
            assert len(list(copied)) == len(found) > 0 or not stages

    def add_late_file(self) -> None:
        """Add the late file of 2026-01-05T14."""
        assert add_late_files(WORLD, self.store("raw")).written == 1

    def lose_mart(self) -> None:
        """Replace the mart by an empty database that is prepared for loading."""
        with self.mart_root() as cursor:
            cursor.execute("drop database marquee")
            cursor.execute("create database marquee character set utf8mb4 collate utf8mb4_bin")
        init_mart_at(self.mart_port)

    @contextmanager
    def mart_root(self) -> Iterator["pymysql.cursors.Cursor"]:
        """Query the mart's server as root, in one transaction."""
        with (
            pymysql.connect(host="127.0.0.1", port=self.mart_port, user="root", password=ROOT_PASSWORD) as connection,
            connection.cursor() as cursor,
        ):
            yield cursor

    def ask(self, question: str, **only: str) -> list[dict[str, Any]]:
        """Ask the mart as the analyst."""
        mart = mart_at(self.mart_port, "marquee_analyst", ANALYST_PASSWORD)
        columns, rows = ask(mart, question, 0, only)
        return [dict(zip([str(one) for one in columns], row, strict=True)) for row in rows]

    def answers(self) -> dict[str, list[dict[str, Any]]]:
        """Return the mart's answers to every question."""
        return {one.name: sorted(self.ask(one.name), key=repr) for one in QUESTIONS}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:  # noqa: ARG001
    """Add the state of the cluster to the report of a failed test."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.failed:
        for name in NAMESPACES:
            report.sections.append((f"namespace {name}", describe(name)))
        for log in LOGS:
            report.sections.append((log.stem, "\n".join(log.read_text(errors="replace").splitlines()[-40:])))
    return report  # type: ignore[return-value]


NAMESPACES: list[str] = []
"""The environments that the tests have created and not yet deleted."""
LOGS: list[Path] = []
"""What servers beside the cluster have said."""


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Images in the cluster: Marquee's, built before, and those of the services, built here."""
    if not LOAD:
        return
    s3 = tmp_path_factory.mktemp("s3-image")
    shutil.copy(find_server(), s3 / "versitygw")
    shutil.copy(HERE / "s3" / "Dockerfile", s3)
    call(DOCKER, "build", *BUILD_ARGS, "--tag", "marquee-e2e/s3:1", str(s3), env={"DOCKER_BUILDKIT": "1"})
    mariadb = str(HERE / "mariadb")
    call(DOCKER, "build", *BUILD_ARGS, "--tag", "marquee-e2e/mariadb:1", mariadb, env={"DOCKER_BUILDKIT": "1"})
    call(*LOAD, "marquee-e2e/s3:1", "marquee-e2e/mariadb:1", *(f"marquee/{stage}:dev" for stage in STAGES))


@pytest.fixture(scope="session")
def new_environment(images: None) -> Iterator[Callable[..., Environment]]:  # noqa: ARG001 - in the cluster
    """Returns a function that creates a namespace with all services and raw events, and installs a release."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        yield lambda name, **how: _new_environment(name, stack, **how)


@pytest.fixture(scope="session")
def environment_one(new_environment: Callable[..., Environment]) -> Environment:
    """The environment that most tests share, before any run."""
    return new_environment("one")


@pytest.fixture(scope="session")
def prometheus(environment_one: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the first environment and has its rules, with waiting times sped up."""
    release, folder = environment_one.release, tmp_path_factory.mktemp("prometheus")
    watch(release)
    targets = folder / "targets.json"
    with (
        api_at_loopback() as api,
        kept_up_with(release.namespace, api, targets),
        kube_state_metrics(release.namespace, api, folder) as state_metrics,
        prometheus_server(
            folder / "data", [state_metrics], rules_of(release), scrape_configs(release.find("podmonitors"), targets)
        ) as server,
    ):
        LOGS[:] = [state_metrics_log(folder)]
        server.wait_for(LAST_REFRESH.name)
        server.wait_for("kube_cronjob_info")
        yield server


def watch(release: Release) -> None:
    """Install a release's alerts and dashboards by the documented commands, in the namespace of the release."""
    (alerts,), (dashboards,) = documented("Alerts"), documented("Dashboards")
    release.run(alerts)
    release.run(dashboards.replace("grafana.namespace=monitoring", f"grafana.namespace={release.namespace}"))
    release.kubectl("rollout", "status", f"deployment/{release.name}-marquee-exporter", "--timeout=180s")


def rules_of(release: Release) -> list[Manifest]:
    """Return the rules of a release in the cluster, sped up."""
    (rule,) = release.find("prometheusrules")
    (group,) = rule["spec"]["groups"]
    return sped_up(group["rules"])


@pytest.fixture(scope="session")
def done(environment_one: Environment, prometheus: Prometheus) -> Environment:
    """The shared environment after each stage has run: the schedule of all days, then the documented backfill."""
    del prometheus  # it has scraped all the while
    environment_one.release.do("schedule-fetch", "schedule-fetch-first")
    (backfill,) = documented("Backfill a month")
    environment_one.release.run(backfill)
    return environment_one


@dataclass(frozen=True)
class Calm:
    """An environment in which every stage has run without a fault, and what came of it."""

    environment: Environment
    digests: dict[str, dict[str, str]]
    answers: dict[str, list[dict[str, Any]]]

    @property
    def release(self) -> Release:
        """The release of the environment, with rollup and profile on Spark."""
        return self.environment.release

    def stands(self) -> bool:
        """Return whether lake and mart are as if there had been no fault."""
        return self.environment.digests() == self.digests and self.environment.answers() == self.answers


@pytest.fixture(scope="session")
def calm(new_environment: Callable[..., Environment]) -> Calm:
    """An environment for faults, after each stage has run once: rollup and profile of a release without Spark."""
    environment = new_environment("calm", tested=False)
    local = environment.release.beside(
        "local", "exporter.enabled=false", *(f"stages.{stage}.engine=local" for stage in ("rollup", "profile"))
    )
    for stage in COMMANDS:
        local.do(stage, f"{stage}-calm")
    return Calm(environment, environment.digests(), environment.answers())


@dataclass(frozen=True)
class Watched:
    """An environment after a full run, and the Prometheus that observed it."""

    environment: Environment
    prometheus: Prometheus

    @property
    def release(self) -> Release:
        """The release of the environment."""
        return self.environment.release

    def reload(self) -> None:
        """Load the current rules."""
        self.prometheus.load(rules_of(self.release))

    def had(self, query: str) -> bool:
        """Return whether a query has had a result since Prometheus started."""
        return bool(self.prometheus.ask(f"count_over_time(({query})[1h:2s])"))

    def is_firing(self, alert: str, stage: str, **labels: str) -> bool:
        """Return whether an alert with these labels fires now."""
        looked_for = {"alertname": alert, "stage": stage, "alertstate": "firing"} | labels
        matchers = ", ".join(f'{name}="{value}"' for name, value in looked_for.items())
        return bool(self.prometheus.ask(f"ALERTS{{{matchers}}}"))


@pytest.fixture(scope="session")
def watched(done: Environment, prometheus: Prometheus) -> Watched:
    """The first environment with its alerts installed again, whatever other tests have installed meanwhile."""
    watch(done.release)
    watched = Watched(done, prometheus)
    watched.reload()
    return watched


def _new_environment(name: str, stack: ExitStack, *, tested: bool = True) -> Environment:
    namespace = f"marquee-e2e-{name}-{secrets.token_hex(2)}"
    release = Release(name, namespace, HERE / "values.yaml")
    make_namespace, make_secrets, install = documented("Install")
    release.run(make_namespace)
    stack.callback(_delete, namespace)
    NAMESPACES.append(namespace)
    release.kubectl("apply", "-f", str(HERE / "services.yaml"))
    for service in ("s3", "mart", "schedule"):
        release.kubectl("rollout", "status", f"deployment/{service}", "--timeout=180s")
    s3_port = stack.enter_context(release.forward("s3", 7070))
    s3 = S3Options(endpoint_url=f"http://127.0.0.1:{s3_port}", region=REGION, path_style=True)
    mart_port = stack.enter_context(release.forward("mart", 3306))
    raw = S3Store(BUCKET, "raw", s3)
    raw._client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    simulate(WORLD, raw)
    init_mart_at(mart_port)
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "MART_PASSWORD": MART_PASSWORD}
    release.run(make_secrets, **keys)
    return Environment(release, release.run(install if tested else install.splitlines()[0]), s3, mart_port)


def mart_at(port: int, user: str, password: str, **more: str) -> MartSettings:
    """Return the settings to reach a mart."""
    url = f"mysql://{user}@127.0.0.1:{port}/marquee"
    return MartSettings.model_validate({"url": url, "password": password, "min_cell": 1, **more})


def init_mart_at(port: int) -> None:
    """Create schema and users in an empty database."""
    passwords = {"loader_password": MART_PASSWORD, "analyst_password": ANALYST_PASSWORD}
    init_mart(mart_at(port, "root", ROOT_PASSWORD, **passwords))


def _delete(namespace: str) -> None:
    if not KEEP:
        subprocess.run(["kubectl", "delete", "namespace", namespace, "--wait=false"], check=False, capture_output=True)
    NAMESPACES.remove(namespace)


@pytest.fixture(autouse=True)
def timed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print the duration of each test."""
    begun = time.monotonic()
    yield
    print(f"\n{request.node.name}: {time.monotonic() - begun:.0f} s", flush=True)  # noqa: T201
