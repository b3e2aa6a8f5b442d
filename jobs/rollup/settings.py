"""Settings of the rollup: ``MARQUEE_ROLLUP__…``, or ``[rollup]`` in the file."""

import json
import re
from itertools import combinations
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from jobs.rollup.compiled import why_not_compiled
from jobs.rollup.contract import Fields, steps
from jobs.rollup.layout import Layout
from jobs.rollup.limits import Limits
from jobs.rollup.viewer import Keys, parse_keys
from marquee.compiled import REMEDY
from marquee.settings.sections import ComputeSettings, Section

MIN_KEY_BYTES = 16
MOST_BUCKETS = 4096
_DEFAULT = Fields()
_LIMITS = Limits()


class FieldNames(Section):
    """Place of each field in the producer's events: a name, a dotted path of names, or a JSON pointer (RFC 6901)."""

    event_id: str = Field(_DEFAULT.event_id, description="unique id of the event, used to deduplicate")
    received_at: str = Field(_DEFAULT.received_at, description="time of receipt, RFC 3339")
    user_id: str = Field(_DEFAULT.user_id, description="id of the user, which never leaves the raw events")
    episode_id: str = Field(_DEFAULT.episode_id, description="the schedule service's id of the episode")
    country: str = Field(_DEFAULT.country, description="ISO 3166-1 alpha-2 code")
    utc_offset_minutes: str = Field(_DEFAULT.utc_offset_minutes, description="the viewer's offset from UTC")
    language: str = Field(_DEFAULT.language, description="audio language, a BCP 47 tag")
    device: str = Field(_DEFAULT.device, description="kind of device")
    watched_seconds: str = Field(_DEFAULT.watched_seconds, description="seconds of play, 0 to 3600")

    @field_validator("*")
    @classmethod
    def _leads_to_a_field(cls, path: str) -> str:
        steps(path)
        return path

    @model_validator(mode="after")
    def _fit_into_one_line(self) -> Self:
        for one, other in combinations(self.model_dump().values(), 2):
            shorter, longer = sorted((steps(one), steps(other)), key=len)
            if shorter != longer and longer[: len(shorter)] == shorter:
                message = f"{one!r} and {other!r} cannot both be in one line: use distinct paths, none inside another"
                raise ValueError(message)
        return self


class LimitSettings(Section):
    """What one raw object may contain. An hour with an object beyond a limit fails, before the object is read on."""

    object_mb: int = Field(_LIMITS.object_bytes >> 20, ge=1, description="MiB of an object after decompression")
    block_mb: int = Field(
        _LIMITS.block_bytes >> 20,
        ge=1,
        description="MiB after decompression of an Avro block, and of the Parquet pages that are read at a time: the "
        "largest page and the dictionary of each column that is read",
    )
    columns: int = Field(_LIMITS.columns, ge=9, description="fields in an Avro or Parquet schema")
    nesting: int = Field(_LIMITS.nesting, ge=2, description="levels of an Avro or Parquet schema")

    @property
    def limits(self) -> Limits:
        """The limits, in bytes."""
        return Limits(self.object_mb << 20, self.block_mb << 20, self.columns, self.nesting)


