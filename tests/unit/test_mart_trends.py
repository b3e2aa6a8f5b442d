"""Trends, and what nobody watches: hand-made answers, and the oracle on random and nasty figures."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from random import Random
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marquee.calendar import Period
from marquee.lake import keys
from marquee.lake.datasets import AUDIENCE, AUDIENCE_BASE, DEPARTURE
from marquee.mart.base import read_mart
from marquee.mart.duckdb.sameness import create_schema
from marquee.mart.ledger import Entry, row_of
from marquee.mart.narrowed import narrow
from marquee.storage.local import LocalStore
from tests.helpers_mart import Kiosk, SmallLake, kiosk_of, load
from tests.oracle.departures import add_up, judge_departure
from tests.oracle.trends import HALF, Row, find_trends, find_unwatched

HOUR = 3600
WEEKS = [f"2026-W{number:02}" for number in range(2, 11)]
FIRST, LAST_FULL, TO_DATE = WEEKS[0], WEEKS[-2], WEEKS[-1]
ACTIVE = 50_000

# Hours, and viewers reached, of eight weeks; None is a reach that is withheld, and a week of no hours has no row.
SHOWS: dict[str, tuple[Sequence[float], Sequence[int | None]]] = {
    "Fewer watch more": ((100, 102, 98, 100, 130, 128, 131, 131), (1000, 1010, 990, 1000, 800, 790, 805, 805)),
    "More watch less": ((130, 128, 131, 131, 100, 102, 98, 100), (800, 790, 805, 805, 1000, 1010, 990, 1000)),
    "Growing": ((100, 102, 98, 100, 200, 210, 190, 200), (1000, 1010, 990, 1000, 2000, 2010, 1990, 2000)),
    "Restless": ((100, 200, 50, 250, 150, 350, 100, 300), (500, 900, 300, 900, 700, 1400, 400, 1200)),
    "Barely up": ((1000, 1000, 1000, 1000, 1049, 1049, 1049, 1049), (900_000,) * 4 + (944_000,) * 4),
    "Just up": ((1000, 1000, 1000, 1000, 1050, 1050, 1050, 1050), (900_000,) * 4 + (945_000,) * 4),
    "Small": ((10,) * 4 + (40,) * 4, (12,) * 4 + (49,) * 4),
    "New": ((0, 0, 0, 0, 50, 55, 45, 50), (0, 0, 0, 0, 400, 400, 410, 390)),
    "Gone": ((50, 55, 45, 50, 0, 0, 0, 0), (400, 400, 410, 390, 0, 0, 0, 0)),
    "Hidden once": ((50, 50, 50, 50, 200, 200, 200, 200), (100, 100, None, 100, 400, 400, 400, 400)),
}


def figures(show: int, hours: float, reach: int | None, sole: int | None = None) -> dict[str, Any]:
    """Return a row of audience worldwide."""
    seconds = round(hours * HOUR)
    return {"show_id": show, "country": "**", "reach": reach, "watched_seconds": seconds, "sole_viewers": sole}


def by_hand(week: int) -> list[dict[str, Any]]:
    """Return the rows of the hand-made shows, with ids from 1, in a week."""
    return [
        figures(show, hours[week], reach[week], 10 * week)
        for show, (hours, reach) in enumerate(SHOWS.values(), start=1)
        if hours[week]
    ]


def at_random(week: int) -> list[dict[str, Any]]:
    """Return the rows of shows 100 to 279 in a week: levels, noise and changes of all kinds, and some rows missing."""
    rows = []
    for show in range(100, 280):
        of_show, rng = Random(show), Random(1000 * week + show)  # noqa: S311 - nothing to hide
        level, noise, step = (
            of_show.choice([5, 60, 300, 5000]),
            of_show.choice([0, 1, 3]),
            of_show.choice([0, 0.3, -0.2]),
        )
        mean = level * (1 + step * (week >= HALF))
        reach = max(round(rng.gauss(mean, noise * mean**0.5)), 0)
        if rng.random() < 0.95:
            rows.append(figures(show, reach * rng.choice([1, 1.1, 2.5]), reach if reach >= 10 else None, reach // 9))
    return rows


def genre_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return rows of genres: drama has the figures of show 1, crime of show 2."""
    names = {1: "Drama", 2: "Crime"}
    return [
        {key: value for key, value in row.items() if key != "show_id"} | {"genre": names[row["show_id"]]}
        for row in rows
        if row["show_id"] in names
    ]


