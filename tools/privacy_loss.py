"""What protection costs: ``python -m tools.privacy_loss LAKE PERIOD`` prints the tables of docs/privacy.md.

It compares the exact audience of shows of a period in a lake with what a mart has of it: as earlier versions published
it (rows of 1 to n - 1 viewers without numbers of viewers, all others exact), and as marquee/mart/protect.py does. Three
tables: the period as it is, by country and worldwide; random parts of its viewers, from show_viewer; and a service of
more events, in which each viewer of the sample stands for as many viewers alike. Cells that the sample does not have
are in none of them.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from marquee.calendar import Period
from marquee.lake import keys
from marquee.lake.datasets import AUDIENCE, EPISODE_DAY, SHOW_VIEWER, WORLDWIDE
from marquee.lake.files import read_dataset, read_output
from marquee.lake.manifest import Marker
from marquee.lake.markers import Markers
from marquee.mart.protect import protect
from marquee.storage.base import Store
from marquee.storage.opening import open_store
from tools.markdown import table

REACH_S = 120
PARTS = (8, 4, 2, 1)
HEAD = (
    "audience of shows", "cells", "viewers", "before: withheld", "their viewers", "now: told as 0", "their viewers",
    "now: without hours", "their hours", "error of larger cells",
)  # fmt: skip


@dataclass(frozen=True)
class Loss:
    """What is lost of the cells with at least one viewer. Shares are of all cells, viewers (summed) or seconds."""

    cells: int
    viewers: int
    before_cells: float
    before_viewers: float
    none_cells: float
    none_viewers: float
    without_hours: float
    hours: float
    error: float
    """Sum of the differences between exact and published reach, of their sum, where at least 2n are published."""

    def row(self, name: str) -> list[str]:
        """Return the cells of a table's row."""
        shares = (
            self.before_cells, self.before_viewers, self.none_cells, self.none_viewers, self.without_hours, self.hours,
            self.error,
        )  # fmt: skip
        return [name, f"{self.cells:,}", f"{self.viewers:,}", *(f"{100 * one:.1f} %" for one in shares)]


def measure(rows: pa.Table, min_cell: int) -> Loss:
    """Return what is lost of rows of audience, which have any number of shows and countries."""
    published = protect({AUDIENCE.name: rows}, min_cell)[AUDIENCE.name]
    reach, seconds = (rows[name].to_numpy() for name in ("reach", "watched_seconds"))
    some = reach > 0
    told, hidden = published["reach"].to_numpy()[some], published["watched_seconds"].is_null().to_numpy()[some]
    reach, seconds = reach[some], seconds[some]
    each, small, none, large = np.ones(len(reach)), reach < min_cell, told == 0, told >= 2 * min_cell
    return Loss(
        cells=len(reach),
        viewers=int(reach.sum()),
        before_cells=_share(small, each),
        before_viewers=_share(small, reach),
        none_cells=_share(none, each),
        none_viewers=_share(none, reach),
        without_hours=_share(hidden, each),
        hours=_share(hidden, seconds),
        error=float(np.abs(told - reach)[large].sum() / max(reach[large].sum(), 1)),
    )


def _share(part: Any, whole: Any) -> float:  # noqa: ANN401 - arrays of numpy
    return float(whole[part].sum() / max(whole.sum(), 1))


def part_of(pairs: pa.Table, viewers: Any) -> pa.Table:  # noqa: ANN401 - an array of numpy
    """Return the audience of some viewers, from rows of show_viewer with the column ``viewer``."""
    chosen = pairs.filter(pc.is_in(pairs["viewer"], pa.array(viewers)))
    here = chosen.select(["show_id", "country", "viewer", "watched_seconds"])
    worldwide = here.set_column(1, "country", pa.array([WORLDWIDE] * here.num_rows, pa.string()))
    both = pa.concat_tables([here, worldwide], promote_options="permissive")
    each = both.group_by(["show_id", "country", "viewer"])
    summed = each.aggregate([("watched_seconds", "sum")])
    reached = pc.greater_equal(summed["watched_seconds_sum"], REACH_S).cast(pa.int64())
    counted = summed.append_column("reached", reached).group_by(["show_id", "country"])
    found = counted.aggregate([("reached", "sum"), ("watched_seconds_sum", "sum")])
    return _audience(found["show_id"], found["country"], found["reached_sum"], found["watched_seconds_sum_sum"])


def times(rows: pa.Table, factor: int) -> pa.Table:
    """Return an audience in which each viewer is as many."""
    more = (pc.multiply(rows[name], factor) for name in ("reach", "watched_seconds"))
    return _audience(rows["show_id"], rows["country"], *more)


def _audience(*columns: pa.ChunkedArray) -> pa.Table:
    known = dict(zip(("show_id", "country", "reach", "watched_seconds"), columns, strict=True))
    rows = len(columns[0])
    return pa.table(
        {name: known.get(name, pa.nulls(rows, AUDIENCE.schema.field(name).type)) for name in AUDIENCE.schema.names}
    )


def read_pairs(store: Store, marker: Marker) -> pa.Table:
    """Return the rows of show_viewer, with a number that tells viewers of different buckets apart."""
    return pa.concat_tables(
        one.append_column("viewer", pc.add(one["viewer_number"].cast(pa.int64()), bucket << 32))
        for bucket, one in enumerate(read_output(store, one) for one in marker.of(SHOW_VIEWER))
    )


def tables_of(store: Store, period: Period, min_cell: int, events: int) -> Iterator[str]:
    """Yield the lines of the tables."""
    markers = Markers(store)
    marker = markers.of(keys.AUDIENCE)[period]
    audience = read_dataset(store, marker, AUDIENCE)
    audience = audience.filter(pc.not_equal(audience["show_id"], 0))
    pairs = read_pairs(store, marker)
    pairs = pairs.filter(pc.not_equal(pairs["show_id"], 0))
    days = [read_dataset(store, day, EPISODE_DAY) for one, day in markers.of(keys.PROFILE).items() if one in period]
    per_day = round(sum(pc.sum(one["plays"]).as_py() for one in days) / len(days))
    everywhere = pc.equal(audience["country"], WORLDWIDE)
    yield from table(
        HEAD,
        [
            measure(audience.filter(everywhere), min_cell).row("worldwide"),
            measure(audience.filter(pc.invert(everywhere)), min_cell).row("by country"),
        ],
    )
    viewers = np.random.default_rng(0).permutation(pairs["viewer"].unique().to_numpy())
    lines, countries = [], audience
    for part in PARTS:
        found = part_of(pairs, viewers[: len(viewers) // part])
        countries = found.filter(pc.not_equal(found["country"], WORLDWIDE))
        name = f"1/{part}: {len(viewers) // part:,} viewers, {per_day // part:,} events a day"
        lines.append(measure(countries, min_cell).row(name))
    factor = max(round(events / per_day), 1)
    scaled = times(countries, factor)
    lines.append(measure(scaled, min_cell).row(f"{factor:,} times: {events // 10**6} M events a day"))
    yield from table(HEAD, lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser("python -m tools.privacy_loss", description="Print what protection costs.")
    parser.add_argument("lake", help="URL of the lake")
    parser.add_argument("period", type=Period.parse, help="a week, month or quarter")
    parser.add_argument("--min-cell", type=int, default=10, help="least number of viewers (default: 10)")
    parser.add_argument("--events", type=int, default=100_000_000, help="events a day of the larger service")
    given = parser.parse_args(arguments)
    for line in tables_of(open_store(given.lake), given.period, given.min_cell, given.events):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
