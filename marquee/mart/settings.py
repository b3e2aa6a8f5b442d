"""Settings of the mart: ``MARQUEE_MART__…``, or the section ``[mart]`` of the TOML file."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from marquee.calendar import FORMS_HINT, Span
from marquee.settings.sections import ComputeSettings, RetryFor, Section, StageSettings

MIN_CELLS = range(10, 47, 4)
"""Numbers of viewers to round to. Sums of figures that are rounded to others can tell single viewers (docs/privacy.md),
and viewership in the lake tells whether a cell has up to 48 viewers."""
URL_FORMS = "duckdb:///folder/kiosk.duckdb or mysql://user@host:3306/database"
MYSQL_PORT = 3306
_NAME = re.compile(r"[A-Za-z0-9_]{1,32}", re.ASCII)
_USER = re.compile(r"[^@/?#:]+")
_PLACE = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^@/?#:\[\]]+)(:(?P<port>\d{1,5}))?/(?P<database>[A-Za-z0-9_-]{1,64})", re.ASCII
)


class ProtectionSettings(Section):
    """The part of the section ``mart`` that says how viewers are protected in whatever is published."""

    # Commands that read the lake need no mart, and all commands may share one file.
    model_config = ConfigDict(extra="ignore")

    min_cell: int = Field(
        10,
        ge=1,
        description="privacy: least number of viewers that a published figure stands for: 10, 14, 18 and so "
        "on up to 46, or 1, which publishes exact figures",
    )

    @field_validator("min_cell")
    @classmethod
    def _holds(cls, value: int) -> int:
        if value != 1 and value not in MIN_CELLS:
            listed = ", ".join(map(str, MIN_CELLS))
            message = (
                f"sums of figures that are rounded to {value} can tell single viewers, or the lake cannot prove cells "
                f"of so many (docs/privacy.md): set one of {listed}, or 1, for exact figures"
            )
            raise ValueError(message)
        return value


class MartSettings(ProtectionSettings):
    """The mart's location, period and protection. Passwords, TLS and timeouts apply to MySQL only."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(description=f"URL of the mart: {URL_FORMS}")
    period: str = Field(
        "", description="the mart's period, such as 2026-Q1, or first/last of a span; all periods when unset"
    )
    detail: Literal["day", "hour"] = Field(
        "day",
        description="privacy: grain of viewership; `hour` also fills fact_viewership_hour, whose rows are of single "
        "viewers, and loads days that are not over: only for marts that trusted people alone read",
    )
    memory_mb: int = Field(
        400,
        ge=128,
        description="MiB for the sums of a day while loading, and as many for a mart in a DuckDB file; beyond that "
        "they spill to disk",
    )
    password: SecretStr | None = Field(None, description="password of the URL's user")
    socket: Path | None = Field(None, description="the server's socket file, used instead of host and port")
    tls_ca: Path | None = Field(
        None, description="file of CA certificates; requires TLS and verifies certificate and host name"
    )
    plaintext: bool = Field(default=False, description="allow connections to other machines without TLS")
    connect_timeout_s: int = Field(10, ge=1, description="seconds to wait for a connection")
    timeout_s: int = Field(600, ge=1, description="seconds to wait for the answer to a statement")
    lock_timeout_s: int = Field(50, ge=1, description="seconds to wait for rows or tables that others have locked")
    retry_for_s: RetryFor = None
    loader: str = Field("marquee_loader", description="user for loading, which `marquee mart init` creates")
    loader_password: SecretStr | None = Field(None, description="password of the loader; no user is created without")
    analyst: str = Field(
        "marquee_analyst", description="user for queries (SELECT only), which `marquee mart init` creates"
    )
    analyst_password: SecretStr | None = Field(None, description="password of the analyst; no user is created without")

    @field_validator("url")
    @classmethod
    def _known_mart(cls, url: str) -> str:
        if is_mysql(url):
            mysql_address(url)
        else:
            duckdb_path(url)
        return url

    @field_validator("period")
    @classmethod
    def _known_period(cls, text: str) -> str:
        span_of(text)
        return text

    @field_validator("loader", "analyst")
    @classmethod
    def _plain_user(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            message = f"Invalid user name {name!r}. Use 1 to 32 of the characters A-Z, a-z, 0-9 and _"
            raise ValueError(message)
        return name

    @model_validator(mode="after")
    def _safe_connection(self) -> "MartSettings":
        if is_mysql(self.url) and not (self.socket or self.tls_ca or self.plaintext):
            host = mysql_address(self.url).host
            if not _is_here(host):
                message = (
                    f"The connection to {host!r}, another machine, is not encrypted. Set MARQUEE_MART__TLS_CA (or, in "
                    "a trusted network, MARQUEE_MART__PLAINTEXT=true)"
                )
                raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _protected(self) -> "MartSettings":
        edges = (self.span.start, self.span.end)
        if self.whole_days and any(edge and edge.hour for edge in edges):
            message = (
                f"period={self.period!r} begins or ends within a day, but a mart with a floor of {self.min_cell} "
                "viewers has whole days. Set MARQUEE_MART__PERIOD to days, or MARQUEE_MART__MIN_CELL=1"
            )
            raise ValueError(message)
        return self

    @property
    def whole_days(self) -> bool:
        """Whether a day is loaded only when it is over: two marts of parts of a day would tell single hours."""
        return self.min_cell > 1 and self.detail == "day"

    @property
    def protection(self) -> str:
        """How the mart keeps small audiences apart, for people."""
        if self.detail == "hour":
            return "with hours, for trusted readers alone"
        return f"by day, at least {self.min_cell} viewers a row" if self.min_cell > 1 else "by day, without a floor"

    @property
    def span(self) -> Span:
        """The time interval of the mart's facts."""
        return span_of(self.period)


class PublishSettings(ComputeSettings):
    """Settings for answers that are computed from the lake and published without a mart."""

    mart: ProtectionSettings = ProtectionSettings()


class ReaderSettings(StageSettings):
    """Settings for reading a mart, which needs no lake."""

    model_config = SettingsConfigDict(validate_default=False)
    lake: str = ""
    mart: MartSettings


@dataclass(frozen=True)
class MysqlAddress:
    """User, server and database of a mysql:// URL."""

    user: str
    host: str
    port: int
    database: str


def is_mysql(url: str) -> bool:
    """Return whether a URL is of a mart in MySQL (or MariaDB)."""
    return url.startswith("mysql://")


def mysql_address(url: str) -> MysqlAddress:
    """Parse a mysql:// URL. ValueError does not repeat the URL, which may contain a password."""
    userinfo, _, place = url.removeprefix("mysql://").rpartition("@")
    if ":" in userinfo:
        message = "The URL has a password. Use mysql://user@host:3306/database, and MARQUEE_MART__PASSWORD"
        raise ValueError(message)
    found = _PLACE.fullmatch(place)
    if not (found and _USER.fullmatch(userinfo)):
        message = "Invalid URL. Use mysql://user@host:3306/database, with a database name of A-Z, a-z, 0-9, _ and -"
        raise ValueError(message)
    host = found["host"].strip("[]")
    return MysqlAddress(unquote(userinfo), host, int(found["port"] or MYSQL_PORT), found["database"])


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def duckdb_path(url: str) -> Path:
    """Return the file of a duckdb:// URL."""
    parts = urlsplit(url)
    path = unquote(parts.path)
    if parts.scheme != "duckdb" or parts.netloc or path in {"", "/"} or path.endswith("/"):
        message = f"Invalid URL {url!r}. Use {URL_FORMS}"
        raise ValueError(message)
    return Path(path)


def span_of(text: str) -> Span:
    """Parse the period of a mart: a period's name, ``first/last``, or an empty text for all periods."""
    if not text:
        return Span()
    try:
        return Span.parse(text)
    except ValueError as error:
        message = f"Invalid period {text!r}. Use {FORMS_HINT}, or two of them as first/last"
        raise ValueError(message) from error
