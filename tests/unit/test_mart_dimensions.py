"""Dimensions of the kiosk: the latest of several captures, and the history of each show, in any order of captures."""

import itertools
import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from jobs.mart_load.dimensions import DIMENSIONS, make_dimensions
from marquee.calendar import Period
from marquee.lake import keys
from marquee.lake.markers import Markers
from marquee.storage.local import LocalStore
from tests import made_up_schedule as made_up
from tests.helpers_mart import Row, SmallLake
from tests.helpers_schedule import normalise

JAN, FEB, MAR = datetime(2026, 1, 1), datetime(2026, 2, 1), datetime(2026, 3, 1)  # noqa: DTZ001 - as the lake has them


def dimension(store: LocalStore, name: str, *columns: str) -> list[tuple[Any, ...]]:
    """Return these columns of the rows of a dimension, without those that stand for several shows or episodes."""
    table = make_dimensions(Markers(store))[name]
    least = {"dim_show": ("show_id", 0), "dim_episode": ("episode_id", 1)}
    if name in least:
        key, first = least[name]
        table = table.filter(pc.field(key) >= first)
    return [tuple(row.values()) for row in table.select(list(columns)).to_pylist()]


def test_an_empty_lake_has_the_fixed_rows(lake: LocalStore) -> None:
    """The dimensions of an empty lake have the countries of ISO 3166, the unknown show, and what stands for several."""
    rows = {name: table.num_rows for name, table in make_dimensions(Markers(lake)).items()}
    assert {name for name, count in rows.items() if count} == {"dim_country", "dim_show", "dim_episode"}
    countries = dimension(lake, "dim_country", "country", "name")
    assert countries[:2] == [("**", "worldwide"), ("..", "other countries")]
    assert {("JP", "Japan"), ("KR", "Korea (South)"), ("US", "United States")} <= set(countries)
    assert dimension(lake, "dim_show", "show_id", "label") == [(0, "not in any captured schedule")]


def test_what_stands_for_several_has_rows(lake: LocalStore) -> None:
    """Several shows have a row, and so have several episodes of each show, of which viewership may be."""
    SmallLake(lake).capture("2026-01-05", shows=[{"show_id": 7, "name": "Cases"}])
    made = make_dimensions(Markers(lake))
    shows, episodes = made["dim_show"].to_pylist(), made["dim_episode"].to_pylist()
    assert (shows[0]["show_id"], shows[0]["label"]) == (-1, "other shows")
    assert [(one["episode_id"], one["show_id"], one["name"]) for one in episodes] == [
        (-8, 7, "other episodes"),
        (0, -1, "other episodes"),
    ]


def test_the_show_updated_last_counts(lake: LocalStore) -> None:
    """The version of a show with the latest update counts, even if an older answer was captured later."""
    small = SmallLake(lake)
    small.capture(
        "2026-01-05", shows=[{"show_id": 1, "name": "New", "updated": FEB}], genres=[{"show_id": 1, "genre": "War"}]
    )
    small.capture(
        "2026-01-06", shows=[{"show_id": 1, "name": "Old", "updated": JAN}], genres=[{"show_id": 1, "genre": "DIY"}]
    )
    assert dimension(lake, "dim_show", "show_id", "name")[1:] == [(1, "New")]
    assert dimension(lake, "dim_show_genre", "show_id", "genre") == [(1, "War")]
    assert dimension(lake, "dim_genre", "genre") == [("DIY",), ("War",)]


def test_of_equal_shows_the_one_fetched_last_counts(lake: LocalStore) -> None:
    """Of versions with the same update the one fetched last counts, with its genres only."""
    small = SmallLake(lake)
    small.capture(
        "2026-01-06", shows=[{"show_id": 1, "name": "Old", "updated": JAN}], genres=[{"show_id": 1, "genre": "DIY"}]
    )
    small.capture("2026-01-05", shows=[{"show_id": 1, "name": "New", "updated": JAN}])
    assert dimension(lake, "dim_show", "show_id", "name")[1:] == [(1, "New")]
    assert dimension(lake, "dim_show_genre", "show_id", "genre") == []


