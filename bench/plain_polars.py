"""The rollup of an hour as a plain Polars script: ``VIEWER_KEY=… python plain_polars.py HOUR FOLDER OUT``.

HOUR has the form 2026-01-05T13, FOLDER has its .json.gz files. The script writes viewership.parquet,
viewer_hour.parquet, rejects.parquet and counts.json into OUT. Polars stops at the first text that is not JSON, and
accepts a number in place of a text: so lines that do not look like an event are checked separately, and in the sink's
compact JSON a quote marks a text.
"""

import hmac
import json
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

TEXTS = ("event_id", "received_at", "user_id", "country", "language", "device")
WHOLES = ("episode_id", "utc_offset_minutes", "watched_seconds")
OF_EVENT = ("user_id", "country", "language", "device", *WHOLES)
RECORD = pl.Struct(
    {"event_id": pl.String, "received_at": pl.String, "event": pl.Struct(dict.fromkeys(OF_EVENT, pl.String))}
)
LINE = pl.col("line")


def read(folder: str) -> pl.LazyFrame:
    """Return the lines, and the fields of those that look like an event."""
    lines = pl.scan_lines(f"{folder}/*.json.gz", include_file_paths="file")
    looks_right = LINE.str.starts_with('{"') & LINE.str.ends_with("}}")
    records = lines.select(
        "file",
        "line",
        looks_right.alias("looks_right"),
        pl.when(looks_right).then(LINE).str.json_decode(RECORD).alias("record"),
    )
    is_text = {name: LINE.str.contains(f'"{name}":"', literal=True) for name in (*TEXTS, *WHOLES)}
    return (
        records.unnest("record")
        .unnest("event")
        .with_columns(
            *(pl.when(is_text[name]).then(pl.col(name)) for name in TEXTS),
            *(pl.when(~is_text[name]).then(pl.col(name).cast(pl.Int64, strict=False)) for name in WHOLES),
        )
        .with_columns(
            pl.col("received_at").str.to_datetime("%+", time_unit="us", strict=False).dt.replace_time_zone(None)
        )
    )


def why_rejected(hour: datetime) -> pl.Expr:
    """Return the reason why a line is not an event: null for an event, "unclear" for a line to check separately."""
    start, end = hour - timedelta(minutes=15), hour + timedelta(minutes=75)
    rules = {
        "unclear": pl.col("looks_right"),
        "event_id": pl.col("event_id").str.len_chars().is_between(1, 64),
        "received_at": pl.col("received_at").is_not_null(),
        "outside_hour": pl.col("received_at").is_between(start, end, closed="left"),
        "user_id": pl.col("user_id").str.len_chars().is_between(1, 128),
        "episode_id": pl.col("episode_id").is_between(1, 1 << 53),
        "country": pl.col("country").str.contains(r"^[A-Z]{2}$"),
        "utc_offset_minutes": pl.col("utc_offset_minutes").is_between(-720, 840),
        "language": pl.col("language").str.contains(r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"),
        "device": pl.col("device").str.contains(r"^[a-z0-9_-]{1,32}$"),
        "watched_seconds": pl.col("watched_seconds").is_between(0, 3600),
    }
    return pl.coalesce(pl.when(~holds.fill_null(value=False)).then(pl.lit(name)) for name, holds in rules.items())


def judge(line: str) -> str:
    """Return the reason why a suspicious line is not an event."""
    try:
        record = json.loads(line)
    except ValueError:
        return "not_json" if line.strip() else "blank"
    if not isinstance(record, dict):
        return "not_an_object"
    return next((name for name in ("event_id", "received_at") if not isinstance(record.get(name), str)), "user_id")


def main(hour: datetime, folder: str, out: Path) -> None:
    """Roll up the hour."""
    rejected = pl.col("reason").is_not_null()
    kept = [pl.when(rejected).then(pl.col(name)) for name in ("file", "line")]
    lines = read(folder).with_columns(why_rejected(hour).alias("reason")).with_columns(kept).collect(engine="streaming")
    unclear = pl.when(pl.col("reason") == "unclear").then(LINE.map_elements(judge, pl.String))
    rejects = lines.filter(rejected).select("file", unclear.fill_null(pl.col("reason")).alias("reason"), "line")
    events = lines.filter(~rejected).drop("file", "line", "reason", "looks_right")
    del lines
    # Few events have duplicates: only those are sorted.
    again = events["event_id"].is_duplicated()
    earliest = events.filter(again).sort("received_at").unique("event_id", keep="first")
    once = pl.concat([events.filter(~again), earliest])
    duplicates = events.height - once.height
    del events
    local = pl.col("received_at") + pl.duration(minutes=pl.col("utc_offset_minutes"))
    totals = (pl.len().alias("plays"), pl.sum("watched_seconds"))
    grouped = once.group_by(
        "user_id", "episode_id", "country", "language", "device", local.dt.hour().alias("local_hour")
    ).agg(*totals, pl.min("received_at").alias("first_at"), pl.max("received_at").alias("last_at"))
    viewership = grouped.group_by("episode_id", "country", "local_hour", "device").agg(
        pl.sum("plays", "watched_seconds")
    )
    users = grouped["user_id"].unique().to_list()
    key = os.environ["VIEWER_KEY"].encode()
    viewers = pl.DataFrame(
        {"user_id": users, "viewer": [hmac.digest(key, user.encode(), "sha256").hex()[:16] for user in users]}
    )
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
    main(datetime.fromisoformat(f"{sys.argv[1]}:00:00"), sys.argv[2], Path(sys.argv[3]))
