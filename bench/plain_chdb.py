"""The rollup of an hour as a plain script on ClickHouse: ``VIEWER_KEY=… python plain_chdb.py HOUR FOLDER OUT``.

HOUR has the form 2026-01-05T13, FOLDER has its .json.gz or .parquet files. The script writes viewership.parquet,
viewer_hour.parquet, rejects.parquet and counts.json into OUT.

Lines are read with types at once. Types also accept ``"60"`` for 60, but then the length of the line is not the sum of
its parts. Lines that fail any check, few of them, are judged one by one.
"""

import json
import os
import re
import sys
from datetime import datetime
from pathlib import Path

from chdb import session

from bench.plain_contract import EARLY, FIELDS, LATE, judge
from bench.viewer_key import hmac_pads

COLUMNS = """event_id String, received_at DateTime64(3, 'UTC'), user_id String, episode_id Int64,
    country LowCardinality(String), utc_offset_minutes Int32, language LowCardinality(String),
    device LowCardinality(String), watched_seconds Int32"""
RECORD = """Tuple(event_id Nullable(String), received_at Nullable(String), event Tuple(user_id Nullable(String),
    episode_id Nullable(Int64), country LowCardinality(Nullable(String)), utc_offset_minutes Nullable(Int32),
    language LowCardinality(Nullable(String)), device LowCardinality(Nullable(String)),
    watched_seconds Nullable(Int32)))"""
WITHOUT_VALUES = (
    '{"event_id":"","received_at":"2026-01-05T13:00:00.000Z","event":{"user_id":"","episode_id":,"country":"",'
    '"utc_offset_minutes":,"language":"","device":"","watched_seconds":}}'
)
USUAL = f"""length(record.received_at) = 24 and length(line) = {len(WITHOUT_VALUES)} + length(record.event_id)
    + length(record.event.user_id) + countDigits(assumeNotNull(record.event.episode_id)) + length(record.event.country)
    + countDigits(assumeNotNull(record.event.utc_offset_minutes)) + (record.event.utc_offset_minutes < 0)
    + length(record.event.language) + length(record.event.device)
    + countDigits(assumeNotNull(record.event.watched_seconds))"""

# The first rule that a record breaks is the reason of its rejection.
RULES = {
    "event_id": "length(record.event_id) between 1 and 64",
    "received_at": "isNotNull(at)",
    "outside_hour": "at >= toDateTime64('{early}', 3, 'UTC') and at < toDateTime64('{late}', 3, 'UTC')",
    "user_id": "length(record.event.user_id) between 1 and 128",
    "episode_id": "record.event.episode_id between 1 and 9007199254740992",
    "country": "match(record.event.country, '^[A-Z]{{2}}$')",
    "utc_offset_minutes": "record.event.utc_offset_minutes between -720 and 840",
    "language": "match(record.event.language, '^[a-z]{{2,3}}(-[A-Za-z0-9]{{2,8}})*$')",
    "device": "match(record.event.device, '^[a-z0-9_-]{{1,32}}$')",
    "watched_seconds": "record.event.watched_seconds between 0 and 3600",
}
NULLABLE = re.compile(r"\b(record\.event\.\w+|record\.event_id|at(?= [<>]))")
"""A line in the usual form has all fields, and checks of values without null are faster."""
OF_RECORD = "record.event_id, at, " + ", ".join(f"record.event.{name}" for name in FIELDS[2:])
FIELDS_OF_GOOD = ", ".join(f"assumeNotNull({name})" for name in OF_RECORD.split(", "))

LINES = """
insert into parsed select {fields}, good, if(good, '', line)
from (
    select line, record, at, ifNull({usual}, 0) and {rules} as good
    from (
        select line, JSONExtract(line, '{record}') as record,
            toDateTime64OrNull(substring(record.received_at, 1, 23), 3, 'UTC') as at
        from file('{folder}/*.json.gz', LineAsString, 'line String')
    )
)
"""
PARQUET = """
insert into parsed select {fields}, reason = '', reason
from (
    select record, at, multiIf({reasons}, '') as reason
    from (
        select tuple(event_id, event)::Tuple(event_id Nullable(String), event Tuple(user_id Nullable(String),
            episode_id Nullable(Int64), country LowCardinality(Nullable(String)), utc_offset_minutes Nullable(Int32),
            language LowCardinality(Nullable(String)), device LowCardinality(Nullable(String)),
            watched_seconds Nullable(Int32))) as record, received_at as at
        from file('{folder}/*.parquet', Parquet)
    )
)
"""
UNUSUAL = "select line from parsed where not good"

