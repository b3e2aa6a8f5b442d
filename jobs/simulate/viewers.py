"""Makes the viewers of the simulated service: country, languages, device, activity and audience.

Each trait is an array with one entry for each viewer. The number of viewers follows from the number of events: each
watches about half an hour a day.
"""

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jobs.simulate.countries import COUNTRIES
from jobs.simulate.planted import SHOWS, Audience
from jobs.simulate.settings import SimulateSettings

Ints = npt.NDArray[np.int64]
Small = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

EVENTS_A_DAY_EACH = 30
LEAST_AUDIENCE = 4
MULTILINGUAL_SHARE = 0.12
FIRST_USER, USERS, USER_STRIDE = 1_000_000, 9_000_000, 2_654_437
"""User ids have seven digits in a mixed order; the stride and the number of ids are coprime."""

ZONES = tuple(dict.fromkeys(zone for country in COUNTRIES.values() for zone, _ in country.zones))
LANGUAGES = tuple(
    dict.fromkeys(
        tag
        for country in COUNTRIES.values()
        for tag in (*(tag for tag, _ in country.languages), *country.second_languages)
    )
)
DEVICES = {"tv": 0.5, "phone": 0.25, "web": 0.12, "tablet": 0.1, "console": 0.03}


@dataclass(frozen=True)
class Viewers:
    """The viewers. ``country``, ``zone``, ``languages`` and ``device`` contain indexes into their lists."""

    users: npt.NDArray[np.int32]
    """Numbers in the user ids, which are the letter u and this number."""
    partition: npt.NDArray[np.int16]
    """Kafka partition of the viewer's events."""
    countries: tuple[str, ...]
    country: Small
    zone: Small
    languages: Small
    """Shape (viewers, 2): first and second language, which are equal for viewers of one language."""
    device: Small
    activity: Floats
    """Cumulative weights of viewers in the random plays."""
    audiences: dict[int, Ints]
    """Viewers of each planted show, by show id."""

    @property
    def multilingual(self) -> Bools:
        """Whether a viewer watches in two languages."""
        return np.not_equal(self.languages[:, 0], self.languages[:, 1])


def make_viewers(settings: SimulateSettings) -> Viewers:
    """Make the viewers for the seed and the number of events."""
    rng = np.random.default_rng([settings.seed, 1])
    size = max(settings.events_per_day // EVENTS_A_DAY_EACH, 100)
    users = (FIRST_USER + (np.arange(size) + settings.seed) * USER_STRIDE % USERS).astype(np.int32)
    shares = np.array([COUNTRIES[code].viewers for code in settings.countries])
    # In exact proportions, not random, so that even a small service has viewers in Japan.
    country = np.searchsorted(np.cumsum(shares / shares.sum()), (np.arange(size) + 0.5) / size).astype(np.uint8)
    rng.shuffle(country)
    zone, languages = _places(settings.countries, country, rng)
    audiences = _audiences(settings, country, languages, rng)
    return Viewers(
        users=users,
        # Like librdkafka's default with a key: CRC32 of the key, modulo the partitions.
        partition=np.fromiter((zlib.crc32(b"u%d" % user) % settings.partitions for user in users), np.int16, size),
        countries=settings.countries,
        country=country,
        zone=zone,
        languages=languages,
        device=draw(np.array(list(DEVICES.values())), size, rng).astype(np.uint8),
        activity=_activity(size, audiences, rng),
        audiences=audiences,
    )


def draw(weights: Floats, size: int, rng: np.random.Generator) -> Ints:
    """Draw ``size`` indexes into a list of weights."""
    return np.searchsorted(np.cumsum(weights / weights.sum())[:-1], rng.random(size), side="right")


def _places(codes: tuple[str, ...], country: Small, rng: np.random.Generator) -> tuple[Small, Small]:
    """Draw each viewer's time zone and two languages."""
    zone = np.zeros(len(country), np.uint8)
    languages = np.zeros((len(country), 2), np.uint8)
    multilingual = rng.random(len(country)) < MULTILINGUAL_SHARE
    for number, code in enumerate(codes):
        here, made = np.flatnonzero(country == number), COUNTRIES[code]
        zone[here] = _weighted(ZONES, dict(made.zones), len(here), rng)
        first = _weighted(LANGUAGES, dict(made.languages), len(here), rng)
        second = _weighted(LANGUAGES, dict.fromkeys(made.second_languages, 1.0), len(here), rng)
        languages[here] = np.stack([first, np.where(multilingual[here], second, first)], axis=1)
    return zone, languages


def _weighted(names: tuple[str, ...], weights: dict[str, float], size: int, rng: np.random.Generator) -> Ints:
    return draw(np.array([weights.get(name, 0.0) for name in names]), size, rng)


def _audiences(
    settings: SimulateSettings, country: Small, languages: Small, rng: np.random.Generator
) -> dict[int, Ints]:
    """Assign viewers to each planted show; no viewer is in two audiences, but those of ``viewers_of``."""
    free = np.ones(len(country), bool)
    audiences: dict[int, Ints] = {}
    for show in SHOWS:
        if show.audience.viewers_of:
            audiences[show.show_id] = audiences[show.audience.viewers_of]
            continue
        wanted = _may_belong(show.audience, settings.countries, country, languages)
        everyone = wanted.sum() if show.audience.countries else len(country)
        pool = np.flatnonzero(wanted & free)
        share = show.audience.share if settings.days >= show.days else 0.0
        size = min(max(round(share * float(everyone)), LEAST_AUDIENCE if share else 0), len(pool))
        audiences[show.show_id] = np.sort(rng.choice(pool, size, replace=False))
        free[audiences[show.show_id]] = False
    return audiences


def _may_belong(audience: Audience, codes: tuple[str, ...], country: Small, languages: Small) -> Bools:
    multilingual = languages[:, 0] != languages[:, 1]
    here = np.isin(country, [codes.index(code) for code in audience.countries]) if audience.countries else True
    return multilingual & here if audience.multilingual else np.ones(len(country), bool) & here


def _activity(size: int, audiences: dict[int, Ints], rng: np.random.Generator) -> Floats:
    """Return cumulative weights by Zipf's law with a flat top; 0 for the viewers of only one show."""
    weights = rng.permutation(size).astype(np.float64)
    weights += size / 8
    np.divide(1, weights, out=weights)
    for show in SHOWS:
        if show.audience.nothing_else:
            weights[audiences[show.show_id]] = 0
    weights /= weights.sum()
    return np.cumsum(weights, out=weights)
