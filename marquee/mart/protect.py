"""Makes the audience of a period safe to publish: it rounds numbers of viewers and seconds, and withholds small ones.

It is the only way into a mart, and `marquee what-if` prints nothing else. With a least number of viewers *n*, which is
``mart.min_cell``:

* A number of viewers becomes the nearest multiple of n, halves up. A small number becomes 0, as none does: who could
  tell few from none could find out how many from sums (ten and four times at least one are fourteen).
* Seconds become the nearest multiple of n hours. They are null where they round to 0, and where fewer than 2n viewers
  are published. So seconds that are published are of at least n viewers in truth.
* Ratios are computed from what is published, or coarsened until one viewer more or less cannot be seen in them. They
  are null where seconds would be.
* What would be known by subtraction is left out or withheld; see the functions.

What is withheld depends on published numbers alone, so that it tells nothing more about the exact ones.

docs/privacy.md says against whom this protects, and what it costs. marquee/lake/datasets.py declares the columns.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from marquee.lake.datasets import (
    AUDIENCE,
    AUDIENCE_BASE,
    AUDIENCE_GENRE,
    DEPARTURE,
    KEEP,
    LAUNCH,
    OVERLAP,
    REMOVE,
    SEASON_AUDIENCE,
    SEASON_STEP,
    SHOW_ORDER,
    WORLDWIDE,
    Column,
    Dataset,
    Figure,
)

HOUR_S = 3600

Columns: TypeAlias = Mapping[str, pa.ChunkedArray]


def protect(tables: Mapping[str, pa.Table], min_cell: int) -> dict[str, pa.Table]:
    """Return tables of one period, by the name of their dataset, as they may be published.

    Args:
        tables: rows of datasets of the stage audience, as the lake has them. show_order needs audience beside it.
        min_cell: least number of viewers of a published figure; 1 returns the tables as they are.
    """
    if min_cell == 1:
        return dict(tables)
    return {name: _RULES[name](tables, min_cell) for name in tables}


def round_figures(columns: Sequence[Column], rows: pa.Table, min_cell: int, ratios: Columns | None = None) -> pa.Table:
    """Return rows with rounded numbers of viewers and seconds; ratios are those given, by name.

    KeyError if a ratio is missing.
    """
    if min_cell == 1:
        return rows
    return pa.table({one.name: _published(one, rows, min_cell, ratios or {}) for one in columns})


def round_viewers(viewers: pa.ChunkedArray, min_cell: int) -> pa.ChunkedArray:
    """Return numbers of viewers as multiples of ``min_cell``."""
    return pc.multiply(pc.divide(pc.add(viewers, min_cell // 2), min_cell), min_cell)


def unit_of_set(shows: int, min_cell: int) -> int:
    """Return the unit to which numbers of viewers of a set of shows are rounded, and hours of theirs; 1 if exact.

    It is ``min_cell`` for one show, three times that for up to 9 shows, nine times that for up to 81, and so on: about
    the square root of the number of shows. Anybody may choose sets, and more shows make more sets to compare. Multiples
    of three keep ranges whole: the range of a larger unit has no edge within that of a smaller one, so that a set with
    further shows that nobody watches tells nothing new.
    """
    unit, covered = min_cell, 1
    while covered < shows and min_cell > 1:
        unit, covered = 3 * unit, 9 * covered
    return unit


def round_restated(rows: pa.Table, min_cell: int) -> pa.Table:
    """Return cells of viewership of a day that may have been published before, with rounded plays and seconds.

    Exact cells of two versions of a day would differ by exactly what the viewers who came, or were erased, watched in
    between. Rows whose seconds round to 0 are left out.
    """
    if min_cell == 1:
        return rows
    plays, seconds = rows["plays"], rows["watched_seconds"]
    rounded = _with(
        rows,
        plays=_to_multiple(plays, min_cell).cast(plays.type),
        watched_seconds=_to_multiple(seconds, min_cell * HOUR_S).cast(seconds.type),
    )
    return rounded.filter(pc.greater(rounded["watched_seconds"], 0))


def leave_out_few(rows: pa.Table, group: str, seconds: Sequence[str], viewers: str, min_cell: int) -> pa.Table:
    """Return rows whose worldwide seconds lack those of the countries that are withheld, if these have few viewers.

    The seconds of these viewers would otherwise be known: worldwide less the countries that are published. So they are
    in no figure of the group, which loses next to nothing. Few: fewer than 2n are published of them together. A viewer
    of two countries counts in both.

    Args:
        rows: group × country, and each group with the country worldwide.
        group: column that identifies a group.
        seconds: columns of seconds, additive over countries.
        viewers: column of the number of viewers.
        min_cell: least number of viewers; with 1 nothing is withheld, and nothing left out.
    """
    if min_cell == 1:
        return rows
    everywhere = pc.equal(rows["country"], WORLDWIDE)
    rounded = _with(rows, **{viewers: round_viewers(rows[viewers], min_cell)})
    small = rounded.filter(pc.and_(pc.invert(everywhere), _is_few(rounded[viewers], min_cell)))
    sums = small.group_by(group, use_threads=False).aggregate([(one, "sum") for one in (viewers, *seconds)])
    few = sums.filter(_is_few(sums[f"{viewers}_sum"], min_cell))
    place = _null_where(pc.invert(everywhere), pc.index_in(rows[group], few[group].combine_chunks()))
    for name in seconds:
        left = pc.subtract(rows[name], pc.fill_null(few[f"{name}_sum"].take(place), 0))
        # Where nothing is left, a second is: so little is withheld, and 0 would say that nobody watched.
        rest = pc.if_else(pc.equal(rows[name], 0), rows[name], pc.max_element_wise(left, 1, skip_nulls=False))
        rows = _with(rows, **{name: rest.cast(rows[name].type)})
    return rows


def _published(column: Column, rows: pa.Table, min_cell: int, ratios: Columns) -> pa.ChunkedArray:
    values = rows[column.name]
    if column.figure is Figure.VIEWERS:
        return round_viewers(values, min_cell)
    if column.figure is Figure.SECONDS:
        return _round_seconds(values, round_viewers(rows[column.of], min_cell), min_cell)
    if column.figure is Figure.RATIO:
        ratio = ratios[column.name]
        return _null_where(_is_few(round_viewers(rows[column.of], min_cell), min_cell), ratio) if column.of else ratio
    return values


def _round_seconds(seconds: pa.ChunkedArray, published: pa.ChunkedArray, min_cell: int) -> pa.ChunkedArray:
    """Return rounded seconds, from the published number of their viewers."""
    rounded = _to_multiple(seconds, min_cell * HOUR_S)
    return _null_where(pc.or_(_is_few(published, min_cell), pc.equal(rounded, 0)), rounded.cast(seconds.type))


def _to_multiple(values: pa.ChunkedArray, unit: int) -> pa.ChunkedArray:
    """Return the nearest multiples of a unit, halves up."""
    return pc.multiply(pc.floor(pc.add(pc.divide(values.cast(pa.float64()), unit), 0.5)), unit)


def _is_few(published: pa.ChunkedArray, min_cell: int) -> pa.ChunkedArray:
    """Return whether published viewers are too few for seconds and ratios; null, as in earlier versions, are few."""
    return pc.fill_null(pc.less(published, 2 * min_cell), fill_value=True)


def _null_where(condition: pa.ChunkedArray, values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(condition, pa.scalar(None, values.type), values)


def _divide(one: pa.ChunkedArray, other: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the quotient; null if the divisor is 0."""
    divisor = other.cast(pa.float64())
    return pc.divide(one.cast(pa.float64()), _null_where(pc.fill_null(pc.equal(divisor, 0), fill_value=False), divisor))


