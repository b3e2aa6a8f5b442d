"""The simulated service as arrays: catalogue, viewers and UTC offsets, to draw millions of plays.

Times are milliseconds since 1970 in UTC. Shows, episodes and zones are numbered by their index in their lists.
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
"""Days of offsets and airings before the first event, for plays that start earlier and run into the first hour."""
HOME_TASTE = 2.0
"""Weight of shows from the viewer's own country."""
KOREA_TASTE = 0.55
"""Share of the planted genre in the random plays of viewers in Korea."""


@dataclass(frozen=True)
class Catalogue:
    """The numbered shows. The episodes of show s are numbered from ``first[s]``, in the order in which they air."""

    show_ids: Ints
    minutes: Ints
    first: Ints
    episode_ids: Ints
    aired: Ints
    """Shape (shows, hours): number of episodes that have aired by the start of an hour of ``Service``."""
    crime: Bools
    taste: Floats
    """Shape (countries, shows): cumulative weights of shows in the random plays of a country's viewers."""


@dataclass(frozen=True)
class Service:
    """A complete simulated service, which follows from the settings alone."""

    settings: SimulateSettings
    catalogue: Catalogue
    viewers: Viewers
    zero: int
    """Start of hour number 0."""
    offsets: Ints
    """Shape (zones, hours): offset of local time from UTC in an hour, in minutes."""

    def hour_number(self, times: Ints) -> Ints:
        """Return the number of the hour that contains each time."""
        return (times - self.zero) // HOUR_MS


def make_service(settings: SimulateSettings) -> Service:
    """Make the service for these settings."""
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
    """Convert an instant to milliseconds since 1970."""
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
    """Return each show's share of the random plays of a country's viewers."""
    weights = np.array([show.popularity * (HOME_TASTE if show.country == country else 1) for show in world.shows])
    if country == "KR":
        planted = np.array([KOREA_GENRE in show.genres for show in world.shows])
        others = weights[~planted].sum()
        weights[planted] *= others * KOREA_TASTE / (1 - KOREA_TASTE) / weights[planted].sum()
    shares: Floats = weights / weights.sum()
    return shares
