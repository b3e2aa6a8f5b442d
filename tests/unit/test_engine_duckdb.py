"""DuckDB for kernels: what a session may not do, and where it spills."""

import os
import stat
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from marquee.engine.duckdb import open_database
from marquee.engine.scratch import own_scratch

FILLED = "create or replace temp table t as select range as i, repeat('x', 200) || range as text from range(1500000)"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a file that a session may read, and one beside it."""
    for name in ("lake", "elsewhere"):
        (tmp_path / name).mkdir()
        pq.write_table(pa.table({"number": [1, 2]}), tmp_path / name / "rows.parquet")
    return tmp_path


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("from read_parquet('{files}/elsewhere/rows.parquet')", id="another file"),
        pytest.param("from read_parquet('{files}/lake/../elsewhere/rows.parquet')", id="another file by dots"),
        pytest.param("from read_text('/etc/passwd')", id="a file of the system"),
        pytest.param("from read_csv('http://127.0.0.1:9/a.csv')", id="a URL"),
        pytest.param("copy (select 1) to '{files}/elsewhere/new.csv'", id="a new file"),
        pytest.param("attach '{files}/elsewhere/new.db'", id="another database"),
        pytest.param("install httpfs", id="an extension from the network"),
        pytest.param("load httpfs", id="an extension"),
        pytest.param("set enable_external_access = true", id="more access"),
        pytest.param("set memory_limit = '100GB'", id="more memory"),
        pytest.param("set temp_directory = '/tmp'", id="another place to spill"),
    ],
)
def test_session_is_locked_down(files: Path, statement: str) -> None:
    """A session reads and writes no other files, loads no extension and changes no setting."""
    with (
        open_database(128, own_scratch(files / "elsewhere"), files / "lake") as db,
        pytest.raises((duckdb.PermissionException, duckdb.InvalidInputException)),
    ):
        db.execute(statement.format(files=files)).fetchall()


def test_session_reads_what_it_is_for(files: Path) -> None:
    """A session reads the files of its folder and of the scratch space."""
    folder = own_scratch(files / "elsewhere")
    pq.write_table(pa.table({"number": [3]}), folder / "rows.parquet")
    with open_database(128, folder, files / "lake") as db:
        for place, rows in ((files / "lake", [(1,), (2,)]), (folder, [(3,)])):
            assert db.execute(f"from read_parquet('{place}/rows.parquet')").fetchall() == rows


def test_only_this_user_reads_what_is_spilled(tmp_path: Path) -> None:
    """DuckDB spills into a folder with mode 0700, which is in one with mode 0700."""
    with open_database(64, tmp_path) as db:
        db.execute(FILLED)
        (folder,) = own_scratch(tmp_path).glob("marquee-spill-*")
        spilled = sum(file.stat().st_size for file in folder.iterdir())
    assert spilled > 1 << 20
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)] == [0o700, 0o700]
    assert str(os.getpid()) in folder.name
