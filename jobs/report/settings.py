"""Settings of report: those of the mart, and the periods of a scheduled run."""

from pydantic import Field, field_validator

from marquee.calendar import Grain
from marquee.lake import keys
from marquee.mart.settings import MartSettings
from marquee.settings.sections import Section, StageSettings

GRAINS = tuple(str(one) for one in keys.GRAINS[keys.AUDIENCE])


class ReportOptions(Section):
    """The reviews that `python -m jobs.report` writes if it is not given a period."""

    grains: tuple[str, ...] = Field(
        (Grain.WEEK, Grain.MONTH, Grain.QUARTER),
        min_length=1,
        description=f"grains of the periods: {', '.join(GRAINS)}",
    )
    newest: int = Field(
        2, ge=1, le=100, description="number of periods of each grain, the newest first; late data change older ones"
    )

    @field_validator("grains")
    @classmethod
    def _known_grains(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for one in names:
            if one not in GRAINS:
                message = f"Unknown grain {one!r}. Use some of {', '.join(GRAINS)}"
                raise ValueError(message)
        return names


class ReportSettings(StageSettings):
    """All settings of report."""

    mart: MartSettings
    report: ReportOptions = ReportOptions()
