"""From answers to tables: made-up and recorded answers, and each oddity by hand."""

import json
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.schedule_fetch.kept import Kept
from marquee.errors import TryAgainError
from marquee.lake.datasets import COUNTRIES, EPISODES, GENRES, NETWORKS, SHOWS, Dataset
from tests import made_up_schedule as made_up
from tests.helpers_schedule import Schedule, normalise

Row = dict[str, Any]

JULY = [f"web-2020-12-recorded-2022-07/2020-12-{day:02}.json" for day in range(1, 32)]
SEPTEMBER = [f"web-2020-12-recorded-2022-09/request_2020-12-{day:02}.json" for day in range(1, 32)]
BROADCAST = [
    "broadcast/us-2017-09-21--tvmaze4j.json",
    "broadcast/no-2017-09-21--tvmaze4j.json",
    "broadcast/us-2023-11-27--nonogv-partial.json",
    "broadcast/us-2020-12-01--pkbiswal321-partial.json",
]


def rows(schedule: Schedule, dataset: Dataset) -> list[Row]:
    """Return the rows of a table."""
    listed: list[Row] = schedule.tables[dataset].to_pylist()
    return listed


def only(schedule: Schedule, dataset: Dataset) -> Row:
    """Return the one row of a table."""
    (row,) = rows(schedule, dataset)
    return row


def load(file: Path) -> list[Any]:
    """Return the items of a recorded answer."""
    items: list[Any] = json.loads(file.read_bytes())
    return items


# Whole answers. The expected rows are made here again, in plain Python that trusts every type.


def show_of(item: Row) -> Row:
    """Return the show of an episode in either form of answer."""
    show: Row = item["show"] if "show" in item else item["_embedded"]["show"]
    return show


def day_of(text: str | None) -> date | None:
    """Return the day of a text."""
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date() if text else None


