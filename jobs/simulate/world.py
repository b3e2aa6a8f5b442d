"""The catalogue of the simulated service as values: channels, and shows with their episodes, for a window of time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True)
class Channel:
    """A network or a web channel. Their ids are separate, and may be equal. A global web channel has no country."""

    id: int
    name: str
    country: str | None


@dataclass(frozen=True)
class Status:
    """Status of a show in the schedule, from a day on."""

    since: date
    name: str
    ended: date | None = None


@dataclass(frozen=True)
class Episode:
    """An episode. ``minutes`` is its real length; ``runtime`` is the length in the schedule, if any."""

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
    """Whether the schedule lists it. Viewers can also watch unlisted episodes."""


@dataclass(frozen=True)
class Show:
    """A show with its episodes, in the order of their airstamps."""

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
    """Whether ``/schedule/web`` lists it; a few such shows have no web channel."""
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
    """Weight of the show in random plays; 0 for a show with only its planted audience."""
    episodes: tuple[Episode, ...]

    def status_on(self, day: date) -> Status:
        """Return the show's status on a day."""
        return next(status for status in reversed(self.statuses) if status.since <= day)


@dataclass(frozen=True)
class World:
    """Everything in the schedule service."""

    first_day: date
    last_day: date
    shows: tuple[Show, ...]

    def listings(self) -> Iterator[tuple[Show, Episode]]:
        """Yield each show with each of its listed episodes."""
        for show in self.shows:
            for episode in show.episodes:
                if episode.listed:
                    yield show, episode
