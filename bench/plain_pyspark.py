"""The rollup of an hour as a well-tuned PySpark script: ``VIEWER_KEY=… python plain_pyspark.py HOUR FOLDER OUT``.

HOUR has the form 2026-01-05T13, FOLDER has its .json.gz files. The script writes viewership.parquet,
viewer_hour.parquet, rejects.parquet (folders) and counts.json into OUT. Tuning: the schema is given, lines are parsed
once and kept as columns, partitions are few, and only hashes of ids are shuffled to find duplicates.
"""

import json
import os
import sys
from pathlib import Path

from pyspark import SparkConf, StorageLevel
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - as all of PySpark's users write it

from bench.pyspark_events import parse, viewer_of

CONF = {
    "spark.driver.memory": "4g",
    "spark.driver.extraJavaOptions": "-XX:+UseParallelGC",
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    "spark.sql.shuffle.partitions": "8",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.files.maxPartitionBytes": "32m",
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.enabled": "false",
}
KEYS = ("user_id", "episode_id", "country", "language", "device")


def main(hour: str, folder: str, out: Path) -> None:
    """Roll up the hour."""
    conf = SparkConf().setMaster("local[*]").setAll(list(CONF.items()))
    spark = SparkSession.builder.config(conf=conf).getOrCreate()
    lines = spark.read.text(folder).select(F.col("_metadata.file_name").alias("file"), F.col("value").alias("line"))
    parsed = parse(lines, hour).persist(StorageLevel.MEMORY_AND_DISK)
    events = parsed.filter("reason is null").withColumn("id", F.xxhash64("event_id"))
    repeated = F.broadcast(events.groupBy("id").count().filter("count > 1").select("id").persist())
    first = F.min_by(F.struct(*events.columns), "received_at").alias("first")
    earliest = events.join(repeated, "id", "left_semi").groupBy("event_id").agg(first).select("first.*")
    once = events.join(repeated, "id", "left_anti").unionByName(earliest)
    local_hour = F.expr("hour(timestampadd(minute, utc_offset_minutes, received_at))").alias("local_hour")
    started = F.expr("timestampadd(second, -watched_seconds, received_at)")
    times = (F.min(started).alias("first_at"), F.max("received_at").alias("last_at"))
    totals = (F.count("*").alias("plays"), F.sum("watched_seconds").alias("watched_seconds"))
    grouped = once.groupBy(*KEYS, local_hour).agg(*totals, *times).persist(StorageLevel.MEMORY_AND_DISK)
    totals = (F.sum("plays").alias("plays"), F.sum("watched_seconds").alias("watched_seconds"))
    times = (F.min("first_at").alias("first_at"), F.max("last_at").alias("last_at"))
    viewership = grouped.groupBy("episode_id", "country", "local_hour", "device").agg(*totals)
    by_user = grouped.groupBy("user_id", "episode_id", "country", "language").agg(*totals, *times)
    viewer = viewer_of(os.environ["VIEWER_KEY"])
    viewer_hour = by_user.select(viewer, *by_user.columns[1:])
    rejects = parsed.filter("reason is not null").select("file", "reason", "line").coalesce(1)
    for name, table in {"viewership": viewership, "viewer_hour": viewer_hour, "rejects": rejects}.items():
        table.write.parquet(str(out / f"{name}.parquet"), compression="zstd")
    duplicates = events.count() - viewership.agg(F.sum("plays").alias("plays")).collect()[0]["plays"]
    (out / "counts.json").write_text(json.dumps({"duplicates": duplicates}), encoding="utf-8")
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
