"""Sittings: the play of one viewer, of any shows, with pauses shorter than sitting_gap_seconds (30 minutes).

That is "in one go", as in published definitions of a binge (Netflix/Harris 2013: businessinsider.in 27309803). A row
counts as play from first_at to last_at.

A sitting is kept if it has enough episodes for a binge, or if it may continue a sitting of the day before or on the
day after.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from marquee.calendar import Period

if TYPE_CHECKING:  # planning needs no arrays
    import pyarrow as pa

    from jobs.profile.arrays import Ints
    from jobs.profile.watching import Watching

SLACK = timedelta(hours=1)
"""Maximum time by which an event may be received before or after its hour, for any settings of rollup."""


LONGEST_PLAY = timedelta(hours=1)
"""Maximum time before its receipt that an event stands for, by the event contract."""

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - times in the lake have no zone
MICROSECOND = timedelta(microseconds=1)
MICROSECONDS = 1_000_000


def starts_before(day: Period, gap_seconds: int) -> datetime:
    """Return an instant (UTC, without a zone): a sitting that starts before it may continue one from the day before."""
    return day.start.replace(tzinfo=None) + timedelta(seconds=gap_seconds) + SLACK


def lasts_until(day: Period, gap_seconds: int) -> datetime:
    """Return an instant (UTC, without a zone): a sitting that ends at or after it may continue on the next day."""
    return day.end.replace(tzinfo=None) - timedelta(seconds=gap_seconds) - SLACK - LONGEST_PLAY


def join_sittings(intervals: "pa.Table", values: Mapping[str, Any]) -> "pa.Table":
    """Return viewer × sitting × episode, sorted by this key, of the sittings to keep.

    Joining sittings gives the same result as joining all their rows: a row within a sitting is near a row of that
    sitting.

    Args:
        intervals: viewer, episode_id, watched_seconds, first_at, last_at: a viewer's rows of viewer_hour (one episode
            in one hour), or sittings of whole days, which are play intervals too.
        values: ``sitting_gap_seconds``: a pause of this length or longer ends a sitting. A sitting is kept with
            ``binge_episodes`` different episodes, or if it starts before ``starts_before``, or ends at ``lasts_until``
            or later (None: no such rule).

    Returns:
        Columns viewer, started_at (identifies the sitting of a viewer), episode_id, watched_seconds (seconds), first_at
        and last_at (UTC) of the episode in the sitting.
    """
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    from jobs.profile.arrays import Groups, numbered, numbers, split, words  # noqa: PLC0415

    viewers, viewer = numbered(words(intervals["viewer"]))
    first = numbers(intervals["first_at"])
    order = np.lexsort((first, viewer))
    viewer, first = viewer[order], first[order]
    starts = _starts(viewer, first, numbers(intervals["last_at"])[order], values["sitting_gap_seconds"])
    sitting = np.cumsum(starts) - 1
    episodes, episode = numbered(numbers(intervals["episode_id"])[order])
    groups = Groups(sitting * max(len(episodes), 1) + episode)
    sitting, episode = split(groups.keys, max(len(episodes), 1))
    started = first[starts]
    last = groups.greatest(numbers(intervals["last_at"])[order])
    kept = np.bincount(sitting, minlength=len(started)) >= values["binge_episodes"]
    if values["starts_before"] is not None:
        kept |= started < _number(values["starts_before"])
    if values["lasts_until"] is not None:
        kept[sitting[last >= _number(values["lasts_until"])]] = True
    here = kept[sitting]
    times = pa.timestamp("us")
    return pa.table(
        {
            "viewer": viewers[viewer[starts][sitting[here]]],
            "started_at": pa.array(started[sitting[here]]).cast(times),
            "episode_id": episodes[episode[here]],
            "watched_seconds": groups.sum(numbers(intervals["watched_seconds"])[order])[here],
            "first_at": pa.array(groups.least(first)[here]).cast(times),
            "last_at": pa.array(last[here]).cast(times),
        }
    )


def find_binges(sittings: "pa.Table", catalogue: "pa.Table", watching: "Watching", values: Mapping[str, Any]) -> "Ints":
    """Return, by pair of viewer and show, the greatest number of episodes in a sitting that count for a binge.

    Binge: 3 episodes of one show in a sitting (Netflix/Harris 2013 says 2 to 6: businessinsider.in 27309803), or 5
    (Deloitte Digital Democracy: digitalreview.co), each to binge_completion (70 %) of its runtime (a "watcher": Netflix
    to the UK Lords committee 2019, WARC 42811). An episode without a known runtime never counts.
    """
    import numpy as np  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    from jobs.profile.arrays import Groups, at_least, find, numbers, words  # noqa: PLC0415

    known = catalogue.filter(pc.is_valid(catalogue["runtime_seconds"])).sort_by("episode_id")
    place = find(numbers(known["episode_id"]), numbers(sittings["episode_id"]))
    watched = np.zeros(len(place), np.bool_)
    listed = place >= 0
    runtime = numbers(known["runtime_seconds"])[place[listed]]
    watched[listed] = at_least(numbers(sittings["watched_seconds"])[listed], values["binge_completion"], runtime)
    viewer = find(watching.viewers, words(sittings["viewer"]))
    show = find(watching.shows, numbers(known["show_id"]))[place] if len(listed) and listed.any() else place
    watched &= (viewer >= 0) & (show >= 0)
    viewer, show, started = viewer[watched], show[watched], numbers(sittings["started_at"])[watched]
    shows = max(len(watching.shows), 1)
    sitting = np.cumsum((np.diff(viewer, prepend=-1) != 0) | (np.diff(started, prepend=-1) != 0))
    groups = Groups(sitting * shows + show)
    of_pair = Groups(groups.least(viewer) * shows + groups.keys % shows)
    most = of_pair.greatest(groups.sizes)
    pairs = watching.pairs
    found = np.zeros(len(pairs.viewer), np.int64)
    where = find(pairs.viewer * shows + pairs.show, of_pair.keys)
    found[where[where >= 0]] = most[where >= 0]
    return found


def _starts(viewer: "Ints", first: "Ints", last: "Ints", gap_seconds: int) -> Any:  # noqa: ANN401 - flags
    """Return which rows, in the order of viewers and starts, begin a sitting.

    Of rows that start at the same instant, any may be the first.
    """
    import numpy as np  # noqa: PLC0415

    from jobs.profile.arrays import greatest_so_far  # noqa: PLC0415

    latest = greatest_so_far(last, viewer)
    starts = np.ones(len(viewer), np.bool_)
    same = viewer[1:] == viewer[:-1]
    starts[1:] = ~same | (first[1:] >= latest[:-1] + gap_seconds * MICROSECONDS)
    return starts


def _number(time: datetime) -> int:
    return (time - EPOCH) // MICROSECOND