def _with(rows: pa.Table, **columns: pa.ChunkedArray) -> pa.Table:
    for name, values in columns.items():
        rows = rows.set_column(rows.column_names.index(name), name, values)
    return rows


def _protect_audience(tables: Mapping[str, pa.Table], min_cell: int) -> pa.Table:
    """Protect audience. Valued seconds are withheld, too, where few viewers watched other shows as well.

    For only they make valued seconds less than the seconds of play, which fact_viewership may have exactly.
    """
    rows = leave_out_few(tables[AUDIENCE.name], "show_id", ["watched_seconds", "valued_seconds"], "reach", min_cell)
    reach, sole = (round_viewers(rows[name], min_cell) for name in ("reach", "sole_viewers"))
    rows = _with(rows, valued_seconds=_null_where(_is_few(pc.subtract(reach, sole), min_cell), rows["valued_seconds"]))
    seconds = _round_seconds(rows["watched_seconds"], reach, min_cell)
    average = _divide(seconds, reach)
    # Days of all viewers, to a multiple of min_cell. Nobody in reach came on less than one day.
    step = _divide(_all(min_cell, rows), reach)
    days = pc.multiply(pc.floor(pc.add(_divide(rows["return_days"], step), 0.5)), step)
    ratios = {
        "runtime_seconds": rows["runtime_seconds"],
        "views": _divide(seconds, rows["runtime_seconds"]),
        "average_seconds": _null_where(pc.is_null(rows["average_seconds"]), average),
        "loyalty": pc.min_element_wise(_divide(average, rows["runtime_seconds"]), 1.0, skip_nulls=False),
        "return_days": pc.max_element_wise(days, 1.0, skip_nulls=False),
    }
    return round_figures(AUDIENCE.columns, rows, min_cell, ratios)


