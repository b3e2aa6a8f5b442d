"""Settings: one class a stage, read from the environment (``MARQUEE_…``, ``__`` between levels) and a TOML file.

The file is named by ``MARQUEE_CONFIG``; the environment wins over it. Wrong values and misspelt names fail at start,
before any work.
"""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from marquee.calendar import EVER, FORMS_HINT, Span
from marquee.engine.base import Engine
from marquee.engine.local import EngineOptions, LocalEngine
from marquee.errors import ConfigError
from marquee.storage.base import READERS, S3Options, Store
from marquee.storage.opening import open_store

PREFIX = "MARQUEE_"
CONFIG = "MARQUEE_CONFIG"
MASK = "**********"
_PASSWORD = re.compile(r"(?<=://)[^\s\"']*@")
"""User and password in a URL, up to its last @: a password may hold others."""
NOT_SETTINGS = frozenset({CONFIG})


class Section(BaseModel):
    """A group of settings; unknown names in it are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class S3Settings(Section):
    """How to reach S3, beyond boto3's own chain of credentials and profiles."""

    endpoint_url: str | None = Field(None, description="URL of an S3-compatible server; AWS when unset")
    region: str | None = Field(None, pattern=r"^[A-Za-z0-9-]+$", description="region, where boto3 does not know it")
    path_style: bool = Field(default=False, description="address buckets by path, as most other servers need")
    ca_bundle: str | None = Field(
        None, description="file of the authorities that the server's certificate is checked against; boto3's when unset"
    )
    connect_timeout_s: float = Field(5.0, gt=0, le=60, description="seconds to wait for a connection")
    read_timeout_s: float = Field(60.0, gt=0, le=600, description="seconds to wait for an answer")
    attempts: int = Field(
        5, ge=1, le=20, description="how often a call is tried in all, with pauses of up to 20 seconds between"
    )
    retry_mode: Literal["standard", "adaptive"] = Field(
        "standard", description="boto3's: adaptive also slows down for a server that throttles"
    )
    parallel_reads: int = Field(READERS, ge=1, le=256, description="objects that one task reads, or deletes, at a time")
    part_mb: int = Field(
        16, ge=5, le=1024, description="MiB from which an object is written, and read, in parts of that size"
    )
    conditional_writes: bool = Field(
        default=True,
        description="false for a server that lacks them: a marker is then looked at before it is written, but not held",
    )

    @field_validator("endpoint_url")
    @classmethod
    def _is_url(cls, url: str | None) -> str | None:
        if url is not None and not re.match(r"https?://[^/]", url):
            message = f"{url!r} is no endpoint: expected https://host or http://host:port"
            raise ValueError(message)
        return url

    @field_validator("ca_bundle")
    @classmethod
    def _is_file(cls, path: str | None) -> str | None:
        if path is not None and not Path(path).is_file():
            message = f"{path!r} is no file: expected certificates in PEM form"
            raise ValueError(message)
        return path


class LogSettings(Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")
    format: Literal["auto", "json", "text"] = Field("auto", description="auto: text at a terminal, JSON elsewhere")


class MetricsSettings(Section):
    """Where metrics are to be had, and where to push them to."""

    port: int | None = Field(
        None, ge=1024, le=65535, description="port of /metrics; a job has none when unset, the exporter takes 9464"
    )
    address: str = Field("0.0.0.0", min_length=1, description="address to listen at; `::` for IPv6")  # noqa: S104 - a pod's own
    pushgateway_url: str | None = Field(
        None, description="URL of a Pushgateway, to which a job pushes at its end, without user name and password"
    )
    push_timeout_s: float = Field(10.0, gt=0, le=60, description="seconds to wait for the Pushgateway")

    @model_validator(mode="after")
    def _plain_pushgateway(self) -> "MetricsSettings":
        # Not left to the field's own validator, whose error shows the value.
        if self.pushgateway_url is not None and not re.fullmatch(r"https?://[^/@?#]+(/[^@?#]*)?", self.pushgateway_url):
            message = "pushgateway_url: expected http://host:port or https://host, without user name and password"
            raise ValueError(message)
        return self


class EngineSettings(Section):
    """What computes, and how much of the machine it may use."""

    kind: Literal["local", "spark"] = Field("local", description="this machine's cores, or Spark")
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, description="tasks at a time on this machine"
    )
    memory_mb: int = Field(800, ge=128, description="MiB for all tasks of this machine together; beyond it they spill")
    task_memory_mb: int = Field(400, ge=128, description="MiB for one task on Spark")
    scratch: Path | None = Field(None, description="folder for temporary files; the system's when unset")
    spark: dict[str, str] = Field(default_factory=dict, description="Spark configuration, names as Spark spells them")


