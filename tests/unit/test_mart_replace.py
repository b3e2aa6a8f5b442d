"""In a DuckDB file, the audience of a period is replaced key by key: in place, without the keys that are gone."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from marquee.calendar import Period
from marquee.lake import keys
from marquee.mart.duckdb.mart import open_duckdb_mart
from marquee.mart.ledger import Change, Item, LoadStatus, Step
from tests.helpers_mart import kiosk_of, marker_of, rows_of

Row = tuple[str, str, int | None]
"""Genre, country and reach."""

JANUARY: Sequence[Row] = [("Crime", "**", 30), ("Crime", "KR", 20), ("Drama", "KR", 7)]
FEBRUARY: Sequence[Row] = [("Crime", "**", 99), ("Drama", "KR", 99)]


@pytest.fixture
def kiosk(tmp_path: Path) -> Path:
    """The file of a mart with the audiences of two months."""
    path = tmp_path / "mart.duckdb"
    load(path, {"2026-01": JANUARY, "2026-02": FEBRUARY})
    return path


def load(kiosk: Path, genres: Mapping[str, Sequence[Row]], countries: Sequence[str] = ()) -> None:
    """Load the audience of genres of each period given, and the base of these countries, each period on its own."""
    with open_duckdb_mart(kiosk_of(kiosk)) as mart:
        for period, rows in genres.items():
            marker = marker_of(keys.AUDIENCE, period, 1, "20260301T000000-1")
            item = Item(keys.AUDIENCE, Period.parse(period), marker, LoadStatus.STALE)
            step = Step(item.stage, item.period, (item,))
            change = Change.of(step, datetime(2026, 3, 1, tzinfo=UTC), force=False)
            tables = {
                "fact_audience_genre": pa.table(
                    {
                        "period": pa.array([period] * len(rows), pa.string()),
                        "genre": pa.array([genre for genre, _, _ in rows], pa.string()),
                        "country": pa.array([country for _, country, _ in rows], pa.string()),
                        "reach": pa.array([reach for _, _, reach in rows], pa.int64()),
                    }
                ),
                "fact_audience_base": pa.table(
                    {
                        "period": pa.array([period] * len(countries), pa.string()),
                        "country": pa.array(countries, pa.string()),
                    }
                ),
            }
            assert mart.load_audience(tables, change)


def genres_of(kiosk: Path, period: str) -> list[Row]:
    """Return the rows of a period, by key."""
    query = f"select genre, country, reach from fact_audience_genre where period = '{period}' order by all"  # noqa: S608
    return [(genre, country, reach) for genre, country, reach in rows_of(kiosk, query)]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([("Crime", "**", 31), ("Crime", "KR", 21), ("Drama", "KR", 8)], id="all have other values"),
        pytest.param([("Crime", "**", 30), ("Crime", "KR", None), ("Drama", "KR", 7)], id="one value is withheld now"),
        pytest.param([("Crime", "**", 30), ("Drama", "KR", 7)], id="one is gone"),
        pytest.param([("Crime", "**", 30), ("Crime", "BR", 1), *JANUARY[1:]], id="one is new"),
        pytest.param([("Crime", "**", 33), ("Crime", "BR", 13), ("Drama", "KR", 7)], id="of each kind one"),
        pytest.param([("Sports", "US", 5)], id="all are others"),
        pytest.param([], id="all are gone"),
    ],
)
def test_a_period_has_the_rows_of_its_last_load(kiosk: Path, rows: Sequence[Row]) -> None:
    """The rows of a period are those loaded last, also the second time, and after a return to the first rows.

    Rows of another period stay, with the same genres and countries.
    """
    for loaded in (rows, rows, JANUARY, rows):
        load(kiosk, {"2026-01": loaded})
        assert genres_of(kiosk, "2026-01") == sorted(loaded, key=lambda row: row[:2])
        assert genres_of(kiosk, "2026-02") == FEBRUARY


def test_a_period_is_replaced_for_each_load_of_one_file(kiosk: Path) -> None:
    """Two periods that are replaced while the file is open have their own rows each."""
    load(kiosk, {"2026-02": JANUARY, "2026-01": FEBRUARY})
    assert genres_of(kiosk, "2026-01") == FEBRUARY
    assert genres_of(kiosk, "2026-02") == JANUARY


def test_a_country_goes_with_the_last_row_that_names_it(kiosk: Path) -> None:
    """A country that no capture names is there while the base of a period names it."""
    unnamed = "select country from dim_country where name is null"
    load(kiosk, {"2026-01": JANUARY, "2026-02": FEBRUARY}, ["XF", "XK"])
    assert rows_of(kiosk, f"{unnamed} order by 1") == [("XF",), ("XK",)]
    load(kiosk, {"2026-01": JANUARY}, ["XK"])
    assert rows_of(kiosk, f"{unnamed} order by 1") == [("XF",), ("XK",)]
    load(kiosk, {"2026-02": FEBRUARY}, ["XK"])
    assert rows_of(kiosk, unnamed) == [("XK",)]