def test_an_episode_follows_its_show(lake: LocalStore) -> None:
    """An episode comes from the capture with the latest version of its show, and may move to another show."""
    small = SmallLake(lake)
    small.capture(
        "2026-01-05",
        shows=[{"show_id": 1, "updated": JAN}],
        episodes=[{"episode_id": 11, "show_id": 1, "name": "Pilot"}, {"episode_id": 12, "show_id": 1, "name": "Two"}],
    )
    small.capture(
        "2026-01-06",
        shows=[{"show_id": 2, "updated": FEB}],
        episodes=[{"episode_id": 11, "show_id": 2, "name": "Pilot, again"}],
    )
    assert dimension(lake, "dim_episode", "episode_id", "show_id", "name") == [(11, 2, "Pilot, again"), (12, 1, "Two")]


def test_names_that_collide_are_told_apart(lake: LocalStore) -> None:
    """Shows with the same name and shows without a name have their ids in the label; case and accents count."""
    names = {1: "The Traitors", 2: "The Traitors", 3: "Pokemon", 4: "Pokémon", 5: None}
    SmallLake(lake).capture("2026-01-05", shows=[{"show_id": one, "name": name} for one, name in names.items()])
    assert dimension(lake, "dim_show", "show_id", "label")[1:] == [
        (1, "The Traitors (#1)"),
        (2, "The Traitors (#2)"),
        (3, "Pokemon"),
        (4, "Pokémon"),
        (5, "#5"),
    ]


def test_networks_and_countries_are_as_fetched_last(lake: LocalStore) -> None:
    """Networks and countries are as fetched last, and other countries of ISO 3166 have its names.

    A network and a web channel may have the same id.
    """
    small = SmallLake(lake)
    small.capture(
        "2026-01-06",
        networks=[{"kind": "network", "network_id": 1, "name": "Old"}, {"kind": "web", "network_id": 1, "name": "Web"}],
        countries=[{"country": "CA", "name": "Canada", "timezone": "America/Halifax"}],
        shows=[{"show_id": 1, "language": "Korean", "dvd_country": "XK"}, {"show_id": 2, "language": None}],
    )
    small.capture(
        "2026-01-05",
        networks=[{"kind": "network", "network_id": 1, "name": "New", "country": "NO"}],
        countries=[
            {"country": "CA", "name": "Canada", "timezone": "America/Toronto"},
            {"country": "KR", "name": "South Korea"},
        ],
    )
    assert dimension(lake, "dim_network", "kind", "network_id", "name") == [("network", 1, "New"), ("web", 1, "Web")]
    countries = {code: rest for code, *rest in dimension(lake, "dim_country", "country", "name", "timezone")}
    assert countries["**"] == ["worldwide", None]
    assert countries["CA"] == ["Canada", "America/Toronto"]
    assert countries["KR"] == ["South Korea", None]
    assert countries["NO"] == ["Norway", None]
    assert countries["XK"] == [None, None]
    assert dimension(lake, "dim_language", "language") == [("Korean",)]


ENDED = {"status": "Ended", "ended": date(2025, 12, 24)}
RUNNING = {"status": "Running", "ended": None}


