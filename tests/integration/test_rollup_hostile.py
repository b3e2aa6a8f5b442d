"""Hostile raw objects: small files that are large inside. Memory is bounded, and the hour ends soon, with a word."""

import gzip
import io
import json
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.rollup.units import ParseUnit
from marquee.calendar import hour
from marquee.engine.base import Engine, kernels_of
from marquee.engine.spark import SparkEngine
from tests import sample_kernels as kernels
from tests.helpers_rollup import GOOD, HOUR, key_of, line, lines_of, many, new_world
from tests.sample_kernels import Number
from tests.unit.test_rollup_records import nested, zigzag

AFTER = hour("2026-01-05T14")
MEMORY_MB = 256
SECONDS = 300


def gz(chunk: bytes, times: int) -> bytes:
    """Return a gzip file of a chunk many times."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, 31)
    return b"".join([*(compressor.compress(chunk) for _ in range(times)), compressor.flush()])


def claims(schema: Any, body: bytes) -> bytes:
    """Return an Avro file of one record."""
    text = json.dumps(schema).encode()
    header = b"Obj\x01" + zigzag(1) + zigzag(11) + b"avro.schema" + zigzag(len(text)) + text + zigzag(0)
    return header + bytes(16) + zigzag(1) + zigzag(len(body)) + body + bytes(16)


def record(kind: Any) -> Any:
    """Return the schema of a record of one field."""
    return {"type": "record", "name": "e", "fields": [{"name": "a", "type": kind}]}


def avro_of_long_texts() -> bytes:
    """Return an Avro file of one block of 500 texts of a mebibyte."""
    file = io.BytesIO()
    schema = {"type": "record", "name": "e", "fields": [{"name": "event_id", "type": "string"}]}
    texts = ({"event_id": "A" * (1 << 20)} for _ in range(500))
    fastavro.writer(file, schema, texts, codec="deflate", codec_compression_level=1, sync_interval=1 << 34)
    return file.getvalue()


def parquet(table: pa.Table, **options: Any) -> bytes:
    """Return a Parquet file."""
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd", **options)
    return file.getvalue()


def coded(rows: int) -> pa.Table:
    """Return a table of rows that refer to one text of a mebibyte."""
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["A" * (1 << 20)]))
    return pa.table({"event_id": texts})


def wide() -> bytes:
    """Return a line with 70,000 further fields."""
    return json.dumps({**{f"c{k}": 1 for k in range(70_000)}, **json.loads(GOOD)}).encode()


def events(number: int, between: bytes) -> bytes:
    """Return plays with these bytes between them."""
    return between.join(GOOD.replace(b'"e1"', b'"e%d"' % n) for n in range(number))


def varint(number: int) -> bytes:
    """Return a number in Thrift's compact form."""
    low = [(number >> shift) & 127 for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([*(one | 128 for one in low[:-1]), low[-1]])


def items(number: int, one: bytes) -> bytes:
    """Return a list of equal structures in Thrift's compact form, as the next field of a structure."""
    return b"\x19\xfc" + varint(number) + one * number


ROOT, LEAF = b"\x48\x01r\x15\x02\x00", b"\x15\x0c\x38\x08event_id\x00"
"""Elements of a Parquet schema: the root, with a child; a column of bytes."""


def metadata(schema: bytes, groups: bytes = b"\x19\x0c", more: bytes = b"") -> bytes:
    """Return a Parquet file of metadata alone: version 1, a schema, one row, row groups, and further fields."""
    footer = b"\x15\x02" + schema + b"\x16\x02" + groups + more + b"\x00"
    return b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"


SCHEMA = b"\x19\x2c" + ROOT + LEAF


NO_PLAY = "1 file has lines, but no play"
GIVEN_UP = "That is more than the hour may reject"
HOSTILE: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "a line of 4 GiB of zeros": ("a.json.gz", lambda: gz(bytes(16 << 20), 256), NO_PLAY),
    "a gibibyte of newlines": ("a.json.gz", lambda: gz(b"\n" * (1 << 20), 1024), GIVEN_UP),
    "lines of a byte": ("a.json.gz", lambda: gz(b"x\n" * (1 << 19), 256), GIVEN_UP),
    "nests": ("a.json.gz", lambda: gzip.compress(lines_of(GOOD, *[b"[" * 500_000 + b"]" * 500_000] * 3)), ""),
    "many fields": ("a.json.gz", lambda: gzip.compress(lines_of(*[wide()] * 20)), ""),
    "long rejects": ("a.json.gz", lambda: gz(b'{"x":"' + b"a" * 1_000_000 + b'"}\n', 400), NO_PLAY),
    "small pieces": ("a.json.gz", lambda: gz(b"[" + b"{}," * 340_000 + b"{}]\n", 50), GIVEN_UP),
    "empty gzip members": (
        "a.json.gz",
        lambda: gzip.compress(GOOD) + gzip.compress(b"") * 50_000 + gzip.compress(line(event_id="e2")),
        "",
    ),
    "Parquet: a text of many rows": ("a.parquet", lambda: parquet(coded(20_000)), NO_PLAY),
    "Parquet: a deep structure": ("a.parquet", lambda: parquet(nested(500)), "nested deeper than 64"),
    "Parquet: many columns": (
        "a.parquet",
        lambda: parquet(pa.table({f"c{n}": [1] for n in range(20_000)})),
        "its schema has 20001 elements",
    ),
    "Parquet: many rows": (
        "a.parquet",
        lambda: parquet(pa.table({"event_id": pa.nulls(10_000_000, pa.string())}), row_group_size=10_000_000),
        GIVEN_UP,
    ),
    "Parquet: 600,000 columns": (
        "a.parquet",
        lambda: metadata(items(600_000, LEAF)),
        "its schema has 600000 elements",
    ),
    "Parquet: nine thousand structures, one inside another": (
        "a.parquet",
        lambda: metadata(items(9_000, ROOT)),
        "nested deeper than 64",
    ),
    "Parquet: eight million row groups": (
        "a.parquet",
        lambda: metadata(SCHEMA, items(8_000_000, b"\x00")),
        "lists of more than 2000000 items",
    ),
    "Parquet: a million row groups": (
        "a.parquet",
        lambda: metadata(SCHEMA, items(1_000_000, b"\x00")),
        "it has 1000000 row groups or column chunks",
    ),
    "Parquet: a million keys and values": (
        "a.parquet",
        lambda: metadata(SCHEMA, more=items(990_000, b"\x18\x00\x00")),
        "",
    ),
    "an array of 200 MB": ("a.json.gz", lambda: gzip.compress(b"[" + events(1_000_000, b",") + b"]", 1), ""),
    "a line of 100,000 events": ("a.json", lambda: events(100_000, b""), ""),
    "Avro: a large block": ("a.avro", avro_of_long_texts, "an Avro block has"),
    "Avro: items without bytes": (
        "a.avro",
        lambda: claims(record({"type": "array", "items": "null"}), zigzag(300_000_000) + zigzag(0)),
        "an array of items without bytes",
    ),
    "Avro: a chain of records": (
        "a.avro",
        lambda: claims(record(["null", "e"]), zigzag(1) * 100_000 + zigzag(0)),
        "its Avro schema refers to itself",
    ),
}

