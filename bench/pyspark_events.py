"""The event contract in PySpark, for both PySpark scripts: lines to fields, or to a reason for rejection.

In the sink's compact JSON a quote marks a text.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - as all of PySpark's users write it

from bench.viewer_key import hmac_pads

SCHEMA = """
    event_id string, received_at string,
    event struct<
        user_id string, episode_id bigint, country string, utc_offset_minutes bigint, language string, device string,
        watched_seconds bigint
    >,
    broken string
"""
ONE = """if(line like '[{%}]' and try_variant_get(try_parse_json(line), '$[1]', 'variant') is null,
    substring(line, 2, length(line) - 2), line)"""
"""The line; an array with one event is this event."""
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
    """Return the fields of each line; for a rejected line, the reason, the file and the line."""
    record = F.from_json(F.expr(ONE), SCHEMA, {"columnNameOfCorruptRecord": "broken"}).alias("record")
    fields = (
        lines.select("file", "line", record).select("file", "line", "record.*").select("*", "event.*").drop("event")
    )
    instant = F.when(F.col("received_at").rlike(INSTANT), F.try_to_timestamp("received_at"))
    texts = {name: F.when(F.col("line").contains(f'"{name}":"'), F.col(name)) for name in TEXTS}
    judged = fields.withColumns({"received_at": instant, **texts}).withColumn("reason", why_rejected(hour))
    of_rejects = {name: F.when(F.col("reason").isNotNull(), F.col(name)) for name in ("file", "line")}
    return judged.withColumns(of_rejects).drop("broken")


def why_rejected(hour: str) -> Column:
    """Return the reason why a line is not an event; null for an event."""
    unreadable = "broken is not null and event_id is null"
    reason = (
        F.when(F.trim("line") == "", "blank")
        .when(F.expr(f"{unreadable} and try_parse_json(line) is null"), "not_json")
        .when(F.expr(f"{unreadable} and schema_of_variant(try_parse_json(line)) not like 'OBJECT%'"), "not_an_object")
    )
    for name, holds in RULES.items():
        reason = reason.when(F.expr(f"not coalesce({holds.format(hour=hour)}, false)"), name)
    return reason


def viewer_of(key: str) -> Column:
    """Return the viewer of ``user_id``: the first 64 bits of HMAC-SHA256."""
    inner, outer = (F.unhex(F.lit(pad.hex())) for pad in hmac_pads(key.encode()))
    digest = F.sha2(F.concat(outer, F.unhex(F.sha2(F.concat(inner, F.encode("user_id", "utf-8")), 256))), 256)
    return F.conv(F.substring(digest, 1, 16), 16, 10).cast("decimal(20)").alias("viewer")
