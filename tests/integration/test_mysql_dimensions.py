"""Captures of the schedule in any order and grouping give the same dimensions in MySQL as in DuckDB.

DuckDB builds the dimensions from all captures; MySQL merges captures into existing rows. A day fetched again, days out
of order, and shows that vanish, return, end, resume or change their network must leave no trace of the order.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marquee.storage.local import LocalStore
from tests.helpers_mart import SmallLake, load
from tests.helpers_mysql import Content, all_rows, load_mysql
from tests.mariadb_server import MysqlDatabase

DAYS = ("2026-01-05", "2026-01-06", "2026-01-07")
UPDATED = datetime(2026, 1, 1)  # noqa: DTZ001 - as the lake has it
SHOW = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["Cases", "Pokémon", "Pokemon", None]),
        "status": st.sampled_from(["Running", "Ended"]),
        "language": st.sampled_from(["Korean", "English", None]),
        "network_id": st.sampled_from([7, 8, None]),
        "updated": st.integers(0, 3).map(lambda days: UPDATED + timedelta(days=days)) | st.none(),
    }
)
CAPTURE = st.fixed_dictionaries(
    {
        "day": st.sampled_from(DAYS),
        "shows": st.dictionaries(st.sampled_from([1, 2, 3]), SHOW, max_size=3),
        "genres": st.sets(st.tuples(st.sampled_from([1, 2]), st.sampled_from(["Crime", "crime", "Drama"])), max_size=3),
        "countries": st.sets(st.sampled_from(["KR", "US", "JP"])),
        "load": st.booleans(),
    }
)


def capture(small: SmallLake, day: str, shows: dict[int, dict[str, Any]], genres: Any, countries: Any) -> None:
    """Capture a day: each show has an episode of its own, on networks of the captured countries."""
    small.capture(
        day,
        shows=[{"show_id": show, **columns} for show, columns in shows.items()],
        episodes=[{"episode_id": 10 * show + int(day[-1]) % 2, "show_id": show} for show in shows],
        genres=[{"show_id": show, "genre": genre} for show, genre in sorted(genres) if show in shows],
        networks=[
            {"kind": "network", "network_id": number, "name": f"of {day}", "country": country}
            for number, country in enumerate(sorted(countries), start=7)
        ],
        countries=[{"country": country, "name": f"Country {country}"} for country in sorted(countries)],
    )


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(captures=st.lists(CAPTURE, min_size=1, max_size=5))
def test_the_way_there_leaves_no_trace(
    captures: Sequence[dict[str, Any]], mysql_mart: MysqlDatabase, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A mart loaded after some captures and after the last, over any earlier content, equals one loaded at once."""
    folder = tmp_path_factory.mktemp("merge")
    small = SmallLake(LocalStore(folder / "lake"))
    small.hour("2026-01-05T00", (10, "KR", 9, "tv", 60), (21, "US", 19, "tv", 60), (99, "BR", 21, "tv", 60))
    for number, one in enumerate(captures, start=1):
        capture(small, one["day"], one["shows"], one["genres"], one["countries"])
        if one["load"] or number == len(captures):
            assert load_mysql(small.store, mysql_mart, force=True).exit_code == 0
    kiosk = folder / "kiosk.duckdb"
    assert load(small.store, kiosk).exit_code == 0
    assert without_ledger(all_rows(mysql_mart)) == without_ledger(all_rows(kiosk))


def without_ledger(rows: Content) -> Content:
    """Leave out the ledger, because the mart in MySQL has also seen days of other lakes."""
    return {name: those for name, those in rows.items() if name != "load_ledger"}
