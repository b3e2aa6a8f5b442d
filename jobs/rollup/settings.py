"""Settings of the rollup: ``MARQUEE_ROLLUP__…``, or ``[rollup]`` in the file."""

from itertools import combinations
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from jobs.rollup.contract import Fields
from jobs.rollup.inventory import Layout
from marquee.settings.sections import ComputeSettings, Section

MIN_KEY_BYTES = 16
NAME = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$"
_DEFAULT = Fields()


class FieldNames(Section):
    """Place of each field in the producer's events: a name, or a dotted path of names."""

    event_id: str = Field(_DEFAULT.event_id, pattern=NAME, description="unique id of the event, used to deduplicate")
    received_at: str = Field(_DEFAULT.received_at, pattern=NAME, description="time of receipt, RFC 3339")
    user_id: str = Field(
        _DEFAULT.user_id, pattern=NAME, description="id of the user, which never leaves the raw events"
    )
    episode_id: str = Field(_DEFAULT.episode_id, pattern=NAME, description="the schedule service's id of the episode")
    country: str = Field(_DEFAULT.country, pattern=NAME, description="ISO 3166-1 alpha-2 code")
    utc_offset_minutes: str = Field(
        _DEFAULT.utc_offset_minutes, pattern=NAME, description="the viewer's offset from UTC"
    )
    language: str = Field(_DEFAULT.language, pattern=NAME, description="audio language, a BCP 47 tag")
    device: str = Field(_DEFAULT.device, pattern=NAME, description="kind of device")
    watched_seconds: str = Field(_DEFAULT.watched_seconds, pattern=NAME, description="seconds of play, 0 to 3600")

    @model_validator(mode="after")
    def _fit_into_one_line(self) -> Self:
        for one, other in combinations(self.model_dump().values(), 2):
            if _clash(one, other):
                message = f"{one!r} and {other!r} cannot both be in one line: use distinct paths, none inside another"
                raise ValueError(message)
        return self


def _clash(one: str, other: str) -> bool:
    """Return whether one path is inside the other, or they differ only in case, which the query ignores."""
    for name, opposite in zip(one.split("."), other.split("."), strict=False):
        if name.lower() != opposite.lower():
            return False
        if name != opposite:
            return True
    return one != other


class RollupOptions(Section):
    """How raw events are found, read and counted."""

    viewer_key: SecretStr = Field(
        description="secret key of the viewers' pseudonyms, at least 16 characters; never change it"
    )
    topic: str = Field("plays", pattern=r"^[A-Za-z0-9._-]+$", description="Kafka topic of the play events")
    path: str = Field(
        "topics/{topic}/year={year}/month={month}/day={day}/hour={hour}/",
        description="folder of an hour in the sink's layout",
    )
    fields: FieldNames = FieldNames()
    grace_minutes: int = Field(10, ge=0, description="minutes to wait after the end of an hour before its first rollup")
    lookback_days: int | None = Field(
        None,
        ge=1,
        description="days before the first hour that is not done, in which a run without --from looks for late files; "
        "default: all hours",
    )
    slack_minutes: int = Field(
        15, ge=0, le=60, description="minutes by which received_at may be outside the hour of its folder"
    )
    buckets: int = Field(16, ge=1, le=4096, description="number of viewer buckets; a change makes all periods stale")
    reject_lines: int = Field(100, ge=0, description="number of lines of an hour that may be rejected in any case")
    reject_share: float = Field(
        0.01, ge=0, le=1, description="share of an hour's lines that may be rejected, if that is more than reject_lines"
    )
    unit_mb: int = Field(24, ge=1, description="MiB of raw objects that one task reads")

    @field_validator("viewer_key")
    @classmethod
    def _long_enough(cls, key: SecretStr) -> SecretStr:
        if len(key.get_secret_value().encode()) < MIN_KEY_BYTES:
            message = f"too short: expected at least {MIN_KEY_BYTES} bytes"
            raise ValueError(message)
        return key

    @property
    def layout(self) -> Layout:
        """Layout of the raw store."""
        return Layout(self.path.replace("{topic}", self.topic))

    @field_validator("path")
    @classmethod
    def _names_the_hour(cls, path: str) -> str:
        Layout(path.replace("{topic}", "topic"))
        return path


class RollupSettings(ComputeSettings):
    """All settings of the rollup."""

    raw: str = Field(description="URL of the raw events: file:///folder or s3://bucket/prefix")
    rollup: RollupOptions