@pytest.fixture(scope="module")
def weekly(tmp_path_factory: pytest.TempPathFactory, new_kiosk: Callable[[], Kiosk]) -> Kiosk:
    """A kiosk of a quarter with eight complete weeks, and one of which a day is missing."""
    store = LocalStore(tmp_path_factory.mktemp("weekly") / "lake")
    small = SmallLake(store)
    names = dict(enumerate(SHOWS, start=1)) | {show: f"Show {show}" for show in range(100, 280)}
    small.capture("2026-01-05", shows=[{"show_id": show, "name": name} for show, name in names.items()])
    base = {"country": "**", "watched_seconds": 100_000 * HOUR, "active_viewers": ACTIVE}
    for number, week in enumerate(WEEKS[:-1]):
        rows = [*by_hand(number), *at_random(number)]
        small.audience(week, rows, [base], {"hours": 168}, genre_rows(rows))
    small.audience(TO_DATE, [figures(1, 1, 60)], [base], {"hours": 144})
    small.audience("2026-Q1", [], [base], {"hours": 1500})
    kiosk = new_kiosk()
    load(store, kiosk, "2026-Q1")
    return kiosk


def ask(kiosk: Kiosk, view: str, columns: str, where: str = "1 = 1", period: str = "2026-Q1") -> list[tuple[Any, ...]]:
    """Return columns of a view's rows for a period."""
    narrowed = narrow(view, period)
    with read_mart(kiosk_of(kiosk, "2026-Q1" if period == "2026-Q1" else "")) as mart:
        sql = f"{narrowed.expressions} select {columns} from {view} where {where}"  # noqa: S608 - the test's own
        return mart.query(sql, narrowed.parameters)[1]


def test_trends_by_hand(weekly: Kiosk) -> None:
    """Each kind of trend is named.

    Fewer watch more: 130 hours a week after 100, with a variance of 100² / 1000 / 4 + 130² / 800 / 4 = 7.78 by chance,
    more than the weeks differ; three times its root is 8.4 hours. Reach: 800 after 1000, variance 1800 / 4 = 450, three
    times its root is 63.6. Barely up is far beyond noise, but below 5 %.
    """
    found = dict(ask(weekly, "q_trend", "title, trend", "kind = 'show'"))
    assert {title: found[title] for title in SHOWS} == {
        "Fewer watch more": "hours up, reach down",
        "More watch less": "hours down, reach up",
        "Growing": "hours up, reach up",
        "Restless": "hours steady, reach steady",
        "Barely up": "hours steady, reach steady",
        "Just up": "hours up, reach up",
        "Small": "too few viewers",
        "New": "hours up, reach up",
        "Gone": "hours down, reach down",
        "Hidden once": "hours up, reach up",
    }
    columns = (
        "first_week, last_week, hours_before, hours_now, hours_change_percent, hours_noise_percent, reach_before, "
        "reach_now, reach_change_percent, reach_noise_percent, sole_before, sole_now"
    )
    assert ask(weekly, "q_trend", columns, "title = 'Fewer watch more'") == [
        (FIRST, LAST_FULL, 100.0, 130.0, 30.0, 8.4, 1000.0, 800.0, -20.0, 6.4, 15.0, 55.0)
    ]
    reach = "reach_before, reach_now, reach_change_percent"
    assert ask(weekly, "q_trend", reach, "title = 'Hidden once'") == [(None, 400.0, None)]
    assert ask(weekly, "q_trend", reach, "title = 'New'") == [(0.0, 400.0, None)]


def test_trends_of_genres_and_of_everything(weekly: Kiosk) -> None:
    """Genres and all shows have trends, too; all shows have no sole viewers."""
    columns = "title, trend, reach_now, sole_now"
    assert sorted(ask(weekly, "q_trend", columns, "kind <> 'show'")) == [
        ("All shows", "hours steady, reach steady", 50000.0, None),
        ("Crime", "hours down, reach up", 1000.0, 55.0),
        ("Drama", "hours up, reach down", 800.0, 55.0),
    ]


