"""What if a set of shows goes: who is left with nothing, and how many hours are at risk, by country.

The answer is counted over all viewers of a period, and protected. It reads the period's show_viewer, bucket by bucket,
with the thresholds of the period's own run, and what a mart has of the single shows.

Whoever chooses sets compares them. So what is additive over shows is the sum of figures as a mart has them, which tells
nothing new; other figures are rounded the more coarsely the more shows there are.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from jobs.profile.files import create_view, fetch, scan
from jobs.profile.queries import query
from jobs.profile.settings import ProfileOptions
from marquee.engine.base import Engine, Task
from marquee.errors import CorruptLakeError
from marquee.lake import keys
from marquee.lake.datasets import (
    AUDIENCE,
    AUDIENCE_BASE,
    SHOW_VIEWER,
    TEXT,
    WHOLE,
    WORLDWIDE,
    Column,
    Dataset,
    Figure,
)
from marquee.lake.files import read_dataset
from marquee.lake.manifest import WAY_OUT, Marker, Output
from marquee.mart.protect import protect, round_figures, unit_of_set
from marquee.sql import Values
from marquee.storage.base import Store
from marquee.storage.opening import StoreAddress

BATCH = 32
"""Buckets that are counted between two reports of progress."""

FIGURES = (
    Column("country", TEXT, "country of the play, or '**' for worldwide"),
    Column("reach", WHOLE, "viewers reached by the set", figure=Figure.VIEWERS),
    Column("left_with_nothing", WHOLE, "of reach", figure=Figure.VIEWERS, of="reach"),
    Column("lose_nearly_all", WHOLE, "of reach", figure=Figure.VIEWERS, of="reach"),
    Column("at_risk_seconds", WHOLE, "all their seconds", figure=Figure.SECONDS, of="lose_nearly_all"),
)
"""The figures of a set in a country, or worldwide, as loss.sql defines them."""

OF_SHOWS = {
    "watched_seconds": "watched_seconds",
    "one_by_one": "sole_viewers",
    "nearly_one_by_one": "near_sole_viewers",
}
"""The figures that are sums over the shows of a set, and the columns of audience that they are sums of."""


@dataclass(frozen=True)
class LossUnit:
    """A bucket of show_viewer, and the parameters of the query."""

    lake: StoreAddress
    output: Output
    values: Values


@dataclass(frozen=True)
class Loss:
    """What the viewers in a country, or worldwide, lose with a set of shows. Seconds that are withheld are None.

    ``watched_seconds`` are of the shows whose seconds are not withheld; None if those of all are.

    ``left_with_nothing`` are viewers in reach of the set who watched nothing else, anywhere. ``lose_nearly_all`` spent
    at least near_sole_share of their seconds on it; ``at_risk_seconds`` are all their seconds. ``one_by_one`` and
    ``nearly_one_by_one`` are the sums of the same counts over the single shows.
    """

    country: str
    watched_seconds: int | None
    all_seconds: int | None
    active_viewers: int | None
    reach: int
    left_with_nothing: int
    lose_nearly_all: int
    at_risk_seconds: int | None
    one_by_one: int
    nearly_one_by_one: int


def count_loss(unit: LossUnit, task: Task) -> pa.Table:
    """Count what one bucket's viewers lose: the columns of loss.sql."""
    store = unit.lake.open()
    with task.database(unit.lake.folder) as db:
        create_view(db, SHOW_VIEWER.name, SHOW_VIEWER, scan(fetch(store, [unit.output], task.scratch)))
        return query("loss").select(db, unit.values)


