"""Since which run an hour has its rows of viewership: it may be made again, or rekeyed, without a change of them.

A mart that is loaded anew knows no earlier run. By this note in the marker it can tell a day whose rows changed after
they were published from one that only has other runs; see ``restated_days`` in marquee/mart/ledger.py. Rows are the
same if the digest of their objects is: equal rows, bits of viewers included, have equal bytes.
"""

import dataclasses
from typing import NamedTuple

from marquee.lake import keys
from marquee.lake.datasets import VIEWERSHIP
from marquee.lake.manifest import Marker

ROWS_SINCE = "rows_since"
"""Count of a marker of an hour: generation and id of the run that first had its rows, where it is not the own run."""


class RowsSince(NamedTuple):
    """The first run of those in a row that have the same rows of viewership."""

    generation: int
    run_id: str


def rows_since(hour: Marker) -> RowsSince:
    """Return the run since which an hour has its rows of viewership."""
    match hour.counts.get(ROWS_SINCE):
        case [int(generation), str(run_id)]:
            return RowsSince(generation, run_id)
    return RowsSince(hour.generation, hour.run_id)


def with_rows_since(marker: Marker, previous: Marker | None) -> Marker:
    """Return the marker of a new run with the note, if it has the rows of the run before; other stages have none."""
    if marker.stage != keys.ROLLUP:
        return marker
    counts = {name: one for name, one in marker.counts.items() if name != ROWS_SINCE}  # it may be of the run before
    if previous is not None and previous.as_input(VIEWERSHIP) == marker.as_input(VIEWERSHIP):
        counts[ROWS_SINCE] = list(rows_since(previous))
    return dataclasses.replace(marker, counts=counts)
