"""Folds small cells of viewership, so that each cell that a mart publishes has at least ``min_cell`` viewers.

    in:  day x show x episode x country x daypart x device, with plays, watched_seconds and viewer_bits (several rows of
         a cell add up)
    out: the same columns, one row for each published cell; totals of a day are exact

The number of set bits in ``viewer_bits`` is a lower bound of a cell's viewers. The cells of a day are a partition, so
every sum of them, and every difference of such sums, is of whole cells: none singles out fewer viewers than a cell has.

A cell that is too small is folded, as ``LEVELS`` lists: first together with the other small devices of the same
episode, country and daypart. If these are too few still, they join what is left of the next level, and so on up to
*other shows*. If even that is too small, it takes in the smallest published cell of the topmost level that has any. A
day with fewer than ``min_cell`` viewers in all has no rows.

The order keeps what questions ask for, shows by country and daypart, rather than devices and episodes. Of the hours of
5,300 viewers in seven days, 25 % keep their show and country so, and 7 % if episodes are folded after countries.
"""

from collections.abc import Mapping
from functools import cache

OTHER = "(other)"
"""Device or daypart of cells that have several. No player's name of a device has parentheses."""
OTHER_COUNTRY = ".."
"""Country of cells that have several. Codes of plays are letters."""
OTHER_SHOW = -1
"""Show of cells that have several."""
OTHER_EPISODES = f"{OTHER_SHOW} - show_id"
"""SQL of the episode of cells that have several episodes of a show: 0 for ``OTHER_SHOW``, negative for shows from 0."""

KEY = ("day", "show_id", "episode_id", "country", "daypart", "device")
SUMS = ("plays", "watched_seconds")
BITS = "viewer_bits"

_ORDER = "day, episode_id"
"""The first columns of the key: MySQL stores rows by key, and sorting by all of it would take twice as long."""

LEVELS: tuple[Mapping[str, str], ...] = (
    {"device": f"'{OTHER}'"},
    {"episode_id": OTHER_EPISODES},
    {"daypart": f"'{OTHER}'"},
    {"country": f"'{OTHER_COUNTRY}'"},
    {"show_id": str(OTHER_SHOW), "episode_id": "0"},
)
"""What each level of folding replaces, as SQL. A level keeps what the levels before it have replaced."""


@cache
def fold_query(min_cell: int) -> str:
    """Return the query of the published cells of the table ``cell``, for DuckDB; with ``min_cell`` 1 all as they are.

    They are sorted by day and episode, and do not depend on the order of rows. Of equally small cells, the first by
    seconds and by key counts.
    """
    key, measures = ", ".join(KEY), ", ".join((*SUMS, BITS))
    summed = ", ".join([*(f"cast(sum({one}) as bigint) as {one}" for one in SUMS), f"bit_or({BITS}) as {BITS}"])
    if min_cell == 1:
        return f"select {key}, {summed} from cell group by {key} order by {_ORDER}"  # noqa: S608 - our own names
    small, large = f"bit_count({BITS}) < {min_cell}", f"bit_count({BITS}) >= {min_cell}"
    levels = [f"level_0 as materialized (select {key}, {summed} from cell group by all)"]  # noqa: S608
    for number, replaced in enumerate(LEVELS):
        columns = ", ".join(f"{replaced[one]} as {one}" if one in replaced else one for one in KEY)
        source = f"(select {columns}, {measures} from level_{number} where {small})"  # noqa: S608
        levels.append(f"level_{number + 1} as materialized (select {key}, {summed} from {source} group by all)")  # noqa: S608
    published = " union all ".join(
        f"select {number} as level, * from level_{number} where {large}"  # noqa: S608
        for number in range(len(levels))
    )
    return f"""
    with {", ".join(levels)},
    published as ({published}),
    remainder as (select * from level_{len(LEVELS)} where {small}),
    taken as materialized (
        select p.* from published p semi join remainder r on r.day = p.day
        qualify row_number() over (
            partition by p.day order by p.level desc, bit_count(p.{BITS}), p.watched_seconds, {_of("p")}
        ) = 1
    ),
    joined as (
        select day, {OTHER_SHOW} as show_id, 0 as episode_id, '{OTHER_COUNTRY}' as country, '{OTHER}' as daypart,
            '{OTHER}' as device, {summed}
        from (select day, {measures} from remainder union all select day, {measures} from taken)
        group by day
        having bit_count(bit_or({BITS})) >= {min_cell}
    )
    select {key}, {measures} from published p anti join taken t using ({key})
    union all by name
    select * from joined
    order by {_ORDER}
    """  # noqa: S608


def _of(alias: str) -> str:
    return ", ".join(f"{alias}.{one}" for one in KEY)
