"""The made-up schedule has the form and the oddities of TVmaze, and lists the episodes that people watch."""

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.simulate.catalogue import build_world
from jobs.simulate.countries import SCHEDULE_COUNTRIES
from jobs.simulate.planted import KEPT, LOST
from jobs.simulate.schedule import Schedule
from jobs.simulate.settings import SimulateSettings
from tests import made_up_schedule as made_up

SETTINGS = SimulateSettings()
FIRST, DAYS = date(2025, 12, 8), 35
Row = dict[str, Any]


@pytest.fixture(scope="module")
def schedule() -> Schedule:
    """The schedule of the default service."""
    return Schedule(build_world(SETTINGS))


@pytest.fixture(scope="module")
def web(schedule: Schedule) -> dict[date, list[Row]]:
    """The made-up schedule of all web days."""
    return {day: schedule.of_web(day) for day in (FIRST + timedelta(days=n) for n in range(DAYS))}


@pytest.fixture(scope="module")
def broadcast(schedule: Schedule) -> dict[tuple[str, date], list[Row]]:
    """The made-up schedule of all broadcast days of the countries that have networks."""
    days = [FIRST + timedelta(days=n) for n in range(DAYS)]
    return {(country, day): schedule.of_country(country, day) for country in SCHEDULE_COUNTRIES for day in days}


@pytest.fixture(params=["made up", "TVmaze"])
def on_web(request: pytest.FixtureRequest) -> list[Row]:
    """Web days with every field and type of TVmaze, either made up or recorded."""
    if request.param == "made up":
        return [*made_up.ON_WEB, *made_up.EDGE_CASES.values()]
    folder: Path = request.getfixturevalue("tvmaze") / "web-2020-12-recorded-2022-09"
    return [row for file in folder.glob("*.json") for row in json.loads(file.read_text(encoding="utf-8"))]


@pytest.fixture(params=["made up", "TVmaze"])
def in_country(request: pytest.FixtureRequest) -> list[Row]:
    """A day of a country with every field of TVmaze, either made up or recorded."""
    if request.param == "made up":
        return made_up.IN_STATES
    file: Path = request.getfixturevalue("tvmaze") / "broadcast" / "us-2023-11-27--nonogv-partial.json"
    rows: list[Row] = json.loads(file.read_text(encoding="utf-8"))
    return rows


def test_web_rows_have_the_keys_of_recorded_ones(web: dict[date, list[Row]], on_web: list[Row]) -> None:
    """Web rows have the keys of recorded ones at every level, in the same order, with the show under _embedded."""
    rows = [row for day in web.values() for row in day]
    assert {tuple(row) for row in rows} == {tuple(row) for row in on_web}
    shows, recorded_shows = ([row["_embedded"]["show"] for row in some] for some in (rows, on_web))
    assert {tuple(show) for show in shows} == {tuple(show) for show in recorded_shows}
    assert _nested_keys(shows) == _nested_keys(recorded_shows)


def test_broadcast_rows_have_the_keys_of_recorded_ones(
    broadcast: dict[tuple[str, date], list[Row]], in_country: list[Row]
) -> None:
    """Broadcast rows have the keys of recorded ones, with the show under show and a link to it."""
    rows = [row for day in broadcast.values() for row in day]
    assert {tuple(row) for row in rows} == {tuple(row) for row in in_country}
    assert {tuple(row["show"]) for row in rows} == {tuple(row["show"]) for row in in_country}
    assert {tuple(row["_links"]) for row in rows} == {("self", "show")}


def _nested_keys(shows: list[Row]) -> set[tuple[str, ...]]:
    """Return the keys of the objects in shows, each with the name it is under."""
    nested = [(name, value) for show in shows for name, value in show.items() if isinstance(value, dict)]
    nested += [(f"{name} country", value["country"]) for name, value in nested if value.get("country")]
    return {(name, *sorted(value)) for name, value in nested if name != "_links"}


def test_values_have_the_types_of_recorded_ones(web: dict[date, list[Row]], on_web: list[Row]) -> None:
    """Each field has only types that recorded payloads have in it."""
    made = [row for day in web.values() for row in day]
    for some, others in ((made, on_web), ([_show(r) for r in made], [_show(r) for r in on_web])):
        for name in some[0]:
            expected = {type(row[name]) for row in others} | ({float} if name == "rating" else set())
            assert {type(row[name]) for row in some} <= expected, name


def _show(row: Row) -> Row:
    show: Row = row["_embedded"]["show"]
    return show


