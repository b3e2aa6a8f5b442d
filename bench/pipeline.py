"""Runs Marquee's stages one by one on a folder, each in its own process, and measures each.

    <folder>/world/raw            raw events that have arrived
    <folder>/world/lake, mart.duckdb, cache

The simulated service answers schedule requests in the benchmark's own process, which is not measured.
"""

import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from bench.contenders import KEY, ROOT
from bench.measure import Measured, measure
from jobs.simulate.settings import SimulateSettings
from marquee.lake import keys
from marquee.lake.marker_index import STEP_NS
from marquee.lake.markers import Markers
from marquee.settings.names import PREFIX
from marquee.storage.opening import open_store

STAGES = {
    "schedule": ("-m", "jobs.schedule_fetch"),
    "rollup": ("-m", "jobs.rollup"),
    "profile": ("-m", "jobs.profile"),
    "mart-load": ("-m", "jobs.mart_load"),
}
RUN, STATUS = ("-m", "marquee", "run"), ("-m", "marquee", "status")
TIMEOUT_S = 6 * 3600.0


@dataclass(frozen=True)
class World:
    """A lake with its raw events and its mart, in one folder."""

    folder: Path
    service: SimulateSettings
    schedule_url: str

    @property
    def raw(self) -> Path:
        """The folder of raw events."""
        return self.folder / "raw"

    def run(self, command: Sequence[str], today: date) -> Measured:
        """Run a Python command as if it were the evening of a day; raise a BenchError if it fails."""
        scratch = self.folder / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        return measure([sys.executable, *command], self.environment(scratch, today), scratch, TIMEOUT_S)

    def run_stages(self, today: date) -> dict[str, Measured]:
        """Run all stages once, from upstream to downstream."""
        return {name: self.run(command, today) for name, command in STAGES.items()}

    def copy(self) -> "World":
        """Copy everything except the raw events, which no stage changes."""
        folder = self.folder.with_name(f"{self.folder.name}-copy")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns(self.raw.name))
        (folder / self.raw.name).symlink_to(self.raw)
        _index_markers(folder / "lake")
        return World(folder, self.service, self.schedule_url)

    def environment(self, scratch: Path, today: date) -> Mapping[str, str]:
        """Return the environment of a command, with temporary files in ``scratch``."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        countries = ", ".join(f'"{code}"' for code in self.service.countries)
        return inherited | {
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(scratch),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "MARQUEE_LAKE": (self.folder / "lake").as_uri(),
            "MARQUEE_RAW": self.raw.as_uri(),
            "MARQUEE_MART__URL": f"duckdb://{self.folder / 'mart.duckdb'}",
            "MARQUEE_LOG__LEVEL": "warning",
            "MARQUEE_ROLLUP__VIEWER_KEY": KEY,
            "MARQUEE_ROLLUP__TOPIC": self.service.topic,
            "MARQUEE_SCHEDULE_FETCH__URL": self.schedule_url,
            "MARQUEE_SCHEDULE_FETCH__COUNTRIES": f"[{countries}]",
            "MARQUEE_SCHEDULE_FETCH__FIRST_DAY": str(self.service.schedule_from),
            "MARQUEE_SCHEDULE_FETCH__LAST_DAY": str(today),
            "MARQUEE_SCHEDULE_FETCH__CALLS_PER_WINDOW": "100000",
        }


def _index_markers(lake: Path) -> None:
    """Index the markers of a copied lake: a copy of a file is another object, so no line of the old index counts."""
    time.sleep(2 * STEP_NS / 1e9)  # an index leaves out objects that have just changed
    markers = Markers(open_store(lake.as_uri()), writes_index=True)
    for stage in (keys.SCHEDULE_FETCH, keys.ROLLUP, keys.PROFILE, keys.AUDIENCE):
        markers.of(stage)


def arrive(simulated: Path, raw: Path, day: date, topic: str) -> None:
    """Let the files of a day arrive: link them from the folder of all simulated events."""
    folder = Path("topics", topic, f"{day:year=%Y}", f"{day:month=%m}", f"{day:day=%d}")
    shutil.copytree(simulated / folder, raw / folder, copy_function=os.link, dirs_exist_ok=True)
