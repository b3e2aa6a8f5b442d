"""Loading a mart from a lake: first, repeated, restated, damaged, refused, killed and concurrent loads."""

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import duckdb
import pytest

from jobs.mart_load.dimensions import iso_countries, make_dimensions
from jobs.mart_load.load import load_mart
from jobs.mart_load.report import MartReport
from marquee.calendar import Period, Span
from marquee.errors import ConfigError, TryAgainError
from marquee.lake import keys
from marquee.lake.datasets import SHOWS, VIEWERSHIP
from marquee.lake.keys import failed_key
from marquee.lake.markers import Markers, failure_of
from marquee.mart import schema
from marquee.mart.admin import init_mart, upgrade_mart
from marquee.mart.answers import answer
from marquee.mart.base import read_mart
from marquee.mart.questions import ask, find_question
from marquee.mart.status import ledger_states
from marquee.runs.stage import State
from marquee.storage.local import LocalStore
from tests.helpers_mart import Kiosk, Play, SmallLake, change, content, kiosk_of, load, mart_settings, rows_of

HOUR = 3600
ISO = set(iso_countries()["country"].to_pylist())
FIRST, SECOND = date(2026, 1, 5), date(2026, 1, 6)
JAN, FEB = datetime(2026, 1, 1), datetime(2026, 2, 1)  # noqa: DTZ001 - as the lake has them


def fill(store: LocalStore) -> SmallLake:
    """Fill a lake with two captured days, three hours of two days, and the audiences of a day and a week."""
    small = SmallLake(store)
    show = {"show_id": 1, "name": "Cases", "language": "Korean", "network_id": 7}
    small.capture(
        "2026-01-05",
        shows=[{**show, "status": "Running", "updated": JAN}],
        episodes=[{"episode_id": 11, "show_id": 1}, {"episode_id": 12, "show_id": 1}],
        genres=[{"show_id": 1, "genre": "Crime"}],
        networks=[{"kind": "network", "network_id": 7, "name": "tvN", "country": "KR"}],
        countries=[{"country": "KR", "name": "Korea, Republic of"}],
    )
    small.capture(
        "2026-01-06",
        shows=[{**show, "status": "Ended", "ended": date(2026, 1, 6), "updated": FEB}],
        episodes=[{"episode_id": 13, "show_id": 1}],
        genres=[{"show_id": 1, "genre": "Crime"}],
    )
    small.hour("2026-01-05T00", (11, "KR", 9, "tv", 600), (99, "XU", 19, "tv", 60))
    small.hour("2026-01-05T01", (12, "KR", 10, "tv", 120))
    small.hour("2026-01-06T00", (13, "XB", 21, "phone", 300))
    watched = {"show_id": 1, "country": "**", "reach": 60, "watched_seconds": 1020}
    for period in ("2026-01-05", "2026-W02"):
        small.audience(period, [watched, {**watched, "country": "KR"}], [{"country": "XF", "watched_seconds": 1080}])
    return small


@pytest.fixture
def small(lake: LocalStore) -> SmallLake:
    """A lake to load."""
    return fill(lake)


@pytest.fixture
def kiosk(new_kiosk: Callable[[], Kiosk]) -> Kiosk:
    """The location of a mart that does not exist yet, in DuckDB or MySQL."""
    return new_kiosk()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The location of a mart in DuckDB, of which neither file nor folder exists yet."""
    return tmp_path / "kiosks" / "kiosk.duckdb"


def is_iso(country: str) -> bool:
    """Return whether a code is of ISO 3166-1, which has none of the tests' codes that begin with X."""
    return country in ISO


def test_first_load(small: SmallLake, kiosk: Kiosk) -> None:
    """The first load fills every table, and adds a row for each key in the facts that no captured schedule knows."""
    report = load(small.store, kiosk)
    assert (report.loaded, report.replaced, report.unchanged, report.failed) == (7, 0, 0, ())
    rows = content(kiosk)
    assert report.rows == sum(
        len(rows[name])
        for name in rows
        if name.startswith(("dim_", "fact_", "show_history")) and name not in {"dim_daypart", "fact_show_daypart"}
    ) - len(["episode 99", "XB", "XF", "XU"])
    assert rows["fact_viewership"] == [
        (FIRST, 11, "KR", "morning", "tv", 10, 600),
        (FIRST, 12, "KR", "morning", "tv", 2, 120),
        (FIRST, 99, "XU", "evening", "tv", 1, 60),
        (SECOND, 13, "XB", "evening", "phone", 5, 300),
    ]
    assert rows["fact_viewership_hour"] == []
    assert [row[:2] for row in rows["dim_episode"]] == [(-2, 1), (0, -1), (11, 1), (12, 1), (13, 1), (99, 0)]
    assert [row[:2] for row in rows["dim_country"] if not is_iso(row[0])] == [
        ("**", "worldwide"),
        ("..", "other countries"),
        ("XB", None),
        ("XF", None),
        ("XU", None),
    ]
    names = {row[0]: row[1] for row in rows["dim_country"]}
    assert (names["KR"], names["JP"]) == ("Korea, Republic of", "Japan")
    assert [row[:4] for row in rows["fact_audience"]] == [
        ("2026-01-05", 1, "**", 60),
        ("2026-01-05", 1, "KR", 60),
        ("2026-W02", 1, "**", 60),
        ("2026-W02", 1, "KR", 60),
    ]


def test_every_reference_is_met(small: SmallLake, kiosk: Kiosk) -> None:
    """Every column whose comment refers to another table has only keys of that table."""
    load(small.store, kiosk, detail="hour")
    keys = {"dim_daypart": "local_hour", "dim_show": "show_id", "dim_episode": "episode_id"}
    checked = []
    for table in schema.relations():
        for column in table.columns:
            target = column.comment.partition("-> ")[2].partition(":")[0].partition(";")[0]
            if target.startswith("dim_") and " " not in target:
                key = keys.get(target, target.removeprefix("dim_"))
                joined = f"{table.name} t left join {target} d on d.{key} = t.{column.name}"
                missing = f"select 1 from {joined} where t.{column.name} is not null and d.{key} is null"  # noqa: S608
                assert rows_of(kiosk, missing) == [], (table.name, column.name)
                checked.append(target)
    assert {*keys, "dim_country", "dim_language", "dim_genre"} == set(checked)
    named = "select n.name from dim_show s join dim_network n on n.network_id = s.network_id where kind = 'network'"
    assert rows_of(kiosk, named) == [("tvN",)]


