"""Makes the simulated catalogue: the planted shows, and random shows whose popularity follows a power law.

The random shows have the oddities of TVMaze's data: no language, no genres, no runtime, late-night episodes that belong
to the day before, years as seasons, two channels, a network on the web schedule without a web channel, a show that
returns after its end, and a few episodes that no schedule lists.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import TypeVar

from jobs.simulate.countries import COUNTRIES, SCHEDULE_COUNTRIES
from jobs.simulate.episodes import Plan, make_episodes
from jobs.simulate.names import ADJECTIVES, GLOBAL_CHANNELS, LOCAL_CHANNELS, NAMED, NETWORKS, NOUNS, PLACES, Named
from jobs.simulate.planted import KOREA_GENRE, SHOWS, PlantedShow, Rhythm
from jobs.simulate.settings import SimulateSettings
from jobs.simulate.world import Channel, Show, Status, World

DRAWN_SHOWS = 250
FIRST_SHOW_ID = 71_000
FIRST_EPISODE_ID = 2_500_000
FLAT_TOP = 12
"""Popularity of the show with rank r is 1 / (r + FLAT_TOP): a power law with a flat top."""
ORPHAN_RANKS = range(5, DRAWN_SHOWS, 60)
"""Shows with these ranks have an episode that no schedule lists."""
CAME_BACK_RANK = 40

TYPES = {
    "Scripted": 60, "Reality": 12, "Documentary": 10, "Animation": 8, "Talk Show": 4, "News": 3, "Sports": 2,
    "Variety": 1,
}  # fmt: skip
MINUTES = {
    "Scripted": (24, 30, 42, 45, 50, 58), "Animation": (11, 22, 24), "News": (30, 60), "Sports": (90, 120, 180),
}  # fmt: skip
OTHER_MINUTES = (20, 30, 45, 60)
GENRES = {
    "Drama": 30, "Comedy": 20, "Adventure": 8, "Action": 8, "Mystery": 7, "Thriller": 7, "Family": 6, "Fantasy": 5,
    "Science-Fiction": 6, "History": 5, "Crime": 5, "Children": 4, "Romance": 3, "Horror": 3, "Nature": 3, "Travel": 3,
    "Food": 3, "Medical": 2, "Supernatural": 2, "Music": 2, "DIY": 2, "Legal": 1, "Sports": 1, "War": 1, "Anime": 1,
}  # fmt: skip
NO_GENRES = {"News": 1.0, "Talk Show": 0.9, "Sports": 0.8, "Reality": 0.6, "Variety": 0.6}
LANGUAGES = {
    "KR": "Korean", "JP": "Japanese", "DE": "German", "FR": "French", "BR": "Portuguese", "ES": "Spanish",
    "MX": "Spanish", "RU": "Russian", "KZ": "Kazakh", "SE": "Swedish", "NO": "Norwegian", "IN": "Hindi",
}  # fmt: skip
RHYTHMS: dict[Rhythm, int] = {"weekly": 60, "twice a week": 15, "at once": 25}
AIRTIMES = {"20:00": 6, "21:00": 6, "22:00": 4, "19:30": 2, "18:00": 2, "00:25": 2, "04:00": 1}
T = TypeVar("T")

PREMIERE_TIME = "05:00"
"""Time of shows that premiere within the window, in UTC: early, so that most viewers can watch it on the same day."""

NO_AIRTIME, NO_LANGUAGE, NO_RUNTIMES = 0.85, 0.02, 0.04
YEAR_AS_SEASON, UNDECIDED, RATED, SUMMARISED = 0.05, 0.08, 0.4, 0.8
"""Shares of the random shows."""
WEB_SHARE, BOTH_SHARE, ODDLY_ON_WEB = 0.40, 0.10, 0.06
"""Of shows from a country with networks: only on the web, on both; of networks' shows: also on the web schedule."""
LOCAL_SHARE = 0.3
"""Share of the shows on the web that are on a channel of their country, not a global one."""


@dataclass(frozen=True)
class Blueprint:
    """Plan of one show: everything except its episodes and the random details without effect."""

    id: int
    named: Named
    language: str | None
    """Language in the schedule."""
    network: Channel | None
    web_channel: Channel | None
    on_web: bool
    plan: Plan
    statuses: tuple[Status, ...]
    popularity: float


