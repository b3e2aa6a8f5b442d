"""The rollup of an hour as a plain DuckDB script: ``VIEWER_KEY=… python plain_duckdb.py HOUR FOLDER OUT``.

HOUR has the form 2026-01-05T13, FOLDER has its .json.gz or .parquet files. The script writes viewership.parquet,
viewer_hour.parquet, rejects.parquet and counts.json into OUT.

Lines are read with types at once. Types also accept ``"60"`` for 60 or 5 for ``"5"``, but then the length of the line
is not the sum of its parts. Lines that fail any check, few of them, are kept and judged exactly.
"""

import json
import os
import sys
from pathlib import Path

import duckdb

from bench.viewer_key import hmac_pads

TYPED = """{"event_id": "VARCHAR", "received_at": "VARCHAR", "event": {
    "user_id": "VARCHAR", "episode_id": "BIGINT", "country": "VARCHAR", "utc_offset_minutes": "INTEGER",
    "language": "VARCHAR", "device": "VARCHAR", "watched_seconds": "INTEGER"
}}"""
UNTYPED = """{"event_id": "JSON", "received_at": "JSON", "event": {
    "user_id": "JSON", "episode_id": "JSON", "country": "JSON", "utc_offset_minutes": "JSON", "language": "JSON",
    "device": "JSON", "watched_seconds": "JSON"
}}"""
WITHOUT_VALUES = (
    '{"event_id":"","received_at":"2026-01-05T13:00:00.000Z","event":{"user_id":"","episode_id":,"country":"",'
    '"utc_offset_minutes":,"language":"","device":"","watched_seconds":}}'
)

# The first rule that a record breaks is the reason of its rejection.
RULES = {
    "event_id": "length(event_id) between 1 and 64",
    "received_at": "received_at is not null",
    "outside_hour": "received_at >= timestamp '{hour}:00:00' - interval 15 minutes"
    " and received_at < timestamp '{hour}:00:00' + interval 75 minutes",
    "user_id": "length(user_id) between 1 and 128",
    "episode_id": "episode_id between 1 and 9007199254740992",
    "country": "regexp_full_match(country, '[A-Z]{{2}}')",
    "utc_offset_minutes": "utc_offset_minutes between -720 and 840",
    "language": "regexp_full_match(language, '[a-z]{{2,3}}(-[A-Za-z0-9]{{2,8}})*')",
    "device": "regexp_full_match(device, '[a-z0-9_-]{{1,32}}')",
    "watched_seconds": "watched_seconds between 0 and 3600",
}

PARSED = """
create temp table parsed as
with lines as (
    select line from read_csv(
        '{folder}/*.json.gz', columns = {{'line': 'VARCHAR'}}, header = false, auto_detect = false,
        delim = chr(1), quote = '', escape = '', max_line_size = 4194304
    )
),
records as (select line, if(json_valid(line), from_json(line, '{typed}'), null) as record from lines),
fields as (
    select
        line, record.event_id, record.received_at as received, record.event.user_id, record.event.episode_id,
        record.event.country, record.event.utc_offset_minutes, record.event.language, record.event.device,
        record.event.watched_seconds
    from records
),
typed as (
    select
        * exclude received, try_cast(received as timestamp) as received_at,
        strlen(received) = 24 and strlen(line) = {without_values}
        + strlen(event_id) + strlen(user_id) + strlen(episode_id::varchar) + strlen(country)
        + strlen(utc_offset_minutes::varchar) + strlen(language) + strlen(device) + strlen(watched_seconds::varchar)
        as usual
    from fields
),
judged as (select *, coalesce(usual and {rules}, false) as good from typed)
select * exclude (line, usual), hash(event_id) as id, if(good, null, coalesce(line, '')) as line
from judged
"""

