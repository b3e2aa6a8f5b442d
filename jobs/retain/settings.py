"""Settings of retain: ``MARQUEE_RETENTION__…``, or ``[retention]`` in the file."""

from typing import Self

from pydantic import Field, model_validator

from jobs.profile.settings import ProfileSettings
from jobs.rollup.looks import RECENT
from jobs.rollup.settings import RollupSettings
from marquee.lake.layers import LONGEST_PERIOD_DAYS
from marquee.settings.sections import Section, StageSettings

LATENESS_DAYS = RECENT.days
"""Days in which every run of the rollup looks for late files, unless ``rollup.lookback_days`` says otherwise."""


class RetentionOptions(Section):
    """Days after the end of its period for which a layer of data is kept. A layer without a number never ends."""

    raw_days: int | None = Field(
        None, ge=1, description="raw events of an hour; a file that arrives later is held and not counted"
    )
    held_days: int | None = Field(None, ge=1, description="files that are held because the hour has ended")
    rejects_days: int | None = Field(None, ge=1, description="rejected lines of an hour")
    viewer_hour_days: int | None = Field(
        None, ge=1, description="viewer hours of a day; a file that arrives later is held and not counted"
    )
    viewer_day_days: int | None = Field(
        None,
        ge=1,
        description="viewer days, the registry of viewers, the viewer-level state of periods, and show_viewer",
    )
    schedule_raw_days: int | None = Field(None, ge=1, description="answers of the schedule service as served")
    superseded_days: int | None = Field(
        None, ge=7, description="what `marquee gc` lists: objects of superseded, failed and killed runs"
    )

    def days(self, setting: str) -> int | None:
        """Return the days of a layer by the name of its setting."""
        found: int | None = getattr(self, setting)
        return found

    @property
    def sealed_after(self) -> int | None:
        """Days after which an hour takes no late file any more; None if it always does."""
        return min(filter(None, (self.raw_days, self.viewer_hour_days)), default=None)

    @property
    def on(self) -> bool:
        """Whether anything ends."""
        return any(days is not None for days in self.model_dump().values())

    @model_validator(mode="after")
    def _later_layers_last(self) -> Self:
        sealed = self.sealed_after
        if self.held_days is not None and (sealed is None or self.held_days < sealed):
            message = (
                f"held_days={self.held_days}: files are held once their hour has ended. Set raw_days, and held_days to "
                "as many days or more"
            )
            raise ValueError(message)
        if self.viewer_day_days is None:
            return self
        if sealed is None:
            message = (
                f"viewer_day_days={self.viewer_day_days}: a late file would need viewer days that have ended. Set "
                "raw_days or viewer_hour_days, after which late files are held"
            )
            raise ValueError(message)
        if self.viewer_day_days < LONGEST_PERIOD_DAYS + sealed:
            message = (
                f"viewer_day_days={self.viewer_day_days} is below what a quarter needs: it reads the viewer days of up "
                f"to {LONGEST_PERIOD_DAYS} days, and late files change it for {sealed} days after its end. Set "
                f"{LONGEST_PERIOD_DAYS + sealed} or more"
            )
            raise ValueError(message)
        return self


class RetentionSettings(StageSettings):
    """The settings of retention alone, for a process that watches it and ends nothing."""

    retention: RetentionOptions = RetentionOptions()


class RetainSettings(RollupSettings, ProfileSettings):
    """All settings of retain."""

    retention: RetentionOptions = RetentionOptions()

    @model_validator(mode="after")
    def _late_files_first(self) -> Self:
        lateness = self.rollup.lookback_days or LATENESS_DAYS
        for name in ("raw_days", "viewer_hour_days"):
            days = self.retention.days(name)
            if days is not None and days < lateness:
                where = "rollup.lookback_days" if self.rollup.lookback_days else "the default"
                message = (
                    f"retention.{name}={days} is below the allowed lateness of {lateness} days ({where}): late files "
                    f"would be held that a run still looks for. Set {lateness} or more"
                )
                raise ValueError(message)
        return self
