"""Registry of the jobs: the names, settings, datasets and code location of each, in one place.

Reading the registry imports no job. A ``module:name`` is imported on first use.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the command line's help reads the registry, and these imports are slow
    from marquee.lake.datasets import Dataset
    from marquee.lake.markers import Markers
    from marquee.runs.command import Run
    from marquee.runs.stage import Stage
    from marquee.settings.sections import StageSettings


def utc_now() -> datetime:
    """Return the current time, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Job:
    """One job: a folder below ``jobs/``, an image, and a command.

    Attributes:
        name: name in keys, images and metrics. The command line uses hyphens for its underscores.
        summary: what the job does, for the command line's help.
        settings_class: class of the settings.
        runner: function that runs the job over a span; empty for a server and for the launcher.
        opener: function that opens the job's stages for planning: ``(settings, markers, clock) -> stages``.
        main: main dataset of each stage, in the order in which the stages run.
        on_spark: whether the job can run as a SparkApplication.
    """

    name: str
    summary: str
    settings_class: str
    runner: str = ""
    opener: str = ""
    main: tuple[str, ...] = ()
    on_spark: bool = False

    @property
    def command(self) -> str:
        """Name on the command line."""
        return self.name.replace("_", "-")

    @property
    def settings(self) -> "type[StageSettings]":
        """Class of the settings."""
        found: type[StageSettings] = resolve_name(self.settings_class)
        return found

    @property
    def run(self) -> "Run[Any]":
        """Function that runs the job over a span."""
        found: Run[Any] = resolve_name(self.runner)
        return found

    @property
    def main_datasets(self) -> "tuple[Dataset, ...]":
        """Main dataset of each stage."""
        return tuple(map(resolve_name, self.main))

    def open_stages(
        self, settings: "StageSettings", markers: "Markers", clock: Callable[[], datetime] = utc_now
    ) -> "Sequence[Stage]":
        """Open the job's stages for planning: they compute nothing and call no service."""
        found: Sequence[Stage] = resolve_name(self.opener)(settings, markers, clock)
        return found


SCHEDULE_FETCH = Job(
    "schedule_fetch",
    "capture the programme schedule, day by day",
    settings_class="jobs.schedule_fetch.settings:ScheduleFetchSettings",
    runner="jobs.schedule_fetch.job:run",
    opener="jobs.schedule_fetch.job:open_stages",
    main=("marquee.lake.datasets:EPISODES",),
)
ROLLUP = Job(
    "rollup",
    "roll up raw play events, hour by hour",
    settings_class="jobs.rollup.settings:RollupSettings",
    runner="jobs.rollup.job:run",
    opener="jobs.rollup.job:open_stages",
    main=("marquee.lake.datasets:VIEWERSHIP",),
    on_spark=True,
)
PROFILE = Job(
    "profile",
    "profile viewers by day; count audiences by day, week, month and quarter",
    settings_class="jobs.profile.settings:ProfileSettings",
    runner="jobs.profile.job:run",
    opener="jobs.profile.job:open_stages",
    main=("marquee.lake.datasets:VIEWER_DAY", "marquee.lake.datasets:AUDIENCE"),
    on_spark=True,
)
MART_LOAD = Job(
    "mart_load",
    "load new and changed periods from the lake into the mart",
    settings_class="jobs.mart_load.settings:MartLoadSettings",
    runner="jobs.mart_load.job:run",
)
REPORT = Job(
    "report",
    "write the review of a period as a page or a workbook",
    settings_class="jobs.report.settings:ReportSettings",
    runner="jobs.report.publish:publish",
)
RETAIN = Job(
    "retain",
    "list or end the data whose days of retention are over",
    settings_class="jobs.retain.settings:RetainSettings",
)
EXPORTER = Job(
    "exporter",
    "publish the state of the data to Prometheus",
    settings_class="jobs.exporter.settings:ExporterSettings",
)
LAUNCHER = Job(
    "launcher",
    "run a Spark stage as a SparkApplication on Kubernetes",
    settings_class="jobs.launcher.settings:LauncherSettings",
)

PIPELINE = (SCHEDULE_FETCH, ROLLUP, PROFILE, MART_LOAD)
"""The stages, upstream before downstream."""

JOBS = (*PIPELINE, REPORT, RETAIN, EXPORTER, LAUNCHER)


def command_of(stage: str) -> str:
    """Return the command that makes a stage's periods; KeyError if there is none."""
    made = {dataset.stage: job.command for job in PIPELINE for dataset in job.main_datasets}
    return (made | {MART_LOAD.name: MART_LOAD.command})[stage]


def job_named(name: str) -> Job:
    """Return the job with this name; KeyError if there is none."""
    return {job.name: job for job in JOBS}[name]