# A number and a text differ, 60 and "60": a text is the part within quotes, unless it contains an escape.
MACROS = r"""
create temp macro text(value) as case
    when contains(value, '\') then case when json_type(value) = 'VARCHAR' then value ->> '$' end
    when value between '"' and '#' then substr(value, 2, length(value) - 2)
end;
create temp macro whole(value) as case when try_cast(value as bigint)::varchar = value then value::bigint end;
create temp macro instant(value) as case
    when value like '____-__-__T%Z' then try_cast(value as timestamp)
    when regexp_matches(value, 'T.*[+-]\d\d:\d\d$') then try_cast(value as timestamptz) at time zone 'UTC'
end;
"""
JUDGED = """
create temp table judged as
-- An array with one event is this event.
with records as (
    select line, try(from_json(if(line like '[{{%}}]', line[2:-2], line), '{untyped}')) as record from parsed
    where not good
),
fields as (
    select
        line,
        text(record.event_id::varchar) as event_id,
        instant(text(record.received_at::varchar)) as received_at,
        text(record.event.user_id::varchar) as user_id,
        whole(record.event.episode_id::varchar) as episode_id,
        text(record.event.country::varchar) as country,
        whole(record.event.utc_offset_minutes::varchar) as utc_offset_minutes,
        text(record.event.language::varchar) as language,
        text(record.event.device::varchar) as device,
        whole(record.event.watched_seconds::varchar) as watched_seconds
    from records
)
select
    *,
    case
        when event_id is null and trim(line) = '' then 'blank'
        when event_id is null and not json_valid(line) then 'not_json'
        when event_id is null and json_type(line) <> 'OBJECT' then 'not_an_object'
        {reasons}
    end as reason
from fields
"""
PARQUET = """
create temp table parsed as
with fields as (
    select
        event_id, received_at::timestamp as received_at, event.user_id, event.episode_id, event.country,
        event.utc_offset_minutes, event.language, event.device, event.watched_seconds
    from read_parquet('{folder}/*.parquet')
)
select *, hash(event_id) as id, coalesce({rules}, false) as good from fields
"""
PARQUET_JUDGED = (
    "create temp table judged as select * exclude (id, good), case {reasons} end as reason from parsed where not good"
)

# Few events have duplicates. Hashes find the candidates, and only those are sorted.
DEDUPLICATED = """
insert into parsed by name select * exclude reason, hash(event_id) as id, true as good from judged where reason is null;
create temp table repeated as select id from parsed where good group by id having count(*) > 1;
create temp table earliest as select distinct on (event_id) * from parsed
    where good and id in (from repeated) order by event_id, received_at;
create temp view events as
    select * from parsed where good and id not in (from repeated)
    union all
    select * from earliest;
"""
GROUPED = """
create temp table grouped as select
    user_id, episode_id, country, language, hour(received_at + to_minutes(utc_offset_minutes)) as local_hour, device,
    count(*) as plays, sum(watched_seconds) as watched_seconds,
    min(received_at - to_seconds(watched_seconds)) as first_at, max(received_at) as last_at
from events group by all
"""
VIEWERS = """
create temp table viewers as select user_id,
    ('0x' || left(sha256($outer || unhex(sha256($inner || encode(user_id)))), 16))::ubigint as viewer
from (select distinct user_id from grouped)
"""
OUTPUTS = {
    "viewership": """select episode_id, country, local_hour, device, sum(plays)::bigint as plays,
        sum(watched_seconds)::bigint as watched_seconds from grouped group by all""",
    "viewer_hour": """select viewer, episode_id, country, language, sum(plays)::bigint as plays,
        sum(watched_seconds)::bigint as watched_seconds, min(first_at) as first_at, max(last_at) as last_at
        from grouped join viewers using (user_id) group by all""",
    "rejects": "select * from judged where reason is not null",
}
DUPLICATES = "select count(*) filter (good) - (select sum(plays) from grouped) from parsed"


def main(hour: str, folder: Path, out: Path) -> None:
    """Roll up the hour."""
    rules = {name: rule.format(hour=hour) for name, rule in RULES.items()}
    texts = {
        "folder": folder,
        "typed": TYPED,
        "untyped": UNTYPED,
        "without_values": len(WITHOUT_VALUES),
        "rules": " and ".join(rules.values()),
        "reasons": " ".join(f"when not coalesce({rule}, false) then '{name}'" for name, rule in rules.items()),
    }
    inner, outer = hmac_pads(os.environ["VIEWER_KEY"].encode())
    parquet = next(folder.glob("*.parquet"), None)
    with duckdb.connect(config={"preserve_insertion_order": False}) as db:
        db.execute("set timezone = 'UTC'")
        db.execute(MACROS)
        for query in (PARQUET, PARQUET_JUDGED) if parquet else (PARSED, JUDGED):
            db.execute(query.format(**texts))
        db.execute(DEDUPLICATED)
        db.execute(GROUPED)
        db.execute(VIEWERS, {"inner": inner, "outer": outer})
        out.mkdir(parents=True)
        for name, query in OUTPUTS.items():
            db.sql(query).write_parquet(str(out / f"{name}.parquet"), compression="zstd")
        duplicates = int(db.sql(DUPLICATES).fetchall()[0][0])
    (out / "counts.json").write_text(json.dumps({"duplicates": duplicates}), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
