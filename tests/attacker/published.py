"""What an analyst reads: the tables of a mart, and the rules by which they were published, which are public."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

MANY = 10**9
"""More than there is of anything that is counted."""
WORLDWIDE = "**"
UNKNOWN_SHOW = 0
UNKNOWN_GENRE, UNCLASSIFIED = "Unknown show", "Unclassified"
"""Genres of the unknown show, and of a show without genres."""

Key = tuple[str | int, ...]
Row = dict[str, Any]
Tables = Mapping[str, Sequence[Row]]


class Method(StrEnum):
    """How a mart keeps numbers of viewers apart from its readers."""

    WITHHELD = "exact, without rows that count 1 to min_cell - 1 viewers"
    FEW_TOLD = "the nearest multiple of min_cell, but null for 1 to min_cell - 1"
    ROUNDED = "the nearest multiple of min_cell"


@dataclass(frozen=True)
class Knowledge:
    """What everybody knows who has read the documents.

    Args:
        min_cell: the least number of viewers that is told.
        method: how numbers of viewers are published.
        one_country: the service has no travellers: each viewer watches in one country. This is not in the mart, but an
            attacker can know it.
        only_late: of what came between two marts, late files were all: no play was taken away.
    """

    min_cell: int
    method: Method = Method.ROUNDED
    one_country: bool = False
    only_late: bool = False

    def bounds(self, printed: int | None, null: tuple[float, float]) -> tuple[float, float]:
        """Return the least and the greatest count that is printed like this; ``null`` are those of a null."""
        if printed is None:
            return (0, MANY) if self.method is Method.ROUNDED else null
        if self.method is Method.WITHHELD or (self.method is Method.FEW_TOLD and not printed):
            return printed, printed
        least = self.min_cell if self.method is Method.FEW_TOLD else 0
        # Halves are rounded up.
        return max(least, printed - self.min_cell // 2), printed + (self.min_cell + 1) // 2 - 1

    @property
    def few(self) -> tuple[float, float]:
        """The bounds of a count that is withheld."""
        return (1, self.min_cell - 1) if self.min_cell > 1 else (0, MANY)


@dataclass(frozen=True)
class Published:
    """The tables of a mart, each as rows by column."""

    tables: Tables

    def of(self, table: str) -> Sequence[Row]:
        """Return the rows of a table; none if the mart has no such table."""
        return self.tables.get(table, ())

    @cached_property
    def runs(self) -> Mapping[tuple[str, str], Row]:
        """The ledger by dataset and period."""
        return {(row["dataset"], row["period"]): row for row in self.of("load_ledger")}

    @cached_property
    def spans(self) -> Mapping[str, tuple[datetime, datetime]]:
        """The first and last instant of each period with an audience."""
        return {
            period: (row["starts_at"], row["ends_at"])
            for (dataset, period), row in self.runs.items()
            if dataset == "audience_base"
        }

    def hours(self, period: str) -> int:
        """Return the hours that the audience of a period is counted from."""
        return int(self.runs["audience_base", period]["hours"] or 0)

    @cached_property
    def genres_of(self) -> Mapping[int, Sequence[str]]:
        """The genres of each show that has any."""
        found: dict[int, list[str]] = {}
        for row in self.of("dim_show_genre"):
            found.setdefault(row["show_id"], []).append(row["genre"])
        return found

    def counted_genres(self, show: int) -> Sequence[str]:
        """Return the genres in which the viewers of a show are counted."""
        return [UNKNOWN_GENRE] if show == UNKNOWN_SHOW else self.genres_of.get(show, [UNCLASSIFIED])


def grouped(keys: Iterable[Key], without: int) -> Mapping[Key, Sequence[Key]]:
    """Return keys by what they have without one of their places: from the first, 0, or from the last, -1."""
    found: dict[Key, list[Key]] = {}
    for key in keys:
        found.setdefault(key[:without] + key[without:][1:], []).append(key)
    return found


def read_published(path: Path) -> Published:
    """Read a mart as an analyst does: all its tables."""
    tables: dict[str, list[Row]] = {}
    with duckdb.connect(path, read_only=True) as db:
        for (name,) in db.execute("select table_name from duckdb_tables()").fetchall():
            found = db.execute(f"from {name}")
            columns = [column for column, *_ in found.description or ()]
            tables[name] = [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
    return Published(tables)