# Few events have duplicates. Hashes find the candidates, and only those are sorted.
REPEATED = """create table repeated engine = Memory as
    select cityHash64(event_id) as id from parsed where good group by id having count() > 1"""
EARLIEST = """create table earliest engine = Memory as select * from parsed
    where good and cityHash64(event_id) in repeated order by received_at limit 1 by event_id"""
EVENTS = """(
    select * from parsed where good and cityHash64(event_id) not in repeated union all select * from earliest
) as event"""
OUTPUTS = {
    "viewership": """select
        episode_id, country::String as country,
        toHour(received_at + toIntervalMinute(utc_offset_minutes)) as local_hour, device::String as device,
        count()::Int64 as plays, sum(event.watched_seconds)::Int64 as watched_seconds
        from {events} group by all""",
    "viewer_hour": """select
        reinterpretAsUInt64(reverse(substring(SHA256(unhex('{outer}') || SHA256(unhex('{inner}') || user_id)), 1, 8)))
        as viewer, * except user_id
        from (
            select user_id, episode_id, country::String as country, language::String as language,
                count()::Int64 as plays, sum(event.watched_seconds)::Int64 as watched_seconds,
                min(received_at - toIntervalSecond(event.watched_seconds)) as first_at, max(received_at) as last_at
            from {events} group by all
        )""",
    "rejects": "select reason, line from rejects",
}
WRITE = """insert into function file('{file}', Parquet) {query}
    settings output_format_parquet_compression_method = 'zstd'"""
COUNTS = """select (select countIf(good and cityHash64(event_id) in repeated) from parsed)
    - (select count() from earliest)"""


def main(hour: datetime, folder: Path, out: Path) -> None:
    """Roll up the hour."""
    rules = {name: rule.format(early=hour - EARLY, late=hour + LATE) for name, rule in RULES.items()}
    texts = {
        "fields": FIELDS_OF_GOOD,
        "usual": USUAL,
        "rules": NULLABLE.sub(r"assumeNotNull(\1)", " and ".join(rules.values())),
        "reasons": ", ".join(f"not ifNull({rule}, 0), '{name}'" for name, rule in rules.items()),
        "record": RECORD,
        "folder": folder,
    }
    inner, outer = hmac_pads(os.environ["VIEWER_KEY"].encode())
    parquet = next(folder.glob("*.parquet"), None)
    out.mkdir(parents=True)
    clickhouse = session.Session()
    clickhouse.query(f"create table parsed ({COLUMNS}, good Bool, line String) engine = Memory")
    clickhouse.query("create table rejects (reason String, line String) engine = Memory")
    clickhouse.query((PARQUET if parquet else LINES).format(**texts))
    lines = [json.loads(one)["line"] for one in str(clickhouse.query(UNUSUAL, "JSONEachRow")).splitlines()]
    verdicts = [(line, line) for line in lines] if parquet else [(judge(line, hour), line) for line in lines]
    if unusual := [verdict for verdict, _ in verdicts if isinstance(verdict, tuple)]:
        rows = ", ".join(str((one[0], one[1].isoformat(" ", "milliseconds"), *one[2:], True, "")) for one in unusual)
        clickhouse.query(f"insert into parsed values {rows}")  # noqa: S608 - values in their own quotes
    rejects = "\n".join(json.dumps([verdict, line]) for verdict, line in verdicts if isinstance(verdict, str))
    clickhouse.query(f"insert into rejects format JSONCompactEachRow\n{rejects}")
    for query in (REPEATED, EARLIEST):
        clickhouse.query(query)
    for name, query in OUTPUTS.items():
        of_events = query.format(events=EVENTS, inner=inner.hex(), outer=outer.hex())
        clickhouse.query(WRITE.format(file=out / f"{name}.parquet", query=of_events))
    duplicates = int(str(clickhouse.query(COUNTS, "TSV")))
    (out / "counts.json").write_text(json.dumps({"duplicates": duplicates}), encoding="utf-8")
    clickhouse.close()


if __name__ == "__main__":
    main(datetime.fromisoformat(f"{sys.argv[1]}:00:00"), Path(sys.argv[2]), Path(sys.argv[3]))
