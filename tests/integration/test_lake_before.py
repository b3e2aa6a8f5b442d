"""A lake and a mart made by an earlier version work unchanged: status, questions, restatement, loading into MySQL.

Both the raw events and the schedule service of that lake are gone.
"""

import json
import tarfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from jobs.cli.__main__ import main
from marquee.calendar import Period
from marquee.lake.keys import PROFILE
from marquee.lake.markers import read_marker
from marquee.storage.local import LocalStore
from tests.helpers_cli import out_of
from tests.mariadb_server import MysqlDatabase

FIXTURES = Path(__file__).parents[1] / "fixtures"
RECORDED = json.loads((FIXTURES / "lake-and-kiosk-0.json").read_text(encoding="utf-8"))
DAY = "2026-01-05"
NOTHING = "".join(f"{stage}: nothing was pending\n" for stage in ("schedule-fetch", "rollup", "profile", "mart-load"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the earlier lake and mart, an empty folder for raw events, and the original settings."""
    with tarfile.open(FIXTURES / "lake-and-kiosk-0.tar.xz") as packed:
        packed.extractall(tmp_path, filter="data")
    (tmp_path / "raw").mkdir()
    config = tmp_path / "marquee.toml"
    config.write_text(
        f"""
        lake = "{(tmp_path / "lake").as_uri()}"
        raw = "{(tmp_path / "raw").as_uri()}"
        engine = {{ workers = 1, memory_mb = 256 }}
        rollup = {{ viewer_key = "key-of-the-lake-before", buckets = 2 }}
        mart = {{ url = "duckdb://{tmp_path / "kiosk.duckdb"}" }}

        [schedule_fetch]
        url = "http://127.0.0.1:18181"
        countries = ["JP", "KR", "US"]
        first_day = 2026-01-04
        last_day = 2026-01-06
        calls_per_window = 100000
        """
    )
    monkeypatch.setenv("MARQUEE_CONFIG", str(config))
    return tmp_path


def answers(capsys: pytest.CaptureFixture[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the answers of the configured mart to the recorded questions."""
    return {name: json.loads(out_of(capsys, "ask", name, "--all", "--format", "json")) for name in RECORDED["answers"]}


def test_every_period_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    """Status lists all periods as done: missing raw events make no hour stale."""
    rows = json.loads(out_of(capsys, "status", "--format", "json"))
    assert {(row["state"], row["reason"]) for row in rows} == {("done", "")}
    found = [
        [
            f"{row['stage']} {row['source']}".rstrip(),
            *(row[name] for name in ("period", "rows", "rejects", "generation")),
            datetime.fromisoformat(row["made_at"]),
        ]
        for row in rows
    ]
    assert found == [[*row, datetime.fromisoformat(made_at)] for *row, made_at in RECORDED["status"]]


def test_nothing_is_made_again(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """A run without a service and without raw events finds nothing to do and changes no object."""
    lake = LocalStore(folder / "lake")
    before = list(lake.list())
    assert out_of(capsys, "run") == NOTHING
    assert out_of(capsys, "rollup") == "rollup: nothing was pending\n"
    assert list(lake.list()) == before


def test_answers_are_as_they_were(capsys: pytest.CaptureFixture[str]) -> None:
    """The earlier mart gives the recorded answers."""
    assert answers(capsys) == RECORDED["answers"]


def test_day_made_again_has_the_same_bytes(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """A forced profile publishes a new generation with the same digests, so nothing downstream is stale."""
    lake = LocalStore(folder / "lake")
    earlier = read_marker(lake, PROFILE, Period.parse(DAY))
    assert out_of(capsys, "profile", DAY, "--force").startswith("profile: ")
    later = read_marker(lake, PROFILE, Period.parse(DAY))
    assert earlier is not None
    assert later is not None
    assert (earlier.generation, later.generation) == (1, 2)
    assert sorted(one.sha256 for one in later.outputs) == sorted(one.sha256 for one in earlier.outputs)
    assert later.inputs_digest == earlier.inputs_digest
    assert main(["profile"]) == 0
    assert capsys.readouterr().out.endswith("profile: nothing was pending\n")


def test_mysql_mart_is_loaded_from_it(
    capsys: pytest.CaptureFixture[str], mysql_mart: MysqlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A MySQL mart loads all periods of the earlier lake and gives the answers of the DuckDB mart."""
    monkeypatch.setenv("MARQUEE_MART__URL", mysql_mart.url)
    monkeypatch.setenv("MARQUEE_MART__PASSWORD", mysql_mart.password)
    loaded = sum(stage.startswith("mart_load ") for stage, *_ in RECORDED["status"])
    assert out_of(capsys, "mart-load") == f"mart-load: {loaded} made\n"
    assert answers(capsys) == RECORDED["answers"]
