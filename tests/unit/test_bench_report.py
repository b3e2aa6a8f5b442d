"""The report of the rollup's benchmark: ratios of CPU time, and of wall time only on a quiet machine."""

from rich.console import Console

from bench.contenders import DUCKDB, FASTAVRO, LOCAL, SPARK_ENGINE, START_UP
from bench.measure import Measured
from bench.report import NET, Comparison, summarise, to_json, to_table

QUIET, LOUD = 1.0, 1.1
"""Loads up to and above which wall times are compared."""


def comparison(load: float) -> Comparison:
    """Return two rounds of Marquee and the DuckDB script; others load the machine in the second round of the script."""
    return Comparison(
        "An hour",
        {"events": 1_000},
        {
            LOCAL: [Measured(2.0, 3.0, 500), Measured(4.0, 8.0, 600)],
            DUCKDB: [Measured(4.0, 6.0, 900), Measured(5.0, 10.0, 700, load)],
        },
    )


def printed(one: Comparison) -> str:
    """Return the table as it is printed."""
    console = Console(width=200, color_system=None)
    with console.capture() as captured:
        console.print(to_table(one))
    return captured.get()


def test_ratio_of_cpu_times_is_the_median_of_rounds() -> None:
    """The ratio is taken within each round; beside the medians are the least of all rounds and the highest peak."""
    assert summarise(comparison(QUIET))[LOCAL] == {
        "cpu_s": 5.5,
        "least_cpu_s": 3.0,
        "cpu_ratio": (3 / 6 + 8 / 10) / 2,
        "least_cpu_ratio": 3 / 6,
        "peak_mb": 600,
        "wall_s": 3.0,
        "wall_ratio": (2 / 4 + 4 / 5) / 2,
        "load": 0.0,
    }


def test_load_above_one_refuses_ratios_of_wall_times() -> None:
    """If others loaded the machine during one run, no contender has a ratio of wall times, and the table says why."""
    summary = summarise(comparison(LOUD))
    assert [summary[name]["wall_ratio"] for name in (LOCAL, DUCKDB)] == [None, None]
    assert summary[LOCAL]["cpu_ratio"] == 0.65
    text = printed(comparison(LOUD))
    assert "No ratio of wall times: others loaded the machine with 1.1, more than 1." in text
    (row,) = (line for line in text.splitlines() if "Marquee, local engine" in line)
    assert [cell.strip() for cell in row.split("│")][4:9] == ["0.65", "0.50", "600", "–", "0.0"]


def test_quiet_machine_has_ratios_of_wall_times() -> None:
    """A load of exactly one is quiet."""
    text = printed(comparison(QUIET))
    assert "No ratio" not in text
    (row,) = (line for line in text.splitlines() if "Marquee, local engine" in line)
    assert [cell.strip() for cell in row.split("│")][7] == "0.65"


def test_failed_contender_is_in_table_and_json() -> None:
    """A contender that failed has no numbers; its error stands below the table and in the JSON."""
    one = comparison(QUIET)
    one.failed["polars"] = "Polars script has other results"
    text = printed(one)
    (row,) = (line for line in text.splitlines() if "│ Polars script" in line)
    assert [cell.strip() for cell in row.split("│")][1:4] == ["Polars script", "failed", ""]
    assert "Polars script: Polars script has other results" in text
    (in_json,) = to_json([one])["comparisons"]
    assert in_json["failed"] == {"polars": "Polars script has other results"}
    assert list(in_json["summary"]) == [LOCAL, DUCKDB]


def test_spark_is_also_shown_without_its_start() -> None:
    """What Spark's start took in the same round is subtracted from wall and CPU time."""
    one = comparison(QUIET)
    one.runs[SPARK_ENGINE] = [Measured(9.0, 12.0, 1_000), Measured(10.0, 13.0, 1_000)]
    one.runs[START_UP] = [Measured(4.0, 5.0, 400), Measured(3.0, 4.0, 400)]
    summary = summarise(one)
    assert (summary[NET]["cpu_s"], summary[NET]["wall_s"]) == (8.0, 6.0)


def test_yardstick_of_avro_is_fastavro() -> None:
    """Where no DuckDB script ran, ratios are to fastavro, and without it to Marquee itself."""
    one = comparison(QUIET)
    assert one.yardstick == DUCKDB
    one.runs[FASTAVRO] = one.runs.pop(DUCKDB)
    assert one.yardstick == FASTAVRO
    del one.runs[FASTAVRO]
    assert one.yardstick == LOCAL
