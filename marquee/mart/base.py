"""Interface of a mart, the same for DuckDB and MySQL. The URL's scheme selects the database."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from marquee.mart.ledger import Answer, Change, Entry, Ledger
from marquee.mart.settings import MartSettings, is_mysql

if TYPE_CHECKING:
    import pyarrow as pa


class Mart(Protocol):
    """An open mart. Each load is one transaction that writes both the rows and their ledger entries.

    A load returns whether it wrote. It writes nothing if another loader has meanwhile loaded the same run, and raises
    LostRaceError if that run is newer.
    """

    def ledger(self) -> Ledger:
        """Return the ledger: which runs are loaded."""

    def load_dimensions(self, tables: "Mapping[str, pa.Table]", change: Change) -> bool:
        """Replace all dimensions."""

    def load_viewership(self, hours: "Iterable[pa.Table]", change: Change) -> bool:
        """Replace the viewership of the change's day; ``hours`` are the rows of its hours, which are read only once."""

    def load_audience(self, tables: "Mapping[str, pa.Table]", change: Change) -> bool:
        """Replace the audience of the change's period."""

    def recount(self, entries: Sequence[Entry]) -> None:
        """Write the hours, definitions and erasures of entries whose rows are loaded already.

        An entry with other rows by now stays as it is.
        """

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Answer:
        """Run a query; ``?`` marks a parameter."""

    def table(self, sql: str, parameters: Sequence[Any] = ()) -> "pa.Table":
        """Run a query; return an Arrow table with the types of marquee/mart/arrow.py. QueryError if it is invalid."""


def open_mart(settings: MartSettings) -> AbstractContextManager[Mart]:
    """Open a mart for loading; create it if there is none.

    Raises:
        TryAgainError: the mart cannot be reached, or another process has it open.
        ConfigError: the database is not a mart, or a mart of another version, period, detail or floor.
    """
    if is_mysql(settings.url):
        from marquee.mart.mysql.mart import open_mysql_mart  # noqa: PLC0415 - import only the driver in use

        return open_mysql_mart(settings)
    from marquee.mart.duckdb.mart import open_duckdb_mart  # noqa: PLC0415

    return open_duckdb_mart(settings)


def read_mart(settings: MartSettings) -> AbstractContextManager[Mart]:
    """Open a mart for reading. ConfigError if there is none, TryAgainError if it is locked or cannot be reached."""
    if is_mysql(settings.url):
        from marquee.mart.mysql.mart import read_mysql_mart  # noqa: PLC0415 - as above

        return read_mysql_mart(settings)
    from marquee.mart.duckdb.mart import read_duckdb_mart  # noqa: PLC0415

    return read_duckdb_mart(settings)
