"""The findings of ``marquee preflight`` in a healthy setup, with weaknesses, and with failures."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import time_machine

from jobs.cli.__main__ import main
from jobs.cli.preflight import __main__ as in_a_cluster
from jobs.cli.preflight import events, stores
from jobs.cli.preflight import raw as raw_checks
from jobs.cli.preflight.clock import validate_clock
from jobs.cli.preflight.findings import Check, Finding, Verdict, exit_code_of, run_checks
from jobs.cli.preflight.stores import probe_absent, probe_unchanged
from jobs.rollup import compiled
from marquee.errors import BadInputError, TryAgainError
from marquee.storage.local import LocalStore
from marquee.storage.s3 import S3Store
from tests.lagging import lag_behind
from tests.mariadb_server import MysqlDatabase
from tests.s3_proxy import CONDITIONS, Fault, S3Proxy
from tests.s3_server import S3Server
from tests.schedule_service import ScheduleService, answer, schedule_service
from tests.small_world import CASE, DAY, SCHEDULE, SmallWorld, event_file, tell_schedule
from tests.system_errors import run_without_rights

WEAK_WORDS = "the result of the last one is kept. The result is still consistent"
HOUR = f"{DAY}T13"
FOLDER = "topics/plays/year=2026/month=01/day=05/hour=13"


@pytest.fixture
def service() -> Iterator[ScheduleService]:
    """A schedule service that has a day in Korea and some films on the web."""
    with schedule_service() as running:
        tell_schedule(running)
        running.tell(f"/schedule/web?date={DAY}", answer([SCHEDULE[0] | {"id": 301}]))
        yield running


@pytest.fixture
def world(service: ScheduleService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallWorld:
    """One hour with one play, in folders, with all settings in a file."""
    world = SmallWorld(tmp_path / "world")
    world.configure(service.url)
    world.events(HOUR, [("u1", 1, CASE)])
    monkeypatch.setenv("MARQUEE_CONFIG", str(world.config))
    monkeypatch.setattr(stores, "ROUNDS", 1)
    return world


@pytest.fixture
def raw(
    s3_lake: S3Store, service: ScheduleService, tmp_path: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> S3Store:
    """One object of raw events beside the lake in S3, with all settings set."""
    store = S3Store(s3_lake.bucket, f"{tmp_path.name}/raw", s3_lake._options)
    store.put(*event_file(HOUR, [("u1", 1, CASE)]))
    settings = {
        "SCHEDULE_FETCH__URL": service.url,
        "SCHEDULE_FETCH__COUNTRIES": '["KR"]',
        "SCHEDULE_FETCH__FIRST_DAY": DAY,
        "SCHEDULE_FETCH__LAST_DAY": DAY,
        "SCHEDULE_FETCH__RETRY_FOR_S": "0",
        "LAKE": s3_lake.url,
        "RAW": store.url,
        "S3__ENDPOINT_URL": s3_server.url,
        "S3__PATH_STYLE": "true",
        "ROLLUP__VIEWER_KEY": "0123456789abcdef",
        "MART__URL": f"duckdb://{tmp_path}/kiosk.duckdb",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"MARQUEE_{name}", value)
    return store


def found(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, tuple[str, str]]]:
    """Run preflight; return its exit code, and verdict and text by check."""
    code = main(["preflight", "--format", "json"])
    return code, {one["check"]: (one["verdict"], one["finding"]) for one in json.loads(capsys.readouterr().out)}


def test_everything_passes_where_all_is_well(
    raw: S3Store, s3_lake: S3Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a real S3 server every check is ok, one of 32 concurrent writers wins each time, and no object is left."""
    monkeypatch.delenv("COLUMNS", raising=False)  # a narrow width would wrap the table
    assert main(["preflight"]) == 0
    shown = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert [line for line in lines if " weak " in line or " failed " in line] == []
    for line in (
        "settings of rollup ok complete and valid",
        f"lake ok {s3_lake.url}: listed, wrote, read and deleted",
        "listing ok 20 objects were listed right after they were written",
        "conditional writes ok put if absent: of 32 concurrent writers one won in each of 5 rounds",
        "conditional writes ok put if unchanged: of 32 concurrent writers one won in each of 5 rounds",
        f"raw events ok {raw.url}: listed and read; {HOUR}: 1 .json",
        "parser ok compiled code reads JSON lines",
        "event contract ok 1 of 1 lines in 1 objects of the newest hours are plays",
        f"clock ok within 5 seconds of the clock of {s3_lake.url}",
        "All stages can run here.",
    ):
        assert line in lines
    assert ": 3 episodes on 2026-01-05, from 2 responses" in shown
    assert list(s3_lake.list()) == []


