"""A service small enough to be written by hand: a few plays, a day of schedule, and their settings."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from jobs.registry import PIPELINE
from marquee.calendar import EVER, Period
from marquee.errors import worst
from marquee.lake import keys
from marquee.lake.datasets import SITTING_PERIOD, VIEWER_PERIOD
from marquee.lake.manifest import Marker
from marquee.lake.markers import Markers
from marquee.settings.loading import load_settings
from marquee.storage.local import LocalStore
from tests.schedule_service import ScheduleService, answer, schedule_service

Play = tuple[str, int, int]
"""(user, minute of the hour, episode): a minute of play in Korea, in Korean, at UTC+9, on a tv."""

DAY = "2026-01-05"
WINTER, CASE = 101, 201
"""Episodes: of the romance =Winter, show 1, and of the crime show Case, show 2."""
KEY = "key-of-small-world"


def listed(episode: int, show: int, name: str, genre: str, **more: Any) -> dict[str, Any]:
    """Return an episode of half an hour in the form of the schedule service."""
    of = {"id": show, "name": name, "genres": [genre], "language": "Korean", "updated": 1_767_000_000}
    return {"id": episode, "name": f"Episode {episode}", "runtime": 30, "airdate": DAY, "show": of | more}


SCHEDULE = [listed(WINTER, 1, "=Winter", "Romance"), listed(CASE, 2, "Case", "Crime")]


@dataclass(frozen=True)
class SmallWorld:
    """Raw events, a lake, a kiosk, and the file with the settings, in one folder."""

    folder: Path

    @property
    def raw(self) -> LocalStore:
        """The raw events."""
        return LocalStore(self.folder / "raw")

    @property
    def lake(self) -> LocalStore:
        """The lake of the stages."""
        return LocalStore(self.folder / "lake")

    @property
    def kiosk(self) -> Path:
        """The file of the kiosk."""
        return self.folder / "kiosk.duckdb"

    @property
    def config(self) -> Path:
        """The settings file for MARQUEE_CONFIG."""
        return self.folder / "marquee.toml"

    def configure(self, schedule_url: str, days: tuple[str, str] = (DAY, DAY)) -> None:
        """Write the settings: one bucket, one worker, and a schedule of these days, first and last."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(
            f"""
            lake = "{self.lake.url}"
            raw = "{self.raw.url}"
            engine = {{ workers = 1, memory_mb = 256 }}
            rollup = {{ viewer_key = "{KEY}", buckets = 1, reject_lines = 2 }}
            mart = {{ url = "duckdb://{self.kiosk}", min_cell = 1 }}

            [schedule_fetch]
            url = "{schedule_url}"
            countries = ["KR"]
            first_day = {days[0]}
            last_day = {days[1]}
            calls_per_window = 1000
            retry_for_s = 0
            """
        )

    def copy(self, folder: Path) -> "SmallWorld":
        """Return a copy of the world in a new folder; files keep their times, which identify them."""
        shutil.copytree(self.folder, folder)
        other = SmallWorld(folder)
        other.config.write_text(self.config.read_text().replace(str(self.folder), str(folder)))
        return other

    def run(self, *commands: str) -> int:
        """Run the stages of these commands, or all, once with fresh markers; return the exit code."""
        codes = []
        with mock.patch.dict(os.environ, MARQUEE_CONFIG=str(self.config)):
            for job in PIPELINE:
                if job.command in commands or not commands:
                    settings = load_settings(job.settings)
                    outcome = job.run(settings, Markers(settings.store), EVER, force=False, advance=lambda *_: None)
                    codes.append(outcome.exit_code)
        return worst(codes)

    def events(self, hour: str, plays: Sequence[Play], file: int = 0, bad_lines: int = 0) -> None:
        """Write a raw file of an hour."""
        self.raw.put(*event_file(hour, plays, file, bad_lines))

    def markers(self) -> dict[str, Marker]:
        """Return the success markers by stage and period: ``rollup/2026-01-05T10``."""
        markers = Markers(self.lake)
        return {f"{stage}/{period}": one for stage in keys.STAGES for period, one in sorted(markers.of(stage).items())}

    def generations(self) -> dict[str, int]:
        """Return the published generation of each stage and period."""
        return {name: marker.generation for name, marker in self.markers().items()}


def event_file(hour: str, plays: Sequence[Play], file: int = 0, bad_lines: int = 0) -> tuple[str, bytes]:
    """Return the key and text of a raw file in the layout of Kafka Connect: a line for each play, and bad lines."""
    lines = [json.dumps(_event(hour, *play)) for play in plays] + ["{"] * bad_lines
    name = f"{Period.parse(hour).start:year=%Y/month=%m/day=%d/hour=%H}/plays+{file}+0000000000.json"
    return f"topics/plays/{name}", "".join(f"{line}\n" for line in lines).encode()


def digests(markers: dict[str, Marker]) -> dict[str, dict[str, str]]:
    """Return the SHA-256 of each object that the markers list, by stage and period and by name below the run.

    The state of a period is left out: how its days are merged depends on the runs before.
    """
    state = {VIEWER_PERIOD.name, SITTING_PERIOD.name}
    return {
        name: {
            one.key.partition("/run=")[2].partition("/")[2]: one.sha256
            for one in marker.outputs
            if one.dataset not in state
        }
        for name, marker in markers.items()
    }


@contextmanager
def told_service() -> Iterator[ScheduleService]:
    """Run the schedule service with the schedule of the day until the end of the block."""
    with schedule_service() as running:
        tell_schedule(running)
        yield running


def finished_world(folder: Path, service: ScheduleService, bad_lines: int = 0) -> SmallWorld:
    """Return a world after a full run over three hours: 12 minutes of romance, nothing, and 6 of crime."""
    world = SmallWorld(folder)
    world.configure(service.url)
    world.events(f"{DAY}T10", [("ann", minute, WINTER) for minute in range(12)])
    world.events(f"{DAY}T12", [("ann", minute, CASE) for minute in range(6)], bad_lines=bad_lines)
    assert world.run() == 0
    return world


def tell_schedule(service: ScheduleService, day: str = DAY, items: Sequence[dict[str, Any]] = SCHEDULE) -> None:
    """Make the service list these episodes on a day in Korea."""
    service.tell(f"/schedule?country=KR&date={day}", answer(list(items)))


def _event(hour: str, user: str, minute: int, episode: int) -> dict[str, Any]:
    received_at = f"{hour}:{minute:02}:30.000Z"
    return {
        "event_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{user} {received_at}")),
        "received_at": received_at,
        "event": {
            "user_id": user,
            "episode_id": episode,
            "country": "KR",
            "utc_offset_minutes": 540,
            "language": "ko",
            "device": "tv",
            "watched_seconds": 60,
        },
    }
