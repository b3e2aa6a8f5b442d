"""Ways to protect an exact mart that do not hold: the attacker has to break them, or it is no attacker."""

from collections.abc import Callable

from tests.attacker.counts import STEP, TABLES, Counted
from tests.attacker.published import Published, Row

RATIOS = ("average_seconds", "loyalty", "return_days")


def withheld(exact: Published, min_cell: int) -> Published:
    """Return a mart without the counts of rows of 1 to min_cell - 1 viewers, and with all others as they are."""

    def withhold(table: Counted, row: Row) -> Row:
        leading = [table.leading] if table.leading else list(table.columns)
        small = [name for name in leading if row[name] is not None and 0 < row[name] < min_cell]
        hidden = {*small, *(table.columns if table.leading in small else ()), *(RATIOS if small else ())}
        if table.name == STEP and "at_risk" in hidden:
            hidden.add("reached")
        return {name: None if name in hidden else one for name, one in row.items()}

    return _changed(exact, withhold)


def few_told(exact: Published, min_cell: int) -> Published:
    """Return a mart whose counts are rounded to the nearest multiple of min_cell, and null for 1 to min_cell - 1.

    Seconds are rounded to the nearest min_cell hours, and null for such numbers of viewers.
    """

    def print_count(count: int | None) -> int | None:
        if not count:
            return count
        return None if count < min_cell else (count + min_cell // 2) // min_cell * min_cell

    def round_row(table: Counted, row: Row) -> Row:
        printed = {name: print_count(one) if name in table.counts else one for name, one in row.items()}
        if table.leading and row.get("watched_seconds") is not None:
            unit = min_cell * 3600
            printed["watched_seconds"] = (row["watched_seconds"] + unit // 2) // unit * unit
            if printed[table.leading] is None:
                printed["watched_seconds"] = None
        return printed

    return _changed(exact, round_row)


def _changed(exact: Published, change: Callable[[Counted, Row], Row]) -> Published:
    changed = {name: [change(table, row) for row in exact.of(name)] for name, table in TABLES.items()}
    return Published({**exact.tables, **changed})


def seconds_withheld(exact: Published, min_cell: int) -> Published:
    """Return a mart without the counts and seconds of rows of 1 to min_cell - 1 viewers, and with all others exact."""

    def withhold(table: Counted, row: Row) -> Row:
        if not table.leading or not 0 < row[table.leading] < min_cell:
            return row
        return {name: None if name in {*table.counts, *RATIOS, "watched_seconds"} else one for name, one in row.items()}

    return _changed(exact, withhold)