def test_trend_by_week(weekly: Kiosk) -> None:
    """A show has its figures of each week, with the week to date marked; a week without viewing has no row."""
    rows = ask(weekly, "q_trend_by_week", "week, complete, hours, reach, sole_viewers", "title = 'Fewer watch more'")
    assert sorted(rows)[-2:] == [(LAST_FULL, "yes", 131.0, 805, 70), (TO_DATE, "no", 1.0, 60, None)]
    assert [row[0] for row in sorted(rows)] == WEEKS
    assert [week for (week,) in sorted(ask(weekly, "q_trend_by_week", "week", "title = 'Gone'"))] == WEEKS[:4]


def test_trends_are_those_of_the_oracle(weekly: Kiosk) -> None:
    """Every show has the figures and the trend that loops find in exact fractions."""
    weeks = {Period.parse(week).date: [*by_hand(n), *at_random(n)] for n, week in enumerate(WEEKS[:-1])}
    expected = find_trends(weeks, "show_id")
    names = dict(enumerate(SHOWS, start=1))
    columns = ("trend", "hours_before", "hours_now", "reach_before", "reach_now", "sole_now")
    found = {row[0]: row[1:] for row in ask(weekly, "q_trend", f"title, {', '.join(columns)}", "kind = 'show'")}
    assert found == {
        names.get(show, f"Show {show}"): tuple(one[name] for name in columns) for show, one in expected.items()
    }
    assert {"hours up, reach steady", "hours down, reach down", "too few viewers"} <= {row[0] for row in found.values()}


