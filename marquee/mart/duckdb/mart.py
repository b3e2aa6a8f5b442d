"""The mart in a DuckDB file: opens it, and replaces its rows one transaction at a time.

A transaction writes both the rows and their ledger entries, so a killed loader leaves either the old or the new state,
and a correct ledger. DuckDB allows one process that writes or several that read; the file's lock excludes a second
loader.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from marquee.calendar import Period
from marquee.errors import ConfigError, TryAgainError
from marquee.mart import schema
from marquee.mart.arrow import normalise
from marquee.mart.errors import NoMartError, QueryError
from marquee.mart.ledger import LEDGER, Answer, Change, Entry, Ledger, ledger_of, naive
from marquee.mart.settings import MartSettings, duckdb_path
from marquee.sql import Values, read_statements
from marquee.system_errors import explained

_EVER = (datetime(1, 1, 1), datetime(9999, 1, 1))  # noqa: DTZ001 - the database's times have no zone


class DuckdbMart:
    """An open DuckDB file. Its lock excludes other loaders."""

    def __init__(self, db: duckdb.DuckDBPyConnection, path: Path) -> None:
        self._db = db
        self._path = path

    def ledger(self) -> Ledger:
        """Return the ledger: which runs are loaded."""
        return ledger_of(self.execute(LEDGER).fetchall())

    def load_dimensions(self, tables: Mapping[str, pa.Table], change: Change) -> bool:
        with self._transaction(change.entries):
            for name, rows in tables.items():
                self.execute(f"delete from {name}")  # noqa: S608 - our own names
                self._insert(name, rows)
            self._add_what_was_watched(*_EVER)
            self._run("add_audience_countries")
        return True

    def load_viewership(self, hours: Iterable[pa.Table], change: Change) -> bool:
        rows = pa.concat_tables(hours)
        starts = sorted(naive(Period.parse(entry.period).start) for entry in change.entries)
        with self._transaction(change.entries):
            replaced = self._delete("fact_viewership", "hour in (select starts_at from entry)")
            self._insert("fact_viewership", rows)
            self._add_what_was_watched(starts[0], starts[-1])
            self._drop_what_no_fact_names(replaced)
        return True

    def load_audience(self, tables: Mapping[str, pa.Table], change: Change) -> bool:
        with self._transaction(change.entries):
            replaced = 0
            for name, rows in tables.items():
                replaced += self._delete(name, "period in (select period from entry)")
                self._insert(name, rows)
            self._run("add_audience_countries")
            self._drop_what_no_fact_names(replaced)
        return True

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Answer:
        found = self.execute(sql, parameters)
        return [name for name, *_ in found.description or ()], found.fetchall()

    def table(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        try:
            # Not with execute(), which would compute all rows twice.
            found: Any = self._db.sql(sql, params=list(parameters) or None)
            return pa.table({}) if found is None else normalise(found.to_arrow_table())
        except duckdb.OutOfMemoryException as error:
            message = f"{self._path}: {error}. Free some memory, or query fewer rows, and try again"
            raise TryAgainError(message) from error
        except duckdb.Error as error:
            message = f"{self._path}: {error}\nUse a query in DuckDB's SQL that only reads"
            raise QueryError(message) from error

    def execute(self, sql: str, parameters: Sequence[Any] | Values = ()) -> duckdb.DuckDBPyConnection:
        """Run one statement. TryAgainError if the disk is full or the memory too small."""
        try:
            with explained(self._path, "load"):
                return self._db.execute(sql, parameters)
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            message = f"{self._path}: {error}. Free disk space, or raise MARQUEE_MART__MEMORY_MB, and try again"
            raise TryAgainError(message) from error

    @contextmanager
    def _transaction(self, entries: Sequence[Entry]) -> Iterator[None]:
        self._db.register("entry", _ledger_rows(entries))
        self.execute("begin")
        try:
            yield
            self._delete("load_ledger", "(dataset, period) in (select (dataset, period) from entry)")
            self.execute("insert into load_ledger by name select * from entry")
            self.execute("commit")
        except BaseException:
            # A failed commit has ended the transaction; if writing it failed, the connection has ended, too.
            with suppress(duckdb.TransactionException, duckdb.FatalException):
                self._db.execute("rollback")
            raise
        finally:
            self._db.unregister("entry")

    def _insert(self, table: str, rows: pa.Table) -> None:
        self._db.register("incoming", rows)
        self.execute(f"insert into {table} by name select * from incoming")  # noqa: S608 - our own names
        self._db.unregister("incoming")

    def _delete(self, table: str, condition: str) -> int:
        ((deleted,),) = self.execute(f"delete from {table} where {condition}").fetchall()  # noqa: S608 - our own names
        return int(deleted)

    def _add_what_was_watched(self, first: datetime, last: datetime) -> None:
        self._run("add_episodes", first_hour=first, last_hour=last)
        self._run("add_countries", first_hour=first, last_hour=last)

    def _drop_what_no_fact_names(self, replaced: int) -> None:
        if replaced:
            self._run("drop_episodes")
            self._run("drop_countries")

    def _run(self, statement: str, **values: object) -> None:
        query = read_statements("marquee.mart.duckdb", "orphans")[statement]
        self.execute(query.text, query.bind(values))


@contextmanager
def open_duckdb_mart(settings: MartSettings) -> Iterator[DuckdbMart]:
    """Open a file for loading; create it if there is none.

    Raises:
        TryAgainError: another process has it open.
        ConfigError: the file is not a mart, or a mart of another version or for another period.
    """
    path = duckdb_path(settings.url)
    try:
        with explained(path.parent, "make"):
            path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"{settings.url!r}: {error}. Use a folder that you can write"
        raise ConfigError(message) from error
    with _connect(path, memory_mb=settings.memory_mb) as db:
        with explained(path, "create"):
            if not _tables(db):
                _create(db, settings.period)
        _check(db, path)
        _check_period(db, path, settings.period)
        yield DuckdbMart(db, path)


@contextmanager
def read_duckdb_mart(settings: MartSettings) -> Iterator[DuckdbMart]:
    """Open a file for reading. ConfigError if there is none, TryAgainError while it is being loaded."""
    path = duckdb_path(settings.url)
    with explained(path, "read"):
        exists = path.exists()
    if not exists:
        message = f"There is no mart at {settings.url!r}. Load one first with `marquee mart-load`"
        raise NoMartError(message)
    with _connect(path, read_only=True) as db:
        _check(db, path)
        yield DuckdbMart(db, path)


def check_writable(path: Path) -> None:
    """Check that this user can write a mart's file and other files in its folder; ConfigError if not."""
    folder = next(one for one in path.parents if one.exists())  # the first load creates missing folders
    with explained(folder, "write"), tempfile.TemporaryFile(dir=folder):
        pass
    if path.exists():
        with explained(path, "write"), path.open("ab"):
            pass


