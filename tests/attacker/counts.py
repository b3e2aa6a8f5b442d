"""The unknowns of marts: a cell for each published count of viewers, with the bounds that what is printed leaves."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.attacker.model import Cell, Model
from tests.attacker.published import UNKNOWN_GENRE, UNKNOWN_SHOW, Key, Knowledge, Published, Row

AUDIENCE, BASE, GENRE = "fact_audience", "fact_audience_base", "fact_audience_genre"
OVERLAP, ORDER = "fact_overlap", "fact_show_order"
STEP, SEASON, LAUNCH, DEPARTURE = "fact_season_step", "fact_season_audience", "fact_launch", "fact_departure"
TRAITS = (
    "sole_viewers",
    "near_sole_viewers",
    "new_viewers",
    "new_sole_viewers",
    "multilingual_viewers",
    "loyal_viewers",
    "binge_viewers",
    "binge5_viewers",
)
"""Parts of a show's reach."""
MAY_BE_UNKNOWN = "loyal_viewers", "only_of_genre_viewers"
"""Columns that are null for another reason, too."""
WITHHELD_WITH = {"reached": "at_risk", "seen_again": "viewers", "compared_seen": "compared"}
"""Columns that are withheld with another one, which counts a set around theirs; others, with the count of the row."""


@dataclass(frozen=True)
class Counted:
    """A table: the columns of its key, its count of the row, and the counts that are withheld with it."""

    name: str
    key: tuple[str, ...]
    leading: str | None
    columns: tuple[str, ...]

    @property
    def counts(self) -> tuple[str, ...]:
        """All its counts of viewers."""
        return (*([self.leading] if self.leading else []), *self.columns)

    def rows(self, published: Published) -> Mapping[Key, Row]:
        """Return its rows by key."""
        return {tuple(row[name] for name in self.key): row for row in published.of(self.name)}


TABLES = {
    one.name: one
    for one in (
        Counted(AUDIENCE, ("period", "show_id", "country"), "reach", TRAITS),
        Counted(BASE, ("period", "country"), "active_viewers", ("multilingual_viewers", "new_viewers")),
        Counted(GENRE, ("period", "genre", "country"), "reach", ("sole_viewers",)),
        Counted(OVERLAP, ("period", "show_id", "other_show_id"), "viewers", ("only_of_genre_viewers",)),
        Counted(ORDER, ("period", "strategy", "step"), "viewers", ()),
        Counted(STEP, ("period", "show_id", "season", "step"), None, ("viewers", "at_risk", "reached", "waiting")),
        Counted(SEASON, ("period", "show_id", "season"), None, ("starters", "finishers", "mid_season")),
        Counted(LAUNCH, ("period", "show_id"), "reach", ()),
        Counted(DEPARTURE, ("period", "show_id", "kind"), None, ("viewers", "seen_again", "compared", "compared_seen")),
    )
}
"""The tables with counts of viewers, by name."""


class Counts:
    """The unknowns of a mart by table, key and column, in a model that may have those of other marts."""

    def __init__(self, mart: int, published: Published, knowledge: Knowledge, model: Model) -> None:
        self.mart, self.published, self.knowledge, self.model = mart, published, knowledge, model
        self.rows = {name: table.rows(published) for name, table in TABLES.items()}
        for name, rows in self.rows.items():
            for key, row in rows.items():
                self._add(TABLES[name], key, row)

    def of(self, table: str, column: str, *key: str | int) -> int | None:
        """Return the number of an unknown; None if its row or figure is not published."""
        return self.model.number.get(Cell(self.mart, table, column, key))

    def keys(self, table: str) -> Iterator[Key]:
        """Yield the keys of a table's rows."""
        yield from self.rows[table]

    def _add(self, table: Counted, key: Key, row: Row) -> None:
        unknown = ("show_id" in table.key and row["show_id"] == UNKNOWN_SHOW) or row.get("genre") == UNKNOWN_GENRE
        for column in table.counts:
            whole = WITHHELD_WITH.get(column, table.leading)
            if row[column] is None and (column in MAY_BE_UNKNOWN or (unknown and column != table.leading)):
                continue
            if table.name == STEP and row["step"] == 1 and column != "viewers":
                continue
            is_part = whole not in {None, column} and row[str(whole)] is None
            few = self.knowledge.few
            low, high = self.knowledge.bounds(row[column], (0, few[1]) if is_part else few)
            self.model.add(Cell(self.mart, table.name, column, key), low, high)
