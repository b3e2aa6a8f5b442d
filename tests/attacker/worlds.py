"""Small services whose marts are attacked: plays written by hand or at random, rolled up, profiled and loaded for real.

A world is a list of plays. ``made`` runs every stage over it, in a folder; ``Made.mart`` loads a mart of it.
"""

import json
import os
import random
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from unittest import mock

from jobs.mart_load.load import load_mart
from jobs.mart_load.settings import MartLoadSettings
from jobs.registry import PIPELINE
from marquee.calendar import EVER, Period
from marquee.lake import keys
from marquee.lake.datasets import EPISODES, GENRES, SHOWS
from marquee.lake.markers import Markers
from marquee.settings.loading import load_settings
from marquee.storage.local import LocalStore
from tests.attacker.published import Published, read_published
from tests.oracle.lake import publish_tables

START = date(2026, 1, 5)
"""A Monday."""
RUNTIME_S = 1800
KEY = "key-of-attacked-worlds"


@dataclass(frozen=True)
class Seen:
    """A play event: seconds of an episode that a viewer watched, in the hour from ``at``."""

    viewer: int
    episode: int
    at: datetime
    country: str = "KR"
    device: str = "tv"
    language: str = "ko"
    seconds: int = 600


@dataclass(frozen=True)
class World:
    """A service: its plays, shows and genres. The id of an episode is ten times that of its show, and its number."""

    plays: Sequence[Seen]
    shows: Sequence[int]
    genres: Mapping[int, Sequence[str]] = field(default_factory=dict)
    episodes: int = 4
    """Episodes of each show."""

    @property
    def show_of(self) -> Mapping[int, int]:
        """The show of each listed episode."""
        return {10 * show + number: show for show in self.shows for number in range(1, self.episodes + 1)}

    @property
    def one_country(self) -> bool:
        """Whether no viewer watches in two countries."""
        return len({(one.viewer, one.country) for one in self.plays}) == len({one.viewer for one in self.plays})

    def until(self, day: date) -> "World":
        """Return the world up to and including a day."""
        return replace(self, plays=[one for one in self.plays if one.at.date() <= day])

    def with_day_before(self, day: int | None) -> list["World"]:
        """Return the world and, unless the day is None, how it was after a day, from 0."""
        return [self] if day is None else [self, self.until(START + timedelta(days=day))]


def at(day: int, hour: int = 12, minute: int = 30) -> datetime:
    """Return a time on a day, from 0."""
    return datetime.combine(START + timedelta(days=day), datetime.min.time()) + timedelta(hours=hour, minutes=minute)


def everybody(
    viewers: Iterable[int], episode: int, day: int, *, country: str = "KR", hour: int = 12, seconds: int = 600
) -> list[Seen]:
    """Return a play of an episode for each of some viewers."""
    return [Seen(one, episode, at(day, hour), country, seconds=seconds) for one in viewers]


def random_world(seed: int, days: int = 3) -> World:
    """Return a world of some dozens of viewers, a few shows and countries, with small cells everywhere."""
    rng = random.Random(seed)  # noqa: S311 - nothing to hide
    countries = rng.sample(["KR", "US", "SE", "JP"], rng.randint(1, 4))
    shows = list(range(1, rng.randint(3, 7)))
    names = ["Crime", "Drama", "Comedy"]
    genres = {show: those for show in shows if (those := sorted(rng.sample(names, rng.randint(0, 2))))}
    favour = [rng.random() ** 2 + 0.02 for _ in shows]
    travels = rng.random() < 0.3
    plays = []
    for viewer in range(1, rng.randint(20, 90)):
        home = rng.choices(countries, [4**-place for place in range(len(countries))])[0]
        arrives = rng.choice([0, 0, 0, 1, 2])
        loyal = rng.random() < 0.4
        own = rng.choices(shows, favour)[0]
        language = rng.choice(["ko", "en"])
        for day in range(arrives, days):
            if rng.random() < 0.4:
                continue
            for _ in range(rng.randint(1, 4)):
                show = own if loyal else rng.choices(shows, favour)[0]
                plays.append(
                    Seen(
                        viewer,
                        10 * show + rng.randint(1, 4),
                        at(day, rng.choice([3, 9, 14, 20]), rng.randint(0, 59)),
                        rng.choice(countries) if travels and rng.random() < 0.1 else home,
                        rng.choice(["tv", "tv", "phone"]),
                        rng.choice([language, language, "en", "ko"]),
                        rng.choice([30, 60, 600, 1200, 1700, 3000]),
                    )
                )
    return World(plays, shows, genres)