def _protect_base(tables: Mapping[str, pa.Table], min_cell: int) -> pa.Table:
    """Protect audience_base. Where the countries withheld have few viewers, so are the seconds of one country more.

    All seconds of the period are known, so that nothing can be left out of them. It is the smallest further country.
    """
    done = round_figures(AUDIENCE_BASE.columns, tables[AUDIENCE_BASE.name], min_cell)
    viewers = dict(zip(done["country"].to_pylist(), done["active_viewers"].to_pylist(), strict=True))
    listed = [(number or 0, country) for country, number in viewers.items() if country != WORLDWIDE]
    small = [number for number, _ in listed if number < 2 * min_cell]
    large = [one for one in listed if one[0] >= 2 * min_cell]
    if not large or not small or sum(small) >= 2 * min_cell:
        return done
    _, further = min(large)
    return _with(done, watched_seconds=_null_where(pc.equal(done["country"], further), done["watched_seconds"]))


def _protect_genre(tables: Mapping[str, pa.Table], min_cell: int) -> pa.Table:
    rows = leave_out_few(tables[AUDIENCE_GENRE.name], "genre", ["watched_seconds"], "reach", min_cell)
    return round_figures(AUDIENCE_GENRE.columns, rows, min_cell)


def _protect_departure(tables: Mapping[str, pa.Table], min_cell: int) -> pa.Table:
    """Protect departure. The number expected is rounded as viewers are, its variance up.

    Kinds of viewers that round to none have no row: only kinds that have viewers have rows in the lake.
    """
    rows = tables[DEPARTURE.name]
    rows = rows.filter(pc.greater(round_viewers(rows["viewers"], min_cell), 0))
    seen, variance = (_divide(rows[name], _all(min_cell, rows)) for name in ("expected_seen", "expected_variance"))
    ratios = {
        "expected_seen": pc.multiply(pc.floor(pc.add(seen, 0.5)), float(min_cell)),
        "expected_variance": pc.multiply(pc.ceil(variance), float(min_cell)),
    }
    return round_figures(DEPARTURE.columns, rows, min_cell, ratios)


def _all(number: int, rows: pa.Table) -> pa.ChunkedArray:
    return pa.chunked_array([pa.repeat(number, rows.num_rows)])


def _protect_order(tables: Mapping[str, pa.Table], min_cell: int) -> pa.Table:
    """Protect show_order. Shows of few viewers have no row; seconds are the sums of the seconds published.

    The best orders end before the first step that adds no published viewer, that of removal once it has lost some. No
    later step of keeping adds more than the step before it, and none of removal less, so a long row of them with
    rounded totals would tell how many each adds.
    """
    shows = _protect_audience(tables, min_cell)
    shows = shows.filter(pc.and_(pc.equal(shows["country"], WORLDWIDE), pc.invert(_is_few(shows["reach"], min_cell))))
    seconds = dict(zip(shows["show_id"].to_pylist(), shows["watched_seconds"].to_pylist(), strict=True))
    rows = tables[SHOW_ORDER.name].sort_by([(name, "ascending") for name in SHOW_ORDER.sort])
    rows = rows.filter(pc.is_in(rows["show_id"], pa.array(list(seconds), pa.int64())))
    sums, so_far = [], dict.fromkeys(rows["strategy"].to_pylist(), 0)
    for strategy, show in zip(rows["strategy"].to_pylist(), rows["show_id"].to_pylist(), strict=True):
        so_far[strategy] += seconds[show] or 0
        sums.append(so_far[strategy])
    ratios = {"watched_seconds": pa.chunked_array([pa.array(sums, pa.int64())])}
    done = round_figures(SHOW_ORDER.columns, rows, min_cell, ratios)
    return done.filter(pa.array(_rises(done), pa.bool_()))


