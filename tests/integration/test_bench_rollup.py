"""The benchmark of the rollup on a small hour: equal results of all plain scripts, and failures that are named."""

import gzip
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pytest

from bench.contenders import ALL_FORMS, CONTENDERS, DUCKDB, LOCAL, ROOT, Contender
from bench.inputs import AVRO, HOUR, JSON, RAW_FOLDER, SPREAD, make_hour
from bench.plain_contract import judge
from bench.results import Results, check_equal, summarise
from bench.rollup import USUAL
from jobs.simulate.malformed import KINDS
from jobs.simulate.write import MARKER
from tests.helpers_rollup import line, play, to_line

EVENTS = 3_000
ODD_FILE = "plays+99+0000000000.json.gz"
REASONS = {
    "blank": 1,
    "not_json": 2,  # an error message, a line that was cut
    "not_an_object": 5,  # null, a number, a text, an empty list, a list of a list
    "event_id": 6,  # an empty object, and missing or four wrong values
    "received_at": 5,
    "outside_hour": 2,
    "user_id": 9,  # five, and four for an event that is none
    "episode_id": 7,
    "country": 4,
    "utc_offset_minutes": 5,
    "language": 4,
    "device": 5,
    "watched_seconds": 6,
}
"""Rejects of the odd lines, by reason."""
SCRIPTS = [
    pytest.param(one.name, form, marks=[pytest.mark.spark] if one.needs == "pyspark" else [])
    for one in CONTENDERS
    for form in one.forms
    if one.name in USUAL and one.script and form != AVRO and one.missing() is None
]


def odd_lines() -> list[bytes]:
    """Return lines that break the contract, and odd ones that do not: texts with escapes, spaces, and duplicates."""
    wrong = [spoil(play(event_id=f"kind {name}")) for name, spoil in KINDS.items()]
    right = [
        line(event_id="first", received_at="2026-01-05T13:05:00.000Z", device="phone"),
        line(event_id="first", received_at="2026-01-05T13:04:00.000Z", device="tv"),
        line(event_id='quote " backslash \\ ü', user_id="한국어"),
        line(event_id="offset", received_at="2026-01-05T22:10:00.5+09:00"),
        to_line(play(event_id="more") | {"more": [1, "two"]}),
        b"[" + line(event_id="first", received_at="2026-01-05T13:06:00.000Z") + b"]",
    ]
    return [*wrong, b"[[1]]", *right]


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A small hour in all forms, with a file of odd lines."""
    folder = tmp_path_factory.mktemp("hour")
    raw = make_hour(folder, SPREAD, EVENTS, [JSON])[JSON]
    (raw / RAW_FOLDER / ODD_FILE).write_bytes(gzip.compress(b"\n".join(odd_lines()) + b"\n"))
    return make_hour(folder, SPREAD, EVENTS, ALL_FORMS)


def results_of(one: Contender, raw: Path, folder: Path) -> Results:
    """Run a contender on the hour."""
    scratch, out = folder / "scratch", folder / "out"
    scratch.mkdir(parents=True)
    environment = one.environment(raw, out, scratch)
    subprocess.run(one.command(raw, out), env=environment, cwd=scratch, check=True, capture_output=True)
    results = one.results(out)
    assert results is not None
    return results


def contender(name: str) -> Contender:
    """Return the contender of a name."""
    (one,) = (one for one in CONTENDERS if one.name == name)
    return one


@pytest.fixture(scope="module")
def expected(hour: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Results]:
    """The results of Marquee's local engine, by form."""
    folder = tmp_path_factory.mktemp("local")
    return {form: results_of(contender(LOCAL), raw, folder / form) for form, raw in hour.items()}


def test_odd_lines_are_rejected_for_every_reason(hour: Mapping[str, Path], expected: Mapping[str, Results]) -> None:
    """Of the odd lines, 61 are rejects, 2 are duplicates, and 5 are events beside the simulated ones."""
    verdicts = [judge(one.decode(), datetime.fromisoformat(f"{HOUR}:00:00")) for one in odd_lines()]
    assert Counter(one for one in verdicts if isinstance(one, str)) == REASONS
    assert (sum(REASONS.values()), len(verdicts)) == (61, 68)
    assert summarise(expected[JSON])["events"] == EVENTS + 5
    simulated = json.loads((hour[JSON] / MARKER).read_text(encoding="utf-8"))["counts"]
    assert summarise(expected[JSON])["rejects"] == simulated["malformed"] + 61
    assert expected[JSON].duplicates == simulated["duplicates"] + 2


