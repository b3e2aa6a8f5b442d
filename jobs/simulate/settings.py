"""Settings of the simulated service."""

from datetime import UTC, date, datetime, timedelta

from pydantic import Field, field_validator

from jobs.simulate.countries import HOME_COUNTRIES
from jobs.simulate.options import DAYS, EVENTS_PER_DAY, OPTIONS, PARTITIONS, SEED, START
from marquee.settings.sections import Section

SCHEDULE_LEAD = timedelta(days=28)
"""Time of the schedule before the first event. Viewers watch episodes that aired within this time."""

PLANTED_IN = {"US", "KR", "JP"}
"""Countries that the planted answers refer to."""


class SimulateSettings(Section):
    """Time, size and seed of the simulated service."""

    seed: int = Field(SEED, ge=0, description=OPTIONS["seed"][1])
    start: date = Field(START, description=OPTIONS["start"][1])
    days: int = Field(DAYS, ge=1, le=366, description=OPTIONS["days"][1])
    events_per_day: int = Field(EVENTS_PER_DAY, ge=1_000, le=200_000_000, description=OPTIONS["events_per_day"][1])
    countries: tuple[str, ...] = Field(HOME_COUNTRIES, description="countries in which viewers live")
    topic: str = Field("plays", pattern=r"^[A-Za-z0-9._-]{1,100}$", description="Kafka topic, part of the file names")
    partitions: int = Field(PARTITIONS, ge=1, le=1_000, description=OPTIONS["partitions"][1])

    @field_validator("countries")
    @classmethod
    def _known_countries(cls, countries: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(countries) - set(HOME_COUNTRIES))
        missing = sorted(PLANTED_IN - set(countries))
        if unknown or missing:
            wrong = f"unknown: {unknown}" if unknown else f"missing: {missing}"
            message = f"{wrong}; expected some of {sorted(HOME_COUNTRIES)}, among them {sorted(PLANTED_IN)}"
            raise ValueError(message)
        return tuple(code for code in HOME_COUNTRIES if code in countries)

    @property
    def starts_at(self) -> datetime:
        """Start of the first day of play events, in UTC."""
        return datetime.combine(self.start, datetime.min.time(), UTC)

    @property
    def schedule_from(self) -> date:
        """First day of the schedule."""
        return self.start - SCHEDULE_LEAD

    @property
    def last_day(self) -> date:
        """Last day of play events and of the schedule."""
        return self.start + timedelta(days=self.days - 1)

    @property
    def ends_on(self) -> date:
        """Day on which two planted shows end: the middle of the window."""
        return self.start + timedelta(days=self.days // 2)
