"""Settings that several jobs share: a class for each section, and the base class of every job's settings."""

import os
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from marquee.calendar import EVER, FORMS_HINT, Span
from marquee.errors import ConfigError
from marquee.machine import engine_memory_mb
from marquee.settings.names import CONFIG, PREFIX, env_name
from marquee.storage.base import READERS, S3Options, Store
from marquee.storage.opening import StoreAddress

BATCH_S, INTERACTIVE_S = 600.0, 10.0
"""Seconds of retries of a server: in a run of a stage, which may wait until an outage ends, and in other commands."""
RetryFor = Annotated[
    float | None,
    Field(
        ge=0,
        le=86_400,
        description="seconds for which a call that fails temporarily is retried, with growing pauses; default: "
        f"{BATCH_S:.0f} in a run of a stage, {INTERACTIVE_S:.0f} in other commands",
    ),
]


def budget_s(retry_for_s: float | None) -> float:
    """Return the seconds of retries outside of a run, or those of the settings."""
    return INTERACTIVE_S if retry_for_s is None else retry_for_s


class Section(BaseModel):
    """A group of settings. An unknown name in it is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


CREDENTIALS = "Credentials belong in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role"


class S3Settings(Section):
    """Connection to S3, in addition to boto3's own chain of credentials and profiles."""

    endpoint_url: str | None = Field(None, description="URL of an S3-compatible server; AWS when unset")
    region: str | None = Field(None, pattern=r"^[A-Za-z0-9-]+$", description="region, if boto3 does not know it")
    path_style: bool = Field(default=False, description="address buckets by path, which most servers but AWS need")
    ca_bundle: str | None = Field(
        None, description="file of CA certificates that verify the server's certificate; boto3's when unset"
    )
    connect_timeout_s: float = Field(5.0, gt=0, le=60, description="seconds to wait for a connection")
    read_timeout_s: float = Field(60.0, gt=0, le=600, description="seconds to wait for an answer")
    retry_for_s: RetryFor = None
    retry_mode: Literal["standard", "adaptive"] = Field(
        "standard", description="boto3's retry mode: adaptive also slows down for a server that throttles"
    )
    parallel_reads: int = Field(READERS, ge=1, le=256, description="objects that one task reads or deletes at a time")
    part_mb: int = Field(
        16, ge=5, le=1024, description="MiB of a part; larger objects are written and read in parts of that size"
    )
    conditional_writes: bool = Field(
        default=True,
        description="false for a server without them: a marker is then checked before it is written, but not locked",
    )

    @field_validator("endpoint_url")
    @classmethod
    def _is_url(cls, url: str | None) -> str | None:
        if url is None:
            return url
        form = "Use https://host or http://host:port"
        if not re.match(r"https?://[^/]", url) or not _has_valid_host(url):
            message = f"Invalid endpoint {url!r}. {form}"
            raise ValueError(message)
        if re.search(r"[@?#\s]", url):
            message = f"The endpoint has a user, password or query, which no request would have. {form}. {CREDENTIALS}"
            raise ValueError(message)
        return url

    @field_validator("ca_bundle")
    @classmethod
    def _is_file(cls, path: str | None) -> str | None:
        if path is not None and not Path(path).is_file():
            message = f"No such file: {path!r}. Use a file of certificates in PEM format"
            raise ValueError(message)
        return path


class LogSettings(Section):
    """Level and format of the log."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="lowest level that is logged")
    format: Literal["auto", "json", "text"] = Field("auto", description="auto: text at a terminal, JSON elsewhere")


class MetricsSettings(Section):
    """Where metrics are served, and where they are pushed."""

    port: int | None = Field(
        None, ge=1024, le=65535, description="port of /metrics; when unset, jobs serve none and the exporter uses 9464"
    )
    address: str = Field("0.0.0.0", min_length=1, description="address to listen at; `::` for IPv6")  # noqa: S104 - a pod's own
    pushgateway_url: str | None = Field(
        None, description="URL of the Pushgateway to which a job pushes at its end, without user name and password"
    )
    push_timeout_s: float = Field(10.0, gt=0, le=60, description="seconds to wait for the Pushgateway")

    @property
    def published(self) -> bool:
        """Whether a job's own metrics go anywhere."""
        return self.port is not None or self.pushgateway_url is not None

    @model_validator(mode="after")
    def _plain_pushgateway(self) -> "MetricsSettings":
        # A model validator, because the error of a field's validator shows the value.
        if self.pushgateway_url is not None and not re.fullmatch(r"https?://[^/@?#]+(/[^@?#]*)?", self.pushgateway_url):
            message = "Invalid pushgateway_url. Use http://host:port or https://host, without user name and password"
            raise ValueError(message)
        return self


class ScratchSettings(Section):
    """The part of the section ``engine`` that all jobs read."""

    # Jobs that compute read the other names of the section, and all jobs may share one file.
    model_config = ConfigDict(extra="ignore")

    scratch: Path | None = Field(None, description="existing folder for temporary files; the system's when unset")


