"""Makes the episodes of a simulated show, with their airdates."""

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
"""An episode that airs before this time belongs to the programme of the day before, as for broadcasters."""
NOON = time(12)
"""TVMaze's default for an empty airtime."""
DAY = timedelta(days=1)
DAYS_A_WEEK = 7

TITLED, SPECIAL, NO_RUNTIME, RATED, SUMMARISED, PICTURED = 0.5, 0.02, 0.03, 0.1, 0.3, 0.4
"""Shares of episodes. The shares of runtimes, ratings and summaries are those of TVMaze's web schedule."""


@dataclass(frozen=True)
class Plan:
    """Common plan of a show's episodes."""

    rhythm: Rhythm
    minutes: int
    airtime: str
    country: str | None
    """Country of the channel whose zone the airtime is in; None for a global channel."""
    season: int | None
    """Season number. If None, the year is the season, and the day of the year is the number."""
    first_number: int = 1
    runtimes_known: bool = True
    first_day: date | None = None
    """Day of the first episode, if it is the premiere of the show."""
    last_day: date | None = None
    """Day of the last episode, if the show ends; a special follows on the next day."""
    orphan: bool = False
    """Whether an episode is in no schedule."""


@dataclass(frozen=True)
class Slot:
    """A slot in the programme: a day, and the index among the regular episodes, None for a special."""

    day: date
    index: int | None
    listed: bool = True


def airstamp(airdate: date, airtime: str, country: str | None) -> datetime:
    """Return the airstamp of an episode as TVMaze gives it; without an airtime TVMaze uses noon."""
    at = time.fromisoformat(airtime) if airtime else NOON
    day = airdate + DAY if at < PROGRAMME_DAY_STARTS else airdate
    zone = ZoneInfo(COUNTRIES[country].schedule_zone) if country else UTC
    return datetime.combine(day, at, zone).astimezone(UTC)


def air_dates(rhythm: Rhythm, settings: SimulateSettings, rng: Random) -> list[date]:
    """Return the airdates of a show within the schedule, one for each episode."""
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
    """Make a show's episodes, in the order of their airstamps."""
    dates = [day for day in air_dates(plan.rhythm, settings, rng) if plan.last_day is None or day <= plan.last_day]
    dates = [day for day in dates if plan.first_day is None or day >= plan.first_day]
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
