"""Settings of schedule_fetch: ``MARQUEE_SCHEDULE_FETCH__…``, or ``[schedule_fetch]`` in the file."""

import re
from datetime import date
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from marquee.settings.sections import RetryFor, Section, StageSettings

PRINTABLE_ASCII = r"^[\x20-\x7e]+$"
WEB = "web"
"""Source of streaming episodes worldwide. Every other source is a country, such as ``country=KR``."""
_COUNTRY = re.compile("[A-Z]{2}")


class ScheduleFetchOptions(Section):
    """The schedule service, what to capture from it, and the limits of its calls."""

    url: str = Field("https://api.tvmaze.com", description="URL of the schedule service, without user name or password")
    countries: tuple[str, ...] = Field(
        ("AU", "CA", "DE", "FR", "GB", "JP", "KR", "US"),
        description="ISO 3166-1 codes of the countries whose broadcast schedules are captured, in addition to the web "
        "schedule",
    )
    contact: Annotated[str, Field(pattern=PRINTABLE_ASCII, max_length=200)] | None = Field(
        None, description="e-mail address or URL where the service can reach you, sent in the User-Agent"
    )

    first_day: date | None = Field(None, description="first day to capture; default: days_back before today")
    days_back: int = Field(28, ge=0, description="days before today (UTC) to start at, without first_day")
    last_day: date | None = Field(None, description="last day to capture; default: days_ahead after today")
    days_ahead: int = Field(0, ge=0, description="days after today (UTC) to end at, without last_day")
    refetch_days: int = Field(0, ge=0, description="number of latest days, including today, to fetch again; 0: none")
    refetch_after_h: float = Field(24.0, gt=0, description="age in hours at which one of the refetch_days is refetched")

    rejects_allowed: int = Field(10, ge=0, description="number of episodes of a day that may be rejected in any case")
    rejects_allowed_share: float = Field(
        0.01, ge=0, le=1, description="share of a day's episodes that may be rejected, if that is more"
    )

    calls_per_window: int = Field(
        20, ge=1, description="maximum number of calls in window_s, including failed attempts"
    )
    window_s: float = Field(10.0, ge=0, description="length of the rate limit's window, in seconds")
    retry_for_s: RetryFor = None
    connect_timeout_s: float = Field(5.0, gt=0, description="seconds to wait for a connection")
    read_timeout_s: float = Field(30.0, gt=0, description="seconds to wait for the next bytes of a response")
    answer_timeout_s: float = Field(
        300.0, gt=0, description="maximum seconds for a complete response, connection included"
    )
    max_answer_mb: int = Field(50, ge=1, description="maximum size of a decompressed response, in MiB")
    max_episodes: int = Field(100_000, ge=1, description="maximum number of episodes in a response")

    @field_validator("url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        if "@" in url:
            return url  # refused below
        parts = urlsplit(url)
        _ = parts.port  # raises if it is invalid
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            message = "expected http://host or https://host, optionally with a port and a path"
            raise ValueError(message)
        return url.rstrip("/")

    @model_validator(mode="after")
    def _no_password(self) -> Self:
        # Not in the field's own validator, whose error shows the value.
        if "@" in self.url:
            message = "url: remove the user name and password, because markers and logs show the URL"
            raise ValueError(message)
        return self

    @field_validator("countries")
    @classmethod
    def _codes(cls, countries: tuple[str, ...]) -> tuple[str, ...]:
        for country in countries:
            if not _COUNTRY.fullmatch(country):
                message = f"Invalid country {country!r}. Use an ISO 3166-1 code of two capitals, such as 'KR'"
                raise ValueError(message)
            if country == "UK":
                message = "Invalid country 'UK'. Use 'GB' for the United Kingdom"
                raise ValueError(message)
        return tuple(sorted(set(countries)))


class ScheduleFetchSettings(StageSettings):
    """All settings of schedule_fetch."""

    schedule_fetch: ScheduleFetchOptions = ScheduleFetchOptions()
