"""The mart in a DuckDB file: opens it, and replaces its rows one transaction at a time.

A transaction writes both the rows and their ledger entries, so a killed loader leaves either the old or the new state,
and a correct ledger. DuckDB allows one process that writes or several that read; the file's lock excludes a second
loader.
"""

import hashlib
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from marquee.engine.duckdb import interruptible
from marquee.engine.scratch import own_scratch
from marquee.errors import ConfigError, TryAgainError
from marquee.mart import schema, viewing
from marquee.mart.arrow import normalise
from marquee.mart.cells import HOURS, Cells
from marquee.mart.duckdb.sameness import check_schema, create_schema, empty_schema
from marquee.mart.errors import NoMartError, QueryError
from marquee.mart.fold import BITS
from marquee.mart.kiosk import EMPTY, KIOSK, KioskRow, check_kiosk, check_period, protects_alike
from marquee.mart.ledger import LEDGER, Answer, Change, Entry, Ledger, ledger_of, naive, row_of
from marquee.mart.settings import MartSettings, duckdb_path
from marquee.sql import Values, read_statements
from marquee.system_errors import explained

_EVER = (datetime(1, 1, 1), datetime(9999, 1, 1))  # noqa: DTZ001 - the database's times have no zone
_TABLES = "select table_name from system.main.duckdb_tables()"
_VIEWS = "select view_name from system.main.duckdb_views() where not internal"
_DAMAGED = re.compile("Corrupt database|Could not read")


