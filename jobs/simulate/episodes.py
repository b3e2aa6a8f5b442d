"""The episodes of one made-up show, and when they air."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from jobs.simulate.countries import COUNTRIES
from jobs.simulate.names import EPISODE_WORD, NOUNS, PLACES
from jobs.simulate.planted import Rhythm
from jobs.simulate.settings import SimulateSettings
from jobs.simulate.world import Episode

PROGRAMME_DAY_STARTS = time(5)
"""What airs before this hour belongs to the programme of the day before, as broadcasters count."""
NOON = time(12)
"""TVMaze's stand-in for an empty airtime."""
DAY = timedelta(days=1)
DAYS_A_WEEK = 7

TITLED, SPECIAL, NO_RUNTIME, RATED, SUMMARISED, PICTURED = 0.5, 0.02, 0.03, 0.1, 0.3, 0.4
"""Shares of episodes; those of runtimes, ratings and summaries are what TVMaze's web schedule has."""


@dataclass(frozen=True)
class Plan:
    """What the episodes of a show have in common."""

    rhythm: Rhythm
    minutes: int
    airtime: str
    country: str | None
    """Of the channel that the airtime is for; none: a global one."""
    season: int | None
    """None: the year is the season, and the day of the year the number."""
    first_number: int = 1
    runtimes_known: bool = True
    last_day: date | None = None
    """The day of the last episode of a show that ends; a special follows on the day after."""
    orphan: bool = False
    """Has an episode that no schedule lists."""


@dataclass(frozen=True)
class Slot:
    """A place in the programme: a day and the episode's place among the regular ones, None for a special."""

    day: date
    index: int | None
    listed: bool = True


def airstamp(airdate: date, airtime: str, country: str | None) -> datetime:
    """Return the instant at which TVMaze says that an episode airs; without an airtime that is noon, made up."""
    at = time.fromisoformat(airtime) if airtime else NOON
    day = airdate + DAY if at < PROGRAMME_DAY_STARTS else airdate
    zone = ZoneInfo(COUNTRIES[country].schedule_zone) if country else UTC
    return datetime.combine(day, at, zone).astimezone(UTC)


def air_dates(rhythm: Rhythm, settings: SimulateSettings, rng: Random) -> list[date]:
    """Return when a show airs between the schedule's first day and its last: a day for each episode."""
    days = [settings.schedule_from + n * DAY for n in range((settings.last_day - settings.schedule_from).days + 1)]
    if rhythm == "at once":
        before = (settings.start - settings.schedule_from).days
        return [days[rng.randint(1, before - 4)]] * rng.randint(8, 10)
    weekdays: dict[Rhythm, list[int]] = {
        "daily": list(range(DAYS_A_WEEK)),
        "weekdays": list(range(5)),
        "twice a week": rng.sample(range(DAYS_A_WEEK), 2),
        "weekly": [rng.randrange(DAYS_A_WEEK)],
    }
    return [day for day in days if day.weekday() in weekdays[rhythm]]


def make_episodes(
    plan: Plan, language: str, settings: SimulateSettings, ids: Iterator[int], rng: Random
) -> tuple[Episode, ...]:
    """Make a show's episodes, in the order in which they air."""
    dates = [day for day in air_dates(plan.rhythm, settings, rng) if plan.last_day is None or day <= plan.last_day]
    slots = [Slot(day, None if rng.random() < SPECIAL else index) for index, day in enumerate(dates)]
    if plan.last_day:
        slots.append(Slot(plan.last_day + DAY, None))
    if plan.orphan:
        slots.append(Slot(settings.start - 9 * DAY, len(dates), listed=False))
    episodes = [_episode(plan, language, next(ids), slot, rng) for slot in slots]
    return tuple(sorted(episodes, key=lambda episode: (episode.airstamp, episode.id)))


def _episode(plan: Plan, language: str, episode_id: int, slot: Slot, rng: Random) -> Episode:
    number = None
    if slot.index is not None:
        number = plan.first_number + slot.index if plan.season else slot.day.timetuple().tm_yday
    title = f"{rng.choice(NOUNS)} at {rng.choice(PLACES)}"
    summary = f"<p>Nobody expected the <b>{title}</b>, least of all the twins.<br />To be <i>continued</i>.</p>"
    named = number is None or rng.random() < TITLED
    return Episode(
        id=episode_id,
        name=title if named else EPISODE_WORD.get(language, "Episode {}").format(number),
        type="regular" if number else rng.choice(("significant_special", "insignificant_special")),
        season=plan.season or slot.day.year,
        number=number,
        airdate=slot.day,
        airtime=plan.airtime,
        airstamp=airstamp(slot.day, plan.airtime, plan.country),
        minutes=plan.minutes,
        runtime=plan.minutes if plan.runtimes_known and rng.random() >= NO_RUNTIME else None,
        rating=round(rng.uniform(5, 9), 1) if rng.random() < RATED else None,
        summary=summary if rng.random() < SUMMARISED else None,
        has_image=rng.random() < PICTURED,
        listed=slot.listed,
    )
