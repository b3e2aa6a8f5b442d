"""The comparison of results in the rollup's benchmark: row by row, whatever their order."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.measure import BenchError
from bench.results import Results, check_equal, results_of_script, summarise

Row = dict[str, Any]
VIEWERSHIP: list[Row] = [
    {"episode_id": 1, "country": "KR", "local_hour": 22, "device": "tv", "plays": 3, "watched_seconds": 90},
    {"episode_id": 2, "country": "US", "local_hour": 8, "device": "phone", "plays": 1, "watched_seconds": 60},
]
VIEWER_HOUR: list[Row] = [
    {
        "viewer": (1 << 64) - 1,
        "episode_id": 1,
        "country": "KR",
        "language": "ko",
        "plays": 4,
        "watched_seconds": 150,
        "first_at": 1_767_618_000_000_000,
        "last_at": 1_767_618_060_000_000,
    }
]
REJECTS: list[Row] = [{"reason": "not_json"}, {"reason": "device"}, {"reason": "not_json"}]
ROW_SCHEMAS = {
    "viewership": pa.schema(
        {name: pa.string() if name in {"country", "device"} else pa.int64() for name in VIEWERSHIP[0]}
    ),
    "viewer_hour": pa.schema(
        {
            "viewer": pa.uint64(),
            "episode_id": pa.int64(),
            "country": pa.string(),
            "language": pa.string(),
            "plays": pa.int64(),
            "watched_seconds": pa.int64(),
            "first_at": pa.timestamp("us"),
            "last_at": pa.timestamp("us"),
        }
    ),
    "rejects": pa.schema({"reason": pa.string()}),
}


def written(
    out: Path, viewership: list[Row], viewer_hour: list[Row] = VIEWER_HOUR, rejects: list[Row] = REJECTS, again: int = 7
) -> Results:
    """Write the outputs of a script, with ``again`` duplicates."""
    out.mkdir()
    for name, rows in {"viewership": viewership, "viewer_hour": viewer_hour, "rejects": rejects}.items():
        pq.write_table(pa.Table.from_pylist(rows, ROW_SCHEMAS[name]), out / f"{name}.parquet")
    (out / "counts.json").write_text(json.dumps({"duplicates": again}), encoding="utf-8")
    return results_of_script(out)


@pytest.fixture
def expected(tmp_path: Path) -> Results:
    """The results that a contender must have."""
    return written(tmp_path / "expected", VIEWERSHIP)


def test_same_rows_in_another_order_are_equal(tmp_path: Path, expected: Results) -> None:
    """The order of rows and of rejects does not matter."""
    found = written(tmp_path / "found", VIEWERSHIP[::-1], rejects=REJECTS[::-1])
    check_equal("A script", found, expected)


MISSING = "viewership, missing: (2, 'US', 8, 'phone', 1, 60)"
WRONG: dict[str, tuple[Callable[[Path], Results], str]] = {
    "missing row": (lambda out: written(out, VIEWERSHIP[:1]), MISSING),
    "another row": (
        lambda out: written(out, [VIEWERSHIP[0], VIEWERSHIP[1] | {"plays": 2}]),
        f"viewership, only there: (2, 'US', 8, 'phone', 2, 60)\n  {MISSING}",
    ),
    "additional row": (
        lambda out: written(out, [*VIEWERSHIP, VIEWERSHIP[0] | {"country": "JP"}]),
        "viewership, only there: (1, 'JP', 22, 'tv', 3, 90)",
    ),
    "the same row twice": (
        lambda out: written(out, [*VIEWERSHIP, VIEWERSHIP[0]]),
        "viewership, only there: (1, 'KR', 22, 'tv', 3, 90)",
    ),
    "another viewer": (
        lambda out: written(out, VIEWERSHIP, [VIEWER_HOUR[0] | {"viewer": 5}]),
        "viewer_hour, only there: (5, 1, 'KR', 'ko', 4, 150, ",
    ),
    "another instant": (
        lambda out: written(out, VIEWERSHIP, [VIEWER_HOUR[0] | {"last_at": 1_767_618_060_000_001}]),
        "datetime.datetime(2026, 1, 5, 13, 1, 0, 1))",
    ),
    "another number of rejects": (
        lambda out: written(out, VIEWERSHIP, rejects=REJECTS[:2]),
        "rejects, only there: ('not_json', 1)\n  rejects, missing: ('not_json', 2)",
    ),
    "another number of duplicates": (
        lambda out: written(out, VIEWERSHIP, again=8),
        "duplicates: 8, the local engine 7",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_difference_is_named(tmp_path: Path, expected: Results, wrong: str) -> None:
    """A row too few, too many or with another value, and other counts, are errors that name contender and row."""
    write, words = WRONG[wrong]
    with pytest.raises(BenchError, match="A script has other results:") as error:
        check_equal("A script", write(tmp_path / "found"), expected)
    assert words in str(error.value)


def test_many_differences_are_cut_short(tmp_path: Path, expected: Results) -> None:
    """Three rows are named, and an ellipsis stands for the others."""
    many = [VIEWERSHIP[0] | {"local_hour": hour} for hour in range(10)]
    with pytest.raises(BenchError, match="only there") as error:
        check_equal("A script", written(tmp_path / "found", VIEWERSHIP + many), expected)
    (line,) = (line for line in str(error.value).splitlines() if "only there" in line)
    assert line.count("'KR'") == 3
    assert line.endswith(", …")


def test_summary_counts_events_and_rows(expected: Results) -> None:
    """Events are the plays of viewership; rejects, rows and duplicates are counted."""
    counts = {"events": 4, "rejects": 3, "viewership_rows": 2, "viewer_hour_rows": 1, "duplicates": 7}
    assert summarise(expected) == counts
