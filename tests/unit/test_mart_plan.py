"""The plan of a load, made from markers and the ledger alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from marquee.calendar import EVER, Period, Span
from marquee.lake import keys
from marquee.lake.manifest import Held, Marker, Output
from marquee.lake.markers import Markers
from marquee.mart.ledger import (
    Entry,
    Item,
    LoadStatus,
    compare,
    entries_of,
    load_status_of,
    make_plan,
    recounted,
    restated_days,
)
from marquee.storage.local import LocalStore
from tests.helpers_mart import SmallLake, kiosk_of, marker_of


def marker(generation: int, run_id: str, content: str, stage: str = keys.ROLLUP) -> Marker:
    """Return the marker of a run with one output."""
    period, dataset = ("2026-01-05T00", "viewership") if stage == keys.ROLLUP else ("2026-01-05", "shows")
    key = f"data/{stage}/{period}/run={run_id}/{dataset}.parquet"
    return marker_of(stage, period, generation, run_id, [Output(dataset, key, 100, content, 7)])


@pytest.mark.parametrize(
    ("loaded", "found", "status"),
    [
        (None, marker(1, "20260101T", "a"), LoadStatus.PENDING),
        (marker(1, "20260101T", "a"), marker(1, "20260101T", "a"), LoadStatus.LOADED),
        (marker(1, "20260101T", "a"), marker(2, "20260102T", "a"), LoadStatus.LOADED),
        (marker(1, "20260101T", "a"), marker(2, "20260102T", "b"), LoadStatus.STALE),
        (marker(2, "20260102T", "b"), marker(1, "20260101T", "a"), LoadStatus.NEWER),
        (marker(1, "20260101T", "a"), marker(1, "20260103T", "b"), LoadStatus.STALE),
        (marker(1, "20260103T", "b"), marker(1, "20260101T", "a"), LoadStatus.NEWER),
        (
            marker(1, "20260101T", "a", keys.SCHEDULE_FETCH),
            marker(2, "20260102T", "a", keys.SCHEDULE_FETCH),
            LoadStatus.STALE,
        ),
    ],
    ids=[
        "never loaded",
        "the same run",
        "a later run with the same content",
        "a later generation",
        "an earlier generation",
        "generations counted anew, a later run",
        "generations counted anew, an earlier run",
        "a later capture with the same content: its time of fetching counts",
    ],
)
def test_load_status(loaded: Marker | None, found: Marker, status: LoadStatus) -> None:
    """The status of a marker follows from a comparison with the run in the ledger."""
    entries = entries_of(loaded) if loaded else []
    assert load_status_of(found, {(one.dataset, one.period): one for one in entries}) is status


class Unread:
    """The rest of a marker, which nothing may ask for."""

    made_with = ""

    def datasets(self) -> Mapping[str, Held]:
        """Fail the test."""
        pytest.fail("the datasets of a loaded run were asked for")

    def other_runs(self) -> tuple[str, ...]:
        """Fail the test."""
        pytest.fail("the other runs of a loaded run were asked for")

    def fields(self, name: str) -> Mapping[str, object]:
        """Fail the test."""
        pytest.fail(f"{name} of a loaded run was asked for")


def test_of_a_loaded_run_its_id_is_enough() -> None:
    """A marker whose run the ledger has in all its datasets is loaded, and nothing else of it is read."""
    whole = marker(1, "20260101T", "a")
    ledger = {(one.dataset, one.period): one for one in entries_of(whole)}
    known = ("stage", "period", "generation", "run_id", "definition_version")
    partly = Marker.known({name: getattr(whole, name) for name in known} | {"later": Unread()})
    assert load_status_of(partly, ledger) is LoadStatus.LOADED
    assert recounted([Item(keys.ROLLUP, Period.parse(whole.period), partly, LoadStatus.LOADED)], ledger) == []


def test_the_ledger_holds_what_the_manifest_says() -> None:
    """The ledger has the run, generation and rows of the marker, and a digest of the content."""
    (entry,) = entries_of(marker(3, "20260101T", "a"))
    assert (entry.dataset, entry.period, entry.generation, entry.run_id, entry.rows) == (
        "viewership",
        "2026-01-05T00",
        3,
        "20260101T",
        7,
    )
    assert entry.digest != entries_of(marker(3, "20260101T", "b"))[0].digest


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        ("", ["2025-12-31T23", "2026-01-01T00", "2025-12-31", "2026-W01", "2026-01", "2026-Q1"]),
        ("2026-Q1", ["2026-01-01T00", "2026-01", "2026-Q1"]),
        ("2026-01", ["2026-01-01T00", "2026-01"]),
        ("2026-W01", ["2025-12-31T23", "2026-01-01T00", "2025-12-31", "2026-W01"]),
        ("2025-12-31/2026-01-01", ["2025-12-31T23", "2026-01-01T00", "2025-12-31"]),
        ("2026-02", []),
    ],
)
def test_a_kiosk_takes_what_lies_in_its_period(lake: LocalStore, period: str, expected: list[str]) -> None:
    """A kiosk takes hours and audience periods that lie in its period as a whole, and all captures."""
    small = SmallLake(lake)
    small.capture("2025-06-01")
    for hour in ("2025-12-31T23", "2026-01-01T00"):
        small.hour(hour)
    for audience in ("2025-12-31", "2026-W01", "2026-01", "2026-Q1"):
        small.audience(audience, [], [])
    items = compare(Markers(lake), {}, kiosk_of(Path("/kiosk"), period))
    capture, *facts = [str(item.period) for item in items]
    assert capture == "2025-06-01"
    assert sorted(facts) == sorted(expected)


def item(stage: str, period: str, status: LoadStatus) -> Item:
    """Return an item of a comparison."""
    return Item(stage, Period.parse(period), marker_of(stage, period, 1, "20260101T"), status)


ITEMS = [
    item(keys.SCHEDULE_FETCH, "2026-01-04", LoadStatus.STALE),
    item(keys.SCHEDULE_FETCH, "2026-01-05", LoadStatus.PENDING),
    item(keys.SCHEDULE_FETCH, "2026-01-06", LoadStatus.LOADED),
    item(keys.ROLLUP, "2026-01-05T00", LoadStatus.PENDING),
    item(keys.ROLLUP, "2026-01-05T01", LoadStatus.LOADED),
    item(keys.ROLLUP, "2026-01-05T02", LoadStatus.STALE),
    item(keys.ROLLUP, "2026-01-06T00", LoadStatus.PENDING),
    item(keys.ROLLUP, "2026-01-07T00", LoadStatus.NEWER),
    item(keys.ROLLUP, "2026-01-07T01", LoadStatus.PENDING),
    item(keys.ROLLUP, "2026-01-08T00", LoadStatus.LOADED),
    item(keys.ROLLUP, "2026-01-09T00", LoadStatus.OPEN),
    item(keys.AUDIENCE, "2026-01-05", LoadStatus.PENDING),
    item(keys.AUDIENCE, "2026-W02", LoadStatus.LOADED),
]


def steps(span: Span, *, force: bool = False) -> list[tuple[str, str, list[str]]]:
    """Return the steps of a plan for the items above."""
    plan = make_plan(ITEMS, span, force=force)
    return [(step.stage, str(step.period), [str(one.period) for one in step.items]) for step in plan.steps]


def test_captures_come_first_then_hours_by_day_then_audience() -> None:
    """Captures are the first step, then all hours of each day that has a new one, then new audiences.

    A day that is not over, or of which the mart has an hour of a newer run, is in no step.
    """
    assert steps(EVER) == [
        ("schedule_fetch", "2026-01-05", ["2026-01-04", "2026-01-05"]),
        ("rollup", "2026-01-05", ["2026-01-05T00", "2026-01-05T01", "2026-01-05T02"]),
        ("rollup", "2026-01-06", ["2026-01-06T00"]),
        ("audience", "2026-01-05", ["2026-01-05"]),
    ]
    plan = make_plan(ITEMS, EVER, force=False)
    assert [str(one.period) for one in plan.refused] == ["2026-01-07T00"]
    assert plan.unchanged == 4


def test_a_span_narrows_facts_but_not_dimensions() -> None:
    """A span limits the facts but not the dimensions, which are always made of all captures."""
    assert steps(Span.of(Period.parse("2026-01-06"))) == [
        ("schedule_fetch", "2026-01-05", ["2026-01-04", "2026-01-05"]),
        ("rollup", "2026-01-06", ["2026-01-06T00"]),
    ]


def test_force_loads_everything() -> None:
    """Force loads every item, also loaded ones and those of which the kiosk has a newer run, but no day in parts."""
    forced = steps(EVER, force=True)
    assert sum(len(periods) for _, _, periods in forced) == len(ITEMS) - 1
    plan = make_plan(ITEMS, EVER, force=True)
    assert (plan.refused, plan.unchanged) == ((), 0)


def test_an_older_capture_keeps_the_dimensions_as_they_are() -> None:
    """A capture older than that of the kiosk keeps the dimensions as they are, and facts are loaded."""
    items = [item(keys.SCHEDULE_FETCH, "2026-01-03", LoadStatus.NEWER), *ITEMS]
    plan = make_plan(items, EVER, force=False)
    assert [step.stage for step in plan.steps] == ["rollup", "rollup", "audience"]
    assert [str(one.period) for one in plan.refused] == ["2026-01-03", "2026-01-07T00"]


def hours_of(day: str, *runs: tuple[int, str], since: Sequence[tuple[int, str]] = ()) -> list[Entry]:
    """Return ledger entries of the first hours of a day, of runs by generation and id; ``since`` first had their rows.

    Without it, as of a mart of an earlier version, each run is taken for the first with its rows.
    """
    entries = [
        Entry("viewership", f"{day}T{hour:02}", generation, run_id, "", 0)
        for hour, (generation, run_id) in enumerate(runs)
    ]
    if not since:
        return entries
    return [
        replace(entry, rows_generation=generation, rows_run_id=run_id)
        for entry, (generation, run_id) in zip(entries, since, strict=True)
    ]


AGAIN = (3, "20260109T02"), (2, "20260109T03")


@pytest.mark.parametrize(
    ("hours", "restated"),
    [
        (hours_of("2026-01-05", (1, "20260105T01"), (1, "20260105T02")), False),
        (hours_of("2026-01-05", (2, "20260105T02"), (1, "20260105T03")), False),
        (hours_of("2026-01-05", (2, "20260106T02"), (1, "20260105T03")), True),
        (hours_of("2026-01-05", (2, "20260106T02"), (3, "20260106T03")), True),
        (hours_of("2026-01-05", *AGAIN, since=[(1, "20260105T02"), (1, "20260105T03")]), False),
        (hours_of("2026-01-05", *AGAIN, since=[(2, "20260106T02"), (1, "20260105T03")]), True),
        (hours_of("2026-01-05", *AGAIN, since=[(2, "20260105T02"), (1, "20260105T03")]), False),
    ],
    ids=[
        "each made once",
        "a late file before the last hour",
        "a late file after it",
        "every hour made again",
        "every hour made again with the same rows",
        "that after a late file",
        "that after a late file before the last hour",
    ],
)
def test_a_day_is_restated_if_an_hour_gets_other_rows_after_all_were_there(
    hours: list[Entry], *, restated: bool
) -> None:
    """The first runs with the rows of hours tell whether a mart may have had others; other days do not matter."""
    other = hours_of("2026-01-06", (1, "20260109T00"))
    assert restated_days([*hours, *other]) == [Period.parse("2026-01-05")] * restated
