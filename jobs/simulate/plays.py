"""Draws plays: one row for each time a viewer watches an episode without a break.

Plays are drawn for each UTC day on which they start, from the seed and the date alone. First come the plays of the
planted audiences; random plays then fill up the day's number of events.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np

from jobs.simulate.planted import CRIME_EVENING, SHOWS, PlantedShow
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


def join(parts: Iterable[Plays]) -> Plays:
    """Concatenate plays."""
    columns = zip(*((p.viewer, p.episode, p.start, p.seconds, p.language, p.device) for p in parts), strict=True)
    return Plays(*(np.concatenate(column) for column in columns))


def day_plays(service: Service, day: date) -> Plays:
    """Draw the plays that start on a UTC day; together they have about the day's number of events."""
    rng = np.random.default_rng([service.settings.seed, 2, day.toordinal()])
    planted = join(_planted_plays(service, show, day, rng) for show in SHOWS)
    midnight = to_ms(datetime(day.year, day.month, day.day, tzinfo=UTC))
    budget = max(service.settings.events_per_day - int(planted.events.sum()), 0)
    by_chance = _chance_plays(
        service, budget // LEAST_EVENTS + 10, rng, lambda viewers, shows: _start(service, midnight, viewers, shows, rng)
    )
    enough = np.cumsum(by_chance.events) <= budget
    return join([planted, by_chance[enough]])


def hour_plays(service: Service, hour_start: int, events: int) -> Plays:
    """Draw random plays with at least ``events`` events in an hour; many start before it or end after it."""
    rng = np.random.default_rng([service.settings.seed, 3, hour_start // HOUR_MS])

    def start(viewers: Ints, _: Ints) -> Ints:
        return hour_start + rng.integers(-HOUR_MS, HOUR_MS, len(viewers))

    return _chance_plays(service, events // 8 + 10, rng, start)


def _planted_plays(service: Service, show: PlantedShow, day: date, rng: np.random.Generator) -> Plays:
    catalogue, audience = service.catalogue, show.audience
    members = service.viewers.audiences[show.show_id]
    number = (day - service.settings.start).days
    active = DAY_ORDER[(number + DAYS_APART * np.arange(len(members))) % DAYS_A_WEEK] < audience.days_a_week
    if show.ends and day > service.settings.ends_on:
        active &= rng.random(len(members)) < audience.after_end
    viewers = members[active]
    place = np.full(len(viewers), int(np.flatnonzero(catalogue.show_ids == show.show_id)[0]))
    midnight = to_ms(datetime(day.year, day.month, day.day, tzinfo=UTC))
    start = _start(service, midnight, viewers, place, rng)
    aired = catalogue.aired[place, service.hour_number(start)]
    any_aired = rng.integers(0, np.maximum(aired - audience.sitting + 1, 1))
    episode = catalogue.first[place] + (aired - 1 if audience.newest else any_aired)
    sitting = (len(viewers), audience.sitting)
    seconds = (rng.uniform(*WHOLE, sitting) * show.minutes * 60).astype(np.int64)
    before = np.cumsum(seconds * 1000 + GAP_MS, axis=1) - (seconds * 1000 + GAP_MS)
    everyone = np.repeat(viewers, audience.sitting)
    return Plays(
        viewer=everyone,
        episode=(episode[:, None] + np.arange(audience.sitting)).ravel(),
        start=(start[:, None] + before).ravel(),
        seconds=seconds.ravel(),
        language=_language(service, everyone, rng),
        device=_device(service, everyone, rng),
    )


def _chance_plays(
    service: Service, count: int, rng: np.random.Generator, start_of: Callable[[Ints, Ints], Ints]
) -> Plays:
    """Draw ``count`` random plays, and the plays that some of them continue with."""
    catalogue = service.catalogue
    viewers = np.searchsorted(service.viewers.activity[:-1], rng.random(count), side="right")
    shows = _shows(service, viewers, rng)
    start = start_of(viewers, shows)
    aired = catalogue.aired[shows, service.hour_number(start)]
    back = (aired * rng.random(count) ** 2).astype(np.int64)  # newer ones more than older ones
    share = _share(count, rng)
    length = catalogue.minutes[shows] * 60
    goes_on = (share >= WHOLE[0]) & (back > 0) & (rng.random(count) < GO_ON)
    first = Plays(
        viewer=viewers,
        episode=catalogue.first[shows] + aired - 1 - back,
        start=start,
        seconds=np.maximum((share * length).astype(np.int64), 5),
        language=_language(service, viewers, rng),
        device=_device(service, viewers, rng),
    )
    further = first[goes_on]
    further = Plays(
        further.viewer,
        further.episode + 1,
        further.start + further.seconds * 1000 + GAP_MS,
        np.maximum((_share(len(further), rng) * length[goes_on]).astype(np.int64), 5),
        further.language,
        further.device,
    )
    # A play and the one that continues it are adjacent, so that cutting the rows at a number of events cuts no sitting.
    order = np.argsort(np.concatenate([np.arange(count), np.flatnonzero(goes_on)]), kind="stable")
    return join([first, further])[order]


def _shows(service: Service, viewers: Ints, rng: np.random.Generator) -> Ints:
    """Draw a show for each viewer, by the taste of their country."""
    shows = np.zeros(len(viewers), np.int64)
    country, chance = service.viewers.country[viewers], rng.random(len(viewers))
    for number, taste in enumerate(service.catalogue.taste):
        here = country == number
        shows[here] = np.searchsorted(taste[:-1], chance[here], side="right")
    return shows


def _share(count: int, rng: np.random.Generator) -> Floats:
    kind = draw(np.array([weight for weight, _ in SHARES]), count, rng)
    low, high = (np.array(side)[kind] for side in zip(*(limits for _, limits in SHARES), strict=True))
    return rng.uniform(low, high)


def _start(service: Service, midnight: int, viewers: Ints, shows: Ints, rng: np.random.Generator) -> Ints:
    """Draw the starts of plays within a UTC day, at local hours that suit the show."""
    evening = service.viewers.countries.index(CRIME_EVENING)
    crime = service.catalogue.crime[shows]
    hours = draw(USUAL, len(viewers), rng)
    for habit, those in (
        (EVENING, crime & (service.viewers.country[viewers] == evening)),
        (MORNING, crime & (service.viewers.country[viewers] != evening)),
    ):
        hours[those] = draw(habit, int(those.sum()), rng)
    local = hours * HOUR_MS + rng.integers(0, HOUR_MS, len(viewers))
    zone = service.viewers.zone[viewers]
    noon = np.full(len(viewers), midnight + DAY_MS // 2)
    start = noon
    # Twice, because on a day when the clocks change, the offset at noon differs from the offset at the start.
    for _ in range(2):
        offset = service.offsets[zone, service.hour_number(start)] * MINUTE_MS
        start = midnight + (local - offset) % DAY_MS
    return start


def _language(service: Service, viewers: Ints, rng: np.random.Generator) -> Ints:
    """Draw one of the viewer's two languages for each play."""
    return service.viewers.languages[viewers, rng.integers(0, 2, len(viewers))]


def _device(service: Service, viewers: Ints, rng: np.random.Generator) -> Ints:
    own = service.viewers.device[viewers]
    return np.where(rng.random(len(viewers)) < SAME_DEVICE, own, rng.integers(0, len(DEVICES), len(viewers)))