ROLLUP = """
import sys
from marquee.__main__ import main
sys.argv = ["marquee", "rollup", "2026-01-05T13"]
code = main()
# Not ru_maxrss, which after a fork begins with the memory of the parent.
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")))
sys.exit(code)
"""


def roll_up(folder: Path, name: str, data: bytes) -> tuple[int, str, int]:
    """Roll up an hour of one file in a process of its own; return its exit code, its log, and its peak in MiB."""
    path = folder / "raw" / key_of(name)
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    settings = {
        "MARQUEE_LAKE": f"file://{folder}/lake",
        "MARQUEE_RAW": f"file://{folder}/raw",
        "MARQUEE_ROLLUP__VIEWER_KEY": "a key that only tests have",
        "MARQUEE_ROLLUP__BUCKETS": "1",
        "MARQUEE_ENGINE__MEMORY_MB": str(MEMORY_MB),
        "MARQUEE_ENGINE__WORKERS": "2",
    }
    done = subprocess.run(
        [sys.executable, "-c", ROLLUP],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    peak = next((int(one.split()[1]) for one in done.stdout.splitlines() if one.startswith("VmHWM")), 0)
    return done.returncode, done.stderr, peak >> 10


ORDINARY = b"[" + b",".join(many(2_000)) + b"]"
"""Plays in a form and a number for which the process loads all its libraries, DuckDB too."""


@pytest.fixture(scope="module")
def ordinary_mb(tmp_path_factory: pytest.TempPathFactory) -> int:
    """The peak memory of a rollup of few plays, in MiB: the process and its libraries."""
    code, log, peak = roll_up(tmp_path_factory.mktemp("ordinary"), "a.json", ORDINARY)
    assert code == 0, log
    return peak


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_object_takes_bounded_memory(tmp_path: Path, kind: str, ordinary_mb: int) -> None:
    """A hostile object takes at most engine.memory_mb and 20 % beside an ordinary rollup, and ends with 0 or 65."""
    name, make, words = HOSTILE[kind]
    code, log, peak = roll_up(tmp_path, name, make())
    assert code == (65 if words else 0), log
    assert words in log
    assert 0 < peak < ordinary_mb + MEMORY_MB * 1.2


def peak_on(engine: Engine) -> int:
    """Return the peak memory in MiB of the larger of Spark's two workers since the last call."""
    with kernels_of("tests"):
        workers = dict(engine.map(kernels.peak, [Number(seconds=0.5)] * 2))
    assert len(workers) == 2
    return max(workers.values())


@pytest.mark.spark
@pytest.mark.parametrize(
    "kind",
    [
        "small pieces",
        "a line of 100,000 events",
        "Parquet: a text of many rows",
        "Parquet: a million keys and values",
        "Avro: a large block",
    ],
)
def test_hostile_object_takes_bounded_memory_on_spark(tmp_path: Path, kind: str, spark_engine: SparkEngine) -> None:
    """A worker of Spark takes at most engine.task_memory_mb and 20 % beside an ordinary rollup."""
    engine = SparkEngine(spark_engine.session, MEMORY_MB)
    ordinary = new_world(tmp_path / "ordinary", buckets=1)
    ordinary.put("a.json", ORDINARY)
    peak_on(engine)
    assert ordinary.run(engine=engine).exit_code == 0
    ordinary_mb = peak_on(engine)
    name, make, words = HOSTILE[kind]
    world = new_world(tmp_path / "hostile", buckets=1)
    world.put_bytes(name, make())
    assert world.run(engine=engine).exit_code == (65 if words else 0)
    assert words in world.failures().get(str(HOUR), "")
    assert peak_on(engine) < ordinary_mb + MEMORY_MB * 1.2


def poisoned(**given: Any) -> ParseUnit:
    """Return a unit; one of a file named poison makes the reader fail as only a fault of Marquee does."""
    poison = any(one.name.endswith("poison.json") for one in given["objects"])
    return ParseUnit(**given | ({"limits": None} if poison else {}))


def check_poison(folder: Path, engine: Engine | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Roll up two hours, one with a poison file."""
    monkeypatch.setattr("jobs.rollup.stage.ParseUnit", poisoned)
    world = new_world(folder, buckets=1)
    world.put("poison.json", GOOD)
    world.put("a.json", line(received_at="2026-01-05T14:02:11.123Z"), period=AFTER)
    assert (world.run() if engine is None else world.run(engine=engine)).exit_code == 70
    assert set(world.markers()) == {str(AFTER)}
    assert re.fullmatch(
        rf"file://{folder}/\S+/{key_of('poison.json')} cannot be read, because of a fault of Marquee: "
        r"builtins\.AttributeError at \w+\.py:\d+ in \w+\. Set MARQUEE_LOG__LEVEL=debug for the traceback",
        world.failures()[str(HOUR)],
    )


def test_poison_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file at which Marquee's own code fails makes its hour fail, by its key and the error; the next hour is made."""
    check_poison(tmp_path, None, monkeypatch)


@pytest.mark.spark
def test_poison_file_is_named_on_spark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spark_engine: SparkEngine
) -> None:
    """The same on Spark: the reason is the task's own error, not one of Java."""
    check_poison(tmp_path, spark_engine, monkeypatch)
