"""What the exporter is told, beside the settings of the stages that it looks at."""

from typing import Literal, get_args

from pydantic import Field, field_validator

from marquee.settings.sections import Section, StageSettings

PartName = Literal["schedule", "rollup", "profile", "mart", "garbage"]
PARTS: tuple[PartName, ...] = get_args(PartName)
DEFAULT_PORT = 9464


class ExporterOptions(Section):
    """What the exporter looks at, and how often."""

    parts: tuple[str, ...] = Field(
        PARTS, min_length=1, description="what is looked at: schedule, rollup, profile (audience too), mart, garbage"
    )
    interval_s: float = Field(60.0, ge=1, description="seconds between two looks")
    window_days: int = Field(
        35, ge=7, description="days up to now of which every period's state is told, and raw events are listed"
    )
    garbage_every_h: float = Field(
        6.0, gt=0, description="hours between two looks for garbage, which list all of the lake"
    )
    stuck_after_s: float = Field(
        1800.0, gt=0, description="seconds that one look may take, after which /healthz asks to be started anew"
    )

    @field_validator("parts")
    @classmethod
    def _known_parts(cls, parts: tuple[str, ...]) -> tuple[str, ...]:
        for one in parts:
            if one not in PARTS:
                message = f"{one!r} is no part: expected some of {', '.join(PARTS)}"
                raise ValueError(message)
        return tuple(one for one in PARTS if one in parts)


class ExporterSettings(StageSettings):
    """All settings of the exporter itself."""

    exporter: ExporterOptions = ExporterOptions()
