"""How many rows of an answer are withheld: their viewers round to none, and they have no hours.

Most views leave such rows out, so they are counted in the facts of the answer's grain: shows, genres or countries.
"""

import re
from collections.abc import Collection, Mapping

from marquee.lake.datasets import UNKNOWN_SHOW, WORLDWIDE
from marquee.mart import schema
from marquee.mart.base import Mart
from marquee.mart.narrowed import lacks, narrow

_WITHHELD = "(reach is null or (reach = 0 and watched_seconds is null))"
"""The condition of a withheld row. Exact rows of nobody, in a mart with a ``min_cell`` of 1, have their seconds."""
_FACTS = (
    ({"title"}, "fact_audience", f"{_WITHHELD} and show_id <> {UNKNOWN_SHOW}"),
    ({"genre", "reach"}, "fact_audience_genre", _WITHHELD),
    ({"country", "active_viewers"}, "fact_audience_base", _WITHHELD.replace("reach", "active_viewers")),
)
"""Columns by which a grain is known, its facts, and what a withheld row is there."""
_FIGURES = ({"kind", "title"}, {"age", "title"})
"""Columns of views that keep withheld rows: shows and genres together, launches."""
_REACH = re.compile(r"reach(?P<half>|_before|_now)")
_FILTERS = {
    "country": "country = ?",
    "genre": "genre = ?",
    "title": "show_id in (select show_id from dim_show where label = ?)",
}
_WITHOUT_WORLD = re.compile(rf"\bwhere (?:\w+\.)?country <> '{re.escape(WORLDWIDE)}'")


def count_withheld(mart: Mart, view: str, period: str, only: Mapping[str, str]) -> int:
    """Return the number of withheld rows of a view of audiences, among those that a filter selects."""
    if lacks(view, period):
        return 0
    columns, _ = mart.query(f"select * from {view} where 1 = 0")  # noqa: S608 - our own names
    if any(set(columns) >= figures for figures in _FIGURES):
        return _empty_reaches(mart, view, columns, period, only)
    found = next(((table, withheld) for known, table, withheld in _FACTS if known <= set(columns)), None)
    if found is None:
        return 0
    table, withheld = found
    filters = {name: value for name, value in only.items() if name in columns and name in _FILTERS}
    where = ["period = ?", withheld, *(_FILTERS[name] for name in filters)]
    if "country" not in columns:
        where.append(f"country = '{WORLDWIDE}'")
    elif "country" not in filters and _WITHOUT_WORLD.search(schema.relation(view).query):
        where.append(f"country <> '{WORLDWIDE}'")
    sql = f"select count(*) from {table} where {' and '.join(where)}"  # noqa: S608
    _, ((rows,),) = mart.query(sql, [period, *filters.values()])
    return int(rows)


def _empty_reaches(mart: Mart, view: str, columns: Collection[str], period: str, only: Mapping[str, str]) -> int:
    reaches = filter(None, map(_REACH.fullmatch, columns))
    empty = " or ".join(
        f"{one[0]} is null and {hours} is not null or {one[0]} = 0 and {hours} is null"
        for one in reaches
        for hours in [f"hours{one['half']}"]
    )
    if not empty:
        return 0
    filters = "".join(f" and cast({name} as char) = ?" for name in only if name in columns)
    narrowed = narrow(view, period)
    sql = f"{narrowed.expressions}select count(*) from {view} where ({empty}){filters}"  # noqa: S608
    _, ((rows,),) = mart.query(sql, [*narrowed.parameters, *(only[name] for name in only if name in columns)])
    return int(rows)
