"""Parquet files: the schema of the dataset, and the same bytes for the same rows."""

import random
from datetime import datetime

import pyarrow as pa
import pytest

from marquee.lake.datasets import DATASETS, REJECTS, SHOWS, TEXT, TIME, WHOLE, Column, Dataset
from marquee.lake.parquet import ROWS_A_GROUP, count_rows, empty, from_parquet, to_parquet

PLAYS = Dataset(
    "plays",
    "test",
    "play",
    1,
    (Column("id", WHOLE, "number"), Column("at", TIME, "when"), Column("note", TEXT, "words", nullable=True)),
)
ROWS = {"note": ["né", None], "id": [1, 2], "at": [datetime(2026, 1, 5, 13, 2, 11, 123456)] * 2}  # noqa: DTZ001 - UTC


def test_rows_come_back_with_the_schema() -> None:
    """Columns are selected by name into the order and types of the dataset, with accents and microseconds."""
    narrow = pa.table({**ROWS, "more": [0, 0]}).set_column(1, "id", pa.array([1, 2], pa.int16()))
    table = from_parquet(to_parquet(narrow, PLAYS))
    assert table.schema == PLAYS.schema
    assert table.to_pydict() == {name: ROWS[name] for name in ("id", "at", "note")}


def test_missing_value_is_refused() -> None:
    """A null in a column that does not allow nulls is an error."""
    with pytest.raises(ValueError, match="'id' with null values to non-nullable"):
        to_parquet(pa.table({**ROWS, "id": [1, None]}), PLAYS)


def test_missing_column_is_refused() -> None:
    """A missing column is an error that names the column."""
    with pytest.raises(KeyError, match="at"):
        to_parquet(pa.table({"id": [1], "note": ["x"]}), PLAYS)


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
def test_every_dataset_can_be_empty(dataset: Dataset) -> None:
    """A file without rows has the schema of its dataset."""
    data = to_parquet(empty(dataset), dataset)
    assert (from_parquet(data).schema, count_rows(data)) == (dataset.schema, 0)


def long_rows(rows: int) -> pa.Table:
    """Return rejects that are hard to compress, so that their columns have many pages."""
    made = random.Random(1)  # noqa: S311 - no secret
    return pa.table(
        {
            "key": [made.randbytes(20).hex() for _ in range(rows)],
            "line": range(rows),
            "reason": [made.choice(["no json", "no id"]) for _ in range(rows)],
            "raw": [made.randbytes(made.randrange(80)) for _ in range(rows)],
        }
    )


@pytest.fixture(scope="module")
def rejects() -> pa.Table:
    """A table with more rows than a row group, in one chunk."""
    return long_rows(ROWS_A_GROUP + 20_000)


@pytest.fixture(scope="module")
def rejects_file(rejects: pa.Table) -> bytes:
    """The file made of the rejects."""
    return to_parquet(rejects, REJECTS)


@pytest.mark.parametrize("size", [777, 1024, 50_000, ROWS_A_GROUP])
def test_bytes_do_not_depend_on_chunks(rejects: pa.Table, rejects_file: bytes, size: int) -> None:
    """The bytes of a file do not depend on how an engine divides the rows into batches."""
    pieces = pa.concat_tables([rejects.slice(start, size) for start in range(0, rejects.num_rows, size)])
    assert to_parquet(pieces, REJECTS) == rejects_file


def test_bytes_do_not_depend_on_how_rows_are_held(rejects: pa.Table, rejects_file: bytes) -> None:
    """A stream of batches and dictionary-encoded texts make the same file as a plain table."""
    stream = pa.RecordBatchReader.from_batches(rejects.schema, rejects.to_batches(max_chunksize=2048))
    coded = rejects.set_column(2, "reason", rejects["reason"].dictionary_encode())
    assert to_parquet(stream, REJECTS) == rejects_file
    assert to_parquet(coded, REJECTS) == rejects_file
    assert count_rows(rejects_file) == rejects.num_rows


def test_schemas_hold_what_the_key_says() -> None:
    """The first columns of a dataset are its sort key and never null, and names are unique."""
    assert len({dataset.name for dataset in DATASETS}) == len(DATASETS)
    for dataset in DATASETS:
        columns = dataset.columns[: dataset.key]
        assert [column.name for column in columns] == dataset.sort
        assert not any(column.nullable for column in columns)
        assert len(set(dataset.schema.names)) == len(dataset.columns)
    assert SHOWS.sort == ["show_id"]
