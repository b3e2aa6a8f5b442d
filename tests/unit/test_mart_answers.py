"""Answers whole: the line of trust, headings, what there is instead of nothing, periods and trends."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from marquee.errors import ConfigError
from marquee.mart import schema
from marquee.mart.answers import Answered, answer, table
from marquee.mart.base import read_mart
from marquee.mart.questions import QUESTIONS, find_question
from marquee.mart.trust import Trust, trust_of, trust_of_all
from marquee.storage.local import LocalStore
from tests.helpers_mart import Kiosk, SmallLake, kiosk_of, load, rows_of

HOUR = 3600
UNKNOWN = 0


def show(show_id: int, country: str, reach: int | None, hours: int) -> dict[str, Any]:
    """Return a row of audience."""
    counts = {"binge_viewers": 30, "binge5_viewers": 5} if reach else {}
    return {"show_id": show_id, "country": country, "reach": reach, "watched_seconds": hours * HOUR, **counts}


def viewers(country: str, active: int | None, hours: int) -> dict[str, Any]:
    """Return a row of all viewers."""
    return {"country": country, "active_viewers": active, "watched_seconds": hours * HOUR}


@pytest.fixture(scope="module")
def doubted(tmp_path_factory: pytest.TempPathFactory, new_kiosk: Callable[[], Kiosk]) -> Kiosk:
    """A mart with two hours of plays, a week with 22 of its hours, and two days; much of it is of unknown shows."""
    small = SmallLake(LocalStore(tmp_path_factory.mktemp("doubted") / "lake"))
    names = {1: "Cases", 2: "Songs", 3: "Secrets"}
    small.capture(
        "2026-01-05",
        shows=[{"show_id": one, "name": name} for one, name in names.items()],
        episodes=[{"episode_id": 11, "show_id": 1}, {"episode_id": 21, "show_id": 2}],
        genres=[{"show_id": 1, "genre": "Crime"}, {"show_id": 2, "genre": "Music"}],
        countries=[{"country": "KR", "name": "Korea, Republic of"}],
    )
    small.capture("2026-01-07")
    small.hour("2026-01-05T00", (11, "KR", 9, "tv", HOUR), (99, "US", 19, "tv", 3 * HOUR))
    small.hour("2026-01-06T01", (21, "JP", 23, "phone", 4 * HOUR))
    week = [show(1, "**", 100, 60), show(1, "KR", 60, 30), show(2, "**", 40, 10), show(3, "**", None, 1)]
    week += [show(3, "KR", None, 1), show(UNKNOWN, "**", 90, 30), show(UNKNOWN, "KR", 90, 30)]
    base = [viewers("**", 200, 100), viewers("KR", 90, 60), viewers("US", None, 40)]
    genres = [
        {"genre": name, "country": "**", "reach": reach, "watched_seconds": hours * HOUR}
        for name, reach, hours in (("Crime", 100, 60), ("Music", None, 10))
    ]
    small.audience("2026-W02", week, base, {"hours": 22}, genres)
    for day, reach in {"2026-01-05": 60, "2026-01-06": 80}.items():
        small.audience(day, [show(1, "**", reach, 10)], [viewers("**", 100, 10)])
    kiosk = new_kiosk()
    load(small.store, kiosk)
    return kiosk


def trusted(kiosk: Kiosk, name: str, period: str | None = None, only: Mapping[str, str] | None = None) -> Trust:
    """Return the trust of an answer."""
    with read_mart(kiosk_of(kiosk)) as mart:
        return trust_of(mart, find_question(name), period, only)


def asked(kiosk: Kiosk, name: str, only: Mapping[str, str] | None = None, **options: Any) -> Answered:
    """Return an answer."""
    with read_mart(kiosk_of(kiosk)) as mart:
        return answer(mart, find_question(name), only=only, **options)


# Trust


def test_trust_of_an_audience(doubted: Kiosk) -> None:
    """The week has 22 of 168 hours; 30 of its 100 hours are of unknown shows, all in Korea; one show is withheld."""
    found = trusted(doubted, "binge")
    assert (found.periods, found.hours, found.hours_expected) == (("2026-W02",), 22, 168)
    assert (found.watched_seconds, found.unknown_seconds) == (100 * HOUR, 30 * HOUR)
    assert found.unknown_in == (("KR", 50.0),)
    assert (found.withheld, found.newest_hour) == (1, "2026-01-06T01")
    assert found.definitions == ("audience 1", f"mart {schema.VERSION}")
    assert found.loaded_at is not None
    assert found.text() == (
        "22 of 168 hours of 2026-W02 · 30.0 % of hours are of unknown shows (KR 50.0 %; the schedule has air dates "
        "2026-01-05 to 2026-01-07, without 1 of these 3 days) · 1 row withheld (too few viewers) · "
        f"newest hour 2026-01-06T01 · loaded {found.loaded_at:%Y-%m-%d %H:%M} UTC · "
        f"definitions: audience 1, mart {schema.VERSION}"
    )
    assert (found.missing, found.doubtful) == ("22 of 168 hours of 2026-W02 are loaded", True)


def test_trust_of_plays(doubted: Kiosk) -> None:
    """Of 48 hours 2 are loaded; 3 of 8 hours of plays are of an unknown episode, in the United States."""
    found = trusted(doubted, "genre-hours")
    assert (found.periods, found.hours, found.hours_expected) == (("2026-01-05/2026-01-06",), 2, 48)
    assert (found.watched_seconds, found.unknown_seconds) == (8 * HOUR, 3 * HOUR)
    assert (found.unknown_in, found.withheld) == ((("US", 100.0),), 0)
    assert found.definitions == ("rollup 1", f"mart {schema.VERSION}")
    assert "2 of 48 hours of 2026-01-05/2026-01-06 · 37.5 % of hours are of unknown shows (US 100.0 %; " in found.text()
    day = trusted(doubted, "genre-hours", "2026-01-06")
    assert day.text().startswith("1 of 24 hours of 2026-01-06 · 0.0 % of hours are of unknown shows · newest hour ")


def test_trust_of_combined_plays() -> None:
    """The line of plays says that those of few viewers are combined, and a trend has the floor of its periods."""
    folded = Trust(periods=("2026-01-05",), floor=10)
    said = "viewing of fewer than 10 viewers counts for other dayparts, countries or shows"
    assert folded.text() == f"2026-01-05 · {said}"
    assert said in trust_of_all([folded, folded]).text()


def test_trust_of_restated_days() -> None:
    """The line says of how many days hours are rounded; those of a trend add up."""
    one = Trust(periods=("2026-01-05",), restated=1)
    assert one.text() == "2026-01-05 · 1 day restated, its hours are rounded"
    assert trust_of_all([one, one]).text().endswith("2 days restated, their hours are rounded")


def test_plays_of_a_protected_mart_are_combined(tmp_path: Path) -> None:
    """The floor of a mart holds for questions about plays, and its rounding for those about audiences."""
    small = SmallLake(LocalStore(tmp_path / "lake"))
    small.audience("2026-01-05", [show(1, "**", 100, 60)], [viewers("**", 200, 100)])
    for hour in range(24):
        small.hour(f"2026-01-05T{hour:02}", (11, "KR", 9, "tv", HOUR))
    kiosk = tmp_path / "kiosk.duckdb"
    load(small.store, kiosk, min_cell=10)
    of_plays, of_audience = (trusted(kiosk, name) for name in ("genre-hours", "binge"))
    assert (of_plays.floor, of_plays.min_cell) == (10, 1)
    assert (of_audience.floor, of_audience.min_cell) == (1, 10)


def test_a_country_whose_hours_are_withheld_has_no_share(tmp_path: Path) -> None:
    """The hours of KR are withheld, because JP has few viewers: the share of unknown shows there is not known."""
    small = SmallLake(LocalStore(tmp_path / "lake"))
    rows = [show(0, "**", 90, 900), show(0, "KR", 30, 300), show(0, "US", 60, 600)]
    base = [viewers("**", 92, 901), viewers("KR", 30, 300), viewers("US", 60, 600), viewers("JP", 2, 1)]
    small.audience("2026-W02", rows, base)
    kiosk = tmp_path / "kiosk.duckdb"
    load(small.store, kiosk, min_cell=10)
    assert rows_of(kiosk, "select country from fact_audience_base where watched_seconds is null order by 1") == [
        ("JP",),
        ("KR",),
    ]
    found = trusted(kiosk, "binge")
    assert (found.unknown_percent, found.unknown_in) == (100.0, (("US", 100.0),))


@pytest.mark.parametrize(
    ("name", "only", "percent", "withheld"),
    [
        ("big-in-one-country", {"country": "KR"}, 50.0, 1),
        ("big-in-one-country", {"country": "US"}, 0.0, 0),
        ("big-in-one-country", {}, 30.0, 1),
        ("must-not-cancel", {"country": "**"}, 30.0, 1),
        ("must-not-cancel", {"country": "KR"}, 50.0, 1),
        ("must-not-cancel", {}, 30.0, 2),
        ("binge", {"title": "Songs"}, 30.0, 0),
        ("binge", {"title": "Secrets"}, 30.0, 1),
        ("engagement-by-country", {}, 30.0, 1),
        ("engagement-by-country", {"country": "KR"}, 50.0, 0),
        ("engagement-by-network", {}, 30.0, 0),
        ("engagement-by-genre", {}, 30.0, 1),
        ("engagement-by-genre", {"genre": "Crime"}, 30.0, 0),
        ("trend-by-week", {"kind": "all"}, 30.0, 0),
        ("trend-by-week", {"kind": "show"}, 30.0, 1),
        ("trend-by-week", {}, 30.0, 2),
        ("trend", {}, 30.0, 0),
        ("genre-hours", {"country": "KR"}, 0.0, 0),
        ("genre-hours", {"country": "US"}, 100.0, 0),
    ],
)
def test_trust_of_a_filtered_answer(
    doubted: Kiosk, name: str, only: Mapping[str, str], percent: float, withheld: int
) -> None:
    """The share of unknown shows is that of the filter's country, and withheld rows are those of its rows."""
    found = trusted(doubted, name, None, only)
    assert (found.unknown_percent, found.withheld) == (percent, withheld)


