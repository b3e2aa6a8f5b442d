"""Rejected lines: all are counted by reason, the first are kept, and an hour of rejects is given up."""

import math
from datetime import datetime
from itertools import permutations
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest

from jobs.rollup import kernel, parsing, rejects
from jobs.rollup.blocks import Block
from jobs.rollup.contract import Fields, Reason, Window, validate
from jobs.rollup.parsing import parse_query
from jobs.rollup.pseudonyms import Viewers
from jobs.rollup.rejects import Refused, keep_first
from marquee.engine.duckdb import open_database
from marquee.lake.datasets import REJECTS
from tests.helpers_rollup import GOOD, line, lines_of, many, new_world, spoilt

WINDOW = Window(datetime(2026, 1, 5, 12, 45), datetime(2026, 1, 5, 14, 15))  # noqa: DTZ001 - UTC without a zone


def test_runs_of_blank_lines_are_counted_and_kept_once(tmp_path: Path) -> None:
    """Each blank line counts, and of a run of them only the first is kept, also across blocks."""
    world = new_world(tmp_path, reject_share=1)
    world.put_bytes("a.json", b"\n\n" + GOOD + b"\n" + b"\n" * 5000 + b" \t\n\r\n" + b"\n" * 5000 + b"x\n\n")
    with mock.patch("jobs.rollup.lines.LINES_A_BLOCK", 1 << 10):
        world.run()
    assert world.rolled().counts["rejects"] == {"blank": 10_005, "not_json": 1}
    assert [(n, reason) for _, n, reason, _ in world.rolled().rejects] == [
        (1, "blank"),
        (4, "blank"),
        (10_006, "not_json"),
        (10_007, "blank"),
    ]


@pytest.mark.parametrize("units_of_one", [False, True], ids=["one unit", "a unit for each file"])
def test_first_rejects_are_kept(tmp_path: Path, units_of_one: bool) -> None:
    """The first rejects by key and line are kept, up to a number and a size; the counts are exact."""
    world = new_world(tmp_path, reject_share=1)
    for name in ("b", "a", "c"):
        world.put(f"{name}.json", *many(3), *[b"x%d" % n for n in range(2000)], *[line(country="kr")] * 10)
    with (
        mock.patch("jobs.rollup.stage.MIB", 0 if units_of_one else 1 << 20),
        mock.patch.object(rejects, "KEPT_LINES", 3000),
        mock.patch.object(kernel, "BATCH_BYTES", 0),
    ):
        world.run()
    assert world.rolled().counts["rejects"] == {"country": 30, "not_json": 6000}
    kept = [(key[-6:], n) for key, n, _, _ in world.rolled().rejects]
    assert kept == [("a.json", n) for n in range(4, 2014)] + [("b.json", n) for n in range(4, 994)]


def test_kept_rejects_have_a_size(tmp_path: Path) -> None:
    """Of rejects of 64 KiB each, as many are kept as a limit in bytes allows, and one more."""
    world = new_world(tmp_path, reject_share=1)
    world.put("a.json", GOOD, *[b'{"x":"' + b"a" * 70_000 + b'"}'] * 20)
    with mock.patch.object(rejects, "KEPT_BYTES", 5 << 16):
        world.run()
    assert world.rolled().counts["rejects"] == {"event_id": 20}
    assert [n for _, n, _, _ in world.rolled().rejects] == [2, 3, 4, 5, 6]


def test_order_of_units_makes_no_difference() -> None:
    """Whichever unit is reduced first, an hour keeps the same rejects."""
    tables = [
        pa.Table.from_pylist(
            [{"key": key, "line": n, "reason": "blank", "raw": b"x" * size} for n in range(1, 6)], REJECTS.schema
        )
        for key, size in (("a", 3), ("b", 30), ("c", 1))
    ]
    with mock.patch.object(rejects, "KEPT_BYTES", 100), mock.patch.object(rejects, "KEPT_LINES", 8):
        found = {tuple(map(str, keep_first(order).to_pylist())) for order in permutations(tables)}
    assert len(found) == 1
    assert len(found.pop()) == 8  # 15 bytes of a, and b until 100 bytes are reached: three lines


@pytest.mark.parametrize(
    ("parser", "expected"),
    [
        ("sql", "999 of the first 1000 lines were rejected (not_json 999)"),
        ("compiled", "5096 of the first 5097 lines were rejected (not_json 5096)"),  # 4,096 to see that it does not pay
    ],
)
def test_hour_of_rejects_is_given_up(tmp_path: Path, parser: str, expected: str) -> None:
    """An hour is given up as soon as it has more rejects than its size could ever allow, and says how many so far."""
    world = new_world(tmp_path, reject_lines=10, parser=parser)
    data = lines_of(GOOD, *[b"x"] * 300_000)
    world.put_bytes("a.json", data)
    with mock.patch("jobs.rollup.stage.MOST_COMPRESSED", 1), mock.patch("jobs.rollup.lines.LINES_A_BLOCK", 1000):
        assert world.run().exit_code == 65
    # 600 kB have 12,500 plays at most, of which 1 % may be rejected beside the others: 126 lines.
    [reason] = world.failures().values()
    assert reason.startswith(f"{expected}. That is more than the hour may")