@dataclass(frozen=True)
class Made:
    """A world after a run of all stages, in a folder."""

    world: World
    folder: Path

    @property
    def lake(self) -> LocalStore:
        """The lake."""
        return LocalStore(self.folder / "lake")

    def mart(self, min_cell: int) -> Published:
        """Load a mart that protects sets of fewer viewers, and read it as an analyst does."""
        last = max(one.at for one in self.world.plays)
        path = self.folder / f"mart-of-{last.date()}-{min_cell}.duckdb"
        if not path.exists():
            settings = MartLoadSettings.model_validate(
                {"lake": self.lake.url, "mart": {"url": f"duckdb://{path}", "min_cell": min_cell}}
            )
            report = load_mart(settings, Markers(self.lake))
            assert not report.failed
        return read_published(path)


def make(folder: Path, world: World) -> Made:
    """Write the raw events of a world, and run the stages up to the audience. A second call adds what is new."""
    made = Made(world, folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "lake").exists():
        _capture(made.lake, world)
    raw = LocalStore(folder / "raw")
    for hour, text in _files(world.plays).items():
        key = f"topics/plays/{hour:year=%Y/month=%m/day=%d/hour=%H}/plays+0+0000000000.json"
        if raw.head(key) is None:
            raw.put(key, text.encode())
    (folder / "marquee.toml").write_text(
        f"""
        lake = "{made.lake.url}"
        raw = "{raw.url}"
        engine = {{ workers = 1, memory_mb = 256 }}
        rollup = {{ viewer_key = "{KEY}", buckets = 1 }}
        """
    )
    with mock.patch.dict(os.environ, MARQUEE_CONFIG=str(folder / "marquee.toml")):
        for job in PIPELINE:
            if job.command in {"rollup", "profile"}:
                settings = load_settings(job.settings)
                outcome = job.run(settings, Markers(settings.store), EVER, force=False, advance=lambda *_: None)
                assert outcome.exit_code == 0, job.command
    return made


def _capture(lake: LocalStore, world: World) -> None:
    """Capture the schedule: every show premieres on the first day, with a season of half an hour an episode."""
    shows = [{"show_id": show, "premiered": START} for show in world.shows]
    episodes = [
        {"episode_id": episode, "show_id": show, "season": 1, "number": episode % 10, "type": "regular",
         "airdate": START, "runtime_minutes": RUNTIME_S // 60}
        for episode, show in world.show_of.items()
    ]  # fmt: skip
    genres = [{"show_id": show, "genre": genre} for show, names in world.genres.items() for genre in names]
    tables = [(SHOWS, shows), (EPISODES, episodes), (GENRES, genres)]
    publish_tables(lake, keys.SCHEDULE_FETCH, Period.parse(str(START)), tables, buckets=None)


def _files(plays: Sequence[Seen]) -> Mapping[datetime, str]:
    """Return the lines of each hour, from the first hour of the first day to the last of the last."""
    lines: dict[datetime, list[str]] = defaultdict(list)
    first, last = (edge(one.at for one in plays).date() for edge in (min, max))
    for day in Period.parse(str(first)).until(Period.parse(str(last)).end):
        for hour in (0, 23):  # the whole day has come
            lines[datetime.combine(day.date, datetime.min.time()) + timedelta(hours=hour)] = []
    for number, one in enumerate(sorted(plays, key=lambda play: (play.at, play.viewer, play.episode))):
        lines[one.at.replace(minute=0, second=0)].append(_line(number, one))
    return {hour: "".join(f"{line}\n" for line in those) for hour, those in lines.items()}


def _line(number: int, play: Seen) -> str:
    event = {
        "user_id": user_of(play.viewer),
        "episode_id": play.episode,
        "country": play.country,
        "utc_offset_minutes": 0,
        "language": play.language,
        "device": play.device,
        "watched_seconds": play.seconds,
    }
    name = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{number} {play}"))
    return json.dumps({"event_id": name, "received_at": f"{play.at.isoformat()}.000Z", "event": event})


def user_of(viewer: int) -> str:
    """Return the user id of a viewer."""
    return f"somebody-{viewer:04}@example.org"
