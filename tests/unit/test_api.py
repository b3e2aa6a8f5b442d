"""The public names of the package, and the pure parts of the Python API."""

from datetime import datetime

import pyarrow as pa
import pytest

import marquee
from marquee import api
from marquee.errors import ConfigError, MarqueeError
from marquee.mart.arrow import column_of, normalise
from marquee.mart.mysql.connection import as_pymysql
from marquee.mart.narrowed import narrow
from marquee.mart.questions import QUESTIONS


def test_every_public_name_is_there() -> None:
    """Every public name exists, and `dir` lists it for completion in a shell or a notebook."""
    assert [name for name in marquee.__all__ if not hasattr(marquee, name)] == []
    assert set(marquee.__all__) <= set(dir(marquee))
    assert marquee.questions() == QUESTIONS
    assert issubclass(marquee.errors.ConfigError, marquee.errors.MarqueeError)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    """A name that is not public raises the same AttributeError as in any other module."""
    with pytest.raises(AttributeError, match="module 'marquee' has no attribute 'nothing'"):
        _ = marquee.nothing  # type: ignore[attr-defined]


# Types.


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1], pa.int32(), pa.int64()),
        ([1], pa.uint64(), pa.int64()),
        ([2**64 - 1], pa.uint64(), pa.decimal128(38, 0)),
        ([7], pa.decimal128(38, 0), pa.int64()),
        ([0.5], pa.float32(), pa.float64()),
        ([1], pa.decimal128(4, 1), pa.float64()),
        (["a"], pa.large_string(), pa.string()),
        ([datetime(2026, 1, 5)], pa.timestamp("s"), pa.timestamp("us")),  # noqa: DTZ001 - as the mart has them
        ([True], pa.bool_(), pa.bool_()),
        ([[1]], pa.list_(pa.int64()), pa.list_(pa.int64())),
        ([None], pa.int16(), pa.int64()),
    ],
)
def test_types_are_few(values: list[object], kind: pa.DataType, expected: pa.DataType) -> None:
    """Whole numbers, other numbers and text have one type each, and values stay exact."""
    found = normalise(pa.table({"one": pa.array(values, kind)})).column("one")
    assert (found.type, found.to_pylist()) == (expected, values)


def test_values_of_a_database_become_a_column() -> None:
    """A whole number above 64 bits becomes a decimal, and a value that is not text becomes bytes."""
    assert column_of([1, None], pa.int64()).to_pylist() == [1, None]
    assert column_of([2**64], pa.int64()).type == pa.decimal128(38, 0)
    assert column_of([b"\xff", None], pa.string()).type == pa.binary()


# Queries.


@pytest.mark.parametrize(
    ("sql", "parameters", "expected"),
    [
        ("select '?', 5 % 2", [], "select '?', 5 % 2"),
        ("select ? % 2", [5], "select %s %% 2"),
        ("""select '?''?', "?", `?`, ?""", [5], """select '?''?', "?", `?`, %s"""),
        (r"select '\'?', ?", [5], r"select '\'?', %s"),
    ],
    ids=["no parameter", "percent", "quotes", "escaped quote"],
)
def test_marks_of_parameters_are_those_of_pymysql(sql: str, parameters: list[int], expected: str) -> None:
    """Question marks outside quotes become the parameter marks of PyMySQL."""
    assert as_pymysql(sql, parameters) == expected


def test_a_view_is_narrowed_by_what_it_reads() -> None:
    """Only the views of audiences that a question reads are narrowed: three for binge, none for genre hours."""
    binge = narrow("q_binge", "2026-W02")
    assert [part for part in ("sizeable_show as (", "reported_show as (", "q_binge as (") if part in binge.expressions]
    assert (binge.audience, binge.parameters[-1]) == (True, "2026-W02")
    genres = narrow("q_genre_hours", "2026-01-05/2026-01-06")
    first, end = datetime(2026, 1, 5), datetime(2026, 1, 7)  # noqa: DTZ001 - as the mart has them
    assert (genres.audience, genres.parameters) == (False, (first, end) * 2)
    assert "reported_" not in genres.expressions


def test_every_question_can_be_narrowed() -> None:
    """Each question is narrowed either by its period of audiences or by its hours."""
    about_hours = [question.name for question in QUESTIONS if not narrow(question.view, "2026-W02").audience]
    assert about_hours == ["genre-hours", "genre-daypart", "after-the-end"]
    with pytest.raises(ConfigError, match="period='W02': "):
        narrow("q_binge", "W02")


# Output of commands.


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"level": "error", "message": "rollup failed"}\n', ("error", "rollup failed")),
        ("Killed\n", ("", "Killed")),
        ("17\n", ("", "17")),
        ('{"message": "no level"}\n', ("", '{"message": "no level"}')),
    ],
    ids=["log", "text", "number", "other JSON"],
)
def test_a_line_of_a_log_has_a_level(line: str, expected: tuple[str, str]) -> None:
    """A log line gives its level and message, and any other line is passed on unchanged."""
    assert api._log_line(line) == expected


def test_each_exit_code_has_its_error() -> None:
    """Each exit code has its own error, and an unknown code has the base class."""
    assert [api._ERRORS.get(code, MarqueeError).__name__ for code in (65, 75, 76, 78, 70, 1)] == [
        "BadInputError",
        "TryAgainError",
        "LostRaceError",
        "ConfigError",
        "MarqueeError",
        "MarqueeError",
    ]