@pytest.mark.parametrize(
    ("least", "most", "holds"),
    [
        pytest.param(0.4, 0.9, lambda row: not row["airtime"], id="no airtime"),
        pytest.param(0.005, 0.05, lambda row: row["number"] is None, id="special"),
        pytest.param(0.02, 0.15, lambda row: row["runtime"] is None, id="no runtime"),
        pytest.param(0.5, 0.9, lambda row: row["summary"] is None, id="no summary"),
        pytest.param(0.001, 0.1, lambda row: _show(row)["language"] is None, id="no language"),
        pytest.param(0.1, 0.5, lambda row: not _show(row)["genres"], id="no genres"),
        pytest.param(0.3, 0.8, lambda row: not _country_of(row), id="no country"),
        pytest.param(0.01, 0.2, lambda row: _show(row)["network"] and _show(row)["webChannel"], id="two channels"),
        pytest.param(0.01, 0.2, lambda row: _show(row)["webChannel"] is None, id="network only"),
        pytest.param(0.02, 0.5, lambda row: row["season"] == int(row["airdate"][:4]), id="year as season"),
    ],
)
def test_oddities_are_as_frequent_as_in_life(web: dict[date, list[Row]], least: float, most: float, holds: Any) -> None:
    """Each oddity of the web schedule occurs about as often as in recorded schedules."""
    rows = [row for day in web.values() for row in day]
    assert least < sum(bool(holds(row)) for row in rows) / len(rows) < most


def _country_of(row: Row) -> str | None:
    channels = [channel for channel in (_show(row)["network"], _show(row)["webChannel"]) if channel]
    return next((channel["country"]["code"] for channel in channels if channel["country"]), None)


def test_an_airtime_after_midnight_belongs_to_the_day_before(broadcast: dict[tuple[str, date], list[Row]]) -> None:
    """An episode shortly after midnight is in the schedule of the day, with the date of the day before."""
    early = [row for (_, day), rows in broadcast.items() for row in rows if row["airdate"] != str(day)]
    assert early
    assert all(row["airtime"] < "05:00" for row in early)
    tokyo = next(row for row in broadcast["JP", date(2026, 1, 7)] if row["airtime"] == "00:25")
    # 00:25 in Tokyo on the 7th is 15:25 in UTC on the 6th.
    assert (tokyo["airdate"], tokyo["airstamp"]) == ("2026-01-06", "2026-01-06T15:25:00+00:00")


def test_an_empty_airtime_stands_at_noon_of_the_country(web: dict[date, list[Row]]) -> None:
    """An episode without an airtime has its airstamp at noon of its country, and at 12:00 UTC without a country."""
    without = [row for day in web.values() for row in day if not row["airtime"]]
    hours = {(_country_of(row), row["airstamp"][11:16]) for row in without}
    assert {(None, "12:00"), ("RU", "00:00")} <= hours


def test_two_shows_share_a_name(web: dict[date, list[Row]], broadcast: dict[tuple[str, date], list[Row]]) -> None:
    """Two shows have the same name, "The Crossing"."""
    shows = {(show["id"], show["name"]) for day in web.values() for show in map(_show, day)}
    shows |= {(row["show"]["id"], row["show"]["name"]) for rows in broadcast.values() for row in rows}
    assert [name for name, count in Counter(name for _, name in shows).items() if count > 1] == ["The Crossing"]


@pytest.mark.parametrize("show", [LOST, KEPT], ids=["lost", "kept"])
def test_a_show_is_ended_from_the_day_of_its_last_episode(schedule: Schedule, show: Any) -> None:
    """A show is Running until the day of its last regular episode, and Ended from then on."""
    seen = []
    for day in (date(2026, 1, 7), date(2026, 1, 8), date(2026, 1, 9), date(2026, 1, 10)):
        shows = [_show(row) for row in schedule.of_web(day)]
        shows += [row["show"] for row in schedule.of_country(show.country, day)]
        seen += [(day.day, one["status"], one["ended"]) for one in shows if one["id"] == show.show_id]
    assert seen == [(7, "Running", None), (8, "Ended", "2026-01-08"), (9, "Ended", "2026-01-08")]


def test_updated_never_goes_back(schedule: Schedule) -> None:
    """The time of update of a show never decreases, and increases when its status changes."""
    times = [
        (_show(row)["updated"], _show(row)["status"])
        for n in range(DAYS)
        for row in schedule.of_web(FIRST + timedelta(days=n))
        if _show(row)["id"] == KEPT.show_id
    ]
    assert times == sorted(times, key=lambda pair: pair[0])
    assert len({updated for updated, _ in times}) > 5


def test_every_watched_episode_is_listed_but_for_a_few(
    web: dict[date, list[Row]], broadcast: dict[tuple[str, date], list[Row]]
) -> None:
    """All watched episodes are in the schedule, except five."""
    listed = {row["id"] for some in (web, broadcast) for rows in some.values() for row in rows}
    episodes = [episode for show in build_world(SETTINGS).shows for episode in show.episodes]
    watchable = [episode for episode in episodes if episode.airstamp < datetime(2026, 1, 12, tzinfo=UTC)]
    assert len(watchable) > 2000
    assert sum(episode.id not in listed for episode in watchable) == 5