def test_comments_are_in_the_database(small: SmallLake, file: Path) -> None:
    """Every table, view and column has its comment in the database."""
    load(small.store, file)
    without = """
        select table_name from duckdb_tables() where comment is null
        union all select view_name from duckdb_views() where comment is null and not internal
        union all select column_name from duckdb_columns()
        where comment is null and table_name in (select table_name from duckdb_tables())
    """
    assert rows_of(file, without) == []
    assert rows_of(file, "select distinct comment from duckdb_columns() where column_name = 'plays'") == [
        ("play events without duplicates (one is about a minute of play)",)
    ]


def test_empty_lake_has_nothing_to_load(lake: LocalStore, kiosk: Kiosk) -> None:
    """With an empty lake, the report names the commands that produce the input of a mart."""
    report = load(lake, kiosk)
    note = "the lake has nothing yet from `marquee schedule-fetch`, `marquee rollup`, `marquee profile`"
    assert (report.exit_code, report.changed, report.note) == (0, 0, note)


def test_period_without_plays_says_so(small: SmallLake, lake: LocalStore, kiosk: Kiosk) -> None:
    """A kiosk of a period that has a schedule and no plays is loaded, and the report names what is missing."""
    del small  # its hours are of another week
    report = load(lake, kiosk, "2026-W20")
    note = "the lake has nothing of this period from `marquee rollup`, `marquee profile`"
    assert (report.exit_code, report.note) == (0, note)
    assert report.changed > 0


def test_loading_again_changes_nothing(small: SmallLake, kiosk: Kiosk) -> None:
    """A second load compares ledger and markers and changes nothing, even if the data of the lake are gone."""
    load(small.store, kiosk)
    before, times = content(kiosk), rows_of(kiosk, "select loaded_at from load_ledger")
    shutil.rmtree(small.store.root / "data")
    assert load(small.store, kiosk) == MartReport(unchanged=7)
    assert (content(kiosk), rows_of(kiosk, "select loaded_at from load_ledger")) == (before, times)


def test_force_loads_all_of_it_anew(small: SmallLake, kiosk: Kiosk) -> None:
    """With force, the content is loaded anew and is the same, and every period counts as replaced."""
    load(small.store, kiosk)
    before = content(kiosk)
    report = load(small.store, kiosk, force=True)
    assert (report.loaded, report.replaced, report.unchanged) == (0, 7, 0)
    assert content(kiosk) == before


def test_a_restated_hour_replaces_exactly_its_rows(small: SmallLake, kiosk: Kiosk) -> None:
    """A restated hour replaces exactly its own rows and updates the dimensions that only its rows refer to."""
    load(small.store, kiosk)
    before = content(kiosk)
    small.hour("2026-01-05T00", (11, "KR", 9, "tv", 660), (98, "XJ", 8, "tv", 60))
    assert load(small.store, kiosk) == MartReport(replaced=1, unchanged=6, rows=3)  # 2 and the other hour's
    after = content(kiosk)
    assert after["fact_viewership"] == [
        (FIRST, 11, "KR", "morning", "tv", 11, 660),
        (FIRST, 12, "KR", "morning", "tv", 2, 120),
        (FIRST, 98, "XJ", "morning", "tv", 1, 60),
        (SECOND, 13, "XB", "evening", "phone", 5, 300),
    ]
    assert [row[:2] for row in after["dim_episode"]] == [(-2, 1), (0, -1), (11, 1), (12, 1), (13, 1), (98, 0)]
    assert [row[0] for row in after["dim_country"] if not is_iso(row[0])] == ["**", "..", "XB", "XF", "XJ"]
    unchanged = set(before) - {"fact_viewership", "fact_show_daypart", "dim_episode", "dim_country", "load_ledger"}
    assert {name: after[name] for name in unchanged} == {name: before[name] for name in unchanged}


def test_an_hour_may_lose_all_its_rows(small: SmallLake, kiosk: Kiosk) -> None:
    """An hour whose restatement has no events is loaded as an empty hour."""
    load(small.store, kiosk)
    small.hour("2026-01-06T00")
    assert load(small.store, kiosk).replaced == 1
    assert rows_of(kiosk, "select count(*), max(day) from fact_viewership") == [(3, FIRST)]
    assert rows_of(kiosk, "select max(hour) from loaded_hour") == [(datetime(2026, 1, 6, 0),)]  # noqa: DTZ001


def test_a_restated_audience_replaces_its_period(small: SmallLake, kiosk: Kiosk) -> None:
    """A restated audience replaces its own period, including vanished shows and countries, and no other period."""
    load(small.store, kiosk)
    show = {"show_id": 1, "country": "**", "reach": 61, "watched_seconds": 1020}
    small.audience("2026-W02", [show], [{"country": "**", "watched_seconds": 1080}])
    assert load(small.store, kiosk) == MartReport(replaced=1, unchanged=6, rows=2)
    assert [row[:4] for row in content(kiosk)["fact_audience"]] == [
        ("2026-01-05", 1, "**", 60),
        ("2026-01-05", 1, "KR", 60),
        ("2026-W02", 1, "**", 61),
    ]


def test_a_late_schedule_resolves_what_was_unknown(small: SmallLake, kiosk: Kiosk) -> None:
    """A play of an unknown episode moves to its show when a capture lists the episode, and back when it does not."""
    load(small.store, kiosk)
    late = small.capture(
        "2026-01-07", shows=[{"show_id": 2, "name": "Late"}], episodes=[{"episode_id": 99, "show_id": 2}]
    )
    assert load(small.store, kiosk).loaded == 1
    resolved = """
        select label from fact_viewership join dim_episode using (episode_id) join dim_show using (show_id)
        where country = 'XU'
    """
    assert rows_of(kiosk, resolved) == [("Late",)]
    small.capture(late.period)
    assert load(small.store, kiosk).replaced == 1
    assert rows_of(kiosk, resolved) == [("not in any captured schedule",)]