def _channels() -> tuple[dict[str, list[Channel]], dict[str, list[Channel]], list[Channel]]:
    """Return networks by country, local web channels by country, and global web channels; networks have own ids."""
    networks, web = itertools.count(1), itertools.count(1)
    everywhere = [Channel(next(web), name, None) for name in GLOBAL_CHANNELS]
    broadcast = {code: [Channel(next(networks), name, code) for name in names] for code, names in NETWORKS.items()}
    local = {code: [Channel(next(web), name, code) for name in names] for code, names in LOCAL_CHANNELS.items()}
    return broadcast, local, everywhere


BROADCAST, LOCAL, GLOBAL = _channels()


def build_world(settings: SimulateSettings) -> World:
    """Make the catalogue for the seed and the window; the number of events and viewers has no effect."""
    rng = _rng(settings.seed, "episode ids")
    ids = itertools.accumulate(itertools.repeat(0), lambda last, _: last + rng.randint(1, 9), initial=FIRST_EPISODE_ID)
    planted = [_planted(one, settings) for one in SHOWS]
    drawn = [_drawn(rank, named, settings) for rank, named in enumerate(_names(settings.seed))]
    shows = (_show(blueprint, settings, ids) for blueprint in (*planted, *drawn))
    return World(settings.schedule_from, settings.last_day, tuple(shows))


def _planted(show: PlantedShow, settings: SimulateSettings) -> Blueprint:
    rng = _rng(settings.seed, show.name)
    statuses = [Status(settings.schedule_from, "Running")]
    last_day = settings.ends_on if show.ends and settings.days >= show.days else None
    if last_day:
        statuses.append(Status(last_day, "Ended", last_day))
    network = rng.choice(BROADCAST[show.country]) if show.airtime else None
    return Blueprint(
        id=show.show_id,
        named=Named(show.name, show.slug, show.language, show.country, "Scripted", show.genres),
        language=show.language,
        network=network,
        web_channel=None if network else rng.choice(GLOBAL),
        on_web=network is None,
        plan=Plan(
            show.rhythm,
            show.minutes,
            PREMIERE_TIME if show.premieres else show.airtime,
            network.country if network else None,
            rng.randint(1, 4),
            first_day=settings.start + timedelta(days=1) if show.premieres else None,
            last_day=last_day,
        ),
        statuses=tuple(statuses),
        popularity=_planted_popularity(show),
    )