def instant_of(text: str) -> datetime:
    """Return the instant of a text."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").astimezone(UTC).replace(tzinfo=None)


def episode_row(item: Row) -> Row:
    """Return the expected row of an episode."""
    return {
        "episode_id": item["id"],
        "show_id": show_of(item)["id"],
        "name": item["name"],
        "season": item["season"],
        "number": item["number"],
        "type": item.get("type"),
        "airdate": day_of(item["airdate"]),
        "airtime": item["airtime"] or None,
        "airstamp": instant_of(item["airstamp"]),
        "runtime_minutes": item["runtime"],
        "rating": item["rating"]["average"] if "rating" in item else None,
        "image": item["image"]["original"] if item["image"] else None,
        "summary": item["summary"] or None,
        "url": item["url"],
    }


def show_row(show: Row) -> Row:
    """Return the expected row of a show."""
    return {
        "show_id": show["id"],
        "name": show["name"],
        "type": show["type"],
        "language": show["language"],
        "status": show["status"],
        "runtime_minutes": show["runtime"],
        "average_runtime_minutes": show.get("averageRuntime"),
        "premiered": day_of(show["premiered"]),
        "ended": day_of(show.get("ended")),
        "network_id": show["network"]["id"] if show["network"] else None,
        "web_channel_id": show["webChannel"]["id"] if show["webChannel"] else None,
        "dvd_country": show["dvdCountry"]["code"] if show.get("dvdCountry") else None,
        "schedule_time": show["schedule"]["time"] or None,
        "schedule_days": ",".join(show["schedule"]["days"]) or None,
        "rating": show["rating"]["average"],
        "weight": show["weight"],
        "official_site": show["officialSite"] or None,
        "imdb": show["externals"]["imdb"],
        "thetvdb": show["externals"]["thetvdb"],
        "tvrage": show["externals"]["tvrage"],
        "image": show["image"]["original"] if show["image"] else None,
        "summary": show["summary"] or None,
        "url": show["url"],
        "updated": datetime.fromtimestamp(show["updated"], UTC).replace(tzinfo=None),
    }


def network_rows(show: Row) -> Iterable[Row]:
    """Yield the expected rows of the channels of a show."""
    for place, kind in (("network", "network"), ("webChannel", "web")):
        if channel := show[place]:
            yield {
                "kind": kind,
                "network_id": channel["id"],
                "name": channel["name"],
                "country": channel["country"]["code"] if channel["country"] else None,
                "official_site": channel.get("officialSite") or None,
            }


def country_rows(show: Row) -> Iterable[Row]:
    """Yield the expected rows of the countries of a show."""
    channels = [show[place]["country"] for place in ("network", "webChannel") if show[place]]
    for country in (*channels, show.get("dvdCountry")):
        if country:
            yield {"country": country["code"], "name": country["name"], "timezone": country["timezone"]}


def distinct(rows: Iterable[Row], dataset: Dataset) -> list[Row]:
    """Return rows without repetitions, in the order of their keys."""
    return [row for _, row in sorted(by_key(rows, dataset).items())]


@pytest.mark.parametrize("name", made_up.DAYS)
def test_day_is_kept_whole(name: str) -> None:
    """Each episode, show, genre, channel and country becomes a row with typed values, without odd values."""
    check_is_kept_whole(made_up.DAYS[name])


@pytest.mark.parametrize("name", [*JULY, *SEPTEMBER, *BROADCAST], ids=lambda name: name.replace("/", "-"))
def test_recorded_day_is_kept_whole(tvmaze: Path, name: str) -> None:
    """Each recorded answer of TVmaze becomes rows with typed values, without odd values."""
    check_is_kept_whole(load(tvmaze / name))


def check_is_kept_whole(items: list[Row]) -> None:
    """Check that each object of an answer is in its table with its values."""
    shows = list({show_of(item)["id"]: show_of(item) for item in items}.values())
    got = normalise({"web": items})
    assert rows(got, EPISODES) == distinct(map(episode_row, items), EPISODES)
    assert rows(got, SHOWS) == distinct(map(show_row, shows), SHOWS)
    genres = [{"show_id": show["id"], "genre": genre} for show in shows for genre in show["genres"]]
    assert rows(got, GENRES) == sorted(genres, key=lambda row: (row["show_id"], row["genre"]))
    assert rows(got, NETWORKS) == distinct((row for show in shows for row in network_rows(show)), NETWORKS)
    assert rows(got, COUNTRIES) == distinct((row for show in shows for row in country_rows(show)), COUNTRIES)
    counts = got.counts
    assert (counts["episodes_in"], counts["episodes"], counts["duplicates"]) == (len(items), len(items), 0)
    assert (counts["rejects"], counts["odd_values"], counts["unknown_fields"]) == ({}, {}, [])


@pytest.mark.parametrize("dataset", [EPISODES, SHOWS, GENRES, NETWORKS, COUNTRIES], ids=lambda dataset: dataset.name)
def test_tables_have_their_schema(dataset: Dataset) -> None:
    """A table has the columns of its dataset, and is sorted by its unique key."""
    table = normalise({"web": made_up.ON_WEB, "country=US": made_up.IN_STATES}).tables[dataset]
    assert table.schema == dataset.schema
    keys = [tuple(row.values()) for row in table.select(dataset.sort).to_pylist()]
    assert keys == sorted(set(keys))


def test_no_answers_make_empty_tables() -> None:
    """A day without episodes has empty tables with their schemas."""
    got = normalise({"web": [], "country=KR": []})
    assert [table.num_rows for table in got.tables.values()] == [0, 0, 0, 0, 0]
    assert all(table.schema == dataset.schema for dataset, table in got.tables.items())


# The same days captured twice.

Key = tuple[Any, ...]
Month = dict[Key, Row]


@dataclass(frozen=True)
class Recording:
    """A recorded month: the items as served, and the schedule of each day."""

    items: list[Row]
    days: list[Schedule]

    def rows(self, dataset: Dataset) -> Month:
        """Return the rows of the month by key."""
        return by_key((row for day in self.days for row in rows(day, dataset)), dataset)


@pytest.fixture(scope="module")
def july(tvmaze: Path) -> Recording:
    """Return December 2020 as recorded in July 2022."""
    return recording(tvmaze, JULY)


@pytest.fixture(scope="module")
def september(tvmaze: Path) -> Recording:
    """Return December 2020 as recorded in September 2022."""
    return recording(tvmaze, SEPTEMBER)


def recording(tvmaze: Path, names: list[str]) -> Recording:
    """Return a recorded month."""
    return recorded([load(tvmaze / name) for name in names])


def recorded(answers: Collection[list[Row]]) -> Recording:
    """Return the days with these answers."""
    return Recording(
        [item for answer in answers for item in answer], [normalise({"web": answer}) for answer in answers]
    )


def by_key(rows: Iterable[Row], dataset: Dataset) -> Month:
    """Return rows by key; in a recording a show is the same on all its days."""
    return {tuple(row[name] for name in dataset.sort): row for row in rows}


def changes(before: Month, after: Month) -> set[tuple[Key, str]]:
    """Return the key and the column of each changed value."""
    common = before.keys() & after.keys()
    return {(key, name) for key in common for name, value in before[key].items() if after[key][name] != value}


def by_column(changed: set[tuple[Key, str]]) -> dict[str, int]:
    """Count changes by column."""
    return dict(Counter(name for _, name in changed))


def test_drift_between_two_captures() -> None:
    """Tables of a later capture differ in exactly the rows and values that differ in its answers."""
    earlier, later = recorded(made_up.EARLIER.values()), recorded(made_up.LATER.values())
    before, after = earlier.rows(EPISODES), later.rows(EPISODES)
    assert (before.keys() - after.keys(), after.keys() - before.keys()) == ({(41,)}, {(51,)})
    assert changes(before, after) == {((11,), "rating"), ((12,), "runtime_minutes"), ((12,), "name")}
    before, after = earlier.rows(SHOWS), later.rows(SHOWS)
    assert (before.keys() - after.keys(), after.keys() - before.keys()) == ({(4,)}, {(5,)})
    back = {((show_id,), name) for show_id in (2, 3) for name in ("status", "ended", "updated")}
    assert changes(before, after) == back | {((6,), "weight")}
    assert [(after[key]["status"], after[key]["ended"]) for key in ((2,), (3,))] == [
        ("Running", None),
        ("To Be Determined", None),
    ]
    genres = later.rows(GENRES).keys() - earlier.rows(GENRES).keys()
    assert {genre for show_id, genre in genres if (show_id,) in before} == {"Nature"}


# A month recorded twice, nine weeks apart. The numbers of changes were counted in the payloads.


def test_drift_of_episodes(july: Recording, september: Recording) -> None:
    """Of the recorded episodes 52 are new, 7 are gone, and exactly the values that differ in the payloads differ."""
    before, after = july.rows(EPISODES), september.rows(EPISODES)
    assert (len(before), len(after)) == (3037, 3082)
    assert len(after.keys() - before.keys()) == 52
    assert sorted(before.keys() - after.keys()) == [(1974419 + number,) for number in range(6)] + [(1988897,)]
    raw = [by_key(map(episode_row, one.items), EPISODES) for one in (july, september)]
    assert changes(before, after) == changes(*raw)
    assert by_column(changes(before, after)) == {"rating": 15, "runtime_minutes": 10, "name": 4, "url": 4}


def test_drift_of_shows(july: Recording, september: Recording) -> None:
    """Of the recorded shows 11 are new, 2 are gone, and exactly the values that differ in the payloads differ."""
    before, after = july.rows(SHOWS), september.rows(SHOWS)
    assert len(before.keys() & after.keys()) == 622
    assert len(after.keys() - before.keys()) == 11
    assert before.keys() - after.keys() == {(48930,), (42412,)}
    raw = [by_key((show_row(show_of(item)) for item in one.items), SHOWS) for one in (july, september)]
    assert changes(before, after) == changes(*raw)
    assert by_column(changes(before, after)) == {
        "weight": 525,
        "updated": 150,
        "average_runtime_minutes": 23,
        "status": 22,
        "rating": 16,
        "ended": 15,
        "runtime_minutes": 10,
        "official_site": 6,
        "image": 6,
        "schedule_days": 6,
        "web_channel_id": 4,
        "schedule_time": 3,
        "network_id": 3,
        "type": 2,
        "summary": 2,
        "imdb": 2,
        "thetvdb": 2,
    }


def test_drift_back_from_ended(july: Recording, september: Recording) -> None:
    """Three shows that are ended in July are not ended in September."""
    before, after = july.rows(SHOWS), september.rows(SHOWS)
    back = {
        key: (row["status"], row["ended"])
        for key, row in after.items()
        if key in before and before[key]["ended"] and not row["ended"]
    }
    assert back == {(52044,): ("Running", None), (44654,): ("Running", None), (9815,): ("To Be Determined", None)}


def test_drift_of_genres(july: Recording, september: Recording) -> None:
    """The genres of exactly three of the shows in both recordings differ."""
    common = july.rows(SHOWS).keys() & september.rows(SHOWS).keys()
    changed = {(show_id,) for show_id, _ in july.rows(GENRES).keys() ^ september.rows(GENRES).keys()}
    assert len(changed & common) == 3


# One episode for each condition.

MADE_UP: list[tuple[str, Dataset, Row]] = [
    ("number_null", EPISODES, {"season": 3, "number": None, "type": "significant_special"}),
    ("significant_special", EPISODES, {"type": "significant_special", "airstamp": datetime(2020, 12, 7)}),  # noqa: DTZ001
    ("insignificant_special", EPISODES, {"type": "insignificant_special", "number": None, "runtime_minutes": 140}),
    ("airtime_empty_country_null", NETWORKS, {"kind": "web", "name": "Waves", "country": None}),
    ("airtime_empty_country_CN", EPISODES, {"airtime": None, "airstamp": datetime(2020, 12, 1, 4)}),  # noqa: DTZ001
    ("airstamp_next_day", EPISODES, {"airdate": date(2020, 12, 2), "airstamp": datetime(2020, 12, 3, 2, 25)}),  # noqa: DTZ001
    ("airstamp_prev_day", EPISODES, {"airdate": date(2020, 12, 1), "airstamp": datetime(2020, 11, 30, 21)}),  # noqa: DTZ001
    ("runtime_null", EPISODES, {"episode_id": 1008, "runtime_minutes": None}),
    ("show_runtime_and_avg_null", SHOWS, {"runtime_minutes": None, "average_runtime_minutes": None}),
    ("summary_null", EPISODES, {"name": "Серия 2", "summary": None}),
    ("rating_set", EPISODES, {"rating": 8.0}),
    ("language_null", SHOWS, {"name": "The Mime's Hour", "language": None}),
    ("genres_empty", SHOWS, {"name": "Saffron Nights", "language": "Persian"}),
    ("network_and_webchannel", SHOWS, {"network_id": 9, "web_channel_id": 2}),
    ("network_only_on_web_schedule", SHOWS, {"network_id": 1, "web_channel_id": None}),
    ("ended", SHOWS, {"status": "Ended", "ended": date(2020, 12, 22)}),
    ("ended_before_airdate", SHOWS, {"ended": date(2020, 12, 4)}),
    ("tbd", SHOWS, {"status": "To Be Determined", "ended": None, "schedule_time": None, "schedule_days": None}),
    ("korean", SHOWS, {"language": "Korean", "thetvdb": 100029, "schedule_days": "Wednesday,Thursday"}),
    ("crime_us", GENRES, {"show_id": 7, "genre": "Crime"}),
    ("kamchatka", COUNTRIES, {"country": "RU", "name": "Russian Federation", "timezone": "Asia/Kamchatka"}),
    ("busingen", COUNTRIES, {"country": "DE", "timezone": "Europe/Busingen"}),
    ("cyrillic", SHOWS, {"name": "Зрячая", "network_id": 5, "web_channel_id": 1}),
    ("season_is_year", EPISODES, {"season": 2020, "number": 49}),
    ("number_over_300", EPISODES, {"season": 2020, "number": 328, "runtime_minutes": None}),
    ("long_runtime", EPISODES, {"runtime_minutes": 300}),
    ("show_image_null", SHOWS, {"name": "Unseen", "image": None}),
    ("dvdCountry", SHOWS, {"dvd_country": "JP", "network_id": 9, "web_channel_id": 2}),
    ("adult", SHOWS, {"imdb": "tt00000035", "tvrage": 5, "updated": datetime(2020, 9, 13, 12, 26, 40)}),  # noqa: DTZ001 - 1600000000
    ("schedule_days_empty", SHOWS, {"schedule_time": "06:00", "schedule_days": None}),
    ("html_long_summary", EPISODES, {"summary": made_up.LONG}),
    ("html_entity", EPISODES, {"name": "Salt & Pepper", "summary": "<p>Salt &amp; Pepper argue.</p>"}),
]


@pytest.mark.parametrize(("case", "dataset", "expected"), MADE_UP, ids=[case for case, _, _ in MADE_UP])
def test_condition(case: str, dataset: Dataset, expected: Row) -> None:
    """Each made-up condition becomes the expected row, and a summary is kept with tags, entities and length."""
    row = only(normalise({"web": [made_up.EDGE_CASES[case]]}), dataset)
    assert {name: row[name] for name in expected} == expected


def test_condition_of_two_countries() -> None:
    """A show may have a network in one country and a web channel with its own number in another."""
    got = normalise({"web": [made_up.EDGE_CASES["two_countries"]]})
    channels = [(row["kind"], row["network_id"], row["name"], row["country"]) for row in rows(got, NETWORKS)]
    assert channels == [("network", 1, "Eastland TV", "US"), ("web", 2, "Hana Stream", "KR")]
    assert [row["country"] for row in rows(got, COUNTRIES)] == ["KR", "US"]


def test_conditions_are_all_looked_at() -> None:
    """The cases above cover each made-up condition, and none has odd values."""
    assert {*made_up.EDGE_CASES} == {case for case, _, _ in MADE_UP} | {"two_countries"}
    counts = normalise({"web": list(made_up.EDGE_CASES.values())}).counts
    assert (counts["rejects"], counts["odd_values"], counts["unknown_fields"]) == ({}, {}, [])


# One real episode for each condition; the expected values were read from the recording by eye.

EDGE_CASES: list[tuple[str, Dataset, Row]] = [
    ("number_null", EPISODES, {"season": 3, "number": None, "type": "significant_special"}),
    ("significant_special", EPISODES, {"type": "significant_special", "airstamp": datetime(2020, 12, 7)}),  # noqa: DTZ001
    ("insignificant_special", EPISODES, {"type": "insignificant_special", "number": None, "runtime_minutes": 140}),
    ("airtime_empty_country_null", NETWORKS, {"kind": "web", "name": "YouTube", "country": None}),
    ("airtime_empty_country_CN", EPISODES, {"airtime": None, "airstamp": datetime(2020, 12, 1, 4)}),  # noqa: DTZ001
    ("airstamp_next_day", EPISODES, {"airdate": date(2020, 12, 2), "airstamp": datetime(2020, 12, 3, 2, 25)}),  # noqa: DTZ001
    ("airstamp_prev_day", EPISODES, {"airdate": date(2020, 12, 1), "airstamp": datetime(2020, 11, 30, 21)}),  # noqa: DTZ001
    ("runtime_null", EPISODES, {"episode_id": 1972035, "runtime_minutes": None}),
    ("show_runtime_and_avg_null", SHOWS, {"runtime_minutes": None, "average_runtime_minutes": None}),
    ("summary_null", EPISODES, {"name": "Серия 2", "summary": None}),
    ("rating_set", EPISODES, {"rating": 8.0}),
    ("language_null", SHOWS, {"name": "Hello Kitty's Super Cute Adventures", "language": None}),
    ("genres_empty", SHOWS, {"name": "Mafia Nights", "language": "Persian"}),
    ("network_and_webchannel", SHOWS, {"network_id": 308, "web_channel_id": 381}),
    ("network_only_on_web_schedule", SHOWS, {"network_id": 159, "web_channel_id": None}),
    ("ended", SHOWS, {"status": "Ended", "ended": date(2020, 12, 22)}),
    ("ended_before_airdate", SHOWS, {"ended": date(2020, 12, 4)}),
    ("tbd", SHOWS, {"status": "To Be Determined", "ended": None, "schedule_days": None}),
    ("korean", SHOWS, {"language": "Korean", "thetvdb": 380686, "schedule_days": "Wednesday,Thursday"}),
    ("crime_us", GENRES, {"show_id": 50661, "genre": "Crime"}),
    ("kamchatka", COUNTRIES, {"country": "RU", "name": "Russian Federation", "timezone": "Asia/Kamchatka"}),
    ("busingen", COUNTRIES, {"country": "DE", "timezone": "Europe/Busingen"}),
    ("cyrillic", SHOWS, {"name": "Слепая", "network_id": 514, "web_channel_id": 99}),
    ("season_is_year", EPISODES, {"season": 2020, "number": 49}),
    ("number_over_300", EPISODES, {"season": 2020, "number": 328, "runtime_minutes": None}),
    ("long_runtime", EPISODES, {"runtime_minutes": 300}),
    ("show_image_null", SHOWS, {"name": "NWA Shockwave", "image": None}),
    ("dvdCountry", SHOWS, {"dvd_country": "JP", "network_id": 1354, "web_channel_id": 119}),
    ("adult", SHOWS, {"imdb": "tt11947358", "updated": datetime(2022, 2, 17, 15, 12, 51)}),  # noqa: DTZ001 - 1645110771
    ("schedule_days_empty", SHOWS, {"schedule_time": "06:00", "schedule_days": None}),
    ("html_entity", EPISODES, {"name": "Cayla & Luke Marrying Mr Laid Back"}),
]


@pytest.fixture(scope="module")
def edge_cases(tvmaze: Path) -> dict[str, Row]:
    """Return the recorded edge cases by condition."""
    cases: dict[str, Row] = json.loads((tvmaze / "edge-cases.json").read_bytes())
    return cases


@pytest.mark.parametrize(("case", "dataset", "expected"), EDGE_CASES, ids=[case for case, _, _ in EDGE_CASES])
def test_edge_case(edge_cases: dict[str, Row], case: str, dataset: Dataset, expected: Row) -> None:
    """Each recorded condition becomes the expected row."""
    row = only(normalise({"web": [edge_cases[case]["episode"]]}), dataset)
    assert {name: row[name] for name in expected} == expected


def test_edge_case_of_two_countries(edge_cases: dict[str, Row]) -> None:
    """A recorded show has a network in one country and a web channel in another."""
    got = normalise({"web": [edge_cases["two_countries"]["episode"]]})
    channels = [(row["kind"], row["network_id"], row["name"], row["country"]) for row in rows(got, NETWORKS)]
    assert channels == [("network", 205, "NFL Network", "US"), ("web", 30, "Naver TVCast", "KR")]
    assert [row["country"] for row in rows(got, COUNTRIES)] == ["KR", "US"]


def test_edge_case_of_html(edge_cases: dict[str, Row]) -> None:
    """Recorded summaries are kept unchanged."""
    long = only(normalise({"web": [edge_cases["html_long_summary"]["episode"]]}), EPISODES)["summary"]
    assert (len(long), long[:3]) == (1077, "<p>")
    entity = only(normalise({"web": [edge_cases["html_entity"]["episode"]]}), EPISODES)["summary"]
    assert entity.startswith("<p>Cayla &amp; Luke from")


def test_edge_cases_are_all_looked_at(edge_cases: dict[str, Row]) -> None:
    """The cases above cover each recorded condition, and the made-up ones cover the same conditions."""
    assert {*edge_cases} == {*made_up.EDGE_CASES}
    assert {*edge_cases} == {case for case, _, _ in EDGE_CASES} | {"two_countries", "html_long_summary"}
    counts = normalise({"web": [case["episode"] for case in edge_cases.values()]}).counts
    assert (counts["rejects"], counts["odd_values"], counts["unknown_fields"]) == ({}, {}, [])


# Hand-made answers.


def show(show_id: int = 7, updated: int = 100, **fields: Any) -> Row:
    """Return a show with an id and a time of update."""
    return {"id": show_id, "updated": updated} | fields


def episode(episode_id: int = 1, of: Row | None = None, **fields: Any) -> Row:
    """Return an episode in the form of ``/schedule/web``."""
    return {"id": episode_id, "_embedded": {"show": show() if of is None else of}} | fields


def test_ids_are_enough() -> None:
    """An episode with ids only becomes rows of nulls, without odd values."""
    got = normalise({"web": [{"id": 1, "show": {"id": 7}}]})
    assert {name: value for name, value in only(got, EPISODES).items() if value is not None} == {
        "episode_id": 1,
        "show_id": 7,
    }
    assert {name: value for name, value in only(got, SHOWS).items() if value is not None} == {"show_id": 7}
    assert got.counts["odd_values"] == {}


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("text", "no object"),
        (None, "no object"),
        ([episode()], "no object"),
        ({"show": {"id": 7}}, "no episode id"),
        (episode(id="1"), "no episode id"),
        (episode(id=True), "no episode id"),
        (episode(id=1.0), "no episode id"),
        (episode(id=0), "no episode id"),
        (episode(id=2**53 + 1), "no episode id"),
        ({"id": 1}, "no show"),
        ({"id": 1, "show": None}, "no show"),
        ({"id": 1, "show": 7}, "no show"),
        ({"id": 1, "_embedded": []}, "no show"),
        ({"id": 1, "_embedded": {"show": "Lost"}}, "no show"),
        (episode(of={"name": "Lost"}), "no show id"),
        (episode(of=show(show_id=-7)), "no show id"),
    ],
    ids=repr,
)
def test_row_without_ids_is_rejected(item: object, reason: str) -> None:
    """An item without ids is rejected and counted by reason, and its neighbours are kept."""
    got = normalise({"web": [episode(5, show(9)), item, episode(6, show(9))]})
    assert [row["episode_id"] for row in rows(got, EPISODES)] == [5, 6]
    assert [row["show_id"] for row in rows(got, SHOWS)] == [9]
    assert got.counts["rejects"] == {reason: 1}
    assert (got.counts["episodes_in"], got.counts["duplicates"]) == (3, 0)


ODD_OF_EPISODE = [
    ("name", 5, "name"),
    ("name", "half \ud83d of a pair", "name"),
    ("season", "3", "season"),
    ("season", 2**63, "season"),
    ("number", 1.5, "number"),
    ("runtime", True, "runtime_minutes"),
    ("airdate", "2020-13-01", "airdate"),
    ("airdate", "20201201", "airdate"),
    ("airdate", "0000-00-00", "airdate"),
    ("airtime", "8pm", "airtime"),
    ("airtime", "25:00", "airtime"),
    ("airstamp", "2020-12-01T20:00:00", "airstamp"),
    ("airstamp", "0001-01-01T00:00:00+14:00", "airstamp"),
    ("airstamp", 1606780800, "airstamp"),
    ("rating.average", "8.1", "rating"),
    ("rating.average", float("inf"), "rating"),
    ("rating.average", 10**400, "rating"),
    ("image.original", {"url": "x"}, "image"),
]


@pytest.mark.parametrize(
    ("path", "value", "column"), ODD_OF_EPISODE, ids=[f"{p} {str(v)[:30]!a}" for p, v, _ in ODD_OF_EPISODE]
)
def test_odd_value_becomes_null(path: str, value: object, column: str) -> None:
    """A value of another type than its column becomes null, and is counted under its field."""
    name, _, below = path.partition(".")
    got = normalise({"web": [episode() | {name: {below: value} if below else value}]})
    assert only(got, EPISODES)[column] is None
    assert got.counts["odd_values"] == {f"episode.{path}": 1}


ODD_OF_SHOW = [
    ({"updated": "yesterday"}, SHOWS, "updated", "show.updated"),
    ({"updated": 1_645_110_771_000}, SHOWS, "updated", "show.updated"),
    ({"genres": "Drama"}, GENRES, None, "show.genres"),
    ({"genres": ["Drama", 7]}, GENRES, None, "show.genres"),
    ({"schedule": {"days": [1, 2]}}, SHOWS, "schedule_days", "show.schedule.days"),
    ({"dvdCountry": {"code": "Japan"}}, SHOWS, "dvd_country", "show.dvdCountry.code"),
    ({"network": {"id": "159"}}, SHOWS, "network_id", "show.network.id"),
    ({"network": 159}, SHOWS, "network_id", "show.network.id"),
    ({"rating": 8.1}, SHOWS, "rating", "show.rating.average"),
    ({"image": "https://…"}, SHOWS, "image", "show.image.original"),
    ({"network": {"id": 1, "country": {"code": "kr"}}}, NETWORKS, "country", "show.network.country.code"),
    ({"webChannel": {"id": 1, "country": "KR"}}, NETWORKS, "country", "show.webChannel.country.code"),
    (
        {"network": {"id": 1, "country": {"code": "KR", "timezone": 9}}},
        COUNTRIES,
        "timezone",
        "show.network.country.timezone",
    ),
]


@pytest.mark.parametrize(
    ("fields", "dataset", "column", "place"), ODD_OF_SHOW, ids=[str(one[0]) for one in ODD_OF_SHOW]
)
def test_odd_value_of_a_show_becomes_null(fields: Row, dataset: Dataset, column: str | None, place: str) -> None:
    """An odd value of a show becomes null and is counted once, although the show comes with each episode."""
    got = normalise({"web": [episode(1, show(**fields)), episode(2, show(**fields))]})
    assert got.counts["odd_values"] == {place: 1}
    if column:
        assert only(got, dataset)[column] is None
    else:
        assert rows(got, dataset) == []


def test_empty_php_object_is_nothing() -> None:
    """An empty array, which PHP writes for an empty object, becomes null and is not odd."""
    got = normalise({"web": [episode(rating=[], image=[], of=show(network=[], externals=[], dvdCountry=[]))]})
    assert (only(got, EPISODES)["rating"], only(got, SHOWS)["network_id"]) == (None, None)
    assert got.counts["odd_values"] == {}


def test_unknown_fields_are_named_once() -> None:
    """A new field is named once with its place, at any known level; links may hold anything."""
    new = show(slogan="…", network={"id": 1, "founded": 1951, "country": {"code": "KR", "continent": "Asia"}})
    items = [episode(number, new, director="…", rating={"votes": 3}, _links={"any": {"thing": 1}}) for number in (1, 2)]
    assert normalise({"web": items}).counts["unknown_fields"] == [
        "episode.director",
        "episode.rating.votes",
        "show.network.country.continent",
        "show.network.founded",
        "show.slogan",
    ]


def test_unknown_names_are_kept_within_bounds() -> None:
    """The names of unknown fields are limited in number and length, and can always be written."""
    item = episode() | {f"{number:03}" + "\ud83d" * 1000: 1 for number in range(1000)}
    names = normalise({"web": [item]}).counts["unknown_fields"]
    assert len(names) == 100
    assert max(map(len, names)) == 100
    assert json.dumps(names, ensure_ascii=False).encode()


def test_first_unknown_names_are_kept_in_whatever_order_they_come() -> None:
    """Of 5,000 unknown fields in reverse order, the first 100 names are kept."""
    items = [episode(id=number) | {f"x{number:04}": 1} for number in range(5000, 0, -1)]
    names = normalise({"web": items}).counts["unknown_fields"]
    assert names == [f"episode.x{number:04}" for number in range(1, 101)]


def test_episode_of_two_answers_counts_once() -> None:
    """An episode in the answers of a country and of the web is one row and one duplicate."""
    got = normalise({"country=KR": [{"id": 1, "show": show()}], "web": [episode(1), episode(2)]})
    assert [row["episode_id"] for row in rows(got, EPISODES)] == [1, 2]
    assert (got.counts["episodes_in"], got.counts["duplicates"], got.counts["shows"]) == (3, 1, 1)


@pytest.mark.parametrize("swapped", [False, True], ids=["later on the web", "later in Korea"])
def test_last_updated_show_counts(swapped: bool) -> None:
    """Of two versions of a show in different answers the one updated last counts, with its episode."""
    early = episode(1, show(name="Early", updated=100, network={"id": 1, "name": "Old"}), name="early")
    late = episode(1, show(name="Late", updated=200, network={"id": 1, "name": "New"}), name="late")
    got = normalise({"country=KR": [late if swapped else early], "web": [early if swapped else late]})
    assert (only(got, SHOWS)["name"], only(got, EPISODES)["name"], only(got, NETWORKS)["name"]) == (
        "Late",
        "late",
        "New",
    )


def test_first_of_equals_counts() -> None:
    """Of versions updated at the same time the first counts, by source and then by place."""
    answers = {
        "web": [episode(1, show(name="web"), name="web")],
        "country=KR": [episode(1, show(name="KR"), name="KR"), episode(1, show(name="again"), name="again")],
    }
    got = normalise(answers)
    assert (only(got, SHOWS)["name"], only(got, EPISODES)["name"]) == ("KR", "KR")


def test_show_without_update_counts_least() -> None:
    """A show without a time of update gives way to a version that has one."""
    got = normalise({"country=KR": [episode(1, {"id": 7, "name": "?"})], "web": [episode(2, show(name="Known"))]})
    assert only(got, SHOWS)["name"] == "Known"


def test_network_is_that_of_the_last_updated_show() -> None:
    """Of two shows that disagree about a network, the one updated last decides."""
    old = show(
        1, 100, webChannel={"id": 21, "name": "YouTube Red", "country": {"code": "US", "timezone": "America/Halifax"}}
    )
    new = show(
        2, 200, webChannel={"id": 21, "name": "YouTube", "country": {"code": "US", "timezone": "America/New_York"}}
    )
    for items in ([episode(1, old), episode(2, new)], [episode(1, new), episode(2, old)]):
        got = normalise({"web": items})
        assert only(got, NETWORKS)["name"] == "YouTube"
        assert only(got, COUNTRIES)["timezone"] == "America/New_York"


def test_two_shows_of_one_name_stay_two() -> None:
    """Two shows with the same name are two rows, because the id identifies a show."""
    got = normalise({"web": [episode(1, show(7, name="The Traitors")), episode(2, show(8, name="The Traitors"))]})
    assert [(row["show_id"], row["name"]) for row in rows(got, SHOWS)] == [(7, "The Traitors"), (8, "The Traitors")]


def test_genre_that_is_said_twice_is_one() -> None:
    """A genre listed twice for a show is one row."""
    got = normalise({"web": [episode(of=show(genres=["Drama", "Crime", "Drama"]))]})
    assert [row["genre"] for row in rows(got, GENRES)] == ["Crime", "Drama"]


Item = st.builds(
    lambda episode_id, show_id, updated, name: episode(episode_id, show(show_id, updated, name=name), name=name),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from(["a", "b", "c"]),
)


@given(answers=st.dictionaries(st.sampled_from(["web", "country=KR", "country=US"]), st.lists(Item, max_size=6)))
def test_order_of_sources_is_no_matter(answers: dict[str, list[Row]]) -> None:
    """The order of sources does not change the tables and counts, and no episode is lost."""
    forth, back = normalise(answers), normalise(dict(reversed(answers.items())))
    assert forth.counts == back.counts
    assert all(table.equals(back.tables[dataset]) for dataset, table in forth.tables.items())
    items = [item for listed in answers.values() for item in listed]
    assert {row["episode_id"] for row in rows(forth, EPISODES)} == {item["id"] for item in items}
    assert {row["show_id"] for row in rows(forth, SHOWS)} == {show_of(item)["id"] for item in items}
    for row in rows(forth, SHOWS):
        versions = [show_of(item) for item in items if show_of(item)["id"] == row["show_id"]]
        latest = max(version["updated"] for version in versions)
        assert row["name"] in {version["name"] for version in versions if version["updated"] == latest}


def test_full_disk_is_named(tmp_path: Path) -> None:
    """A scratch disk that is full while shows are kept is a temporary error that names the file."""
    file = tmp_path / "kept.sqlite"

    def keep() -> None:
        with Kept(file) as kept:
            kept._database.execute("PRAGMA max_page_count = 5")
            kept.show(7, 0, show(name=str(list(range(10_000)))))

    with pytest.raises(TryAgainError, match=rf"cannot write {file} \(No space left on device\): the disk is full"):
        keep()
