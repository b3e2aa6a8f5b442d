"""Settings of mart_load: ``MARQUEE_MART__…``, or ``[mart]`` in the file."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import Field, field_validator

from jobs.common.calendar import FORMS_HINT, Period, Span
from jobs.common.settings import Section, StageSettings

URL_HINT = "expected duckdb:///folder/kiosk.duckdb"


class MartSettings(Section):
    """The kiosk: where it is, and for which period."""

    url: str = Field(description="URL of the kiosk: duckdb:///folder/kiosk.duckdb")
    period: str = Field(
        "", description="the kiosk's one period, such as 2026-Q1, or first/last of a span; all there is when unset"
    )
    memory_mb: int = Field(400, ge=128, description="MiB for the database while loading and asking; beyond it spills")

    @field_validator("url")
    @classmethod
    def _known_mart(cls, url: str) -> str:
        kiosk_path(url)
        return url

    @field_validator("period")
    @classmethod
    def _known_period(cls, text: str) -> str:
        span_of(text)
        return text

    @property
    def span(self) -> Span:
        """The time of which the kiosk holds facts."""
        return span_of(self.period)


class MartLoadSettings(StageSettings):
    """What mart_load is told."""

    mart: MartSettings


def kiosk_path(url: str) -> Path:
    """Return the file of a kiosk's URL."""
    parts = urlsplit(url)
    path = unquote(parts.path)
    if parts.scheme != "duckdb" or parts.netloc or path in {"", "/"} or path.endswith("/"):
        message = f"{url!r} is no kiosk: {URL_HINT}"
        raise ValueError(message)
    return Path(path)


def span_of(text: str) -> Span:
    """Read the period of a kiosk: a period's name, ``first/last``, or nothing for everything there is."""
    if not text:
        return Span()
    first, slash, last = text.partition("/")
    try:
        return Span.of(Period.parse(first), Period.parse(last if slash else first))
    except ValueError as error:
        message = f"{text!r} is no period: expected {FORMS_HINT}, or two of them as first/last"
        raise ValueError(message) from error