@pytest.mark.parametrize(
    ("period", "trend"),
    [("2026-W09", "hours up, reach down"), ("2026-W08", "too few weeks"), ("2026-W10", "hours up, reach down")],
    ids=["the eighth week", "only seven weeks", "a week to date, which is not compared"],
)
def test_trend_up_to_a_period(lake: LocalStore, new_kiosk: Callable[[], Kiosk], period: str, trend: str) -> None:
    """A trend ends with the period: weeks before it count, later ones do not."""
    small = SmallLake(lake)
    small.capture("2026-01-05", shows=[{"show_id": 1, "name": "Case"}])
    base = {"country": "**", "watched_seconds": 100_000 * HOUR, "active_viewers": ACTIVE}
    hours, reach = SHOWS["Fewer watch more"]
    for number, week in enumerate(WEEKS[:-1]):
        small.audience(week, [figures(1, hours[number], reach[number])], [base], {"hours": 168})
    small.audience(TO_DATE, [figures(1, 900, 900)], [base], {"hours": 100})
    kiosk = new_kiosk()
    load(lake, kiosk)
    assert ask(kiosk, "q_trend", "trend", "kind = 'show'", period) == [(trend,)]


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty mart in memory."""
    with duckdb.connect() as db:
        create_schema(db)
        db.execute("insert into kiosk values ('2026-Q1', 'day', 1)")
        yield db


week_of_a_show = st.none() | st.tuples(
    st.sampled_from([0, 1, 3600, 360_000, 360_001]) | st.integers(0, 10**9), st.none() | st.integers(0, 3000)
)


@given(
    shows=st.lists(st.lists(week_of_a_show, min_size=9, max_size=9), min_size=1, max_size=8),
    gap=st.sampled_from([None, None, None, 3]),
    weeks=st.sampled_from([9, 9, 8, 7]),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_trends_are_those_of_the_oracle(
    database: duckdb.DuckDBPyConnection, shows: list[list[tuple[int, int | None] | None]], gap: int | None, weeks: int
) -> None:
    """Any figures, with missing weeks, withheld reach and zeros, have the trend that the oracle finds."""
    names = [week for number, week in enumerate(WEEKS[:weeks]) if number != gap]
    rows: dict[date, list[dict[str, Any]]] = {Period.parse(week).date: [] for week in names}
    database.execute("begin")
    for week in (*names, "2026-Q1"):
        add_to_ledger(database, week)
    for show, those in enumerate(shows, start=1):
        database.execute("insert into dim_show (show_id, label) values (?, ?)", [show, str(show)])
        for number, week in enumerate(WEEKS):
            if week in names and (one := those[number]):
                seconds, reach = one
                row = {"show_id": show, "watched_seconds": seconds, "reach": reach, "sole_viewers": reach}
                rows[Period.parse(week).date].append(row)
                values = [week, show, reach, seconds, reach]
                columns = "period, show_id, country, reach, watched_seconds, sole_viewers"
                database.execute(f"insert into fact_audience ({columns}) values (?, ?, '**', ?, ?, ?)", values)  # noqa: S608
    found = database.execute("select title, trend, reach_before, reach_now, sole_now from q_trend").fetchall()
    database.execute("rollback")
    expected = {
        str(show): (one["trend"], one["reach_before"], one["reach_now"], one["sole_now"])
        for show, one in find_trends(rows, "show_id").items()
    }
    assert {title: rest for title, *rest in found} == {title: [*rest] for title, rest in expected.items()}


def test_rounding_alone_is_no_trend(database: duckdb.DuckDBPyConnection) -> None:
    """From 20 to 30 hours may be from 25 to 25: steady, with a noise of 10 hours of 20. From 20 to 40 is up.

    A week without hours, because they are withheld, leaves those of its half unknown.
    """
    database.execute("begin")
    database.execute("update kiosk set min_cell = 10")
    for week in (*WEEKS[:8], "2026-Q1"):
        add_to_ledger(database, week)
    for show, hours, last in ((1, 30, 30), (2, 40, 40), (3, 20, None)):
        database.execute("insert into dim_show (show_id, label) values (?, ?)", [show, str(show)])
        for week, those in zip(WEEKS, [20] * 4 + [hours] * 3 + [last], strict=False):
            values = [week, show, None if those is None else 3600 * those]
            columns = "period, show_id, country, reach, watched_seconds"
            database.execute(f"insert into fact_audience ({columns}) values (?, ?, '**', 100, ?)", values)  # noqa: S608
    found = database.execute("select trend, hours_before, hours_now, hours_noise_percent from q_trend order by title")
    assert found.fetchall() == [
        ("hours steady, reach steady", 20.0, 30.0, 50.0),
        ("hours up, reach steady", 20.0, 40.0, 50.0),
        ("hours steady, reach steady", 20.0, None, None),
    ]
    database.execute("rollback")


def add_to_ledger(db: duckdb.DuckDBPyConnection, name: str) -> None:
    """Record a complete audience of a period."""
    period = Period.parse(name)
    row = row_of(Entry("audience_base", name, 1, "r", "d", 0, hours=period.hours, hours_expected=period.hours))
    db.execute(f"insert into load_ledger ({', '.join(row)}) values ({', '.join('?' * len(row))})", [*row.values()])  # noqa: S608


AIRED: dict[int, list[date | None]] = {
    1: [date(2026, 1, 2), date(2026, 1, 9)],  # watched
    2: [date(2026, 1, 2), None],  # never watched
    3: [date(2026, 1, 1)],  # watched before the week
    4: [date(2026, 1, 5), date(2026, 1, 20)],  # by too few to say how many
    5: [date(2026, 1, 12)],  # airs after the week
    6: [date(2026, 1, 6)],  # by 4 of 50,000
    7: [date(2026, 1, 6)],  # by 5 of 50,000
    8: [None],  # played, but not for a second
    9: [date(2026, 1, 3)],  # watched before and after the week
}
OF_THE_WEEK = [
    figures(1, 500, 2000),
    figures(4, 0.5, None),
    figures(6, 2, 4),
    figures(7, 2, 5),
    figures(8, 0, 0),
    figures(0, 90, 300),
]
OF_DAYS = {
    date(2026, 1, 2): [figures(1, 9, 90), figures(3, 3, 20), figures(9, 1, None)],
    date(2026, 1, 3): [figures(1, 9, 90), figures(3, 0, 0), figures(9, 1, None)],
    date(2026, 1, 6): [figures(1, 9, 90), figures(4, 0.5, None), figures(6, 1, None)],
    date(2026, 1, 7): [figures(6, 1, None), figures(8, 0, 0)],
    date(2026, 1, 13): [figures(9, 9, 90), figures(2, 9, 90)],
}


@pytest.fixture(scope="module")
def seldom(tmp_path_factory: pytest.TempPathFactory, new_kiosk: Callable[[], Kiosk]) -> Kiosk:
    """A kiosk of days before, in and after a week."""
    store = LocalStore(tmp_path_factory.mktemp("seldom") / "lake")
    small = SmallLake(store)
    numbers = iter(range(100, 200))
    small.capture(
        "2026-01-05",
        shows=[{"show_id": show, "name": f"Show {show}", "network_id": show % 2, "status": "Ended"} for show in AIRED],
        episodes=[
            {"episode_id": next(numbers), "show_id": show, "airdate": day}
            for show, days in AIRED.items()
            for day in days
        ],
        networks=[{"kind": "network", "network_id": 1, "name": "NBC"}],
    )
    base = {"country": "**", "watched_seconds": 100_000 * HOUR, "active_viewers": ACTIVE}
    for day, rows in OF_DAYS.items():
        small.audience(str(day), rows, [base], {"hours": 24})
    small.audience("2026-W02", OF_THE_WEEK, [base], {"hours": 168})
    kiosk = new_kiosk()
    load(store, kiosk)
    return kiosk


def test_what_nobody_watches(seldom: Kiosk) -> None:
    """Shows without viewing in the week, and with next to none, with their last day of play up to its end."""
    columns = "title, network, status, viewing, hours, reach, last_watched, loaded_from, episodes, newest_episode"
    first = date(2026, 1, 2)
    assert sorted(ask(seldom, "q_nobody_watches", columns, period="2026-W02")) == [
        ("Show 2", "Unknown", "Ended", "none", 0.0, 0, None, first, 2, date(2026, 1, 2)),
        ("Show 3", "NBC", "Ended", "none", 0.0, 0, date(2026, 1, 2), first, 1, date(2026, 1, 1)),
        ("Show 4", "Unknown", "Ended", "next to none", 0.5, None, date(2026, 1, 6), first, 1, date(2026, 1, 5)),
        ("Show 6", "Unknown", "Ended", "next to none", 2.0, 4, date(2026, 1, 7), first, 1, date(2026, 1, 6)),
        ("Show 8", "Unknown", "Ended", "none", 0.0, 0, None, first, 1, None),
        ("Show 9", "NBC", "Ended", "none", 0.0, 0, date(2026, 1, 3), first, 1, date(2026, 1, 3)),
    ]


def test_what_nobody_watches_is_that_of_the_oracle(seldom: Kiosk) -> None:
    """The oracle finds the same shows, in the week and on one of its days."""
    for period, rows, end in (
        ("2026-W02", OF_THE_WEEK, date(2026, 1, 11)),
        ("2026-01-06", OF_DAYS[date(2026, 1, 6)], date(2026, 1, 6)),
    ):
        expected = find_unwatched(AIRED, rows, OF_DAYS, end, ACTIVE)
        columns = ("viewing", "reach", "last_watched", "episodes", "newest_episode")
        found = ask(seldom, "q_nobody_watches", f"title, {', '.join(columns)}", period=period)
        assert {title: tuple(rest) for title, *rest in found} == {
            f"Show {show}": tuple(one[name] for name in columns) for show, one in expected.items()
        }
        assert len(found) > 4


def departure(
    show: int, kind: str, compared: int | None, seen: int = 0, expected: float = 0, variance: float = 0
) -> Row:
    """Return a row of departure, in which twice as many viewers are counted as are compared."""
    known = compared is not None
    return {
        "show_id": show,
        "kind": kind,
        "ended": date(2026, 1, 1),
        "days_before": 28,
        "viewers": 2 * compared if compared is not None else 12,
        "seen_again": 0,
        "compared": compared,
        "compared_seen": seen if known else None,
        "expected_seen": expected if known else None,
        "expected_variance": variance if known else None,
    }


# Show 1: 30 of 100 sole viewers instead of 80. Show 2: 5 fewer of 100, within chance: q = 81 / 102, and the root of
# 100 q (1 - q) is 4.04, three times is 12.1. Show 3: 30 fewer, but few are alike: 3 sqrt(16.3 + 100) is 32.4. Show 4
# has more than expected, show 5 too few, and show 6 none to compare.
LEFT = [
    departure(1, "sole", 100, 30, 80),
    departure(1, "other", 100, 75, 80),
    departure(2, "sole", 100, 75, 80),
    departure(3, "sole", 100, 50, 80, 100),
    departure(4, "near_sole", 50, 49, 25),
    departure(5, "sole", 49, 0, 49),
    departure(6, "sole", None),
]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory, new_kiosk: Callable[[], Kiosk]) -> Kiosk:
    """A kiosk with shows that ended, in two weeks, and generated ones."""
    store = LocalStore(tmp_path_factory.mktemp("left") / "lake")
    small = SmallLake(store)
    small.capture("2026-01-05", shows=[{"show_id": show, "name": f"Show {show}"} for show in range(1, 200)])
    base = [{"country": "**", "watched_seconds": 9, "active_viewers": ACTIVE}]
    for week, rows in (("2026-W05", LEFT[:3]), ("2026-W06", LEFT[3:]), ("2026-W07", generated_departures())):
        small.publish(keys.AUDIENCE, week, {AUDIENCE: [], AUDIENCE_BASE: base, DEPARTURE: rows}, {"hours": 168})
    kiosk = new_kiosk()
    load(store, kiosk)
    return kiosk


def generated_departures() -> list[Row]:
    """Return rows of shows 100 to 159, with numbers of all sizes."""
    rng = Random(1)  # noqa: S311 - nothing to hide
    rows = []
    for show in range(100, 160):
        for kind in ("sole", "near_sole", "other"):
            compared = rng.choice([None, 10, 49, 50, 500, 5000])
            seen, expected = (rng.randrange((compared or 0) + 1) for _ in range(2))
            rows.append(departure(show, kind, compared, seen, expected, rng.choice([0, 0.5, 90.25])))
    return rows


def test_lost_viewers_by_hand(left: Kiosk) -> None:
    """The viewers of a show left, stayed, did as viewers alike, or are too few to tell."""
    columns = (
        "title, kind, verdict, viewers, compared, seen_again_percent, expected_percent, difference_points, noise_points"
    )
    found = ask(left, "q_lost_viewers", columns, "ended is not null", period="2026-W06")
    assert sorted(found) == [
        ("Show 1", "other", "as viewers alike", 200, 100, 75.0, 80.0, -5.0, 12.1),
        ("Show 1", "sole", "more of them left", 200, 100, 30.0, 80.0, -50.0, 12.1),
        ("Show 2", "sole", "as viewers alike", 200, 100, 75.0, 80.0, -5.0, 12.1),
        ("Show 3", "sole", "as viewers alike", 200, 100, 50.0, 80.0, -30.0, 32.4),
        ("Show 4", "near_sole", "more of them stayed", 100, 50, 98.0, 50.0, 48.0, 21.2),
        ("Show 5", "sole", "too few to tell", 98, 49, 0.0, 100.0, -100.0, 5.9),
        ("Show 6", "sole", "too few to tell", 12, None, None, None, None, None),
    ]
    columns = "kind, verdict, viewers, compared, seen_again_percent, expected_percent, days_before"
    assert sorted(ask(left, "q_lost_viewers", columns, "ended is null", period="2026-W06")) == [
        ("near_sole", "more of them stayed", 100, 50, 98.0, 50.0, None),
        ("other", "as viewers alike", 200, 100, 75.0, 80.0, None),
        ("sole", "more of them left", 710, 349, 44.4, 82.8, None),
    ]
    assert len(ask(left, "q_lost_viewers", "title", "ended is not null", period="2026-W05")) == 3


def test_lost_viewers_are_those_of_the_oracle(left: Kiosk) -> None:
    """Every generated show, and the sum of all, has the verdict that loops find in fractions."""
    rows = [*LEFT, *generated_departures()]
    sums = [add_up([row for row in rows if row["kind"] == kind]) for kind in ("sole", "near_sole", "other")]
    names = [*(f"Show {row['show_id']}" for row in rows), *["All shows"] * len(sums)]
    expected = {
        (name, row["kind"]): (judge_departure(row), row["viewers"], row["compared"])
        for name, row in zip(names, [*rows, *sums], strict=True)
    }
    found = ask(left, "q_lost_viewers", "title, kind, verdict, viewers, compared", period="2026-W07")
    assert {(title, kind): tuple(rest) for title, kind, *rest in found} == expected
    assert len({verdict for _, _, verdict, *_ in found}) == 4
