"""Health as metrics: values worked out by hand from a few markers and states, and the cost of reading them again."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.exporter.samples import dataset_samples, erasure_samples, hour_samples, stage_samples, window_of
from marquee.calendar import Period, Span, day, hour
from marquee.errors import NewerLakeError
from marquee.lake import keys
from marquee.lake.ended import NOTHING_ENDED
from marquee.lake.manifest import Failure, Marker, Output, now_text
from marquee.lake.markers import Markers, publish
from marquee.runs.stage import State, run_stage
from marquee.runs.status import PeriodStatus, read_states
from marquee.storage.base import ObjectInfo
from marquee.storage.local import LocalStore
from marquee.telemetry import metrics
from marquee.telemetry.metrics import Metric, Sample
from tests.sample_stages import START, Ticking, WordsStage

GRACE = timedelta(minutes=10)
HOURLY = {"stage": "rollup", "grain": "hour"}


def made(period: str, stage: str = "rollup", *, after: timedelta = timedelta(minutes=12), **more: Any) -> Marker:
    """Return a marker of a run of 90 seconds that started at this time after the end of its period."""
    started = Period.parse(period).end + after
    fields: dict[str, Any] = {
        "generation": 1,
        "run_id": keys.new_run_id(started),
        "outputs": (),
        "counts": {"rows_in": 10, "rows_out": 9, "duplicates": 1, "rejects": {}},
        "cpu_seconds": 4.5,
    }
    return Marker(
        stage=stage,
        period=period,
        code_version="0",
        definition_version="1",
        parameters={},
        inputs=(),
        inputs_digest="",
        started_at=now_text(started),
        finished_at=now_text(started + timedelta(seconds=90)),
        **(fields | more),
    )


def marked(*markers: Marker) -> dict[Period, Marker]:
    """Return markers by period, in the same form as `Markers`."""
    return {Period.parse(one.period): one for one in markers}


def value(samples: Iterable[Sample], metric: Metric, **labels: str) -> float | None:
    """Return the one value of a metric with these labels, or None if it is missing."""
    found = [one.value for one in samples if one.metric is metric and one.labels == labels]
    assert len(found) <= 1, f"{metric.name}{labels} is told {len(found)} times"
    return found[0] if found else None


def by_label(samples: Iterable[Sample], metric: Metric, label: str) -> Mapping[str, float]:
    """Return the values of a metric by one of its labels."""
    return {one.labels[label]: one.value for one in samples if one.metric is metric}


def seconds(text: str) -> float:
    """Return an instant in seconds since 1970, as Prometheus uses it."""
    return datetime.fromisoformat(f"{text}+00:00").timestamp()


# States.


def test_states_are_counted_and_the_oldest_open_period_is_told() -> None:
    """The states of periods are counted; a waiting period is not open, every other one that is not done is."""
    window = [
        PeriodStatus("rollup", hour("2026-01-05T10"), State.DONE),
        PeriodStatus("rollup", hour("2026-01-05T11"), State.FAILED),
        PeriodStatus("rollup", hour("2026-01-05T12"), State.STALE),
        PeriodStatus("rollup", hour("2026-01-05T13"), State.DONE),
        PeriodStatus("rollup", hour("2026-01-05T14"), State.WAITING),
    ]
    samples = list(stage_samples("rollup", {}, window))
    assert by_label(samples, metrics.PERIODS, "state") == {
        "done": 2,
        "pending": 0,
        "stale": 1,
        "failed": 1,
        "waiting": 1,
    }
    assert value(samples, metrics.OLDEST_OPEN, **HOURLY) == seconds("2026-01-05T11:00")


def test_no_open_period_is_no_series() -> None:
    """A stage without an open period has no series of its oldest open period, since its age would raise an alert."""
    window = [
        PeriodStatus("rollup", hour("2026-01-05T10"), State.DONE),
        PeriodStatus("rollup", hour("2026-01-05T11"), State.WAITING),
    ]
    assert value(stage_samples("rollup", {}, window), metrics.OLDEST_OPEN, **HOURLY) is None


def test_watermark_stops_at_the_first_hole() -> None:
    """The watermark is the end of the last hour before the first gap; the newest end ignores the gap."""
    hours = marked(*(made(f"2026-01-05T{number}") for number in (10, 11, 13)))
    samples = list(stage_samples("rollup", hours, []))
    assert value(samples, metrics.WATERMARK, **HOURLY) == seconds("2026-01-05T12:00")
    assert value(samples, metrics.NEWEST_END, **HOURLY) == seconds("2026-01-05T14:00")


def test_watermark_stays_below_a_first_hour_that_failed() -> None:
    """A first hour that failed keeps the watermark at its start, although it has no marker."""
    hours = marked(made("2026-01-05T10"))
    samples = stage_samples("rollup", hours, [PeriodStatus("rollup", hour("2026-01-05T09"), State.FAILED)])
    assert value(samples, metrics.WATERMARK, **HOURLY) == seconds("2026-01-05T09:00")


# Complete periods.


@pytest.mark.parametrize(
    ("stage", "after", "expected"),
    [
        pytest.param("profile", timedelta(0), "2026-01-06T00:00", id="made when it was over"),
        pytest.param("profile", timedelta(seconds=-1), "2026-01-05T00:00", id="a day to date"),
        pytest.param("schedule_fetch", timedelta(hours=-20), "2026-01-06T00:00", id="a captured day"),
    ],
)
def test_period_to_date_is_not_complete(stage: str, after: timedelta, expected: str) -> None:
    """The newest end counts a day only if it was over when it was made, or if it is a captured day."""
    counts = {"rows_in": 1, "rows_out": 1}
    days = marked(
        made("2026-01-04", stage, counts=counts),
        made("2026-01-05", stage, counts=counts, after=after),
    )
    samples = stage_samples(stage, days, [])
    assert value(samples, metrics.NEWEST_END, stage=stage, grain="day") == seconds(expected)


def test_rows_are_told_of_the_newest_period_the_week_before_and_the_days_between() -> None:
    """Rows are published for the newest hour, the same hour a week before, and the seven days before it."""
    counts = [
        ("2026-01-05T12", {"rows_in": 1000, "rows_out": 1000, "duplicates": 0, "rejects": {"blank": 9}}),
        ("2026-01-05T13", {"rows_in": 30, "rows_out": 25, "duplicates": 3, "rejects": {"blank": 2}}),
        ("2026-01-12T12", {"rows_in": 40, "rows_out": 35, "duplicates": 1, "rejects": {"blank": 1, "country": 3}}),
        ("2026-01-12T13", {"rows_in": 50, "rows_out": 44, "duplicates": 5, "rejects": {"country": 1}}),
    ]
    samples = list(stage_samples("rollup", marked(*(made(one, counts=told) for one, told in counts)), []))
    assert by_label(samples, metrics.NEWEST_ROWS, "direction") == {"in": 50, "out": 44}
    assert by_label(samples, metrics.WEEK_BEFORE_ROWS, "direction") == {"in": 30, "out": 25}
    assert by_label(samples, metrics.RECENT_ROWS, "direction") == {"in": 70, "out": 60}
    assert value(samples, metrics.NEWEST_DUPLICATES, **HOURLY) == 5
    assert value(samples, metrics.RECENT_DUPLICATES, **HOURLY) == 4
    assert by_label(samples, metrics.NEWEST_REJECTS, "reason") == {"country": 1}
    assert by_label(samples, metrics.RECENT_REJECTS, "reason") == {"blank": 3, "country": 3}


def test_nothing_a_week_before_is_no_series() -> None:
    """There is no series of a week before in the first week of a lake, or for months, which no week divides."""
    assert by_label(stage_samples("rollup", marked(made("2026-01-05T13")), []), metrics.WEEK_BEFORE_ROWS, "grain") == {}
    months = marked(made("2025-12", "audience"), made("2026-01", "audience"))
    assert by_label(stage_samples("audience", months, []), metrics.WEEK_BEFORE_ROWS, "grain") == {}


def test_rows_of_the_schedule_are_its_episodes() -> None:
    """The input rows of the schedule are the listed episodes, and its output rows are the kept ones."""
    counts = {"episodes_in": 8, "episodes": 5, "duplicates": 3, "rejects": {}, "unknown_fields": ["x"]}
    output = Output("episodes", "data/schedule_fetch/2026-01-05/run=r/episodes.parquet", 10, "", 5)
    days = marked(made("2026-01-05", "schedule_fetch", counts=counts, outputs=(output,)))
    samples = list(stage_samples("schedule_fetch", days, []))
    assert by_label(samples, metrics.NEWEST_ROWS, "direction") == {"in": 8, "out": 5}


def test_grains_are_told_apart() -> None:
    """Days and weeks of one stage have separate series."""
    periods = marked(
        made("2026-01-05", "audience", counts={"rows_in": 1, "rows_out": 1}),
        made("2026-W01", "audience", counts={"rows_in": 7, "rows_out": 2}, generation=8),
    )
    window = [PeriodStatus("rollup", one, State.DONE) for one in periods]
    samples = list(stage_samples("audience", periods, window))
    assert by_label(samples, metrics.GENERATIONS, "grain") == {"day": 1, "week": 8}
    assert by_label(samples, metrics.NEWEST_END, "grain") == {
        "day": seconds("2026-01-06T00:00"),
        "week": seconds("2026-01-05T00:00"),
    }


# Runs.


def test_last_run_is_the_one_that_finished_last() -> None:
    """The last run is the one that finished last, not the one of the newest period."""
    hours = marked(
        made("2026-01-05T10", after=timedelta(hours=3, minutes=12), generation=2, cpu_seconds=61.25),
        made("2026-01-05T12"),
    )
    samples = list(stage_samples("rollup", hours, [PeriodStatus("rollup", one, State.DONE) for one in hours]))
    assert value(samples, metrics.LAST_FINISHED, **HOURLY) == seconds("2026-01-05T14:13:30")
    assert value(samples, metrics.LAST_DURATION, **HOURLY) == 90
    assert value(samples, metrics.LAST_CPU, **HOURLY) == 61.25
    assert value(samples, metrics.GENERATIONS, **HOURLY) == 3


def test_markers_of_before_have_no_cpu_time() -> None:
    """A marker of format 1 has no CPU time, and its series is missing instead of zero."""
    samples = stage_samples("rollup", marked(made("2026-01-05T10", cpu_seconds=None)), [])
    assert value(samples, metrics.LAST_CPU, **HOURLY) is None


# The heat map.


def test_heat_map_shows_a_hole_at_once() -> None:
    """The heat map shows failed, stale, pending and missing hours as soon as they are over."""
    done = [*range(22, 24)], [number for number in range(9) if number != 3]
    window = [
        *(PeriodStatus("rollup", hour(f"2026-01-06T{number:02}"), State.DONE) for number in done[0]),
        *(PeriodStatus("rollup", hour(f"2026-01-07T{number:02}"), State.DONE) for number in done[1]),
        PeriodStatus("rollup", hour("2026-01-07T03"), State.FAILED),
        PeriodStatus("rollup", hour("2026-01-07T09"), State.STALE),
        PeriodStatus("rollup", hour("2026-01-07T10"), State.PENDING),
    ]
    now = datetime(2026, 1, 7, 12, 5, tzinfo=UTC)
    cells = {(one.labels["days_ago"], one.labels["hour"]): one.value for one in hour_samples({}, window, now, GRACE)}
    assert cells == {
        ("1", "22"): 1,
        ("1", "23"): 1,
        **{("0", f"{number:02}"): 1 for number in done[1]},
        ("0", "03"): 4,
        ("0", "09"): 3,
        ("0", "10"): 2,
        **{("0", f"{number:02}"): 0 for number in range(11, 24)},
    }


def test_hour_without_events_is_pending_once_the_grace_has_passed() -> None:
    """An hour without events is pending on the heat map once its grace has passed, but not before."""
    window = [PeriodStatus("rollup", hour("2026-01-07T10"), State.DONE)]
    cells = [
        by_label(
            hour_samples({}, window, datetime(2026, 1, 7, 12, minute, tzinfo=UTC), GRACE), metrics.HOUR_STATE, "hour"
        )
        for minute in (9, 10)
    ]
    assert [one["11"] for one in cells] == [0, 2]


def test_heat_map_of_an_empty_lake_is_empty() -> None:
    """The heat map of an empty lake is empty."""
    assert list(hour_samples({}, [], START, GRACE)) == []


# Datasets.


def test_datasets_are_added_up_over_all_markers() -> None:
    """Rows, bytes and objects of each dataset are the sums over all markers."""
    outputs = [
        Output(dataset, f"k{number}", size, "", rows)
        for number, (dataset, size, rows) in enumerate(
            [("viewership", 100, 3), ("viewer_hour", 20, 1), ("viewer_hour", 30, 2), ("viewership", 50, 4)]
        )
    ]
    hours = marked(made("2026-01-05T10", outputs=tuple(outputs[:3])), made("2026-01-05T11", outputs=tuple(outputs[3:])))
    samples = list(dataset_samples(hours))
    assert by_label(samples, metrics.DATASET_ROWS, "dataset") == {"viewership": 7, "viewer_hour": 3}
    assert by_label(samples, metrics.DATASET_BYTES, "dataset") == {"viewership": 150, "viewer_hour": 50}
    assert by_label(samples, metrics.DATASET_OBJECTS, "dataset") == {"viewership": 2, "viewer_hour": 2}


def test_datasets_that_have_ended_do_not_count() -> None:
    """What retention has ended of an hour is not in the lake any more, so it is not counted; the rest is."""
    run = "20260105T110000000000-0123abcd"
    outputs = tuple(
        Output(name, f"data/rollup/2026-01-05T10/run={run}/{name}.parquet", 10, "0" * 64, 1)
        for name in ("viewership", "rejects")
    )
    hours = marked(made("2026-01-05T10", outputs=outputs, run_id=run))
    at = datetime(2026, 2, 5, tzinfo=UTC)
    ended = NOTHING_ENDED.with_periods("rejects", [hour("2026-01-05T10")], at, done=True)
    assert by_label(list(dataset_samples(hours, ended)), metrics.DATASET_BYTES, "dataset") == {"viewership": 10}


def test_window_holds_today_and_the_days_before() -> None:
    """A window of two days holds yesterday, today and what comes after, in UTC."""
    span = window_of(datetime(2026, 1, 7, 12, tzinfo=UTC), 2)
    assert [span.touches(day(f"2026-01-0{number}")) for number in (5, 6, 7, 8)] == [False, True, True, True]


# Reading.


class Counting(LocalStore):
    """A store that records its calls."""

    def __init__(self, store: LocalStore) -> None:
        super().__init__(store.root)
        self.calls: list[str] = []

    def get_version(self, key: str) -> tuple[bytes, str]:
        self.calls.append(f"get {key}")
        return super().get_version(key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self.calls.append(f"list {prefix}")
        return super().list(prefix)

    def taken(self) -> Sequence[str]:
        """Return the calls since the last time."""
        calls, self.calls = self.calls, []
        return calls


@pytest.fixture
def store(lake: LocalStore) -> Counting:
    """A lake with two hours of words, of which the second one failed."""
    publish(lake, made("2026-01-05T10", "words"), None)
    failure = Failure("words", "2026-01-05T11", "r", 1, "bad input", 65, "why", now_text(START))
    lake.put(keys.failed_key("words", hour("2026-01-05T11")), failure.to_json())
    return Counting(lake)


def test_refresh_without_a_change_reads_no_marker(store: Counting) -> None:
    """A refresh without a change makes one listing, reads no marker, and keeps what it has."""
    markers = Markers(store)
    markers.refresh("words")
    assert len(store.taken()) == 3
    before = markers.of("words"), markers.failures("words")
    markers.refresh("words")
    assert store.taken() == ["list markers/words/"]
    assert (markers.of("words"), markers.failures("words")) == before


def test_refresh_reads_what_changed_alone(store: Counting) -> None:
    """A refresh reads new generations only, and forgets deleted markers and settled failures."""
    markers = Markers(store)
    markers.refresh("words")
    (first,) = markers.of("words").values()
    store.taken()
    publish(store, made("2026-01-05T10", "words", generation=2, run_id="r2"), first)
    publish(store, made("2026-01-05T11", "words"), None)
    store.taken()
    markers.refresh("words")
    assert store.taken() == [
        "list markers/words/",
        "get markers/words/2026-01-05T10/_SUCCESS",
        "get markers/words/2026-01-05T11/_SUCCESS",
    ]
    assert [one.generation for one in markers.of("words").values()] == [2, 1]
    assert markers.failures("words") == {}
    store.delete(keys.success_key("words", hour("2026-01-05T10")))
    markers.refresh("words")
    assert list(markers.of("words")) == [hour("2026-01-05T11")]


def test_damaged_marker_is_read_again_when_it_changes(store: Counting) -> None:
    """A damaged marker is a failure of its period, is not read again, and is forgotten when it is restored."""
    markers = Markers(store)
    markers.refresh("words")
    key = keys.success_key("words", hour("2026-01-05T12"))
    store.put(key, b"{")
    markers.refresh("words")
    store.taken()
    markers.refresh("words")
    assert store.taken() == ["list markers/words/"]
    assert list(markers.of("words")) == [hour("2026-01-05T10")]
    assert list(markers.failures("words")) == [hour("2026-01-05T11"), hour("2026-01-05T12")]
    store.put(key, made("2026-01-05T12", "words").to_json())
    markers.refresh("words")
    assert list(markers.of("words")) == [hour("2026-01-05T10"), hour("2026-01-05T12")]
    assert list(markers.failures("words")) == [hour("2026-01-05T11")]


def test_refresh_after_an_error_reads_again(store: Counting) -> None:
    """After an error with a marker of a newer format the old state remains, and the next refresh reads it again."""
    markers = Markers(store)
    markers.refresh("words")
    key = keys.success_key("words", hour("2026-01-05T12"))
    store.put(key, made("2026-01-05T12", "words").to_json().replace(b'"format": 2', b'"format": 3'))
    with pytest.raises(NewerLakeError, match="has format 3"):
        markers.refresh("words")
    assert list(markers.of("words")) == [hour("2026-01-05T10")]
    store.put(key, made("2026-01-05T12", "words").to_json())
    markers.refresh("words")
    assert list(markers.of("words")) == [hour("2026-01-05T10"), hour("2026-01-05T12")]


def test_periods_are_looked_over_as_a_run_would(lake: LocalStore, tmp_path: Any) -> None:
    """Periods have the state that a run would find: done, failed with its reason, pending, or waiting."""
    raw = LocalStore(tmp_path / "raw")
    for number, words in (("10", b"a"), ("11", b"bad!")):
        raw.put(f"2026-01-05T{number}/file", words)
    run_stage(WordsStage(lake, raw), Markers(lake), clock=Ticking())
    raw.put("2026-01-05T12/file", b"c")
    raw.put("2026-01-05T13/file", b"d")

    class Patient(WordsStage):
        def target(self, period: Period) -> Any:
            return None if period == hour("2026-01-05T13") else super().target(period)

    stage, markers = Patient(lake, raw), Markers(lake)
    found = list(read_states(stage, markers, stage.periods(Span())))
    assert [(str(one.period), one.state, one.open) for one in found] == [
        ("2026-01-05T10", State.DONE, False),
        ("2026-01-05T11", State.FAILED, True),
        ("2026-01-05T12", State.PENDING, True),
        ("2026-01-05T13", State.WAITING, False),
    ]
    assert "bad!" in found[1].reason


def test_open_requests_to_erase_have_the_deadline_of_the_oldest() -> None:
    """Two requests of 2 and 3 January must be complete in 28 days: by 30 January for the older one."""
    requests = [f"202601{day}T120000000000-00000000" for day in ("02", "03")]
    found = {one.metric.name: one.value for one in erasure_samples(requests, 28)}
    assert found == {
        "marquee_open_erasures": 2,
        "marquee_erasure_deadline_timestamp_seconds": datetime(2026, 1, 30, 12, tzinfo=UTC).timestamp(),
    }
    assert {one.metric.name: one.value for one in erasure_samples([], 28)} == {"marquee_open_erasures": 0}
