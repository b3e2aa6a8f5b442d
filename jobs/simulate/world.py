"""The catalogue of the made-up service as values: channels, and shows with their episodes, for a window of time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True)
class Channel:
    """A network or a web channel. Ids of the two are separate, and overlap. A global web channel has no country."""

    id: int
    name: str
    country: str | None


@dataclass(frozen=True)
class Status:
    """What the schedule says of a show from a day on."""

    since: date
    name: str
    ended: date | None = None


@dataclass(frozen=True)
class Episode:
    """An episode. ``minutes`` is how long it really is; ``runtime`` is what the schedule says, if anything."""

    id: int
    name: str
    type: str
    season: int
    number: int | None
    airdate: date
    airtime: str
    airstamp: datetime
    minutes: int
    runtime: int | None
    rating: float | None = None
    summary: str | None = None
    has_image: bool = False
    listed: bool = True
    """Is in the schedule; otherwise people can watch it all the same."""


@dataclass(frozen=True)
class Show:
    """A show with its episodes in the order of their airstamps."""

    id: int
    name: str
    slug: str
    type: str
    language: str | None
    genres: tuple[str, ...]
    country: str
    network: Channel | None
    web_channel: Channel | None
    on_web: bool
    """Is in ``/schedule/web``; a few are without a web channel."""
    statuses: tuple[Status, ...]
    premiered: date
    airtime: str
    days: tuple[str, ...]
    minutes: int
    runtime: int | None
    average_runtime: int | None
    rating: float | None
    weight: int
    summary: str | None
    popularity: float
    """Weight of the show in what viewers choose at random; 0: it has only its planted audience."""
    episodes: tuple[Episode, ...]

    def status_on(self, day: date) -> Status:
        """Return the status that the schedule gives on a day."""
        return next(status for status in reversed(self.statuses) if status.since <= day)


@dataclass(frozen=True)
class World:
    """Everything that the schedule service knows."""

    first_day: date
    last_day: date
    shows: tuple[Show, ...]

    def listings(self) -> Iterator[tuple[Show, Episode]]:
        """Yield each show with each of its episodes that is in the schedule."""
        for show in self.shows:
            for episode in show.episodes:
                if episode.listed:
                    yield show, episode