class RollupOptions(Section):
    """How raw events are found, read and counted."""

    viewer_key: SecretStr = Field(
        description="secret key of the viewers' pseudonyms, at least 16 characters, or a list of keys, newest first, "
        "as JSON or in the file; never remove or change one"
    )
    topic: str = Field("plays", pattern=r"^[A-Za-z0-9._-]+$", description="Kafka topic of the play events")
    path: str = Field(
        "topics/{topic}/year={year}/month={month}/day={day}/hour={hour}/",
        description="folder of an hour in the sink's layout",
    )
    ignore: tuple[str, ...] = Field(
        (),
        description="glob patterns of keys of raw objects to pass over without a warning, such as `*/README`; "
        "`*` also matches slashes",
    )
    fields: FieldNames = FieldNames()
    grace_minutes: int = Field(10, ge=0, description="minutes to wait after the end of an hour before its first rollup")
    lookback_days: int | None = Field(
        None,
        ge=1,
        description="days before the first hour that is not done, in which a run without --from looks for late files; "
        "default: in all hours, in old ones within a day or a thirtieth of their age",
    )
    slack_minutes: int = Field(
        15, ge=0, le=60, description="minutes by which received_at may be outside the hour of its folder"
    )
    buckets: Literal["auto"] | Annotated[int, Field(ge=1, le=MOST_BUCKETS)] = Field(
        "auto",
        description="number of viewer buckets of an hour; auto: a power of two, one for each 16 MiB of compressed raw "
        "objects. A change applies to the hours that are made from then on",
    )
    reject_lines: int = Field(
        100, ge=0, description="number of lines of an hour that may be rejected in any case, beside plays"
    )
    reject_share: float = Field(
        0.01, ge=0, le=1, description="share of an hour's lines that may be rejected, if that is more than reject_lines"
    )
    offsets: Literal["auto", "off"] = Field(
        "auto",
        description="auto: if the names of raw objects carry Kafka offsets, count records by partition and report gaps",
    )
    allow_no_plays: bool = Field(
        default=False,
        description="whether an hour, or a file in it, may have lines but no play; if not, the hour fails",
    )
    limits: LimitSettings = LimitSettings()
    parser: Literal["auto", "compiled", "sql"] = Field(
        "auto",
        description="what reads JSON lines: compiled code, or SQL, which takes about three times as long; auto: the "
        "compiled code where it is installed. The results are the same",
    )
    unit_mb: int = Field(24, ge=1, description="MiB of raw objects that one task reads")

    @field_validator("viewer_key", mode="before")
    @classmethod
    def _as_text(cls, given: object) -> object:
        """Take a list in the file as the text that it is in the environment, so that all of it is one secret."""
        return json.dumps(given) if isinstance(given, list | tuple) else given

    @field_validator("viewer_key")
    @classmethod
    def _long_enough(cls, setting: SecretStr) -> SecretStr:
        keys = parse_keys(setting.get_secret_value())
        if any(len(key) < MIN_KEY_BYTES for key in keys):
            message = f"too short: expected at least {MIN_KEY_BYTES} bytes"
            raise ValueError(message)
        if len(set(keys)) < len(keys):
            message = "the same key twice: expected a list of distinct keys, newest first"
            raise ValueError(message)
        return setting

    @property
    def viewer_keys(self) -> Keys:
        """The keys of pseudonyms, newest first."""
        return parse_keys(self.viewer_key.get_secret_value())

    @field_validator("buckets", mode="before")
    @classmethod
    def _auto_or_a_number(cls, value: object) -> object:
        """Refuse what is neither, in one message: a union would have one for each of its members."""
        if value == "auto" or (re.fullmatch(r"\d{1,4}", str(value)) and 0 < int(str(value)) <= MOST_BUCKETS):
            return value
        message = f"expected auto, or a whole number from 1 to {MOST_BUCKETS}"
        raise ValueError(message)

    @field_validator("parser")
    @classmethod
    def _can_be_used(cls, parser: str) -> str:
        if parser == "compiled" and (reason := why_not_compiled()):
            message = f"{reason}. {REMEDY}; or set auto"
            raise ValueError(message)
        return parser

    @property
    def layout(self) -> Layout:
        """Layout of the raw store."""
        return Layout.of(self.path, self.topic)

    @field_validator("path")
    @classmethod
    def _names_the_hour(cls, path: str) -> str:
        Layout.of(path, "topic")
        return path


class RollupSettings(ComputeSettings):
    """All settings of the rollup."""

    raw: str = Field(description="URL of the raw events: file:///folder or s3://bucket/prefix")
    rollup: RollupOptions
