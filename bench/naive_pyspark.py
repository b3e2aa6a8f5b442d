"""The rollup of an hour in PySpark as most would write it: ``VIEWER_KEY=… python naive_pyspark.py HOUR FOLDER OUT``.

HOUR is such as 2026-01-05T13, FOLDER has its .json.gz files. Into OUT go viewership.parquet, viewer_hour.parquet,
rejects.parquet (folders) and counts.json. One clear step after the other, the events cached, nothing configured but what
the results need. In the sink's compact JSON a quote tells a text.
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


def parse(lines: DataFrame, hour: str) -> DataFrame:
    """Return the fields of each line, and for a rejected one the reason, the file and the line."""
    options = {"columnNameOfCorruptRecord": "broken"}
    parsed = lines.select("file", "line", F.from_json("line", SCHEMA, options).alias("record"))
    fields = parsed.select("file", "line", "record.*").select("*", "event.*").drop("event")
    fields = fields.withColumn(
        "received_at", F.when(F.col("received_at").rlike(INSTANT), F.try_to_timestamp("received_at"))
    )
    for name in TEXTS:
        fields = fields.withColumn(name, F.when(F.col("line").contains(f'"{name}":"'), F.col(name)))
    return (
        fields.withColumn("reason", why_rejected(hour))
        .withColumn("file", F.when(F.col("reason").isNotNull(), F.col("file")))
        .withColumn("line", F.when(F.col("reason").isNotNull(), F.col("line")))
        .drop("broken")
    )


def why_rejected(hour: str) -> Column:
    """Return the reason why a line is no event; null for an event."""
    start = F.lit(f"{hour}:00:00").cast("timestamp")
    received_at = F.col("received_at")
    unreadable = F.col("broken").isNotNull() & F.col("event_id").isNull()
    rules = {
        "event_id": F.length("event_id").between(1, 64),
        "received_at": received_at.isNotNull(),
        "outside_hour": (received_at >= start - F.expr("interval 15 minutes"))
        & (received_at < start + F.expr("interval 75 minutes")),
        "user_id": F.length("user_id").between(1, 128),
        "episode_id": F.col("episode_id").between(1, 1 << 53),
        "country": F.col("country").rlike("^[A-Z]{2}$"),
        "utc_offset_minutes": F.col("utc_offset_minutes").between(-720, 840),
        "language": F.col("language").rlike("^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"),
        "device": F.col("device").rlike("^[a-z0-9_-]{1,32}$"),
        "watched_seconds": F.col("watched_seconds").between(0, 3600),
    }
    reason = (
        F.when(F.trim("line") == "", "blank")
        .when(unreadable & F.expr("try_parse_json(line) is null"), "not_json")
        .when(unreadable & ~F.expr("schema_of_variant(try_parse_json(line)) like 'OBJECT%'"), "not_an_object")
    )
    for name, holds in rules.items():
        reason = reason.when(~F.coalesce(holds, F.lit(False)), name)  # noqa: FBT003 - a value
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
        .cache()
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
