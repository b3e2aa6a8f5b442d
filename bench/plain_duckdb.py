"""The rollup of an hour as a plain DuckDB script: ``VIEWER_KEY=… python plain_duckdb.py HOUR FOLDER OUT``.

HOUR has the form 2026-01-05T13, FOLDER has its .json.gz files. The script writes viewership.parquet,
viewer_hour.parquet, rejects.parquet and counts.json into OUT.
"""

import json
import os
import sys
from pathlib import Path

import duckdb

STRUCTURE = """{"event_id": "JSON", "received_at": "JSON", "event": {
    "user_id": "JSON", "episode_id": "JSON", "country": "JSON", "utc_offset_minutes": "JSON", "language": "JSON",
    "device": "JSON", "watched_seconds": "JSON"
}}"""

# A number and a text differ, 60 and "60": a text is the part within quotes, unless it contains an escape.
MACROS = r"""
create macro text(value) as case
    when contains(value, '\') then case when json_type(value) = 'VARCHAR' then value ->> '$' end
    when value between '"' and '#' then substr(value, 2, length(value) - 2)
end;
create macro whole(value) as case when try_cast(value as bigint)::varchar = value then value::bigint end;
create macro instant(value) as case
    when value like '____-__-__T%Z' then try_cast(value as timestamp)
    when regexp_matches(value, 'T.*[+-]\d\d:\d\d$') then try_cast(value as timestamptz) at time zone 'UTC'
end;
"""

PARSED = """
create table parsed as
with lines as (
    select filename, coalesce(line, '') as line from read_csv(
        $folder || '/*.json.gz', columns = {'line': 'VARCHAR'}, header = false, auto_detect = false, filename = true,
        delim = chr(1), quote = '', escape = '', max_line_size = 4194304
    )
),
records as (select filename, line, try(from_json(line, $structure)) as record from lines),
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
        when country is null or not regexp_full_match(country, '[A-Z]{2}') then 'country'
        when utc_offset_minutes is null or utc_offset_minutes not between -720 and 840 then 'utc_offset_minutes'
        when language is null or not regexp_full_match(language, '[a-z]{2,3}(-[A-Za-z0-9]{2,8})*') then 'language'
        when device is null or not regexp_full_match(device, '[a-z0-9_-]{1,32}') then 'device'
        when watched_seconds is null or watched_seconds not between 0 and 3600 then 'watched_seconds'
    end as reason,
    case when reason is not null then filename end as file,
    case when reason is not null then line end as raw
from fields
"""

# Few events have duplicates: only those are sorted.
GROUPED = """
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
    count(*) as plays, sum(watched_seconds) as seconds, min(received_at) as first_at, max(received_at) as last_at
from events group by all
"""

OUTPUTS = {
    "viewership": """select episode_id, country, local_hour, device, sum(plays)::bigint as plays,
        sum(seconds)::bigint as watched_seconds from grouped group by all""",
    "viewer_hour": """select viewer, episode_id, country, language, sum(plays)::bigint as plays,
        sum(seconds)::bigint as watched_seconds, min(first_at) as first_at, max(last_at) as last_at
        from grouped join viewers using (user_id) group by all""",
    "rejects": "select file, reason, raw from parsed where reason is not null",
}
VIEWERS = """create table viewers as
    select user_id, sha256($key || user_id)[:16] as viewer from (select distinct user_id from grouped)"""
DUPLICATES = "select count(*) filter (reason is null) - (select sum(plays) from grouped) from parsed"

if __name__ == "__main__":
    hour, folder, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    with duckdb.connect(config={"memory_limit": "2GB", "preserve_insertion_order": False}) as db:
        db.execute(MACROS)
        db.execute(PARSED, {"hour": f"{hour}:00:00", "folder": folder, "structure": STRUCTURE})
        db.execute(GROUPED)
        db.execute(VIEWERS, {"key": os.environ["VIEWER_KEY"]})
        out.mkdir(parents=True)
        for name, query in OUTPUTS.items():
            db.sql(query).write_parquet(str(out / f"{name}.parquet"), compression="zstd")
        duplicates = int(db.sql(DUPLICATES).fetchall()[0][0])
    (out / "counts.json").write_text(json.dumps({"duplicates": duplicates}), encoding="utf-8")
