"""Creates the lake for the benchmark of the mart: a schedule, and the viewership of whole days, always the same."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from marquee.calendar import Period
from marquee.lake import keys
from marquee.lake.datasets import COUNTRIES, EPISODES, GENRES, NETWORKS, SHOWS, VIEWERSHIP, Dataset
from marquee.lake.files import write_output
from marquee.lake.manifest import Marker, now_text
from marquee.lake.markers import publish
from marquee.storage.local import LocalStore

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = 24
SHOWS_LISTED = 500
EPISODES_LISTED = 8_000
LISTED = {
    "AU": 10,
    "BR": -3,
    "DE": 1,
    "ES": 1,
    "FR": 1,
    "GB": 0,
    "IN": 5,
    "IT": 1,
    "JP": 9,
    "KR": 9,
    "MX": -6,
    "US": -5,
}
"""Countries, with their offset from UTC in hours."""
DEVICES = ("desktop", "phone", "tablet", "tv")
_MADE = datetime(2026, 2, 1, tzinfo=UTC)


def make_schedule(store: LocalStore) -> None:
    """Capture a schedule with every episode."""
    shows = [
        {
            "show_id": number,
            "name": f"Show {number}",
            "language": "Korean",
            "status": "Running",
            "updated": _naive(_MADE),
        }
        for number in range(1, SHOWS_LISTED + 1)
    ]
    episodes = [
        {"episode_id": number, "show_id": 1 + number % SHOWS_LISTED, "name": f"Episode {number}"}
        for number in range(1, EPISODES_LISTED + 1)
    ]
    countries = [{"country": code, "name": f"Country {code}"} for code in LISTED]
    rows = {SHOWS: shows, EPISODES: episodes, NETWORKS: [], COUNTRIES: countries, GENRES: []}
    tables = {dataset: pa.Table.from_pylist(one, dataset.schema) for dataset, one in rows.items()}
    publish_tables(store, keys.SCHEDULE_FETCH, day_name(0), tables)


def make_day(store: LocalStore, day: int, rows: int) -> list[pa.Table]:
    """Roll up the hours of a day, numbered from 0, with this number of rows in total; return the rows of each hour."""
    hours = [make_hour(FIRST_DAY + timedelta(days=day, hours=hour), rows // HOURS) for hour in range(HOURS)]
    for hour, table in enumerate(hours):
        publish_tables(store, keys.ROLLUP, f"{day_name(day)}T{hour:02}", {VIEWERSHIP: table})
    return hours


def make_hour(start: datetime, rows: int) -> pa.Table:
    """Return the viewership of an hour, sorted by its key."""
    random = np.random.default_rng(int(start.timestamp()))
    kinds = EPISODES_LISTED * len(LISTED) * len(DEVICES)
    chosen = np.sort(random.choice(kinds, rows, replace=False))
    episode, rest = np.divmod(chosen, len(LISTED) * len(DEVICES))
    country, device = np.divmod(rest, len(DEVICES))
    plays = random.geometric(0.02, rows)
    local = (start.hour + np.array(list(LISTED.values()))[country]) % HOURS
    columns = {
        "hour": pa.array([_naive(start)] * rows, VIEWERSHIP.schema.field("hour").type),
        "episode_id": episode + 1,
        "country": np.array(list(LISTED))[country],
        "local_hour": local,
        "device": np.array(DEVICES)[device],
        "plays": plays,
        "watched_seconds": plays * 60 - random.integers(0, 60, rows),
        "viewer_bits": random.integers(1, 1 << 64, rows, np.uint64),
    }
    return pa.table(columns).select(VIEWERSHIP.schema.names).cast(VIEWERSHIP.schema)


def day_name(day: int) -> str:
    """Return the name of a day, numbered from 0."""
    return f"{FIRST_DAY + timedelta(days=day):%Y-%m-%d}"


def publish_tables(
    store: LocalStore,
    stage: str,
    period: str,
    tables: Mapping[Dataset, pa.Table],
    counts: Mapping[str, int] | None = None,
) -> None:
    """Publish tables as the first run of a period."""
    run_id = keys.new_run_id(_MADE)
    prefix = keys.run_prefix(stage, Period.parse(period), run_id)
    marker = Marker(
        stage=stage,
        period=period,
        generation=1,
        run_id=run_id,
        code_version="0",
        definition_version="1",
        parameters={},
        inputs=(),
        inputs_digest="",
        outputs=tuple(write_output(store, prefix, dataset, rows) for dataset, rows in tables.items()),
        counts=counts or {},
        started_at=now_text(_MADE),
        finished_at=now_text(_MADE),
    )
    publish(store, marker, None)


def _naive(instant: datetime) -> datetime:
    return instant.replace(tzinfo=None)
