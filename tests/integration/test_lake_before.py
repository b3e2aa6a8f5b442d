"""A lake made by an earlier version works unchanged: status, restatement, loading; its mart is emptied and loaded anew.

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
from marquee.lake.keys import PROFILE, ROLLUP
from marquee.lake.markers import read_marker
from marquee.storage.local import LocalStore
from tests.helpers_cli import out_of
from tests.mariadb_server import MysqlDatabase

FIXTURES = Path(__file__).parents[1] / "fixtures"
RECORDED = json.loads((FIXTURES / "lake-and-kiosk-0.json").read_text(encoding="utf-8"))
DAY = "2026-01-05"
WITHOUT_EVENTS = "2026-01-06T03"
"""The hour of the quiet night; all other hours had events."""
DAYS = (DAY, "2026-01-06")
NAMED = {row["country"] for row in RECORDED["answers"]["genre-hours"] if row["country_name"]}
PERIODS = (*DAYS, "2026-W02", "2026-01", "2026-Q1")
NOTHING = "".join(f"{stage}: nothing was pending\n" for stage in ("schedule-fetch", "rollup", "profile", "mart-load"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the earlier lake and mart, an empty folder for raw events, and the original settings."""
    with tarfile.open(FIXTURES / "lake-and-kiosk-0.tar.xz") as packed:
        if hasattr(tarfile, "data_filter"):  # not in Debian 12's Python 3.11.2
            packed.extractall(tmp_path, filter="data")
        else:
            packed.extractall(tmp_path)  # noqa: S202 -- our own archive
    (tmp_path / "raw").mkdir()
    config = tmp_path / "marquee.toml"
    config.write_text(
        f"""
        lake = "{(tmp_path / "lake").as_uri()}"
        raw = "{(tmp_path / "raw").as_uri()}"
        engine = {{ workers = 1, memory_mb = 256 }}
        rollup = {{ viewer_key = "key-of-the-lake-before", buckets = 2 }}
        mart = {{ url = "duckdb://{tmp_path / "kiosk.duckdb"}", min_cell = 1 }}

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
    """Return the answers of the configured mart to the recorded questions, as they were recorded: 20 rows of each.

    Since then, a row of all shows was added, which has no place, the shares of genres by fractions have a name of their
    own, and countries that no schedule names have their names from ISO.
    """
    found = {}
    for name in RECORDED["answers"]:
        rows = json.loads(out_of(capsys, "ask", name, "--all", "--format", "json"))
        found[name] = [row for row in rows if row["place"] is not None][:20]
        for row in found[name] if name == "genre-hours" else ():
            row["share_percent"] = row.pop("fractional_percent")
            row["country_name"] = row["country_name"] if row["country"] in NAMED else None
    return found


def load_anew(capsys: pytest.CaptureFixture[str]) -> str:
    """Empty the earlier mart by an upgrade, and load it from the lake; return what the load says."""
    assert "It is empty: load it with `marquee mart-load`" in " ".join(out_of(capsys, "mart", "upgrade").split())
    return out_of(capsys, "mart-load")


def test_every_hour_is_done(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Status lists all hours as done, under the definition of that time, because their raw events are gone.

    The exceptions can be made again: the hour that had no events, from nothing, and days and audiences, from the hours.
    """
    (folder / "kiosk.duckdb").unlink()
    rows = json.loads(out_of(capsys, "status", "--format", "json"))
    rows = [row for row in rows if row["stage"] != "mart_load"]
    open_ones = [(row["stage"], row["period"], row["reason"].split("; ")[0]) for row in rows if row["state"] != "done"]
    assert open_ones == [
        ("rollup", WITHOUT_EVENTS, "made by definition 1, now 4"),
        *(("profile", day, "made by definition 1, now 2") for day in DAYS),
        *(("audience", period, "setting step_completion was None, is now 0.7") for period in PERIODS),
    ]
    found = [
        [
            f"{row['stage']} {row['source']}".rstrip(),
            *(row[name] for name in ("period", "rows", "rejects", "generation")),
            datetime.fromisoformat(row["made_at"]),
        ]
        for row in rows
    ]
    assert found == [
        [stage, *row, datetime.fromisoformat(made_at)]
        for stage, *row, made_at in RECORDED["status"]
        if not stage.startswith("mart_load ")
    ]


def test_no_other_hour_is_made_again(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """A run without a service and raw events makes the hour without events, again empty, and no other hour."""
    lake = LocalStore(folder / "lake")
    load_anew(capsys)
    before = {info.key: info.etag for info in lake.list()}
    hour = Period.parse(WITHOUT_EVENTS)
    made = {"rollup": 1, "profile": len(DAYS) + len(PERIODS), "mart-load": 1 + len(PERIODS)}
    expected = NOTHING
    for stage, count in made.items():
        expected = expected.replace(f"{stage}: nothing was pending", f"{stage}: {count} made")
    assert out_of(capsys, "run") == expected
    later = read_marker(lake, ROLLUP, hour)
    assert later is not None
    assert [(one.dataset, one.rows) for one in later.outputs] == [("viewership", 0)]
    after = {info.key: info.etag for info in lake.list()}
    changed = {key for key in after if after[key] != before.get(key) and not key.endswith("/_INDEX")}
    again = (f"/rollup/{WITHOUT_EVENTS}/", "/profile/", "/audience/")
    assert all(any(part in key for part in again) for key in changed)
    assert before.keys() <= after.keys()
    assert out_of(capsys, "run") == NOTHING


def test_answers_are_as_they_were(capsys: pytest.CaptureFixture[str]) -> None:
    """The earlier mart has no answers, because it is by hour; loaded anew it gives the recorded ones."""
    assert main(["ask", "binge"]) == 78
    assert "Run `marquee mart upgrade`, which empties it" in " ".join(capsys.readouterr().err.split())
    loaded = sum(stage.startswith("mart_load ") for stage, *_ in RECORDED["status"])
    assert load_anew(capsys) == f"mart-load: {loaded} made\n"
    assert answers(capsys) == RECORDED["answers"]
    assert "\n48 of 168 hours of 2026-W02 · " in out_of(capsys, "ask", "binge")
    assert "2026-W02: 48 of 168 hours (audience, mart_load audience)\n" in out_of(capsys, "status")


def test_day_made_again_has_the_same_bytes(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """A forced profile publishes a new generation with the same digests, except of sittings, which are defined anew."""
    lake = LocalStore(folder / "lake")
    earlier = read_marker(lake, PROFILE, Period.parse(DAY))
    assert out_of(capsys, "profile", DAY, "--force").startswith("profile: ")
    later = read_marker(lake, PROFILE, Period.parse(DAY))
    assert earlier is not None
    assert later is not None
    assert (earlier.generation, later.generation) == (1, 2)
    old, new = (
        [(one.dataset, one.sha256) for one in marker.outputs if "sitting" not in one.dataset]
        for marker in (earlier, later)
    )
    assert len(old) == 5
    assert new == old
    assert later.inputs == earlier.inputs


def test_mysql_mart_is_loaded_from_it(
    capsys: pytest.CaptureFixture[str], mysql_mart: MysqlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A MySQL mart loads all periods of the earlier lake and gives the answers of the DuckDB mart."""
    monkeypatch.setenv("MARQUEE_MART__URL", mysql_mart.url)
    monkeypatch.setenv("MARQUEE_MART__PASSWORD", mysql_mart.password)
    loaded = sum(stage.startswith("mart_load ") for stage, *_ in RECORDED["status"])
    assert out_of(capsys, "mart-load") == f"mart-load: {loaded} made\n"
    assert answers(capsys) == RECORDED["answers"]
