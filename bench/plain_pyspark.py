"""The rollup of an hour as a well-tuned PySpark script: ``VIEWER_KEY=… python plain_pyspark.py HOUR FOLDER OUT``.

HOUR is such as 2026-01-05T13, FOLDER has its .json.gz files. Into OUT go viewership.parquet, viewer_hour.parquet,
rejects.parquet (folders) and counts.json. Tuned: the schema is given, lines are parsed once and kept as columns, few
partitions, and only hashes of ids are shuffled to find duplicates. In the sink's compact JSON a quote tells a text.
"""

import json
import os
import sys
from pathlib import Path

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession
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
KEYS = ("user_id", "episode_id", "country", "language", "device")


def start() -> SparkSession:
    """Start Spark on this machine's cores."""
    conf = {
        "spark.driver.memory": "4g",
        "spark.driver.extraJavaOptions": "-XX:+UseParallelGC",
        "spark.sql.inMemoryColumnarStorage.compressed": "false",
        "spark.sql.shuffle.partitions": "8",
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.files.maxPartitionBytes": "32m",
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
    }
    return SparkSession.builder.master("local[*]").config(map=conf).getOrCreate()


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


def sums() -> tuple[Column, Column]:
    """Return what is summed of groups."""
    return F.sum("plays").alias("plays"), F.sum("watched_seconds").alias("watched_seconds")


def main(hour: str, folder: str, out: Path) -> None:
    """Roll up the hour."""
    spark = start()
    lines = spark.read.text(folder).select(F.col("_metadata.file_name").alias("file"), F.col("value").alias("line"))
    parsed = parse(lines, hour).persist(StorageLevel.MEMORY_AND_DISK)
    events = parsed.filter("reason is null").withColumn("id", F.xxhash64("event_id"))
    repeated = F.broadcast(events.groupBy("id").count().filter("count > 1").select("id").persist())
    earliest = (
        events.join(repeated, "id", "left_semi")
        .groupBy("event_id")
        .agg(F.min_by(F.struct(*events.columns), "received_at").alias("first"))
    )
    once = events.join(repeated, "id", "left_anti").unionByName(earliest.select("first.*"))
    grouped = (
        once.withColumn("local_hour", F.hour(F.timestamp_add("MINUTE", "utc_offset_minutes", "received_at")))
        .groupBy(*KEYS, "local_hour")
        .agg(
            F.count("*").alias("plays"), F.sum("watched_seconds").alias("watched_seconds"),
            F.min("received_at").alias("first_at"), F.max("received_at").alias("last_at"),
        )
        .persist(StorageLevel.MEMORY_AND_DISK)
    )  # fmt: skip
    viewership = grouped.groupBy("episode_id", "country", "local_hour", "device").agg(*sums())
    viewer = F.substring(F.sha2(F.concat(F.lit(os.environ["VIEWER_KEY"]), "user_id"), 256), 1, 16)
    users = grouped.groupBy("user_id", "episode_id", "country", "language").agg(
        *sums(), F.min("first_at").alias("first_at"), F.max("last_at").alias("last_at")
    )
    viewer_hour = users.select(viewer.alias("viewer"), *users.columns[1:])
    viewership.write.parquet(str(out / "viewership.parquet"))
    viewer_hour.write.parquet(str(out / "viewer_hour.parquet"))
    rejects = parsed.filter("reason is not null").select("file", "reason", "line")
    rejects.coalesce(1).write.parquet(str(out / "rejects.parquet"))
    plays = grouped.agg(F.sum("plays")).first()[0]
    (out / "counts.json").write_text(json.dumps({"duplicates": events.count() - plays}))
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
