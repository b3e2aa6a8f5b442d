"""The exporter: a collector that fails keeps its last values and does not affect the others."""

import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from jobs.exporter.__main__ import main
from jobs.exporter.collectors import StateCollector, make_collectors
from jobs.exporter.exporter import Exporter
from jobs.exporter.settings import COLLECTORS, ExporterSettings
from marquee.errors import ConfigError, TryAgainError
from marquee.lake.markers import Markers
from marquee.settings.loading import load_settings
from marquee.storage.local import LocalStore
from marquee.telemetry import metrics
from marquee.telemetry.metrics import Sample, sample

START = datetime(2026, 1, 6, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NEVER_S = 600.0


class Clock:
    """A clock that does not move until it is set."""

    now = START

    def __call__(self) -> datetime:
        """Return the time of the clock."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock set to noon."""
    return Clock()


def telling(
    name: str, *found: float | Exception, every: timedelta = MINUTE, stages: tuple[str, ...] = ()
) -> StateCollector:
    """Return a collector that gives these numbers of bytes, one for each refresh, or raises the error."""
    left = list(found)

    def read(_: datetime) -> Iterable[Sample]:
        one = left.pop(0)
        if isinstance(one, Exception):
            raise one
        return [sample(metrics.DATASET_BYTES, one, dataset=name)]

    return StateCollector(name, stages, every, read)


def exporter_of(lake: LocalStore, clock: Callable[[], datetime], *parts: StateCollector) -> Exporter:
    """Return an exporter with these collectors."""
    return Exporter(parts, Markers(lake), NEVER_S, clock)


def value(exporter: Exporter, name: str, **labels: str) -> float | None:
    """Return the published value of a metric with these labels."""
    registry = CollectorRegistry()
    registry.register(exporter)
    return registry.get_sample_value(f"marquee_{name}", labels)


def test_part_that_fails_keeps_what_was_found(lake: LocalStore, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A failing collector keeps its last values and its time and counts its errors; the others go on."""
    parts = telling("mart", 1, TryAgainError("it is down"), ValueError("secret")), telling("rollup", 2, 3, 4)
    exporter = exporter_of(lake, clock, *parts)
    for _ in range(3):
        exporter.refresh()
        clock.now += MINUTE
    found = [value(exporter, "dataset_bytes", dataset=name) for name in ("mart", "rollup")]
    times = [value(exporter, "exporter_last_refresh_timestamp_seconds", part=name) for name in ("mart", "rollup")]
    errors = [value(exporter, "exporter_refresh_errors_total", part=name) for name in ("mart", "rollup")]
    assert (found, errors) == ([1, 4], [2, 0])
    assert times == [START.timestamp(), (START + 2 * MINUTE).timestamp()]
    assert "mart could not be refreshed: it is down" in caplog.text
    assert "secret" not in caplog.text


def test_part_that_never_went_well_is_of_long_ago(lake: LocalStore, clock: Clock) -> None:
    """A collector that has only failed has no metrics and the time of 1970, and the exporter is ready all the same."""
    exporter = exporter_of(lake, clock, telling("mart", TryAgainError("it is down")))
    assert exporter.readiness() == "the first refresh is running"
    assert value(exporter, "exporter_last_refresh_timestamp_seconds", part="mart") is None
    exporter.refresh()
    assert exporter.readiness() == ""
    assert value(exporter, "exporter_last_refresh_timestamp_seconds", part="mart") == 0
    assert value(exporter, "dataset_bytes", dataset="mart") is None


def test_part_is_looked_at_when_it_is_due(lake: LocalStore, clock: Clock) -> None:
    """A collector is refreshed when its interval has passed, and at the next round after an error."""
    exporter = exporter_of(lake, clock, telling("garbage", 1, TryAgainError("it is down"), 3, every=timedelta(hours=2)))
    seen = []
    for hours in (0, 1, 2, 2, 3):
        clock.now = START + timedelta(hours=hours)
        exporter.refresh()
        errors = value(exporter, "exporter_refresh_errors_total", part="garbage")
        seen.append((value(exporter, "dataset_bytes", dataset="garbage"), errors))
    assert seen == [(1, 0), (1, 0), (1, 1), (3, 1), (3, 1)]


def test_markers_are_listed_once_a_round(lake: LocalStore, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The markers of a stage are listed once a round, however many collectors need them."""
    listed: list[str] = []
    monkeypatch.setattr(Markers, "refresh", lambda _, stage: listed.append(stage))
    parts = telling("profile", 1, 1, stages=("rollup", "profile")), telling("mart", 1, 1, stages=("rollup",))
    exporter = exporter_of(lake, clock, *parts)
    exporter.refresh()
    assert listed == ["rollup", "profile"]
    clock.now += MINUTE
    exporter.refresh()
    assert listed == ["rollup", "profile"] * 2


def test_scrape_during_a_look_gets_what_was_found_before(lake: LocalStore, clock: Clock) -> None:
    """A scrape during a hanging refresh gets the last values, and /healthz fails once the refresh takes too long."""
    begun, go_on = threading.Event(), threading.Event()

    def read(_: datetime) -> Iterable[Sample]:
        begun.set()
        go_on.wait(10)
        return []

    exporter = Exporter(
        [telling("rollup", 7, every=timedelta(days=1)), StateCollector("mart", (), MINUTE, read)],
        Markers(lake),
        0.05,
        clock,
    )
    assert exporter.liveness() == ""
    with exporter.refreshing(60):
        assert begun.wait(10)
        assert value(exporter, "dataset_bytes", dataset="rollup") == 7
        time.sleep(0.06)
        assert "a refresh is running for 0 s" in exporter.liveness()
        go_on.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_thread_that_has_ended_is_told(lake: LocalStore, clock: Clock) -> None:
    """The exporter reports that its refreshing thread has ended, for example by a lack of memory."""

    def read(_: datetime) -> Iterable[Sample]:
        raise SystemExit

    exporter = exporter_of(lake, clock, StateCollector("mart", (), MINUTE, read))
    with exporter.refreshing(60):
        assert exporter._thread is not None
        exporter._thread.join(10)
        assert exporter.liveness() == "the refresh thread has ended: restart the exporter"


# Settings.


def test_settings_of_every_part_are_checked_at_start(lake: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter starts only with the settings that its collectors need."""
    monkeypatch.setenv("MARQUEE_LAKE", lake.url)
    settings = load_settings(ExporterSettings)
    assert settings.exporter.parts == COLLECTORS
    with pytest.raises(ConfigError, match="MARQUEE_RAW: is not set"):
        make_collectors(settings, Markers(lake))
    monkeypatch.setenv("MARQUEE_EXPORTER__PARTS", '["garbage", "schedule"]')
    collectors = make_collectors(load_settings(ExporterSettings), Markers(lake))
    assert [one.name for one in collectors] == ["schedule", "garbage"]


def test_unknown_part_is_refused(monkeypatch: pytest.MonkeyPatch, lake: LocalStore) -> None:
    """An unknown collector is refused by name, with a list of the valid ones."""
    monkeypatch.setenv("MARQUEE_LAKE", lake.url)
    monkeypatch.setenv("MARQUEE_EXPORTER__PARTS", '["rolup"]')
    with pytest.raises(
        ConfigError, match=r"Unknown collector 'rolup'\. Use some of schedule, rollup, profile, mart, ret"
    ):
        load_settings(ExporterSettings)


def test_exporter_that_is_told_wrong_ends_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exporter with wrong settings ends with code 78; `--config` lists the settings."""
    monkeypatch.setenv("MARQUEE_LAKE", "here")
    assert main([]) == 78
    assert "MARQUEE_LAKE='here'" in capsys.readouterr().err
    monkeypatch.setenv("MARQUEE_LAKE", "file:///there")
    assert main(["--config"]) == 0
    assert "MARQUEE_EXPORTER__WINDOW_DAYS=35  # default\n" in capsys.readouterr().out
