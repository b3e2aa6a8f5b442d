"""The attacker's rule on days restated: he has viewership of a day from before and after somebody came or went.

A late file brings plays of a day that was published, and an erasure takes some away. A cell of viewership that has all
of its key, and nothing that stands for several, is of the same plays in both marts, and so is a whole day. Its seconds
in one mart less those in the other are of the viewers between. A recovery is their sum within 5 %, if they are 1 to
min_cell - 1 viewers.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from marquee.lake.datasets import VIEWERSHIP
from marquee.mart.cells import Cells
from marquee.mart.fold import OTHER, OTHER_COUNTRY
from tests.attacker.published import Row
from tests.attacker.seconds import HOUR_S, SECONDS, WITHIN
from tests.attacker.worlds import Seen, World

Place = tuple[int, str, str, str]
"""Episode, country, daypart, device; ``DAY`` for the whole day."""
DAY: Place = (0, "**", "", "")


@dataclass(frozen=True)
class Change:
    """What the attacker states of a cell: by how many seconds it grew between two marts."""

    place: Place
    low: float
    high: float


def viewership(world: World, min_cell: int, *, restated: bool = False) -> Sequence[Row]:
    """Return the rows of viewership of the world's day as a mart has them. Viewers are 0 to 63, one bit each."""
    rows = [
        {
            "hour": one.at.replace(minute=0),
            "episode_id": one.episode,
            "country": one.country,
            "local_hour": one.at.hour,
            "device": one.device,
            "plays": 1,
            "watched_seconds": one.seconds,
            "viewer_bits": 1 << one.viewer,
        }
        for one in world.plays
    ]
    shows = pa.table({"episode_id": list(world.show_of), "show_id": list(world.show_of.values())})
    with Cells(256) as cells:
        cells.add(pa.Table.from_pylist(rows, schema=VIEWERSHIP.schema))
        found: list[Row] = cells.folded(shows, min_cell, restated=restated).to_pylist()
    return found


def changes(before: Sequence[Row], after: Sequence[Row], min_cell: int, *, restated: bool) -> Iterator[Change]:
    """Yield what two marts tell about cells of a day; the later one is rounded if the day is restated."""
    half = min_cell * HOUR_S / 2 if restated else 0
    old, new = ({_place(row): row[SECONDS] for row in rows} for rows in (before, after))
    for place in old.keys() & new.keys():
        if OTHER not in place and OTHER_COUNTRY not in place and place[0] > 0:
            grew = new[place] - old[place]
            yield Change(place, grew - half, grew + half)
    if before and after and not restated:  # rounded rows lack those that round to 0
        grew = sum(new.values()) - sum(old.values())
        yield Change(DAY, grew, grew)


def true_changes(before: World, after: World) -> Mapping[Place, Sequence[int]]:
    """Return the seconds of each viewer whose seconds changed, by place: a count in plain Python."""
    found: dict[Place, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for world, sign in ((before, -1), (after, 1)):
        for play in world.plays:
            for place in (_place_of(play), DAY):
                found[place][play.viewer] += sign * play.seconds
    return {place: [one for one in viewers.values() if one] for place, viewers in found.items()}


def is_known(change: Change, truth: Sequence[int], min_cell: int) -> bool:
    """Return whether the seconds of few viewers are known."""
    return 0 < len(truth) < min_cell and change.high - change.low <= 2 * WITHIN * abs(sum(truth))


def _place(row: Row) -> Place:
    return row["episode_id"], row["country"], row["daypart"], row["device"]


def _place_of(play: Seen) -> Place:
    return play.episode, play.country, daypart_of(play.at), play.device


def daypart_of(at: datetime) -> str:
    """Return the daypart of a viewer in UTC."""
    hours = {"night": {23, *range(6)}, "morning": range(6, 12), "daytime": range(12, 18), "evening": range(18, 23)}
    return next(name for name, those in hours.items() if at.hour in those)