class StageSettings(BaseSettings):
    """What every stage is told."""

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
    force: bool = Field(default=False, description="make again what is done, too; needs a period")
    environment: str = Field(
        "local",
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$",
        description="name of this environment, such as dev or prod: the label by which its metrics are told apart",
    )
    s3: S3Settings = S3Settings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take settings from the environment, then from the TOML file."""
        file = os.environ.get(CONFIG)
        toml = (TomlConfigSettingsSource(settings_cls, toml_file=file),) if file else ()
        return (init_settings, env_settings, *toml)

    @model_validator(mode="before")
    @classmethod
    def _open_sections(cls, values: dict[str, Any]) -> dict[str, Any]:
        # A section of which nothing is set counts as empty, so that the error names the setting missing in it.
        sections: dict[str, Any] = {
            name: {} for name, field in cls.model_fields.items() if _is_section(field.annotation)
        }
        return sections | values

    @field_validator("lake", "raw", check_fields=False)
    @classmethod
    def _known_store(cls, url: str) -> str:
        if not re.match(r"(file:///|s3://)[^/]", url):
            message = f"{url!r} is no store: expected file:///folder or s3://bucket/prefix"
            raise ValueError(message)
        return url.rstrip("/")

    @field_validator("period")
    @classmethod
    def _a_period(cls, text: str | None) -> str | None:
        if text is not None:
            Span.parse(text)
        return text

    def asked(self, span: Span, *, force: bool) -> tuple[Span, bool]:
        """Return the span to run over, and whether by force; the command line's span wins over the settings'."""
        if span == EVER and self.period is not None:
            span = Span.parse(self.period)
        if span == EVER and self.force:
            message = (
                f"{env_name(('force',))}=true would make again everything there is, with every run: set "
                f"{env_name(('period',))}, too: {FORMS_HINT}, or first/last"
            )
            raise ConfigError(message)
        return span, force or self.force

    def open(self, url: str) -> Store:
        """Open a store with these settings."""
        return open_store(url, S3Options(**self.s3.model_dump()))

    @cached_property
    def store(self) -> Store:
        """The lake."""
        return self.open(self.lake)


class ComputeSettings(StageSettings):
    """What a stage that computes over viewers is told."""

    engine: EngineSettings = EngineSettings()

    def start_engine(self) -> Engine:
        """Start the engine of the settings."""
        engine = self.engine
        if engine.kind == "local":
            return LocalEngine(EngineOptions(engine.workers, engine.memory_mb, engine.scratch))
        from marquee.engine.spark import start_spark  # noqa: PLC0415 - Spark is not everywhere

        return start_spark(engine.spark, engine.task_memory_mb)


S = TypeVar("S", bound=StageSettings)


def load_settings(kind: type[S], **overrides: Any) -> S:  # noqa: ANN401 - values of the settings class
    """Read a stage's settings; ConfigError lists every wrong one with its name and value, secrets masked."""
    read_file()  # pydantic-settings takes a file that is not there for an empty one
    try:
        return kind(**overrides)
    except ValidationError as error:
        message = _explain(kind, error)
    except SettingsError as error:
        message = f'wrong settings:\n  {error}: expected JSON, such as ["US", "KR"]'
    raise ConfigError(message)  # out here, it does not carry along pydantic's error, which has the secrets


