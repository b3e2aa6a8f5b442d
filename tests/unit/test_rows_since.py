"""The marker of an hour says since which run its rows of viewership are the same."""

import dataclasses

from marquee.calendar import Period
from marquee.lake import keys
from marquee.lake.manifest import Input, Marker, Output
from marquee.lake.rows_since import rows_since, with_rows_since

HOUR = "2026-01-05T10"


def made(generation: int, rows: str, stage: str = keys.ROLLUP, **counts: object) -> Marker:
    """Return the marker of an hour of a generation, whose object of viewership has a digest of one letter."""
    run_id = f"run-{generation}"
    output = Output("viewership", f"data/{stage}/{HOUR}/run={run_id}/viewership.parquet", 100, rows * 64, 3)
    time = "2026-01-05T12:00:00+00:00"
    return Marker(
        stage, HOUR, generation, run_id, "1", "1", {}, (Input("raw", "1", 1),), "", (output,), counts, time, time
    )  # fmt: skip


def test_equal_rows_are_since_the_first_run_of_them() -> None:
    """Runs 2 and 3 have the rows of run 1; run 4 has others, and run 5, with those of run 1, is no part of its row."""
    hour, since = None, []
    for generation, rows in enumerate("aaaba", start=1):
        hour = with_rows_since(made(generation, rows), hour)
        since.append(tuple(rows_since(hour)))
    assert since == [(1, "run-1"), (1, "run-1"), (1, "run-1"), (4, "run-4"), (5, "run-5")]


def test_counts_taken_over_from_the_run_before_do_not_say_it() -> None:
    """A run that takes over all counts of the one before, with other rows, is the first with its rows."""
    first = made(1, "a")
    second = with_rows_since(made(2, "a"), first)
    third = with_rows_since(dataclasses.replace(made(3, "b"), counts=second.counts), second)
    assert (second.counts["rows_since"], third.counts) == ([1, "run-1"], {})


def test_note_survives_the_marker_and_other_stages_have_none() -> None:
    """The marker is read as it was written; a day has no note."""
    second = with_rows_since(made(2, "a"), made(1, "a"))
    read = Marker.from_json(second.to_json(), keys.success_key(keys.ROLLUP, Period.parse(HOUR)), "")
    assert rows_since(read) == (1, "run-1")
    assert with_rows_since(made(2, "a", "profile"), made(1, "a", "profile")).counts == {}