@pytest.mark.parametrize(("name", "form"), SCRIPTS)
def test_plain_script_has_the_results_of_marquee(
    name: str, form: str, hour: Mapping[str, Path], expected: Mapping[str, Results], tmp_path: Path
) -> None:
    """Each plain script has the same rows, rejects by reason and duplicates, on lines that few producers write, too."""
    check_equal(name, results_of(contender(name), hour[form], tmp_path), expected[form])


def benchmark(folder: Path, script: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmark in a process of its own, because it waits for all its children; ``script`` runs before it."""
    options = ("rollup", "--events", str(EVENTS), "--hours", SPREAD, "--forms", JSON, "--folder", str(folder), *options)
    code = f"import sys\nfrom bench import rollup\n{script}\nsys.exit(rollup.main(sys.argv[2:]))"
    return subprocess.run([sys.executable, "-c", code, *options], cwd=ROOT, capture_output=True, text=True, check=False)


def test_benchmark_compares_contenders_in_rounds(hour: Mapping[str, Path], tmp_path: Path) -> None:
    """Without failures the benchmark ends with 0; each contender has a measurement of each round in the JSON."""
    options = ("--rounds", "2", "--only", DUCKDB, "--json", str(tmp_path / "measured.json"))
    run = benchmark(hour[JSON].parents[1], "", *options)
    assert run.returncode == 0, run.stderr
    (one,) = json.loads((tmp_path / "measured.json").read_text(encoding="utf-8"))["comparisons"]
    assert {name: len(each) for name, each in one["runs"].items()} == {LOCAL: 2, DUCKDB: 2}
    assert one["counted"]["events"] == EVENTS + 5
    assert one["summary"][DUCKDB]["cpu_ratio"] == 1
    assert 0 < one["summary"][LOCAL]["cpu_s"] < 60


BROKEN = """
from dataclasses import replace
from pathlib import Path
script = Path({script!r})
script.write_text({code!r})
rollup.CONTENDERS = tuple(
    replace(one, arguments=(str(script),)) if one.name == "duckdb" else one for one in rollup.CONTENDERS
)
"""
"""Replaces the DuckDB script by another."""
TOO_FEW = """
import sys
from pathlib import Path
import duckdb
from bench import plain_duckdb
plain_duckdb.main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
out = sys.argv[3] + "/viewership.parquet"
rows = duckdb.sql(f"from read_parquet('{out}') order by all offset 1").to_arrow_table()
duckdb.sql("from rows").write_parquet(out)
"""


@pytest.mark.parametrize(
    ("code", "words"),
    [
        pytest.param("raise SystemExit('no more memory')", ["ended with code 1", "no more memory"], id="fails"),
        pytest.param(TOO_FEW, ["DuckDB script has other results", "viewership, missing: ("], id="loses a row"),
    ],
)
def test_contender_that_fails_or_differs_is_named(
    hour: Mapping[str, Path], tmp_path: Path, code: str, words: list[str]
) -> None:
    """The benchmark names a contender that fails or has other results, measures the others, and ends with 1."""
    broken = BROKEN.format(script=str(tmp_path / "script.py"), code=code)
    options = ("--rounds", "1", "--only", DUCKDB, "--json", str(tmp_path / "measured.json"))
    run = benchmark(hour[JSON].parents[1], broken, *options)
    assert run.returncode == 1
    (one,) = json.loads((tmp_path / "measured.json").read_text(encoding="utf-8"))["comparisons"]
    assert list(one["runs"]) == [LOCAL]
    for said in (run.stderr, one["failed"][DUCKDB]):
        assert [word for word in words if word not in said] == []
    assert "DuckDB script │ failed" in " ".join(run.stdout.split())


def test_contender_that_is_not_installed_is_named(hour: Mapping[str, Path]) -> None:
    """A contender whose package is missing fails the benchmark, because a table without it would look complete."""
    lacking = """
from dataclasses import replace
rollup.CONTENDERS = tuple(
    replace(one, needs="no_such_package") if one.name == "duckdb" else one for one in rollup.CONTENDERS
)
"""
    run = benchmark(hour[JSON].parents[1], lacking, "--rounds", "1", "--only", DUCKDB)
    assert run.returncode == 1
    assert "not run: no_such_package is not installed" in run.stdout