def test_the_same_content_of_a_later_run_is_no_change(small: SmallLake, kiosk: Kiosk) -> None:
    """A forced rerun upstream with the same bytes in other objects changes nothing in the mart."""
    load(small.store, kiosk)
    small.hour("2026-01-05T01", (12, "KR", 10, "tv", 120))
    assert load(small.store, kiosk) == MartReport(unchanged=7)


def test_the_order_of_loading_is_no_matter(
    small: SmallLake, kiosk: Kiosk, new_kiosk: Callable[[], Kiosk], tmp_path: Path
) -> None:
    """Marts loaded after each marker, in different orders, equal a mart loaded at once."""
    load(small.store, kiosk)
    expected = content(kiosk)
    markers = [info.key for info in small.store.list("markers/")]
    for number, order in enumerate([markers[::-1], markers[1::2] + markers[::2]]):
        store, other = LocalStore(tmp_path / f"lake{number}"), new_kiosk()
        shutil.copytree(small.store.root / "data", store.root / "data")
        for key in order:
            store.put(key, small.store.get(key))
            assert load(store, other).loaded == 1
        assert content(other) == expected


def test_a_kiosk_for_a_period(small: SmallLake, kiosk: Kiosk) -> None:
    """A mart for one period has the facts of that period and all dimensions, and another period needs another mart."""
    load(small.store, kiosk, "2026-01-05")
    assert rows_of(kiosk, "select distinct day from fact_viewership") == [(FIRST,)]
    assert rows_of(kiosk, "select distinct period from fact_audience") == [("2026-01-05",)]
    assert rows_of(kiosk, "select episode_id from dim_episode where show_id = 1") == [(-2,), (11,), (12,), (13,)]
    with pytest.raises(ConfigError, match=r"is a mart for 2026-01-05, .*PERIOD='2026-W02' selects 2026-W02. Set "):
        load(small.store, kiosk, "2026-W02")
    with pytest.raises(ConfigError, match="selects all periods"):
        load(small.store, kiosk)


def test_a_span_loads_a_part(small: SmallLake, kiosk: Kiosk) -> None:
    """A load with a span loads a part, and the next load without one loads the rest."""
    report = load_mart(mart_settings(small.store, kiosk), Markers(small.store), Span.of(Period.parse("2026-01-06")))
    assert report.loaded == 4  # two captures, an hour, and the week that overlaps the day
    assert rows_of(kiosk, "select day from fact_viewership") == [(SECOND,)]
    assert load(small.store, kiosk) == MartReport(loaded=3, unchanged=4, rows=6)


def test_progress_is_told(small: SmallLake, kiosk: Kiosk) -> None:
    """The load reports progress at the start and after each transaction: done, total, and the current period."""
    told: list[tuple[int, int, str]] = []
    load_mart(mart_settings(small.store, kiosk), Markers(small.store), advance=lambda *step: told.append(step))
    assert told == [
        (0, 5, ""),
        (1, 5, "2026-01-06"),
        (2, 5, "2026-01-05"),
        (3, 5, "2026-01-06"),
        (4, 5, "2026-01-05"),
        (5, 5, "2026-W02"),
    ]


