"""The made-up service as arrays: its catalogue, its viewers, and their clocks, ready for drawing plays by the million.

Times are milliseconds since 1970 in UTC. Shows, episodes and zones are numbered by their places in the lists of those.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from jobs.simulate.catalogue import build_world
from jobs.simulate.planted import CRIME_GENRE, KOREA_GENRE
from jobs.simulate.settings import SimulateSettings
from jobs.simulate.viewers import ZONES, Bools, Floats, Ints, Viewers, make_viewers
from jobs.simulate.world import World

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
LEAD_DAYS = 2
"""Clocks and airings are known from this long before the first event: plays that run into the first hour start then."""
HOME_TASTE = 2.0
"""How much more a viewer watches the shows of the own country."""
KOREA_TASTE = 0.55
"""Share of what viewers in Korea watch by chance that is of the planted genre."""


@dataclass(frozen=True)
class Catalogue:
    """The shows, numbered; the episodes of show s are numbered from ``first[s]`` in the order in which they air."""

    show_ids: Ints
    minutes: Ints
    first: Ints
    episode_ids: Ints
    aired: Ints
    """Shape (shows, hours): episodes that have aired at the start of an hour of ``Service``."""
    crime: Bools
    taste: Floats
    """Shape (countries, shows): cumulative weights of what viewers of a country watch by chance."""


@dataclass(frozen=True)
class Service:
    """A made-up service, complete; everything in it follows from the settings."""

    settings: SimulateSettings
    catalogue: Catalogue
    viewers: Viewers
    zero: int
    """When hour number 0 starts."""
    offsets: Ints
    """Shape (zones, hours): minutes that local time is ahead of UTC in an hour."""

    def hour_number(self, times: Ints) -> Ints:
        """Return the number of the hour in which each time lies."""
        return (times - self.zero) // HOUR_MS


def make_service(settings: SimulateSettings) -> Service:
    """Make the service of these settings."""
    zero = settings.starts_at - timedelta(days=LEAD_DAYS)
    hours = [zero + timedelta(hours=n) for n in range((settings.days + LEAD_DAYS + 1) * 24)]
    return Service(
        settings=settings,
        catalogue=_catalogue(build_world(settings), settings.countries, hours),
        viewers=make_viewers(settings),
        zero=to_ms(zero),
        offsets=np.array([[_offset_minutes(zone, hour) for hour in hours] for zone in map(ZoneInfo, ZONES)]),
    )


def to_ms(instant: datetime) -> int:
    """Return an instant in milliseconds since 1970."""
    return int(instant.timestamp() * 1000)


def _offset_minutes(zone: ZoneInfo, instant: datetime) -> int:
    offset = instant.astimezone(zone).utcoffset() or timedelta()
    return int(offset.total_seconds()) // 60


def _catalogue(world: World, countries: tuple[str, ...], hours: list[datetime]) -> Catalogue:
    shows = world.shows
    counts = [len(show.episodes) for show in shows]
    airs = [np.array([to_ms(episode.airstamp) for episode in show.episodes]) for show in shows]
    starts = np.array([to_ms(hour) for hour in hours])
    return Catalogue(
        show_ids=np.array([show.id for show in shows]),
        minutes=np.array([show.minutes for show in shows]),
        first=np.cumsum([0, *counts[:-1]]),
        episode_ids=np.array([episode.id for show in shows for episode in show.episodes]),
        aired=np.array([np.searchsorted(times, starts, side="right") for times in airs]),
        crime=np.array([CRIME_GENRE in show.genres for show in shows]),
        taste=np.cumsum([_taste(world, code) for code in countries], axis=1),
    )


def _taste(world: World, country: str) -> Floats:
    """Return what share of what viewers of a country watch by chance each show has."""
    weights = np.array([show.popularity * (HOME_TASTE if show.country == country else 1) for show in world.shows])
    if country == "KR":
        planted = np.array([KOREA_GENRE in show.genres for show in world.shows])
        others = weights[~planted].sum()
        weights[planted] *= others * KOREA_TASTE / (1 - KOREA_TASTE) / weights[planted].sum()
    shares: Floats = weights / weights.sum()
    return shares
