"""Dimensions in MySQL: adds names that facts bring, adds and drops orphans, and merges captured dimensions.

An *orphan* is an episode (show 0) or a country (without name and zone) that facts name but that is in no captured
schedule. It is added with the first fact that names it and dropped with the last. The search for orphans covers only
the names of the current load. It reads all facts only if an orphan may have lost its last fact.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from marquee.lake.datasets import UNKNOWN_SHOW
from marquee.mart.cells import HOURS
from marquee.mart.mysql import schema as mysql_schema
from marquee.mart.mysql.connection import MysqlSession, marks
from marquee.mart.mysql.infile import Infile
from marquee.mart.schema import Relation
from marquee.sql import Query, read_statements

_STAGED_NAMES = {"episode_id": "bigint not null", "country": "char(2) not null"}
BATCH = 1000


@dataclass
class Named:
    """Episodes and countries that facts name."""

    episodes: set[int] = field(default_factory=set)
    countries: set[str] = field(default_factory=set)

    def add(self, facts: pa.Table) -> None:
        """Add the names in these facts."""
        if "episode_id" in facts.column_names:
            self.episodes.update(pc.unique(facts["episode_id"]).to_pylist())
        self.countries.update(pc.unique(facts["country"]).to_pylist())

    def without(self, others: "Named") -> "Named":
        """Return the names that ``others`` does not have."""
        return Named(self.episodes - others.episodes, self.countries - others.countries)


def stage_named(session: MysqlSession, named: Named) -> None:
    """Load the names of facts into the staging tables ``staged_episode_id`` and ``staged_country``."""
    staged: dict[str, list[int] | list[str]] = {
        "episode_id": sorted(named.episodes),
        "country": sorted(named.countries),
    }
    for column, values in staged.items():
        session.execute(f"drop temporary table if exists staged_{column}")
        session.execute(
            f"create temporary table staged_{column} ({column} {_STAGED_NAMES[column]}, primary key ({column})) "
            f"{mysql_schema.TABLE_OPTIONS}"
        )
        with Infile([column], 1) as source:
            source.add(pa.table({column: values}))
            session.load(f"staged_{column}", source)


def add_named(session: MysqlSession) -> None:
    """Add a dimension row for each staged name that has none."""
    for name in ("add_episodes", "add_countries"):
        session.execute(_statement(name).pyformat)


def orphans_of(session: MysqlSession, day: datetime) -> Named:
    """Return the orphans that the viewership of a day names."""
    return Named(_names(session, "orphan_episodes", day=day), _names(session, "orphan_countries", day=day))


def audience_orphans_of(session: MysqlSession, period: str) -> Named:
    """Return the orphans that the audience of a period names."""
    return Named(set(), _names(session, "audience_orphans", period=period))


def drop_orphans(session: MysqlSession, candidates: Named) -> None:
    """Delete the candidates that nothing names any more. Reads all facts if there are candidates."""
    gone = candidates.without(_still_named(session, candidates))
    _delete(session, "dim_episode", "episode_id", gone.episodes)
    _delete(session, "dim_country", "country", gone.countries)


def merge_dimensions(session: MysqlSession, staged: Sequence[str]) -> None:
    """Make the dimensions equal to their staging tables, and keep the orphans that facts name.

    Rows are added to parent tables first, and deleted from child tables first.
    """
    tables = [mysql_schema.tables()[name] for name in staged]
    lost = Named(
        _names(session, "lost_episodes"),
        _names(session, "known_countries") & _names(session, "lost_countries"),
    )
    for table in tables:
        session.execute(_merge(table))
    for table in reversed(tables):
        if table.name != "dim_country":
            session.execute(_remove(table))
    for country in lost.countries:
        session.execute("update dim_country set name = null, timezone = null where country = %s", [country])
    for episode in _still_named(session, lost).episodes:
        session.execute("insert into dim_episode (episode_id, show_id) values (%s, %s)", [episode, UNKNOWN_SHOW])
    drop_orphans(session, Named(set(), lost.countries))


def _merge(table: Relation) -> str:
    columns = [one.name for one in table.columns]
    chosen = ", ".join(f"s.{name}" for name in columns)
    updates = ", ".join(f"{name} = s.{name}" for name in columns)
    return (
        f"insert into {table.name} ({', '.join(columns)}) select {chosen} from {mysql_schema.staging(table.name)} s "  # noqa: S608
        f"on duplicate key update {updates}"
    )


def _remove(table: Relation) -> str:
    same = " and ".join(f"s.{name} = d.{name}" for name in table.key)
    orphans = f" and d.show_id <> {UNKNOWN_SHOW}" if table.name == "dim_episode" else ""
    return (
        f"delete d from {table.name} d left join {mysql_schema.staging(table.name)} s on {same} "
        f"where s.{table.key[0]} is null{orphans}"
    )


def _still_named(session: MysqlSession, candidates: Named) -> Named:
    found = Named()
    for some in _batches(sorted(candidates.episodes)):
        for table in ("fact_viewership", HOURS):
            sql = f"select distinct episode_id from {table} where episode_id in ({marks(some)})"  # noqa: S608
            found.episodes.update(session.column(sql, some))
    if candidates.countries:
        found.countries.update(_names(session, "known_countries"), _names(session, "audience_countries"))
    for country in sorted(candidates.countries - found.countries):
        found.countries.update(_names(session, "watched_country", country=country))
    return found


def _names(session: MysqlSession, statement: str, **values: object) -> set[Any]:
    """Return the names from a statement of ``orphans.sql``."""
    query = _statement(statement)
    return set(session.column(query.pyformat, query.bind(values)))


def _statement(name: str) -> Query:
    return read_statements("marquee.mart.mysql", "orphans")[name]


def _delete(session: MysqlSession, table: str, column: str, values: Iterable[object]) -> None:
    for some in _batches(sorted(values, key=str)):
        session.execute(f"delete from {table} where {column} in ({marks(some)})", some)  # noqa: S608 - our own names


def _batches(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (values[start : start + BATCH] for start in range(0, len(values), BATCH))
