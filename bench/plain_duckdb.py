"""The rollup of an hour as a plain DuckDB script: python plain_duckdb.py HOUR FOLDER OUT (the key is in VIEWER_KEY).

HOUR such as 2026-01-05T13, FOLDER with its .json.gz files; into OUT go viewership.parquet, viewer_hour.parquet, rejects.parquet
and counts.json.
"""

import json
import os
import sys
from pathlib import Path

import duckdb

LINES = """
select filename, coalesce(line, '') as line from read_csv(
    $folder || '/*.json.gz', columns = {'line': 'VARCHAR'}, header = false, auto_detect = false, filename = true,
    delim = chr(1), quote = '', escape = '', max_line_size = 4194304
)
"""

STRUCTURE = """{
    "event_id": "JSON", "received_at": "JSON",
    "event": {
        "user_id": "JSON", "episode_id": "JSON", "country": "JSON", "utc_offset_minutes": "JSON", "language": "JSON",
        "device": "JSON", "watched_seconds": "JSON"
    }
}"""

# A number and a text stay apart: 60 is one, "60" is the other. A text is what stands in its quotes, unless something is escaped.
MACROS = """
create macro text(value) as case
    when contains(value, '\\') then case when json_type(value) = 'VARCHAR' then value ->> '$' end
    when value between '"' and '#' then substr(value, 2, length(value) - 2)
end;
create macro whole(value) as case when try_cast(value as bigint)::varchar = value then value::bigint end;
create macro instant(value) as case
    when value like '____-__-__T%Z' then try_cast(value as timestamp)
    when regexp_matches(value, '^\\d{4}-\\d\\d-\\d\\dT.*[+-]\\d\\d:\\d\\d$') then try_cast(value as timestamptz) at time zone 'UTC'
end;
"""

PARSED = f"""
create table parsed as
with lines as ({LINES}),
records as (
    select filename, line, try(from_json(line, '{STRUCTURE}')) as record from lines
),
fields as (
    select
        filename,
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
    * exclude (filename, line),
    case
        when event_id is null and trim(line) = '' then 'blank'
        when event_id is null and not json_valid(line) then 'not_json'
        when event_id is null and json_type(line) <> 'OBJECT' then 'not_an_object'
        when event_id is null or length(event_id) not between 1 and 64 then 'event_id'
        when received_at is null then 'received_at'
        when received_at < $hour::timestamp - interval 15 minutes then 'outside_hour'
        when received_at >= $hour::timestamp + interval 75 minutes then 'outside_hour'
        when user_id is null or length(user_id) not between 1 and 128 then 'user_id'
        when episode_id is null or episode_id not between 1 and 9007199254740992 then 'episode_id'
        when country is null or not regexp_full_match(country, '[A-Z]{{2}}') then 'country'
        when utc_offset_minutes is null or utc_offset_minutes not between -720 and 840 then 'utc_offset_minutes'
        when language is null or not regexp_full_match(language, '[a-z]{{2,3}}(-[A-Za-z0-9]{{2,8}})*') then 'language'
        when device is null or not regexp_full_match(device, '[a-z0-9_-]{{1,32}}') then 'device'
        when watched_seconds is null or watched_seconds not between 0 and 3600 then 'watched_seconds'
    end as reason,
    case when reason is not null then filename end as file,
    case when reason is not null then line end as raw
from fields
"""

# Few events have a duplicate: only those are sorted.
EVENTS = """
create table grouped as
with repeated as materialized (
    select event_id from parsed where reason is null group by event_id having count(*) > 1
),
events as (
    select * from parsed anti join repeated using (event_id) where reason is null
    union all
    select parsed.* from parsed semi join repeated using (event_id) where reason is null
    qualify row_number() over (partition by event_id order by received_at) = 1
)
select
    user_id, episode_id, country, language, hour(received_at + to_minutes(utc_offset_minutes)) as local_hour, device,
    count(*) as plays, sum(watched_seconds)::bigint as watched_seconds, min(received_at) as first_at, max(received_at) as last_at
from events
group by all
"""

VIEWERSHIP = """
select episode_id, country, local_hour, device, sum(plays)::bigint as plays, sum(watched_seconds)::bigint as watched_seconds
from grouped group by all
"""

VIEWER_HOUR = """
with viewers as materialized (select user_id, sha256($key || user_id)[:16] as viewer from (select distinct user_id from grouped))
select
    viewer, episode_id, country, language, sum(plays)::bigint as plays, sum(watched_seconds)::bigint as watched_seconds,
    min(first_at) as first_at, max(last_at) as last_at
from grouped join viewers using (user_id) group by all
"""


def main(hour: str, folder: str, out: Path) -> None:
    """Roll up the hour."""
    with duckdb.connect(config={"memory_limit": "2GB", "preserve_insertion_order": False}) as db:
        db.execute(MACROS)
        db.execute(PARSED, {"hour": hour, "folder": folder})
        db.execute(EVENTS)
        out.mkdir(parents=True)
        key = os.environ["VIEWER_KEY"]
        db.sql(VIEWERSHIP).write_parquet(str(out / "viewership.parquet"), compression="zstd")
        db.sql(VIEWER_HOUR, params={"key": key}).write_parquet(str(out / "viewer_hour.parquet"), compression="zstd")
        rejects = db.sql("select file, reason, raw from parsed where reason is not null")
        rejects.write_parquet(str(out / "rejects.parquet"), compression="zstd")
        duplicates = "select count(*) filter (reason is null) - (select sum(plays) from grouped) from parsed"
        counts = {"duplicates": int(db.sql(duplicates).fetchall()[0][0])}
    (out / "counts.json").write_text(json.dumps(counts))


if __name__ == "__main__":
    main(f"{sys.argv[1]}:00:00", sys.argv[2], Path(sys.argv[3]))