@pytest.mark.parametrize(
    ("captures", "versions"),
    [
        (
            [{**RUNNING, "updated": JAN}, {**ENDED, "updated": FEB}, {**RUNNING, "updated": MAR}],
            [(JAN, FEB, "Running"), (FEB, MAR, "Ended"), (MAR, None, "Running")],
        ),
        (
            [
                {**RUNNING, "updated": JAN, "weight": 1, "rating": 5.0, "average_runtime_minutes": 40, "image": "a"},
                {**RUNNING, "updated": FEB, "weight": 2, "rating": 6.0, "average_runtime_minutes": 41, "image": "b"},
            ],
            [(JAN, None, "Running")],
        ),
        ([{**RUNNING, "updated": MAR}, {**ENDED, "updated": JAN}], [(JAN, MAR, "Ended"), (MAR, None, "Running")]),
        ([{**RUNNING, "updated": JAN}, None, {**RUNNING, "updated": JAN}], [(JAN, None, "Running")]),
        ([{**RUNNING, "updated": JAN}, None, {**ENDED, "updated": MAR}], [(JAN, MAR, "Running"), (MAR, None, "Ended")]),
        ([{**RUNNING, "updated": JAN}, {**ENDED, "updated": JAN}], [(JAN, None, "Ended")]),
        ([{**RUNNING, "updated": JAN}, {**ENDED}], [(JAN, None, "Running")]),
        (
            [{**RUNNING}, {**ENDED}],
            [
                (datetime(2026, 2, 1, 0, 1), datetime(2026, 2, 1, 0, 2), "Running"),  # noqa: DTZ001
                (datetime(2026, 2, 1, 0, 2), None, "Ended"),  # noqa: DTZ001
            ],
        ),
    ],
    ids=[
        "ends and runs again",
        "weight, rating, average runtime, image and updated alone are no change",
        "an old answer captured late takes its place in time",
        "vanishes and comes back as it was",
        "vanishes and comes back changed",
        "of two answers of one time the one fetched last counts",
        "without a time of change where there are others: left out",
        "never a time of change: the time of fetching",
    ],
)
def test_history(lake: LocalStore, captures: list[Row | None], versions: list[tuple[Any, ...]]) -> None:
    """The history of a show has a version for each change, in the order of updates. None is a day without the show."""
    small = SmallLake(lake)
    for number, show in enumerate(captures, start=1):
        small.capture(f"2026-01-{number:02}", shows=[{"show_id": 1, **show}] if show else [])
    assert dimension(lake, "show_history", "valid_from", "valid_to", "status") == versions


@pytest.mark.parametrize(
    ("column", "before", "after"),
    [
        ("network_id", 1, 2),
        ("web_channel_id", None, 1),
        ("name", "Pokemon", "Pokémon"),
        ("language", "Korean", None),
        ("runtime_minutes", 30, 45),
        ("schedule_days", "Monday", "Monday, Tuesday"),
        ("type", "Scripted", "Reality"),
        ("ended", date(2025, 12, 24), date(2026, 12, 24)),
    ],
)
def test_what_is_followed(lake: LocalStore, column: str, before: object, after: object) -> None:
    """A change in any of these columns is a new version of the show."""
    small = SmallLake(lake)
    small.capture("2026-01-01", shows=[{"show_id": 1, "updated": JAN, column: before}])
    small.capture("2026-01-02", shows=[{"show_id": 1, "updated": FEB, column: after}])
    assert dimension(lake, "show_history", "valid_from", column) == [(JAN, before), (FEB, after)]


def test_genres_are_followed(lake: LocalStore) -> None:
    """A change of genres is a new version, and their order at the service is not."""
    small = SmallLake(lake)
    updates = {"2026-01-01": JAN, "2026-01-02": FEB, "2026-01-03": MAR}
    genres = {"2026-01-01": ["Drama", "Crime"], "2026-01-02": ["Crime", "Drama"], "2026-01-03": []}
    for day, updated in updates.items():
        rows = [{"show_id": 1, "genre": genre} for genre in genres[day]]
        small.capture(day, shows=[{"show_id": 1, "updated": updated}], genres=rows)
    assert dimension(lake, "show_history", "valid_from", "genres") == [(JAN, "Crime, Drama"), (MAR, None)]


# A lake has one capture of a day, so later answers for the same days are captured as the days after.
CAPTURED = {
    "2020-12-10": made_up.EARLIER["2020-12-10"],
    "2020-12-21": made_up.EARLIER["2020-12-21"],
    "2020-12-11": made_up.LATER["2020-12-10"],
    "2020-12-22": made_up.LATER["2020-12-21"],
}
RECORDED = {
    # Requested day: recording. Each day of December 2020 has two recordings.
    "2020-12-10": "web-2020-12-recorded-2022-07/2020-12-10.json",
    "2020-12-21": "web-2020-12-recorded-2022-07/2020-12-21.json",
    "2020-12-11": "web-2020-12-recorded-2022-09/request_2020-12-10.json",
    "2020-12-22": "web-2020-12-recorded-2022-09/request_2020-12-21.json",
}