@pytest.mark.usefixtures("world")
def test_slower_parser_is_weak(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the compiled modules all stages can run, and a finding says how to get them; SQL may be chosen."""
    monkeypatch.setattr(compiled, "why_not_compiled", lambda: "the compiled modules are not installed")
    code, findings = found(capsys)
    assert (code, findings["parser"][0]) == (0, "weak")
    assert "the compiled modules are not installed. Install a C compiler and Python's headers" in findings["parser"][1]
    monkeypatch.setenv("MARQUEE_ROLLUP__PARSER", "sql")
    assert found(capsys)[1]["parser"] == ("ok", "SQL reads JSON lines, as MARQUEE_ROLLUP__PARSER says")


@pytest.mark.usefixtures("world")
def test_folders_are_left_as_they_were(world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    """The checks delete all files and folders that they create, and name the user whose rights apply."""
    code, findings = found(capsys)
    assert code == 0, findings
    for check in ("scratch folder", "lake", "raw events", "mart"):
        assert re.search(r" as user \S+ \(uid \d+\)| no mart yet", findings[check][1]), findings[check]
    assert sorted(path.name for path in world.folder.iterdir()) == ["marquee.toml", "raw"]


def test_nothing_configured_is_said_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without any configuration there is one finding with two ways out, a settings file or the demo, in 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["preflight"]) == 78
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert " ".join(shown.split()).endswith(
        "settings failed nothing is configured; MARQUEE_LAKE: is not set. Set MARQUEE_CONFIG to the path of a TOML "
        "file with your settings, or set environment variables. `marquee demo` needs no settings, and shows what "
        "Marquee does 1 of 1 findings failed: some stages cannot run here."
    )


def test_setting_that_all_stages_lack_is_said_once(world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing lake, which four stages need, is reported once, and other checks that need it do not repeat it."""
    text = world.config.read_text(encoding="utf-8").replace(f'lake = "{world.lake.url}"', "")
    world.config.write_text(text, encoding="utf-8")
    assert main(["preflight", "--format", "json"]) == 78
    told = json.loads(capsys.readouterr().out)
    assert [one["check"] for one in told if "MARQUEE_LAKE" in one["finding"]] == [
        "settings of schedule-fetch, rollup, profile, mart-load"
    ]


@pytest.mark.usefixtures("world")
def test_misspelt_setting_does_not_hide_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt setting is a finding of its own, and all other checks still run."""
    monkeypatch.setenv("MARQUEE_ROLUP__TOPIC", "plays")
    code, findings = found(capsys)
    assert (code, findings["names of settings"][0], findings["raw events"][0]) == (78, "failed", "ok")
    assert "Did you mean MARQUEE_ROLLUP__TOPIC?" in findings["names of settings"][1]


def test_raw_folder_that_does_not_exist_fails(world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    """A raw folder that does not exist is a failure, and is never reported as reached."""
    world.raw.root.rename(world.folder / "elsewhere")
    code, findings = found(capsys)
    assert (code, findings["raw events"][0]) == (78, "failed")
    assert findings["raw events"][1].startswith(f"MARQUEE_RAW={world.raw.url}: no such folder")


def test_fields_that_lines_lack_are_named_with_those_they_have(
    world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing fields are listed with the names that lines do have, without values and without rare names."""
    lines = [
        {
            "event_id": f"e{number}",
            "received_at": f"{HOUR}:00:00Z",
            "event": {"account_id": f"secret{number}", f"secret{number}": 1, "episode_id": CASE},
        }
        for number in range(20)
    ]
    world.raw.put(f"{FOLDER}/plays+0+0000000000.json", "".join(f"{json.dumps(one)}\n" for one in lines).encode())
    code, findings = found(capsys)
    assert code == 65
    verdict, words = findings["event contract"]
    assert verdict == "failed"
    expected = (
        "0 of 20 lines in 1 objects of the newest hours are plays, 20 are rejected (user_id 20); not found in 20 "
        "lines: user_id as event.user_id, country as event.country, utc_offset_minutes as event.utc_offset_minutes, "
        "language as event.language, device as event.device, watched_seconds as event.watched_seconds; the lines have: "
        "event.account_id. Map the fields, for example MARQUEE_ROLLUP__FIELDS__USER_ID=NAME"
    )
    assert words == expected


def test_names_with_dots_in_them_are_shown_as_they_are_mapped(
    world: SmallWorld, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name with a dot in it is shown as the JSON pointer that maps it, and is found when it is mapped so."""
    world.raw.put(f"{FOLDER}/plays+0+0000000000.json", b'{"event_id": "e", "event.user_id": "u"}\n')
    code, findings = found(capsys)
    assert code == 65
    assert "the lines have: /event.user_id. Map the fields" in findings["event contract"][1]
    monkeypatch.setenv("MARQUEE_ROLLUP__FIELDS__USER_ID", "/event.user_id")
    assert "user_id as" not in found(capsys)[1]["event contract"][1]


def test_rejects_within_bounds_are_weak(world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    """Rejected lines within the limit, here 2 lines an hour, are a weakness, and one more is a failure."""
    world.events(HOUR, [("u1", 1, CASE)], bad_lines=2)
    code, findings = found(capsys)
    assert (code, findings["event contract"][0]) == (0, "weak")
    assert (
        "are plays, 2 are rejected (not_json 2); an hour fails if it has more than 2 " in findings["event contract"][1]
    )
    world.events(HOUR, [("u1", 1, CASE)], bad_lines=3)
    code, findings = found(capsys)
    assert (code, findings["event contract"][0]) == (65, "failed")


def test_damaged_object_fails(world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    """A damaged object is a failure with the exit code and the message of the rollup, and names its key."""
    world.raw.put(f"{FOLDER}/plays+0+0000000000.avro", b"Obj")
    code, findings = found(capsys)
    assert (code, findings["event contract"][0]) == (65, "failed")
    assert f"{FOLDER}/plays+0+0000000000.avro cannot be read to its end" in findings["event contract"][1]


def test_what_is_never_read_is_counted(world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    """Objects with other endings, in no hour's folder and links are counted; keys, headers and hidden names are not."""
    for name in ("a.txt", "b.txt", "c.csv.gz", "plays+0+0000000000.keys.json", "_SUCCESS"):
        world.raw.put(f"{FOLDER}/{name}", b"x\n")
    for key in ("topics/plays/year=2026/month=1/x.json", "topics/plays/x.json", "topics/plays/old/2025/x.json"):
        world.raw.put(key, b"x\n")
    (world.raw.root / FOLDER / "link.json").symlink_to(world.raw.root / "topics/plays/x.json")
    code, findings = found(capsys)
    assert (code, findings["raw events"][0]) == (0, "weak")
    assert (
        f"{HOUR}: 1 .json; never read, because of their endings: 1 .csv.gz, 2 .txt; never read, because in no hour's "
        "folder: 3 objects (topics/plays/old/, topics/plays/x.json, topics/plays/year=2026/month=1/x.json); never "
        f"read, because they are symbolic links: 1 ({FOLDER}/link.json). Check MARQUEE_ROLLUP__PATH, or name what is "
        "expected in MARQUEE_ROLLUP__IGNORE"
    ) in findings["raw events"][1]


def test_expected_objects_are_ok(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Objects that rollup.ignore names are passed over."""
    world.raw.put(f"{FOLDER}/README", b"x\n")
    world.raw.put(f"{FOLDER}/minute=05/a.txt", b"x\n")
    monkeypatch.setenv("MARQUEE_ROLLUP__IGNORE", '["*/README", "*.txt"]')
    code, findings = found(capsys)
    assert (code, findings["raw events"][0]) == (0, "ok")
    assert findings["raw events"][1].endswith(f"{HOUR}: 1 .json")


@pytest.mark.parametrize("beside", [True, False], ids=["beside another hour", "alone"])
def test_hour_of_which_nothing_is_read_fails(
    world: SmallWorld, capsys: pytest.CaptureFixture[str], *, beside: bool
) -> None:
    """An hour whose objects all have other endings is a failure with 65, as its rollup would be."""
    world.raw.put(f"{FOLDER.replace('13', '8')}/a.txt", b"x\n")
    if not beside:
        (key,) = [info.key for info in world.raw.list(FOLDER)]
        world.raw.delete(key)
    code, findings = found(capsys)
    assert (code, findings["raw events"][0]) == (65, "failed")
    read = f"{DAY}T08 to {HOUR}: 1 .json" if beside else f"{DAY}T08: nothing to read"
    assert f"{read}; never read, because of their endings: 1 .txt. " in findings["raw events"][1]
    assert f"The rollup of {DAY}T08 fails, because none of its objects is read" in findings["raw events"][1]


def test_hours_without_leading_zeros_are_found(world: SmallWorld, capsys: pytest.CaptureFixture[str]) -> None:
    """Folders of whole numbers are hours: 8 and 9 come before 13."""
    (line,) = [world.raw.get(info.key) for info in world.raw.list(FOLDER)]
    for hour in (8, 9):
        world.raw.put(f"{FOLDER.replace('13', str(hour))}/a.json", line.replace(b"T13", b"T%02d" % hour))
    code, findings = found(capsys)
    assert (code, findings["raw events"][0]) == (0, "ok")
    assert f"{DAY}T08 to {HOUR}: 3 .json" in findings["raw events"][1]


def test_look_at_raw_events_is_bounded(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If there are many hours, only the newest are listed, and the finding says so."""
    for hour in ("2025-12-31T23", f"{DAY}T11", f"{DAY}T12"):
        world.events(hour, [("u1", 1, CASE)])
    monkeypatch.setattr(raw_checks, "MOST_HOURS", 2)
    monkeypatch.setattr(events, "OBJECTS", 1)
    code, findings = found(capsys)
    assert code == 0
    assert f"newest 2 hours only, {DAY}T12 to {HOUR}: 2 .json" in findings["raw events"][1]
    assert findings["event contract"][1] == "1 of 1 lines in 1 objects of the newest hours are plays"


def test_large_objects_are_not_fetched(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Large objects are not downloaded to check a few lines, and the finding says that none was read."""
    monkeypatch.setattr(events, "MOST_BYTES", 1)
    code, findings = found(capsys)
    assert (code, findings["event contract"][0]) == (0, "weak")
    assert "not checked: all objects" in findings["event contract"][1]
    assert world.raw.names(FOLDER + "/") == ["plays+0+0000000000.json"]


@pytest.mark.usefixtures("world")
def test_schedule_service_that_has_nothing_is_weak(
    service: ScheduleService, capsys: pytest.CaptureFixture[str]
) -> None:
    """Countries without an episode are a weakness and are listed, because their codes may be wrong."""
    tell_schedule(service, items=[])
    code, findings = found(capsys)
    assert (code, findings["schedule service"][0]) == (0, "weak")
    assert "1 episodes on 2026-01-05, from 2 responses; nothing from KR. Check" in findings["schedule service"][1]
    assert service.asked == [f"/schedule?country=KR&date={DAY}", f"/schedule/web?date={DAY}"]


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(("status", "code"), [(503, 75), (404, 78)])
def test_schedule_service_that_refuses_fails(
    service: ScheduleService, capsys: pytest.CaptureFixture[str], status: int, code: int
) -> None:
    """A schedule service that refuses a request is a failure with the exit code of the stage."""
    tell_schedule(service)
    service.tell(f"/schedule?country=KR&date={DAY}", answer([], status))
    assert (found(capsys)[0], found(capsys)[1]["schedule service"][0]) == (code, "failed")


@pytest.mark.usefixtures("world")
def test_clock_is_compared_with_the_services(service: ScheduleService, capsys: pytest.CaptureFixture[str]) -> None:
    """A clock that differs from the service's by more than some seconds is a weakness with the difference."""
    # Generated an hour ago according to Age, although Date is the present of this machine.
    service.tell(f"/schedule/web?date={DAY}", answer([SCHEDULE[0]], headers={"Age": "3600"}))
    code, findings = found(capsys)
    assert (code, findings["clock"][0]) == (0, "weak")
    assert re.match(r"3,[56]\d\d seconds behind the clock of http://", findings["clock"][1])


@pytest.mark.parametrize(
    ("ahead_s", "verdict", "words"),
    [
        (-4.9, Verdict.OK, "within 5 s"),
        (5.1, Verdict.WEAK, "5 seconds ahead"),
        (-900, Verdict.WEAK, "900 seconds be"),
    ],
)
def test_clock_is_judged_by_seconds(ahead_s: float, verdict: Verdict, words: str) -> None:
    """A difference of a few seconds is ignored, because answers take time."""
    finding = validate_clock("s3://lake", ahead_s)
    assert finding.verdict is verdict
    assert finding.words.startswith(words)


@pytest.mark.usefixtures("world")
def test_events_in_the_future_are_weak(capsys: pytest.CaptureFixture[str]) -> None:
    """Events in the future are a weakness: the producer's clock is fast, or this machine's is slow."""
    now = datetime(2026, 1, 5, 11, 1, tzinfo=UTC)
    with time_machine.travel(now, tick=True):
        code, findings = found(capsys)
    assert (code, findings["event times"][0]) == (0, "weak")
    assert findings["event times"][1].startswith("received_at is up to 120 minutes in the future")


def test_scratch_folder_is_looked_at(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing scratch folder is a failure, and one with less space than a stage may need is a weakness."""
    monkeypatch.setenv("MARQUEE_ENGINE__SCRATCH", str(world.folder / "scratch"))
    code, findings = found(capsys)
    assert (code, findings["scratch folder"][0]) == (78, "failed")
    assert f"MARQUEE_ENGINE__SCRATCH={world.folder}/scratch: the folder does not exist" in findings["scratch folder"][1]
    (world.folder / "scratch").mkdir()
    monkeypatch.setenv("MARQUEE_ENGINE__MEMORY_MB", "1000000000")
    code, findings = found(capsys)
    assert (code, findings["scratch folder"][0]) == (0, "weak")
    assert "but rollup may need 1,000,000,024 MiB" in findings["scratch folder"][1]


@pytest.mark.parametrize(
    ("place", "mode", "check", "words"),
    [
        pytest.param("lake", 0o500, "lake", "cannot write ", id="lake"),
        pytest.param("raw/topics", 0o000, "raw events", "cannot list ", id="raw"),
        pytest.param(f"raw/{FOLDER}/plays+0+0000000000.json", 0o000, "raw events", "cannot use ", id="raw object"),
        pytest.param("marts", 0o500, "mart", "cannot write ", id="mart"),
        pytest.param("scratch", 0o500, "scratch folder", "cannot write MARQUEE_ENGINE__SCRATCH=", id="scratch"),
    ],
)
def test_missing_rights_are_found(
    world: SmallWorld, monkeypatch: pytest.MonkeyPatch, place: str, mode: int, check: str, words: str
) -> None:
    """A missing permission is the only failure, with path and user; its consequences are not repeated."""
    for name in ("lake", "marts", "scratch"):
        (world.folder / name).mkdir()
    monkeypatch.setenv("MARQUEE_ENGINE__SCRATCH", str(world.folder / "scratch"))
    monkeypatch.setenv("MARQUEE_MART__URL", f"duckdb://{world.folder}/marts/kiosk.duckdb")
    (world.folder / place).chmod(mode)
    done = run_without_rights("-m", "jobs.cli", "preflight", "--format", "json")
    (world.folder / place).chmod(0o700)
    assert done.returncode == 78, done.stderr
    (failed,) = [one for one in json.loads(done.stdout) if one["verdict"] == "failed"]
    assert failed["check"] == check
    pattern = (
        rf"{words}{world.folder}/{re.escape(place)}\S* \(Permission denied\): user \S+ \(uid \d+\) has no permission"
    )
    assert re.match(pattern, failed["finding"]), failed


@pytest.mark.usefixtures("raw")
def test_in_a_cluster_it_logs_what_it_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a cluster, the module logs each finding as a line of JSON and ends with the exit code of the failure."""
    monkeypatch.setenv("MARQUEE_LOG__FORMAT", "json")
    monkeypatch.delenv("MARQUEE_MART__URL")
    assert in_a_cluster.main([]) == 78
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    told = {line["message"].partition(":")[0]: (line["level"], line["verdict"]) for line in lines}
    assert told["lake"] == ("info", "ok")
    assert told["settings of mart-load"] == ("error", "failed")


@pytest.mark.usefixtures("raw")
def test_store_that_ignores_conditions_is_weak(
    s3_lake: S3Store,
    s3_proxy: S3Proxy,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A store that ignores conditions is a weakness with its effect and its remedy, and preflight ends with 0."""
    s3_proxy.stripped = CONDITIONS
    monkeypatch.setenv("MARQUEE_S3__ENDPOINT_URL", s3_proxy.url)
    monkeypatch.setattr(stores, "ROUNDS", 2)
    code, findings = found(capsys)
    assert (code, findings["lake"][0]) == (0, "ok")
    verdict, words = findings["conditional writes"]
    assert verdict == "weak"
    assert words.startswith(
        "put if unchanged: of 32 concurrent writers 32, 32 won in 2 rounds, expected 1 in each: never run a stage twice"
    )
    assert "MARQUEE_S3__CONDITIONAL_WRITES=false" in words
    assert WEAK_WORDS in words
    assert list(s3_lake.list()) == []


@pytest.mark.usefixtures("raw")
def test_store_whose_listings_lag_is_weak(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A store whose listings are one change late is a weakness with its effect, and preflight ends with 0."""
    monkeypatch.setattr(stores, "ROUNDS", 1)
    lag_behind(monkeypatch, S3Store, "preflight/")
    code, findings = found(capsys)
    verdict, words = findings["listing"]
    assert (code, verdict) == (0, "weak")
    assert words.startswith("20 of 20 changes were not in the next listing. Results stay consistent")


@pytest.mark.usefixtures("raw")
def test_store_that_refuses_conditions_fails_with_the_setting(
    s3_proxy: S3Proxy,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A store that answers conditions with 501 is a failure, and a weakness once the setting switches them off."""
    monkeypatch.setenv("MARQUEE_S3__ENDPOINT_URL", s3_proxy.url)
    monkeypatch.setattr(stores, "ROUNDS", 1)
    s3_proxy.faults = [Fault("refuse", "PUT", 1000, 501, "NotImplemented", conditional=True)]
    code, findings = found(capsys)
    assert (code, findings["lake"][0], findings["conditional writes"][0]) == (78, "ok", "failed")
    assert "set MARQUEE_S3__CONDITIONAL_WRITES=false" in findings["conditional writes"][1]
    monkeypatch.setenv("MARQUEE_S3__CONDITIONAL_WRITES", "false")
    code, findings = found(capsys)
    verdict, words = findings["conditional writes"]
    assert (code, verdict) == (0, "weak")
    assert words.startswith("switched off by MARQUEE_S3__CONDITIONAL_WRITES: never run a stage twice at the same time")
    assert WEAK_WORDS in words


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
@pytest.mark.usefixtures("raw")
def test_policy_that_allows_too_little_fails(
    s3_proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    """A right that is missing in the lake is a failure with the exit code of the stages."""
    monkeypatch.setenv("MARQUEE_S3__ENDPOINT_URL", s3_proxy.url)
    monkeypatch.setattr(stores, "ROUNDS", 1)
    s3_proxy.faults = [Fault("refuse", method, 100, 403, "AccessDenied")]
    code, findings = found(capsys)
    assert (code, findings["lake"][0]) == (78, "failed")
    assert "the server refused the request (AccessDenied, 403: as scripted): check the policies" in findings["lake"][1]


@pytest.mark.usefixtures("raw")
def test_server_out_of_reach_may_come_back(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An unreachable server fails lake and raw events with 75, because no setting is known to be wrong."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        monkeypatch.setenv("MARQUEE_S3__ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("MARQUEE_S3__RETRY_FOR_S", "0")
    code, findings = found(capsys)
    assert code == 75
    assert [findings[check][0] for check in ("settings of rollup", "lake", "raw events")] == ["ok", "failed", "failed"]


@pytest.mark.usefixtures("raw")
def test_missing_settings_fail_and_stop_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing viewer key is one failure, and lake and raw events are still checked."""
    monkeypatch.delenv("MARQUEE_ROLLUP__VIEWER_KEY")
    monkeypatch.setattr(stores, "ROUNDS", 1)
    code, findings = found(capsys)
    assert code == 78
    assert findings["settings of rollup"] == ("failed", "MARQUEE_ROLLUP__VIEWER_KEY: is not set")
    assert [findings[check][0] for check in ("lake", "raw events")] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        pytest.param("topics/views/year=2026/x.json", "found in 'topics/': views/", id="another topic"),
        pytest.param("topics/plays/year=2026/x.json", "found in 'topics/plays/': year=2026/", id="by year"),
    ],
)
@pytest.mark.usefixtures("raw")
def test_raw_events_elsewhere_are_told_of(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    key: str,
    words: str,
) -> None:
    """Raw events in another topic or in another layout of folders are a failure with 78, and are listed."""
    folder = LocalStore(tmp_path / "raw")
    folder.put(key, b"{}\n")
    monkeypatch.setenv("MARQUEE_RAW", folder.url)
    monkeypatch.setenv("MARQUEE_LAKE", LocalStore(tmp_path / "lake").url)
    code, findings = found(capsys)
    assert (code, findings["raw events"][0]) == (78, "failed")
    assert words in findings["raw events"][1]


@pytest.mark.usefixtures("raw")
def test_mart_is_looked_at(
    mysql_mart: MysqlDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that accepts rows is ok with or without a mart, and a wrong password is an error of settings."""
    monkeypatch.setattr(stores, "ROUNDS", 1)
    monkeypatch.setenv("MARQUEE_MART__URL", mysql_mart.url)
    monkeypatch.setenv("MARQUEE_MART__PASSWORD", mysql_mart.password)
    code, findings = found(capsys)
    assert (code, findings["mart"][0]) == (0, "ok")
    assert "no mart yet; the first load, or `marquee mart init`, creates it" in findings["mart"][1]
    monkeypatch.setenv("MARQUEE_MART__PASSWORD", "wrong")
    code, findings = found(capsys)
    assert (code, findings["mart"][0]) == (78, "failed")
    assert "correct MARQUEE_MART__URL and MARQUEE_MART__PASSWORD" in findings["mart"][1]


def test_further_checks_are_made_whatever_the_others_found() -> None:
    """An exception of a check becomes one finding, other checks still run, and checks that depend on it are skipped."""

    def unreachable() -> Iterator[Finding]:
        yield Finding("mart", Verdict.OK, "reached")
        message = "the mart is\n  gone"
        raise TryAgainError(message)

    def wrong() -> Iterator[Finding]:
        message = "bad"
        raise BadInputError(message)
        yield Finding("other", Verdict.OK, "never")  # type: ignore[unreachable]

    def skipped() -> Iterator[Finding]:
        yield Finding("third", Verdict.OK, "never")

    findings = run_checks(
        [
            Check("mart", unreachable),
            Check("other", wrong),
            Check("third", skipped, after="mart"),
            Check("fourth", skipped, after="third"),
            Check("said already", wrong),
        ]
    )
    assert findings == [
        Finding("mart", Verdict.OK, "reached"),
        Finding("mart", Verdict.FAILED, "the mart is gone", 75),
        Finding("other", Verdict.FAILED, "bad", 65),
    ]
    assert exit_code_of(findings) == 65
    assert exit_code_of(findings[:1]) == 0


def test_local_folder_keeps_conditions(lake: LocalStore) -> None:
    """The probes of conditional writes find that a local folder keeps conditions."""
    assert probe_absent(lake, "p/") == probe_unchanged(lake, "p/") == [1] * 5