class DuckdbMart:
    """An open DuckDB file. Its lock excludes other loaders."""

    def __init__(self, db: duckdb.DuckDBPyConnection, path: Path, settings: MartSettings) -> None:
        self._db = db
        self._path = path
        self._settings = settings

    def ledger(self) -> Ledger:
        """Return the ledger: which runs are loaded."""
        return ledger_of(self.query(LEDGER))

    def load_dimensions(self, tables: Mapping[str, pa.Table], change: Change) -> bool:
        with self._transaction(change.entries):
            self._run("note_shows")
            for name, rows in tables.items():
                self.execute(f"delete from {name}")  # noqa: S608 - our own names
                self._insert(name, rows)
            self._add_what_was_watched()
            self._run("add_audience_countries")
            self._sum_changed_shows()
        return True

    def load_viewership(self, hours: Iterable[pa.Table], change: Change) -> bool:
        day = naive(change.step.period.start)
        with self._transaction(change.entries), Cells(self._settings.memory_mb) as cells:
            self._delete("load_ledger", "dataset = 'viewership' and starts_at >= ? and starts_at < ?", _day(day))
            replaced = self._delete("fact_viewership", "day = ?", [day])
            replaced += self._delete(HOURS, "hour >= ? and hour < ?", _day(day))
            for rows in hours:
                cells.add(rows)
                if self._settings.detail == "hour":
                    self._insert(HOURS, rows.drop_columns([BITS]))
            shows = self.table("select episode_id, show_id from dim_episode")
            self._insert("fact_viewership", cells.folded(shows, self._settings.min_cell, restated=change.restated))
            self._add_what_was_watched(day)
            self._drop_what_no_fact_names(replaced)
            self._delete(viewing.TABLE, "day = ?", [day])
            self.execute(f"insert into {viewing.TABLE} {viewing.sums_where('f.day = ?')}", [day])
        return True

    def load_audience(self, tables: Mapping[str, pa.Table], change: Change) -> bool:
        with self._transaction(change.entries):
            gone = sum(self._replace(name, rows) for name, rows in tables.items())
            self._run("add_audience_countries")
            if gone:
                self._drop("dim_country")  # an audience names no episodes
        return True

    def recount(self, entries: Sequence[Entry]) -> None:
        for one in entries:  # no other process can change the file meanwhile
            self.execute(
                "update load_ledger set hours = ?, hours_expected = ?, definition_version = ?, erased_later = ? "
                "where dataset = ? and period = ?",
                [one.hours, one.hours_expected, one.definition_version, one.erased_later, one.dataset, one.period],
            )

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Answer:
        found = self.execute(sql, parameters)
        return [name for name, *_ in found.description or ()], found.fetchall()

    def table(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        try:
            # Not with execute(), which would compute all rows twice.
            with _undamaged(self._path):
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
            with _undamaged(self._path), explained(self._path, "load"):
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

    def _replace(self, table: str, rows: pa.Table) -> int:
        """Replace a table's rows of the entry's periods; return the number of keys that are gone.

        The other keys keep their rows, with new values: to take them from the index and put them in again takes many
        times as long.
        """
        same = " and ".join(f"incoming.{column} = {table}.{column}" for column in schema.relation(table).key)
        self._db.register("incoming", rows)
        gone = self._delete(
            table,
            f"period in (select period from entry) and not exists (select 1 from incoming where {same})",  # noqa: S608 - our own names
        )
        self.execute(f"insert or replace into {table} by name select * from incoming")  # noqa: S608 - our own names
        self._db.unregister("incoming")
        return gone

    def _delete(self, table: str, condition: str, values: Sequence[Any] = ()) -> int:
        ((deleted,),) = self.execute(f"delete from {table} where {condition}", values).fetchall()  # noqa: S608 - our own names
        return int(deleted)

    def _sum_changed_shows(self) -> None:
        """Sum the viewership of the shows anew that episodes have left or joined since ``note_shows``."""
        self._run("note_changed_shows")
        changed = "show_id in (select show_id from changed_show)"
        if self._delete(viewing.TABLE, changed):
            self.execute(f"insert into {viewing.TABLE} {viewing.sums_where(f'e.{changed}')}")

    def _add_what_was_watched(self, day: datetime | None = None) -> None:
        """Add what the viewership of a day names, or of all days."""
        values = dict(zip(("first", "after"), _day(day) if day else _EVER, strict=True))
        self._run("add_episodes", **values)
        self._run("add_countries", **values)

    def _drop_what_no_fact_names(self, replaced: int) -> None:
        if replaced:
            self._drop("dim_episode")
            self._drop("dim_country")

    def _drop(self, dimension: str) -> None:
        """Drop the orphans of a dimension that no fact names. It reads all facts only if there are orphans."""
        orphans = {
            "dim_episode": ("drop_episodes", "show_id = 0"),
            "dim_country": ("drop_countries", "name is null and timezone is null"),
        }
        statement, condition = orphans[dimension]
        if self.execute(f"select 1 from {dimension} where {condition} limit 1").fetchall():  # noqa: S608 - our own names
            self._run(statement)

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
            if not _names(db, f"{_TABLES} union all {_VIEWS}"):
                db.execute("begin")
                _create(db, settings)
                db.execute("commit")
        _check(db, path)
        check_schema(db, path)
        check_kiosk(f"{path}", _kiosk(db), settings)
        yield DuckdbMart(db, path, settings)


def empty_duckdb_mart(settings: MartSettings) -> int | None:
    """Empty a file whose rows are of an earlier version, or of another floor or detail, and create its schema anew.

    Return the version that it had; None if it is as the settings say. ConfigError as of ``open_duckdb_mart``.
    """
    path = _existing(settings)
    with _connect(path, memory_mb=settings.memory_mb) as db:
        version = _version(db, path)
        if version >= schema.VERSION:
            _check(db, path)
            check_schema(db, path)
            if protects_alike(_kiosk(db), settings):
                return None
        ((period,),) = db.execute("select period from kiosk").fetchall()
        check_period(f"{path}", period, settings)
        with explained(path, "empty"):
            db.execute("begin")
            empty_schema(db)
            _create(db, settings)
            db.execute("commit")
    return version


@contextmanager
def read_duckdb_mart(settings: MartSettings) -> Iterator[DuckdbMart]:
    """Open a file for reading. ConfigError if there is none, TryAgainError while it is being loaded."""
    path = _existing(settings)
    with _connect(path, read_only=True) as db:
        _check(db, path)
        check_schema(db, path)
        yield DuckdbMart(db, path, settings)


def _existing(settings: MartSettings) -> Path:
    path = duckdb_path(settings.url)
    with explained(path, "read"):
        exists = path.exists()
    if not exists:
        message = f"There is no mart at {settings.url!r}. Load one first with `marquee mart-load`"
        raise NoMartError(message)
    return path


def check_writable(path: Path) -> None:
    """Check that this user can write a mart's file and other files in its folder; ConfigError if not."""
    folder = next(one for one in path.parents if one.exists())  # the first load creates missing folders
    with explained(folder, "write"), tempfile.TemporaryFile(dir=folder):
        pass
    if path.exists():
        _check_file(path)
        with explained(path, "write"), path.open("ab"):
            pass


def _check_file(path: Path) -> None:
    """Refuse a pipe, a socket or a device, which DuckDB would wait for."""
    if path.exists() and not path.is_file() and not path.is_dir():
        message = f"{path} is a pipe, a socket or a device. Set MARQUEE_MART__URL to the URL of a file"
        raise ConfigError(message)


@contextmanager
def _connect(
    path: Path, *, read_only: bool = False, memory_mb: int | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    config: dict[str, Any] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "temp_directory": _spill_folder(path),
    }
    if not read_only:
        config["threads"] = 1  # a load's statements are of a day or a period: more threads take more CPU time for them
    if memory_mb is not None:
        config["memory_limit"] = f"{memory_mb}MiB"
    try:
        with _undamaged(path), explained(path, "open"):
            for one in (path, path.with_name(f"{path.name}.wal")):
                _check_file(one)
            db = duckdb.connect(path, read_only=read_only, config=config)
    except (duckdb.IOException, duckdb.ConnectionException) as error:
        if "lock" in str(error) or isinstance(error, duckdb.ConnectionException):
            message = f"{path} is open in another process, which loads or queries it. Try again when it ends: {error}"
            raise TryAgainError(message) from error
        message = f"cannot open {path} as a mart: {error}. Delete the file and load the mart again, or use another file"
        raise ConfigError(message) from error
    interruptible(db)
    with db, _undamaged(path):
        # A file may be somebody else's: nothing in it reads other files, or loads or fetches code.
        with suppress(duckdb.InvalidInputException):  # locked: this process has the file open already
            db.execute("set enable_external_access = false; set lock_configuration = true")
        yield db


@contextmanager
def _undamaged(path: Path) -> Iterator[None]:
    """Name the file if DuckDB finds it damaged while the body runs (ConfigError)."""
    try:
        yield
    except duckdb.Error as error:
        found = str(error).partition("\n")[0]
        if _DAMAGED.search(found) is None:
            raise
        message = f"{path} is damaged: {found}. Delete the file and load the mart again, or use another file"
        raise ConfigError(message) from error


def _spill_folder(path: Path) -> str:
    """Return a folder that only this user can open; empty, for no spilling, if there is none to write in."""
    try:
        folder = own_scratch() / f"marquee-spill-{hashlib.sha256(bytes(path)).hexdigest()[:8]}"
        folder.mkdir(mode=0o700, exist_ok=True)
    except (OSError, ConfigError):  # as for a reader on a read-only machine
        return ""
    return str(folder)


def _create(db: duckdb.DuckDBPyConnection, settings: MartSettings) -> None:
    create_schema(db)
    db.execute("insert into schema_version values (?)", [schema.VERSION])
    db.execute("insert into kiosk values (?, ?, ?)", [settings.period, settings.detail, settings.min_cell])


def _check(db: duckdb.DuckDBPyConnection, path: Path) -> None:
    version = _version(db, path)
    if version != schema.VERSION:
        todo = "Upgrade Marquee" if version > schema.VERSION else EMPTY
        message = f"{path} has schema version {version}, this Marquee expects {schema.VERSION}. {todo}"
        raise ConfigError(message)


def _version(db: duckdb.DuckDBPyConnection, path: Path) -> int:
    if "schema_version" not in _names(db, _TABLES):  # a view of this name is not ours, and is not run
        message = f"{path} is a database, but not a mart. Set MARQUEE_MART__URL to a mart, or to a new file"
        raise ConfigError(message)
    ((version,),) = db.execute("select max(version) from schema_version").fetchall()
    return int(version or 0)


def _kiosk(db: duckdb.DuckDBPyConnection) -> KioskRow:
    (found,) = db.execute(KIOSK).fetchall()
    return KioskRow(*found)


def _day(start: datetime) -> tuple[datetime, datetime]:
    return start, start + timedelta(days=1)


def _names(db: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    return [name for (name,) in db.execute(query).fetchall()]


def _ledger_rows(entries: Sequence[Entry]) -> pa.Table:
    rows = pa.Table.from_pylist([row_of(entry) for entry in entries])
    # A column of nulls has no type.
    hours = [rows.schema.get_field_index(name) for name in ("hours", "hours_expected")]
    for number in hours:
        rows = rows.set_column(number, rows.field(number).name, rows[number].cast(pa.int32()))
    return rows
