"""Helpers for tests of marts in MySQL: a small lake that changes in each stage, and settings of a mart."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from jobs.mart_load.load import load_mart
from jobs.mart_load.report import MartReport
from jobs.mart_load.settings import MartLoadSettings
from marquee.lake.markers import Markers
from marquee.mart.settings import MartSettings
from marquee.storage.base import Store
from marquee.storage.local import LocalStore
from tests.helpers_mart import Kiosk, SmallLake, content
from tests.mariadb_server import MysqlDatabase

Content = Mapping[str, Sequence[tuple[Any, ...]]]
"""The rows of each table."""

UPDATED = datetime(2026, 1, 1)  # noqa: DTZ001 - as the lake has it


def small_lake(store: LocalStore) -> SmallLake:
    """Make a lake with a captured day, two hours of a day, and the audience of the day."""
    small = SmallLake(store)
    show = {"show_id": 1, "name": "Cases", "language": "Korean", "network_id": 7, "updated": UPDATED}
    small.capture(
        "2026-01-05",
        shows=[show],
        episodes=[{"episode_id": 11, "show_id": 1}, {"episode_id": 12, "show_id": 1}],
        genres=[{"show_id": 1, "genre": "Crime"}],
        networks=[{"kind": "network", "network_id": 7, "name": "tvN", "country": "KR"}],
        countries=[{"country": "KR", "name": "Korea, Republic of"}],
    )
    small.hour("2026-01-05T00", (11, "KR", 9, "tv", 600), (99, "US", 19, "tv", 60))
    small.hour("2026-01-05T01", (12, "KR", 10, "tv", 120))
    small.audience("2026-01-05", [], [{"country": "**", "watched_seconds": 780}])
    return small


def restate(small: SmallLake, seconds: int) -> None:
    """Publish a new generation of each stage: a renamed show, an hour with another unknown episode, an audience."""
    show = {"show_id": 1, "name": f"Cases {seconds}", "updated": UPDATED}
    small.capture("2026-01-05", shows=[show], episodes=[{"episode_id": 11, "show_id": 1}])
    small.hour("2026-01-05T00", (11, "KR", 9, "tv", seconds), (1000 + seconds, "JP", 8, "tv", 60))
    watched = {"show_id": 1, "country": "**", "watched_seconds": seconds}
    small.audience("2026-01-05", [watched], [{"country": "**", "watched_seconds": seconds}])


def settings_of(database: MysqlDatabase, **more: Any) -> MartSettings:
    """Return the settings of a mart, with a short wait for locks, and none for the server, by default."""
    given = {"url": database.url, "password": database.password, "lock_timeout_s": 1, "min_cell": 1, "retry_for_s": 0}
    return MartSettings.model_validate({**given, **more})


def url_at(database: MysqlDatabase, port: int) -> str:
    """Return the URL of a mart behind a proxy."""
    return f"mysql://{database.user}@127.0.0.1:{port}/{database.name}"


def load_mysql(store: Store, database: MysqlDatabase, *, force: bool = False, **more: Any) -> MartReport:
    """Load a mart as a new process would, with fresh markers."""
    settings = MartLoadSettings(lake=store.url, mart=settings_of(database, **more))
    return load_mart(settings, Markers(store), force=force)


def all_rows(kiosk: Kiosk) -> Content:
    """Return the rows of each table of a mart, sorted by Python, without the times of loading."""
    return {name: sorted(rows, key=_by_text) for name, rows in content(kiosk).items()}


def _by_text(row: tuple[Any, ...]) -> list[tuple[bool, str]]:
    return [(cell is None, str(cell)) for cell in row]
