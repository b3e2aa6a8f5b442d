"""The rollup of an hour as a plain Polars script: ``VIEWER_KEY=… python plain_polars.py HOUR FOLDER OUT``.

HOUR has the form 2026-01-05T13, FOLDER has its .json.gz or .parquet files. The script writes viewership.parquet,
viewer_hour.parquet, rejects.parquet and counts.json into OUT. One regular expression checks the form that producers
write, and takes the line apart; the few lines of another form are judged one by one.
"""

import hmac
import json
import os
import sys
from datetime import datetime
from pathlib import Path

import polars as pl

from bench.plain_contract import EARLY, FIELDS, LATE, judge

TEXT = r"[ !#-\[\]-~]"
"""Printable ASCII except quote and backslash: the class of all other characters is slow, and such ids are rare."""
USUAL = (
    rf'^\{{"event_id":"({TEXT}+)","received_at":"([0-9-]{{10}}T[0-9:]{{8}}\.[0-9]{{3}})Z",'
    rf'"event":\{{"user_id":"({TEXT}+)","episode_id":([1-9][0-9]{{0,14}}),"country":"([A-Z]{{2}})",'
    r'"utc_offset_minutes":(0|-?[1-9][0-9]{0,2}),"language":"([a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*)",'
    r'"device":"([a-z0-9_-]+)","watched_seconds":(0|[1-9][0-9]{0,3})\}\}$'
)
"""The form that producers write, with a group for each field."""
TYPES: dict[str, pl.DataType] = dict.fromkeys(FIELDS, pl.String()) | {
    "received_at": pl.Datetime("ms"),
    "episode_id": pl.Int64(),
    "utc_offset_minutes": pl.Int32(),
    "watched_seconds": pl.Int32(),
}
INSTANT = "%Y-%m-%dT%H:%M:%S%.3f"


def in_range(hour: datetime) -> pl.Expr:
    """Return whether the values of a record in the right form are those of an event."""
    return (
        pl.col("event_id").str.len_bytes().is_between(1, 64)
        & pl.col("received_at").is_between(hour - EARLY, hour + LATE, closed="left")
        & pl.col("user_id").str.len_bytes().is_between(1, 128)
        & pl.col("utc_offset_minutes").is_between(-720, 840)
        & pl.col("device").str.len_bytes().is_between(1, 32)
        & pl.col("watched_seconds").is_between(0, 3600)
    )


def read_lines(folder: Path, hour: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the events, and the rejected lines with their reasons."""
    fields = pl.col("line").str.extract_groups(USUAL).struct.rename_fields(list(FIELDS)).alias("fields")
    numbers = [name for name, kind in TYPES.items() if kind.is_integer()]
    typed = (
        pl.scan_lines(f"{folder}/*.json.gz")
        .select("line", fields)
        .unnest("fields")
        .with_columns(
            pl.col("received_at").str.to_datetime(INSTANT, time_unit="ms", strict=False),
            *(pl.col(name).cast(TYPES[name]) for name in numbers),
        )
        .with_columns(in_range(hour).fill_null(value=False).alias("good"))
        .with_columns(pl.when(~pl.col("good")).then(pl.col("line").fill_null("")))
        .collect(engine="streaming")
    )
    events = typed.filter("good").select(FIELDS)
    verdicts = [(judge(line, hour), line) for line in typed["line"].drop_nulls()]
    if unusual := [verdict for verdict, _ in verdicts if isinstance(verdict, tuple)]:
        events = pl.concat([events, pl.DataFrame(unusual, TYPES, orient="row")])
    rejects = [(verdict, line) for verdict, line in verdicts if isinstance(verdict, str)]
    return events, pl.DataFrame(rejects, {"reason": pl.String, "line": pl.String}, orient="row")


def read_parquet(folder: Path, hour: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the events, and the reasons of rejected records."""
    rules = {
        "event_id": pl.col("event_id").str.len_chars().is_between(1, 64),
        "received_at": pl.col("received_at").is_not_null(),
        "outside_hour": pl.col("received_at").is_between(hour - EARLY, hour + LATE, closed="left"),
        "user_id": pl.col("user_id").str.len_chars().is_between(1, 128),
        "episode_id": pl.col("episode_id").is_between(1, 1 << 53),
        "country": pl.col("country").str.contains(r"^[A-Z]{2}$"),
        "utc_offset_minutes": pl.col("utc_offset_minutes").is_between(-720, 840),
        "language": pl.col("language").str.contains(r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"),
        "device": pl.col("device").str.contains(r"^[a-z0-9_-]{1,32}$"),
        "watched_seconds": pl.col("watched_seconds").is_between(0, 3600),
    }
    good = pl.all_horizontal(rules.values()).fill_null(value=False)
    why = pl.coalesce(pl.when(~holds.fill_null(value=False)).then(pl.lit(name)) for name, holds in rules.items())
    records = (
        pl.scan_parquet(f"{folder}/*.parquet")
        .select("event_id", pl.col("received_at").dt.replace_time_zone(None), "event")
        .unnest("event")
    )
    events, rejects = pl.collect_all([records.filter(good).select(FIELDS), records.filter(~good).select(reason=why)])
    return events, rejects


def deduplicate(events: pl.DataFrame) -> pl.DataFrame:
    """Return the earliest event of each id. Hashes find the few candidates, whose ids decide."""
    again = events.select(pl.col("event_id").hash().is_duplicated()).to_series()
    earliest = events.filter(again).sort("received_at").unique("event_id", keep="first", maintain_order=True)
    return pl.concat([events.filter(~again), earliest])


def main(hour: datetime, folder: Path, out: Path) -> None:
    """Roll up the hour."""
    read = read_parquet if next(folder.glob("*.parquet"), None) else read_lines
    events, rejects = read(folder, hour)
    once = deduplicate(events)
    duplicates = events.height - once.height
    del events
    local = pl.col("received_at") + pl.duration(minutes="utc_offset_minutes")
    started = pl.col("received_at") - pl.duration(seconds="watched_seconds")
    seconds = pl.col("watched_seconds").cast(pl.Int64).sum()
    keys = ("user_id", "episode_id", "country", "language", "device", local.dt.hour().alias("local_hour"))
    times = (started.min().alias("first_at"), pl.max("received_at").alias("last_at"))
    grouped = once.lazy().group_by(keys).agg(pl.len().alias("plays"), seconds, *times).collect()
    viewership = grouped.group_by("episode_id", "country", "local_hour", "device").agg(
        pl.sum("plays", "watched_seconds")
    )
    users = grouped["user_id"].unique()
    key = os.environ["VIEWER_KEY"].encode()
    hashed = [int.from_bytes(hmac.digest(key, user.encode(), "sha256")[:8]) for user in users]
    viewers = pl.DataFrame({"user_id": users, "viewer": pl.Series(hashed, dtype=pl.UInt64)})
    viewer_hour = (
        grouped.join(viewers, on="user_id")
        .group_by("viewer", "episode_id", "country", "language")
        .agg(pl.sum("plays", "watched_seconds"), pl.min("first_at"), pl.max("last_at"))
    )
    out.mkdir(parents=True)
    for name, table in {"viewership": viewership, "viewer_hour": viewer_hour, "rejects": rejects}.items():
        table.write_parquet(out / f"{name}.parquet", compression="zstd")
    (out / "counts.json").write_text(json.dumps({"duplicates": duplicates}), encoding="utf-8")


if __name__ == "__main__":
    main(datetime.fromisoformat(f"{sys.argv[1]}:00:00"), Path(sys.argv[2]), Path(sys.argv[3]))