def test_seconds_of_whole_days_are_those_of_their_audiences(
    lake: LocalStore, new_kiosk: Callable[[], Kiosk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the audiences of days have all loaded hours, the plays are not read; the figures are the same."""
    small = SmallLake(lake)
    small.hour("2026-01-05T00", (98, "US", 19, "tv", HOUR))
    small.hour("2026-01-06T00", (99, "KR", 19, "tv", 3 * HOUR))
    kiosk = new_kiosk()
    load(lake, kiosk)
    before = trusted(kiosk, "genre-hours")
    for day, (country, hours) in {"2026-01-05": ("US", 1), "2026-01-06": ("KR", 3)}.items():
        both = ("**", country)
        shows = [show(UNKNOWN, one, 90, hours) for one in both]
        small.audience(day, shows, [viewers(one, 90, hours) for one in both], {"hours": 1})
    load(lake, kiosk)
    with read_mart(kiosk_of(kiosk)) as mart:
        run, queries = mart.query, []

        def query(sql: str, parameters: Sequence[Any] = ()) -> Any:
            queries.append(sql)
            return run(sql, parameters)

        monkeypatch.setattr(mart, "query", query)
        after = trust_of(mart, find_question("genre-hours"))
    assert not [sql for sql in queries if "fact_viewership" in sql]
    assert (before.watched_seconds, before.unknown_seconds) == (4 * HOUR, 4 * HOUR)
    assert (after.watched_seconds, after.unknown_seconds) == (4 * HOUR, 4 * HOUR)
    assert after.unknown_in == before.unknown_in == (("KR", 100.0), ("US", 100.0))


def test_trust_of_an_empty_mart(lake: LocalStore, new_kiosk: Callable[[], Kiosk]) -> None:
    """An empty mart knows nothing, and says so."""
    kiosk = new_kiosk()
    load(lake, kiosk)
    for question in QUESTIONS:
        assert trusted(kiosk, question.name).text() == "Nothing of this is loaded"
        assert asked(kiosk, question.name).empty in {"No audience is loaded", "No hour is loaded"}


def test_trust_of_a_trend() -> None:
    """Hours and seconds of periods are summed; the countries are those of the period with the largest unknown share."""
    at = datetime(2026, 2, 1, tzinfo=UTC)
    known: dict[str, Any] = {"hours_expected": 24, "definitions": ("audience 1",)}
    first = Trust(("2026-01-05",), hours=24, watched_seconds=90, newest_hour="2026-01-05T23", **known)
    last = Trust(
        ("2026-01-06",),
        hours=12,
        incomplete=("2026-01-06",),
        watched_seconds=10,
        unknown_seconds=5,
        unknown_in=(("KR", 50.0),),
        withheld=2,
        newest_hour="2026-01-06T11",
        loaded_at=at,
        **known,
    )
    assert trust_of_all([first, last]).text() == (
        "36 of 48 hours of 2026-01-05 to 2026-01-06 (incomplete: 2026-01-06) · 5.0 % of hours are of unknown shows "
        "(KR 50.0 %; no schedule is captured) · 2 rows withheld (too few viewers) · newest hour 2026-01-06T11 · "
        "loaded 2026-02-01 00:00 UTC · definitions: audience 1"
    )
    assert trust_of_all([]) == Trust()


def test_trust_for_programs(doubted: Kiosk) -> None:
    """The fields of the line have names, and a table of Arrow has both in its metadata."""
    found = trusted(doubted, "binge")
    fields = found.fields()
    assert (fields["hours"], fields["unknown_percent"], fields["unknown_in"]) == (22, 30.0, {"KR": 50.0})
    assert fields["definitions"] == {"audience": "1", "mart": str(schema.VERSION)}
    with read_mart(kiosk_of(doubted)) as mart:
        metadata = table(mart, find_question("binge")).schema.metadata
        assert metadata[b"trust"].decode() == found.text()
        assert metadata[b"missing"] == b"22 of 168 hours of 2026-W02 are loaded"
        nothing = table(mart, find_question("binge"), only={"title": "cases"})
        assert nothing.schema.metadata[b"empty"] == b"No row has title='cases'. Did you mean 'Cases'?"


# Headings


@pytest.mark.parametrize(
    ("name", "only", "country", "heading"),
    [
        ("genre-hours", {"country": "KR"}, "Korea", "What genre gets the most viewing hours in Korea?"),
        ("genre-hours", {"country": "JP"}, "Japan", "What genre gets the most viewing hours in Japan?"),
        ("genre-hours", {"country": "XX"}, None, "What genre gets the most viewing hours in XX?"),
        ("genre-hours", {}, None, "What genre gets the most viewing hours in each country?"),
        (
            "genre-daypart",
            {"country": "US"},
            "United States",
            "Do viewers in the United States watch shows of each genre in the morning or in the evening?",
        ),
        (
            "genre-daypart",
            {"country": "JP", "genre": "Crime", "daypart": "night"},
            "Japan",
            "Do viewers in Japan watch Crime shows in the morning or in the evening? (daypart: night)",
        ),
        ("binge", {"title": "Cases"}, None, "Do people binge-watch this show? (title: Cases)"),
    ],
)
def test_a_heading_follows_the_filter(name: str, only: Mapping[str, str], country: str | None, heading: str) -> None:
    """The words of a question name the country and genre of the filter, and other conditions beside them."""
    assert find_question(name).heading(only, country) == heading


def test_a_heading_has_the_name_of_the_country(doubted: Kiosk) -> None:
    """A country has its name from the schedule, otherwise from ISO 3166, also where the answer has no rows."""
    assert asked(doubted, "genre-hours", {"country": "JP"}).heading.endswith("hours in Japan?")
    assert asked(doubted, "genre-hours", {"country": "SE"}).heading.endswith("hours in Sweden?")


# Rows


def test_an_answer_says_what_it_leaves_out(doubted: Kiosk) -> None:
    """Three countries have a genre each; a limit of two leaves one out, and no limit none."""
    assert asked(doubted, "genre-hours", limit=2).cut == "2 of 3 rows (--all-rows shows all)"
    whole = asked(doubted, "genre-hours")
    assert (len(whole.rows), whole.total, whole.cut) == (3, 3, "")


@pytest.mark.parametrize(
    ("name", "only", "empty"),
    [
        ("genre-hours", {"country": "kr"}, "No row has country='kr'. Did you mean 'KR'?"),
        ("genre-hours", {"country": "korea"}, "No row has country='korea'. Did you mean 'KR'?"),
        ("genre-hours", {"country": "SE"}, "No row has country='SE'. Use one of: JP, KR, US"),
        ("genre-hours", {"genre": "crimes"}, "No row has genre='crimes'. Did you mean 'Crime'?"),
        (
            "genre-hours",
            {"country": "KR", "genre": "Music"},
            "Each of these values has rows, but no row has all of them: country=KR, genre=Music",
        ),
        ("binge", {"title": "case"}, "No row has title='case'. Did you mean 'Cases'?"),
        ("binge", {"title": "song"}, "No row has title='song'. Did you mean 'Songs'?"),
        ("binge", {"title": "Songs"}, "'Songs' reached 40 viewers; binge has shows that reached at least 50"),
        (
            "binge",
            {"title": "Secrets"},
            "'Secrets' has too few viewers to be published; binge has shows that reached at least 50",
        ),
        ("engagement-by-country", {"country": "US"}, "1 row is withheld, because the viewers are too few"),
        ("engagement-by-country", {"place": "9"}, "No row has place='9'. Use one of: 1"),
    ],
)
def test_an_answer_without_rows_says_what_there_is(
    doubted: Kiosk, name: str, only: Mapping[str, str], empty: str
) -> None:
    """A value that is not there is answered by those like it, and a show below the floor by its viewers."""
    found = asked(doubted, name, only)
    assert (found.rows, found.empty) == ([], empty)


def test_no_show_above_the_floor(lake: LocalStore, new_kiosk: Callable[[], Kiosk]) -> None:
    """If no show reached the least number of viewers, the answer names the largest."""
    small = SmallLake(lake)
    small.capture("2026-01-05", shows=[{"show_id": 1, "name": "Cases"}, {"show_id": 2, "name": "Songs"}])
    small.audience("2026-W02", [show(1, "**", 49, 9), show(2, "**", 7, 9)], [viewers("**", 50, 18)])
    kiosk = new_kiosk()
    load(lake, kiosk)
    assert asked(kiosk, "binge").empty == "No show reached 50 viewers; the largest, 'Cases', reached 49"


def test_the_largest_show_is_not_one_of_nobody(lake: LocalStore, new_kiosk: Callable[[], Kiosk]) -> None:
    """A show whose viewers are too few to be published is larger than one without viewers."""
    small = SmallLake(lake)
    small.capture("2026-01-05", shows=[{"show_id": one, "name": f"Show {one}"} for one in (1, 2)])
    small.audience("2026-W02", [show(1, "**", 0, 0), show(2, "**", None, 9)], [viewers("**", 50, 9)])
    kiosk = new_kiosk()
    load(lake, kiosk)
    assert asked(kiosk, "binge").empty == (
        "No show reached 50 viewers; those watched have too few viewers to be published"
    )


def test_a_value_is_not_the_reason_if_no_row_is_there(
    doubted: Kiosk, lake: LocalStore, new_kiosk: Callable[[], Kiosk]
) -> None:
    """If an answer has no rows for any value, the reason is the answer's own, and the filter is not blamed."""
    assert asked(doubted, "lost-viewers", {"title": "Cases"}).empty == (
        "No show ended 28 days before a day of a complete week"
    )
    assert asked(doubted, "launch").empty == (
        "No watched show premiered on a loaded day of the 91 days up to the end of the period"
    )
    SmallLake(lake).audience("2026-01-05", [show(1, "**", 60, 10)], [viewers("**", 100, 10)])
    kiosk = new_kiosk()
    load(lake, kiosk)
    for name in ("trend", "trend-by-week"):
        assert asked(kiosk, name, find_question(name).example).empty == "No week up to the end of the period is loaded"


# Periods


def test_an_answer_of_a_period(doubted: Kiosk) -> None:
    """An answer of a given period has its rows, and its trust."""
    found = asked(doubted, "binge", period="2026-01-06")
    assert [row[found.columns.index("reach")] for row in found.rows] == [80]
    assert found.trust.periods == ("2026-01-06",)


def test_a_trend_is_of_all_loaded_periods(doubted: Kiosk) -> None:
    """A trend has the rows of each day, with the day first, for questions about audiences and about hours."""
    reach = asked(doubted, "binge", {"title": "Cases"}, trend="day")
    assert reach.heading == "Do people binge-watch this show? (title: Cases) By day"
    assert [(row[0], row[reach.columns.index("reach")]) for row in reach.rows] == [
        ("2026-01-05", 60),
        ("2026-01-06", 80),
    ]
    assert reach.trust.periods == ("2026-01-05", "2026-01-06")
    hours = asked(doubted, "genre-hours", limit=1, trend="week")
    assert (hours.columns[0], hours.rows[0][:4]) == ("period", ("2026-W02", "JP", "Japan", "Music"))
    assert hours.cut == "1 of 3 rows (--all-rows shows all)"
    assert [row[0] for row in asked(doubted, "genre-hours", limit=1, trend="day").rows] == ["2026-01-05", "2026-01-06"]
    with read_mart(kiosk_of(doubted)) as mart:
        found = table(mart, find_question("genre-hours"), trend="day")
    assert found.select(["period", "country"]).to_pylist() == [
        {"period": "2026-01-05", "country": "US"},
        {"period": "2026-01-05", "country": "KR"},
        {"period": "2026-01-06", "country": "JP"},
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trend": "month"}, r"binge: no month is loaded\. Use one of: day, week$"),
        ({"trend": "year"}, r"Invalid trend 'year' of .+\. Use one of: day, week, month, quarter"),
        ({"trend": "day", "period": "2026-W02"}, r"leave out the period '2026-W02', or the trend"),
        ({"period": "2026-W03"}, r"no audience of '2026-W03'\. Use one of: 2026-01-05, 2026-01-06, 2026-W02"),
    ],
)
def test_a_period_that_cannot_be_asked_for(doubted: Kiosk, options: Mapping[str, Any], message: str) -> None:
    """The error says which periods can be asked for."""
    with pytest.raises(ConfigError, match=message):
        asked(doubted, "binge", **options)


# Names


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("binge", "binge"),
        ("keep", "must-not-cancel"),
        ("must_not_cancel", "must-not-cancel"),
        ("q_must_not_cancel", "must-not-cancel"),
        ("Which shows must not be cancelled?", "must-not-cancel"),
        ("engagement", "engagement-by-show"),
        ("Languages", "multilingual"),
    ],
)
def test_a_question_has_several_names(given: str, name: str) -> None:
    """A question is found by its name, by another name of it, by its view and by its words."""
    assert find_question(given).name == name


def test_no_name_is_of_two_questions() -> None:
    """Every other name is of one question."""
    names = [name for one in QUESTIONS for name in (one.name, *one.also)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("cancel", r"Unknown question 'cancel'\. Did you mean must-not-cancel\?"),
        ("which network", r"Unknown question 'which network'\. Did you mean engagement-by-network\?"),
        ("bing", r"Did you mean binge\?"),
        ("cold", r"Use one of: genre-hours, "),
    ],
)
def test_an_unknown_question_suggests_by_its_words(given: str, message: str) -> None:
    """A word of a question suggests it; otherwise all are listed."""
    with pytest.raises(ConfigError, match=message):
        find_question(given)


def test_a_trend_of_a_mart_without_audience(lake: LocalStore, new_kiosk: Callable[[], Kiosk]) -> None:
    """If no grain is loaded, the error names none."""
    SmallLake(lake).hour("2026-01-05T00", (11, "KR", 9, "tv", HOUR))
    kiosk = new_kiosk()
    load(lake, kiosk)
    with pytest.raises(ConfigError, match=r"binge: no day is loaded\. No audience is loaded$"):
        asked(kiosk, "binge", trend="day")
