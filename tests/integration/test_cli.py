"""The command line over a small lake: the output and the exit code of each command."""

import csv
import html
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from jobs.cli.__main__ import main
from marquee.calendar import Period
from marquee.lake.keys import failed_key
from marquee.lake.manifest import Failure
from marquee.telemetry import instruments
from tests.helpers_cli import error_of, out_of, usage_error
from tests.schedule_service import ScheduleService, raw
from tests.small_world import (
    CASE,
    DAY,
    KEY,
    WINTER,
    SmallWorld,
    event_file,
    finished_world,
    tell_schedule,
    told_service,
)

FIRST, EMPTY, LAST = f"{DAY}T10", f"{DAY}T11", f"{DAY}T12"
PERIODS = ["2026-01", "2026-Q1", "2026-W02", DAY]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset the width of the terminal, so that the environment of the test run does not matter."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(scope="module")
def service() -> Iterator[ScheduleService]:
    """The schedule service."""
    with told_service() as running:
        yield running


@pytest.fixture(scope="module")
def done(service: ScheduleService, tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """A lake after a full run over three hours: the second has no events, the last has one bad line."""
    return finished_world(tmp_path_factory.mktemp("done"), service, bad_lines=1)


@pytest.fixture
def world(done: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallWorld:
    """A copy of the finished lake, with its settings in force."""
    copy = done.copy(tmp_path / "world")
    monkeypatch.setenv("MARQUEE_CONFIG", str(copy.config))
    return copy


# Periods and settings


@pytest.mark.parametrize("command", ["run", "schedule-fetch", "rollup", "profile", "mart-load", "status"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["2026-13"], "Invalid month '2026-13': month must be in 1..12", id="wrong"),
        pytest.param(
            ["--from", "2026-02", "--to", "2026-01"],
            "--from 2026-02 is after --to 2026-01. The first period must not be later than the last",
            id="from after to",
        ),
        pytest.param(["2026-01", "--from", DAY], "Use a PERIOD, or --from and --to, not both", id="both"),
    ],
)
def test_wrong_periods(
    capsys: pytest.CaptureFixture[str], world: SmallWorld, command: str, arguments: list[str], message: str
) -> None:
    """An invalid period is a usage error, and no stage runs."""
    assert usage_error(capsys, command, *arguments) == f"marquee {command}: error: {message}"
    assert world.generations()[f"rollup/{FIRST}"] == 1


@pytest.mark.parametrize(
    "command", [["run"], ["rollup"], ["status"], ["ask", "binge"], ["config"], ["gc"]], ids=lambda one: one[0]
)
def test_misspelt_setting(
    capsys: pytest.CaptureFixture[str], world: SmallWorld, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """Every command rejects a misspelt setting with code 78, suggests the correct name, and does nothing."""
    monkeypatch.setenv("MARQUEE_ROLUP__BUCKETS", "3")
    expected = "Unknown setting MARQUEE_ROLUP__BUCKETS. Did you mean MARQUEE_ROLLUP__BUCKETS?"
    assert error_of(capsys, *command, code=78) == expected
    assert world.generations()[f"rollup/{FIRST}"] == 1


def test_misspelt_entry_of_the_file(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """A misspelt entry of the configuration file is rejected with a suggestion, like a misspelt variable."""
    world.config.write_text(world.config.read_text().replace("first_day", "frist_day"))
    expected = "Unknown setting MARQUEE_SCHEDULE_FETCH__FRIST_DAY. Did you mean MARQUEE_SCHEDULE_FETCH__FIRST_DAY?"
    assert error_of(capsys, "run", code=78) == expected


# config


def settings_in_force(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    """Return (value, source) by setting."""
    rows = json.loads(out_of(capsys, "config", "--format", "json"))
    return {row["setting"]: (row["value"], row["from"]) for row in rows}


def test_config_tells_value_and_source(
    capsys: pytest.CaptureFixture[str], world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable overrides the file, and the file overrides the default; values look as a variable holds them."""
    monkeypatch.setenv("MARQUEE_ROLLUP__BUCKETS", "7")
    monkeypatch.setenv("marquee_profile__order_reach", "5")
    monkeypatch.setenv("MARQUEE_S3", '{"region": "eu-north-1"}')
    found = settings_in_force(capsys)
    file = str(world.config)
    assert found["MARQUEE_ROLLUP__BUCKETS"] == ("7", "MARQUEE_ROLLUP__BUCKETS")
    assert found["MARQUEE_PROFILE__ORDER_REACH"] == ("5", "marquee_profile__order_reach")
    assert found["MARQUEE_S3__REGION"] == ("eu-north-1", "MARQUEE_S3")
    assert found["MARQUEE_S3__PART_MB"] == ("16", "default")
    assert found["MARQUEE_LAKE"] == (world.lake.url, file)
    assert found["MARQUEE_ROLLUP__REJECT_LINES"] == ("2", file)
    assert found["MARQUEE_SCHEDULE_FETCH__COUNTRIES"] == ('["KR"]', file)
    assert found["MARQUEE_ROLLUP__REJECT_SHARE"] == ("0.01", "default")
    assert found["MARQUEE_S3__PATH_STYLE"] == ("false", "default")
    assert found["MARQUEE_MART__PERIOD"] == ("", "default")


def test_config_tells_of_the_launcher_where_it_is_told_anything(
    capsys: pytest.CaptureFixture[str], world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings of the launcher are listed only if at least one of them is set."""
    launcher = {"APPLICATION": "a.yaml", "NAMESPACE": "analytics", "JOB_NAME": "j", "JOB_UID": "u"}
    assert "MARQUEE_LAUNCHER__POLL_S" not in settings_in_force(capsys)
    for name, value in launcher.items():
        monkeypatch.setenv(f"MARQUEE_LAUNCHER__{name}", value)
    found = settings_in_force(capsys)
    assert found["MARQUEE_LAUNCHER__NAMESPACE"] == ("analytics", "MARQUEE_LAUNCHER__NAMESPACE")
    assert found["MARQUEE_LAUNCHER__POLL_S"] == ("10.0", "default")
    assert found["MARQUEE_LAKE"] == (world.lake.url, str(world.config))


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_config_masks_secrets(
    capsys: pytest.CaptureFixture[str], world: SmallWorld, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """The viewer key, passwords in URLs and secrets in Spark's own configuration are masked."""
    spark = {
        "spark.hadoop.fs.s3a.secret.key": "canary-3",
        "spark.driver.extraJavaOptions": "-Dproxy.password=canary-4",
        "spark.jars.repositories": "http://me:canary-2@s3.example:9000",
        "spark.executor.memory": "2g",
    }
    monkeypatch.setenv("MARQUEE_ENGINE__SPARK", json.dumps(spark))
    shown = out_of(capsys, "config", "--format", form)
    assert KEY not in shown
    assert "canary" not in shown
    assert "http://**********@s3.example:9000" in shown
    assert "2g" in shown
    assert world.config.read_text().count(KEY) == 1


@pytest.mark.usefixtures("world")
def test_config_of_some_stages(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Config warns of a setting that is invalid for one stage, and still lists the settings of the other stages."""
    monkeypatch.setenv("MARQUEE_ROLLUP__BUCKETS", "many")
    assert main(["config", "--format", "json"]) == 0
    captured = capsys.readouterr()
    listed = {row["setting"] for row in json.loads(captured.out)}
    assert "MARQUEE_PROFILE__ORDER_REACH" in listed
    assert "MARQUEE_ROLLUP__BUCKETS" not in listed
    assert re.match(r"\d\d:\d\d:\d\d WARNING wrong settings:\n  MARQUEE_ROLLUP__BUCKETS='many'", captured.err)


# status


def rows_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """Return the periods that status lists."""
    rows: list[dict[str, Any]] = json.loads(out_of(capsys, "status", *arguments, "--format", "json"))
    return rows


def states(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Return the states other than done, by stage and period."""
    return {f"{label(row)} {row['period']}": row["state"] for row in rows if row["state"] != "done"}


def label(row: dict[str, Any]) -> str:
    """Return the stage of a row; for the mart, also the stage whose rows are loaded."""
    return f"{row['stage']} {row['source']}".rstrip()


def test_status_in_short(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """Status prints the places and the raw objects, then a line for each stage, with its states and ages."""
    shown = out_of(capsys, "status").splitlines()
    lake, environment, mart, objects, *table = shown
    assert lake == f"lake: {world.lake.url}"
    assert environment == "environment: local"
    assert mart.startswith("mart: duckdb:///")
    assert objects == "raw objects: 2 read"
    # A state without periods has no column. The data end on 2026-01-05, days ago; the last run was just now.
    lines = [re.sub(r"\d+ d \d+ h|\d+ min", "…", line).split() for line in table]
    assert lines[:3] == [
        ["Stages"],
        ["last"],
        ["stage", "done", "newest", "data", "age", "rows", "rejects", "run"],
    ]
    # Rows of the main dataset: viewership has one row for each of the two hours with plays; viewer days, one a show;
    # audiences, a show in Korea and worldwide, four times; the mart has 6 captured rows and 2 bases a period as well.
    # The three long periods also have four rows of overlaps of their two shows.
    assert lines[4:11] == [
        ["schedule_fetch", "1", DAY, "…", "2", "0", "…"],
        ["rollup", "3", LAST, "…", "2", "1", "…"],
        ["profile", "1", DAY, "…", "2", "0", "…"],
        ["audience", "4", "2026-Q1", "…", "16", "0", "…"],
        ["mart_load", "schedule_fetch", "1", DAY, "…", "6", "0", "…"],
        ["mart_load", "rollup", "3", LAST, "…", "2", "0", "…"],
        ["mart_load", "audience", "4", "2026-Q1", "…", "52", "0", "…"],
    ]
    # The day has three hours, and so have the periods that contain it.
    assert shown[-4:] == [
        f"{DAY}: 3 of 24 hours (profile, audience, mart_load audience)",
        "2026-W02: 3 of 168 hours (audience, mart_load audience)",
        "2026-01: 3 of 744 hours (audience, mart_load audience)",
        "2026-Q1: 3 of 2,160 hours (audience, mart_load audience)",
    ]


def test_status_for_machines(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """JSON and CSV list every period with the figures of its marker."""
    rows = rows_of(capsys)
    assert [row["period"] for row in rows if row["stage"] == "rollup"] == [FIRST, EMPTY, LAST]
    marker = world.markers()[f"rollup/{LAST}"]
    assert [row for row in rows if row["stage"] == "rollup"][-1] == {
        "stage": "rollup",
        "period": LAST,
        "state": "done",
        "rows": 1,
        "rejects": 1,
        "generation": 1,
        "made_at": datetime.fromisoformat(marker.finished_at).isoformat(),
        "reason": "",
        "source": "",
        "note": "",
        "objects": {"read": 1},
        "hours": None,
        "hours_expected": None,
    }
    listed = list(csv.DictReader(io.StringIO(out_of(capsys, "status", "--format", "csv"))))
    assert [(row["stage"], row["period"], row["state"]) for row in listed] == [
        (row["stage"], row["period"], row["state"]) for row in rows
    ]
    assert [row["objects"] for row in listed if row["stage"] == "rollup"] == ["1 read", "", "1 read"]


@pytest.mark.usefixtures("world")
def test_status_of_all_periods_and_of_some(capsys: pytest.CaptureFixture[str]) -> None:
    """Option --all lists every period, and a period argument narrows the list to the periods that overlap it."""
    assert out_of(capsys, "status", "--all").count(" done ") == 1 + 3 + 1 + 4 + 1 + 3 + 4

    def periods_of(stage: str, *period: str) -> list[str]:
        return sorted(row["period"] for row in rows_of(capsys, *period) if label(row) == stage)

    assert periods_of("rollup", LAST) == periods_of("mart_load rollup", LAST) == [LAST]
    assert periods_of("rollup", "--to", EMPTY) == [FIRST, EMPTY]
    assert periods_of("audience", LAST) == sorted(PERIODS)
    assert periods_of("audience", "2026-01-04") == ["2026-01", "2026-Q1"]  # the week begins on the 5th
    assert periods_of("rollup", "2026-01-04") == []


@pytest.mark.usefixtures("world")
def test_status_as_a_page(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Option --html writes a page and prints its path; a path that cannot be written is an error with a remedy."""
    page = tmp_path / "status.html"
    assert out_of(capsys, "status", "--html", str(page)) == f"Wrote {page}\n"
    assert "<h1>Periods: 17 done</h1>" in page.read_text()
    assert f'title="{LAST}: done; 1 rows, 1 rejects, made ' in page.read_text()
    assert main(["status", "--html", str(tmp_path / "not" / "there.html")]) == 78
    assert (
        "there.html cannot be written: No such file or directory. Name a file in an existing" in capsys.readouterr().err
    )


def test_status_of_a_late_file(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """A late file makes its hour stale; after that hour is made again, the periods that depend on it are stale."""
    world.events(FIRST, [("bob", 30, CASE)], file=1)
    assert states(rows_of(capsys)) == {f"rollup {FIRST}": "stale"}
    assert main(["rollup"]) == 0
    assert states(rows_of(capsys)) == {f"profile {DAY}": "stale", f"mart_load rollup {FIRST}": "stale"}
    shown = out_of(capsys, "status")
    assert "Not done: 2" in shown
    assert f"stale: profile {DAY}\n  changed: rollup/{FIRST}/viewer_hour\n" in shown
    assert f"stale: mart_load rollup {FIRST}\n  made again after it was loaded\n" in shown


def test_status_of_a_held_file(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """A late file of an hour that has lost its raw events leaves every period done; a note says what to do."""
    world.raw.delete(event_file(FIRST, [])[0])
    world.events(FIRST, [("bob", 30, CASE)], file=1)
    assert main(["run"]) == 0
    capsys.readouterr()
    assert states(rows_of(capsys)) == {}
    assert (
        f"Published, with a note: 1 periods\nrollup {FIRST}\n  1 late or replaced file is held, such as "
        f"{event_file(FIRST, [], 1)[0]}, because other raw events of this hour are gone (1 object). Restore them; "
        f"leave the files; or count only what is left (1 object) with `marquee rollup {FIRST} --force`\n"
    ) in out_of(capsys, "status")


def test_status_of_unread_objects(capsys: pytest.CaptureFixture[str], world: SmallWorld, tmp_path: Path) -> None:
    """Every format counts the raw objects by class, and warns of those that are never read, with an example."""
    (key,) = [info.key for info in world.raw.list() if "hour=10" in info.key]
    world.raw.put(key.replace(".json", ".txt"), b"x")
    world.raw.put("topics/plays/a.json", b"x")
    said = (
        f"1 with another ending, such as '{key.replace('.json', '.txt')}'; 1 in no hour's folder, or in that of an "
        "implausible hour, such as 'topics/plays/a.json'"
    )
    assert main(["status"]) == 0
    shown = capsys.readouterr()
    assert "raw objects: 1 no_hour, 1 other_ending, 2 read\n" in shown.out
    assert said in shown.err
    assert main(["status", "--format", "json"]) == 0
    shown = capsys.readouterr()
    rows = {label(row) + row["period"]: row["objects"] for row in json.loads(shown.out)}
    assert rows[f"rollup{FIRST}"] == {"other_ending": 1, "read": 1}
    assert said in shown.err
    page = tmp_path / "status.html"
    assert main(["status", "--html", str(page)]) == 0
    assert "raw objects: 1 other_ending, 1 read" in page.read_text()
    assert "raw objects: 1 no_hour, 1 other_ending, 2 read</p>" in page.read_text()
    assert said in html.unescape(page.read_text())


def test_raw_objects_are_published_as_metrics(world: SmallWorld) -> None:
    """A run of the rollup sets the number of raw objects of each class, 0 for classes without any."""
    world.raw.put("topics/plays/a.json", b"x")
    assert main(["rollup"]) == 0
    values = {one.labels["class"]: one.value for family in instruments.RAW_OBJECTS.collect() for one in family.samples}
    assert values == {
        **dict.fromkeys(("folder_marker", "hidden", "ignored", "other_ending", "sidecar", "symlink"), 0),
        "no_hour": 1,
        "read": 2,
    }
    for info in world.raw.list("topics/plays/year="):
        world.raw.delete(info.key)
    shutil.rmtree(world.lake.root)
    assert main(["rollup"]) == 78
    assert [instruments.RAW_OBJECTS.labels(kind)._value.get() for kind in ("read", "no_hour")] == [0, 1]


def test_status_of_new_events(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """New events make their hour pending, and also the empty hours between them and the last hour that was made."""
    world.events(f"{DAY}T14", [("bob", 30, CASE)])
    assert states(rows_of(capsys)) == {f"rollup {DAY}T13": "pending", f"rollup {DAY}T14": "pending"}


def test_status_of_failures_tells_why(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """Every format shows the reason of the failure marker, for stages and for the mart."""
    world.events(LAST, [], file=1, bad_lines=2)
    assert main(["rollup"]) == 65
    failure = Failure("mart_load", DAY, "r1", 1, "try again", 75, "the disk is full", "2026-02-01T00:00:00.000+00:00")
    world.lake.put(failed_key("mart_load", Period.parse(DAY)), failure.to_json())
    world.events(FIRST, [("bob", 30, CASE)], file=1)
    assert main(["rollup", FIRST]) == 0
    rows = rows_of(capsys)
    assert states(rows) == {
        f"rollup {LAST}": "failed",
        f"profile {DAY}": "waiting",  # it is not made again without the late file
        f"mart_load rollup {FIRST}": "failed",
    }
    reasons = {label(row): row["reason"] for row in rows if row["state"] == "failed"}
    rejected = f"{LAST}: 1 file has lines, but no play"
    assert reasons["rollup"].startswith(rejected)
    assert reasons["mart_load rollup"] == "the disk is full"
    shown = out_of(capsys, "status")
    assert rejected in shown
    assert "the disk is full" in shown


def test_status_shows_first_what_needs_somebody(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """The list of open periods begins with failed ones, then stale ones, then pending ones."""
    world.events("2026-01-06T12", [("bob", 30, CASE)])  # 24 hours are pending
    world.events(LAST, [], file=1, bad_lines=2)
    assert main(["rollup", LAST]) == 65
    world.events(FIRST, [("bob", 30, CASE)], file=1)
    lines = out_of(capsys, "status").splitlines()
    title, end = lines.index("Not done: 27 periods"), lines.index("Partial: 4 periods")
    assert [line for line in lines[title + 1 : end] if line and not line.startswith(" ")] == [
        f"failed: rollup {LAST}",
        f"stale: rollup {FIRST}",
        f"pending: rollup {DAY}T13 to 2026-01-06T12 (24)",
        f"waiting: profile {DAY}",
    ]


def test_status_while_the_kiosk_is_loaded(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """While the mart is being loaded, status lists the stages and reports that the mart cannot be read now."""
    holder = "import duckdb, sys; db = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", holder, str(world.kiosk)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        assert main(["status", "--format", "json"]) == 0
        other.communicate(b"")
    captured = capsys.readouterr()
    assert {row["stage"] for row in json.loads(captured.out)} == {"schedule_fetch", "rollup", "profile", "audience"}
    assert "is open in another process" in captured.err


# ask


@pytest.mark.usefixtures("world")
def test_ask_answers_what_the_words_ask(capsys: pytest.CaptureFixture[str]) -> None:
    """The answer is a table with the question above it, and the method and the data source below it."""
    lines = [line.rstrip() for line in out_of(capsys, "ask", "genre-hours").splitlines()]
    assert lines[0] == f"What genre gets the most viewing hours in Korea?  {DAY} · KR · Korea (South)"
    # Twelve minutes of romance and six of crime.
    assert lines[4:6] == [
        "Romance      1    0.2   66.7         0.2        66.7",
        "Crime        2    0.1   33.3         0.1        33.3",
    ]
    assert lines[-1] == "Shows and episodes: TVmaze (https://www.tvmaze.com), CC BY-SA 4.0"


@pytest.mark.usefixtures("world")
def test_ask_says_how_far_to_trust_it(capsys: pytest.CaptureFixture[str]) -> None:
    """A table says what it leaves out and has the line of trust; a program reads the same in the log."""
    shown = out_of(capsys, "ask", "genre-hours", "--limit", "1")
    assert "\n1 of 2 rows (--all-rows shows all)\n" in shown
    assert f"\n3 of 24 hours of {DAY} · 0.0 % of hours are of unknown shows · newest hour {DAY}T12 · loaded " in shown
    assert "--all-rows" not in out_of(capsys, "ask", "genre-hours", "--all-rows")
    assert main(["ask", "genre-hours", "--format", "csv", "--log", "json"]) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 1 + 2
    said = json.loads(captured.err)
    assert (said["level"], said["trust"]["hours"], said["trust"]["hours_expected"]) == ("warning", 3, 24)


def test_ask_of_a_period_and_of_all(
    capsys: pytest.CaptureFixture[str], world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options --period and --trend choose periods, and --country is a short filter. A mart is enough for it."""
    monkeypatch.delenv("MARQUEE_CONFIG")
    mart = ["--mart", f"duckdb://{world.kiosk}"]

    def asked(*arguments: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(out_of(capsys, "ask", *arguments, *mart, "--format", "json"))
        return rows

    assert [row["hours"] for row in asked("genres", "--country", "KR", "--period", DAY)] == [0.2, 0.1]
    hour = error_of(capsys, "ask", "genres", "--period", f"{DAY}T12", *mart, code=78)
    assert "answers are of whole days. Use a day, week, month or quarter" in hour
    assert [row["period"] for row in asked("genres", "--trend", "week")] == ["2026-W02", "2026-W02"]
    message = error_of(capsys, "ask", "genres", "--period", "2026-W03", *mart, code=78)
    assert message.endswith(f"Use a period that overlaps {FIRST} to {DAY}T12")


def test_ask_narrowed_and_widened(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """Option --only replaces the question's own filter, --all removes it, and --limit cuts the answer."""

    def genres(*arguments: str) -> list[tuple[str, str]]:
        rows = json.loads(out_of(capsys, "ask", "genre-hours", *arguments, "--format", "json"))
        return [(row["country"], row["genre"]) for row in rows]

    world.events(f"{DAY}T13", [("ann", 1, WINTER)])
    path = next(world.raw.root.rglob("hour=13/*"))
    path.write_text(path.read_text().replace('"KR"', '"US"'))
    assert main(["run"]) == 0
    assert genres() == [("KR", "Romance"), ("KR", "Crime")]
    assert genres("--only", "country=US") == [("US", "Romance")]
    assert genres("--only", "genre=Crime") == [("KR", "Crime")]
    assert genres("--only", "place=2") == [("KR", "Crime")]
    assert genres("--all", "--only", "place=1") == [("KR", "Romance"), ("US", "Romance")]
    assert genres("--limit", "1") == [("KR", "Romance")]
    assert genres("--limit", "0", "--all") == [("KR", "Romance"), ("US", "Romance"), ("KR", "Crime")]


@pytest.mark.usefixtures("world")
def test_ask_for_a_spreadsheet(capsys: pytest.CaptureFixture[str]) -> None:
    """A title that looks like a formula is not executed by a spreadsheet that opens the CSV."""
    rows = list(csv.DictReader(io.StringIO(out_of(capsys, "ask", "top-shows", "--format", "csv"))))
    shown = [(row["title"], row["hours"]) for row in rows]
    assert shown == [("All shows", "0.3"), ("'=Winter", "0.2"), ("Case", "0.1")]
    assert "'" not in out_of(capsys, "ask", "top-shows", "--format", "json")


@pytest.mark.usefixtures("world")
def test_ask_without_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """A question without rows says so and ends with 0: no show reached fifty viewers."""
    assert "(no rows)" in out_of(capsys, "ask", "binge")
    assert json.loads(out_of(capsys, "ask", "binge", "--format", "json")) == []


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["bing"], "Unknown question 'bing'. Did you mean binge?", id="nearly"),
        pytest.param(["weather"], "Unknown question 'weather'. Use one of: genre-hours, ", id="not at all"),
        pytest.param(["binge", "--only", "land=KR"], "binge has no column 'land'. Use one of: period, ", id="column"),
    ],
)
def test_ask_what_there_is_not(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    """An unknown question or column is an error that names the closest or all valid ones."""
    assert error_of(capsys, "ask", *arguments, code=78).startswith(message)


def test_ask_without_a_kiosk(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """Asking without a mart is an error that explains how to load one."""
    world.kiosk.unlink()
    assert "Load one first with `marquee mart-load`" in error_of(capsys, "ask", "binge", code=78)


# gc


def garbage(world: SmallWorld) -> str:
    """Run a stage twice, and return the prefix of the run that became garbage."""
    old = world.markers()[f"rollup/{FIRST}"].run_id
    assert main(["rollup", FIRST, "--force"]) == 0
    return f"data/rollup/{FIRST}/run={old}/"


def test_gc_deletes_what_its_plan_says_and_no_other(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """A dry run prints the command that deletes exactly the listed objects; another digest deletes nothing."""
    prefix = garbage(world)  # one object of viewer hours, one of viewership
    kept = {info.key for info in world.lake.list() if not info.key.startswith(prefix)}
    shown = out_of(capsys, "gc", "--grace-hours", "0")
    assert f"\n{prefix}  " in shown
    assert "DRY RUN: nothing was deleted." in shown
    command = shown.splitlines()[-1].split()
    assert command[:-1] == ["marquee", "gc", "--grace-hours", "0", "--delete"]
    wrong = error_of(capsys, "gc", "--grace-hours", "0", "--delete", "0123456789ab", code=78)
    assert (
        wrong == f"--delete 0123456789ab differs from the plan's digest {command[-1]}. Run marquee gc to see the plan"
    )
    assert [info.key for info in world.lake.list(prefix)] != []
    assert "Deleted 2 objects." in out_of(capsys, *command[1:])
    assert {info.key for info in world.lake.list()} == kept
    assert out_of(capsys, *command[1:-2]) == "There is no garbage older than 0 hours.\n"


def test_job_collects_garbage_without_a_digest(world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    """With `all` the plan of the moment is deleted, as by the chart's CronJob."""
    prefix = garbage(world)
    assert "Deleted 2 objects." in out_of(capsys, "gc", "--grace-hours", "0", "--delete", "all")
    assert list(world.lake.list(prefix)) == []


def test_gc_spares_what_is_young(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """By default, garbage younger than a week is kept, because a reader of an old run may still need it."""
    garbage(world)
    assert out_of(capsys, "gc") == "There is no garbage older than 168 hours.\n"
    assert out_of(capsys, "gc", "--grace-hours", "24") == "There is no garbage older than 24 hours.\n"


# retain


def test_retain_without_days(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:  # noqa: ARG001 - its settings
    """Without days of retention, nothing ends, and the command names a setting."""
    assert out_of(capsys, "retain") == (
        "Nothing ends, because no days are set. See MARQUEE_RETENTION__RAW_DAYS in docs/settings.md.\n"
    )


def test_retain_ends_what_its_plan_says_and_no_other(
    capsys: pytest.CaptureFixture[str], world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run prints the command that ends exactly the plan; another digest, or a day to come, ends nothing."""
    monkeypatch.setenv("MARQUEE_RETENTION__RAW_DAYS", "7")
    raw = [info.key for info in world.raw.list()]
    shown = out_of(capsys, "retain")
    assert re.search(rf"^raw +3 +{len(raw)} +[\d,]+$", shown, re.MULTILINE)
    assert "DRY RUN: nothing was deleted." in shown
    command = shown.splitlines()[-1].split()
    assert command[:-1] == ["marquee", "retain", "--delete"]
    assert f"differs from the plan's digest {command[-1]}" in error_of(capsys, "retain", "--delete", "0" * 12, code=78)
    assert "this day has not come yet" in error_of(capsys, "retain", "--yes-plan-of", "9998-01-01", code=78)
    assert [info.key for info in world.raw.list()] == raw
    assert f"Deleted {len(raw)} objects: raw {len(raw)} (" in out_of(capsys, *command[1:])
    assert [info.key for info in world.raw.list()] == []
    assert out_of(capsys, "retain", "--yes-plan-of", "today") == "Deleted 0 objects.\n"
    assert "ended: raw of 3 hours up to 2026-01-05T12\n" in out_of(capsys, "status")
    assert "nothing was pending" in out_of(capsys, "rollup")


# run, and single stages


def test_run_when_all_is_done(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """When everything is done, run says so for every stage."""
    stages = ["schedule-fetch", "rollup", "profile", "mart-load"]
    assert out_of(capsys, "run") == "".join(f"{stage}: nothing was pending\n" for stage in stages)
    assert out_of(capsys, "rollup") == "rollup: nothing was pending\n"
    assert set(world.generations().values()) == {1}


@pytest.mark.usefixtures("world")
def test_stages_say_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    """Rollup refuses a period without events; downstream stages have nothing to do and name the cause on one line."""
    message = error_of(capsys, "rollup", "2025-12", code=78)
    assert f"there are no events of this period; events are from {FIRST} to {LAST}" in message
    assert out_of(capsys, "profile", "2025-12") == (
        "profile: nothing was pending; no hour of this period is rolled up; rolled-up hours are from "
        f"{FIRST} to {LAST}\n"
    )
    assert out_of(capsys, "mart-load", "2025-12") == (
        "mart-load: nothing was pending; the lake has nothing of this period from `marquee rollup`, `marquee profile`\n"
    )


def test_rollup_under_another_key_is_refused(
    capsys: pytest.CaptureFixture[str], world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another viewer key makes no hour again by mistake; with --force, all hours are made again."""
    monkeypatch.setenv("MARQUEE_ROLLUP__VIEWER_KEY", "another key of the small world")
    assert "differs from the key of 3 hours" in error_of(capsys, "rollup", code=78)
    assert set(world.generations().values()) == {1}
    assert out_of(capsys, "rollup", "--force") == "rollup: 3 made\n"


def test_run_of_a_period_makes_what_touches_it(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """A run of one period makes what depends on it, but not another pending hour."""
    world.events(FIRST, [("bob", 30, CASE)], file=1)
    world.events(LAST, [("bob", 30, CASE)], file=1)
    out_of(capsys, "run", LAST)
    assert [world.generations()[f"rollup/{hour}"] for hour in (FIRST, LAST)] == [1, 2]
    assert world.generations()["audience/2026-Q1"] == 2


def test_force_makes_again_what_is_done(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """Option --force makes one hour again, and only that one of three."""
    assert out_of(capsys, "rollup", EMPTY, "--force") == "rollup: 1 made\n"
    assert [world.generations()[f"rollup/{hour}"] for hour in (FIRST, EMPTY, LAST)] == [1, 2, 1]


def test_bad_input_is_65(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """Too many rejected lines end a run with 65, and the published hour stays as it was."""
    world.events(LAST, [], file=1, bad_lines=2)
    assert out_of(capsys, "rollup", code=65) == "rollup: 0 made, 1 failed; see the log\n"
    assert world.generations()[f"rollup/{LAST}"] == 1


def test_service_that_does_not_answer_is_75(
    capsys: pytest.CaptureFixture[str], world: SmallWorld, service: ScheduleService
) -> None:
    """A schedule service that does not answer ends a run with 75, and a later run succeeds."""
    path = f"/schedule?country=KR&date={DAY}"
    service.tell(path, raw(b"", 503))
    try:
        out_of(capsys, "schedule-fetch", "--force", code=75)
    finally:
        tell_schedule(service)
    out_of(capsys, "schedule-fetch", "--force")
    assert world.generations()[f"schedule_fetch/{DAY}"] == 2


def test_kiosk_ahead_of_the_lake_is_76(capsys: pytest.CaptureFixture[str], world: SmallWorld, tmp_path: Path) -> None:
    """A lake that was rolled back does not roll back the mart: the load ends with 76."""
    shutil.copytree(world.lake.root, tmp_path / "old")
    world.events(FIRST, [("bob", 30, CASE)], file=1)
    assert main(["run"]) == 0
    shutil.rmtree(world.lake.root)
    shutil.copytree(tmp_path / "old", world.lake.root)
    assert out_of(capsys, "mart-load", code=76) == "mart-load: 0 made, 5 failed; see the log\n"
    assert out_of(capsys, "mart-load", "--force") == "mart-load: 8 made\n"


def test_worst_code_of_all_stages_counts(
    capsys: pytest.CaptureFixture[str], world: SmallWorld, service: ScheduleService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bad input (65) takes precedence over a service that is down (75), because it needs a person."""
    monkeypatch.setenv("MARQUEE_SCHEDULE_FETCH__LAST_DAY", "2026-01-06")
    service.tell("/schedule?country=KR&date=2026-01-06", raw(b"", 503))
    world.events(LAST, [], file=1, bad_lines=2)
    out_of(capsys, "run", code=65)


def test_simulate_where_the_file_says(capsys: pytest.CaptureFixture[str], world: SmallWorld) -> None:
    """By default, simulate writes to the raw events of the settings, but never over events from another source."""
    error = error_of(capsys, "simulate", "--days", "1", "--events-per-day", "1000", code=78)
    assert error.startswith(world.raw.url)
    assert "which simulate did not write" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param([], "no store for the events. Use --folder, or set MARQUEE_RAW", id="nowhere"),
        pytest.param(["--events-per-day", "1"], "--events-per-day 1: Input should be greater", id="too few"),
        pytest.param(["--start", "soon", "--days", "0"], "--start 'soon': Input should be a valid date", id="several"),
        pytest.param(["serve", "--port", "99999"], "cannot listen on port 99999: ", id="no port"),
    ],
)
def test_simulate_told_wrongly(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    """Invalid arguments of simulate end it with 78, and the message names each wrong option or value."""
    error = error_of(capsys, "simulate", *arguments, code=78)
    assert error.startswith(message)
    assert ("; --days 0: Input should be" in error) == ("--days" in arguments)


# Real processes


def test_output_that_nobody_reads_ends_it_quietly(world: SmallWorld) -> None:
    """In `marquee config | head -1`, the command ends without a traceback and with the code of SIGPIPE."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "jobs.cli", "config"]
    environment = os.environ | {"MARQUEE_CONFIG": str(world.config)}
    done = subprocess.run(command, env=environment, check=False, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_simulate_serves_until_ctrl_c() -> None:
    """Simulate prints its address, Ctrl-C ends it without an error, and a port that is in use is an error."""
    command = [sys.executable, "-m", "jobs.cli", "simulate", "serve", "--port"]
    server = subprocess.Popen([*command, "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        assert requests.get(url, timeout=20).json()[0]["show"]["network"]["country"]["code"] == "KR"
        port = str(urlsplit(url).port)
        assert main([*command[3:], port]) == 78
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 0
    finally:
        server.kill()
        server.communicate()
