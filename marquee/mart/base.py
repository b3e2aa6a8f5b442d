"""A mart, whatever holds it: what loading and asking need of it. The URL's scheme chooses."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from marquee.mart.ledger import Answer, Change, Ledger
from marquee.mart.settings import MartSettings, is_mysql

if TYPE_CHECKING:
    import pyarrow as pa


class Mart(Protocol):
    """An open mart. Each load is one transaction that writes rows and the ledger's word on them together.

    It tells whether it wrote: not when another loader has meanwhile loaded the same (LostRaceError: something newer).
    """

    def ledger(self) -> Ledger:
        """Return what is loaded."""

    def load_dimensions(self, tables: "Mapping[str, pa.Table]", change: Change) -> bool:
        """Replace all dimensions."""

    def load_viewership(self, hours: "Iterable[pa.Table]", change: Change) -> bool:
        """Replace the viewership of the change's hours; ``hours`` are its new rows, read but once."""

    def load_audience(self, tables: "Mapping[str, pa.Table]", change: Change) -> bool:
        """Replace the audience of the change's period."""

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Answer:
        """Answer a query; ``?`` stands for a parameter."""

    def table(self, sql: str, parameters: Sequence[Any] = ()) -> "pa.Table":
        """Answer a query as an Arrow table with the types of marquee/mart/arrow.py. QueryError if it is wrong."""


def open_mart(settings: MartSettings) -> AbstractContextManager[Mart]:
    """Open a mart for loading; there is one afterwards.

    Raises:
        TryAgainError: it cannot be reached, or another process has it open.
        ConfigError: what is there is no mart, one of another version, or for another period.
    """
    if is_mysql(settings.url):
        from marquee.mart.mysql.mart import open_mysql_mart  # noqa: PLC0415 - one of the two is never needed

        return open_mysql_mart(settings)
    from marquee.mart.duckdb.mart import open_duckdb_mart  # noqa: PLC0415

    return open_duckdb_mart(settings)


def read_mart(settings: MartSettings) -> AbstractContextManager[Mart]:
    """Open a mart for reading. ConfigError if there is none, TryAgainError while it cannot be read."""
    if is_mysql(settings.url):
        from marquee.mart.mysql.mart import read_mysql_mart  # noqa: PLC0415 - as above

        return read_mysql_mart(settings)
    from marquee.mart.duckdb.mart import read_duckdb_mart  # noqa: PLC0415

    return read_duckdb_mart(settings)
