"""Settings of schedule_fetch: ``MARQUEE_SCHEDULE_FETCH__…``, or ``[schedule_fetch]`` in the file."""

import re
from datetime import date
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from marquee.settings.sections import Section, StageSettings

PRINTABLE_ASCII = r"^[\x20-\x7e]+$"
WEB = "web"
"""The source of streaming episodes of the whole world; the others are ``country=KR`` and the like."""
_COUNTRY = re.compile("[A-Z]{2}")


class ScheduleFetchOptions(Section):
    """The schedule service, what to capture of it, and how gently to ask."""

    url: str = Field("https://api.tvmaze.com", description="URL of the schedule service, without user name or password")
    countries: tuple[str, ...] = Field(
        ("AU", "CA", "DE", "FR", "GB", "JP", "KR", "US"),
        description="ISO 3166-1 codes of the countries whose broadcast schedules are captured, beside the web schedule",
    )
    contact: Annotated[str, Field(pattern=PRINTABLE_ASCII, max_length=200)] | None = Field(
        None, description="e-mail address or URL by which the service can reach you, sent in the User-Agent"
    )

    first_day: date | None = Field(None, description="first day to capture; days_back before today when unset")
    days_back: int = Field(28, ge=0, description="days before today (UTC) from which to capture, without a first_day")
    last_day: date | None = Field(None, description="last day to capture; days_ahead after today when unset")
    days_ahead: int = Field(0, ge=0, description="days after today (UTC) up to which to capture, without a last_day")
    refetch_days: int = Field(0, ge=0, description="latest days, today being one, that are fetched again; 0: none")
    refetch_after_h: float = Field(24.0, gt=0, description="hours after which the capture of such a day is old")

    rejects_allowed: int = Field(10, ge=0, description="episodes of a day that may be rejected, at the least")
    rejects_allowed_share: float = Field(0.01, ge=0, le=1, description="share of a day's episodes that may be rejected")

    calls_per_window: int = Field(20, ge=1, description="most calls in window_s, tries that fail included")
    window_s: float = Field(10.0, ge=0, description="seconds in which calls_per_window are not exceeded")
    attempts: int = Field(5, ge=1, description="how often a call is tried in all")
    backoff_s: float = Field(1.0, ge=0, description="seconds before the second try; doubled before each that follows")
    max_wait_s: float = Field(
        120.0, ge=0, description="most seconds between two tries; asked to wait longer, it gives up"
    )
    connect_timeout_s: float = Field(5.0, gt=0, description="seconds to wait for a connection")
    read_timeout_s: float = Field(30.0, gt=0, description="seconds to wait for the next bytes of an answer")
    answer_timeout_s: float = Field(300.0, gt=0, description="seconds after which an answer must be whole")
    max_answer_mb: int = Field(50, ge=1, description="most MiB of an answer, unpacked")

    @field_validator("url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        if "@" in url:
            return url  # refused below
        parts = urlsplit(url)
        _ = parts.port  # a wrong one raises
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            message = "expected http://host or https://host, with a port and a path if need be"
            raise ValueError(message)
        return url.rstrip("/")

    @model_validator(mode="after")
    def _no_password(self) -> Self:
        # Not left to the field's own validator, whose error shows the value.
        if "@" in self.url:
            message = "url: expected one without user name and password: it stands in markers and logs"
            raise ValueError(message)
        return self

    @field_validator("countries")
    @classmethod
    def _codes(cls, countries: tuple[str, ...]) -> tuple[str, ...]:
        for country in countries:
            if not _COUNTRY.fullmatch(country):
                message = f"{country!r} is no country: expected an ISO 3166-1 code of two capitals, such as 'KR'"
                raise ValueError(message)
            if country == "UK":
                message = "'UK' is not the code of the United Kingdom: use 'GB'"
                raise ValueError(message)
        return tuple(sorted(set(countries)))


class ScheduleFetchSettings(StageSettings):
    """What schedule_fetch is told."""

    schedule_fetch: ScheduleFetchOptions = ScheduleFetchOptions()