@pytest.mark.parametrize("name", ["a.json.zst", "a.json.snappy", "a.BZ2"])
def test_hour_of_another_compression_is_read_to_its_end(tmp_path: Path, name: str) -> None:
    """A byte of zstd, snappy or bz2 stands for any number of plays, so such an hour is not given up by its size."""
    world = new_world(tmp_path, reject_lines=10)
    world.put_bytes(name, lines_of(GOOD, *[b"x"] * 3000))
    with mock.patch("jobs.rollup.stage.MOST_COMPRESSED", 1):
        assert world.run().exit_code == 65
    [reason] = world.failures().values()
    assert "3000 of 3001 lines were rejected (not_json 3000)" in reason


def test_hour_of_which_all_may_be_rejected_is_not_given_up(tmp_path: Path) -> None:
    """An hour that may reject all of its lines is read to its end."""
    world = new_world(tmp_path, reject_lines=0, reject_share=1)
    world.put("a.json", GOOD, *[b"x"] * 3000)
    world.run()
    assert world.rolled().counts == {"rows_in": 3001, "rows_out": 1, "duplicates": 0, "rejects": {"not_json": 3000}}


CERTAIN = {
    "blank": b" \t",
    "no JSON": b"x",
    "cut short": GOOD[:100],
    "cut short after an escape": line(event_id='5e"')[:100],
    "a comma at the end": GOOD[:-1] + b" ,}",
    "not a number": line(watched_seconds=math.nan),
    "null": b"null",
    "a number": b" 60 ",
    "a text": b'"play"',
    "no event id": b'{"x":1}',
    "a number for an id": spoilt(b'"e1"', b"1"),
    "an id of 65 characters": line(event_id="e" * 65),
    "a control character in an id": line(event_id="e\n"),
    "no time": line(received_at=None),
    "the hour 24": spoilt(b"T13", b"T24"),
    "another hour": spoilt(b"T13", b"T19"),
    "another hour, in microseconds": spoilt(b"T13:02:11.123Z", b"T19:02:11.123456Z"),
    "another hour, in another zone": spoilt(b"T13:02:11.123Z", b"T13:02:11.123+09:00"),
    "a day that is not": spoilt(b"2026-01-05", b"2026-02-30"),
    "no user": line(user_id=""),
    "a quoted user of 129 characters": line(user_id='"' * 129),
    "a text for an episode": line(episode_id="1"),
    "the episode 0": line(episode_id=0),
    "a small country": line(country="kr"),
    "a small country, at a time in another zone": line(received_at="2026-01-05T08:02:11-05:00", country="kr"),
    "a small country of a quoted user": line(user_id='"\\' * 64, country="kr"),
    "a small country after an escape elsewhere": line(title="caf\u00e9", country="kr"),
    "an escaped country": line(country="\u00e9"),
    "an offset of a day": line(utc_offset_minutes=1440),
    "an episode of 20 digits": line(episode_id=10**20),
    "no language": line(language="k"),
    "a list of devices": line(device=["tv"]),
    "text for seconds": line(watched_seconds="60"),
    "2 hours of seconds": line(watched_seconds=7200),
    "a long number of seconds": line(watched_seconds=10**30),
    "fractions of seconds": line(watched_seconds=60.0),
}


@pytest.mark.parametrize("raw", [pytest.param(raw, id=name) for name, raw in CERTAIN.items()])
def test_query_finds_the_reason(raw: bytes) -> None:
    """The query finds the reasons of ordinary rejects, as the reference parser gives them; the parser sees none."""
    refused = Refused()
    texts = pa.chunked_array([[raw.decode()] * 1000])
    parse = parse_query(Fields(), WINDOW, Viewers((b"key",)))
    with open_database() as db, mock.patch.object(parsing, "validate", side_effect=AssertionError):
        assert parsing._parse(lambda: db, texts, parse, refused)[0].num_rows == 0
    [(reason, rows)] = refused.rows
    assert (reason, rows.tolist()) == (validate(raw, Fields(), WINDOW), list(range(1000)))
    assert refused.single == []


def test_batch_is_counted_by_object_and_reason() -> None:
    """The counts of a batch have the accepted lines of an object, and its rejects by reason."""
    log = rejects.RejectLog(math.inf)
    lines = pa.table({"n": np.arange(1, 4), "text": ["x", "y", "z"]})
    refused = Refused(rows=[(Reason.NOT_JSON, np.array([0, 2]))])
    kept, counts = log.add([("a", Block(lines))], lines, refused)
    assert kept["line"].to_pylist() == [1, 3]
    assert {row["reason"]: row["lines"] for row in counts.to_pylist()} == {"": 1, "not_json": 2}