class EngineSettings(ScratchSettings):
    """The engine, and how much of the machine it may use."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["local", "spark", "auto"] = Field(
        "local", description="local: this machine's cores; spark: Spark; auto: Spark where it is expected to be faster"
    )
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, description="tasks at a time on this machine"
    )
    memory_mb: int = Field(
        default_factory=engine_memory_mb,
        ge=128,
        description="MiB for all tasks of this machine together; beyond that they spill to disk",
    )
    task_memory_mb: int = Field(400, ge=128, description="MiB for one task on Spark")
    spark_start_s: float = Field(
        30.0, ge=0, description="seconds until Spark's first task starts, as `auto` expects them"
    )
    spark: dict[str, str] = Field(
        default_factory=dict,
        description="Spark configuration, by Spark's own names; spark.remote is a server of Spark Connect or Sail",
    )


class ErasureSettings(Section):
    """What follows from a request to erase viewers."""

    published: Literal["restate", "keep"] = Field(
        "restate",
        description="figures that are published when a viewer is erased: restate makes them again without the viewer, "
        "as far as raw events exist; keep leaves them as they are",
    )
    days: int = Field(28, ge=1, le=365, description="days in which the data of erased viewers must be gone")


class StageSettings(BaseSettings):
    """The settings of every stage."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="ignore",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    lake: str = Field(description="URL of the lake: file:///folder or s3://bucket/prefix")
    period: str | None = Field(
        None, description="period, or first/last, that a stage's command runs over when its arguments name none"
    )
    force: bool = Field(default=False, description="also make periods again that are done; needs a period")
    environment: str = Field(
        "local",
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$",
        description="name of this environment, such as dev or prod; the label environment of its metrics",
    )
    fsync: bool = Field(
        default=True,
        description="write objects in local folders through to the disk, so that a power loss leaves no marker without "
        "its objects; false leaves that to the operating system",
    )
    s3: S3Settings = S3Settings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    engine: ScratchSettings = ScratchSettings()
    erasure: ErasureSettings = ErasureSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read settings from the environment, then from the TOML file."""
        file = os.environ.get(CONFIG)
        toml = (TomlConfigSettingsSource(settings_cls, toml_file=file),) if file else ()
        return (init_settings, env_settings, *toml)

    @model_validator(mode="before")
    @classmethod
    def _open_sections(cls, values: dict[str, Any]) -> dict[str, Any]:
        # An unset section counts as empty, so that the error names the missing setting in it.
        sections: dict[str, Any] = {
            name: {} for name, field in cls.model_fields.items() if is_section(field.annotation)
        }
        return sections | values

    @field_validator("lake", "raw", check_fields=False)
    @classmethod
    def _known_store(cls, url: str) -> str:
        if not re.match(r"(file:///|s3://)[^/]", url):
            message = f"Invalid URL {url!r}. Use file:///folder or s3://bucket/prefix"
            raise ValueError(message)
        return url.rstrip("/")

    @field_validator("period")
    @classmethod
    def _a_period(cls, text: str | None) -> str | None:
        if text is not None:
            Span.parse(text)
        return text

    def asked(self, span: Span, *, force: bool) -> tuple[Span, bool]:
        """Return the span to run over, and whether to force it; the command line takes precedence over settings."""
        if span == EVER and self.period is not None:
            span = Span.parse(self.period)
        if span == EVER and self.force:
            message = (
                f"{env_name(('force',))}=true without a period would make all periods again in every run. Set "
                f"{env_name(('period',))}, too: {FORMS_HINT}, or first/last"
            )
            raise ConfigError(message)
        return span, force or self.force

    def patient(self) -> Self:
        """Return these settings for a run of a stage, which waits longer for a server that fails."""
        sections = {name: getattr(self, name) for name in type(self).model_fields}
        unset = {name: one for name, one in sections.items() if getattr(one, "retry_for_s", BATCH_S) is None}
        return self.model_copy(
            update={name: one.model_copy(update={"retry_for_s": BATCH_S}) for name, one in unset.items()}
        )

    def open(self, url: str) -> Store:
        """Open a store with these settings."""
        return self.address(url).open()

    def address(self, url: str) -> StoreAddress:
        """Return the address of a store, with which tasks open it with these settings."""
        options = self.s3.model_dump() | {"retry_for_s": budget_s(self.s3.retry_for_s)}
        return StoreAddress(url, S3Options(**options), self.fsync)

    @cached_property
    def store(self) -> Store:
        """The lake."""
        return self.open(self.lake)


class ComputeSettings(StageSettings):
    """The settings of a stage that runs kernels."""

    engine: EngineSettings = EngineSettings()


def _has_valid_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # an invalid port, or an IPv6 address without its end
        return False


def is_section(annotation: object) -> bool:
    """Return whether a field's type is a section."""
    return isinstance(annotation, type) and issubclass(annotation, Section)


def setting_names(kind: type[BaseModel]) -> Iterator[str]:
    """Yield the environment variables of a settings class, including sections and their entries."""
    return (env_name(path) for path, _ in setting_types(kind))


def setting_types(kind: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield (path, type) of each setting of a class, including sections and their entries."""
    for name, field in kind.model_fields.items():
        path = (*above, name)
        yield path, field.annotation
        section = next((one for one in (field.annotation, *get_args(field.annotation)) if is_section(one)), None)
        if section is not None:
            yield from setting_types(section, path)