def damage(store: LocalStore, key: str) -> bytes:
    """Change one byte of an object; return its original content."""
    data = store.get(key)
    store.put(key, data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    return data


def test_a_damaged_object_is_found_before_it_is_loaded(lake: LocalStore, kiosk: Kiosk) -> None:
    """A damaged object keeps its day out of the mart, and the failure is kept until that day is loaded."""
    fill(lake)
    markers = Markers(lake)
    (output,) = markers.of("rollup")[Period.parse("2026-01-05T01")].outputs
    data = damage(lake, output.key)
    report = load_mart(mart_settings(lake, kiosk), markers)
    assert (report.exit_code, report.failed) == (70, ((Period.parse("2026-01-05"), 70),))
    assert rows_of(kiosk, "select day from fact_viewership") == [(SECOND,)]
    assert rows_of(kiosk, "select count(distinct period) from fact_audience") == [(2,)]
    failure = Markers(lake).failures("mart_load")[Period.parse("2026-01-05")]
    assert markers.failures("mart_load") == {Period.parse("2026-01-05"): failure}
    assert (failure.kind, failure.exit_code) == ("internal", 70)
    assert f"{output.key} is damaged" in failure.reason
    assert "--force" in failure.reason
    lake.put(output.key, data)
    assert load_mart(mart_settings(lake, kiosk), markers).loaded == 2
    assert markers.failures("mart_load") == Markers(lake).failures("mart_load") == {}


def test_a_damaged_capture_stops_the_load(lake: LocalStore, kiosk: Kiosk) -> None:
    """A damaged capture stops the load, because without dimensions every play would count for an unknown show."""
    fill(lake)
    (output,) = Markers(lake).of("schedule_fetch")[Period.parse("2026-01-05")].of(SHOWS)
    damage(lake, output.key)
    report = load(lake, kiosk)
    assert report.failed == ((Period.parse("2026-01-06"), 70),)
    assert rows_of(kiosk, "select count(*) from load_ledger") == [(0,)]
    assert output.key in Markers(lake).failures("mart_load")[Period.parse("2026-01-06")].reason


@pytest.mark.parametrize(
    ("change", "message"),
    [({"rows": 3}, "expected 3 rows, as its manifest says, found 1"), ({"size": 3}, "expected 3 bytes")],
    ids=["rows", "size"],
)
def test_an_object_must_be_as_its_manifest_says(
    small: SmallLake, kiosk: Kiosk, change: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object whose row count or size differs from its manifest fails the load, like a wrong checksum."""
    markers = Markers(small.store)
    hour = Period.parse("2026-01-05T01")
    marker = markers.of("rollup")[hour]
    monkeypatch.setitem(markers.of("rollup"), hour, replace(marker, outputs=(replace(marker.outputs[0], **change),)))
    report = load_mart(mart_settings(small.store, kiosk), markers)
    assert report.exit_code == 70
    assert message in markers.failures("mart_load")[Period.parse("2026-01-05")].reason


def test_rows_of_another_hour_are_refused(small: SmallLake, kiosk: Kiosk) -> None:
    """Rows of another hour fail the load, because a later restatement could not replace them."""
    wrong = datetime(2026, 1, 5, 7)  # noqa: DTZ001
    row = {
        "hour": wrong,
        "episode_id": 1,
        "country": "KR",
        "local_hour": 1,
        "device": "tv",
        "plays": 1,
        "watched_seconds": 60,
        "viewer_bits": 1,
    }
    small.publish("rollup", "2026-01-05T02", {VIEWERSHIP: [row]})
    assert load(small.store, kiosk).exit_code == 70
    failure = Markers(small.store).failures("mart_load")[Period.parse("2026-01-05")]
    assert "rollup 2026-01-05T02" in failure.reason
    assert "viewership of another hour" in failure.reason


def test_hours_without_bits_of_viewers_are_loaded(small: SmallLake, kiosk: Kiosk) -> None:
    """An hour that a rollup before definition 4 made, without bits of viewers, is loaded beside one with them."""
    before = replace(VIEWERSHIP, columns=VIEWERSHIP.columns[:-1])
    start = datetime(2026, 1, 5, 2)  # noqa: DTZ001
    row = {"hour": start, "episode_id": 1, "country": "KR", "local_hour": 11, "device": "tv", "plays": 1}
    small.publish("rollup", "2026-01-05T02", {before: [{**row, "watched_seconds": 60}]})
    small.hour("2026-01-05T03", (1, "KR", 12, "tv", 120))
    assert load(small.store, kiosk).exit_code == 0
    rows = rows_of(kiosk, "select daypart, watched_seconds from fact_viewership where episode_id = 1 order by 1")
    assert rows == [("daytime", 120), ("morning", 60)]


def test_hours_without_bits_of_viewers_are_of_nobody(
    lake: LocalStore, kiosk: Kiosk, caplog: pytest.LogCaptureFixture
) -> None:
    """With a floor, an hour without bits of viewers counts as of nobody, so it is folded, and the log names it."""
    small = SmallLake(lake)
    plays = (11, "KR", 9, "tv", 3600, range(20)), (12, "KR", 9, "tv", 60, range(10))
    whole_day(small, "2026-01-05", *plays, hours=range(7))
    whole_day(small, "2026-01-05", hours=range(8, 24))
    before = replace(VIEWERSHIP, columns=VIEWERSHIP.columns[:-1])
    start = datetime(2026, 1, 5, 7)  # noqa: DTZ001
    row = {"hour": start, "episode_id": 13, "country": "KR", "local_hour": 16, "device": "tv", "plays": 1}
    small.publish("rollup", "2026-01-05T07", {before: [{**row, "watched_seconds": 60}]})
    with caplog.at_level(logging.WARNING):
        load(lake, kiosk, min_cell=10)
    assert "1 of the hours from 2026-01-05T07 to 2026-01-05T07 do not tell their viewers" in caplog.text
    assert rows_of(kiosk, "select episode_id, watched_seconds from fact_viewership order by 1") == [
        (0, 120),
        (11, 3600),
    ]


def test_bits_of_two_viewer_keys_do_not_add_up(lake: LocalStore, kiosk: Kiosk) -> None:
    """Of a day that was rekeyed, and of which an hour was made again since, only the bits of one key count.

    Six viewers of an episode play in two hours: their twelve bits of two keys together would pass a floor of ten.
    """
    small, ten_h = SmallLake(lake), 36_000  # as the hours of a day that was restated are rounded
    whole_day(small, "2026-01-05", (11, "KR", 9, "tv", ten_h, range(20)), (14, "KR", 9, "tv", ten_h, range(10)))
    for hour, bits, counts in ((7, range(6), {}), (9, range(6, 12), {"viewer_bits_of": "another key"})):
        start = datetime(2026, 1, 5, hour)  # noqa: DTZ001
        row = {"hour": start, "episode_id": 12, "country": "KR", "local_hour": 16, "device": "tv", "plays": 1}
        row |= {"watched_seconds": ten_h, "viewer_bits": sum(1 << bit for bit in bits)}
        small.publish("rollup", f"2026-01-05T{hour:02}", {VIEWERSHIP: [row]}, counts)
    load(lake, kiosk, min_cell=10)
    rows = rows_of(kiosk, "select episode_id, watched_seconds from fact_viewership order by 1")
    assert 12 not in {episode for episode, _ in rows}
    assert sum(seconds for _, seconds in rows) == 4 * ten_h


def test_an_older_generation_is_refused(small: SmallLake, kiosk: Kiosk, caplog: pytest.LogCaptureFixture) -> None:
    """A loader whose markers are older than the mart changes nothing, unless it is forced."""
    slept = Markers(small.store)
    for stage in ("rollup", "audience", "schedule_fetch"):
        slept.of(stage)
    small.hour("2026-01-05T01", (12, "KR", 10, "tv", 180))
    load(small.store, kiosk)
    before = content(kiosk)
    with caplog.at_level(logging.WARNING):
        report = load_mart(mart_settings(small.store, kiosk), slept)
    assert (report.exit_code, report.failed, report.unchanged) == (76, ((Period.parse("2026-01-05T01"), 76),), 6)
    assert content(kiosk) == before
    assert "rollup 2026-01-05T01 in the lake (generation 1 of run " in caplog.text
    assert ") is older than in the mart (generation 2 of run " in caplog.text
    assert "load with --force" in caplog.text
    assert load_mart(mart_settings(small.store, kiosk), slept, force=True).replaced == 7
    assert rows_of(kiosk, "select watched_seconds from fact_viewership where episode_id = 12") == [(120,)]


def test_states_for_status(small: SmallLake, kiosk: Kiosk) -> None:
    """A period is pending before a load and done after it, stale after a change upstream, failed after a failure."""
    settings = mart_settings(small.store, kiosk)
    states = ledger_states(settings.mart, Markers(small.store))
    assert {one.state for one in states} == {State.PENDING}
    started = datetime.now(UTC)
    load(small.store, kiosk)
    (hour,) = [one for one in ledger_states(settings.mart, Markers(small.store)) if str(one.period) == "2026-01-05T00"]
    assert (hour.stage, hour.source, hour.state, hour.rows) == ("mart_load", "rollup", State.DONE, 2)
    assert hour.made_at is not None
    assert started <= hour.made_at <= datetime.now(UTC)
    small.hour("2026-01-05T00")
    marker = small.hour("2026-01-06T00", (11, "KR", 9, "tv", 60))
    damage(small.store, marker.outputs[0].key)
    states = ledger_states(settings.mart, Markers(small.store))
    assert [str(one.period) for one in states if one.state is State.STALE] == ["2026-01-05T00", "2026-01-06T00"]
    load(small.store, kiosk)
    states = ledger_states(settings.mart, Markers(small.store))
    assert [(str(one.period), one.state) for one in states if one.state is not State.DONE] == [
        ("2026-01-06T00", State.FAILED)
    ]


class KilledError(BaseException):
    """Raised where the process dies; no code may catch it."""


class Mortal:
    """A proxy for a real store or database that dies before one of its calls."""

    def __init__(self, real: Any, before: Callable[[], None]) -> None:
        self._real, self._before = real, before

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name not in {"execute", "put", "delete"}:
            return real

        def call(*arguments: Any, **named: Any) -> Any:
            self._before()
            return real(*arguments, **named)

        return call

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._real.close()


def load_until(monkeypatch: pytest.MonkeyPatch, store: LocalStore, kiosk: Path, fatal: int) -> int:
    """Load a mart and die before the Nth call that may change store or database; return the number of calls."""
    calls = 0

    def before() -> None:
        nonlocal calls
        calls += 1
        if calls == fatal:
            raise KilledError

    def connect(*path: Path, **named: Any) -> Any:
        # A database in memory, without a path, vanishes with the process.
        return Mortal(real(*path, **named), before) if path else real(**named)

    real: Any = duckdb.connect
    mortal: Any = Mortal(store, before)
    with monkeypatch.context() as patch, suppress(KilledError):
        patch.setattr(duckdb, "connect", connect)
        load_mart(mart_settings(store, kiosk), Markers(mortal))
    return calls


def test_killed_anywhere_the_rerun_ends_right(
    lake: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load killed at any call leaves the mart between two transactions, and the rerun gives the expected content."""
    small = fill(lake)
    old, new, kiosk = (tmp_path / f"{name}.duckdb" for name in ("old", "new", "kiosk"))
    load(lake, old)
    small.capture("2026-01-06", shows=[{"show_id": 1, "name": "Cases, again"}])
    small.hour("2026-01-05T00", (11, "KR", 9, "tv", 660), (98, "XJ", 8, "tv", 60))
    small.audience("2026-W02", [], [{"country": "**", "watched_seconds": 1080}])
    made = make_dimensions(Markers(lake))
    dimensions = {
        name: made[name] for name in ("dim_show", "dim_episode", "show_history")
    }  # a few dimensions, to be quick
    monkeypatch.setattr("jobs.mart_load.load.make_dimensions", lambda _: dimensions)
    shutil.copy(old, new)
    load(lake, new)
    told = ("load_ledger", "dim_show", "dim_episode", "show_history", "fact_viewership", "fact_audience")
    states, expected = [content(old, told)], content(new)
    failure = failed_key("mart_load", Period.parse("2026-01-05"))
    reason = failure_of(TryAgainError("disk full"), "mart_load", Period.parse("2026-01-05"), "0", 1, datetime.now(UTC))
    for fatal in range(1, 1000):
        shutil.copy(old, kiosk)
        lake.put(failure, reason.to_json())
        calls = load_until(monkeypatch, lake, kiosk, fatal)
        left = content(kiosk, told)
        if left != states[-1]:
            states.append(left)
            assert load(lake, kiosk).exit_code == 0
            assert content(kiosk) == expected, f"killed before call {fatal}"
            assert lake.head(failure) is None
        if calls < fatal:
            break
    assert len(states) == 4  # before, and after each of the three transactions
    assert states[-1] == {name: expected[name] for name in told}


def test_killed_while_it_is_made_a_kiosk_is_made_anew(
    lake: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load killed while it creates a mart never leaves a file with half a schema."""
    made = load_until(monkeypatch, lake, tmp_path / "kiosk.duckdb", 0)
    assert made > 8
    whole = rows_of(tmp_path / "kiosk.duckdb", "from duckdb_tables() select count(*)")
    for fatal in range(1, made + 1):
        kiosk = tmp_path / f"{fatal}.duckdb"
        load_until(monkeypatch, lake, kiosk, fatal)
        assert rows_of(kiosk, "from duckdb_tables() select count(*)") in ([(0,)], whole)
    assert load(lake, tmp_path / "3.duckdb").exit_code == 0


DYING = """
import os, sys
from pathlib import Path
from marquee.storage.local import LocalStore
from marquee.mart.duckdb.mart import DuckdbMart
from tests.helpers_mart import load
real = DuckdbMart.execute
commits = 0

def execute(self, sql, parameters=()):
    global commits
    commits += sql == "commit"
    last = sql == "commit" and commits == 2
    if last and sys.argv[3] == "before":
        os._exit(9)
    result = real(self, sql, parameters)
    if last:
        os._exit(9)
    return result

DuckdbMart.execute = execute
load(LocalStore(Path(sys.argv[1])), Path(sys.argv[2]))
"""


@pytest.mark.parametrize(("moment", "hours"), [("before", 0), ("after", 2)])
def test_killed_for_real(lake: LocalStore, file: Path, moment: str, hours: int) -> None:
    """A process killed before or after a commit leaves the old or the new content, in a file that opens."""
    fill(lake)
    killed = subprocess.run([sys.executable, "-c", DYING, str(lake.root), str(file), moment], check=False)
    assert killed.returncode == 9
    assert rows_of(file, "select count(*) from loaded_hour") == [(hours,)]
    report = load(lake, file)
    assert (report.loaded, report.unchanged) == (5 - hours, 2 + hours)
    assert rows_of(file, "select count(*), sum(plays) from fact_viewership") == [(4, 18)]


HOLDING = "import duckdb, sys; db = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"


def test_two_loaders_at_once(small: SmallLake, file: Path) -> None:
    """While another process has the mart open, a load, a question and the status end with "try again"."""
    load(small.store, file)
    command_line = [sys.executable, "-c", HOLDING, str(file)]
    with subprocess.Popen(command_line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        message = r"kiosk\.duckdb is open in another process, which loads or queries it\. Try again"
        with pytest.raises(TryAgainError, match=message):
            load(small.store, file)
        with pytest.raises(TryAgainError, match=message):
            ask(kiosk_of(file), "binge")
        with pytest.raises(TryAgainError, match=message):
            ledger_states(mart_settings(small.store, file).mart, Markers(small.store))
    assert load(small.store, file) == MartReport(unchanged=7)
    assert Markers(small.store).failures("mart_load") == {}


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("create table mine (i integer)", "is a database, but not a mart"),
        (
            "create table schema_version (version integer); insert into schema_version values (0)",
            "version 0, .* Run `marquee mart upgrade`, which empties it",
        ),
        (
            "create table schema_version (version integer); insert into schema_version values (99)",
            "version 99, .* Upgrade",
        ),
    ],
    ids=["of somebody else", "of an older version", "of a newer version"],
)
def test_other_databases_are_left_alone(lake: LocalStore, tmp_path: Path, sql: str, message: str) -> None:
    """A database of another application is refused by name with a remedy, and is not changed."""
    kiosk = tmp_path / "kiosk.duckdb"
    with duckdb.connect(kiosk) as db:
        db.execute(sql)
    before = kiosk.read_bytes()
    with pytest.raises(ConfigError, match=message):
        load(lake, kiosk)
    assert kiosk.read_bytes() == before


OLD = "update schema_version set version = 5"
VERSION = "select version from schema_version"


def test_a_mart_of_an_earlier_version_is_emptied_by_an_upgrade(small: SmallLake, kiosk: Kiosk) -> None:
    """A mart of an earlier version answers and loads nothing until an upgrade has emptied it; a load fills it again."""
    load(small.store, kiosk)
    before = content(kiosk)
    change(kiosk, OLD, "drop table fact_viewership_hour")
    for use in (
        lambda: load(small.store, kiosk),
        lambda: ask(kiosk_of(kiosk), "binge"),
        lambda: init_mart(kiosk_of(kiosk)),
    ):
        with pytest.raises(ConfigError, match=r"schema version 5, .* expects 8\. Run `marquee mart upgrade`"):
            use()
    (done,) = upgrade_mart(kiosk_of(kiosk))
    assert (
        "schema version 5 is now 8, with detail=day and min_cell=1. It is empty: load it with `marquee mart-load`"
        in done
    )
    assert rows_of(kiosk, "select count(*) from fact_viewership") == [(0,)]
    assert rows_of(kiosk, "select count(*) from load_ledger") == [(0,)]
    assert load(small.store, kiosk).loaded == 7
    assert content(kiosk) == before


def test_a_mart_of_this_version_is_not_emptied(small: SmallLake, kiosk: Kiosk) -> None:
    """An upgrade of a mart that is as the settings say keeps its rows; for another period it is refused."""
    load(small.store, kiosk)
    before = content(kiosk)
    (done,) = upgrade_mart(kiosk_of(kiosk))
    assert f"schema version {schema.VERSION}" in done
    with pytest.raises(ConfigError, match="is a mart for all periods"):
        upgrade_mart(kiosk_of(kiosk, "2026-W02", min_cell=10))
    assert content(kiosk) == before


@pytest.mark.parametrize("other", [{"min_cell": 10}, {"detail": "hour"}], ids=["floor", "detail"])
def test_rows_of_another_floor_are_not_mixed(small: SmallLake, kiosk: Kiosk, other: dict[str, Any]) -> None:
    """A mart made with another floor or detail is not loaded, until an upgrade has emptied it; it still answers."""
    load(small.store, kiosk)
    with pytest.raises(
        ConfigError, match=r"was made with detail=day and min_cell=1, but the settings are .*`marquee mart up"
    ):
        load(small.store, kiosk, **other)
    assert ask(kiosk_of(kiosk, **other), "genre-hours")[1] != []
    upgrade_mart(kiosk_of(kiosk, **other))
    assert load(small.store, kiosk, **other).exit_code == 0
    with pytest.raises(ConfigError, match="but the settings are detail=day and min_cell=1"):
        load(small.store, kiosk)


def test_a_mart_of_hours_has_both_grains(small: SmallLake, kiosk: Kiosk) -> None:
    """With the detail hour, the lake's rows are in a table of their own, and a restated hour is so in both grains."""
    load(small.store, kiosk, detail="hour")
    small.hour("2026-01-05T00", (11, "KR", 9, "tv", 660), (98, "XJ", 8, "tv", 60))
    load(small.store, kiosk, detail="hour")
    rows = content(kiosk)
    assert rows["fact_viewership_hour"] == [
        (datetime(2026, 1, 5, 0), 11, "KR", 9, "tv", 11, 660),  # noqa: DTZ001
        (datetime(2026, 1, 5, 0), 98, "XJ", 8, "tv", 1, 60),  # noqa: DTZ001
        (datetime(2026, 1, 5, 1), 12, "KR", 10, "tv", 2, 120),  # noqa: DTZ001
        (datetime(2026, 1, 6, 0), 13, "XB", 21, "phone", 5, 300),  # noqa: DTZ001
    ]
    assert [row[1:] for row in rows["fact_viewership"]] == [
        (11, "KR", "morning", "tv", 11, 660),
        (12, "KR", "morning", "tv", 2, 120),
        (98, "XJ", "morning", "tv", 1, 60),
        (13, "XB", "evening", "phone", 5, 300),
    ]
    assert rows["kiosk"] == [("", "hour", 1)]


def test_names_that_only_hours_have_stay_in_the_dimensions(lake: LocalStore, kiosk: Kiosk) -> None:
    """Episodes and countries of rows that are folded in the days are in the dimensions of a mart of hours only."""
    small = SmallLake(lake)
    small.hour("2026-01-05T00", (99, "XU", 19, "tv", 60, range(1)), (98, "XB", 19, "tv", 60, range(1, 12)))
    load(lake, kiosk, detail="hour", min_cell=10)
    assert rows_of(kiosk, "select episode_id, country from fact_viewership") == [(0, "..")]
    assert rows_of(kiosk, "select episode_id from dim_episode order by 1") == [(0,), (98,), (99,)]
    small.hour("2026-01-05T00", (98, "XB", 19, "tv", 60, range(1, 12)))
    load(lake, kiosk, detail="hour", min_cell=10)
    assert rows_of(kiosk, "select episode_id, country from fact_viewership") == [(98, "XB")]
    assert rows_of(kiosk, "select episode_id from dim_episode order by 1") == [(0,), (98,)]


# Whole days, with a floor


def whole_day(small: SmallLake, day: str, *plays: Play, hours: range = range(24)) -> None:
    """Roll up the hours of a day: plays in its first hour, and none in the others."""
    for number in hours:
        small.hour(f"{day}T{number:02}", *(plays if number == hours.start else ()))


def test_audiences_are_protected(lake: LocalStore, kiosk: Kiosk) -> None:
    """With a floor, viewers and hours are rounded, and few viewers have no hours; the line of trust says so.

    The two in JP are not in the 100 hours worldwide, so that worldwide less KR is nothing.
    """
    small = SmallLake(lake)
    small.capture("2026-01-05", shows=[{"show_id": 1, "name": "Cases"}])
    rows = [("**", 26, 118), ("KR", 24, 103), ("JP", 2, 15)]
    names = ("country", "reach", "watched_seconds")
    shows = [
        {"show_id": 1, **dict(zip(names, (one, viewers, 3600 * hours), strict=True))} for one, viewers, hours in rows
    ]
    base = [
        {"country": one, "active_viewers": viewers, "watched_seconds": 3600 * hours} for one, viewers, hours in rows
    ]
    small.audience("2026-W02", shows, base, {"hours": 168, "hours_expected": 168})
    assert load(lake, kiosk, min_cell=10).exit_code == 0
    facts = "select country, reach, watched_seconds, average_seconds from fact_audience order by country"
    assert rows_of(kiosk, facts) == [("**", 30, 360_000, None), ("JP", 0, None, None), ("KR", 20, 360_000, None)]
    columns, (*_, row) = ask(kiosk_of(kiosk, min_cell=10), "top-shows", 0)
    assert dict(zip(columns, row, strict=True))["hours"] == 100.0
    with read_mart(kiosk_of(kiosk, min_cell=10)) as mart:
        answered = answer(mart, find_question("top-shows"))
    assert "viewers and hours are rounded to the nearest 10; hours of fewer than 20 viewers" in answered.trust.text()
    assert answered.trust.fields()["min_cell"] == 10


def test_small_cells_are_folded(lake: LocalStore, kiosk: Kiosk) -> None:
    """With a floor, a mart has no cell of fewer viewers, nor the names of what they watched; totals are exact."""
    small = SmallLake(lake)
    small.capture(
        "2026-01-05",
        shows=[{"show_id": 1, "name": "Cases"}],
        episodes=[{"episode_id": 11, "show_id": 1}, {"episode_id": 12, "show_id": 1}],
        genres=[{"show_id": 1, "genre": "Crime"}],
    )
    whole_day(
        small,
        "2026-01-05",
        (11, "KR", 9, "tv", 3600, range(20)),
        (11, "KR", 9, "phone", 60, range(20, 24)),
        (12, "KR", 9, "phone", 120, range(24, 32)),
        (99, "XU", 19, "tv", 60, range(1)),
    )
    report = load(lake, kiosk, min_cell=10)
    assert report.loaded == 25
    assert rows_of(kiosk, "select * from fact_viewership order by episode_id") == [
        (FIRST, 0, "..", "(other)", "(other)", 4, 240),
        (FIRST, 11, "KR", "morning", "tv", 60, 3600),
    ]
    assert rows_of(kiosk, "select * from fact_show_daypart order by show_id") == [
        (FIRST, -1, "..", "(other)", 240),
        (FIRST, 1, "KR", "morning", 3600),
    ]
    assert rows_of(kiosk, "select country from dim_country where name is null") == []
    assert rows_of(kiosk, "select sum(rows_loaded) from load_ledger where dataset = 'viewership'") == [(0,)]
    names, answered = ask(kiosk_of(kiosk), "genre-hours")
    wanted = [names.index(one) for one in ("country", "country_name", "genre", "hours", "share_percent")]
    assert [tuple(row[one] for one in wanted) for row in answered] == [
        ("KR", "Korea (South)", "Crime", 1.0, 100.0),
        ("..", "other countries", "Other shows", 0.1, 100.0),
    ]
    names, answered = ask(kiosk_of(kiosk), "genre-daypart")
    assert [(row[names.index("country")], row[names.index("daypart")]) for row in answered] == [("KR", "morning")]


def test_a_day_that_is_not_over_waits(lake: LocalStore, kiosk: Kiosk) -> None:
    """With a floor, a day is loaded when all its hours are there, whole; without one, as far as it has come."""
    small = SmallLake(lake)
    plays = (11, "KR", 9, "tv", 3600, range(20))
    whole_day(small, "2026-01-05", plays, hours=range(23))
    report = load(lake, kiosk, min_cell=10)
    assert (report.exit_code, report.loaded) == (0, 0)
    assert report.note.startswith(
        "2026-01-05 is not over: a mart with a floor has whole days; the lake has nothing yet"
    )
    states = ledger_states(kiosk_of(kiosk, min_cell=10), Markers(lake))
    assert {(one.state, one.reason) for one in states} == {
        (State.WAITING, "its day is not over: a mart with a floor has whole days")
    }
    whole_day(small, "2026-01-05", hours=range(23, 24))
    assert load(lake, kiosk, min_cell=10).loaded == 24
    small.hour("2026-01-05T07", (11, "KR", 16, "tv", 60, range(3)), (11, "KR", 9, "tv", 60, range(3)))
    assert load(lake, kiosk, min_cell=10) == MartReport(replaced=1, unchanged=23, rows=3)
    assert rows_of(kiosk, "select daypart, watched_seconds from fact_viewership") == []  # 3,720 seconds, rounded


def test_a_restated_day_is_rounded_in_any_mart(lake: LocalStore, kiosk: Kiosk, new_kiosk: Callable[[], Kiosk]) -> None:
    """A late file for a day that was over: its hours are rounded, in a mart that had the day and in a new one."""
    small = SmallLake(lake)
    small.capture("2026-01-05", shows=[{"show_id": 1}], episodes=[{"episode_id": 11, "show_id": 1}])
    whole_day(small, "2026-01-05", (11, "KR", 9, "tv", 16 * 3600, range(20)))
    whole_day(small, "2026-01-06", (11, "KR", 9, "tv", 16 * 3600, range(20)))
    load(lake, kiosk, min_cell=10)
    small.hour("2026-01-05T07", (11, "KR", 9, "tv", 3180, range(1)))
    load(lake, kiosk, min_cell=10)
    load(lake, new := new_kiosk(), min_cell=10)
    for mart in (kiosk, new):
        facts = rows_of(mart, "select day, plays, watched_seconds from fact_viewership order by day")
        assert facts == [(FIRST, 1010, 20 * 3600), (FIRST + timedelta(1), 960, 16 * 3600)]  # 1,013 plays
        with read_mart(kiosk_of(mart, min_cell=10)) as opened:
            trust = answer(opened, find_question("genre-hours"), period="2026-01-05/2026-01-06").trust
        assert "1 day restated, its hours are rounded" in trust.text()
    assert rows_of(kiosk, "select sum(watched_seconds) from fact_show_daypart") == [(36 * 3600,)]


def test_a_day_with_a_hole_waits(lake: LocalStore, kiosk: Kiosk) -> None:
    """A profiled day that lacks an hour after the lake's first one is not over, because the hour may still come."""
    small = SmallLake(lake)
    whole_day(small, "2026-01-05", (11, "KR", 9, "tv", 3600, range(20)), hours=range(12, 23))
    small.publish(keys.PROFILE, "2026-01-05", {})
    small.hour("2026-01-06T00")
    assert load(lake, kiosk, min_cell=10).loaded == 0
    small.hour("2026-01-05T23")
    assert load(lake, kiosk, min_cell=10).loaded == 12


def test_the_first_day_of_a_lake_is_over_with_the_next(lake: LocalStore, kiosk: Kiosk) -> None:
    """A profiled day that lacks hours is over as soon as there is an hour of a later day."""
    small = SmallLake(lake)
    whole_day(small, "2026-01-05", (11, "KR", 9, "tv", 3600, range(20)), hours=range(12, 24))
    small.publish(keys.PROFILE, "2026-01-05", {})
    assert load(lake, kiosk, min_cell=10).loaded == 0
    small.hour("2026-01-06T00")
    assert load(lake, kiosk, min_cell=10).loaded == 12


def test_a_day_of_few_viewers_is_withheld(lake: LocalStore, kiosk: Kiosk, caplog: pytest.LogCaptureFixture) -> None:
    """A day that fewer viewers than the floor watched has no rows, and the log says so; its hours count as loaded."""
    small = SmallLake(lake)
    whole_day(small, "2026-01-05", (11, "KR", 9, "tv", 60, range(9)))
    with caplog.at_level(logging.WARNING):
        assert load(lake, kiosk, min_cell=10).loaded == 24
    assert "2026-01-05: fewer than 10 viewers watched" in caplog.text
    assert rows_of(kiosk, "select count(*) from fact_viewership") == [(0,)]
    assert rows_of(kiosk, "select hours from loaded_day") == [(24,)]


def test_hours_that_the_lake_has_lost_leave_the_mart_with_their_day(lake: LocalStore, kiosk: Kiosk) -> None:
    """A day that is loaded again has the hours that the lake has by then, in its rows and in its ledger."""
    small = SmallLake(lake)
    lost = small.hour("2026-01-05T00", (11, "KR", 9, "tv", 60))
    small.hour("2026-01-05T01", (12, "KR", 9, "tv", 60))
    load(lake, kiosk)
    lake.delete(keys.success_key(keys.ROLLUP, Period.parse(lost.period)))
    small.hour("2026-01-05T01", (12, "KR", 9, "tv", 120))
    load(lake, kiosk)
    assert rows_of(kiosk, "select episode_id, watched_seconds from fact_viewership") == [(12, 120)]
    assert rows_of(kiosk, "select hour from loaded_hour") == [(datetime(2026, 1, 5, 1),)]  # noqa: DTZ001


def test_hours_are_corrected_without_a_load(small: SmallLake, kiosk: Kiosk) -> None:
    """A run with the same rows and another number of hours corrects the ledger; the run in the ledger stays."""
    rows = [{"show_id": 1, "country": "**", "watched_seconds": 9}]
    first = small.audience("2026-W02", rows, [], {"hours": 46})
    load(small.store, kiosk)
    small.audience("2026-W02", rows, [], {"hours": 48})
    assert load(small.store, kiosk) == MartReport(unchanged=7)
    query = "select run_id, hours, hours_expected from load_ledger where period = '2026-W02'"
    assert set(rows_of(kiosk, query)) == {(first.run_id, 48, 168)}


def test_a_file_that_is_no_database_is_left_alone(lake: LocalStore, tmp_path: Path) -> None:
    """A path that is no database or whose folder cannot be created is refused and not changed."""
    (tmp_path / "kiosk.duckdb").write_text("notes")
    with pytest.raises(ConfigError, match=r"cannot open .*kiosk\.duckdb as a mart: .*Delete the file"):
        load(lake, tmp_path / "kiosk.duckdb")
    with pytest.raises(ConfigError, match="a part of this path is a file"):
        load(lake, tmp_path / "kiosk.duckdb" / "below.duckdb")


def test_the_command(lake: LocalStore, file: Path) -> None:
    """The module, as in its image, logs each load, of whole days, and ends with the code of the worst failure."""
    small = fill(lake)
    damage(lake, small.hour("2026-01-06T01", (11, "KR", 9, "tv", 60)).outputs[0].key)
    mart = {"MARQUEE_MART__URL": f"duckdb://{file}", "MARQUEE_MART__MIN_CELL": "1"}
    environment = {**os.environ, "MARQUEE_LAKE": lake.url, **mart}
    command = [sys.executable, "-m", "jobs.mart_load", "--from", "2026-01-05T01", "--to", "2026-01-06T01"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (70, "")
    assert '"message": "mart_load 2026-01-05 loaded from rollup"' in done.stderr
    assert '"message": "mart_load 2026-01-06 failed: ' in done.stderr
    assert rows_of(file, "select hour from loaded_hour order by hour") == [
        (datetime(2026, 1, 5, 0),),  # noqa: DTZ001
        (datetime(2026, 1, 5, 1),),  # noqa: DTZ001
    ]
