"""The rollup of an hour in straightforward PySpark: ``VIEWER_KEY=… python naive_pyspark.py HOUR FOLDER OUT``.

HOUR has the form 2026-01-05T13, FOLDER has its .json.gz files. The script writes viewership.parquet,
viewer_hour.parquet, rejects.parquet (folders) and counts.json into OUT. Each step is clear, and only the options that
the results need are set. Nothing is cached, because with Spark's default of 1 GB caching costs more than it saves.
"""

import json
import os
import sys
from pathlib import Path

from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812 - as all of PySpark's users write it

from bench.pyspark_events import parse, viewer_of


def main(hour: str, folder: str, out: Path) -> None:
    """Roll up the hour."""
    spark = SparkSession.builder.appName("rollup").config("spark.sql.session.timeZone", "UTC").getOrCreate()
    lines = spark.read.text(folder).select(F.input_file_name().alias("file"), F.col("value").alias("line"))
    parsed = parse(lines, hour)
    valid = parsed.filter("reason is null")
    viewer = viewer_of(os.environ["VIEWER_KEY"])
    by_id = Window.partitionBy("event_id").orderBy("received_at")
    events = (
        valid.withColumn("number", F.row_number().over(by_id))
        .filter("number = 1")
        .withColumn("viewer", viewer)
        .withColumn("started_at", F.timestamp_add("SECOND", -F.col("watched_seconds"), "received_at"))
        .withColumn("local_hour", F.hour(F.timestamp_add("MINUTE", "utc_offset_minutes", "received_at")))
    )
    totals = (F.count("*").alias("plays"), F.sum("watched_seconds").alias("watched_seconds"))
    viewership = events.groupBy("episode_id", "country", "local_hour", "device").agg(*totals)
    viewership.write.parquet(str(out / "viewership.parquet"), compression="zstd")
    times = (F.min("started_at").alias("first_at"), F.max("received_at").alias("last_at"))
    viewer_hour = events.groupBy("viewer", "episode_id", "country", "language").agg(*totals, *times)
    viewer_hour.write.parquet(str(out / "viewer_hour.parquet"), compression="zstd")
    rejects = parsed.filter("reason is not null").select("file", "reason", "line")
    rejects.write.parquet(str(out / "rejects.parquet"), compression="zstd")
    (out / "counts.json").write_text(json.dumps({"duplicates": valid.count() - events.count()}), encoding="utf-8")
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
