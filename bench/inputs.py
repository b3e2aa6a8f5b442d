"""Makes the hour of play events that the rollup's contenders read: JSON lines, and the same events as Parquet and Avro.

    <folder>/<keyed|spread>-<events>/<json|parquet|avro>/topics/plays/year=2026/month=01/day=05/hour=13/

``keyed`` is the hour that ``marquee simulate --hour`` writes: all events of a viewer are in one Kafka partition. In
``spread``, any partition has events of any viewer, as in a topic without keys. The inputs stay for the next run.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.simulate.settings import SimulateSettings
from jobs.simulate.write import simulate_hour
from marquee.calendar import Period
from marquee.storage.opening import open_store

HOUR = "2026-01-05T13"
RAW_FOLDER = "topics/plays/year=2026/month=01/day=05/hour=13"
PARTITIONS = 21
"""Kafka partitions; each gives two files an hour."""
KEYED, SPREAD = "keyed", "spread"
JSON, PARQUET, AVRO = "json", "parquet", "avro"

# The lines that fit into a schema: those that are JSON, and whose values have the right types or are missing.
TYPED = """
select record.event_id, epoch_ms(try_cast(record.received_at as timestamp)) as received_at, record.event
from (
    select try(from_json(line, '{"event_id": "VARCHAR", "received_at": "VARCHAR", "event": {"user_id": "VARCHAR",
        "episode_id": "BIGINT", "country": "VARCHAR", "utc_offset_minutes": "INTEGER", "language": "VARCHAR",
        "device": "VARCHAR", "watched_seconds": "INTEGER"}}')) as record
    from read_csv($file, columns = {'line': 'VARCHAR'}, header = false, auto_detect = false, delim = chr(1), quote = '',
        escape = '', max_line_size = 4194304)
    where json_valid(line) and line like '{%'
        and list_has_all(['VARCHAR', 'NULL', null], json_type(line, ['$.event_id', '$.received_at', '$.event.user_id',
            '$.event.country', '$.event.language', '$.event.device']))
        and list_has_all(['UBIGINT', 'BIGINT', 'NULL', null], json_type(line, ['$.event.episode_id',
            '$.event.utc_offset_minutes', '$.event.watched_seconds']))
)
where record.event is not null
"""
SCHEMA = pa.schema(
    {
        "event_id": pa.string(),
        "received_at": pa.timestamp("ms", "UTC"),
        "event": pa.struct(
            {
                "user_id": pa.string(),
                "episode_id": pa.int64(),
                "country": pa.string(),
                "utc_offset_minutes": pa.int32(),
                "language": pa.string(),
                "device": pa.string(),
                "watched_seconds": pa.int32(),
            }
        ),
    }
)
AVRO_TYPES = {"string": "string", "int64": "long", "int32": "int"}


def make_hour(
    folder: Path, kind: str, events: int, forms: Iterable[str], partitions: int = PARTITIONS
) -> dict[str, Path]:
    """Make the hour in each form unless it is there; return the folder of raw events of each form."""
    base = folder.resolve() / f"{kind}-{events}"
    settings = SimulateSettings(partitions=partitions)
    simulate_hour(settings, open_store((base / JSON).as_uri()), Period.parse(HOUR), events, spread=kind == SPREAD)
    for form in forms:
        if form != JSON and not (base / form).exists():
            making = base / f"{form}.new"
            shutil.rmtree(making, ignore_errors=True)
            (making / RAW_FOLDER).mkdir(parents=True)
            with duckdb.connect() as db:
                for file in sorted((base / JSON / RAW_FOLDER).iterdir()):
                    _write(db, file, making / RAW_FOLDER / file.name.replace("json.gz", form), form)
            making.rename(base / form)
    return {form: base / form for form in forms}


def _write(db: duckdb.DuckDBPyConnection, lines: Path, file: Path, form: str) -> None:
    rows = db.sql(TYPED, params={"file": str(lines)}).to_arrow_table()
    if form == PARQUET:
        pq.write_table(rows.cast(SCHEMA), file, compression="snappy")
        return
    with file.open("wb") as output:
        fastavro.writer(output, _avro_schema(), rows.to_pylist(), codec="null")


def _avro_schema() -> dict[str, Any]:
    """Return the schema of the converter of Kafka Connect: every field may be null, times are in milliseconds."""
    instant = {"type": "long", "logicalType": "timestamp-millis"}
    of_event = [_field(one.name, AVRO_TYPES[str(one.type)]) for one in SCHEMA.field("event").type]
    event = {"type": "record", "name": "Event", "fields": of_event}
    fields = [_field("event_id", "string"), _field("received_at", instant), _field("event", event)]
    return {"type": "record", "name": "Play", "fields": fields}


def _field(name: str, kind: str | dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "type": ["null", kind], "default": None}
