"""Metrics of calls to real S3, MariaDB and HTTP servers, with injected faults."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pymysql
import pytest

from jobs.mart_load.dimensions import make_dimensions
from jobs.schedule_fetch.client import ScheduleClient
from jobs.schedule_fetch.settings import ScheduleFetchOptions
from marquee.calendar import Span, day
from marquee.errors import MarqueeError
from marquee.lake.manifest import Input, Output
from marquee.lake.markers import Markers
from marquee.mart.base import open_mart
from marquee.mart.ledger import Change, compare, make_plan
from marquee.storage.base import S3Options
from marquee.storage.local import LocalStore
from marquee.storage.s3 import S3Store
from marquee.telemetry import instruments
from tests.helpers_mart import MADE, SmallLake, kiosk_of, load, marker_of
from tests.mariadb_server import MysqlDatabase
from tests.s3_proxy import Fault, S3Proxy
from tests.s3_server import BUCKET
from tests.schedule_service import answer, schedule_service

Went = Callable[..., float]


@pytest.fixture
def went() -> Went:
    """Returns how much a metric of this process has grown since the first call for it."""
    before: dict[str, float] = {}

    def since(name: str, **labels: str) -> float:
        now = instruments.WORK.get_sample_value(f"marquee_{name}", labels) or 0.0
        return now - before.setdefault(f"{name}{labels}", now)

    return since


@pytest.fixture
def store(s3_proxy: S3Proxy, tmp_path: Path) -> S3Store:
    """A store that tries twice, behind a proxy."""
    options = S3Options(endpoint_url=s3_proxy.url, path_style=True, retry_for_s=1)
    return S3Store(BUCKET, tmp_path.name, options)


def test_calls_to_s3_are_measured_by_operation(store: S3Store, went: Went) -> None:
    """Calls are counted by operation, and a missing object counts neither as an error nor as a retry."""

    def counted() -> list[float]:
        name = "store_request_duration_seconds_count"
        calls = [went(name, operation=one) for one in ("put", "list", "delete", "head")]
        return [*calls, went("store_errors_total", code="404"), went("store_retries_total")]

    assert counted() == [0] * 6
    store.put("a/b", b"1")
    store.head("a/b")
    store.head("a/c")
    list(store.list())
    list(store.list("a"))
    store.delete("a/b")
    assert counted() == [1, 2, 1, 2, 0, 0]


def test_reading_from_s3_is_measured(store: S3Store, went: Went) -> None:
    """Reading an object counts one get, however many calls boto3 makes."""
    name = "store_request_duration_seconds_count"
    store.put("a", b"1")
    assert went(name, operation="get") == 0
    assert store.get("a") == b"1"
    assert went(name, operation="get") == 1


def test_tries_that_fail_on_the_way_are_retries(store: S3Store, s3_proxy: S3Proxy, went: Went) -> None:
    """A call that is refused once and then succeeds counts as a retry, not as an error."""

    def seen() -> tuple[float, float]:
        return went("store_retries_total"), went("store_errors_total", code="503")

    assert seen() == (0, 0)
    s3_proxy.faults.append(Fault("refuse", "PUT", status=503, code="SlowDown"))
    store.put("a", b"1")
    assert seen() == (1, 0)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        pytest.param(Fault("refuse", "PUT", times=100, status=503, code="SlowDown"), "503", id="refused"),
        pytest.param(Fault("refuse", "PUT", status=403, code="AccessDenied"), "403", id="not allowed"),
        pytest.param(Fault("lose_answer", "PUT", times=100), "connection", id="connection lost"),
    ],
)
def test_calls_that_fail_in_the_end_are_errors(
    store: S3Store, s3_proxy: S3Proxy, went: Went, fault: Fault, code: str
) -> None:
    """A call that finally fails counts as an error, by status or as a connection error."""
    assert went("store_errors_total", code=code) == 0
    s3_proxy.faults.append(fault)
    with pytest.raises(MarqueeError):
        store.put("a", b"1")
    assert went("store_errors_total", code=code) == 1


def test_statements_of_the_mart_are_measured(tmp_path: Path, mysql_mart: MysqlDatabase, went: Went) -> None:
    """Loading an hour counts its statements: delete, LOAD DATA with its rows, and commit."""
    small = SmallLake(LocalStore(tmp_path))
    small.capture("2026-01-05")
    small.hour("2026-01-05T13", (101, "KR", 22, "tv", 60))
    name = "mart_statement_duration_seconds_count"

    def counted() -> dict[str, float]:
        return {one: went(name, statement=one) for one in ("load", "commit", "delete", "other")}

    assert set(counted().values()) == {0}
    assert (went("job_rows_total", direction="in"), went("job_bytes_total", direction="in")) == (0, 0)
    assert load(small.store, mysql_mart).exit_code == 0
    assert min(counted().values()) > 0
    assert went("job_rows_total", direction="in") == 1
    assert went("job_bytes_total", direction="in") > 0
    assert went("mart_reconnects_total") == 0


def test_lost_connection_to_the_mart_is_a_reconnect(tmp_path: Path, mysql_mart: MysqlDatabase, went: Went) -> None:
    """When the server has closed the connection of an idle loader, the load continues on a new connection."""
    small = SmallLake(LocalStore(tmp_path))
    small.capture("2026-01-05")
    assert went("mart_reconnects_total") == 0
    settings = kiosk_of(mysql_mart)
    with open_mart(settings) as mart:
        for (process,) in mysql_mart.ask("select id from information_schema.processlist where db = database()"):
            with suppress(pymysql.err.Error):
                mysql_mart.ask(f"kill {process}")
        items = compare(Markers(small.store), {}, settings)
        (step,) = make_plan(items, Span(), force=False).steps
        assert mart.load_dimensions(make_dimensions(Markers(small.store)), Change.of(step, MADE, force=False))
    assert went("mart_reconnects_total") == 1


def test_calls_to_the_schedule_service_are_measured(went: Went, tmp_path: Path) -> None:
    """Two attempts, the second successful, are counted for the schedule service."""

    def seen() -> tuple[float, float]:
        return went("schedule_request_duration_seconds_count"), went("schedule_retries_total")

    assert seen() == (0, 0)
    with schedule_service() as service:
        service.tell("/schedule/web?date=2026-01-05", answer([], 503), answer([]))
        options = ScheduleFetchOptions(url=service.url)
        with ScheduleClient(options, sleep=lambda _: None) as client:
            client.fetch("web", day("2026-01-05").date, tmp_path)
    assert seen() == (2, 1)


def test_published_run_is_counted(went: Went) -> None:
    """A published run counts rows in and out like its stage, and the bytes read and written."""
    marker = replace(
        marker_of("rollup", "2026-01-05T13", 1, "r", [Output("viewership", "k", 70, "", 3)]),
        inputs=(Input("a", "e", 100), Input("b", "e", 50)),
        counts={"rows_in": 12, "rows_out": 10},
    )

    def seen() -> list[float]:
        return [went(f"job_{what}_total", direction=way) for what in ("rows", "bytes") for way in ("in", "out")]

    assert seen() == [0, 0, 0, 0]
    instruments.count_work(marker.rows_moved, marker.bytes_moved)
    assert seen() == [12, 10, 150, 70]