def what_if(
    lake: StoreAddress,
    engine: Engine,
    marker: Marker,
    shows: Collection[int],
    min_cell: int,
    advance: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[Loss]:
    """Return what is lost with a set of shows in a period: worldwide, then each country with a viewer of the set.

    Args:
        lake: the lake.
        engine: counts the buckets.
        marker: the period's audience, with show_viewer.
        shows: ids of the shows of the set.
        min_cell: least number of viewers of a figure; see marquee/mart/protect.py.
        advance: is called with the numbers of buckets that are done, and of all.

    Raises:
        CorruptLakeError: an object is missing or damaged.
    """
    options = options_of(marker)
    values = {**options.model_dump(), "shows": sorted(shows), "worldwide": WORLDWIDE}
    units = [LossUnit(lake, output, values) for output in marker.of(SHOW_VIEWER)]
    tables: list[pa.Table] = []
    for start in range(0, len(units), BATCH):
        tables += engine.map(count_loss, units[start : start + BATCH])
        advance(len(tables), len(units))
    published = read_published(lake.open(), marker, (AUDIENCE, AUDIENCE_BASE), min_cell)
    bases = {row["country"]: row for row in published[AUDIENCE_BASE.name].to_pylist()}
    nobody = {"watched_seconds": 0, "active_viewers": 0}
    losses = [
        Loss(**row, all_seconds=all_here["watched_seconds"], active_viewers=all_here["active_viewers"])
        for row in publish(_summed(tables), published[AUDIENCE.name], shows, min_cell)
        for all_here in [bases.get(row["country"], nobody)]
    ]
    return sorted(losses, key=_place)


def read_published(store: Store, marker: Marker, datasets: Sequence[Dataset], min_cell: int) -> dict[str, pa.Table]:
    """Return rows of an audience by dataset, as they may be published."""
    return protect({one.name: read_dataset(store, marker, one) for one in datasets}, min_cell)


def options_of(marker: Marker) -> ProfileOptions:
    """Return the thresholds that a period's audience was counted with; other settings of earlier versions are not."""
    known = {name: one for name, one in marker.parameters.items() if name in ProfileOptions.model_fields}
    exact = {name: str(one) if isinstance(one, float) else one for name, one in known.items()}
    try:
        return ProfileOptions.model_validate(exact)
    except ValidationError as error:
        message = f"{keys.AUDIENCE} {marker.period}, run {marker.run_id}, has no valid thresholds. {WAY_OUT}"
        raise CorruptLakeError(message) from error


def _summed(tables: Iterable[pa.Table]) -> dict[str, Counter[str]]:
    counts = {WORLDWIDE: Counter({one.name: 0 for one in FIGURES if one.figure})}
    for row in (row for table in tables for row in table.to_pylist()):
        counts.setdefault(row.pop("country"), Counter()).update(row)
    return counts


def publish(
    counts: Mapping[str, Mapping[str, int]], audience: pa.Table, shows: Collection[int], min_cell: int
) -> list[dict[str, Any]]:
    """Return the figures of a set in each country, as they may be published.

    Args:
        counts: exact figures by country, worldwide included.
        audience: the period's audience as a mart has it.
        shows: ids of the shows of the set.
        min_cell: least number of viewers of a figure of one show.
    """
    schema = pa.schema([(one.name, pa.type_for_alias(one.type)) for one in FIGURES])
    rows = pa.Table.from_pylist([{**one, "country": country} for country, one in counts.items()], schema=schema)
    own = audience.filter(pc.is_in(audience["show_id"], pa.array(sorted(shows), pa.int64()))).to_pylist()
    return [
        {**row, **_sums([one for one in own if one["country"] == row["country"]])}
        for row in round_figures(FIGURES, rows, unit_of_set(len(shows), min_cell)).to_pylist()
    ]


def _sums(shows: Sequence[Mapping[str, int | None]]) -> dict[str, int | None]:
    """Return the sums over shows of their published figures; None where no show has one."""
    found: dict[str, int | None] = {}
    for name, column in OF_SHOWS.items():
        told = [one for show in shows if (one := show[column]) is not None]
        found[name] = sum(told) if told or not shows else None
    return found


def _place(loss: Loss) -> tuple[bool, int, int, str]:
    """Return the sort key: worldwide first, then the most viewers left with nothing, then the most hours."""
    return loss.country != WORLDWIDE, -loss.left_with_nothing, -(loss.watched_seconds or 0), loss.country
