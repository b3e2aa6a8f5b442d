"""The rollup of an hour in PySpark as most would write it: ``VIEWER_KEY=… python naive_pyspark.py HOUR FOLDER OUT``.

HOUR is such as 2026-01-05T13, FOLDER has its .json.gz files. Into OUT go viewership.parquet, viewer_hour.parquet,
rejects.parquet (folders) and counts.json. One clear step after the other, nothing configured but what the results need;
nor cached, which in Spark's usual 1 GB costs more than it saves. In the sink's compact JSON a quote tells a text.
"""

import json
import os
import sys
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812 - as all of PySpark's users write it

SCHEMA = """
    event_id string, received_at string,
    event struct<
        user_id string, episode_id bigint, country string, utc_offset_minutes bigint, language string, device string,
        watched_seconds bigint
    >,
    broken string
"""
TEXTS = ("event_id", "user_id", "device")
INSTANT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"
RULES = {
    "event_id": "length(event_id) between 1 and 64",
    "received_at": "received_at is not null",
    "outside_hour": "received_at >= timestamp '{hour}:00:00' - interval 15 minutes"
    " and received_at < timestamp '{hour}:00:00' + interval 75 minutes",
    "user_id": "length(user_id) between 1 and 128",
    "episode_id": "episode_id between 1 and 9007199254740992",
    "country": "country rlike '^[A-Z]{{2}}$'",
    "utc_offset_minutes": "utc_offset_minutes between -720 and 840",
    "language": "language rlike '^[a-z]{{2,3}}(-[A-Za-z0-9]{{2,8}})*$'",
    "device": "device rlike '^[a-z0-9_-]{{1,32}}$'",
    "watched_seconds": "watched_seconds between 0 and 3600",
}


def parse(lines: DataFrame, hour: str) -> DataFrame:
    """Return the fields of each line, and for a rejected one the reason, the file and the line."""
    record = F.from_json("line", SCHEMA, {"columnNameOfCorruptRecord": "broken"}).alias("record")
    fields = (
        lines.select("file", "line", record).select("file", "line", "record.*").select("*", "event.*").drop("event")
    )
    instant = F.when(F.col("received_at").rlike(INSTANT), F.try_to_timestamp("received_at"))
    texts = {name: F.when(F.col("line").contains(f'"{name}":"'), F.col(name)) for name in TEXTS}
    judged = fields.withColumns({"received_at": instant, **texts}).withColumn("reason", why_rejected(hour))
    of_rejects = {name: F.when(F.col("reason").isNotNull(), F.col(name)) for name in ("file", "line")}
    return judged.withColumns(of_rejects).drop("broken")


def why_rejected(hour: str) -> Column:
    """Return why a line is no event; null for an event."""
    unreadable = "broken is not null and event_id is null"
    reason = (
        F.when(F.trim("line") == "", "blank")
        .when(F.expr(f"{unreadable} and try_parse_json(line) is null"), "not_json")
        .when(F.expr(f"{unreadable} and schema_of_variant(try_parse_json(line)) not like 'OBJECT%'"), "not_an_object")
    )
    for name, holds in RULES.items():
        reason = reason.when(F.expr(f"not coalesce({holds.format(hour=hour)}, false)"), name)
    return reason


def main(hour: str, folder: str, out: Path) -> None:
    """Roll up the hour."""
    spark = SparkSession.builder.appName("rollup").config("spark.sql.session.timeZone", "UTC").getOrCreate()
    lines = spark.read.text(folder).select(F.input_file_name().alias("file"), F.col("value").alias("line"))
    parsed = parse(lines, hour)
    valid = parsed.filter("reason is null")
    viewer = F.substring(F.sha2(F.concat(F.lit(os.environ["VIEWER_KEY"]), "user_id"), 256), 1, 16)
    by_id = Window.partitionBy("event_id").orderBy("received_at")
    events = (
        valid.withColumn("number", F.row_number().over(by_id))
        .filter("number = 1")
        .withColumn("viewer", viewer)
        .withColumn("local_hour", F.hour(F.timestamp_add("MINUTE", "utc_offset_minutes", "received_at")))
    )
    totals = (F.count("*").alias("plays"), F.sum("watched_seconds").alias("watched_seconds"))
    viewership = events.groupBy("episode_id", "country", "local_hour", "device").agg(*totals)
    viewership.write.parquet(str(out / "viewership.parquet"), compression="zstd")
    times = (F.min("received_at").alias("first_at"), F.max("received_at").alias("last_at"))
    viewer_hour = events.groupBy("viewer", "episode_id", "country", "language").agg(*totals, *times)
    viewer_hour.write.parquet(str(out / "viewer_hour.parquet"), compression="zstd")
    rejects = parsed.filter("reason is not null").select("file", "reason", "line")
    rejects.write.parquet(str(out / "rejects.parquet"), compression="zstd")
    (out / "counts.json").write_text(json.dumps({"duplicates": valid.count() - events.count()}))
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