@contextmanager
def _connect(
    path: Path, *, read_only: bool = False, memory_mb: int | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    spill = f"marquee-spill-{os.getpid()}-{hashlib.sha256(bytes(path)).hexdigest()[:8]}"
    config: dict[str, Any] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "temp_directory": str(Path(tempfile.gettempdir(), spill)),
    }
    if memory_mb is not None:
        config["memory_limit"] = f"{memory_mb}MiB"
    try:
        with explained(path, "open"):
            db = duckdb.connect(path, read_only=read_only, config=config)
    except (duckdb.IOException, duckdb.ConnectionException) as error:
        if "lock" in str(error) or isinstance(error, duckdb.ConnectionException):
            message = f"{path} is open in another process, which loads or queries it. Try again when it ends: {error}"
            raise TryAgainError(message) from error
        message = f"cannot open {path} as a mart: {error}. Delete the file and load the mart again, or use another file"
        raise ConfigError(message) from error
    with db:
        yield db


def _create(db: duckdb.DuckDBPyConnection, period: str) -> None:
    comments = []
    for one in schema.relations():
        comments.append(f"comment on {one.kind} {one.name} is {_quoted(one.comment)};")
        comments += [f"comment on column {one.name}.{each.name} is {_quoted(each.comment)};" for each in one.columns]
    db.execute("begin")
    db.execute(schema.tables_sql())
    db.execute(schema.views_sql())
    db.execute("\n".join(comments))
    db.execute("insert into schema_version values (?)", [schema.VERSION])
    db.execute("insert into kiosk values (?)", [period])
    db.execute("commit")


def _check(db: duckdb.DuckDBPyConnection, path: Path) -> None:
    if "schema_version" not in _tables(db):
        message = f"{path} is a database, but not a mart. Set MARQUEE_MART__URL to a mart, or to a new file"
        raise ConfigError(message)
    ((version,),) = db.execute("select max(version) from schema_version").fetchall()
    if version != schema.VERSION:
        todo = "Upgrade Marquee" if version and version > schema.VERSION else "Delete it and load it again"
        message = f"{path} has schema version {version}, this Marquee expects {schema.VERSION}. {todo}"
        raise ConfigError(message)


def _check_period(db: duckdb.DuckDBPyConnection, path: Path, period: str) -> None:
    ((found,),) = db.execute("select period from kiosk").fetchall()
    if found != period:
        message = (
            f"{path} is a mart for {found or 'all periods'}, but MARQUEE_MART__PERIOD={period!r} selects "
            f"{period or 'all periods'}. Set MARQUEE_MART__URL to another file, or delete this one"
        )
        raise ConfigError(message)


def _tables(db: duckdb.DuckDBPyConnection) -> list[str]:
    return [name for (name,) in db.execute("select table_name from duckdb_tables()").fetchall()]


def _ledger_rows(entries: Sequence[Entry]) -> pa.Table:
    periods = [Period.parse(entry.period) for entry in entries]
    return pa.table(
        {
            "dataset": [entry.dataset for entry in entries],
            "period": [entry.period for entry in entries],
            "grain": [str(period.grain) for period in periods],
            "starts_at": [naive(period.start) for period in periods],
            "ends_at": [naive(period.end) for period in periods],
            "generation": [entry.generation for entry in entries],
            "run_id": [entry.run_id for entry in entries],
            "digest": [entry.digest for entry in entries],
            "rows_loaded": [entry.rows for entry in entries],
            "loaded_at": [naive(entry.loaded_at or datetime.now(UTC)) for entry in entries],
        }
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