def _rises(steps: pa.Table) -> list[bool]:
    """Return of each step of an order whether it stays: in the best orders, while published viewers rise."""
    found: list[bool] = []
    before, over = {KEEP: -1, REMOVE: 0}, set()
    for strategy, viewers in zip(steps["strategy"].to_pylist(), steps["viewers"].to_pylist(), strict=True):
        if strategy in before:
            if viewers <= before[strategy] and (viewers or strategy == KEEP):
                over.add(strategy)
            before[strategy] = viewers
        found.append(strategy not in over)
    return found


def _protect_overlap(tables: Mapping[str, pa.Table], min_cell: int) -> pa.Table:
    """Protect overlap. Shows whose reach rounds to none have no row: only shows that reached somebody have rows."""
    rows = tables[OVERLAP.name]
    own = rows.filter(pc.equal(rows["show_id"], rows["other_show_id"]))
    large = own.filter(pc.greater(round_viewers(own["viewers"], min_cell), 0))["show_id"].combine_chunks()
    both = (pc.is_in(rows[name], large) for name in ("show_id", "other_show_id"))
    return round_figures(OVERLAP.columns, rows.filter(pc.and_(*both)), min_cell)


def _protect_steps(tables: Mapping[str, pa.Table], min_cell: int) -> pa.Table:
    """Protect season_step. The share kept is null from the first step on with few viewers at risk."""
    rows = tables[SEASON_STEP.name].sort_by([(name, "ascending") for name in SEASON_STEP.sort])
    at_risk = round_viewers(rows["at_risk"], min_cell)
    steps = zip(*(one.to_pylist() for one in (rows["step"], at_risk, rows["kept"])), strict=True)
    kept = pa.array(_coarse_kept(steps, min_cell), pa.float64())
    return round_figures(SEASON_STEP.columns, rows, min_cell, {"kept": pa.chunked_array([kept])})


def _coarse_kept(steps: Iterable[tuple[int, int | None, float | None]], min_cell: int) -> list[float | None]:
    """Return the shares kept, in steps of ``min_cell`` of the viewers of the first step for whom they stand.

    Args:
        steps: of each season in order: the number of the step, its published viewers at risk, and the share kept.
        min_cell: least number of viewers of a published figure.
    """
    found: list[float | None] = []
    before: float | None = None
    for step, at_risk, share in steps:
        if step == 1:
            before = share
        elif before is None or share is None or (at_risk or 0) < 2 * min_cell:
            before = None
        elif before > 0:
            unit = min_cell * before / (at_risk or 1)
            before = min(before, int(share / unit + 0.5) * unit)
        found.append(before)
    return found


def _only_round(dataset: Dataset) -> Callable[[Mapping[str, pa.Table], int], pa.Table]:
    return lambda tables, min_cell: round_figures(dataset.columns, tables[dataset.name], min_cell)


_RULES: Mapping[str, Callable[[Mapping[str, pa.Table], int], pa.Table]] = {
    AUDIENCE.name: _protect_audience,
    AUDIENCE_BASE.name: _protect_base,
    AUDIENCE_GENRE.name: _protect_genre,
    DEPARTURE.name: _protect_departure,
    SHOW_ORDER.name: _protect_order,
    OVERLAP.name: _protect_overlap,
    SEASON_STEP.name: _protect_steps,
    SEASON_AUDIENCE.name: _only_round(SEASON_AUDIENCE),
    LAUNCH.name: _only_round(LAUNCH),
}
