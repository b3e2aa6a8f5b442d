"""Marts in MySQL: their settings, loading them, and all that is in them, to be compared with a kiosk in DuckDB."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from jobs.common.commit import Markers
from jobs.common.store import LocalStore, Store
from jobs.mart_load import schema
from jobs.mart_load.load import MartReport, load_mart
from jobs.mart_load.settings import MartLoadSettings, MartSettings
from tests.helpers_mart import SmallLake, content
from tests.mariadb_server import MysqlDatabase

Content = Mapping[str, Sequence[tuple[Any, ...]]]
"""The rows of each table, in an order that depends on nothing else."""

TABLES = [one.name for one in schema.relations() if one.kind == "table"]


def small_lake(store: LocalStore) -> SmallLake:
    """Make a lake with a captured day, two hours of a day, and the audience of the day."""
    small = SmallLake(store)
    small.capture(
        "2026-01-05",
        shows=[{"show_id": 1, "name": "Cases", "language": "Korean", "network_id": 7, "status": "Running"}],
        episodes=[{"episode_id": 11, "show_id": 1}, {"episode_id": 12, "show_id": 1}],
        genres=[{"show_id": 1, "genre": "Crime"}],
        networks=[{"kind": "network", "network_id": 7, "name": "tvN", "country": "KR"}],
        countries=[{"country": "KR", "name": "Korea, Republic of"}],
    )
    small.hour("2026-01-05T00", (11, "KR", 9, "tv", 600), (99, "US", 19, "tv", 60))
    small.hour("2026-01-05T01", (12, "KR", 10, "tv", 120))
    watched = {"show_id": 1, "country": "**", "reach": 60, "watched_seconds": 720}
    small.audience("2026-01-05", [watched], [{"country": "**", "watched_seconds": 780}])
    return small


def restate(small: SmallLake, seconds: int) -> None:
    """Make every stage's marker anew: a changed show, an hour with another unknown episode, an audience."""
    small.capture(
        "2026-01-05", shows=[{"show_id": 1, "name": f"Cases, {seconds}"}], episodes=[{"episode_id": 11, "show_id": 1}]
    )
    small.hour("2026-01-05T00", (11, "KR", 9, "tv", seconds), (1000 + seconds, "JP", 8, "tv", 60))
    small.audience("2026-01-05", [], [{"country": "**", "watched_seconds": seconds}])


def settings_of(database: MysqlDatabase, **more: Any) -> MartSettings:
    """Make the settings of a mart in a database; of timeouts short ones, unless told otherwise."""
    given = {"url": database.url, "password": SecretStr(database.password), "lock_timeout_s": 1, **more}
    return MartSettings(**given)


def url_at(database: MysqlDatabase, port: int) -> str:
    """Return the URL of a mart behind a proxy."""
    return f"mysql://{database.user}@127.0.0.1:{port}/{database.name}"


def load_mysql(store: Store, database: MysqlDatabase, *, force: bool = False, **more: Any) -> MartReport:
    """Load a mart as a new process would: with markers read anew."""
    settings = MartLoadSettings(lake=store.url, mart=settings_of(database, **more))
    return load_mart(settings, Markers(store), force=force)


def content_of_mysql(database: MysqlDatabase) -> Content:
    """Return every row of a mart's tables; the times of loading are left out."""
    rows = {}
    with database.connect() as connection, connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"select * from {table}")  # noqa: S608 - our own names
            left = [number for number, (name, *_) in enumerate(cursor.description or ()) if name != "loaded_at"]
            rows[table] = _sorted([tuple(row[number] for number in left) for row in cursor.fetchall()])
    return rows


def content_of_duckdb(kiosk: Path) -> Content:
    """Return the same of a kiosk in a file."""
    return {name: _sorted(rows) for name, rows in content(kiosk, TABLES).items()}


def _sorted(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(rows, key=lambda row: [(cell is None, str(cell)) for cell in row])
