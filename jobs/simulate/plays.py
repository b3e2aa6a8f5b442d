"""Draws plays: one row for each time a viewer watches an episode without a break.

Plays are drawn for each UTC day on which they start, from the seed and the date alone. First come the plays of the
planted audiences; random plays then fill up the day's number of events. They are drawn column by column, and each
column in chunks, because a day of a large service does not fit in memory.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np

from jobs.simulate.planted import CRIME_EVENING, SHOWS, PlantedShow
from jobs.simulate.scratch import Array, Column, Scratch, chunk_sizes
from jobs.simulate.service import DAY_MS, HOUR_MS, MINUTE_MS, Service, to_ms
from jobs.simulate.viewers import DEVICES, Bools, Floats, Ints, draw

DAYS_A_WEEK = 7
DAY_ORDER = np.array([0, 4, 1, 5, 2, 6, 3])
"""A viewer of n days a week watches on the days whose value here is below n, which spreads them over the week."""
DAYS_APART = 3
"""Shift in days between the weeks of consecutive viewers, so that each day has about the same number of viewers."""

USUAL = np.array([2, 1, 1, 1, 1, 2, 3, 4, 4, 3, 3, 4, 5, 5, 4, 4, 5, 6, 8, 11, 13, 13, 9, 4], float)
EVENING = np.array([0.1] * 18 + [2, 5, 6, 3] + [0.1] * 2, float)
MORNING = np.array([0.1] * 6 + [4, 6, 3] + [0.1] * 15, float)
"""Weights of the local hours in which plays start."""

SAME_DEVICE = 0.8
GAP_MS = 15_000
"""Pause between two episodes of a sitting."""
WHOLE = (0.93, 1.0)
"""Range of the watched share of a whole episode: at least all but the credits."""
SHARES = ((0.35, WHOLE), (0.35, (0.2, 0.9)), (0.30, (0.02, 0.25)))
"""Random plays: share of the plays, and range of the watched share of the episode."""
GO_ON = 0.2
"""Share of whole random plays that continue with a newer episode, if there is one."""
LEAST_EVENTS = 12
"""Lower bound of the mean number of events of a random play, to draw enough plays."""

Chunks = Iterable[Array]
"""Chunks of a column, which can be iterated again."""
PLAY = np.dtype(
    [("viewer", "i4"), ("episode", "i4"), ("start", "i8"), ("seconds", "i4"), ("language", "u1"), ("device", "u1")]
)
"""A play on disk."""


@dataclass(frozen=True)
class Plays:
    """Columns of equal length, with one row for each play."""

    viewer: Ints
    episode: Ints
    """Number of the episode."""
    start: Ints
    """Milliseconds since 1970."""
    seconds: Ints
    language: Ints
    device: Ints

    @property
    def events(self) -> Ints:
        """Number of events of each play: one for each minute, the last one shorter."""
        return -(-self.seconds // 60)

    def __len__(self) -> int:
        return len(self.viewer)

    def __getitem__(self, rows: Ints | Bools) -> "Plays":
        columns = (self.viewer, self.episode, self.start, self.seconds, self.language, self.device)
        return Plays(*(column[rows] for column in columns))

    def packed(self) -> Array:
        """Return the plays as they are on disk."""
        rows = np.empty(len(self), PLAY)
        for name in PLAY.names or ():
            rows[name] = getattr(self, name)
        return rows

    @classmethod
    def unpack(cls, rows: Array) -> "Plays":
        """Return the plays of a chunk from disk."""
        return cls(*(rows[name].astype(np.int64) for name in PLAY.names or ()))


def join(parts: Iterable[Plays]) -> Plays:
    """Concatenate plays."""
    columns = zip(*((p.viewer, p.episode, p.start, p.seconds, p.language, p.device) for p in parts), strict=True)
    return Plays(*(np.concatenate(column) for column in columns))


def day_plays(service: Service, day: date) -> Iterator[Plays]:
    """Draw the plays that start on a UTC day, in chunks; together they have about the day's number of events."""
    rng = np.random.default_rng([service.settings.seed, 2, day.toordinal()])
    budget = service.settings.events_per_day
    for show in SHOWS:
        planted = _planted_plays(service, show, day, rng)
        budget -= int(planted.events.sum())
        yield planted
    budget = max(budget, 0)
    midnight = to_ms(datetime(day.year, day.month, day.day, tzinfo=UTC))

    def start(scratch: Scratch, viewers: Chunks, shows: Chunks) -> Column:
        return _start(scratch, service, midnight, (viewers, shows), rng)

    done = 0
    for plays in _chance_plays(service, budget // LEAST_EVENTS + 10, rng, start):
        events = done + np.cumsum(plays.events)
        yield plays[events <= budget]
        done = int(events[-1])


def hour_plays(service: Service, hour_start: int, events: int) -> Iterator[Plays]:
    """Draw random plays with at least ``events`` events in an hour, in chunks; many start before or end after it."""
    rng = np.random.default_rng([service.settings.seed, 3, hour_start // HOUR_MS])

    def start(scratch: Scratch, viewers: Chunks, _: Chunks) -> Column:
        return scratch.column(hour_start + rng.integers(-HOUR_MS, HOUR_MS, len(some)) for some in viewers)

    return _chance_plays(service, events // 8 + 10, rng, start)


def _planted_plays(service: Service, show: PlantedShow, day: date, rng: np.random.Generator) -> Plays:
    catalogue, audience = service.catalogue, show.audience
    members = service.viewers.audiences[show.show_id]
    number = (day - service.settings.start).days
    share, days_a_week = audience.then if day >= service.settings.ends_on else (1.0, 0)
    active = DAY_ORDER[(number + DAYS_APART * np.arange(len(members))) % DAYS_A_WEEK] < (
        days_a_week or audience.days_a_week
    )
    active &= np.arange(len(members)) < share * len(members)
    if show.ends and day > service.settings.ends_on:
        active &= rng.random(len(members)) < audience.after_end
    index = int(np.flatnonzero(catalogue.show_ids == show.show_id)[0])
    seen = number * audience.sitting
    if audience.leave_after:
        active &= 0 <= seen <= catalogue.aired[index, -1] - audience.sitting
        active &= seen < audience.leave_after or np.arange(len(members)) >= audience.leave * len(members)
    viewers = members[active]
    place = np.full(len(viewers), index)
    midnight = to_ms(datetime(day.year, day.month, day.day, tzinfo=UTC))
    with Scratch() as scratch:
        start = _start(scratch, service, midnight, ([viewers], [place]), rng).whole()
    aired = catalogue.aired[place, service.hour_number(start)]
    if show.premieres:  # nobody watches it before
        viewers, place, start, aired = (one[aired > 0] for one in (viewers, place, start, aired))
    any_aired = rng.integers(0, np.maximum(aired - audience.sitting + 1, 1))
    any_aired = np.full(len(viewers), seen) if audience.leave_after else any_aired
    episode = catalogue.first[place] + (aired - 1 if audience.newest else any_aired)
    sitting = (len(viewers), audience.sitting)
    seconds = (rng.uniform(*WHOLE, sitting) * show.minutes * 60).astype(np.int64)
    before = np.cumsum(seconds * 1000 + GAP_MS, axis=1) - (seconds * 1000 + GAP_MS)
    everyone = np.repeat(viewers, audience.sitting)
    language = _language(service, everyone, rng)
    with Scratch() as scratch:
        device = _device(scratch, service, [everyone], rng).whole()
    return Plays(
        viewer=everyone,
        episode=(episode[:, None] + np.arange(audience.sitting)).ravel(),
        start=(start[:, None] + before).ravel(),
        seconds=seconds.ravel(),
        language=language,
        device=device,
    )


def _chance_plays(
    service: Service, count: int, rng: np.random.Generator, start_of: Callable[[Scratch, Chunks, Chunks], Column]
) -> Iterator[Plays]:
    """Draw ``count`` random plays, and the plays that some of them continue with, in chunks.

    A column is drawn to its end before the next one, so that the size of the chunks has no effect.
    """
    catalogue, activity = service.catalogue, service.viewers.activity[:-1]
    sizes = chunk_sizes(count)
    with Scratch() as scratch:
        keep = scratch.column
        viewers = keep(np.searchsorted(activity, rng.random(size), side="right") for size in sizes)
        shows = keep(_shows(service, some, rng) for some in viewers)
        start = start_of(scratch, viewers, shows)
        aired = keep(catalogue.aired[show, service.hour_number(at)] for show, at in zip(shows, start, strict=True))
        # Newer ones more than older ones.
        back = keep((some * rng.random(len(some)) ** 2).astype(np.int64) for some in aired)
        share = _share(scratch, sizes, rng)
        goes_on = keep(
            (watched >= WHOLE[0]) & (ago > 0) & (rng.random(len(ago)) < GO_ON)
            for watched, ago in zip(share, back, strict=True)
        )
        language = keep(_language(service, some, rng) for some in viewers)
        device = _device(scratch, service, viewers, rng)
        further = _share(scratch, [int(some.sum()) for some in goes_on], rng)
        length = (catalogue.minutes[show] * 60 for show in shows)
        episode = (
            catalogue.first[show] + newest - 1 - ago for show, newest, ago in zip(shows, aired, back, strict=True)
        )
        for *chunk, lengths, watched, on, watched_further in zip(
            viewers, episode, start, language, device, length, share, goes_on, further, strict=True
        ):
            viewer, number, at, tag, kind = chunk
            first = Plays(viewer, number, at, _seconds(watched, lengths), tag, kind)
            yield _continued(first, on, _seconds(watched_further, lengths[on]))


def _seconds(share: Floats, length: Ints) -> Ints:
    return np.maximum((share * length).astype(np.int64), 5)


def _continued(first: Plays, goes_on: Bools, seconds: Ints) -> Plays:
    """Return the plays, each followed by the one that continues it, if any: no cut is within a sitting."""
    further = first[goes_on]
    further = Plays(
        further.viewer,
        further.episode + 1,
        further.start + further.seconds * 1000 + GAP_MS,
        seconds,
        further.language,
        further.device,
    )
    order = np.argsort(np.concatenate([np.arange(len(first)), np.flatnonzero(goes_on)]), kind="stable")
    return join([first, further])[order]


def _shows(service: Service, viewers: Ints, rng: np.random.Generator) -> Ints:
    """Draw a show for each viewer, by the taste of their country."""
    shows = np.zeros(len(viewers), np.int64)
    country, chance = service.viewers.country[viewers], rng.random(len(viewers))
    for number, taste in enumerate(service.catalogue.taste):
        here = country == number
        shows[here] = np.searchsorted(taste[:-1], chance[here], side="right")
    return shows


def _share(scratch: Scratch, sizes: Sequence[int], rng: np.random.Generator) -> Column:
    """Draw the watched shares of random plays, in chunks of these sizes."""
    weights = np.array([weight for weight, _ in SHARES])
    low, high = (np.array(side) for side in zip(*(limits for _, limits in SHARES), strict=True))
    kinds = scratch.column(draw(weights, size, rng) for size in sizes)
    return scratch.column(rng.uniform(low[kind], high[kind]) for kind in kinds)


def _start(
    scratch: Scratch, service: Service, midnight: int, plays: tuple[Chunks, Chunks], rng: np.random.Generator
) -> Column:
    """Draw the starts of plays, given as viewers and shows, within a UTC day, at local hours that suit the show."""
    viewers, shows = plays
    evening = service.viewers.countries.index(CRIME_EVENING)
    hours = scratch.column(draw(USUAL, len(some), rng) for some in viewers)
    for habit, there in ((EVENING, True), (MORNING, False)):
        crimes = (
            service.catalogue.crime[show] & ((service.viewers.country[viewer] == evening) == there)
            for viewer, show in zip(viewers, shows, strict=True)
        )
        hours = scratch.column(_replaced(hour, crime, habit, rng) for hour, crime in zip(hours, crimes, strict=True))
    within = scratch.column(rng.integers(0, HOUR_MS, len(some)) for some in viewers)
    return scratch.column(
        _at_local(service, midnight, viewer, hour * HOUR_MS + rest)
        for viewer, hour, rest in zip(viewers, hours, within, strict=True)
    )


def _replaced(hours: Ints, those: Bools, habit: Floats, rng: np.random.Generator) -> Ints:
    hours = hours.copy()
    hours[those] = draw(habit, int(those.sum()), rng)
    return hours


def _at_local(service: Service, midnight: int, viewers: Ints, local: Ints) -> Ints:
    """Return when it is these milliseconds after midnight at the viewers' places, within a UTC day."""
    zone = service.viewers.zone[viewers]
    start = np.full(len(viewers), midnight + DAY_MS // 2)
    # Twice, because on a day when the clocks change, the offset at noon differs from the offset at the start.
    for _ in range(2):
        offset = service.offsets[zone, service.hour_number(start)] * MINUTE_MS
        start = midnight + (local - offset) % DAY_MS
    return start


def _language(service: Service, viewers: Ints, rng: np.random.Generator) -> Ints:
    """Draw one of the viewer's two languages for each play."""
    return service.viewers.languages[viewers, rng.integers(0, 2, len(viewers))].astype(np.int64)


def _device(scratch: Scratch, service: Service, viewers: Chunks, rng: np.random.Generator) -> Column:
    """Draw the device of each play: usually the viewer's own."""
    usual = scratch.column(rng.random(len(some)) < SAME_DEVICE for some in viewers)
    return scratch.column(
        np.where(own, service.viewers.device[some], rng.integers(0, len(DEVICES), len(some)))
        for own, some in zip(usual, viewers, strict=True)
    )
