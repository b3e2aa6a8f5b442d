"""Settings of the exporter, in addition to those of the stages that it reads."""

from typing import Literal, get_args

from pydantic import Field, field_validator

from marquee.settings.sections import Section, StageSettings

CollectorName = Literal["schedule", "rollup", "profile", "mart", "retention", "garbage"]
COLLECTORS: tuple[CollectorName, ...] = get_args(CollectorName)
DEFAULT_PORT = 9464


class ExporterOptions(Section):
    """The exporter's collectors, and their refresh intervals."""

    parts: tuple[str, ...] = Field(
        COLLECTORS,
        min_length=1,
        description="collectors: schedule, rollup, profile (and audience), mart, retention, garbage",
    )
    interval_s: float = Field(60.0, ge=1, description="seconds between two refreshes")
    window_days: int = Field(
        35, ge=7, description="number of days up to now for which states are published and raw events listed"
    )
    garbage_every_h: float = Field(
        6.0, gt=0, description="hours between two refreshes of garbage, each of which lists the whole lake"
    )
    stuck_after_s: float = Field(
        1800.0,
        gt=0,
        description="maximum seconds of a refresh, after which /healthz fails so that the pod is restarted",
    )

    @field_validator("parts")
    @classmethod
    def _known_collectors(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for one in names:
            if one not in COLLECTORS:
                message = f"Unknown collector {one!r}. Use some of {', '.join(COLLECTORS)}"
                raise ValueError(message)
        return tuple(one for one in COLLECTORS if one in names)


class ExporterSettings(StageSettings):
    """All settings of the exporter itself."""

    exporter: ExporterOptions = ExporterOptions()