def check_names(kinds: Sequence[type[StageSettings]]) -> None:
    """Refuse ``MARQUEE_…`` variables and TOML entries that no stage knows, naming the nearest right one."""
    known = {name for kind in kinds for name in setting_names(kind)}
    free = {f"{PREFIX}ENGINE__SPARK"}
    given = [name.upper() for name in os.environ if name.upper().startswith(PREFIX) and name not in NOT_SETTINGS]
    given += [env_name(path) for path, _ in walk(read_file())]
    for name in given:
        if name not in known and not any(name == one or name.startswith(f"{one}__") for one in free):
            # Without the prefix, by which all names are alike.
            near = difflib.get_close_matches(name[len(PREFIX) :], [one[len(PREFIX) :] for one in known], 1, 0.5)
            hint = f": did you mean {PREFIX}{near[0]}?" if near else ": `marquee config` lists them all"
            message = f"{name} is no setting{hint}"
            raise ConfigError(message)


def read_file() -> dict[str, Any]:
    """Return the entries of the TOML file, none without one."""
    file = os.environ.get(CONFIG)
    if not file:
        return {}
    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        message = f"{CONFIG}={file!r} cannot be read: {error}"
        raise ConfigError(message) from error


def masked(text: str) -> str:
    """Return a text without users and passwords in URLs."""
    return _PASSWORD.sub(f"{MASK}@", text)


def env_name(path: tuple[str, ...]) -> str:
    """Return the environment variable of a setting: ``("log", "level")`` is ``MARQUEE_LOG__LEVEL``."""
    return PREFIX + "__".join(path).upper()


def setting_names(kind: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the environment variables of a settings class, those of sections and of their entries."""
    for name, field in kind.model_fields.items():
        path = (*above, name)
        yield env_name(path)
        section = next((one for one in (field.annotation, *get_args(field.annotation)) if _is_section(one)), None)
        if section is not None:
            yield from setting_names(section, path)


def walk(values: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield (path, value) for each leaf of nested settings."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from walk(value, (*above, name))
        else:
            yield (*above, name), value


def source_of(path: tuple[str, ...], file: Mapping[str, Any]) -> str:
    """Tell where a setting came from: its variable, one of its section or of a part of it, the file, or the default."""
    given = {name.upper(): name for name in os.environ}
    for depth in range(len(path), 0, -1):
        name = given.get(env_name(path[:depth]))
        if name and _has(_json(os.environ[name]), path[depth:]):
            return name
    parts = [name for upper, name in given.items() if upper.startswith(f"{env_name(path)}__")]
    if parts:
        return ", ".join(sorted(parts))
    return os.environ[CONFIG] if _has(file, path) else "default"


def _has(entries: object, path: tuple[str, ...]) -> bool:
    for name in path:
        if not isinstance(entries, Mapping) or name not in entries:
            return False
        entries = entries[name]
    return True


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_section(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _explain(kind: type[BaseSettings], error: ValidationError) -> str:
    lines = []
    for one in error.errors():
        path = tuple(str(part) for part in one["loc"])
        missing = one["type"] == "missing"
        value = "" if missing or not _is_public(kind, path) else f"={masked(repr(one['input']))}"
        where = f"{env_name(path)}{value}: " if path else ""
        lines.append(f"{where}{'is not set' if missing else one['msg']}")
    return "wrong settings:\n  " + "\n  ".join(lines)


def _is_public(kind: type[BaseModel], path: tuple[str, ...]) -> bool:
    """Tell whether a wrong value may be shown: not a secret's, a misspelt name's (perhaps a secret), a section's."""
    annotation: Any = kind
    for name in path:
        sections = [one for one in (annotation, *get_args(annotation)) if hasattr(one, "model_fields")]
        if not sections:
            break  # an entry of a list or table
        if name not in sections[0].model_fields:
            return False
        annotation = sections[0].model_fields[name].annotation
    types = (annotation, *get_args(annotation))
    return not any(isinstance(one, type) and issubclass(one, (SecretStr, BaseModel)) for one in types)