def _planted_popularity(show: PlantedShow) -> float:
    if show.days > 1:  # it needs random viewers in a window that is too short for its audience
        return _popularity(DRAWN_SHOWS // 2)
    # A show with an audience in some countries has a few random viewers elsewhere, fewer than any random show.
    return _popularity(DRAWN_SHOWS) / 4 if show.audience.countries else 0.0


def _drawn(rank: int, named: Named, settings: SimulateSettings) -> Blueprint:
    rng = _rng(settings.seed, f"show {rank}")
    network, web_channel, on_web = _on_channels(named.country, rng)
    rhythm = "weekdays" if named.type in {"News", "Talk Show"} else _weighted(rng, RHYTHMS)
    by_year = rhythm != "at once" and (rhythm == "weekdays" or rng.random() < YEAR_AS_SEASON)
    plan = Plan(
        rhythm,
        rng.choice(MINUTES.get(named.type, OTHER_MINUTES)),
        _weighted(rng, AIRTIMES) if network else "" if rng.random() < NO_AIRTIME else "18:00",
        next((channel.country for channel in (network, web_channel) if channel), None),
        None if by_year else rng.randint(1, 9),
        first_number=rng.randint(1, 12),
        runtimes_known=rng.random() >= NO_RUNTIMES,
        orphan=rank in ORPHAN_RANKS,
    )
    return Blueprint(
        id=FIRST_SHOW_ID + 7 * rank,
        named=named,
        language=None if rng.random() < NO_LANGUAGE else named.language,
        network=network,
        web_channel=web_channel,
        on_web=on_web,
        plan=plan,
        statuses=_statuses(rank, settings, rng),
        popularity=_popularity(rank),
    )


def _popularity(rank: int) -> float:
    return 1 / (rank + FLAT_TOP)


def _on_channels(country: str, rng: Random) -> tuple[Channel | None, Channel | None, bool]:
    """Draw a network, a web channel, and whether the show is in the web schedule."""
    local = rng.choice(LOCAL[country]) if country in LOCAL else None
    web = local if local and rng.random() < LOCAL_SHARE else rng.choice(GLOBAL)
    at = rng.random()
    if country not in BROADCAST or at < WEB_SHARE:
        return None, web, True
    network = rng.choice(BROADCAST[country])
    if local and at < WEB_SHARE + BOTH_SHARE:
        return network, local, True
    # Outside SCHEDULE_COUNTRIES, shows of networks are on the web schedule: no broadcast schedule is fetched there.
    return network, None, country not in SCHEDULE_COUNTRIES or rng.random() < ODDLY_ON_WEB


def _statuses(rank: int, settings: SimulateSettings, rng: Random) -> tuple[Status, ...]:
    first = settings.schedule_from
    if rank == CAME_BACK_RANK:
        return Status(first, "Ended", first - timedelta(days=200)), Status(settings.start, "Running")
    return (Status(first, "To Be Determined" if rng.random() < UNDECIDED else "Running"),)


def _show(blueprint: Blueprint, settings: SimulateSettings, ids: Iterator[int]) -> Show:
    rng = _rng(settings.seed, f"text {blueprint.id}")
    named, plan = blueprint.named, blueprint.plan
    episodes = make_episodes(plan, named.language, settings, ids, rng)
    weekdays = {episode.airdate.weekday(): f"{episode.airdate:%A}" for episode in episodes if episode.number}
    listed_minutes = plan.minutes if plan.runtimes_known else None
    return Show(
        id=blueprint.id,
        name=named.name,
        slug=named.slug,
        type=named.type,
        language=blueprint.language,
        genres=named.genres,
        country=named.country,
        network=blueprint.network,
        web_channel=blueprint.web_channel,
        on_web=blueprint.on_web,
        statuses=blueprint.statuses,
        premiered=plan.first_day or episodes[0].airdate - timedelta(days=rng.randint(0, 2000)),
        airtime=plan.airtime,
        days=tuple(weekdays[number] for number in sorted(weekdays)) if plan.rhythm != "at once" else (),
        minutes=plan.minutes,
        runtime=listed_minutes,
        average_runtime=listed_minutes,
        rating=round(rng.uniform(5, 9), 1) if rng.random() < RATED else None,
        weight=rng.randint(3, 95),
        summary=_summary(named, rng) if rng.random() < SUMMARISED else None,
        popularity=blueprint.popularity,
        episodes=episodes,
    )


def _summary(named: Named, rng: Random) -> str:
    name = named.name.replace("&", "&amp;")
    place = rng.choice(PLACES)
    what = f"the people of {place}, their days &amp; nights, and a secret older than <i>{place}</i> itself"
    return f"<p><b>{name}</b> follows {what}.</p>"


def _rng(seed: int, purpose: str) -> Random:
    return Random(f"{seed}/{purpose}")  # noqa: S311 - a simulated world must be reproducible


def _weighted(rng: Random, weights: Mapping[T, float]) -> T:
    return rng.choices(list(weights), list(weights.values()))[0]


def _names(seed: int) -> list[Named]:
    """Return the random shows in the order of their popularity: those of ``NAMED``, and others."""
    rng = _rng(seed, "names")
    made = [f"The {one} {thing}" for one in ADJECTIVES for thing in NOUNS]
    made += [f"{thing} of {place}" for thing in NOUNS for place in PLACES]
    names = [*NAMED, *(_name(name, rng) for name in rng.sample(made, DRAWN_SHOWS - len(NAMED)))]
    rng.shuffle(names)
    return names


def _name(name: str, rng: Random) -> Named:
    country = _weighted(rng, {code: country.shows for code, country in COUNTRIES.items()})
    kind = _weighted(rng, TYPES)
    drawn = {_weighted(rng, GENRES) for _ in range(rng.randint(1, 4))}
    if KOREA_GENRE in drawn:
        drawn.discard("Drama")  # with both genres, Drama, the most frequent genre, would also lead in Korea
    genres = () if rng.random() < NO_GENRES.get(kind, 0.1) else tuple(sorted(drawn))
    return Named(name, name.lower().replace(" ", "-"), LANGUAGES.get(country, "English"), country, kind, genres)