def capture(store: LocalStore, answers: Mapping[str, Sequence[Row]]) -> None:
    """Capture these answers, one day after another."""
    small = SmallLake(store)
    for day, answer in answers.items():
        small.publish(keys.SCHEDULE_FETCH, day, normalise({"web": [*answer]}).tables)


def recorded(tvmaze: Path) -> dict[str, list[Row]]:
    """Return the recorded answer for each day."""
    return {day: json.loads((tvmaze / name).read_text(encoding="utf-8")) for day, name in RECORDED.items()}


def instant(seconds: int) -> datetime:
    """Return the instant of a Unix time, in UTC without a zone, as the lake has it."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def test_shows_that_ran_again(lake: LocalStore) -> None:
    """Show 2 changes from Ended to Running between the captures, and show 3 from Ended to To Be Determined."""
    capture(lake, CAPTURED)
    history = dimension(lake, "show_history", "show_id", "valid_from", "valid_to", "status", "ended")
    assert [row for row in history if row[0] in {2, 3}] == [
        (2, instant(1607641557), instant(1662317888), "Ended", date(2020, 12, 10)),
        (2, instant(1662317888), None, "Running", None),
        (3, instant(1646749479), instant(1658531810), "Ended", date(2020, 12, 21)),
        (3, instant(1658531810), None, "To Be Determined", None),
    ]


def test_recorded_shows_that_ran_again(lake: LocalStore, tvmaze: Path) -> None:
    """Show 44654 changes from Ended to Running in the recordings, and 9815 to To Be Determined (data: TVmaze)."""
    capture(lake, recorded(tvmaze))
    history = dimension(lake, "show_history", "show_id", "valid_from", "valid_to", "status", "ended")
    instants = [instant(one) for one in (1607641557, 1662317888)]
    assert [row[1:] for row in history if row[0] == 44654] == [
        (instants[0], instants[1], "Ended", date(2020, 12, 10)),
        (instants[1], None, "Running", None),
    ]
    instants = [instant(one) for one in (1646749479, 1658531810)]
    assert [row[1:] for row in history if row[0] == 9815] == [
        (instants[0], instants[1], "Ended", date(2020, 12, 21)),
        (instants[1], None, "To Be Determined", None),
    ]


def test_the_order_of_publishing_is_no_matter(lake: LocalStore, tmp_path: Path) -> None:
    """Markers that arrive in any order give the same dimensions."""
    capture(lake, CAPTURED)
    check_that_order_is_no_matter(lake, tmp_path)


def test_the_order_of_recordings_is_no_matter(lake: LocalStore, tvmaze: Path, tmp_path: Path) -> None:
    """Markers of recorded answers in any order give the same dimensions (data: TVmaze)."""
    capture(lake, recorded(tvmaze))
    check_that_order_is_no_matter(lake, tmp_path)
    assert make_dimensions(Markers(lake))["dim_show"].num_rows > 100


def check_that_order_is_no_matter(lake: LocalStore, tmp_path: Path) -> None:
    """Check that lakes with the same markers in other orders have the same dimensions."""
    expected = make_dimensions(Markers(lake))
    assert expected["show_history"].num_rows > expected["dim_show"].num_rows - 1
    for number, order in enumerate(itertools.islice(itertools.permutations(RECORDED), 0, None, 7)):
        other = LocalStore(tmp_path / str(number))
        shutil.copytree(lake.root / "data", other.root / "data")
        for day in order:
            key = keys.success_key(keys.SCHEDULE_FETCH, Period.parse(day))
            other.put(key, lake.get(key))
        assert make_dimensions(Markers(other)) == expected


def test_all_dimensions_are_made(lake: LocalStore) -> None:
    """The dimensions are made in the order in which they are listed."""
    assert tuple(make_dimensions(Markers(lake))) == DIMENSIONS
